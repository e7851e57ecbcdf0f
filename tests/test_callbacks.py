"""Callbacks: when they act, what they write, and what a warm-up does to others."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import callbacks, evaluation, plots, posteriors, schedules
from keras_vae.callbacks import stopping
from keras_vae.objectives import ELBO
from tests.models.support import HandedNoiseVAE

BATCH = 50


def compiled(model, learning_rate=1e-2):
    model.compile(keras.optimizers.Adam(learning_rate))
    return model


def counts(callback, model, values, updates_per_epoch=10):
    """Feed a callback the values of what it watches; epochs until it stops, or `None`."""
    callback.set_model(model)
    model.stop_training = False
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.state.step.assign((epoch + 1) * updates_per_epoch)
        callback.on_epoch_end(epoch, {callback.monitor: value})
        if model.stop_training:
            callback.on_train_end()
            return epoch + 1
    callback.on_train_end()
    return None


# Early stopping.


@pytest.mark.slow
def test_early_stopping_outlives_a_warm_up_that_stops_that_of_keras(make_vae, digits):
    train, rest = digits[:1500], digits[1500:]
    steps = 300  # ten epochs

    def trained(callback):
        keras.utils.set_random_seed(0)
        beta = schedules.LinearWarmup(steps)
        vae = compiled(make_vae(objective=ELBO(beta)))
        data = {"validation_data": rest, "batch_size": BATCH, "epochs": 60, "verbose": 0}
        history = vae.fit(train, callbacks=callback, **data).history
        return vae, history

    def bound(model):
        return model.evaluate(rest, batch_size=BATCH, verbose=0, return_dict=True)["elbo"]

    of_keras = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    early, history = trained(of_keras)
    assert history["beta"][-1] < 1  # it stopped while the loss rose with beta
    # Ours goes on beyond the warm-up, stops before the end, and is better for it.
    late, history = trained(callbacks.EarlyStopping(patience=3))
    epochs, best = len(history["loss"]), int(np.argmax(history["val_elbo"][10:])) + 10
    assert history["beta"][-1] == 1
    assert 10 + 3 < epochs < 60
    assert best == epochs - 1 - 3
    # The weights are those of the best epoch: the same noise gives its very bound.
    assert bound(late) == pytest.approx(history["val_elbo"][best], rel=1e-6)
    assert int(late.state.step) == (best + 1) * len(train) // BATCH
    assert bound(late) > bound(early) + 0.5


def test_early_stopping_counts_from_the_end_of_the_warm_up(make_vae):
    falling = [-1.0 * i for i in range(20)]
    stop = callbacks.EarlyStopping(patience=2)
    assert counts(stop, make_vae(), falling) == 3
    # 65 updates: settled after the seventh epoch, which is what the others compare with.
    warm = make_vae(objective=ELBO(schedules.LinearWarmup(65)))
    assert counts(stop, warm, falling) == 9
    assert stop.best_epoch == 6
    endless = make_vae(objective=ELBO(schedules.Cyclical(period=40)))
    assert counts(stop, endless, falling) == 6
    rising = [1.0 * i for i in range(20)]
    assert counts(stop, warm, rising) is None


def test_early_stopping_in_the_warm_up_restores_nothing(make_vae):
    vae = make_vae(objective=ELBO(schedules.LinearWarmup(1000)))
    before = [w.numpy() for w in vae.trainable_weights]
    stop = callbacks.EarlyStopping(patience=0)
    assert counts(stop, vae, [-1.0, -2.0, -3.0]) is None
    assert stop.best_weights is None
    assert int(vae.state.step) == 30
    for weight, value in zip(vae.trainable_weights, before):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_early_stopping_watches_the_loss_where_there_is_no_bound(make_vae):
    model = keras_vae.presets.Autoencoder(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        2,
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
    )
    stop = callbacks.EarlyStopping(patience=1, min_delta=0.25)
    assert counts(stop, model, [5.0, 4.0, 3.5, 3.4, 3.3]) == 4
    assert stop.monitor == "val_loss"
    # The same callback with another model watches what that one has, at the same rise.
    assert counts(stop, make_vae(), [-5.0, -4.0, -3.5, -3.4, -3.3]) == 4
    assert stop.monitor == "val_elbo"
    assert counts(stop, model, [5.0, 4.0, 3.5, 3.4, 3.3]) == 4


def test_early_stopping_without_validation_data_is_told_so(make_vae, digits):
    vae = compiled(make_vae(objective=ELBO(schedules.LinearWarmup(1000))))
    with pytest.warns(UserWarning, match="`val_elbo` which is not available"):
        vae.fit(digits[:64], callbacks=callbacks.EarlyStopping(), verbose=0)


class Scheduled(posteriors.DiagonalNormal):
    """A part with schedules in a list."""

    def __init__(self, latent_dim, slopes, **kwargs):
        super().__init__(latent_dim, **kwargs)
        self.slopes = slopes


def test_early_stopping_waits_for_the_schedules_of_all_parts(make_vae):
    # A schedule among the arguments of any part counts, and within a part's own parts.
    vae = make_vae(objective=ELBO(schedules.LinearWarmup(7)))
    assert [s.settles_after() for s in stopping.schedules_of(vae)] == [7]
    posterior = Scheduled(3, [schedules.LinearWarmup(9)])
    vae = make_vae(objective=ELBO(schedules.LinearWarmup(7)), posterior=posterior)
    assert sorted(s.settles_after() for s in stopping.schedules_of(vae)) == [7, 9]


@pytest.mark.parametrize("arguments", [{"patience": -1}, {"min_delta": -0.1}])
def test_early_stopping_checks_its_arguments(arguments):
    with pytest.raises(ValueError, match=f"`{next(iter(arguments))}` must be .*>= 0"):
        callbacks.EarlyStopping(**arguments)


# Collapse.


def test_monitor_counts_units_and_warns_of_a_collapse(make_vae, digits):
    # A heavy KL collapses any posterior.
    vae = compiled(make_vae(objective=ELBO(beta=1e3)), 3e-2)
    monitor = callbacks.CollapseMonitor(digits[:200], patience=2, max_rows=150)
    with pytest.warns(callbacks.CollapseWarning) as caught:
        history = vae.fit(digits[:500], epochs=8, callbacks=monitor, verbose=0).history
    assert len(caught) == 1
    assert "only 0 of 3 latent dimensions are active (largest KL" in str(caught[0].message)
    assert "schedules.LinearWarmup" in str(caught[0].message)
    assert len(history["active_units"]) == 8
    assert history["active_units"][-1] == 0
    assert len(monitor.x) == 150
    # The closed form of Kingma and Welling (2014), appendix B, by hand.
    mean, scale = vae.encode(digits[:150], return_scale=True)
    kl = 0.5 * (mean**2 + scale**2 - 1) - np.log(scale)
    np.testing.assert_allclose(monitor.kl_by_group, kl.mean(0), rtol=1e-4, atol=1e-6)


def test_monitor_is_silent_about_a_healthy_model(make_vae, digits):
    vae = compiled(make_vae())
    monitor = callbacks.CollapseMonitor(digits[:100])
    history = vae.fit(digits, epochs=12, callbacks=monitor, verbose=0).history
    assert history["active_units"][-1] == 3
    assert history["active_units"][-1] == evaluation.active_units(vae, digits[:100]).sum()


def test_monitor_waits_for_the_warm_up_and_for_its_patience(make_vae, digits):
    # The untrained model has no active unit at this threshold.
    def warned_at(objective, patience):
        vae = make_vae(objective=objective)
        monitor = callbacks.CollapseMonitor(digits[:10], patience=patience, threshold=1e6)
        monitor.set_model(vae)
        monitor.on_train_begin()
        for epoch in range(10):
            vae.state.step.assign((epoch + 1) * 10)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                monitor.on_epoch_end(epoch, {})
            if caught:
                return epoch + 1
        return None

    assert warned_at(ELBO(), 1) == 1
    assert warned_at(ELBO(), 3) == 3
    assert warned_at(ELBO(schedules.LinearWarmup(40)), 3) == 6
    assert warned_at(ELBO(schedules.LinearWarmup(1000)), 1) is None


def test_monitor_of_an_autoencoder_knows_no_kl(digits):
    model = keras_vae.presets.Autoencoder(
        keras_vae.networks.MLP([8]),
        keras_vae.networks.MLP([8]),
        2,
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
    )
    monitor = callbacks.CollapseMonitor(digits[:20], threshold=1e6, patience=1)
    compiled(model)
    with pytest.warns(callbacks.CollapseWarning, match=r"dimensions are active; the decoder"):
        model.fit(digits[:64], callbacks=monitor, verbose=0)
    assert monitor.kl_by_group is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_share": 1.5}, "`min_share` must be in \\[0, 1\\]"),
        ({"patience": 0}, "`patience` must be an integer >= 1"),
        ({"threshold": -1}, "`threshold` must be >= 0"),
        ({"max_rows": 1}, "`max_rows` must be an integer >= 2"),
        ({"x": np.zeros([1, 4])}, "`x` must have at least two examples"),
    ],
)
def test_monitor_checks_its_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        callbacks.CollapseMonitor(**{"x": np.zeros([5, 4]), **arguments})


# Pictures.


def events(folder):
    """The values in TensorBoard's files of a folder, by tag: pairs of step and value."""
    found = {}
    for path in sorted(map(str, folder.rglob("*tfevents*"))):
        for record in tf.data.TFRecordDataset(path):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value))
    return found


def test_grids_are_written_every_few_epochs(make_vae, digits, tmp_path):
    vae = compiled(make_vae())
    grids = callbacks.ImageGrids(digits, tmp_path / "new", every=2)
    vae.fit(digits[:64], epochs=5, callbacks=grids, verbose=0)
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    expected = [f"{n}_{e:04}.png" for n in ("reconstructions", "samples") for e in (0, 2, 4)]
    assert names == expected
    # Continued, the epochs go on.
    vae.fit(digits[:64], initial_epoch=5, epochs=6, callbacks=grids, verbose=0)
    assert (tmp_path / "new" / "samples_0006.png").exists()
    # The picture of the model as it is now, byte by byte: the same noise each time.
    again = plots.samples(vae, 40, path=tmp_path / "again.png", seed=0)
    assert (tmp_path / "new" / "samples_0006.png").read_bytes() == again.read_bytes()


def test_grids_with_an_untrained_model_stay_the_same(digits, tmp_path):
    model = HandedNoiseVAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
    )
    model.compile(keras.optimizers.SGD(0.0))
    grids = callbacks.ImageGrids(digits, tmp_path)
    model.fit(digits[:64], epochs=1, callbacks=grids, verbose=0)
    for name in ("reconstructions", "samples"):
        first, second = (tmp_path / f"{name}_000{epoch}.png" for epoch in (0, 1))
        assert first.read_bytes() == second.read_bytes()


def test_grids_go_to_tensorboard(make_vae, digits, tmp_path):
    vae = compiled(make_vae())
    grids = callbacks.ImageGrids(digits, tmp_path / "png", log_dir=tmp_path / "log")
    vae.fit(digits[:64], epochs=1, callbacks=grids, verbose=0)
    found = events(tmp_path / "log")
    assert sorted(found) == ["reconstructions", "samples"]
    for name, values in found.items():
        assert [step for step, _ in values] == [0, 1]
        for step, value in values:
            assert value.metadata.plugin_data.plugin_name == "images"
            width, height, png = value.tensor.string_val
            assert png == (tmp_path / "png" / f"{name}_{step:04}.png").read_bytes()
            assert tf.io.decode_png(png).shape[:2] == (int(height), int(width))


def test_tensorboard_reads_the_grids(make_vae, digits, tmp_path):
    from tensorboard.backend.event_processing import event_accumulator as accumulator

    vae = compiled(make_vae())
    grids = callbacks.ImageGrids(digits, tmp_path / "png", log_dir=tmp_path)
    vae.fit(digits[:64], epochs=1, callbacks=grids, verbose=0)
    log = accumulator.EventAccumulator(str(tmp_path)).Reload()
    tensors = log.Tensors("samples")
    assert [event.step for event in tensors] == [0, 1]
    assert log.PluginTagToContent("images").keys() == {"reconstructions", "samples"}


def test_grids_of_no_images_are_refused_before_training(make_vae, digits, tmp_path):
    flat = compiled(make_vae(event_shape=(64,)))
    x = digits.reshape(-1, 64)
    with pytest.raises(ValueError, match=r"`model` must be one of images.*\(64,\)"):
        flat.fit(x, callbacks=callbacks.ImageGrids(x, tmp_path), verbose=0)
    assert int(flat.state.step) == 0
    with pytest.raises(ValueError, match="`every` must be an integer >= 1"):
        callbacks.ImageGrids(digits, tmp_path, every=0)


# What Keras's own callbacks see.


def test_scheduled_values_and_active_units_reach_tensorboard(make_vae, digits, tmp_path):
    vae = compiled(make_vae(objective=ELBO(schedules.LinearWarmup(4))))
    logged = [
        callbacks.CollapseMonitor(digits[:50]),
        keras.callbacks.TensorBoard(tmp_path, write_graph=False),
    ]
    vae.fit(digits[:64], epochs=3, batch_size=32, callbacks=logged, verbose=0)
    found = events(tmp_path)
    # The mean over an epoch's two steps, of which the first sees the value before it.
    betas = [float(tf.make_ndarray(value.tensor)) for _, value in found["epoch_beta"]]
    np.testing.assert_allclose(betas, [0.125, 0.625, 1.0], rtol=1e-6)
    assert len(found["epoch_active_units"]) == 3


def test_scheduled_values_and_active_units_reach_a_csv(make_vae, digits, tmp_path):
    vae = compiled(make_vae(objective=ELBO(schedules.LinearWarmup(4))))
    path = tmp_path / "log.csv"
    logged = [callbacks.CollapseMonitor(digits[:50]), keras.callbacks.CSVLogger(path)]
    vae.fit(digits[:64], epochs=3, batch_size=32, callbacks=logged, verbose=0)
    rows = np.genfromtxt(path, delimiter=",", names=True)
    np.testing.assert_allclose(rows["beta"], [0.125, 0.625, 1.0], rtol=1e-6)
    assert rows["active_units"].shape == (3,)


def test_conditional_models_are_watched_and_shown_too(make_vae, digits, tmp_path):
    labels = np.arange(32) % 10
    vae = make_vae(condition_shape=(10,))
    vae.compile("adam")
    monitor = callbacks.CollapseMonitor(digits[:32], condition=labels)
    grids = callbacks.ImageGrids(digits[:32], tmp_path, condition=labels)
    data = {"x": digits[:32], "condition": labels}
    history = vae.fit(data, callbacks=[monitor, grids], verbose=0).history
    assert monitor.kl_by_group.shape == (3,)
    assert history["active_units"][0] == int(
        evaluation.active_units(vae, digits[:32], condition=labels).sum()
    )
    assert len(list(tmp_path.glob("*_0001.png"))) == 2


def test_a_time_limit_stops_within_an_epoch(make_vae, digits):
    vae = make_vae()
    vae.compile("adam", steps_per_execution=1)
    vae.fit(digits[:8], batch_size=8, verbose=0)  # compiled
    limit = callbacks.TimeLimit(minutes=1 / 60)
    batches = tf.data.Dataset.from_tensors(digits[:8]).repeat()
    history = vae.fit(batches, steps_per_epoch=10**7, epochs=5, callbacks=limit, verbose=0)
    assert limit.expired
    assert len(history.epoch) == 1
    assert 2 <= int(vae.state.step) < 10**6


def test_a_time_limit_is_not_reached_by_a_short_training(make_vae, digits):
    vae = make_vae()
    vae.compile("adam")
    limit = callbacks.TimeLimit(minutes=10)
    assert len(vae.fit(digits, epochs=2, callbacks=limit, verbose=0).epoch) == 2
    assert not limit.expired


def test_a_time_limit_must_be_positive():
    with pytest.raises(ValueError, match="`minutes` must be positive"):
        callbacks.TimeLimit(0)

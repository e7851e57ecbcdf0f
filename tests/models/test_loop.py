"""Many steps in one program: the numbers of Keras's own loop, whatever the data."""

import threading
import time
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.component import register
from keras_vae.data.arrays import Arrays
from keras_vae.models.loop import Loop
from keras_vae.models.passes import Pass
from keras_vae.models.sources import InBlocks, Stream
from tests.models.support import LOOPS, largest_difference, steps_by, weights_of


@pytest.fixture(autouse=True)
def xla_repays_at_once(request, monkeypatch):
    if "rule" not in request.node.name:
        monkeypatch.setattr("keras_vae.models.compiling._SECONDS_THAT_REPAY_XLA", 0)


def trained(make_vae, data, *, loop, parts=None, several=None, **options):
    """A model after `fit` by one of `LOOPS`, and its history."""
    keras.utils.set_random_seed(0)
    vae = make_vae(**(parts() if parts else {}))
    # As `jit_compile=True`, but for Keras's own functions.
    jit_compile = "auto" if loop == "xla" else False
    vae.compile("adam", jit_compile=jit_compile, steps_per_execution=several)
    with steps_by(loop):
        history = vae.fit(data, verbose=0, **options).history
    assert isinstance(vae.train_function, Loop) == (loop != "keras")
    return vae, history


def assert_same(make_vae, data, parts=None, **options):
    plain, plain_history = trained(make_vae, data, loop="keras", parts=parts, **options)
    for loop in ("tensorflow", "xla"):
        ours, history = trained(make_vae, data, loop=loop, parts=parts, **options)
        assert history.keys() == plain_history.keys()
        for name, values in plain_history.items():
            np.testing.assert_allclose(
                history[name], values, rtol=2e-5, atol=1e-5, err_msg=f"{loop}: {name}"
            )
        assert largest_difference(weights_of(ours), weights_of(plain)) < 2e-4
        for counter in ("step", "noise_counter"):
            assert int(getattr(ours.state, counter)) == int(getattr(plain.state, counter))
        assert int(ours.optimizer.iterations) == int(plain.optimizer.iterations)
    return ours, history


def test_a_hundred_steps_are_those_of_the_plain_loop(make_vae, digits):
    ours, history = assert_same(make_vae, digits[:640], batch_size=32, epochs=5)
    assert int(ours.state.step) == 100
    assert history["loss"][-1] < history["loss"][0] - 5


def test_other_noise_gives_other_numbers(make_vae, digits):
    """The test above can fail."""
    vae = make_vae()
    keras.utils.set_random_seed(1)
    other = make_vae(seed=17)
    other.set_weights(vae.get_weights())
    vae.state.noise_seed.assign(3)
    x = tf.constant(digits[:4])
    first, second = (
        tf.nest.flatten(m.draw_noise(x, m.state.key(training=True))) for m in (vae, other)
    )
    assert np.abs(first[0] - second[0]).max() > 0.1


@pytest.mark.parametrize(
    "steps_per_execution", [pytest.param(None, marks=pytest.mark.thorough), 3]
)
def test_batches_of_any_size(make_vae, digits, steps_per_execution):
    """One program sees those of the first one's size, Keras's loop the others."""
    sizes = [16, 16, 7, 16, 3, 16, 9]
    starts = np.cumsum([0, *sizes])

    def batches():
        for start, size in zip(starts, sizes):
            yield digits[start : start + size]

    signature = tf.TensorSpec([None, 8, 8, 1], tf.float32)
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(7))
    ours, _ = assert_same(make_vae, data, several=steps_per_execution, epochs=2)
    assert int(ours.state.step) == 14
    ours.fit(digits[:40], batch_size=20, verbose=0)  # and of another size in another pass
    assert ours.train_function.program.compiled.experimental_get_tracing_count() == 2


@pytest.mark.parametrize("samples", [pytest.param(1, marks=pytest.mark.thorough), 3])
def test_conditions_weights_and_missing_values(make_vae, digits, samples):
    x = np.where(np.random.default_rng(0).random(digits[:80].shape) < 0.1, np.nan, digits[:80])
    data = {"x": x.astype("float32"), "condition": np.arange(80) % 10}

    def parts():
        return {
            "condition_shape": (10,),
            "condition_dropout": 0.3,
            "missing": "nan",
            "objective": keras_vae.objectives.IWAE(samples),
        }

    weights = np.linspace(0.5, 1.5, 80)
    assert_same(make_vae, data, parts, sample_weight=weights, batch_size=20, epochs=2)


def test_validation_sees_all_of_its_data(make_vae, digits):
    options = {"validation_data": digits[:330], "batch_size": 16}
    assert_same(make_vae, digits[:64], **options)


def test_shuffled_training_that_is_resumed_is_bit_for_bit_the_same(make_vae, digits, tmp_path):
    def save(epoch, _):
        if epoch == 1:
            whole.save(tmp_path / "vae.keras")

    def fit(vae, **options):
        vae.fit(digits[:64], verbose=0, batch_size=16, epochs=4, **options)
        assert isinstance(vae.train_function, Loop)

    whole = make_vae()
    whole.compile("adam")
    fit(whole, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=save)])
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert largest_difference(weights_of(again), weights_of(whole)) > 1e-5
    fit(again, initial_epoch=2)
    assert largest_difference(weights_of(again), weights_of(whole)) == 0


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("given", [np.asarray, tf.constant], ids=["array", "tensor"])
@pytest.mark.parametrize("at_a_time", [2, 3])
def test_arrays_are_given_out_whole_once_in_a_pass(make_vae, shuffle, given, at_a_time):
    vae = make_vae()
    vae.compile("adam")
    ids = np.arange(77, dtype="float32").reshape(-1, 1, 1, 1) * np.ones([1, 8, 8, 1], "float32")
    arrays = Arrays(given(ids / 77), 16, at_a_time, vae.state.order if shuffle else None)
    source = InBlocks(3, arrays)
    orders = []
    for iterator in (iter(tf.data.Dataset.range(1)), iter(tf.data.Dataset.range(1))):
        seen = []
        for limit, number, rest in ((3, 3, 0), (1, 1, 0), (3, 0, 13), (3, 0, 0)):
            taken = source.take(iterator, limit)
            assert taken.number == number
            if number:
                assert taken.batches.shape[:2] == (3, 16)  # one shape, one program
                seen += [*tf.reshape(taken.batches[:number, :, 0, 0, 0], [-1]).numpy()]
            assert (0 if taken.other is None else len(taken.other)) == rest
            seen += [] if taken.other is None else [*taken.other[:, 0, 0, 0].numpy()]
        orders.append(np.round(np.array(seen) * 77).astype(int))
        vae.state.noise_counter.assign_add(5)  # as training would
    for order in orders:
        assert sorted(order) == list(range(77))
        assert (list(order) == list(range(77))) != shuffle
    assert (list(orders[0]) == list(orders[1])) != shuffle


@pytest.mark.parametrize("loop", LOOPS)
def test_arrays_on_disk_are_streamed(make_vae, digits, loop, tmp_path):
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", (70, 8, 8, 1))
    x[:] = digits[:70]
    weights = np.linspace(0.5, 1.5, 70)
    options = {"loop": loop, "sample_weight": weights, "batch_size": 20, "epochs": 2}
    options["shuffle"] = False  # arrays in memory have another order
    streamed, history = trained(make_vae, x, **options)
    loaded, expected = trained(make_vae, digits[:70], **options)
    assert largest_difference(weights_of(streamed), weights_of(loaded)) < 1e-5
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)


def fit_on_batches(make_vae, batches):
    """A model, its history, and where the loop took its batches from in each epoch."""
    sources = []
    look = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: sources.append(type(vae.train_function.source))
    )
    keras.utils.set_random_seed(0)
    vae = make_vae()
    vae.compile(keras.optimizers.Adam(1e-3), jit_compile=True, steps_per_execution=5)
    history = vae.fit(batches, epochs=3, verbose=0, callbacks=[look]).history
    return vae, history, sources


@pytest.mark.parametrize(
    "drop_remainder", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
def test_bits_are_those_of_the_data_set(make_vae, digits, monkeypatch, drop_remainder):
    """Blocks of 48 rows, executions of 5 batches: neither is a multiple of the other."""
    monkeypatch.setattr("keras_vae.data.drawing._ROWS", 50)

    def bits():
        options = {"first_epoch": 3, "drop_remainder": drop_remainder}
        return keras_vae.data.dynamic_binarization(digits[:115], 16, seed=5, **options)

    ours, history, sources = fit_on_batches(make_vae, bits())
    streamed, expected, others = fit_on_batches(make_vae, bits().prefetch(1))
    assert sources == [InBlocks] * 3
    assert others == [Stream] * 3
    assert int(ours.state.step) == (21 if drop_remainder else 24)
    assert history == expected
    assert largest_difference(weights_of(ours), weights_of(streamed)) == 0


@pytest.mark.parametrize("shuffle", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_runs_are_those_of_the_data_set(make_vae, digits, monkeypatch, shuffle):
    """A batch may have rows of two blocks, and arrays belong together."""
    monkeypatch.setattr("keras_vae.data.streaming._ROWS", 40)
    weights = np.linspace(0.5, 1.5, 115)

    def runs():
        arrays = (digits[:115], digits[1:116], weights)
        return keras_vae.data.stream(arrays, 16, seed=5, shuffle=shuffle)

    ours, history, sources = fit_on_batches(make_vae, runs())
    streamed, expected, others = fit_on_batches(make_vae, runs().prefetch(1))
    assert sources == [InBlocks] * 3
    assert others == [Stream] * 3
    assert history == expected
    assert largest_difference(weights_of(ours), weights_of(streamed)) == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("y", "`y` must be None where `x` gives batches"),
        ("sample_weight", "`sample_weights?` should not be passed"),
    ],
)
def test_what_a_data_set_cannot_be_given_with_is_refused(make_vae, digits, name, message):
    bits = keras_vae.data.dynamic_binarization(digits[:32], 16, seed=0)
    vae = make_vae()
    vae.compile("adam", jit_compile=True)
    with pytest.raises(ValueError, match=message):
        vae.fit(bits, **{name: digits[:32]}, verbose=0)


@pytest.mark.parametrize("loop", ["keras", "tensorflow"])
def test_iterators_end_in_threads_of_their_own(make_vae, digits, monkeypatch, loop):
    """TensorFlow may wait a second there, and the next epoch would wait with it."""
    ended_by, threads, begins = [], [], Pass.begins

    def watched(present, iterator):
        if begins(present, iterator):
            weakref.finalize(iterator, lambda: ended_by.append(threading.current_thread()))
            return True
        return False

    class Thread(threading.Thread):
        def start(self):
            threads.append(self)
            super().start()

    monkeypatch.setattr(Pass, "begins", watched)
    monkeypatch.setattr("keras_vae.models.passes.threading.Thread", Thread)
    batches = tf.data.Dataset.from_tensor_slices(digits[:64]).batch(16)
    trained(make_vae, batches, loop=loop, epochs=3)
    for thread in threads:
        thread.join()
    assert len(threads) == 3
    assert {*ended_by} == {*threads}


@pytest.mark.parametrize("loop", ["tensorflow", "xla"])
def test_nothing_is_traced_again_in_another_training(make_vae, digits, loop):
    vae, _ = trained(make_vae, digits[:64], loop=loop, batch_size=16)
    ours = vae.train_function
    for _ in range(2):
        vae.fit(digits[:64], batch_size=16, verbose=0)
    assert vae.train_function is ours
    for function in (ours.program.compiled, ours._draw, ours._read):
        assert function.experimental_get_tracing_count() == 1


def test_arrays_are_let_go_of(make_vae, digits):
    vae, _ = trained(make_vae, digits[:64], loop="tensorflow")
    assert isinstance(vae.train_function.source, Stream)


def test_metrics_and_activity_losses_are_kept(digits):
    def model(jit_compile):
        keras.utils.set_random_seed(0)
        body = keras.Sequential(
            [keras.layers.Flatten(), keras.layers.Dense(8, "relu", activity_regularizer="l2")]
        )
        vae = keras_vae.VAE(
            body,
            keras_vae.networks.MLP([8]),
            keras_vae.posteriors.DiagonalNormal(2),
            likelihood=keras_vae.likelihoods.Bernoulli(),
            event_shape=(8, 8, 1),
        )
        vae.compile("adam", metrics=[keras.metrics.MeanSquaredError()], jit_compile=jit_compile)
        return vae.fit(digits[:96], shuffle=False, verbose=0, epochs=2).history

    plain, ours = model(False), model(True)
    assert plain.keys() == ours.keys() >= {"mean_squared_error", "loss", "elbo"}
    assert plain["loss"][0] > -plain["elbo"][0] + 1e-3  # the penalty is there
    for name, values in plain.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-5, err_msg=name)


@register("tests")
class NotForXLA(keras_vae.likelihoods.Bernoulli):
    """Calls Python, which XLA cannot compile."""

    def log_prob(self, params, x, mask=None, context=None):
        one = tf.numpy_function(lambda: np.float32(1), [], tf.float32)
        return super().log_prob(params, x, mask, context) * tf.ensure_shape(one, [])


def test_what_xla_cannot_compile_is_run_without_it(make_vae, digits):
    vae = make_vae(likelihood=NotForXLA())
    vae.compile("adam")
    with pytest.warns(UserWarning, match="XLA cannot compile this model"):
        vae.fit(digits[:96], epochs=2, verbose=0)
    assert isinstance(vae.train_function, Loop)
    assert int(vae.state.step) == 6

    vae.compile("adam", jit_compile=True)
    with pytest.raises(ValueError, match=r"refuses the operation PyFunc .* in log_prob"):
        vae.fit(digits[:96], verbose=0)


@register("tests")
class Asserts(keras_vae.likelihoods.Bernoulli):
    """Fails as an op of the user's own may."""

    def log_prob(self, params, x, mask=None, context=None):
        with tf.control_dependencies([tf.debugging.assert_negative(context.step)]):
            return super().log_prob(params, x, mask, context)


def test_errors_of_ops_are_not_taken_for_xla_s(make_vae, digits, recwarn):
    vae = make_vae(likelihood=Asserts())
    vae.compile("adam", jit_compile=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="assertion failed"):
        vae.fit(digits[:96], verbose=0)
    assert not [w for w in recwarn if "XLA" in str(w.message)]


def layers(*between):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(8), *between])


@pytest.mark.parametrize(
    ("encoder", "options", "steps", "under_xla"),
    [
        (lambda: keras_vae.networks.MLP([8]), {}, 2500, True),
        (lambda: keras_vae.networks.ResidualMLP(8, blocks=1), {}, 2500, True),
        (lambda: layers(keras.layers.LayerNormalization()), {}, 2500, True),
        (lambda: keras_vae.networks.MLP([1000, 1000]), {}, 1500, True),
        (lambda: keras_vae.networks.MLP([8]), {}, 1500, False),
        (lambda: keras_vae.networks.MLP([8]), {}, 0, False),
        (lambda: keras_vae.networks.MLP([8]), {"jit_compile": False}, 2500, False),
        (lambda: keras_vae.networks.MLP([8]), {"jit_compile": True}, 1, True),
        (lambda: keras_vae.networks.MLP([8], dropout=0.1), {}, 2500, False),
        (lambda: keras_vae.networks.MLP([8], dtype="mixed_bfloat16"), {}, 2500, False),
        (lambda: keras_vae.networks.ConvEncoder([4]), {}, 2500, False),
        (lambda: layers(keras.layers.Lambda(tf.sin, output_shape=(8,))), {}, 2500, False),
    ],
)
def test_rule_for_xla(make_vae, encoder, options, steps, under_xla):
    vae = make_vae(encoder=encoder())
    vae.compile("adam", **options)
    vae.choose_loop(steps, 32)
    vae.make_train_function()
    assert vae.train_function.program.xla == under_xla
    assert vae.steps_per_execution == (50 if under_xla else 10)


def test_eager_steps_are_keras_s(make_vae):
    vae = make_vae()
    vae.compile("adam", run_eagerly=True)
    vae.choose_loop(2500, 32)
    vae.make_train_function()
    assert not isinstance(vae.train_function, Loop)
    assert vae.steps_per_execution == 1


@pytest.mark.parametrize(
    ("data", "options", "work"),
    [
        (lambda x: x, {}, (4, 32)),
        (lambda x: x, {"batch_size": 20, "epochs": 3}, (12, 20)),
        (lambda x: tf.data.Dataset.from_tensor_slices(x).batch(20), {"epochs": 3}, (12, 32)),
        (
            lambda x: tf.data.Dataset.from_tensor_slices(x).batch(16, drop_remainder=True),
            {"epochs": 2},
            (8, 16),
        ),
        (
            lambda x: tf.data.Dataset.from_tensor_slices(x).batch(20).repeat(),
            {"steps_per_epoch": 2, "epochs": 5},
            (10, 32),
        ),
    ],
)
def test_steps_are_counted(make_vae, digits, data, options, work, monkeypatch):
    vae = make_vae()
    vae.compile("adam")
    counted = []
    monkeypatch.setattr(vae, "choose_loop", lambda *work: counted.append(work))
    monkeypatch.setattr(keras.Model, "fit", lambda *args, **kwargs: None)
    vae.fit(data(digits[: 100 if "epochs" not in options else 64]), **options)
    assert counted == [work]


def test_own_train_step_is_the_one_that_runs(digits):
    @register("tests")
    class Own(keras_vae.VAE):
        def train_step(self, data):
            return {**super().train_step(data), "own": tf.constant(3.0)}

    vae = Own(
        keras_vae.networks.MLP([8]),
        keras_vae.networks.MLP([8]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(8, 8, 1),
    )
    vae.compile("adam", jit_compile=True)
    vae.fit(digits[:64], verbose=0)
    assert not isinstance(vae.train_function, Loop)


def test_steps_of_one_program_fit_into_memory(make_vae):
    vae = make_vae()
    vae.compile("adam", jit_compile=True)
    for rows, several in ((32, 50), (2**18 // 64, 50), (2**18, 1)):
        vae.choose_loop(100, rows)
        assert vae.steps_per_execution == several
    vae.compile("adam", jit_compile=True, steps_per_execution=7)
    vae.choose_loop(100, 32)
    assert vae.steps_per_execution == 7
    assert vae.get_compile_config()["steps_per_execution"] == 7


def test_evaluation_under_xla_compiles_in_seconds(make_vae):
    images = np.random.default_rng(0).integers(0, 2, [100, 28, 28, 1]).astype("uint8")
    vae = make_vae(event_shape=(28, 28, 1))
    vae.compile("adam", jit_compile=True)
    began = time.monotonic()
    vae.evaluate(images, batch_size=100, verbose=0)
    # About 2 s; 147 s when the first bad number was found by slices at places not known before.
    assert time.monotonic() - began < 60

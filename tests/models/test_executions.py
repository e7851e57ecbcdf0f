"""Exactly the steps that were asked for, whatever the source and the loop."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.component import register
from keras_vae.models.given import Given
from tests.models.support import LOOPS, compile_for, largest_difference, steps_by, weights_of

ROWS = 8


@pytest.fixture(scope="module", params=[*LOOPS, "eager"])
def counted(request):
    """A compiled model and how to run its loop, shared by the tests of a module."""
    loop = request.param
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(
        encoder=keras_vae.networks.MLP([4]),
        decoder=keras_vae.networks.MLP([4]),
        posterior=keras_vae.posteriors.DiagonalNormal(latent_dim=2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(64,),
        seed=1,
    )
    if loop == "eager":
        vae.compile("adam", run_eagerly=True, steps_per_execution=3)
    elif loop == "keras":
        vae.compile("adam", jit_compile=False)  # XLA has steps of one call each
    else:
        compile_for(vae, loop)
    return vae, loop


@pytest.fixture(scope="module")
def flat(digits):
    return digits[:80].reshape(-1, 64)


class Batches(keras.utils.PyDataset):
    """Ten batches."""

    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // ROWS

    def __getitem__(self, index):
        return (self.x[index * ROWS : (index + 1) * ROWS],)


def endless(x):
    while True:
        for start in range(0, len(x), ROWS):
            yield (x[start : start + ROWS],)


def on_disk(x, tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "float32", x.shape)
    array[:] = x
    return array


def sparse(x):
    rows, columns = np.nonzero(x)
    starts = np.searchsorted(rows, np.arange(len(x) + 1))
    return keras_vae.data.SparseRows(x[rows, columns], columns, starts, x.shape)


def batched(x):
    """Batches that TensorFlow does not tune: to end a pass it would wait, asleep."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(x).batch(ROWS).with_options(options)


SOURCES = {
    "arrays": lambda x, _: x,
    "repeated": lambda x, _: batched(x).repeat(),
    "data set": lambda x, _: batched(x),
    "generator": lambda x, _: endless(x),
    "PyDataset": lambda x, _: Batches(x),
    "memmap": on_disk,
    "sparse": lambda x, _: sparse(x),
    "bits": lambda x, _: keras_vae.data.dynamic_binarization(x, ROWS, seed=0),
}


class Seen(keras.callbacks.Callback):
    """The numbers of the batches that began and ended, by epoch."""

    def __init__(self):
        super().__init__()
        self.train, self.test = [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.train.append([])

    def on_train_batch_begin(self, batch, logs=None):
        self.train[-1].append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.train[-1].append(batch)

    def on_test_begin(self, logs=None):
        self.test.append([])

    def on_test_batch_begin(self, batch, logs=None):
        self.test[-1].append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.test[-1].append(batch)


def fit(counted, data, **options):
    """Updates that a `fit` made, and the batches that callbacks saw."""
    vae, loop = counted
    seen, before = Seen(), int(vae.optimizer.iterations)
    if not isinstance(data, (tf.data.Dataset, keras.utils.PyDataset)) and hasattr(
        data, "shape"
    ):
        options["batch_size"] = ROWS
    with steps_by(loop):
        history = vae.fit(data, verbose=0, callbacks=[seen], **options).history
    updates = int(vae.optimizer.iterations) - before
    assert np.isfinite(history["loss"]).all()
    return updates, seen


@pytest.mark.parametrize("source", SOURCES)
def test_steps_of_every_source(counted, flat, source, tmp_path):
    if counted[1] == "eager" and source not in ("arrays", "repeated", "generator"):
        pytest.skip("its loop is that of the others; eager steps are slow")
    data = SOURCES[source](flat, tmp_path)
    updates, seen = fit(counted, data, steps_per_epoch=4, epochs=3, initial_epoch=1)
    assert updates == 8
    ends = {"eager": [0, 2, 3, 3]}.get(counted[1], [0, 3])
    assert seen.train == [ends, ends]
    assert int(counted[0].state.step) == int(counted[0].optimizer.iterations)


@pytest.mark.filterwarnings("ignore:.*ran out of data.*:UserWarning")
def test_steps_beyond_the_data_end_with_them(counted, flat):
    updates, seen = fit(counted, batched(flat), steps_per_epoch=12, epochs=2)
    assert updates == 20  # Keras begins anew in the second epoch
    assert [numbers[-1] for numbers in seen.train] == [9, 9]


def test_validation_evaluation_and_prediction_take_their_steps(counted, flat):
    """Those after them are not finite."""
    vae, loop = counted
    x = flat.copy()
    x[3 * ROWS :] = np.nan
    _, seen = fit(
        counted, batched(flat), validation_data=batched(x), validation_steps=3, epochs=2
    )
    assert [numbers[-1] for numbers in seen.test] == [2, 2]
    with steps_by(loop):
        seen = Seen()
        for data in (batched(x), batched(x).repeat()):
            logs = vae.evaluate(data, steps=3, verbose=0, return_dict=True, callbacks=[seen])
            assert np.isfinite(logs["loss"])
            assert seen.test[-1][-1] == 2
        with pytest.raises(ValueError, match="evaluation batch 3 is not finite"):
            vae.evaluate(batched(x), verbose=0)
        assert vae.predict(batched(flat), steps=3, verbose=0).shape == (3 * ROWS, 64)
        assert vae.predict(flat, batch_size=ROWS, verbose=0).shape == flat.shape


def test_limit_of_the_process_is_kept(counted, flat):
    keras.config.set_max_steps_per_epoch(3)
    try:
        with pytest.warns(UserWarning, match="Limiting steps_per_epoch to 3"):
            assert fit(counted, batched(flat))[0] == 3
    finally:
        keras.config.set_max_steps_per_epoch(None)


def trained(make_vae, x, loop, several):
    """Epochs of 5 steps over passes of 12: the passes go on from one epoch to the next."""
    keras.utils.set_random_seed(0)
    vae = make_vae(objective=keras_vae.objectives.ELBO(keras_vae.schedules.LinearWarmup(20)))
    rate = keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.1)
    jit_compile = loop == "xla" and "auto"
    vae.compile(
        keras.optimizers.Adam(rate), jit_compile=jit_compile, steps_per_execution=several
    )
    data = batched(x[: 12 * ROWS]).repeat(3)
    with steps_by(loop):
        history = vae.fit(data, steps_per_epoch=5, epochs=6, verbose=0).history
    return vae, history


@pytest.fixture(scope="module")
def by_single_steps(make_vae, digits):
    return trained(make_vae, digits, "keras", 1)


@pytest.mark.parametrize(
    ("loop", "several"),
    [
        ("keras", 4),
        ("tensorflow", 4),
        pytest.param("tensorflow", None, marks=pytest.mark.thorough),
        pytest.param("xla", 4, marks=pytest.mark.thorough),
        ("xla", None),
    ],
)
def test_executions_are_single_steps(make_vae, digits, by_single_steps, loop, several):
    plain, expected = by_single_steps
    ours, history = trained(make_vae, digits, loop, several)
    assert int(ours.optimizer.iterations) == int(ours.state.step) == 30
    for name, values in expected.items():
        np.testing.assert_allclose(history[name], values, rtol=2e-5, atol=1e-5, err_msg=name)
    assert largest_difference(weights_of(ours), weights_of(plain)) < 2e-4
    assert ours.steps_per_execution == (several or 10)


def test_part_of_an_execution_is_not_traced_again(make_vae, digits):
    vae = make_vae()
    vae.compile("adam", jit_compile=False, steps_per_execution=4)
    data = batched(digits[:96]).repeat()
    options = {"validation_data": data, "verbose": 0}
    for steps in (6, 3, 9):
        vae.fit(data, steps_per_epoch=steps, validation_steps=steps, **options)
    assert vae.train_function.program.compiled.experimental_get_tracing_count() == 1
    assert vae.test_function._loop.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_learned_after_a_bad_batch(make_vae, digits, loop):
    """The good batches that follow it in its execution are left alone."""
    keras.utils.set_random_seed(0)
    vae = make_vae()
    vae.compile("adam", jit_compile=loop == "xla" and "auto", steps_per_execution=6)
    x = digits[:96].copy()
    x[20] = np.nan
    with steps_by(loop), pytest.raises(ValueError, match="data of training step 2 is not"):
        vae.fit(batched(x), steps_per_epoch=11, verbose=0)
    assert int(vae.optimizer.iterations) == int(vae.state.step) == 2


def test_batches_larger_than_the_data_are_the_data(make_vae, digits):
    """Memory is taken for the rows there are."""
    vae = make_vae()
    vae.compile("adam")
    options = {"batch_size": 10**9, "verbose": 0}
    vae.fit(digits[:40], validation_data=digits[:40], epochs=2, **options)
    assert int(vae.state.step) == 2
    vae.fit(digits[:40], steps_per_epoch=1, **options)
    assert np.isfinite(vae.evaluate(digits[:40], **options)).all()
    assert vae.predict(digits[:40], **options).shape == (40, 8, 8, 1)


def test_executions_larger_than_memory_are_run_in_parts(make_vae, digits, monkeypatch):
    monkeypatch.setattr("keras_vae.models.compiling._BYTES_IN_ONE_PROGRAM", 4 * 8 * 67 * 2)
    vae = make_vae()
    vae.compile("adam", steps_per_execution=10**6)
    seen = Seen()
    vae.fit(digits[:80], batch_size=8, verbose=0, callbacks=[seen])
    assert vae.train_function.at_a_time == 2
    assert seen.train == [[0, 9]]
    assert int(vae.state.step) == 10


class EndlessLoader:
    """As PyTorch's loader of a stream: its length is there to be asked, and raises."""

    def __len__(self):
        raise TypeError("object of type 'Stream' has no len()")


def test_loaders_need_not_know_their_length():
    assert Given(EndlessLoader()).steps_of_epoch(0, None) == (0, 32)
    assert Given(endless(np.zeros(8))).steps_of_epoch(0, 5) == (0, 5)
    assert Given([0] * 7).steps_of_epoch(0, 5) == (7, 5)


@pytest.mark.parametrize("steps", [0, -1, 1.5, "auto", True])
def test_steps_per_execution_must_be_a_positive_integer(make_vae, steps):
    with pytest.raises(ValueError, match="`steps_per_execution` must be an integer >= 1"):
        make_vae().compile("adam", steps_per_execution=steps)


def test_callback_lists_are_left_as_they_were(make_vae, digits):
    vae, seen = make_vae(), Seen()
    vae.compile("adam")
    callbacks = keras.callbacks.CallbackList([seen], add_history=True, model=vae)
    for _ in range(2):
        history = vae.fit(digits[:64], verbose=0, callbacks=callbacks)
    assert callbacks.callbacks[0] is seen
    assert len(callbacks.callbacks) == 2
    assert len(history.history["loss"]) == 2
    assert seen.train == [[0, 1], [0, 1]]


def test_progress_bar_ends_at_its_target(make_vae, digits, capsys):
    vae = make_vae()
    vae.compile("adam")
    vae.fit(digits[:160], batch_size=8, steps_per_epoch=13, verbose=2)
    vae.evaluate(digits[:160], batch_size=8, verbose=2)
    out = capsys.readouterr().out
    assert "13/13" in out
    assert "20/20" in out


@register("tests")
class NotForXla(keras.layers.Layer):
    """Calls Python, which XLA cannot compile."""

    def call(self, x):
        return x * tf.ensure_shape(tf.numpy_function(lambda: np.float32(1), [], tf.float32), [])


def refused_by_xla(make_vae, jit_compile):
    body = [keras.layers.Flatten(), keras.layers.Dense(8), NotForXla(name="odd_one")]
    vae = make_vae(encoder=keras.Sequential(body))
    vae.compile("adam", jit_compile=jit_compile)
    return vae


def run(vae, what, digits):
    if what == "validation":
        return vae.fit(digits[:64], validation_data=digits[:64], verbose=0)
    return getattr(vae, what)(digits[:64], verbose=0)


@pytest.mark.parametrize("what", ["fit", "evaluate", "predict"])
def test_insisting_on_xla_names_what_it_refuses(make_vae, digits, what):
    vae = refused_by_xla(make_vae, True)
    with pytest.raises(ValueError, match=r"operation PyFunc of \S*odd_one.*in call.*'auto'"):
        run(vae, what, digits)


@pytest.mark.parametrize("what", ["validation", "evaluate", "predict"])
def test_everything_runs_without_xla_where_it_refuses(make_vae, digits, what):
    vae = refused_by_xla(make_vae, "auto")
    vae.jit_compile = True  # what Keras resolves "auto" to on a GPU
    with pytest.warns(UserWarning, match="XLA cannot compile this model"):
        run(vae, what, digits)
    for again in ("evaluate", "predict"):  # a second warning would be an error
        run(vae, again, digits)

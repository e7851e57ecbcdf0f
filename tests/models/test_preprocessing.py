"""A model with a preprocessor: raw data in and out, and otherwise the model without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods, networks, posteriors, preprocessors

SHAPE = (4, 4, 1)


def grey(rows=64, seed=0):
    """Raw 8-bit images without a channel axis."""
    return np.random.default_rng(seed).integers(0, 256, size=(rows, 4, 4)).astype("uint8")


def unit(raw):
    """The same as events in [0, 1]."""
    return (raw / 255).astype("float32")[..., None]


def from_grey():
    return preprocessors.Chain(
        [preprocessors.Rescaling(raw_dtype="uint8"), preprocessors.Reshape((4, 4))]
    )


def make(preprocessor=None, likelihood=None, **options):
    keras.utils.set_random_seed(0)
    options = {"event_shape": SHAPE, **options}
    model = keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihood or likelihoods.Bernoulli(),
        preprocessor=preprocessor,
        seed=3,
        **options,
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_training_is_that_of_the_model_on_preprocessed_data():
    raw, plain = make(from_grey()), make()
    x, val = grey(), grey(32, seed=1)
    first = raw.fit(x, validation_data=(val,), epochs=3, batch_size=16, verbose=0).history
    x, val = unit(x), unit(val)
    second = plain.fit(x, validation_data=(val,), epochs=3, batch_size=16, verbose=0).history
    assert first.keys() == second.keys()
    for name, values in second.items():
        close(first[name], values)


def test_methods_take_and_return_raw_data():
    raw, plain = make(from_grey()), make()
    x = grey(5)
    close(raw.encode(x), plain.encode(unit(x)))
    close(raw.encode(x, sample=True, seed=1), plain.encode(unit(x), sample=True, seed=1))
    z = plain.encode(unit(x))
    for mine, theirs in [
        (raw.decode(z), plain.decode(z)),
        (raw.reconstruct(x), plain.reconstruct(unit(x))),
        (raw.predict(x, verbose=0), plain.reconstruct(unit(x))),
        (
            raw.generate(5, seed=2, sample=True),
            plain.generate(5, seed=2, sample=True),
        ),
    ]:
        assert mine.shape == (5, 4, 4)
        close(mine, 255 * theirs[..., 0])
    close(raw.elbo(x, seed=0), plain.elbo(unit(x), seed=0))
    close(raw.posterior_of(x).mean(), plain.posterior_of(unit(x)).mean())
    close(raw.encoder_model()(x), plain.encode(unit(x)))
    close(raw.decoder_model()(z), raw.decode(z))


@pytest.fixture(scope="module")
def loss_of_plain():
    """The loss of the model without a preprocessor, on the data of the next test."""
    options = {"epochs": 1, "batch_size": 16, "shuffle": False, "verbose": 0}
    return make().fit(unit(grey(32)), **options).history["loss"]


@pytest.mark.parametrize("given", ["dataset", "PyDataset", "memmap", "pair"])
def test_all_kinds_of_data_are_preprocessed(given, loss_of_plain, tmp_path):
    x = grey(32)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return (x[16 * index : 16 * index + 16],)

    on_disk = np.memmap(tmp_path / "x", dtype="uint8", mode="w+", shape=x.shape)
    on_disk[:] = x
    data = {
        "dataset": lambda: (tf.data.Dataset.from_tensor_slices(x).batch(16),),
        "PyDataset": lambda: (Batches(),),
        "memmap": lambda: (on_disk,),
        "pair": lambda: (x, x),
    }[given]()
    model = make(from_grey())
    options = {} if given in ("dataset", "PyDataset") else {"batch_size": 16}
    history = model.fit(*data, epochs=1, shuffle=False, verbose=0, **options).history
    close(history["loss"], loss_of_plain)


def test_preprocessor_learns_from_training_data_once(tmp_path):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 3)) * [1.0, 10.0, 0.1] + [5.0, 0.0, -3.0]).astype("float32")
    x[::7, 1] = np.nan
    model = make(
        preprocessors.Standardization(),
        likelihoods.Normal("learned"),
        event_shape=(3,),
        missing="nan",
    )
    model.fit(x, epochs=1, verbose=0)
    standard = model.preprocessor
    close(standard.centre, np.nanmean(x, axis=0))
    close(standard.spread, np.nanstd(x, axis=0))
    model.fit(10 * x, epochs=1, verbose=0)
    close(standard.centre, np.nanmean(x, axis=0))
    filled = model.impute(x, seed=0)
    np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert np.all(np.abs(filled[::7, 1]) < 60)  # in raw units, about their mean
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.encode(x), model.encode(x))
    close(loaded.with_prior(model.prior).encode(x), model.encode(x))


def test_what_parts_see_before_training_is_preprocessed():
    prior = keras_vae.priors.VampPrior(4)
    model = make(from_grey(), prior=prior)
    model.fit(grey(), epochs=1, verbose=0)
    columns = likelihoods.Columns({"a": likelihoods.Normal(), "b": likelihoods.Normal()})
    table = make(preprocessors.Rescaling(0.01), columns, event_shape=(2,))
    raw = np.random.default_rng(0).normal(500.0, 100.0, size=(100, 2))
    table.fit(raw, epochs=1, verbose=0)
    close(columns.shift, (raw / 100).mean(axis=0))


@pytest.mark.parametrize(
    "likelihood",
    [likelihoods.Normal, pytest.param(likelihoods.Laplace, marks=pytest.mark.thorough)],
)
def test_raw_adds_the_log_determinant(likelihood):
    model = make(preprocessors.Logit(0, 256), likelihood())
    x = grey(6)[..., None].astype("float32")
    by_hand = model.preprocessor.log_det(tf.constant(x))
    for method in (model.elbo, model.log_marginal):
        options = {"samples": 10, "seed": 4}
        close(method(x, raw=True, **options) - method(x, **options), by_hand)
    plain = make(None, likelihood())
    np.testing.assert_array_equal(
        plain.elbo(x, seed=0, raw=True), plain.elbo(x, seed=0, raw=False)
    )


def uninformed(likelihood, preprocessor, event_shape):
    """A model of one element whose q(z|x) is the prior, and whose p(x|z) is that of any z."""
    model = make(preprocessor, likelihood, event_shape=event_shape)
    scale = np.log(np.expm1(1 - keras_vae.numerics.SCALE_FLOOR))
    for head, bias in ((model._to_posterior, [0, 0, scale, scale]), (model._to_likelihood, [])):
        layer = head.get_layer("parameters")
        layer.kernel.assign(0 * layer.kernel)
        given = np.random.default_rng(0).normal(size=layer.bias.shape)
        layer.bias.assign(bias or given)
    return model


@pytest.mark.parametrize(
    ("likelihood", "preprocessor", "raw"),
    [
        (
            likelihoods.DiscretizedLogistic(2),
            preprocessors.Rescaling(1 / 255, raw_dtype="uint8"),
            np.arange(256.0),
        ),
        (
            likelihoods.DiscretizedLogistic(2),
            preprocessors.MuLaw(raw_dtype="int16"),
            np.arange(-32768.0, 32768.0),
        ),
        (
            likelihoods.DiscretizedLogistic(1, levels=16),
            preprocessors.Rescaling(1 / 255, raw_dtype="uint8"),
            np.arange(256.0),
        ),
        (likelihoods.Poisson(), preprocessors.Rescaling(0.5), 2 * np.arange(60.0)),
        (likelihoods.Bernoulli(), preprocessors.Rescaling(1 / 255), np.array([0.0, 255.0])),
    ],
    ids=["grey", "sound", "coarse", "counts", "bits"],
)
def test_probabilities_of_raw_data_add_up_to_one(likelihood, preprocessor, raw):
    model = uninformed(likelihood, preprocessor, (1,))
    options = {"samples": 2, "batch_size": 4096, "seed": 0, "raw": True}
    for method in (model.log_marginal, model.elbo):
        log_p = method(raw[:, None].astype("float32"), **options)
        np.testing.assert_allclose(np.exp(log_p.astype("float64")).sum(), 1.0, atol=0.01)


def test_of_tables_the_densities_alone_are_stretched():
    columns = {"height": likelihoods.Normal(), "colour": likelihoods.Categorical(3)}
    model = make(
        preprocessors.Chain([preprocessors.Identity(), Halved()]),
        likelihoods.Columns(columns),
        event_shape=(2,),
    )
    x = np.array([[3.0, 2.0], [-5.0, 0.0]], "float32")
    difference = model.elbo(x, seed=0, raw=True) - model.elbo(x, seed=0)
    np.testing.assert_allclose(difference, np.log([0.5, 0.5]), rtol=1e-4)


@keras.saving.register_keras_serializable("tests")
class Halved(preprocessors.Preprocessor):
    """Halve the first column."""

    factors = (0.5, 1.0)

    def forward(self, x):
        return x * np.array(self.factors, "float32")

    def inverse(self, y):
        return y / np.array(self.factors, "float32")

    def elementwise_log_det(self, x):
        return tf.zeros_like(x) + np.log(np.array(self.factors, "float32"))


@keras.saving.register_keras_serializable("tests")
class Turned(Halved):
    """One whose log-determinant is known as a whole only."""

    def log_det(self, x):
        return tf.zeros_like(x[:, 0]) + np.log(np.float32(0.5))

    def elementwise_log_det(self, x):
        return preprocessors.Preprocessor.elementwise_log_det(self, x)


def test_raw_is_refused_where_raw_data_have_no_probability_of_their_own():
    sound = make(preprocessors.MuLaw(), likelihoods.DiscretizedLogistic(1), event_shape=(2,))
    x = np.array([[0.0, 0.0], [0.0, 3.0]])
    assert np.isfinite(sound.elbo(x)).all()
    with pytest.raises(ValueError, match=r"raw=True needs raw data that a Discretized.* row 0"):
        sound.elbo(x, raw=True)
    bits = make(from_grey())
    with pytest.raises(ValueError, match=r"needs raw data that a Bernoulli .* Leave raw=False"):
        bits.log_marginal(grey(3), raw=True, samples=2)
    columns = {"height": likelihoods.Normal(), "colour": likelihoods.Categorical(3)}
    table = make(Turned(), likelihoods.Columns(columns), event_shape=(2,))
    with pytest.raises(ValueError, match=r"Turned does not say how much it stretches each"):
        table.elbo(np.ones([2, 2]), raw=True)


def test_metrics_are_of_raw_data():
    model = make(from_grey())
    model.compile("adam", metrics=["mae"])
    x = grey(32)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    close(logs["mae"], np.mean(np.abs(model.reconstruct(x) - x)))


def test_sequences_are_written_and_then_restored():
    rng = np.random.default_rng(0)
    raw = rng.normal(100.0, 20.0, size=(20, 6, 1)).astype("float32")
    decoder = networks.RecurrentDecoder([8], autoregressive=True)
    encoder = networks.RecurrentEncoder([8])
    model = keras_vae.VAE(
        encoder,
        decoder,
        posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Normal(),
        event_shape=(6, 1),
        preprocessor=preprocessors.Standardization(),
    )
    model.compile("adam")
    model.fit(raw, epochs=2, verbose=0)
    generated = model.generate(10, seed=0)
    assert generated.shape == (10, 6, 1)
    assert np.all(np.abs(generated - 100) < 100)


def test_plots_of_raw_images(tmp_path):
    model = make(from_grey())
    x = grey(20)
    for path in (
        keras_vae.plots.overview(model, x, path=tmp_path / "a.png"),
        keras_vae.plots.reconstructions(model, x, path=tmp_path / "b.png"),
        keras_vae.plots.samples(model, 10, path=tmp_path / "c.png"),
    ):
        assert path.stat().st_size > 1000
    shown = keras_vae.plots.images.grey(model, x)
    close(shown, unit(x))


def test_support_is_that_of_preprocessed_data():
    model = make(preprocessors.Rescaling(0.1))
    x = grey(4)[..., None]
    with pytest.raises(ValueError, match=r"`x, preprocessed,` has values outside the support"):
        model.fit(x)
    with pytest.raises(ValueError, match=r"`x, preprocessed,` has values outside"):
        model.elbo(x)
    model = make(preprocessors.Logit(), likelihoods.Normal())
    with pytest.raises(ValueError, match=r"`x, preprocessed,` must be finite"):
        model.fit(x)


def test_shape_is_that_of_raw_data():
    model = make(from_grey())
    with pytest.raises(ValueError, match=r"`x` must have shape \(batch, 4, 4\)"):
        model.fit(unit(grey()))
    with pytest.raises(ValueError, match=r"`x` must have shape \(batch, 4, 4\)"):
        model.encode(unit(grey()))


def test_data_are_checked_before_the_preprocessor_learns():
    model = make(preprocessors.Standardization(), likelihoods.Normal())
    x = unit(grey())
    x[3, 2, 1, 0] = np.nan
    with pytest.raises(
        ValueError, match=r"must be finite. Received: nan at index \(3, 2, 1, 0"
    ):
        model.fit(x)
    assert np.all(model.preprocessor.centre == 0)


def test_wrong_preprocessors_are_refused():
    with pytest.raises(TypeError, match="`preprocessor` must be one of"):
        make(keras.layers.Rescaling(0.1))
    with pytest.raises(ValueError, match="which raw data of type uint8 cannot hold"):
        make(from_grey(), missing="nan")
    with pytest.raises(ValueError, match="as many elements as events"):
        make(preprocessors.Reshape((3, 3)))
    used = preprocessors.Standardization()
    make(used)
    with pytest.raises(ValueError, match="`preprocessor` was built for events of shape"):
        make(used, event_shape=(3,))
    with pytest.raises(ValueError, match="`axis` must be axes of an example"):
        make(preprocessors.Standardization(5))
    with pytest.raises(ValueError, match="`scale` must be a finite number other than 0"):
        preprocessors.Rescaling(0.0)
    with pytest.raises(ValueError, match="`low` must be below `high`"):
        preprocessors.Logit(1.0, 0.0)
    with pytest.raises(ValueError, match="`margin` must be between"):
        preprocessors.Logit(margin=0.5)
    with pytest.raises(ValueError, match="`raw_dtype` must be a type of"):
        preprocessors.Rescaling(raw_dtype="str")
    with pytest.raises(TypeError, match="`parts` must be preprocessors"):
        preprocessors.Chain([keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="Received: none"):
        preprocessors.Chain([])


def test_loop_in_one_program_gives_the_same():
    # XLA for the preprocessor too; noise and batches are those of Keras's loop.
    x = grey(128)
    histories = []
    for jit in (True, False):
        model = make(from_grey())
        model.compile("adam", jit_compile=jit, steps_per_execution=4)
        histories.append(model.fit(x, epochs=2, shuffle=False, verbose=0).history)
    for name, values in histories[0].items():
        np.testing.assert_allclose(histories[1][name], values, rtol=2e-5, atol=2e-5)

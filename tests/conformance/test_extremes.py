"""Values at the ends of float32: a log-density is a number or -inf, never NaN."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf

import keras_vae
from keras_vae import likelihoods
from keras_vae.terms import Context
from tests.conformance.cases import cases_of

every_likelihood = pytest.mark.parametrize("case", cases_of("likelihoods"))
LARGEST = float(np.finfo("float32").max)
SIZES = (0.0, 1e-38, 1e-30, 0.5, 1 - 2**-24, 1.0, 2.0, 7.0, 1e5, 1e20, 1e25, 1e30, LARGEST)
VALUES = np.unique([sign * size for size in SIZES for sign in (-1, 1)]).astype("float32")
EMITTED = (-1e30, -1e10, -1e4, -60.0, -1.0, 0.0, 1.0, 60.0, 1e4, 1e10, 1e30)


def extreme_rows(likelihood, shape):
    """Rows with one extreme value each, in its support."""
    if shape == (1,):
        rows = VALUES[:, None]
    else:  # a table: each column in turn
        usual = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0], "float32")
        rows = np.repeat(usual[None], len(VALUES) * len(usual), axis=0)
        for column in range(len(usual)):
            rows[column * len(VALUES) : (column + 1) * len(VALUES), column] = VALUES
    return np.stack([row for row in rows if not likelihood.violations(tf.constant(row[None]))])


@every_likelihood
@pytest.mark.parametrize("training", [False, True])
def test_log_density_of_extreme_values_is_never_nan(case, training):
    shape = case.event_shape if len(case.event_shape) == 1 else (1,)
    likelihood = case.make_built(shape)
    x = extreme_rows(likelihood, shape)
    (size,) = likelihood.params_shape(shape)
    rng = np.random.default_rng(0)
    emitted = [np.full(size, value) for value in EMITTED]
    emitted += [rng.choice(EMITTED, size) for _ in range(40)]
    params = tf.constant(np.repeat(np.array(emitted)[:, None], len(x), axis=1), tf.float32)
    log_prob = likelihood.log_prob(params, tf.constant(x), None, Context(training=training))
    assert len(x) >= 2
    assert not np.isnan(log_prob).any()
    assert not np.any(log_prob == np.inf)


def log_prob_of(likelihood, params, values):
    likelihood.build((1,))
    x = tf.constant(values, tf.float32)[:, None]
    return likelihood.log_prob(tf.constant([params], tf.float32)[None], x)[0].numpy()


def test_extreme_values_have_the_density_that_the_formulas_say():
    far = np.array([-1e25, 1e19, 1e30])
    student = log_prob_of(likelihoods.StudentT(df=3.0), [0.5], far)
    np.testing.assert_allclose(student, scipy.stats.t(3, 0.5).logpdf(far), rtol=1e-6)
    logistic = log_prob_of(likelihoods.Logistic(scale=2.0), [0.0], far)
    np.testing.assert_allclose(logistic, -np.abs(far) / 2 - np.log(2), rtol=1e-6)
    counts = np.array([1e20, 1e30])
    poisson = log_prob_of(likelihoods.Poisson(), [2.0], counts)
    expected = 2 * counts - np.exp(2) - scipy.special.gammaln(counts + 1)
    np.testing.assert_allclose(poisson, expected, rtol=1e-6)
    # Far above its mean a negative binomial count falls off as a geometric one; what float32
    # knows of the logarithms, to 1e-6, is multiplied by the count.
    negative = log_prob_of(likelihoods.NegativeBinomial(), [2.0], counts)
    expected = counts * np.log(np.exp(2) / (np.exp(2) + 10))
    np.testing.assert_allclose(negative, expected, rtol=1e-5)


def test_student_density_keeps_its_digits_and_slope_where_the_formula_changes():
    p = likelihoods.StudentT(df=4.0)
    p.build((1,))
    x = tf.constant(np.array([0.0, 1e-3, 2.0, 50.0, 0.999e12, 1.001e12]), tf.float32)[:, None]
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = p.log_prob(tf.zeros([1, 1, 1]), x)
    wide = np.float64(x[:, 0])
    np.testing.assert_allclose(value[0], scipy.stats.t(4).logpdf(wide), rtol=2e-6)
    slope = tape.gradient(value, x)[:, 0]
    np.testing.assert_allclose(slope, -5 * wide / (4 + wide**2), rtol=2e-6)


def test_scores_of_the_smallest_counts_agree_with_their_export(tmp_path):
    # Runtimes differ on whether the smallest floats are 0; the export looks at such counts.
    model = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=likelihoods.Poisson(),
        event_shape=(3,),
        seed=0,
    )
    keras_vae.exporters.export_onnx(model, tmp_path / "onnx", signatures=["score"])
    assert (tmp_path / "onnx" / "score.onnx").is_file()

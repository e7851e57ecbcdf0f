"""Latents against what is known of them beforehand."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.evaluation import active_units, latent_summary, probe


def model_with_means(factors, posterior):
    """A model whose latent i has the mean `factors[i] * x[i]`."""
    size = len(factors)
    width = posterior.params_shape[0]
    encoder = keras.layers.Dense(width, use_bias=False)
    encoder.build((None, size))
    kernel = np.zeros((size, width))
    kernel[range(size), range(size)] = factors
    encoder.kernel.assign(kernel)
    return keras_vae.VAE(
        encoder,
        keras_vae.networks.MLP([4]),
        posterior,
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(size,),
        encoder_head=False,
    )


POSTERIORS = [keras_vae.posteriors.DiagonalNormal, keras_vae.posteriors.Deterministic]


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_units_are_active_where_the_mean_varies(posterior):
    model = model_with_means([1.0, 0.11, 0.09, 0.0], posterior(4))
    # Variance 1 about a mean that does not count: the latents' are 1, 0.0121, 0.0081 and 0.
    x = np.array([[1.0] * 4, [-1.0] * 4] * 2000) + 5.0
    assert active_units(model, x).tolist() == [True, True, False, False]
    assert active_units(model, x, threshold=0.001).tolist() == [True, True, True, False]
    assert active_units(model, x, threshold=0.5).sum() == 1


def test_arguments_are_checked():
    model = model_with_means([1.0, 1.0], keras_vae.posteriors.DiagonalNormal(2))
    with pytest.raises(ValueError, match="`threshold` must be >= 0"):
        active_units(model, np.zeros([3, 2]), threshold=-1)
    with pytest.raises(ValueError, match="`x` must have at least two examples"):
        active_units(model, np.zeros([1, 2]))
    with pytest.raises(ValueError, match="`x` must have shape"):
        active_units(model, np.zeros([3, 5]))


# What latents hold.


def mixture_by_quadrature(means, scale):
    """Mutual information, and KL from the standard normal, of equally probable x."""
    grid = np.linspace(-12, 12, 40_001)
    by_x = np.exp(-0.5 * ((grid - means[:, None]) / scale) ** 2) / scale / np.sqrt(2 * np.pi)
    mixture = by_x.mean(axis=0)
    log_prior = -0.5 * grid**2 - 0.5 * np.log(2 * np.pi)
    entropy = -np.trapezoid(mixture * np.log(np.maximum(mixture, 1e-300)), grid)
    entropy_given_x = 0.5 * np.log(2 * np.pi * np.e * scale**2)
    return entropy - entropy_given_x, -entropy - np.trapezoid(mixture * log_prior, grid)


def test_information_and_aggregate_by_quadrature():
    # Three kinds of x, whose first latent tells them partly apart and whose second does not.
    model = model_with_means([1.5, 0.0], keras_vae.posteriors.DiagonalNormal(2))
    kinds = np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], "float32")
    x = np.tile(kinds, (1000, 1))
    scale = float(model.encode(x[:1], return_scale=True)[1][0, 0])
    found = latent_summary(model, x)
    means = 1.5 * kinds[:, 0].astype("float64")
    information, from_prior = mixture_by_quadrature(means, scale)
    unused = 0.5 * (scale**2 - 1) - np.log(scale)
    # 3,000 draws of terms of variance about 1.
    np.testing.assert_allclose(found.mutual_information, information, atol=0.06)
    np.testing.assert_allclose(found.aggregate_kl, from_prior + unused, atol=0.08)
    np.testing.assert_allclose(found.total_correlation, 0.0, atol=0.01)
    # In the mean over draws the two add up to the KL.
    total = found.mutual_information + found.aggregate_kl
    np.testing.assert_allclose(total, found.kl.sum(), atol=0.08)
    assert found.active.tolist() == [True, False]
    assert found.kl[1] < found.kl[0]
    assert "active units: 1 of 2" in str(found)


def test_total_correlation_of_latents_that_move_together():
    model = model_with_means([3.0, 3.0], keras_vae.posteriors.DiagonalNormal(2))
    x = np.tile(np.array([[-1.0, -1.0], [1.0, 1.0]], "float32"), (500, 1))
    found = latent_summary(model, x)
    # Two well separated points in each dimension, but two in all, not four.
    np.testing.assert_allclose(found.total_correlation, np.log(2), atol=0.02)
    np.testing.assert_allclose(found.mutual_information, np.log(2), atol=0.02)


@pytest.mark.parametrize("full", [False, True])
def test_blocks_of_latents_do_not_change_the_result(monkeypatch, full):
    cls = keras_vae.posteriors.FullCovarianceNormal if full else keras_vae.posteriors.Laplace
    model = model_with_means([1.0, 2.0, 0.5], cls(3))
    x = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    whole = latent_summary(model, x)
    monkeypatch.setattr(keras_vae.evaluation.latents, "_PAIRS", 1500)
    split = latent_summary(model, x)
    np.testing.assert_allclose(split.aggregate_kl, whole.aggregate_kl, rtol=1e-5)
    assert (whole.total_correlation is None) == full
    assert latent_summary(model, x, max_examples=20).examples == 20


def test_posteriors_without_density_have_no_aggregate():
    model = model_with_means([1.0, 2.0], keras_vae.posteriors.Deterministic(2))
    with pytest.raises(ValueError, match="needs log q"):
        latent_summary(model, np.ones([5, 2]))


def test_probe_reads_what_is_there():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    codes = np.eye(3)[labels] * [1.0, 100.0, 0.01] + 0.2 * rng.normal(size=(600, 3)) * [
        1.0,
        100.0,
        0.01,
    ]
    told = probe(codes[:400], labels[:400], codes[400:], labels[400:])
    assert min(told) > 0.95
    guessed = probe(codes[:400], rng.permutation(labels[:400]), codes[400:], labels[400:])
    assert max(guessed) < 0.6


def test_latents_are_compared_with_the_prior(rng):
    x = rng.normal(size=[1_500, 1]).astype("float32")
    scale = model_with_means([1.0], keras_vae.posteriors.DiagonalNormal(1)).encode(
        x[:1], return_scale=True
    )[1]
    # Normal x with this slope give an aggregate posterior of variance 1.
    slope = float(np.sqrt(1 - scale[0, 0] ** 2))
    alike = model_with_means([slope], keras_vae.posteriors.DiagonalNormal(1))
    assert latent_summary(alike, x).aggregate_test.p_value > 0.05
    wide = model_with_means([1.5], keras_vae.posteriors.DiagonalNormal(1))
    found = latent_summary(wide, x)
    assert found.aggregate_test.p_value < 0.01
    assert "squared discrepancy 0.0" in str(found)


@pytest.mark.parametrize(
    "make", [lambda n: np.array(["no", "yes", "perhaps"])[n], lambda n: np.eye(3)[n]]
)
def test_probe_takes_words_and_one_hot_rows(rng, make):
    numbers = np.arange(90) % 3
    codes = numbers[:, None] + 0.3 * rng.normal(size=(90, 2))
    expected = probe(codes[:60], numbers[:60], codes[60:], numbers[60:])
    assert probe(codes[:60], make(numbers[:60]), codes[60:], make(numbers[60:])) == expected
    as_objects = np.array(["a", "b", "c"], object)[numbers]
    assert probe(codes[:60], as_objects[:60], codes[60:], as_objects[60:]) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_labels": [1] * 4},
            r"`train_labels` must have at least 2 classes\. Rec.* 1 al",
        ),
        ({"train_labels": [1, 2, 3]}, "`train_labels` must be one label for each of 4"),
        ({"train_labels": [0, 1, None, 1]}, "`train_labels` must not be missing.*row 2"),
        ({"labels": [0]}, "`labels` must be one label for each of 2"),
        ({"labels": ["a", "b"]}, "must be of one kind"),
        ({"codes": np.full((2, 3), np.nan)}, "`codes` must be finite"),
        ({"codes": np.ones((2, 2))}, "equally many columns"),
        ({"codes": "abc"}, "`codes` must be numbers"),
        ({"neighbours": 0}, "`neighbours` must be"),
    ],
    ids=range(9),
)
def test_bad_arguments_of_probes_are_explained(changes, message):
    given = {
        "train_codes": np.eye(4)[:, :3],
        "train_labels": [0, 1, 0, 1],
        "codes": np.eye(3)[:2],
        "labels": [0, 1],
    }
    with pytest.raises(ValueError, match=message):
        probe(**{**given, **changes})

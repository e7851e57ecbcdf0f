"""What bits are those of, and what is given of x: said alike wherever log p(x) is shown."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import evaluation, likelihoods, networks, posteriors, preprocessors
from keras_vae.evaluation.likelihood import LogMarginal
from keras_vae.evaluation.units import unit_of


def make(likelihood, columns=4, preprocessor=None):
    keras.utils.set_random_seed(0)
    return keras_vae.VAE(
        networks.MLP([8]),
        networks.MLP([8]),
        posteriors.DiagonalNormal(2),
        likelihood=likelihood,
        preprocessor=preprocessor,
        event_shape=(columns,),
        seed=0,
    )


COLUMNS = {"height": likelihoods.Normal, "colour": lambda: likelihoods.Categorical(3)}
BITS = np.array([[0.0, 1.0, 1.0, 0.0]])
GREY = np.array([[0.0, 255.0, 17.0, 3.0]])


@pytest.mark.parametrize(
    ("likelihood", "preprocessor", "x", "is_code", "words"),
    [
        (likelihoods.Bernoulli(), None, BITS, True, "of a code for x"),
        (
            likelihoods.Bernoulli(),
            None,
            0.3 * BITS,
            False,
            "neither of a code nor of a density",
        ),
        (likelihoods.Poisson(), None, 7 * BITS, True, "of a code for x"),
        (
            likelihoods.DiscretizedLogistic(1),
            preprocessors.Rescaling(),
            GREY,
            True,
            "of a code for x as preprocessed",
        ),
        (likelihoods.DiscretizedLogistic(1), None, 0.3 * BITS, False, "neither of a code"),
        (likelihoods.Normal(), None, BITS, False, "of a density per unit of x; no code"),
        (
            likelihoods.Laplace(),
            preprocessors.Standardization(),
            GREY,
            False,
            "of a density per unit of x as preprocessed; no code",
        ),
        (likelihoods.ContinuousBernoulli(), None, BITS, False, "of a density per unit of x"),
        (
            likelihoods.NegativeBinomial(library="observed"),
            None,
            7 * BITS,
            False,
            "of counts, given its total count; no code for x",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bits_are_those_of_a_code_only_where_they_are(
    likelihood, preprocessor, x, is_code, words
):
    unit = unit_of(make(likelihood, preprocessor=preprocessor), x)
    assert unit.is_code == is_code
    assert unit.words.startswith(words)


def test_tables_are_both():
    columns = {name: make_one() for name, make_one in COLUMNS.items()}
    unit = unit_of(make(likelihoods.Columns(columns), 2), np.array([[1.5, 2.0]]))
    assert unit == (False, "of 1 densities per unit of x and 1 codes")


@pytest.mark.many_models
def test_the_report_says_what_bits_are_those_of():
    x = np.random.default_rng(0).poisson(3.0, (30, 4)).astype("float32")
    texts = {}
    for name, likelihood in (
        ("counts", likelihoods.Poisson()),
        ("density", likelihoods.Normal()),
        ("given", likelihoods.ZeroInflatedNegativeBinomial(library="observed")),
    ):
        report = evaluation.report(
            make(likelihood), x, samples=5, progress=False, pictures=False
        )
        rows = {m.name: m for m in report.measures if m.section == "likelihood"}
        texts[name] = rows["bits per dimension"].meaning
        expected = "log p(x | its total count)" if name == "given" else "log p(x)"
        assert next(iter(rows)) == expected
        assert expected in rows["ELBO"].meaning
        assert ("of a code" in str(report)) == (name == "counts")
    assert texts == {
        "counts": "of a code for x; less is better",
        "density": "of a density per unit of x; no code; less is better",
        "given": "of counts, given its total count; no code for x; less is better",
    }


def test_estimates_given_the_total_say_so():
    model = make(likelihoods.NegativeBinomial(library="observed"))
    x = np.ones([5, 4])
    found = evaluation.log_marginal(model, x, samples=5, seed=0, progress=False)
    assert str(found).startswith("log p(x | its total count) = ")
    annealed = evaluation.ais(model, x, chains=2, temperatures=3, seed=0, progress=False)
    assert annealed.given == found.given == "its total count"
    plain = LogMarginal(np.zeros(3), np.ones(3), 5, "importance sampling")
    assert str(plain).startswith("log p(x) = ")


def test_standard_errors_hold_where_they_are_not_called_doubtful():
    rng = np.random.default_rng(0)
    for spread in (1.0, 2.0, 4.0):
        log_weight = spread * rng.normal(size=(400, 1_000))
        weight = np.exp(log_weight - log_weight.max())
        value = np.log(weight.mean(axis=1))
        effective = weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)
        found = LogMarginal(value, effective, 1_000, "importance sampling")
        ratio = value.std() / np.sqrt(np.mean(found.standard_errors**2))
        assert found.doubtful.mean() > 0.5 if spread > 1 else not found.doubtful.any()
        if spread == 1:
            np.testing.assert_allclose(ratio, 1.0, atol=0.15)
        if spread == 4:
            assert ratio > 1.5

"""Every measure of codes, features and samples on inputs that tell nothing: a number each."""

import numpy as np
import pytest

import keras_vae
from keras_vae import evaluation

ROWS = 90
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(ROWS, 3))
FACTORS = np.stack([RNG.integers(0, size, ROWS) for size in (2, 3)], axis=1)

CODES = {
    "collapsed": np.zeros((ROWS, 3)),
    "constant": np.full((ROWS, 3), 0.1),  # its mean is not quite 0.1
    "nearly collapsed": 1e-200 * NOISE,
    "one constant": NOISE * [1, 0, 1] + 7,
    "single": NOISE[:, :1],
    "single constant": np.ones((ROWS, 1)),
    "far away": 1e8 + 1e-8 * NOISE,
    "huge": 1e300 * np.sign(NOISE),
}
GIVEN_FACTORS = {
    "usual": FACTORS,
    "one constant": FACTORS * [1, 0],
    "strings": np.array([["a", "b"], ["x", "y"]])[[0, 1], FACTORS % 2],
    "booleans": FACTORS > 0,
    "a rare value": np.where(np.arange(ROWS)[:, None] == 0, [1, 0], [0, 1]) * [1, 2]
    + [[0, 1]] * ROWS,
}
MEASURES = {
    "mutual_information_gap": evaluation.mutual_information_gap,
    "modularity": evaluation.modularity,
    "separated_attributes": evaluation.separated_attributes,
    "dci": evaluation.dci,
    "explicitness": evaluation.explicitness,
    "beta_vae_score": lambda c, f: evaluation.beta_vae_score(c, f, pairs=4, votes=60),
    "factor_vae_score": lambda c, f: evaluation.factor_vae_score(c, f, examples=4, votes=60),
    "interventional_robustness": evaluation.interventional_robustness,
}
# A hundred trees for each value take long; squares of huge numbers are no numbers.
FEW = {"dci": ("usual", "one constant")}
HUGE = ("mutual_information_gap", "modularity")


@pytest.mark.parametrize(
    ("measure", "codes", "factors"),
    [
        (measure, codes, factors)
        for measure in MEASURES
        for codes in CODES
        for factors in FEW.get(measure, GIVEN_FACTORS)
        if codes != "huge" or measure in HUGE
    ],
)
def test_scores_of_disentanglement_are_defined(measure, codes, factors):
    found = np.asarray(MEASURES[measure](CODES[codes], GIVEN_FACTORS[factors]))
    assert np.isfinite(found).all()
    assert np.all((found >= 0) & (found <= 1 + 1e-9))


def test_a_collapsed_model_has_no_score_but_that_of_chance():
    nothing = CODES["collapsed"]
    found = {name: measure(nothing, FACTORS) for name, measure in MEASURES.items()}
    assert found["dci"][:2] == (0.0, 0.0)
    for name in ("mutual_information_gap", "separated_attributes", "factor_vae_score"):
        assert found[name] == 0.0
    assert found["interventional_robustness"] == 0.0
    assert found["explicitness"] == 0.5


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1)])
@pytest.mark.parametrize("constant", [False, True])
def test_separation_by_noise_is_about_zero(shares, constant):
    rng = np.random.default_rng(1)
    codes = rng.normal(size=(3000, 1))
    if constant:
        codes = np.concatenate([codes, np.zeros_like(codes)], axis=1)
    factors = (rng.uniform(size=(3000, 2)) < shares[1]).astype(int)
    assert evaluation.separated_attributes(codes, factors) < 0.05


def test_constant_factors_have_no_part_in_any_score():
    whole = np.column_stack([FACTORS, np.zeros(ROWS, int)])
    for measure in MEASURES.values():
        np.testing.assert_array_equal(measure(NOISE, whole), measure(NOISE, FACTORS))


@pytest.mark.parametrize("codes", ["collapsed", "single", "one constant"])
def test_all_scores_of_few_degenerate_rows_are_defined(codes):
    for factors in (FACTORS[:24, :1], GIVEN_FACTORS["strings"][:24]):
        found = evaluation.disentanglement(CODES[codes][:24], factors, repeats=2)
        assert np.isfinite([tuple(score) for score in found.values()]).all()
        assert ("modularity" in found) == (factors.shape[1] > 1)
    with pytest.raises(ValueError, match="must vary within 5 parts of 18 examples"):
        evaluation.disentanglement(CODES[codes], GIVEN_FACTORS["a rare value"])


SETS = {
    "all equal": (np.ones((40, 3)), np.ones((40, 3))),
    "equal but apart": (np.ones((40, 3)), np.zeros((40, 3))),
    "one feature": (NOISE[:, :1], NOISE[:40, :1]),
    "constant feature": (NOISE * [1, 0, 1], NOISE[:50] * [1, 0, 1]),
    "copies": (np.repeat(NOISE[:10], 6, axis=0), np.repeat(NOISE[:10], 6, axis=0)),
    "far away": (1e6 + 1e-3 * NOISE, 1e6 + 1e-3 * NOISE[::-1]),
}


@pytest.mark.parametrize("name", SETS)
def test_distances_of_samples_are_defined(name):
    real, generated = SETS[name]
    numbers = [evaluation.frechet_distance(real, generated)]
    numbers += evaluation.kernel_distance(real, generated, subsets=5)
    numbers += evaluation.precision_recall(real, generated)
    numbers += evaluation.two_sample_test(real, generated, permutations=50)
    numbers += evaluation.copying(real, generated, generated)[:2]
    assert np.isfinite(numbers).all()


def test_equal_sets_are_alike():
    ones = np.ones((40, 3))
    assert evaluation.frechet_distance(ones, ones) == 0.0
    assert evaluation.two_sample_test(ones, ones, permutations=50).p_value == 1.0
    assert tuple(evaluation.kernel_distance(ones, ones)) == (0.0, 0.0)
    assert evaluation.precision_recall(ones, ones)[:2] == (1.0, 1.0)


def test_collapsed_models_are_measured_in_full(rng):
    vae = keras_vae.VAE(
        keras_vae.networks.MLP([4]),
        keras_vae.networks.MLP([4]),
        keras_vae.posteriors.DiagonalNormal(2),
        likelihood=keras_vae.likelihoods.Bernoulli(),
        event_shape=(6,),
    )
    x = np.zeros((300, 6))
    factors = rng.integers(0, 2, size=(300, 1))
    found = evaluation.report(
        vae, x, factors[:, 0], factors, samples=10, pictures=False, progress=False
    )
    assert not found.left_out
    assert all(np.isfinite(measure.value) for measure in found.measures)
    assert evaluation.active_units(vae, x).sum() == 0

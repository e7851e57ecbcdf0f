"""Scores of disentanglement on codes whose score is known."""

import numpy as np
import pytest
import scipy.stats

from keras_vae import evaluation
from keras_vae.evaluation import disentanglement
from keras_vae.evaluation.factors.prediction import _concentration
from keras_vae.evaluation.factors.scores import over_parts

SIZES = (4, 3, 5)
SCORES = (
    "mutual_information_gap",
    "separated_attributes",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "beta_vae_score",
    "factor_vae_score",
    "interventional_robustness",
    "modularity",
    "explicitness",
)


@pytest.fixture(scope="module")
def factors():
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, size, 3000) for size in SIZES], axis=1)


def scaled(factors):
    return (factors - factors.mean(axis=0)) / factors.std(axis=0)


def rotation(rng, dim):
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


CODES = {
    "perfect": lambda factors, rng: scaled(factors),
    "permuted": lambda factors, rng: -3.0 * scaled(factors)[:, [2, 0, 1]],
    "random": lambda factors, rng: rng.normal(size=factors.shape),
    "rotated": lambda factors, rng: scaled(factors) @ rotation(rng, len(SIZES)),
    # The first factor's sign in one latent, its size in another.
    "split": lambda factors, rng: np.column_stack(
        [factors[:, 0] % 2, factors[:, 0] // 2, scaled(factors)[:, 1:]]
    ),
    # One latent of two factors.
    "merged": lambda factors, rng: np.column_stack(
        [factors[:, 0] + 10.0 * factors[:, 1], scaled(factors)[:, 2]]
    ),
}


@pytest.fixture(scope="module")
def scores(factors):
    rng = np.random.default_rng(1)
    return {
        name: disentanglement(make(factors, rng), factors, repeats=2)
        for name, make in CODES.items()
    }


@pytest.mark.parametrize("name", ["perfect", "permuted"])
def test_perfect_codes(scores, name):
    found = scores[name]
    assert tuple(found) == SCORES
    for score in set(SCORES) - {"separated_attributes"}:
        assert found[score].value > 0.98, score
    # The second best latent is a guess: one in four, three and five. The best is a linear
    # classifier of values in a row, which misses some of those in the middle.
    assert 0.2 < found["separated_attributes"].value < np.mean([3 / 4, 2 / 3, 4 / 5])


def test_random_codes(scores, factors):
    found = {name: score.value for name, score in scores["random"].items()}
    assert found["mutual_information_gap"] < 0.02
    assert found["separated_attributes"] < 0.05
    assert found["dci_disentanglement"] < 0.1
    assert found["dci_completeness"] < 0.1
    # Guessing: one in four, three and five.
    assert abs(found["dci_informativeness"] - np.mean([1 / size for size in SIZES])) < 0.03
    assert found["beta_vae_score"] < 0.45
    assert found["factor_vae_score"] < 0.45
    assert found["interventional_robustness"] < 0.35
    assert abs(found["explicitness"] - 0.5) < 0.03


def test_rotated_codes_tell_all_and_separate_nothing(scores):
    found = {name: score.value for name, score in scores["rotated"].items()}
    assert found["explicitness"] > 0.85  # linear in the factors
    assert found["mutual_information_gap"] < 0.3
    assert found["dci_disentanglement"] < 0.6
    for name in ("mutual_information_gap", "separated_attributes", "dci_completeness"):
        assert found[name] < 0.7 * scores["perfect"][name].value


def test_a_split_factor_is_disentangled_but_not_complete(scores):
    found = {name: score.value for name, score in scores["split"].items()}
    assert found["dci_disentanglement"] > 0.98
    assert found["modularity"] > 0.98
    assert 0.6 < found["dci_completeness"] < 0.9
    # The two halves of one factor tell equally much: a gap of 0 in one of three.
    np.testing.assert_allclose(found["mutual_information_gap"], 2 / 3, atol=0.02)


def test_a_merged_latent_is_complete_but_not_disentangled(scores):
    found = {name: score.value for name, score in scores["merged"].items()}
    assert found["dci_completeness"] > 0.98
    assert found["dci_disentanglement"] < 0.8
    assert found["modularity"] < 0.95


def test_standard_errors_tell_the_spread(scores):
    assert scores["perfect"]["explicitness"].standard_error < 1e-3
    assert scores["random"]["factor_vae_score"].standard_error > 1e-4


def test_intervals_of_scores_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(3)

    def scores(codes, factors, seed):
        return {
            "gap": evaluation.mutual_information_gap(codes, factors),
            "robustness": evaluation.interventional_robustness(codes, factors),
        }

    found = {"gap": [], "robustness": []}
    for _ in range(200):
        factors = rng.integers(0, 3, size=(200, 2))
        codes = factors @ [[1.0, 0.3], [0.2, 1.0]] + 0.5 * rng.normal(size=(200, 2))
        for name, score in over_parts(
            scores, codes, factors, size=40, repeats=5, seed=0
        ).items():
            found[name].append(score)
    for each in found.values():
        values, errors = np.array(each).T
        share = np.mean(np.abs(values - values.mean()) <= 1.96 * errors)
        # benchmarks/intervals.py draws 2,000 sets; here three
        # binomial standard deviations.
        assert 0.90 < share < 0.99


# Each by another route.


def test_information_gap_by_hand(factors):
    rng = np.random.default_rng(2)
    codes = scaled(factors) + 0.7 * rng.normal(size=factors.shape)
    expected = []
    for values in factors.T:
        told = []
        for code in codes.T:
            table = np.histogram2d(code, values, bins=[20, int(values.max()) + 1])[0]
            joint = table / table.sum()
            marginal = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
            told.append(
                np.sum(joint[joint > 0] * np.log(joint[joint > 0] / marginal[joint > 0]))
            )
        first, second = np.sort(told)[::-1][:2]
        entropy = scipy.stats.entropy(np.bincount(values))
        expected.append((first - second) / entropy)
    found = evaluation.mutual_information_gap(codes, factors)
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-6)


def test_modularity_by_hand():
    # Independent factors of 1 bit; the first latent has both, the second one.
    factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 25)
    codes = np.stack([factors[:, 0] + 2 * factors[:, 1], factors[:, 1]], axis=1)
    # 1 - (1/1) = 0 and 1 - 0 = 1.
    np.testing.assert_allclose(evaluation.modularity(codes, factors), 0.5, atol=1e-6)


def test_robustness_by_hand():
    # Where the factor is fixed, the latent still moves by a quarter of its whole way.
    factors = np.array([[0], [0], [1], [1]] * 500)
    codes = np.array([[-4.0], [-2.0], [2.0], [4.0]] * 500)
    np.testing.assert_allclose(
        evaluation.interventional_robustness(codes, factors), 1 - 1 / 4, atol=1e-6
    )


def test_concentration_of_importance():
    # Two of three factors equally: 1 - log 2 / log 3; of all three: 0.
    concentration = _concentration(
        np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]])
    )
    expected = [1 - np.log(2) / np.log(3), 0.0, 1.0, 0.0]
    np.testing.assert_allclose(concentration, expected, atol=1e-12)


def test_latents_that_say_nothing(factors):
    # Collapsed dimensions do not win the vote of the least variance.
    codes = np.column_stack([scaled(factors), 1e-6 * np.ones(len(factors))])
    codes[:, 3] += 1e-9 * np.random.default_rng(0).normal(size=len(factors))
    assert evaluation.factor_vae_score(codes, factors) > 0.98
    nothing = np.zeros((len(factors), 2))
    assert evaluation.factor_vae_score(nothing, factors) == 0.0
    assert evaluation.interventional_robustness(nothing, factors) == 0.0
    assert evaluation.separated_attributes(nothing, factors) == 0.0
    assert evaluation.mutual_information_gap(nothing, factors) == 0.0


def test_bad_input(factors):
    codes = scaled(factors)
    with pytest.raises(ValueError, match="matrices of equally many rows"):
        disentanglement(codes[:10], factors)
    with pytest.raises(ValueError, match="`codes` must be finite"):
        disentanglement(np.full_like(codes, np.nan), factors)
    with pytest.raises(ValueError, match="`factors` must be whole numbers"):
        disentanglement(codes, factors + 0.5)
    with pytest.raises(ValueError, match="`factors` must vary"):
        disentanglement(codes, np.ones((len(codes), 2)))
    with pytest.raises(
        ValueError, match=r"`factors\[:, 1\]` must not be missing.*nan in row 3"
    ):
        disentanglement(codes, np.where(np.arange(len(codes))[:, None] == 3, [0, np.nan], 1.0))
    with pytest.raises(ValueError, match="at least 6 rows for each of 5 parts"):
        disentanglement(codes[:29], factors[:29])
    with pytest.raises(ValueError, match="`repeats` must be an integer >= 2"):
        disentanglement(codes, factors, repeats=1)
    with pytest.raises(ValueError, match="`factors` must be at least two"):
        evaluation.modularity(codes, factors[:, :1])

"""Which parts go together, and what is said of the others."""

import itertools

import pytest

import keras_vae
from keras_vae import likelihoods, objectives, posteriors, priors
from keras_vae.models.composition import why_invalid
from keras_vae.priors import Prior
from tests.conformance.case import EVENT_SHAPE, FAMILIES
from tests.conformance.cases import CASES, cases_of, sampled


def reason(posterior, prior):
    return why_invalid(posterior, prior, likelihoods.Bernoulli(), objectives.ELBO())


def test_spaces_must_be_equal():
    assert reason(posteriors.RelaxedBernoulli(3), priors.Bernoulli()) is None
    found = reason(posteriors.RelaxedBernoulli(3), priors.StandardNormal())
    assert "latents of a RelaxedBernoulli posterior are bits, those of a Standard" in found


def test_a_prior_may_have_a_rule_of_its_own():
    class Picky(Prior):
        def why_not(self, posterior):
            return "it is never right"

    assert reason(posteriors.DiagonalNormal(2), Picky()) == "it is never right"
    assert reason(posteriors.RelaxedBernoulli(3), priors.VampPrior()) is None


@pytest.mark.parametrize("blocks", [1, 2])
def test_a_model_of_blocks_that_do_not_match_is_refused(make_vae, blocks):
    q = posteriors.Joint([posteriors.DiagonalNormal(2), posteriors.RelaxedCategorical(3)])
    p = priors.Joint([priors.StandardNormal() for _ in range(blocks)])
    with pytest.raises(ValueError, match="These parts do not go together"):
        make_vae(posterior=q, prior=p)


# The rule over the full product of the conformance table, against a table made by hand.

SPACES = {
    "real": [
        *("Deterministic", "DiagonalNormal", "FullCovarianceNormal", "Laplace"),
        *("Flow", "Flow-planar", "StandardNormal", "NormalMixture", "NormalMixture-full"),
        "ConditionalNormal",
    ],
    "sphere": ["VonMisesFisher", "PowerSpherical", "SphericalUniform"],
    "ball": ["PoincareNormal"],
    "simplex": ["LogisticNormal", "Dirichlet"],
    "bits": ["RelaxedBernoulli", "Bernoulli"],
    "one-hot": ["RelaxedCategorical", "Categorical"],
    "two reals": ["Joint"],
}
SPACE_OF = {name: space for space, names in SPACES.items() for name in names}
WITHOUT_DENSITY = ["LogLikelihood", "RAE", "WAE"]
BY_DIMENSION = ["TCVAE", "DIPVAE-ii"]
BY_MOMENTS = ["DIPVAE"]
ALONG_THE_DRAW = ["DReG", "PIWAE", "StickingTheLanding"]
PRODUCTS = ["DiagonalNormal", "Laplace", "RelaxedBernoulli", "Joint"]
UNKNOWN_MOMENTS = ["Flow", "PoincareNormal", "LogisticNormal"]


def goes(posterior, prior, objective):
    """Whether these go together, by their names."""
    q, p, o = posterior.name, prior.name, objective.name
    if q == "Deterministic" and objective.cls.__name__ not in WITHOUT_DENSITY:
        return False
    if p == "VampPrior":
        pairs = q not in ("Deterministic", "Flow-planar")
    else:
        pairs = SPACE_OF[q] == SPACE_OF[p]
    if o.startswith(tuple(BY_DIMENSION)) and q not in PRODUCTS:
        return False
    if o.startswith(tuple(BY_MOMENTS)) and q.startswith(tuple(UNKNOWN_MOMENTS)):
        return False
    if o in ALONG_THE_DRAW and (q.startswith("Relaxed") or q == "Flow-planar"):
        return False
    return pairs


def test_the_rule_over_the_full_product():
    cases = {f: [c for c in CASES if c.family == f] for f in FAMILIES}
    slots = [cases[f] for f in ("posteriors", "priors", "likelihoods", "objectives")]
    made = {case.key: case.make() for slot in slots for case in slot}
    total = 0
    for q, p, likelihood, o in itertools.product(*slots):
        found = why_invalid(*(made[case.key] for case in (q, p, likelihood, o)))
        assert (found is None) == goes(q, p, o), (q.name, p.name, o.name, found)
        assert found is None or len(found) > 40, "a reason is a sentence"
        total += 1
    assert total > 50_000


@pytest.mark.slow
@pytest.mark.parametrize("case", sampled(cases_of("posteriors"), one_in=4))
def test_models_are_made_of_what_the_rule_allows(case):
    # Each valid prior and objective in one model, which is built and no more.
    cases = {f: [c for c in CASES if c.family == f] for f in FAMILIES}
    q, built = case, set()
    for p, o in itertools.product(cases["priors"], cases["objectives"]):
        new = {p.key, o.key} - built
        if not goes(q, p, o) or not new:
            continue
        condition_shape = (3,) if p.cls.needs_condition else None
        keras_vae.VAE(
            keras_vae.networks.MLP([4]),
            keras_vae.networks.MLP([4]),
            q.make(),
            p.make(),
            objective=o.make(),
            likelihood=likelihoods.Bernoulli(),
            event_shape=EVENT_SHAPE,
            condition_shape=condition_shape,
        )
        built |= new
    assert {family for family, _ in built} == {"priors", "objectives"}


def test_capacities_are_counted_before_training():
    two = posteriors.Joint([posteriors.DiagonalNormal(1), posteriors.RelaxedCategorical(2, 3)])
    prior = priors.Joint([priors.StandardNormal(), priors.Categorical(2, 3)])
    bernoulli = likelihoods.Bernoulli()
    for capacity in (1.0, [1.0], [1.0, 2.0]):
        assert why_invalid(two, prior, bernoulli, objectives.ELBO(capacity=capacity)) is None
    reason = why_invalid(two, prior, bernoulli, objectives.ELBO(capacity=[1.0, 2.0, 3.0]))
    assert "the posterior has 2 blocks" in reason
    plain = (posteriors.DiagonalNormal(2), priors.StandardNormal(), bernoulli)
    assert "has 1 block;" in why_invalid(*plain, objectives.ELBO(capacity=[1.0, 2.0]))

"""The prior says whether it goes with a posterior."""

import pytest

from keras_vae import likelihoods, objectives, posteriors, priors
from keras_vae.models.composition import why_invalid
from keras_vae.priors import Prior


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

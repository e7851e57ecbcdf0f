"""Which parts go together, and why the others do not.

Floor 4.
"""

from __future__ import annotations

from keras_vae.likelihoods import Likelihood
from keras_vae.objectives import Objective
from keras_vae.objectives.base import TERM_NAMES
from keras_vae.posteriors import Posterior
from keras_vae.priors import Prior

__all__ = ["check_composition", "why_invalid"]


def why_invalid(
    posterior: Posterior, prior: Prior, likelihood: Likelihood, objective: Objective
) -> str | None:
    """Say why these parts do not go together; `None` if they do."""
    unknown = set(objective.requires) - TERM_NAMES
    if unknown:
        return (
            f"{type(objective).__name__} requires {sorted(unknown)}, which no model offers; "
            f"the terms are {sorted(TERM_NAMES)}"
        )
    if "density" in objective.requires and not posterior.has_density:
        return (
            f"{type(objective).__name__} needs log q(z|x), but a {type(posterior).__name__} "
            f"posterior has no density; use objectives.LogLikelihood(), or a posterior with "
            f"a density such as posteriors.DiagonalNormal"
        )
    if "factorised" in objective.requires and not posterior.factorised:
        return (
            f"{type(objective).__name__} needs a density for each latent dimension, but the "
            f"dimensions of a {type(posterior).__name__} posterior depend on each other; use "
            f"one that is a product, such as posteriors.DiagonalNormal"
        )
    if "moments" in objective.requires and not posterior.has_moments:
        return (
            f"{type(objective).__name__} needs the mean and scale of q(z|x), which are not "
            f"known for a {type(posterior).__name__} posterior"
        )
    reason = prior.why_not(posterior)
    if reason is not None:
        return reason
    reason = objective.why_not(len(prior.kl_blocks(posterior)) or 1)
    if reason is not None:
        return reason
    if "log_joint_gradient" in objective.requires and not posterior.reparameterised:
        return (
            f"{type(objective).__name__} follows log q(z|x) along the draw, but the draws of "
            f"a {type(posterior).__name__} posterior are relaxed and its density is not "
            f"theirs; use objectives.ELBO()"
        )
    if "log_joint_gradient" in objective.requires and not posterior.evaluable:
        return (
            f"{type(objective).__name__} needs the gradient of log q(z|x) with respect to z, "
            f"but {type(posterior).__name__} cannot be evaluated at a given z"
        )
    return None


def check_composition(
    posterior: Posterior, prior: Prior, likelihood: Likelihood, objective: Objective
) -> None:
    """Raise an error unless each part is of its family and they go together.

    Raises:
        TypeError: If a part is of another family.
        ValueError: If the parts do not go together.
    """
    families = {
        "posterior": (posterior, Posterior),
        "prior": (prior, Prior),
        "likelihood": (likelihood, Likelihood),
        "objective": (objective, Objective),
    }
    for name, (part, family) in families.items():
        if not isinstance(part, family):
            hint = " Call the class to make one." if isinstance(part, type) else ""
            raise TypeError(
                f"`{name}` must be a keras_vae {family.__name__}. "
                f"Received: {name}={part!r} of type {type(part).__name__}.{hint}"
            )
    reason = why_invalid(posterior, prior, likelihood, objective)
    if reason is not None:
        raise ValueError(f"These parts do not go together: {reason}.")

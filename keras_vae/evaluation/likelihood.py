"""How probable data are under a model, and how far the estimates can be trusted.

Floor 5.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any, NamedTuple

import numpy as np

from keras_vae.arguments import require_examples, require_integer
from keras_vae.evaluation.blocks import in_blocks
from keras_vae.models import VAE

__all__ = [
    "FewEffectiveSamplesWarning",
    "LogMarginal",
    "RateDistortion",
    "log_marginal",
    "rate_distortion",
]

# An average that rests on fewer samples is one that better samples would change.
_FEW = 3.0
# Standard errors hold from here on; in simulations with log-normal weights they are 1.2 times
# too small at 30 effective samples, 1.5 at 15 and twice at 5.
_ENOUGH = 100.0
_TOLERATED = 0.1
# Who asks for fewer samples wants a bound, not an estimate.
_MANY = 30
# Batches of the importance-weighted estimate between two moves of the progress bar.
_BATCHES = 8


class FewEffectiveSamplesWarning(UserWarning):
    """Estimates rest on so few samples that they are not to be trusted."""


@dataclasses.dataclass(frozen=True)
class LogMarginal:
    """Estimates of log p(x), in nats: lower bounds in expectation.

    Attributes:
        values: One per example; fewer examples than asked for if the work was interrupted.
        effective: How many of the samples, or chains, of each example count (Kish 1965).
        samples: How many there were.
        method: Such as `"importance sampling"`.
        given: Part of x that the values are conditional on, as in `Likelihood.given`: they are
            then no log p(x) and do not compare with any. Defaults to `None`: nothing.
    """

    values: np.ndarray
    effective: np.ndarray
    samples: int
    method: str
    given: str | None = None

    @property
    def standard_errors(self) -> np.ndarray:
        """Of each value, by the spread of its samples' weights.

        Right where 100 samples or more are effective. Too small below (`doubtful`): 1.2 times
        at 30, 1.5 at 15, twice at 5, for the largest weights have not been drawn; the value is
        then too low as well.
        """
        share = 1 / np.maximum(self.effective, 1.0) - 1 / self.samples
        errors: np.ndarray = np.sqrt(np.maximum(share, 0.0))
        return errors

    @property
    def doubtful(self) -> np.ndarray:
        """Whether the standard error of a value is too small: below 100 effective samples."""
        found: np.ndarray = self.effective < min(_ENOUGH, 0.9 * self.samples)
        return found

    @property
    def mean(self) -> float:
        """Mean over the examples."""
        return float(np.mean(self.values, dtype="float64"))

    @property
    def standard_error(self) -> float:
        """Of the mean, as other examples and other draws would change it."""
        if len(self.values) < 2:
            return math.inf
        return float(np.std(self.values, ddof=1, dtype="float64")) / math.sqrt(len(self.values))

    @property
    def few(self) -> float:
        """Share of the values that rest on fewer than 3 effective samples."""
        return float(np.mean(self.effective < _FEW))

    def bits_per_dimension(self, dimensions: int) -> float:
        """Minus the mean in bits, for each of so many numbers.

        The length of a code for x where p(x|z) are probabilities; where they are densities,
        they are of a density per unit of x, may be negative, and are no code.

        Args:
            dimensions: Numbers in one example.
        """
        require_integer("dimensions", dimensions)
        return -self.mean / (dimensions * math.log(2))

    def __str__(self) -> str:
        return (
            f"{log_p(self.given)} = {self.mean:.2f} +- {self.standard_error:.2f} nats, mean of "
            f"{len(self.values):,} examples by {self.method} with {self.samples:,} "
            f"(effective: median {np.median(self.effective):.1f}; below {_FEW:g} for "
            f"{self.few:.1%})"
        )


def log_p(given: str | None) -> str:
    """Name what was estimated: log p(x), or log p(x | what is given of it)."""
    return "log p(x)" if given is None else f"log p(x | {given})"


class RateDistortion(NamedTuple):
    """The two parts of the ELBO, in nats: minus their sum is the ELBO.

    Attributes:
        rate: KL of q(z|x) from the prior, mean over examples.
        distortion: -log p(x|z) at draws of q(z|x), mean over examples; of a density where x
            is continuous, which may be negative.
    """

    rate: float
    distortion: float


def log_marginal(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    raw: bool = False,
    samples: int = 5_000,
    seed: int | None = None,
    batch_size: int = 128,
    progress: bool = True,
) -> LogMarginal:
    """Importance-weighted estimates of log p(x), with how far to trust them.

    The values of `model.log_marginal`. Interrupted from the keyboard, it returns what it has.

    Args:
        model: One with a density of latents.
        x: `[examples, *raw_shape]`.
        condition: One per example, or one for all. Defaults to `None`.
        raw: As in `model.log_marginal`.
        samples: Latents drawn per example. Defaults to `5000`.
        seed: Of the draws. Defaults to `None`: from entropy.
        batch_size: Examples at a time. Defaults to `128`.
        progress: Whether to show a bar. Defaults to `True`.

    Raises:
        ValueError: If x is bad, `samples < 1`, or the posterior has no density.

    Warns:
        FewEffectiveSamplesWarning: If fewer than 3 of 30 samples or more count for a tenth of
            the examples.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> found = keras_vae.evaluation.log_marginal(
    ...     model, np.zeros([20, 6]), samples=100, seed=0, progress=False
    ... )
    >>> found.values.shape
    (20,)
    >>> bool(found.effective.min() > 10)
    True

    Reference: Burda, Grosse and Salakhutdinov (2016), equation 8; Kish (1965).
    """
    require_integer("batch_size", batch_size)
    count = require_examples("x", x)
    condition = model.conditions.check("condition", condition, count)

    def block(x: Any, condition: Any, seed: int) -> tuple[np.ndarray, ...]:
        found: tuple[np.ndarray, ...] = model.log_marginal(
            x,
            condition=condition,
            raw=raw,
            samples=samples,
            return_effective=True,
            seed=seed,
            batch_size=batch_size,
        )
        return found

    label = "log p(x)" if progress else None
    values, effective = in_blocks(
        block, x, condition, block=_BATCHES * batch_size, seed=seed, label=label
    )
    given = model.likelihood.given
    found = LogMarginal(values, effective, samples, "importance sampling", given)
    if samples >= _MANY and found.few > _TOLERATED:
        warnings.warn(
            f"Fewer than {_FEW:g} of {samples} samples count for {found.few:.0%} of the "
            f"examples: there log p(x) is underestimated, and `standard_errors` are less than "
            f"half of what they should be. Draw more samples, or compare with evaluation.ais.",
            FewEffectiveSamplesWarning,
            stacklevel=2,
        )
    return found


def rate_distortion(
    model: VAE, x: Any, *, condition: Any = None, samples: int = 1, seed: int | None = None
) -> RateDistortion:
    """Split the ELBO into rate and distortion: where a model of some beta has come to lie.

    Models trained at several beta give the curve: a lower distortion at the same rate is a
    better model.

    Args:
        model: One with a density of latents.
        x: `[examples, *raw_shape]`.
        condition: One per example, or one for all. Defaults to `None`.
        samples: Latents drawn per example. Defaults to `1`.
        seed: Of the draws. Defaults to `None`: a fresh one.

    Raises:
        ValueError: If x is bad, or the posterior has no density.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> x = np.zeros([20, 6])
    >>> found = keras_vae.evaluation.rate_distortion(model, x, seed=0)
    >>> bool(np.isclose(-sum(found), model.elbo(x, seed=0).mean(), atol=1e-4))
    True

    Reference: Alemi, Poole, Fischer, Dillon, Saurous and Murphy (2018), Fixing a Broken ELBO.
    """
    require_integer("samples", samples)
    bound, kl = model.elbo(x, condition=condition, samples=samples, return_kl=True, seed=seed)
    rate = float(np.mean(kl, dtype="float64"))
    return RateDistortion(rate, -float(np.mean(bound, dtype="float64")) - rate)

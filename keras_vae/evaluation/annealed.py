"""Log p(x) without an encoder: annealed importance sampling on a model, and its check.

Floor 5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import estimators, numerics
from keras_vae.arguments import require_examples, require_integer
from keras_vae.evaluation.annealing import adapted_steps, anneal, sigmoid_schedule
from keras_vae.evaluation.blocks import in_blocks
from keras_vae.evaluation.likelihood import LogMarginal
from keras_vae.models import VAE
from keras_vae.models.extremes import without_nan
from keras_vae.streams import Stream

__all__ = ["Bracket", "ais", "bdmc"]

# One in so many of the inverse temperatures is enough to find step sizes.
_PILOT = 5


class Bracket(NamedTuple):
    """Bounds on log p(x) of data that the model has made itself.

    Attributes:
        lower: By annealing from the prior: below log p(x) in expectation.
        upper: By annealing from the latents that made x, which are exact draws of p(z|x):
            above log p(x) in expectation. One per example each.
    """

    lower: np.ndarray
    upper: np.ndarray

    @property
    def gap(self) -> float:
        """Mean of upper - lower, in nats: `ais` with equal arguments is off by less."""
        return float(np.mean(self.upper - self.lower, dtype="float64"))

    def __str__(self) -> str:
        return (
            f"{np.mean(self.lower):.3f} <= log p(x) <= {np.mean(self.upper):.3f} nats, a gap "
            f"of {self.gap:.3f}, mean of {len(self.lower):,} simulated examples"
        )


def ais(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    chains: int = 16,
    temperatures: int = 500,
    leapfrogs: int = 10,
    seed: int | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> LogMarginal:
    """Estimate log p(x) by annealed importance sampling from the prior: no encoder is asked.

    A check on the importance-weighted estimate, which an encoder that is bad for some x
    makes too low. Latents go from p(z) to p(z|x) along p(z) p(x|z)**b by Hamiltonian Monte
    Carlo, whose step sizes are found, by example and b, in shorter annealing before.

    Args:
        model: One whose latents are real vectors and whose prior has a density.
        x: `[examples, *raw_shape]`.
        condition: One per example, or one for all. Defaults to `None`.
        chains: Per example. Defaults to `16`.
        temperatures: Steps from b = 0 to 1, closest at both ends. Defaults to `500`; more
            make the bound tighter.
        leapfrogs: Steps of each proposal. Defaults to `10`.
        seed: Of all draws. Defaults to `None`: from entropy.
        batch_size: Examples at a time. Defaults to `64`.
        progress: Whether to show a bar. Defaults to `True`.

    Returns:
        Estimates whose samples are the chains.

    Raises:
        ValueError: If x is bad, a number is not a positive integer, or the model's latents
            are no real vectors.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> x = np.zeros([5, 6])
    >>> found = keras_vae.evaluation.ais(model, x, temperatures=50, seed=0, progress=False)
    >>> again = model.log_marginal(x, samples=5_000, seed=0)
    >>> bool(np.abs(found.values - again).max() < 0.1)
    True

    Reference: Neal (2001), Annealed Importance Sampling; Wu, Burda, Salakhutdinov and Grosse
    (2017), On the Quantitative Analysis of Decoder-Based Generative Models.
    """
    _require_annealable(model, chains, temperatures, leapfrogs)
    require_integer("batch_size", batch_size)
    condition = model.conditions.check("condition", condition, require_examples("x", x))
    x = model.checked_events(x, scored=True)

    def compute(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor, ...]:
        parts = _parts(model, model.preprocessed(x), condition)
        start = _prior_draws(model, parts, tf.shape(x)[0], chains, key)
        log_weight = _annealed(start, parts, temperatures, leapfrogs, key)
        return _log_mean(log_weight)

    def block(x: Any, condition: Any, seed: int) -> tuple[np.ndarray, ...]:
        name = f"ais {chains} {temperatures} {leapfrogs}"
        key = Stream.AIS.key(seed)
        found = model.in_batches(name, compute, x, batch_size, key, condition)
        return without_nan(model, found[0], -np.inf), without_nan(model, found[1], 0.0)

    label = "annealing" if progress else None
    values, effective = in_blocks(block, x, condition, block=batch_size, seed=seed, label=label)
    method = "annealed importance sampling"
    return LogMarginal(values, effective, chains, method, model.likelihood.given)


def bdmc(
    model: VAE,
    count: int = 100,
    *,
    condition: Any = None,
    chains: int = 16,
    temperatures: int = 500,
    leapfrogs: int = 10,
    seed: int | None = None,
    batch_size: int = 64,
    progress: bool = True,
) -> Bracket:
    """Bracket log p(x) of data drawn from the model, to see how exact `ais` is for it.

    For such data an exact draw of p(z|x) is known: the latents that made x. Annealing from
    there to the prior bounds log p(x) from above, as annealing from the prior to there does
    from below (bidirectional Monte Carlo).

    Args:
        model: As in `ais`.
        count: How many examples to draw. Defaults to `100`.
        condition: One for each, or one for all. Defaults to `None`.
        chains: As in `ais`.
        temperatures: As in `ais`.
        leapfrogs: As in `ais`.
        seed: As in `ais`.
        batch_size: As in `ais`.
        progress: As in `ais`.

    Raises:
        ValueError: As `ais`, or if the decoder is autoregressive: it draws no x in one go.

    Reference: Grosse, Ghahramani and Adams (2015), Sandwiching the Marginal Likelihood Using
    Bidirectional Monte Carlo.
    """
    _require_annealable(model, chains, temperatures, leapfrogs)
    require_integer("count", count)
    require_integer("batch_size", batch_size)
    if model.autoregressive:
        raise ValueError("`bdmc` draws x from p(x|z), which an autoregressive decoder writes.")
    condition = model.conditions.check("condition", condition, count)

    def compute(
        rows: tf.Tensor, key: tf.Tensor, condition: Any = None
    ) -> tuple[tf.Tensor, ...]:
        prepared = model.conditions.prepared(condition, rows)
        noise = numerics.draw_noise(
            model.prior.noise_spec(), [tf.shape(rows)[0]], numerics.fold_in(key, 10)
        )
        z = model.prior.sample(noise, model.context(condition=prepared))
        params = model.likelihood_params(z, condition=prepared)
        x = model.likelihood.sample(params, numerics.fold_in(key, 11))
        parts = _parts(model, x, condition)
        start = _prior_draws(model, parts, tf.shape(rows)[0], chains, key)
        forward = _annealed(start, parts, temperatures, leapfrogs, key)
        # One exact draw for each example stands at the head of all its chains.
        exact = tf.tile(z[None], [chains, 1, 1])
        backward = _annealed(exact, parts, temperatures, leapfrogs, key, back=True)
        return _log_mean(forward)[0], -_log_mean(backward)[0]

    def block(rows: Any, condition: Any, seed: int) -> tuple[np.ndarray, ...]:
        name = f"bdmc {chains} {temperatures} {leapfrogs}"
        return tuple(
            model.in_batches(name, compute, rows, batch_size, Stream.BDMC.key(seed), condition)
        )

    label = "annealing both ways" if progress else None
    rows = np.zeros(count, "float32")
    found = in_blocks(block, rows, condition, block=batch_size, seed=seed, label=label)
    return Bracket(*found)


# Annealing on a model.


class _Parts(NamedTuple):
    log_prior: Any
    log_likelihood: Any
    context: Any


def _parts(model: VAE, x: tf.Tensor, condition: tf.Tensor | None) -> _Parts:
    """The densities between which latents of x are annealed."""
    prepared = model.conditions.prepared(condition, x)
    context, target = model.masked(model.context(condition=prepared), x)

    def log_likelihood(z: tf.Tensor) -> tf.Tensor:
        decoded = model.likelihood_params(z, False, prepared, target)
        return model.likelihood.log_prob(decoded, target, context.mask, context)

    return _Parts(lambda z: model.prior.log_prob(z, context), log_likelihood, context)


def _prior_draws(
    model: VAE, parts: _Parts, rows: tf.Tensor, chains: int, key: tf.Tensor
) -> tf.Tensor:
    noise = numerics.draw_noise(
        model.prior.noise_spec(), [chains, rows], numerics.fold_in(key, 0)
    )
    return model.prior.sample(noise, parts.context)


def _annealed(
    start: tf.Tensor,
    parts: _Parts,
    temperatures: int,
    leapfrogs: int,
    key: tf.Tensor,
    *,
    back: bool = False,
) -> tf.Tensor:
    """Log-weights of annealing up to p(z) p(x|z), or back from there, `[chains, batch]`."""
    densities = (parts.log_prior, parts.log_likelihood)

    def schedule(count: int) -> tf.Tensor:
        values = sigmoid_schedule(count)
        return tf.constant(values[::-1] if back else values, start.dtype)

    pilot = max(1, temperatures // _PILOT)
    stream = 3 if back else 1
    found = adapted_steps(
        start, *densities, schedule(pilot), leapfrogs, numerics.fold_in(key, stream)
    )
    steps = tf.gather(found, tf.range(temperatures) * pilot // temperatures)
    return anneal(
        start,
        *densities,
        schedule(temperatures),
        steps,
        leapfrogs,
        numerics.fold_in(key, stream + 1),
    )


def _log_mean(log_weight: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Log of the mean weight of all chains, and how many of them count."""
    chains, rows = tf.unstack(tf.shape(log_weight))
    whole = estimators.chunked_log_mean_exp(lambda index: log_weight, chains, chains, rows)
    value, effective = (tf.cast(each, numerics.density_dtype()) for each in whole)
    return value, effective


def _require_annealable(model: VAE, chains: int, temperatures: int, leapfrogs: int) -> None:
    require_integer("chains", chains)
    require_integer("temperatures", temperatures)
    require_integer("leapfrogs", leapfrogs)
    space = model.posterior.space
    if space != "real vectors" or len(model.posterior.latent_shape) != 1:
        raise ValueError(
            f"Annealing moves latents that are real vectors. Received: a model whose latents "
            f"are {space} of shape {model.posterior.latent_shape}. Use "
            f"evaluation.log_marginal."
        )

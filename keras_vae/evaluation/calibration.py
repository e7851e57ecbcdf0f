"""Whether data could be draws of the model: where x ranks among draws of p(x|z).

Floor 5.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import is_number, require_examples, require_integer
from keras_vae.evaluation.blocks import in_blocks
from keras_vae.models import VAE
from keras_vae.streams import Stream

__all__ = ["Calibration", "calibration"]

# Draws that are held at a time, each of one example.
_HELD = 4096
# Share of the data's standard deviation within which values are one and the same: rounding of
# float32 on the way through a preprocessor.
_SAME = 1e-5


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How often data take each rank among draws of p(x|z): equally often, if all is well.

    More low and high ranks than middle ones say that p(x|z) is too narrow, fewer that it is too
    wide; a slope says that it lies too high or too low.

    Attributes:
        shares: Of an example's elements, how many take each rank, `[examples, draws + 1]`;
            without examples that miss all their values.
        interrupted: Whether some of the examples that were asked for were not looked at.
    """

    shares: np.ndarray
    interrupted: bool = False

    @property
    def mean(self) -> np.ndarray:
        """Share of each rank, mean over examples, `[draws + 1]`."""
        mean: np.ndarray = self.shares.mean(axis=0)
        return mean

    @property
    def standard_errors(self) -> np.ndarray:
        """Of each share, by the spread over examples."""
        errors: np.ndarray = self.shares.std(axis=0, ddof=1) / math.sqrt(len(self.shares))
        return errors

    @property
    def error(self) -> float:
        """Largest distance of the cumulated shares from those of equal ones: 0 to 1."""
        ranks = self.shares.shape[1]
        equal = np.arange(1, ranks + 1) / ranks
        return float(np.max(np.abs(np.cumsum(self.mean) - equal)))

    def coverage(self, level: float) -> float:
        """Share of the elements inside the central interval of so much probability.

        Args:
            level: Such as 0.9; taken to the nearest that the number of draws can tell.

        Raises:
            ValueError: If `level` is not in (0, 1).
        """
        if not is_number(level) or not 0 < level < 1:
            raise ValueError(f"`level` must be in (0, 1). Received: level={level!r}.")
        ranks = self.shares.shape[1]
        outside = round((1 - level) / 2 * ranks)
        return float(self.mean[outside : ranks - outside].sum())

    def __str__(self) -> str:
        return (
            f"of {len(self.shares):,} examples, {self.coverage(0.5):.1%} of the elements lie "
            f"in the central half of p(x|z), {self.coverage(0.9):.1%} in the central nine "
            f"tenths; calibration error {self.error:.3f}"
        )


def calibration(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    draws: int = 19,
    max_examples: int = 1_000,
    seed: int = 0,
    progress: bool = True,
) -> Calibration:
    """Rank each element of x among draws of p(x|z), with one z of q(z|x) for each example.

    If the data come from the model and q(z|x) is its posterior, x is one more draw of p(x|z):
    all ranks are equally likely. Equal values, as of bits, are ranked at random. A miss is one
    of p(x|z), of q(z|x), or of both. Interrupted from the keyboard, it returns what it has.

    Args:
        model: Any model.
        x: `[examples, *raw_shape]`, held-out; NaN where missing does not count. The first
            `max_examples` count; at least two.
        condition: One per example, or one for all. Defaults to `None`.
        draws: Of p(x|z). Defaults to `19`: ranks of 5% each.
        max_examples: Defaults to `1000`.
        seed: Of the draws.
        progress: Whether to show a bar. Defaults to `True`.

    Raises:
        ValueError: If x is bad or has fewer than two examples, or a number is not a positive
            integer.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(1.0),
    ...     event_shape=(6,),
    ... )
    >>> x = np.full([50, 6], 9.0)  # far above what the untrained model expects
    >>> found = keras_vae.evaluation.calibration(model, x, progress=False)
    >>> round(found.coverage(0.9), 1), round(found.error, 1)
    (0.0, 0.9)

    Reference: Cook, Gelman and Rubin (2006), Validation of Software for Bayesian Models, of
    ranks; Gelman, Meng and Stern (1996), section 2.3, of draws given drawn latents.
    """
    require_integer("draws", draws)
    require_integer("max_examples", max_examples, least=2)
    require_examples("x", x, 2)
    x = model.checked_events(x[:max_examples])
    if condition is not None and np.ndim(condition) > 0:
        condition = condition[:max_examples]
    condition = model.conditions.check("condition", condition, len(x))
    same = _SAME * np.nanstd(x, dtype="float64")

    def drawn(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        prepared = model.conditions.prepared(condition, x)
        params = model.posterior_params(model.preprocessed(x), condition=prepared)
        noise = numerics.draw_noise(
            model.posterior.noise_spec(), [1, tf.shape(x)[0]], numerics.fold_in(key, 0)
        )
        context = model.context(condition=prepared)
        z = model.posterior.sample_and_log_prob(params, noise, context).latents[0]
        if model.autoregressive:

            def draw(key: tf.Tensor) -> tf.Tensor:
                return model.decoded_points(z, prepared, key)
        else:
            of_x = model.likelihood_params(z, condition=prepared)

            def draw(key: tf.Tensor) -> tf.Tensor:
                return model.restored(model.likelihood.sample(of_x, key))

        keys = [numerics.fold_in(key, index + 1) for index in range(draws)]
        return (tf.stack([draw(key) for key in keys], axis=1),)

    rows = max(2, _HELD // draws)

    def block(x: Any, condition: Any, seed: int) -> tuple[np.ndarray]:
        name = f"calibration {draws}"
        values = model.in_batches(
            name, drawn, x, rows, Stream.CALIBRATION.key(seed), condition
        )[0]
        return (_shares(np.asarray(x), values, same, np.random.default_rng(seed)),)

    label = "calibration" if progress else None
    (shares,) = in_blocks(block, x, condition, block=rows, seed=seed, label=label)
    return Calibration(shares[~np.isnan(shares[:, 0])], interrupted=len(shares) < len(x))


def _shares(
    x: np.ndarray, draws: np.ndarray, same: float, rng: np.random.Generator
) -> np.ndarray:
    """Share of each rank among the elements of each example, NaN if all are missing."""
    x, draws = x.reshape(len(x), 1, -1), draws.reshape(*draws.shape[:2], -1)
    difference = draws.astype("float64") - x
    below = np.sum(difference < -same, axis=1)
    equal = np.sum(np.abs(difference) <= same, axis=1)
    ranks = below + rng.integers(0, equal + 1)
    present = ~np.isnan(x[:, 0])
    counts = np.stack(
        [np.sum((ranks == rank) & present, axis=1) for rank in range(draws.shape[1] + 1)],
        axis=1,
    )
    known = present.sum(axis=1, keepdims=True)
    shares: np.ndarray = counts / np.where(known > 0, known, np.nan)
    return shares

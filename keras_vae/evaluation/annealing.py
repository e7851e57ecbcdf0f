"""Annealed importance sampling: from one density to another by small steps.

Floor 5. Neal (2001), Annealed Importance Sampling; Wu, Burda, Salakhutdinov and Grosse (2017),
On the Quantitative Analysis of Decoder-Based Generative Models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics

__all__ = ["adapted_steps", "anneal", "sigmoid_schedule"]

LogDensity = Callable[[tf.Tensor], tf.Tensor]

# What Hamiltonian Monte Carlo should accept: Neal (2011), section 5.4.4.2.
_ACCEPTED = 0.65
# How fast the step follows what is accepted, on a scale of logarithms.
_RATE = 0.3
_FIRST_STEP = 0.1
_STEEPNESS = 4.0
_SMALLEST, _LARGEST = 1e-5, 10.0


def sigmoid_schedule(count: int) -> np.ndarray:
    """Inverse temperatures from 0 to 1, closest at both ends, `[count + 1]`.

    Reference: Wu et al. (2017), section 4.
    """
    ends = _STEEPNESS * np.linspace(-1.0, 1.0, count + 1)
    values = 1 / (1 + np.exp(-ends))
    schedule: np.ndarray = (values - values[0]) / (values[-1] - values[0])
    return schedule


def anneal(
    start: tf.Tensor,
    log_base: LogDensity,
    log_factor: LogDensity,
    schedule: tf.Tensor,
    steps: tf.Tensor,
    leapfrogs: int,
    key: tf.Tensor,
) -> tf.Tensor:
    """Log-weights of annealing along `log_base + b * log_factor`.

    Their log-mean-exp over chains is a lower bound, in expectation, of the log of the ratio of
    the integrals at the schedule's end and beginning.

    Args:
        start: Draws from the density at the schedule's beginning, `[chains, batch, dim]`.
        log_base: `z -> [chains, batch]`.
        log_factor: The same.
        schedule: The values of b, `[count + 1]`.
        steps: Step sizes at `schedule[1:]`, `[count, batch]`.
        leapfrogs: Steps of one proposal.
        key: Key of the proposals.

    Returns:
        `[chains, batch]`, float64.
    """

    def body(
        index: tf.Tensor, z: tf.Tensor, log_weight: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gained = (schedule[index + 1] - schedule[index]) * log_factor(z)
        log_weight += tf.cast(gained, tf.float64)
        step = steps[index][None, :, None]
        z, _ = _moved(z, log_base, log_factor, schedule[index + 1], step, leapfrogs, key, index)
        return index + 1, z, log_weight

    zero = tf.zeros(tf.shape(start)[:2], tf.float64)
    _, _, log_weight = tf.while_loop(
        lambda index, *_: index < tf.shape(schedule)[0] - 1,
        body,
        (tf.constant(0), start, zero),
    )
    return log_weight


def adapted_steps(
    start: tf.Tensor,
    log_base: LogDensity,
    log_factor: LogDensity,
    schedule: tf.Tensor,
    leapfrogs: int,
    key: tf.Tensor,
) -> tf.Tensor:
    """Step sizes that accept about 65% at `schedule[1:]`, `[count, batch]`.

    Found by annealing whose steps follow what the chains of an example accept. Weights of
    that annealing would be biased; those of another one with these steps, fixed, are not.

    Args:
        start: As in `anneal`.
        log_base: As in `anneal`.
        log_factor: As in `anneal`.
        schedule: As in `anneal`.
        leapfrogs: As in `anneal`.
        key: Key of the proposals.
    """
    count = tf.shape(schedule)[0] - 1

    def body(
        index: tf.Tensor, z: tf.Tensor, step: tf.Tensor, found: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        found = found.write(index, step)
        z, accepted = _moved(
            z,
            log_base,
            log_factor,
            schedule[index + 1],
            step[None, :, None],
            leapfrogs,
            key,
            index,
        )
        step *= tf.exp(_RATE * (tf.reduce_mean(accepted, axis=0) - _ACCEPTED))
        return index + 1, z, tf.clip_by_value(step, _SMALLEST, _LARGEST), found

    first = tf.fill(tf.shape(start)[1:2], tf.constant(_FIRST_STEP, start.dtype))
    array = tf.TensorArray(start.dtype, count, element_shape=first.shape)
    *_, found = tf.while_loop(
        lambda index, *_: index < count, body, (tf.constant(0), start, first, array)
    )
    return found.stack()


def _moved(
    z: tf.Tensor,
    log_base: LogDensity,
    log_factor: LogDensity,
    weight: tf.Tensor,
    step: tf.Tensor,
    leapfrogs: int,
    key: tf.Tensor,
    index: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One proposal of Hamiltonian Monte Carlo: z after it, and the chance it had."""
    kernel = tfp.mcmc.HamiltonianMonteCarlo(
        lambda z: log_base(z) + weight * log_factor(z),
        step_size=step,
        num_leapfrog_steps=leapfrogs,
    )
    z, results = kernel.one_step(
        z, kernel.bootstrap_results(z), seed=numerics.fold_in(key, index)
    )
    return z, tf.exp(tf.minimum(results.log_accept_ratio, 0.0))

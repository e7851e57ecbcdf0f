"""Values that change during training, as functions of the number of updates applied.

Floor 1.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_number, require_positive
from keras_vae.component import FromSignature, register
from keras_vae.terms import Context

__all__ = [
    "Constant",
    "Cyclical",
    "LinearWarmup",
    "Schedule",
    "Scheduled",
    "Sigmoid",
    "value_at",
]


class Schedule(FromSignature):
    """A scalar that depends on the step; has no weights and needs no optimizer.

    Subclasses implement `__call__(step)`, which runs inside the compiled training step, and
    `settles_after`.
    """

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the value at `step`.

        Args:
            step: Number of updates applied so far, an integer scalar.

        Returns:
            A scalar tensor of the density dtype.
        """
        raise NotImplementedError

    def settles_after(self) -> int:
        """Return the number of updates after which the value no longer changes.

        Those of one cycle for a schedule that repeats for ever.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say when its value settles. Implement "
            f"`settles_after`."
        )


@register("schedules")
class Constant(Schedule):
    """The same value at every step.

    Args:
        value: The value. Defaults to `1.0`.

    Example:
    >>> float(keras_vae.schedules.Constant(0.5)(100))
    0.5
    """

    def __init__(self, value: float = 1.0) -> None:
        self.value = require_number("value", value)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return tf.constant(self.value, numerics.density_dtype())

    def settles_after(self) -> int:
        return 0


@register("schedules")
class LinearWarmup(Schedule):
    """Straight line from `start` to `end` over the first `steps` updates, then `end`.

    Args:
        steps: Updates until `end` is reached.
        start: Value at step 0. Defaults to `0.0`.
        end: Value from `steps` on. Defaults to `1.0`.

    Raises:
        ValueError: If `steps < 1`.

    Example:
    >>> float(keras_vae.schedules.LinearWarmup(steps=100)(25))
    0.25

    Reference: Bowman et al. (2016), Generating Sentences from a Continuous Space, 3.1;
    Sonderby et al. (2016), Ladder Variational Autoencoders, 2.3.
    """

    def __init__(self, steps: float, start: float = 0.0, end: float = 1.0) -> None:
        require_positive("steps", steps)
        self.steps = steps
        self.start = require_number("start", start)
        self.end = require_number("end", end)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        done = tf.clip_by_value(_real(step) / self.steps, 0.0, 1.0)
        return self.start + (self.end - self.start) * done

    def settles_after(self) -> int:
        return math.ceil(self.steps)


@register("schedules")
class Cyclical(Schedule):
    """Repeated linear warm-ups: in each period a rise from `start` to `end`, then `end`.

    Args:
        period: Updates of one cycle.
        rise: Share of the period spent rising, in (0, 1]. Defaults to `0.5`.
        cycles: Number of cycles; after them the value stays at `end`. Defaults to `None`,
            which means for ever.
        start: Value at the beginning of each cycle. Defaults to `0.0`.
        end: Value at the top. Defaults to `1.0`.

    Raises:
        ValueError: If `period < 1`, `cycles < 1` or `rise` is outside (0, 1].

    Example:
    >>> beta = keras_vae.schedules.Cyclical(period=100)
    >>> [float(beta(step)) for step in (0, 25, 75, 100, 125)]
    [0.0, 0.5, 1.0, 0.0, 0.5]

    Reference: Fu et al. (2019), Cyclical Annealing Schedule, equations 6-7.
    """

    def __init__(
        self,
        period: int,
        rise: float = 0.5,
        cycles: int | None = None,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        for name, value in (("period", period), ("cycles", 1 if cycles is None else cycles)):
            require_positive(name, value)
            require_integer(name, value)
        if not 0 < require_number("rise", rise) <= 1:
            raise ValueError(f"`rise` must be in (0, 1]. Received: rise={rise}.")
        self.period = period
        self.rise = rise
        self.cycles = cycles
        self.start = require_number("start", start)
        self.end = require_number("end", end)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        # The remainder is taken in integers: exact at any step, unlike in float32.
        step = tf.cast(step, tf.int64)
        phase = _real(step % self.period) / self.period
        done = tf.minimum(phase / self.rise, 1.0)
        if self.cycles is not None:
            done = tf.where(step >= self.period * self.cycles, tf.ones_like(done), done)
        return self.start + (self.end - self.start) * done

    def settles_after(self) -> int:
        if self.cycles is None:
            return self.period
        return self.period * (self.cycles - 1) + math.ceil(self.period * self.rise)


@register("schedules")
class Sigmoid(Schedule):
    """S-shaped rise from `start` to `end`, half-way at `midpoint`.

    Args:
        midpoint: Step at which the value is half-way.
        width: Updates per unit of the logistic function's argument; about 90% of the rise
            happens within six widths. Defaults to `None`, which means `midpoint / 6`.
        start: Value long before the midpoint. Defaults to `0.0`.
        end: Value long after it. Defaults to `1.0`.

    Raises:
        ValueError: If `midpoint` or `width` is not positive.

    Example:
    >>> float(keras_vae.schedules.Sigmoid(midpoint=600)(600))
    0.5

    Reference: Bowman et al. (2016), Generating Sentences from a Continuous Space, 3.1.
    """

    def __init__(
        self,
        midpoint: float,
        width: float | None = None,
        start: float = 0.0,
        end: float = 1.0,
    ) -> None:
        require_positive("midpoint", midpoint)
        if width is not None:
            require_positive("width", width)
        self.midpoint = midpoint
        self.width = width
        self.start = require_number("start", start)
        self.end = require_number("end", end)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        width = self.midpoint / 6 if self.width is None else self.width
        done = tf.sigmoid((_real(step) - self.midpoint) / width)
        return self.start + (self.end - self.start) * done

    def settles_after(self) -> int:
        # It approaches `end` for ever: settled when 99% of the way are done.
        width = self.midpoint / 6 if self.width is None else self.width
        return math.ceil(self.midpoint + width * math.log(99))


class Scheduled(FromSignature):
    """Mixin for parts whose constructor arguments may be schedules; these are logged.

    Example:
    >>> warm_up = keras_vae.schedules.LinearWarmup(steps=100)
    >>> keras_vae.objectives.ELBO(capacity=[2.0, warm_up]).schedule_names()
    ['capacity_1']
    """

    def schedules(self) -> dict[str, Schedule]:
        """The arguments that are schedules, by name; those of a list are numbered."""
        found: dict[str, Schedule] = {}
        for name in self.argument_names():
            value = getattr(self, name)
            items = {name: value}
            if isinstance(value, (list, tuple)):
                items = {f"{name}_{index}": item for index, item in enumerate(value)}
            found.update({n: v for n, v in items.items() if isinstance(v, Schedule)})
        return found

    def scheduled(self, context: Context) -> dict[str, tf.Tensor]:
        """Present values of the arguments that are schedules, by name."""
        return {name: value_at(s, context.step) for name, s in self.schedules().items()}

    def schedule_names(self) -> list[str]:
        """Names of the arguments that are schedules."""
        return list(self.schedules())


def value_at(number_or_schedule: float | Schedule, step: tf.Tensor | None) -> tf.Tensor:
    """Value of a number or a schedule at `step`.

    Raises:
        ValueError: If a schedule is asked for its value without a step.
    """
    if isinstance(number_or_schedule, Schedule):
        if step is None:
            raise ValueError("A schedule needs `context.step`. Received: step=None.")
        return number_or_schedule(step)
    return tf.constant(number_or_schedule, numerics.density_dtype())


def _real(step: Any) -> tf.Tensor:
    return tf.cast(step, numerics.density_dtype())

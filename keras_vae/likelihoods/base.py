"""The contract of p(x|z).

Floor 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import Component
from keras_vae.terms import Context

__all__ = ["Likelihood", "Support"]


class Support(NamedTuple):
    """Where a likelihood's density lives.

    Attributes:
        lower: Smallest value allowed; `None` if there is none.
        upper: Largest value allowed; `None` if there is none.
        fix: What to do with data outside of it, as a clause of an error message.
    """

    lower: float | None = None
    upper: float | None = None
    fix: str = ""

    def __str__(self) -> str:
        lower = "-inf" if self.lower is None else f"{self.lower:g}"
        upper = "inf" if self.upper is None else f"{self.upper:g}"
        return f"[{lower}, {upper}]"

    def violations(self, x: tf.Tensor) -> tf.Tensor:
        """Whether any element of `x` is outside: a boolean scalar tensor. NaN is not."""
        outside = tf.constant(False)
        if self.lower is not None:
            outside = outside | tf.reduce_any(x < self.lower)
        if self.upper is not None:
            outside = outside | tf.reduce_any(x > self.upper)
        return outside


class Likelihood(Component):
    """p(x|z): a family of distributions over data.

    The decoder emits parameters `[..., *params_shape(event_shape)]`. The model builds a
    likelihood with the event's shape; weights, if it has any, are made in `build`.

    Subclassing: implement `params_shape` and `distribution`; set `support`. The rest
    follows for distributions that are independent over the event. Override
    `elementwise_log_prob` or `mean` for a closed form.
    """

    #: Values that x may take.
    support = Support()

    def build(self, event_shape: tuple[int, ...]) -> None:
        """Remember the shape of one example and make weights."""
        if not self.built:
            self.event_shape = tuple(event_shape)
            self.built = True

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the parameters of one example: `event_shape[:-1] + (n,)`."""
        raise NotImplementedError

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z) as a TFP distribution with event `event_shape`."""
        raise NotImplementedError

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        """log-density of each element of x in nats, `[sample, batch, *event]`."""
        return self.distribution(params).distribution.log_prob(x)

    def log_prob(
        self,
        params: tf.Tensor,
        x: tf.Tensor,
        mask: tf.Tensor | None = None,
        context: Context | None = None,
    ) -> tf.Tensor:
        """Log p(x|z) in nats, summed over the event.

        Args:
            params: `[sample, batch, *params_shape]`.
            x: `[batch, *event_shape]`.
            mask: `[batch, *event_shape]`, `True` where x was observed; the rest does not
                count. Defaults to `None`: all of it.
            context: What is known of the step. Defaults to an empty one.

        Returns:
            `[sample, batch]`.
        """
        context = Context() if context is None else context
        if mask is None:
            elementwise = self.elementwise_log_prob(params, x, None, context)
        else:
            # Filled before the density and masked after it, so that no NaN arises in the
            # value or, through the branch not taken, in the gradient.
            x = tf.where(mask, x, tf.cast(self._filler(), x.dtype))
            elementwise = self.elementwise_log_prob(params, x, mask, context)
            elementwise = tf.where(mask, elementwise, tf.zeros_like(elementwise))
        return numerics.sum_over_event(elementwise, len(self.event_shape))

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|z), `[..., *event_shape]`."""
        return self.distribution(params).mean()

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        """Draw x from p(x|z), `[..., *event_shape]`.

        Args:
            params: `[..., *params_shape]`.
            seed: Any integer, a key, or `None` for a fresh one from Python's generator.
        """
        return self.distribution(params).sample(seed=numerics.key_from_seed(seed))

    def _filler(self) -> float:
        return 0.0 if self.support.lower is None else self.support.lower


def require_one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    """Raise a ValueError that lists the options if `value` is none of them."""
    if value not in options:
        raise ValueError(f"`{name}` must be one of {options}. Received: {name}={value!r}.")

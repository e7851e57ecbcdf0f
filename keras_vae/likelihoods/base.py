"""The contract of p(x|z).

Floor 2.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import Component
from keras_vae.parameters import tensor_parameters
from keras_vae.streams import Stream
from keras_vae.terms import Context, Support

__all__ = ["Likelihood", "Support"]


class Likelihood(Component):
    """p(x|z): a family of distributions over data.

    The decoder emits parameters `[..., *params_shape(event_shape)]`. The model builds a
    likelihood with the event's shape; weights, if it has any, are made in `build`.

    Subclassing: implement `params_shape` and `distribution`; set `support`. The rest
    follows for distributions that are independent over the event. Override
    `elementwise_log_prob` or `mean` for a closed form; `point` and `mixture_point` where a
    mean is no sensible value, as for categories; `encoder_input` where raw values do not
    suit a network, as for counts; `discrete` and `has_mass` where x has probabilities but its
    support is not the integers.
    """

    #: Values that x may take.
    support = Support()
    #: Whether parts of an event can be left out: not where the density of one element needs
    #: all of them.
    maskable = True
    #: Whether `distribution` exists.
    has_distribution = True
    #: Number of training examples that `adapt` wants to see.
    adapt_rows = 0
    #: What `log_prob` takes of x itself as given, in words. It is then no log p(x), and does
    #: not compare with one. `None`: nothing.
    given: str | None = None
    #: How the family follows a change of units: `"affine"` if it is closed under shifting and
    #: stretching x; `"log"` if the first parameters, one per element, are logarithms of x's
    #: typical size; `None` if it has no units.
    units: str | None = None
    #: Shape of a weight that stands for all elements of an event. A table, whose columns
    #: share nothing, sets it to `(columns,)` before `build`.
    shared_shape: tuple[int, ...] = ()

    @property
    def discrete(self) -> bool:
        """Whether `log_prob` is the logarithm of a probability, not of a density."""
        return self.support.integer

    def discrete_elements(self) -> np.ndarray:
        """`discrete` of each element, `[*event_shape]`."""
        return np.full(self.event_shape, self.discrete)

    def has_mass(self, x: tf.Tensor) -> tf.Tensor:
        """Whether each element of x is a value with a probability; of discrete elements.

        NaN is taken for one: it does not count.
        """
        return (x == tf.round(x)) | tf.math.is_nan(x)

    def cell(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Ends of the interval of values that share the probability of x, by element.

        Only of likelihoods that round x; `None` for all others.
        """
        return None

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

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        """What describes p(x|z), by name, each `[batch, ...]`: what other programs can use.

        Args:
            params: `[batch, *params_shape]`.
        """
        return tensor_parameters(self.distribution(params))

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

        Raises:
            ValueError: If there is a mask although the likelihood is not `maskable`.
        """
        context = Context() if context is None else context
        elementwise = self.observed_log_prob(params, x, mask, context)
        return numerics.sum_over_event(elementwise, len(self.event_shape))

    def observed_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        """`elementwise_log_prob`, 0 where x was not observed."""
        if mask is not None and not self.maskable:
            raise ValueError(
                f"`mask` must be None: {type(self).__name__} with these arguments needs the "
                f"whole of x. Received: a mask of shape {tuple(mask.shape)}. Impute what is "
                f"missing, or choose other arguments."
            )
        if mask is None:
            return self.elementwise_log_prob(params, x, None, context)
        # Filled before the density and masked after it, so that no NaN arises in the value
        # or, through the branch not taken, in the gradient.
        elementwise = self.elementwise_log_prob(params, self.filled(x, mask), mask, context)
        return tf.where(mask, elementwise, tf.zeros_like(elementwise))

    def weighted_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor | None:
        """What the objective sees in place of `log_prob`; `None` for `log_prob` itself.

        Only for weights that the user put on parts of the event: all that is logged and
        scored remains log p(x|z).
        """
        return None

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        """Mean of p(x|z), `[..., *event_shape]`."""
        return self.distribution(params).mean()

    def point(self, params: tf.Tensor) -> tf.Tensor:
        """The single value that stands for p(x|z): what the model reconstructs.

        The mean, unless that is no value of the data, as for categories.
        """
        return self.mean(params)

    def mixture_point(self, params: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The value that stands for a mixture of p(x|z) over several z.

        Args:
            params: `[sample, batch, *params_shape]`.
            weights: `[sample, batch]`, adding up to 1 over samples.

        Returns:
            `[batch, *event_shape]`.
        """
        return numerics.weighted_mean(self.mean(params), weights)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        """Draw x from p(x|z), `[..., *event_shape]`.

        Args:
            params: `[..., *params_shape]`.
            seed: Any integer, a key, or `None` for a fresh one from Python's generator.
        """
        return self.distribution(params).sample(seed=Stream.LIKELIHOOD_SAMPLE.key(seed))

    def encoder_input_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what `encoder_input` makes of one example."""
        return tuple(event_shape)

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        """What the encoder sees of x, `[batch, *encoder_input_shape(event_shape)]`."""
        return x

    def constrained_view(self, view: tf.Tensor) -> tf.Tensor:
        """Put trained values back among those that the encoder can see.

        Args:
            view: `[..., *encoder_input_shape(event_shape)]`, as from `encoder_input` but for
                small steps.
        """
        if type(self).encoder_input is not Likelihood.encoder_input:
            return view  # whatever that makes of the support
        lower, upper = self.support.lower, self.support.upper
        view = view if lower is None else keras.ops.maximum(view, lower)
        return view if upper is None else keras.ops.minimum(view, upper)

    def adapt(self, x: np.ndarray) -> None:
        """Prepare for the data: called once, before the first step of the first `fit`.

        Args:
            x: Training targets `[rows, *event_shape]`, NaN where missing; at random from all
                where they are an array, else the first; `adapt_rows` of them, or fewer where
                there are fewer.
        """

    def outside(self, x: tf.Tensor) -> tf.Tensor:
        """Whether each element of x is outside the support, shaped like x; NaN is not."""
        return self.support.outside(x) | tf.zeros_like(x, tf.bool)

    def violations(self, x: tf.Tensor) -> tf.Tensor:
        """Whether any element of x is outside the support: a boolean scalar. NaN is not."""
        return self.support.violations(x)

    def why_outside(self, x: np.ndarray, first_row: int = 0) -> str | None:
        """What is outside where, if parts of an event have supports of their own; else `None`.

        Args:
            x: `[rows, *event_shape]`.
            first_row: Number of its first row. Defaults to `0`.

        Returns:
            The rest of a sentence that begins with the name of x, and the fix.
        """
        return None

    def support_in_words(self) -> str:
        """The support, and what to do with data outside of it."""
        return f"{self.support}: {self.support.fix}"

    def filled(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Return x with a value of the support wherever it was not observed."""
        return keras.ops.where(mask, x, keras.ops.cast(self._filler(), x.dtype))

    def _filler(self) -> float:
        lower, upper = self.support.lower, self.support.upper
        if not self.support.open:
            return 0.0 if lower is None else lower
        if lower is None or upper is None:
            return 0.0 if lower is None else lower + 1.0
        return (lower + upper) / 2


def keyed_noise(kind: str, like: tf.Tensor, seed: Any, stream: int = 0) -> tf.Tensor:
    """Standard noise in the shape of a tensor.

    Args:
        kind: `"normal"`, or `"uniform"` on the open interval (0, 1).
        like: Tensor whose shape counts.
        seed: As in `Likelihood.sample`.
        stream: Tells the draws from one seed apart. Defaults to `0`.
    """
    key = numerics.fold_in(Stream.LIKELIHOOD_SAMPLE.key(seed), stream)
    spec = {"noise": numerics.NoiseSpec(kind, ())}
    noise = numerics.draw_noise(spec, tf.unstack(tf.shape(like)), key)["noise"]
    return numerics.open_uniform(noise) if kind == "uniform" else noise


def by_channel(params: tf.Tensor, channels: int, size: int) -> tf.Tensor:
    """Reshape `[..., channels * size]` to `[..., channels, size]`."""
    leading = [-1 if n is None else n for n in keras.ops.shape(params)[:-1]]
    return keras.ops.reshape(params, (*leading, channels, size))

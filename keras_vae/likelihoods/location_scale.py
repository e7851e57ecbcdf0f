"""What likelihoods with a location and a scale per element share.

Floor 2.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import require_one_of, require_positive
from keras_vae.likelihoods.base import Support
from keras_vae.likelihoods.running import RunningMean
from keras_vae.terms import Context

__all__ = ["LocationScale"]

tfd = tfp.distributions


class LocationScale(RunningMean):
    """p(x|z) of x = location + scale * noise, independent over the event.

    Subclassing: implement `standard_log_prob`, `standard_noise` and `family`; set
    `optimal_power` where the likeliest scale has a closed form.

    Args:
        scale: A positive number, `"learned"`, `"predicted"` or, where it exists,
            `"optimal"`. Defaults to `1.0`.
        min_scale: Scales that are not given do not fall below it. Defaults to `1e-3`.
        **kwargs: As in any Keras layer.
    """

    support = Support(fix="remove or impute them")
    units: str | None = "affine"
    #: The likeliest scale is the mean of |error|**power, to the power 1 / power; 0: there is
    #: no closed form.
    optimal_power = 0

    def __init__(
        self, scale: float | str = 1.0, *, min_scale: float = 1e-3, **kwargs: Any
    ) -> None:
        if isinstance(scale, str):
            modes = ("learned", "predicted", *(["optimal"] if self.optimal_power else []))
            require_one_of("scale", scale, modes)
        else:
            require_positive("scale", scale)
        require_positive("min_scale", min_scale)
        super().__init__(**kwargs)
        self.scale = scale
        self.min_scale = min_scale

    def standard_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """log-density of the noise, by element."""
        raise NotImplementedError

    def standard_noise(self, like: tf.Tensor, seed: Any) -> tf.Tensor:
        """Draw the noise, in the shape of a tensor."""
        raise NotImplementedError

    def family(self, location: tf.Tensor, scale: tf.Tensor) -> tfp.distributions.Distribution:
        """One element's distribution."""
        raise NotImplementedError

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        super().build(event_shape)
        if self.scale == "learned":
            start = keras.initializers.Constant(
                numerics.inverse_positive(1.0 + self.min_scale, self.min_scale)
            )
            self.raw_scale = self.add_weight(self.shared_shape, start, name="raw_scale")
        elif self.scale == "optimal":
            self.add_running_mean()

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        copies = 2 if self.scale == "predicted" else 1
        return (*event_shape[:-1], copies * event_shape[-1])

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        elements = self.family(self.location(params), self.scales(params))
        return tfd.Independent(elements, len(self.event_shape))

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        error = x - self.location(params)
        if self.scale == "optimal" and context.training:
            # At the optimum the likelihood's derivative with respect to the scale is zero,
            # so that the gradient of the profile likelihood is the one at a constant scale.
            scale = self._optimum(self.updated_mean(tf.abs(error) ** self.optimal_power, mask))
        else:
            scale = self.scales(params)
        return self.standard_log_prob(error / scale) - tf.math.log(scale)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return self.location(params)

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        location = self.location(params)
        return location + self.scales(params) * self.standard_noise(location, seed)

    def location(self, params: tf.Tensor) -> tf.Tensor:
        """Location of each element, `[..., *event_shape]`."""
        return params[..., : self.event_shape[-1]]

    def scales(self, params: tf.Tensor) -> tf.Tensor:
        """Scale of each element, or those of `shared_shape`."""
        if self.scale == "predicted":
            return numerics.positive(params[..., self.event_shape[-1] :], self.min_scale)
        if self.scale == "learned":
            return numerics.positive(tf.convert_to_tensor(self.raw_scale), self.min_scale)
        if self.scale == "optimal":
            return self._optimum(self.running_mean())
        return tf.constant(self.scale, params.dtype)

    def _optimum(self, mean_power: tf.Tensor) -> tf.Tensor:
        return tf.maximum(mean_power ** (1 / self.optimal_power), self.min_scale)

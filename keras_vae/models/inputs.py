"""What a model takes: events and conditions, raw or preprocessed, checked.

Floor 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.data.containers import columns_of
from keras_vae.likelihoods import Likelihood
from keras_vae.models.batch import Batch, of_known_shape, weights_of
from keras_vae.models.checks import Wanted, is_arrays, split_mapping
from keras_vae.models.compiling import Compiled
from keras_vae.models.conditions import Conditions
from keras_vae.models.state import TrainingState
from keras_vae.models.streams import check_data, with_known_shapes
from keras_vae.posteriors import Posterior
from keras_vae.preprocessors import Preprocessor
from keras_vae.priors import Prior
from keras_vae.terms import Context

__all__ = ["Inputs"]


class Inputs(Compiled):
    """A Keras model of events and, if it is conditional, conditions."""

    posterior: Posterior
    prior: Prior
    likelihood: Likelihood
    event_shape: tuple[int, ...]
    conditions: Conditions
    missing: str | None
    preprocessor: Preprocessor | None
    state: TrainingState

    def context(
        self,
        *,
        training: bool = False,
        condition: tf.Tensor | None = None,
        target: tf.Tensor | None = None,
    ) -> Context:
        """What parts may know about the present step."""
        raise NotImplementedError

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one example as users give it; the event's without a preprocessor."""
        if self.preprocessor is None:
            return self.event_shape
        return self.preprocessor.raw_shape(self.event_shape)

    def preprocessed(self, x: Any) -> tf.Tensor:
        """What the parts see of raw data: floats, `[batch, *event]`.

        Args:
            x: `[batch, *raw_shape]`, real or symbolic.
        """
        if keras.utils.is_keras_tensor(x):
            x = keras.ops.cast(x, numerics.density_dtype())
        else:
            x = numerics.as_density(x)
        return x if self.preprocessor is None else self.preprocessor.forward(x)

    def restored(self, x: tf.Tensor) -> tf.Tensor:
        """Raw data of what the parts make, as floats: undoes `preprocessed`."""
        return x if self.preprocessor is None else self.preprocessor.inverse(x)

    def raw_range(self) -> tuple[float, float] | None:
        """Lowest and highest value that raw data may have; `None` without such ends."""
        support = self.likelihood.support
        if support.lower is None or support.upper is None:
            return None
        ends = [tf.fill(self.event_shape, end) for end in (support.lower, support.upper)]
        raw = self.restored(numerics.as_density(tf.stack(ends))).numpy()
        return float(raw.min()), float(raw.max())

    def unpack(self, batch: Any) -> Batch:
        """Split what a step is given."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        condition = labels = None
        if isinstance(x, Mapping):
            x, labels = split_mapping("", x)
            condition = self.conditions.tensor(labels)
        if condition is None and self.conditions.shape is not None:
            self.conditions.check("condition", None, 0)
        raw = numerics.as_density(of_known_shape("x", x, self.raw_shape))
        x, raw_target = self.preprocessed(raw), raw
        target = x
        if y is not None:
            raw_target = numerics.as_density(of_known_shape("y", y, self.raw_shape))
            target = self.preprocessed(raw_target)
        weight = weights_of(weight, raw.shape[0])
        return Batch(x, target, condition, weight, (raw, raw_target), labels)

    def checked_data(
        self, x: Any, y: Any, prefix: str = "", *, supported: bool = True
    ) -> tuple[Any, Any, int]:
        """Return x with its condition, y, and the number of examples, 0 if unknown, checked.

        Args:
            x: As in `fit`.
            y: As in `fit`.
            prefix: Put before names in messages.
            supported: Whether data must be in the likelihood's support.
        """
        condition = None
        x = columns_of(f"{prefix}x", x)
        if isinstance(x, Mapping):
            x, condition = split_mapping(prefix, x)
        wanted = self.wanted(supported=supported)
        x, y, size = check_data(x, y, wanted, prefix)
        if isinstance(x, tf.data.Dataset):
            x = with_known_shapes(x, self.raw_shape, self.conditions.shape)
        if not is_arrays(x):
            return x, y, size
        condition = self.conditions.check(f"{prefix}condition", condition, size)
        x = {"x": x, "condition": condition} if condition is not None else x
        return x, y, size

    def wanted(self, *, supported: bool) -> Wanted:
        """What raw data must be; `supported`: in the likelihood's support."""
        return Wanted(
            self.raw_shape,
            self.likelihood if supported else None,
            self.missing is not None,
            None if self.preprocessor is None else self.preprocessed,
        )

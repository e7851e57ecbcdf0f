"""The likelihood of tables, whose columns are of different kinds.

Floor 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.arguments import is_number
from keras_vae.component import register
from keras_vae.likelihoods.base import Likelihood, Support
from keras_vae.streams import Stream
from keras_vae.terms import Context

__all__ = ["Columns"]

tfb = tfp.bijectors
tfd = tfp.distributions


@register("likelihoods")
class Columns(Likelihood):
    """A table: each column has a likelihood of its own, and log p(x|z) is their sum.

    Events have the shape `(len(columns),)`. Data goes in and comes out in its own units,
    categories as numbers from 0 on, and densities are those of the data as given. Inside,
    units are learnt from the training data before the first `fit`, and are 1 until then:

    - `Normal`, `StudentT`, `Laplace` and `Logistic` see columns of mean 0 and standard
      deviation 1: their scales count standard deviations of the column;
    - rates of counts and the locations of `LogNormal` start from the mean of the column;
    - the encoder sees numbers, counts by their logarithms, with mean 0 and standard deviation
      1, and categories as one-hot vectors.

    Columns share no weights. Those that are alike are computed together, so that hundreds of
    them cost little more than a few.

    Args:
        columns: A likelihood by the name of each column, in the order of the table. They say
            what a column is; the weights are those of `Columns`.
        column_weights: Factors of the columns' log-likelihoods in the objective, by name; 1
            for all others. What is logged and scored stays log p(x|z). Defaults to `None`.
        **kwargs: As in any Keras layer.

    Raises:
        TypeError: If `columns` is no dictionary of likelihoods by name.
        ValueError: If a likelihood is built already or takes elements together, or
            `column_weights` has unknown names or negative numbers.

    Example:
    >>> p = keras_vae.likelihoods.Columns(
    ...     {
    ...         "height": keras_vae.likelihoods.Normal("learned"),
    ...         "colour": keras_vae.likelihoods.Categorical(3),
    ...     }
    ... )
    >>> p.params_shape((2,))
    (4,)
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([4]), tf.constant([0.0, 2.0]))), 4)
    -2.0186

    Reference: Nazabal, Olmos, Ghahramani and Valera (2020), Handling Incomplete Heterogeneous
    Data using VAEs, sections 2 and 3.
    """

    support = Support(fix="look at the supports of its columns")
    # Standard deviations known to 1 in 300.
    adapt_rows = 65_536

    def __init__(
        self,
        columns: Mapping[str, Likelihood],
        column_weights: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        _require_columns(columns)
        if column_weights is not None:
            _require_weights(column_weights, columns)
        super().__init__(**kwargs)
        self.columns = columns
        self.column_weights = column_weights

    def build(self, event_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        parts = list(self.columns.values())
        size = len(parts)
        if tuple(event_shape) != (size,):
            raise ValueError(
                f"`event_shape` must be {(size,)}, one number for each of the columns. "
                f"Received: event_shape={tuple(event_shape)}."
            )
        super().build(event_shape)
        self._members = _alike(parts)
        self._groups = [_group(parts[m[0]], len(m)) for m in self._members]
        # Where in the groups, one after the other, each column is.
        self._places = np.argsort(np.concatenate(self._members))
        widths = [group.encoder_input_shape((1,))[0] for group in self._groups]
        seen = np.concatenate([np.repeat(m, w) for m, w in zip(self._members, widths)])
        self._seen_places = np.argsort(seen, kind="stable")
        self._seen_columns = seen[self._seen_places]
        emitted, viewed = self.params_shape(event_shape), self.encoder_input_shape(event_shape)
        # x = shift + scale * (what a real column's likelihood sees).
        self.shift = self._statistic("shift", np.zeros(size))
        self.scale = self._statistic("scale", np.ones(size))
        # Stands for hidden values.
        self.typical = self._statistic("typical", [part._filler() for part in parts])
        # Added to what the decoder emits.
        self.offset = self._statistic("offset", np.zeros(emitted))
        # Of what the encoder sees.
        self.centre = self._statistic("centre", np.zeros(viewed))
        self.spread = self._statistic("spread", np.ones(viewed))

    @property
    def discrete(self) -> bool:
        """Whether all columns are."""
        return all(part.discrete for part in self.columns.values())

    def discrete_elements(self) -> np.ndarray:
        return np.array([part.discrete for part in self.columns.values()])

    def has_mass(self, x: tf.Tensor) -> tf.Tensor:
        cells = [tf.gather(x, members, axis=-1) for members in self._members]
        return self._by_column([g.has_mass(own) for g, own in zip(self._groups, cells)])

    def params_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (sum(part.params_shape((1,))[0] for part in self.columns.values()),)

    def elementwise_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor:
        x = (x - tf.convert_to_tensor(self.shift)) / tf.convert_to_tensor(self.scale)
        densities = []
        for group, members, own in self._with_params(params):
            observed = None if mask is None else tf.gather(mask, members, axis=-1)
            cells = tf.gather(x, members, axis=-1)
            densities.append(group.elementwise_log_prob(own, cells, observed, context))
        return self._by_column(densities) - tf.math.log(tf.convert_to_tensor(self.scale))

    def weighted_log_prob(
        self, params: tf.Tensor, x: tf.Tensor, mask: tf.Tensor | None, context: Context
    ) -> tf.Tensor | None:
        if self.column_weights is None:
            return None
        weights = [self.column_weights.get(name, 1.0) for name in self.columns]
        # For a second time: running scales move twice, by the same values.
        elementwise = self.observed_log_prob(params, x, mask, context)
        return tf.reduce_sum(tf.constant(weights, elementwise.dtype) * elementwise, -1)

    def distribution(self, params: tf.Tensor) -> tfp.distributions.Distribution:
        """p(x|z) as a TFP distribution with event `event_shape`."""
        blocks = [group.distribution(own) for group, _, own in self._with_params(params)]
        bijectors = [
            tfb.Shift(tf.convert_to_tensor(self.shift)),
            tfb.Scale(tf.convert_to_tensor(self.scale)),
            tfb.Permute(self._places),
        ]
        return tfd.TransformedDistribution(tfd.Blockwise(blocks), tfb.Chain(bijectors))

    def parameters(self, params: tf.Tensor) -> dict[str, tf.Tensor]:
        """Those of each column, in its units, under `COLUMN_NAME`, each `[batch, ...]`."""
        names = list(self.columns)
        found = {}
        for group, members, own in self._with_params(params):
            for name, values in group.parameters(own).items():
                for place, column in enumerate(members):
                    value = values[:, place]
                    if group.units == "affine" and name in ("loc", "scale"):
                        value *= self.scale[column]
                        value += self.shift[column] if name == "loc" else 0.0
                    found[f"{names[column]}_{name}"] = value
        return found

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        return self._in_units([group.mean(own) for group, _, own in self._with_params(params)])

    def point(self, params: tf.Tensor) -> tf.Tensor:
        return self._in_units([group.point(own) for group, _, own in self._with_params(params)])

    def mixture_point(self, params: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        groups = self._with_params(params)
        return self._in_units([group.mixture_point(own, weights) for group, _, own in groups])

    def sample(self, params: tf.Tensor, seed: int | tf.Tensor | None = None) -> tf.Tensor:
        key = Stream.LIKELIHOOD_SAMPLE.key(seed)
        groups = enumerate(self._with_params(params))
        return self._in_units(
            [group.sample(own, numerics.fold_in(key, i)) for i, (group, _, own) in groups]
        )

    def encoder_input_shape(self, event_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (sum(part.encoder_input_shape((1,))[0] for part in self.columns.values()),)

    def encoder_input(self, x: tf.Tensor) -> tf.Tensor:
        # What is learnt, as a prior's pseudo-inputs are, may leave the support.
        lower, upper = self._ends()
        x = keras.ops.minimum(keras.ops.maximum(x, lower), upper)
        x = (x - tf.convert_to_tensor(self.shift)) / tf.convert_to_tensor(self.scale)
        seen = [
            group.encoder_input(keras.ops.take(x, members, axis=-1))
            for group, members in zip(self._groups, self._members)
        ]
        seen = keras.ops.take(keras.ops.concatenate(seen, -1), self._seen_places, axis=-1)
        return (seen - tf.convert_to_tensor(self.centre)) / tf.convert_to_tensor(self.spread)

    def constrained_view(self, view: tf.Tensor) -> tf.Tensor:
        centre, spread = tf.convert_to_tensor(self.centre), tf.convert_to_tensor(self.spread)
        by_group = tf.gather(view * spread + centre, np.argsort(self._seen_places), axis=-1)
        widths = [group.encoder_input_shape(group.event_shape)[0] for group in self._groups]
        parts = zip(self._groups, tf.split(by_group, widths, axis=-1))
        seen = tf.concat([group.constrained_view(own) for group, own in parts], -1)
        seen = tf.gather(seen, self._seen_places, axis=-1)
        # What was within the support stays as it is, to the last digit.
        back = (seen - centre) / spread
        return tf.where(seen == tf.gather(by_group, self._seen_places, axis=-1), view, back)

    def adapt(self, x: np.ndarray) -> None:
        # In the precision of training: what is constant there is constant here.
        x = np.asarray(numerics.as_density(x), "float64")
        shift, scale, typical = (v.numpy() for v in (self.shift, self.scale, self.typical))
        sizes = np.ones(len(typical))
        for column, part in enumerate(self.columns.values()):
            cells = x[np.isfinite(x[:, column]), column]
            if not len(cells):
                continue
            # One of the values, and so in the support.
            typical[column] = np.quantile(cells, 0.5, method="inverted_cdf")
            if part.units == "affine":
                shift[column], scale[column] = _mean_and_spread(cells)
            elif part.units == "log" and cells.mean() > 0:
                sizes[column] = cells.mean()
        self.shift.assign(shift)
        self.scale.assign(scale)
        self.typical.assign(typical)
        self.offset.assign(self._offsets(np.log(sizes)))
        self._adapt_view(x)

    def _adapt_view(self, x: np.ndarray) -> None:
        hidden = ~np.isfinite(x)
        seen = self.encoder_input(numerics.as_density(np.where(hidden, self.typical, x)))
        seen = np.asarray(seen, "float64")
        centre, spread = np.zeros(seen.shape[1]), np.ones(seen.shape[1])
        is_one_hot = np.bincount(self._seen_columns) > 1
        for place, column in enumerate(self._seen_columns):
            cells = seen[~hidden[:, column], place]
            if len(cells) and not is_one_hot[column]:
                centre[place], spread[place] = _mean_and_spread(cells)
        self.centre.assign(centre)
        self.spread.assign(spread)

    def _offsets(self, log_sizes: np.ndarray) -> np.ndarray:
        offsets = []
        for group, members in zip(self._groups, self._members):
            offset = np.zeros(group.params_shape((len(members),)))
            if group.units == "log":
                offset[: len(members)] = log_sizes[members]
            offsets.append(offset)
        return np.concatenate(offsets)

    def filled(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        typical = keras.ops.cast(tf.convert_to_tensor(self.typical), x.dtype)
        return keras.ops.where(mask, x, typical)

    def violations(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_any(self.outside(x))

    def why_outside(self, x: np.ndarray, first_row: int = 0) -> str | None:
        outside = np.argwhere(self.outside(numerics.as_density(x)))
        if not len(outside):
            return None
        row, column = outside[0]
        name, part = list(self.columns.items())[column]
        return (
            f"has a value outside the support {part.support} of column {name!r}, of a "
            f"{type(part).__name__} likelihood. Received: {x[row, column]:g} in row "
            f"{first_row + row}. Fix: {part.support.fix}."
        )

    def support_in_words(self) -> str:
        parts = self.columns.items()
        words = [f"{n!r} in {p.support}" for n, p in parts if p.support[:2] != (None, None)]
        return "of its columns: " + "; ".join(words)

    def outside(self, x: tf.Tensor) -> tf.Tensor:
        """Whether each element is outside its column's support; NaN is not."""
        supports = [part.support for part in self.columns.values()]
        lower, upper = self._ends()
        on_bound = tf.constant([s.open for s in supports]) & ((x == lower) | (x == upper))
        uneven = tf.constant([s.integer for s in supports]) & (x != tf.round(x))
        return (x < lower) | (x > upper) | on_bound | uneven & ~tf.math.is_nan(x)

    def _statistic(self, name: str, value: Any) -> Any:
        """A weight that `adapt` sets."""
        start = keras.initializers.Constant(np.asarray(value))
        return self.add_weight(np.shape(value), start, trainable=False, name=name)

    def _with_params(self, params: tf.Tensor) -> list[tuple[Likelihood, np.ndarray, tf.Tensor]]:
        """The groups, their columns, and their parameters."""
        params = params + tf.convert_to_tensor(self.offset)
        result, start = [], 0
        for group, members in zip(self._groups, self._members):
            stop = start + group.params_shape((len(members),))[0]
            result.append((group, members, params[..., start:stop]))
            start = stop
        return result

    def _by_column(self, values: list[tf.Tensor]) -> tf.Tensor:
        return keras.ops.take(keras.ops.concatenate(values, -1), self._places, axis=-1)

    def _in_units(self, values: list[tf.Tensor]) -> tf.Tensor:
        scale, shift = (tf.convert_to_tensor(v) for v in (self.scale, self.shift))
        return scale * self._by_column(values) + shift

    def _ends(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds of the columns' supports."""
        supports = [part.support for part in self.columns.values()]
        lower = [-np.inf if s.lower is None else s.lower for s in supports]
        upper = [np.inf if s.upper is None else s.upper for s in supports]
        dtype = numerics.density_dtype()
        return np.array(lower, dtype), np.array(upper, dtype)


def _alike(parts: list[Likelihood]) -> list[np.ndarray]:
    """Indices of parts of one class with equal arguments, together."""
    found: dict[str, list[int]] = {}
    for index, part in enumerate(parts):
        found.setdefault(f"{type(part)} {_arguments(part)}", []).append(index)
    return [np.array(members) for members in found.values()]


def _arguments(part: Likelihood) -> dict[str, Any]:
    return {name: value for name, value in part.get_config().items() if name != "name"}


def _group(part: Likelihood, size: int) -> Likelihood:
    """A likelihood of several columns that are like one."""
    group: Likelihood = type(part).from_config(_arguments(part))
    group.shared_shape = (size,)
    group.build((size,))
    return group


def _mean_and_spread(cells: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, 1 for a constant."""
    spread = cells.std() if cells.min() < cells.max() else 1.0
    return cells.mean(), spread


def _require_columns(columns: Any) -> None:
    if not isinstance(columns, Mapping) or not columns:
        raise TypeError(
            f"`columns` must be a dictionary of likelihoods by the names of the columns. "
            f"Received: columns={columns!r}."
        )
    for name, part in columns.items():
        if not isinstance(name, str) or not isinstance(part, Likelihood):
            raise TypeError(
                f"`columns` must hold a likelihood for each name, as {{'age': Normal()}}. "
                f"Received: {name!r}: {part!r}."
            )
        if part.built:
            raise ValueError(
                f"`columns` must hold new likelihoods. Received: one that has weights of its "
                f"own, for column {name!r}. Make another one."
            )
        if isinstance(part, Columns) or not (part.maskable and part.has_distribution):
            raise ValueError(
                f"`columns` must hold likelihoods that take each element on its own. "
                f"Received: {type(part).__name__} with these arguments, for column {name!r}."
            )


def _is_weight(value: Any) -> bool:
    return is_number(value) and 0 <= value < math.inf


def _require_weights(weights: Mapping[str, float], columns: Mapping[str, Likelihood]) -> None:
    bad = {n: w for n, w in weights.items() if n not in columns or not _is_weight(w)}
    if bad:
        raise ValueError(
            f"`column_weights` must be finite numbers >= 0 by the names of columns. "
            f"Received: {bad}; the columns are {list(columns)}."
        )

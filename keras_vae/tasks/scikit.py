"""Estimators for scikit-learn: a table in, codes or outliers out, in pipelines and searches.

Floor 6.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import sklearn.base
import sklearn.utils
import sklearn.utils.validation
import tensorflow as tf

from keras_vae import likelihoods, networks, numerics, posteriors, preprocessors
from keras_vae.arguments import (
    is_integer,
    is_number,
    require_integer,
    require_positive,
    require_size,
    require_sizes,
)
from keras_vae.models import VAE
from keras_vae.models.extremes import capped, without_nan
from keras_vae.streams import Stream
from keras_vae.tasks.anomaly import shared_noise

__all__ = ["VAEOutlierDetector", "VAETransformer"]

# Draws of q(z|x) that a score is the mean of.
_SAMPLES = 16
# Of outlier detectors: parts of training, most epochs and updates by default, and the least
# scale of a column, in standard deviations: constant columns would tell too much.
_PARTS, _EPOCHS, _UPDATES, _LEAST_SCALE = 5, 200, 4_000, 0.1
# Nats that leaving a constant column costs: no number of usual columns weighs as much.
_LEFT = 1e4


class _Estimator(sklearn.base.BaseEstimator):
    """A VAE of standardised columns, made to fit."""

    _chooses_epochs = False  # where `epochs` is None

    def __init__(
        self,
        latent_dim: int = 2,
        *,
        hidden: int | Sequence[int] = (64,),
        epochs: Any = 100,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state
        self.verbose = verbose

    def _likelihood(self, columns: int) -> likelihoods.Likelihood:
        return likelihoods.Normal("learned")

    def _train(self, rows: np.ndarray) -> None:
        self.model_.fit(
            rows, epochs=self.epochs, batch_size=self.batch_size, verbose=self.verbose
        )

    def _fit(self, X: Any) -> np.ndarray:
        rows: np.ndarray = sklearn.utils.validation.validate_data(
            self, X, dtype="float64", ensure_min_samples=2
        )
        hidden = self._checked_arguments()
        seed = int(sklearn.utils.check_random_state(self.random_state).randint(2**31 - 1))
        with numerics.keras_seeded(seed):
            self.model_ = VAE(
                networks.MLP(hidden),
                networks.MLP(hidden[::-1]),
                posteriors.DiagonalNormal(self.latent_dim),
                likelihood=self._likelihood(rows.shape[1]),
                preprocessor=preprocessors.Standardization(),
                event_shape=rows.shape[1:],
                seed=seed,
            )
            self.model_.compile(keras.optimizers.Adam(self.learning_rate))
            self._train(_held(rows))
        return rows

    def _checked_arguments(self) -> list[int]:
        """Check the constructor's arguments, and return the hidden units as a list."""
        require_size("latent_dim", self.latent_dim)
        require_integer("batch_size", self.batch_size)
        if not (self.epochs is None and self._chooses_epochs):
            require_integer("epochs", self.epochs)
        require_positive("learning_rate", self.learning_rate)
        hidden = [self.hidden] if is_integer(self.hidden) else self.hidden
        return list(require_sizes("hidden", hidden))

    def _checked(self, X: Any) -> np.ndarray:
        sklearn.utils.validation.check_is_fitted(self)
        checked: np.ndarray = sklearn.utils.validation.validate_data(
            self, X, dtype="float64", reset=False
        )
        return checked

    def score_samples(self, X: Any) -> np.ndarray:
        """Evidence lower bound of each row in nats, of raw columns: higher is more normal.

        The draws of q(z|x) use the same noise for all rows, so that a row's score depends on
        nothing but the row. It is `-inf` for rows whose numbers leave float32.
        """
        return self._bounds(self._checked(X))

    def _bounds(self, X: np.ndarray) -> np.ndarray:
        model = self.model_

        def bound(x: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor]:
            y = model.preprocessed(x)
            key = Stream.SHARED_NOISE.key(0)
            noise = shared_noise(model, _SAMPLES, tf.shape(x)[0], key)
            terms = model.elbo_terms(capped(y), y, {"posterior": noise}, model.context(), ())
            value = tf.reduce_mean(terms.log_likelihood, axis=0) - tf.reduce_sum(terms.kl, -1)
            return (value + model.raw_log_det(x),)

        found = model.in_batches("shared noise", bound, _held(X), 1024)[0]
        return without_nan(model, found.astype("float64"), -np.inf)


class VAETransformer(
    sklearn.base.ClassNamePrefixFeaturesOutMixin, sklearn.base.TransformerMixin, _Estimator
):
    """Reduce the dimension of a table by a VAE.

    Columns are standardised; the posterior is a diagonal normal, the likelihood a normal whose
    scale is learned. For anything else make a `keras_vae.VAE`.

    Args:
        latent_dim: Columns of the codes. Defaults to `2`.
        hidden: Units of the encoder's hidden layers, and in reverse of the decoder's; a number
            for one layer. Defaults to `(64,)`.
        epochs: Of training. Defaults to `100`.
        batch_size: Of training. Defaults to `64`.
        learning_rate: Of Adam. Defaults to `1e-3`.
        random_state: As in scikit-learn. Defaults to `None`.
        verbose: As in Keras. Defaults to `0`.

    Attributes:
        model_: The trained `keras_vae.VAE`, to save, look at and export.

    Example:
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> reduced = keras_vae.tasks.VAETransformer(latent_dim=2, epochs=2, random_state=0)
    >>> reduced.fit_transform(x).shape
    (50, 2)

    Reference: Kingma and Welling (2014), Auto-Encoding Variational Bayes.
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows, `[examples, columns]`."""
        self._fit(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes of rows: means of q(z|x), `[examples, latent_dim]`."""
        X = self._checked(X)
        codes: np.ndarray = self.model_.encode(X)
        return codes

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows that codes stand for: means of p(x|z), `[examples, columns]`."""
        sklearn.utils.validation.check_is_fitted(self)
        return self.model_.decode(sklearn.utils.check_array(X))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`: what a search over parameters maximises."""
        return float(np.mean(self.score_samples(X)))

    @property
    def _n_features_out(self) -> int:
        return self.latent_dim

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class VAEOutlierDetector(sklearn.base.OutlierMixin, _Estimator):
    """Tell rows of a table that are unlike the rest, by the evidence lower bound of a VAE.

    Columns are standardised; the likelihood of each is a Student distribution whose scale, of
    at least 0.1 standard deviations, and degrees of freedom are learned. Training has five
    equal parts. After each but the last, the share `contamination` of rows with the lowest
    bounds is left out of the next, and means and standard deviations of columns are those of
    the rows that stay: outliers among the training rows are not learnt.

    Args:
        contamination: Share of the training rows that count as outliers. Defaults to `0.1`.
        latent_dim: As in `VAETransformer`. Defaults to `2`.
        hidden: As in `VAETransformer`. Defaults to `(64,)`.
        epochs: Of training, all parts together. Defaults to `None`: 200, but of long tables
            only as many as 4,000 updates need, and at least 5.
        batch_size: As in `VAETransformer`. Defaults to `64`.
        learning_rate: As in `VAETransformer`. Defaults to `1e-3`.
        random_state: As in scikit-learn. Defaults to `None`.
        verbose: As in Keras. Defaults to `0`.

    Attributes:
        model_: The trained `keras_vae.VAE`, to save, look at and export.
        offset_: Scores below it are outliers'.
        constant_: Value of each column that was constant in training, NaN of others.

    Raises:
        ValueError: From `fit`, if `contamination` is not in (0, 0.5], or another argument is
            no positive number.

    Example:
    >>> x = np.random.default_rng(0).normal(size=(100, 4))
    >>> x[0] = 30.0
    >>> detector = keras_vae.tasks.VAEOutlierDetector(epochs=5, random_state=0)
    >>> int(detector.fit_predict(x)[0])
    -1

    Reference: An and Cho (2015), with the bound in place of its first term; Rousseeuw and van
    Driessen (1999), A Fast Algorithm for the Minimum Covariance Determinant Estimator, for
    steps that leave out what fits worst.
    """

    _chooses_epochs = True

    def __init__(
        self,
        contamination: float = 0.1,
        *,
        latent_dim: int = 2,
        hidden: int | Sequence[int] = (64,),
        epochs: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 1e-3,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        super().__init__(
            latent_dim,
            hidden=hidden,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            random_state=random_state,
            verbose=verbose,
        )
        self.contamination = contamination

    def _likelihood(self, columns: int) -> likelihoods.Likelihood:
        own = {
            f"column {i}": likelihoods.StudentT(scale="learned", min_scale=_LEAST_SCALE)
            for i in range(columns)
        }
        return likelihoods.Columns(own)

    def _train(self, rows: np.ndarray) -> None:
        updates = -(-len(rows) // self.batch_size)
        epochs = self.epochs
        if epochs is None:
            epochs = min(_EPOCHS, max(_PARTS, _UPDATES // updates))
        ends = np.linspace(0, epochs, _PARTS + 1).round().astype(int)
        standardization: Any = self.model_.preprocessor
        kept = rows
        for first, last in itertools.pairwise(ends):
            if first == last:
                continue
            if first:
                bounds = self._bounds(rows)
                kept = rows[bounds >= _share_below(bounds, self.contamination)]
                standardization.adapt(kept)
            self.model_.fit(
                kept,
                initial_epoch=int(first),
                epochs=int(last),
                batch_size=self.batch_size,
                verbose=self.verbose,
            )

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows, `[examples, columns]`, of which some may be outliers."""
        if not is_number(self.contamination) or not 0 < self.contamination <= 0.5:
            raise ValueError(
                f"`contamination` must be in (0, 0.5]: the share of the rows that count as "
                f"outliers. Received: {self.contamination!r}."
            )
        rows = self._fit(X)
        self.constant_ = np.where((rows == rows[0]).all(axis=0), rows[0], np.nan)
        bounds = self._bounds(rows)
        self.offset_ = _share_below(bounds, self.contamination)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Evidence lower bound of each row in nats, of raw columns: higher is more normal.

        The draws of q(z|x) use the same noise for all rows, so that a row's score depends on
        nothing but the row. A column that was constant in training is no variable: a row that
        leaves its value loses 10,000 nats, for each such column. Rows whose numbers leave
        float32 have `-inf`.
        """
        X = self._checked(X)
        left = (self.constant_ != X) & ~np.isnan(self.constant_)
        scores: np.ndarray = self._bounds(X) - _LEFT * left.sum(axis=1)
        return scores

    def decision_function(self, X: Any) -> np.ndarray:
        """`score_samples` less `offset_`: below 0 for outliers, `[examples]`."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """-1 for outliers, 1 for others, `[examples]`."""
        return np.where(self.decision_function(X) < 0, -1, 1)


def _held(rows: np.ndarray) -> np.ndarray:
    """Rows within what float32 holds: beyond it, all values are equally extreme."""
    largest = float(np.finfo("float32").max)
    held: np.ndarray = np.clip(rows, -largest, largest)
    return held


def _share_below(bounds: np.ndarray, share: float) -> float:
    """The finite number below which that share of the bounds lies, infinite ones too.

    Raises:
        ValueError: If no bound is finite.
    """
    finite = bounds[np.isfinite(bounds)]
    if not len(finite):
        raise ValueError(
            "Rows must have finite bounds. Received: rows none of which has one. Lower the "
            "learning rate, or leave out columns of values near the largest float."
        )
    return float(np.quantile(np.where(np.isfinite(bounds), bounds, finite.min() - 1), share))

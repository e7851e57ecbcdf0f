"""What a model does with its latents.

Floor 5.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_examples, require_integer, require_number
from keras_vae.data.labels import classes_of, flat_labels
from keras_vae.evaluation.distances import feature_matrices
from keras_vae.evaluation.generation import TwoSampleTest, two_sample_test
from keras_vae.models import VAE
from keras_vae.models.tracing import compiled
from keras_vae.streams import Stream

__all__ = ["LatentSummary", "Probe", "active_units", "latent_summary", "probe"]

# Densities of one dimension that are held at a time.
_PAIRS = 4_000_000
# Latents of each kind that are compared: the work is their square.
_COMPARED = 1_000
_PERMUTATIONS = 200
# Nats below its limit at which mutual information says no more.
_NEAR = 0.5


def active_units(
    model: VAE, x: Any, *, condition: Any = None, threshold: float = 0.01
) -> np.ndarray:
    """Which latent dimensions tell examples apart.

    A dimension is active if the posterior's mean varies over the data: its variance is above
    the threshold. The decoder can do nothing with one that is not.

    Args:
        model: Any model that encodes.
        x: `[examples, *event_shape]`; at least two examples.
        condition: Of a conditional model, one for each example. Defaults to `None`.
        threshold: Least variance of an active dimension. Defaults to `0.01`.

    Returns:
        Booleans, `[latent_dim]`; their sum is the number of active units.

    Raises:
        ValueError: If x has the wrong shape or fewer than two examples, or `threshold` is
            negative.

    Example:
    >>> model = keras_vae.presets.Autoencoder(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     latent_dim=3,
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(4,),
    ... )
    >>> keras_vae.evaluation.active_units(model, np.zeros([5, 4])).tolist()
    [False, False, False]

    Reference: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders,
    section 5.2.
    """
    require_number("threshold", threshold, 0)
    require_examples("x", x, 2)
    means = np.asarray(model.encode(x, condition=condition), dtype="float64")
    return np.asarray(means.var(axis=0) > threshold)


@dataclasses.dataclass(frozen=True)
class LatentSummary:
    """What a model's latents hold, in nats.

    Attributes:
        kl: Mean KL of q(z|x) from the prior, by group: by latent dimension where both are
            factorised. `[groups]`.
        active: Active units, `[latent_dim]`.
        mutual_information: I(x; z) under q, at most the log of the number of examples.
        aggregate_kl: KL of the aggregate posterior, the mean of q(z|x) over the examples,
            from the prior: 0 if latents of data and of the prior are alike. The two add up to
            the mean KL.
        total_correlation: KL of the aggregate posterior from the product of its dimensions;
            `None` for posteriors that are no products themselves.
        aggregate_test: Whether up to 1,000 latents of data could be draws of the prior.
        examples: On how many examples all this rests.
    """

    kl: np.ndarray
    active: np.ndarray
    mutual_information: float
    aggregate_kl: float
    total_correlation: float | None
    aggregate_test: TwoSampleTest
    examples: int

    @property
    def saturated(self) -> bool:
        """Whether more examples would show more information, and a smaller aggregate KL."""
        return bool(self.mutual_information > np.log(self.examples) - _NEAR)

    def __str__(self) -> str:
        spectrum = ", ".join(f"{value:.2g}" for value in np.sort(self.kl)[::-1][:10])
        more = " ..." if len(self.kl) > 10 else ""
        limit = np.log(self.examples)
        near = ", which is near its limit" if self.saturated else ""
        lines = [
            f"KL {self.kl.sum():.2f} nats; by group, largest first: {spectrum}{more}",
            f"active units: {self.active.sum()} of {self.active.size}",
            f"mutual information of x and z: {self.mutual_information:.2f} nats (at most "
            f"{limit:.2f} with {self.examples:,} examples{near})",
            f"aggregate posterior from the prior: {self.aggregate_kl:.2f} nats; squared "
            f"discrepancy {self.aggregate_test.statistic:.4f} "
            f"(p = {self.aggregate_test.p_value:.2g})",
        ]
        if self.total_correlation is not None:
            lines.append(f"total correlation: {self.total_correlation:.2f} nats")
        return "\n".join(lines)


class Probe(NamedTuple):
    """Result of `probe`.

    Attributes:
        linear: Held-out accuracy of a linear classifier of the codes.
        nearest: Held-out accuracy of the majority of the nearest codes.
    """

    linear: float
    nearest: float


def latent_summary(
    model: VAE,
    x: Any,
    *,
    condition: Any = None,
    max_examples: int = 5_000,
    seed: int = 0,
) -> LatentSummary:
    """Say what the latents hold of x, and whether the prior generates such latents.

    One latent is drawn per example; its density under q(z|x) of all examples gives the
    aggregate posterior. The work is the square of the number of examples, memory is not.

    Args:
        model: One with a density of latents that can be asked at any z.
        x: `[examples, *raw_shape]`; the first `max_examples` count.
        condition: Of a conditional model, one for each example. Defaults to `None`.
        max_examples: Defaults to `5000`.
        seed: Of the draws.

    Raises:
        ValueError: If x is bad or has fewer than two examples, or the posterior's density
            cannot be asked.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(6,),
    ... )
    >>> found = keras_vae.evaluation.latent_summary(model, np.zeros([20, 6]))
    >>> abs(round(found.mutual_information, 3))  # all x are the same
    0.0

    Reference: Hoffman and Johnson (2016), ELBO surgery; Chen, Li, Grosse and Duvenaud (2018),
    equation 2.
    """
    posterior = model.posterior
    if not (posterior.has_density and posterior.evaluable):
        raise ValueError(
            f"The aggregate posterior needs log q(z|x) at any z, which a "
            f"{type(posterior).__name__} posterior does not have. `active_units` does without."
        )
    require_integer("max_examples", max_examples, least=2)
    require_examples("x", x, 2)
    x = model.checked_events(x[:max_examples])
    if condition is not None and np.ndim(condition) > 0:
        condition = condition[:max_examples]
    condition = model.conditions.check("condition", condition, len(x))
    active = active_units(model, x, condition=condition)

    def encode(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor, ...]:
        prepared = model.conditions.prepared(condition, x)
        context = model.context(condition=prepared)
        params = model.posterior_params(model.preprocessed(x), condition=prepared)
        noise = numerics.draw_noise(posterior.noise_spec(), [1, tf.shape(x)[0]], key)
        draw = posterior.sample_and_log_prob(params, noise, context)
        kl = model.prior.kl(posterior, params, draw, context)
        log_prior = model.prior.log_prob(draw.latents, context)
        return params, draw.latents[0], kl, tf.gather(draw.log_prob, 0), log_prior[0]

    params, z, kl, log_q, log_p = model.in_batches(
        "latent_summary", encode, x, 1024, Stream.LATENT_SUMMARY.key(seed), condition
    )
    aggregate, product = _aggregate(model, params, z)
    prior_z = _prior_draws(model, min(len(x), _COMPARED), condition, seed)
    compared = two_sample_test(z[:_COMPARED], prior_z, permutations=_PERMUTATIONS, seed=seed)
    return LatentSummary(
        kl=kl.mean(axis=0, dtype="float64"),
        active=active,
        mutual_information=float(np.mean(log_q - aggregate, dtype="float64")),
        aggregate_kl=float(np.mean(aggregate - log_p, dtype="float64")),
        total_correlation=(
            None if product is None else float(np.mean(aggregate - product, dtype="float64"))
        ),
        aggregate_test=compared,
        examples=len(x),
    )


def _prior_draws(model: VAE, count: int, condition: Any, seed: int) -> np.ndarray:
    """Latents of the prior, given the conditions of as many examples."""

    def draw(rows: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        context = model.context(condition=model.conditions.prepared(condition, rows))
        noise = numerics.draw_noise(model.prior.noise_spec(), [tf.shape(rows)[0]], key)
        return (model.prior.sample(noise, context),)

    rows = np.zeros(count, "float32")
    given = None if condition is None else condition[:count]
    return model.in_batches(
        "prior_draws", draw, rows, 1024, Stream.PRIOR_DRAWS.key(seed), given
    )[0]


def _aggregate(
    model: VAE, params: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Log-density of the aggregate posterior at z, and of the product of its dimensions."""
    posterior, context = model.posterior, model.context()
    of_all, rows = tf.constant(params), len(params)
    log_rows = np.log(rows)

    @functools.partial(compiled, reduce_retracing=True)
    def densities(z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # Each latent under q(z|x) of each example: `[latents, examples]`.
        leading = tf.ones([1, rows, *[1] * (z.shape.rank - 1)], z.dtype)
        everywhere = z[:, None] * leading
        if not posterior.factorised:
            log_q = posterior.log_prob(of_all, everywhere, context)
            return (tf.reduce_logsumexp(log_q, axis=1) - log_rows,)
        by_dimension = posterior.log_prob_per_dimension(of_all, everywhere)
        product = tf.reduce_sum(tf.reduce_logsumexp(by_dimension, axis=1) - log_rows, axis=-1)
        log_q = tf.reduce_sum(by_dimension, axis=-1)
        return tf.reduce_logsumexp(log_q, axis=1) - log_rows, product

    block = max(1, _PAIRS // (rows * model.posterior.latent_dim))
    parts = [
        [t.numpy() for t in densities(tf.constant(z[start : start + block]))]
        for start in range(0, rows, block)
    ]
    found = [np.concatenate(each) for each in zip(*parts)]
    return found[0], found[1] if len(found) > 1 else None


def probe(
    train_codes: Any, train_labels: Any, codes: Any, labels: Any, *, neighbours: int = 10
) -> Probe:
    """How well labels that the model never saw can be read off its codes.

    Codes are scaled to unit variance first; the linear classifier is a logistic regression.

    Args:
        train_codes: `[examples, latent_dim]`, such as `model.encode(x_train)`.
        train_labels: Classes, `[examples]`, numbers or strings; or one-hot rows.
        codes: Of held-out examples.
        labels: Of held-out examples.
        neighbours: Codes that vote. Defaults to `10`.

    Raises:
        ValueError: If codes and labels are not equally many, labels are missing, or those to
            train on are all of one class.

    Example:
    >>> labels = np.arange(100) % 2
    >>> codes = labels[:, None] + np.zeros([100, 2])
    >>> keras_vae.evaluation.probe(codes, labels, codes, labels)
    Probe(linear=1.0, nearest=1.0)
    """
    import sklearn.linear_model
    import sklearn.neighbors
    import sklearn.pipeline
    import sklearn.preprocessing

    require_integer("neighbours", neighbours)
    train_codes, codes = feature_matrices({"train_codes": train_codes, "codes": codes}, least=1)
    # Words of different lengths are of different dtypes: both sets are compared as they are.
    of_train = flat_labels(train_labels, len(train_codes), "train_labels")
    classes_of(of_train, len(train_codes), "train_labels", least=2)
    of_rest = flat_labels(labels, len(codes))
    if (of_train.dtype.kind in "biuf") != (of_rest.dtype.kind in "biuf"):
        raise ValueError(
            f"`train_labels` and `labels` must be of one kind. "
            f"Received: dtypes {of_train.dtype} and {of_rest.dtype}."
        )
    accuracies = []
    for classifier in (
        sklearn.linear_model.LogisticRegression(max_iter=1_000),
        sklearn.neighbors.KNeighborsClassifier(min(neighbours, len(train_codes))),
    ):
        scaled = sklearn.pipeline.make_pipeline(
            sklearn.preprocessing.StandardScaler(), classifier
        )
        # Scikit-learn takes objects for values that are not to be compared.
        scaled.fit(train_codes, _plain(of_train))
        accuracies.append(float(np.mean(scaled.predict(codes) == _plain(of_rest))))
    return Probe(*accuracies)


def _plain(labels: np.ndarray) -> np.ndarray:
    return np.array(labels.tolist()) if labels.dtype.kind == "O" else labels

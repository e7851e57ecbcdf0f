"""The sections of a report: what is measured, and when it cannot be.

Floor 5.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_vae import likelihoods
from keras_vae.data.labels import classes_of, flat_labels
from keras_vae.evaluation.calibration import Calibration, calibration
from keras_vae.evaluation.factors import Score, disentanglement
from keras_vae.evaluation.generation import two_sample_test
from keras_vae.evaluation.kernel import kernel_distance
from keras_vae.evaluation.latents import (
    LatentSummary,
    Probe,
    active_units,
    latent_summary,
    probe,
)
from keras_vae.evaluation.likelihood import log_marginal, rate_distortion
from keras_vae.evaluation.reconstructions import reconstruction_errors
from keras_vae.evaluation.reporting.contents import Likelihood, Samples
from keras_vae.evaluation.samples import (
    copying,
    feature_network,
    frechet_distance,
    precision_recall,
)
from keras_vae.evaluation.units import unit_of
from keras_vae.models import VAE

__all__ = ["SECTIONS", "Given", "LeftOutError"]

# Principal components that stand for features where there is no network.
_COMPONENTS = 64
# Least examples of a half: covariances of features need more of these than there are features.
_LEAST_SAMPLES = 2 * _COMPONENTS
_COMPARED = 1_000
# Share of the codes that classifiers of labels are trained on.
_PROBED = 2 / 3
# Of the network of features; a small set is seen more often.
_EPOCHS = 3
_TRAINED_ON = 40_000


class LeftOutError(Exception):
    """Says why a section cannot be measured."""


@dataclasses.dataclass(frozen=True)
class Given:
    """What a report is made of, `max_examples` of each."""

    model: VAE
    x: np.ndarray
    labels: np.ndarray | None
    factors: np.ndarray | None
    condition: Any
    train: np.ndarray | None
    network: Any
    samples: int
    seed: int
    progress: bool

    @property
    def images(self) -> bool:
        """Whether events are images."""
        return len(self.model.event_shape) == 3 and self.model.event_shape[-1] in (1, 3)

    @property
    def peak(self) -> float:
        """Distance between the ends of what values can be, or of what they are."""
        low, high = self.model.raw_range() or (np.nanmin(self.x), np.nanmax(self.x))
        return float(high - low) or 1.0

    def require_whole(self) -> None:
        """Raise unless nothing is missing."""
        if np.isnan(self.x).any():
            raise LeftOutError("data have missing values")


def _reconstruction(given: Given) -> Mapping[str, float]:
    given.require_whole()
    reconstructed = given.model.reconstruct(given.x, condition=given.condition)
    found = {}
    if given.model.likelihood.support.integer:
        # Means of counts and probabilities of bits, to the nearest value.
        right = np.round(np.asarray(reconstructed, "float64")) == given.x
        found["accuracy"] = float(np.mean(right))
        if isinstance(given.model.likelihood, likelihoods.Categorical):
            return found
    network = given.network if given.images else None
    errors = reconstruction_errors(given.x, reconstructed, peak=given.peak, network=network)
    kept = {k: v for k, v in errors.items() if given.images or k not in ("psnr", "ssim")}
    return {**found, **kept}


def _active(given: Given) -> np.ndarray:
    return active_units(given.model, given.x, condition=given.condition)


def _latents(given: Given) -> LatentSummary:
    posterior = given.model.posterior
    if not (posterior.has_density and posterior.evaluable):
        raise LeftOutError(f"a {type(posterior).__name__} posterior has no density at any z")
    return latent_summary(given.model, given.x, condition=given.condition, seed=given.seed)


def _labels(given: Given) -> Probe:
    labels = given.labels
    if labels is None:
        raise LeftOutError("no labels were given")
    try:
        labels = flat_labels(labels, len(given.x))
        classes_of(labels, len(labels))
    except ValueError as error:
        raise LeftOutError(str(error)) from error
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.round(labels)):
        raise LeftOutError("labels are no classes")
    codes = _codes(given)
    first = int(_PROBED * len(codes))
    if len(np.unique(labels[:first])) < 2:
        raise LeftOutError("labels are all the same")
    return probe(codes[:first], labels[:first], codes[first:], labels[first:])


def _codes(given: Given) -> np.ndarray:
    codes = given.model.encode(given.x, condition=given.condition)
    rows: np.ndarray = np.reshape(codes, (len(codes), -1))
    return rows


def _calibration(given: Given) -> Calibration:
    return calibration(
        given.model,
        given.x,
        condition=given.condition,
        seed=given.seed,
        progress=given.progress,
    )


def _likelihood(given: Given) -> Likelihood:
    model, x, condition = given.model, given.x, given.condition
    if not model.posterior.has_density:
        raise LeftOutError(f"a {type(model.posterior).__name__} posterior has no density")
    terms = rate_distortion(model, x, condition=condition, seed=given.seed)
    estimates = log_marginal(
        model,
        x,
        condition=condition,
        samples=given.samples,
        seed=given.seed,
        progress=given.progress,
    )
    unit = unit_of(model, x).words
    return Likelihood(estimates, terms, math.prod(model.event_shape), unit)


def _samples(given: Given) -> Samples:
    given.require_whole()
    name, features, real = _features(given)
    # Grey images are compared without the noise of their pixels; all else, bits too, as drawn.
    drawn = not given.images or len(np.unique(given.x)) <= 2
    condition = None
    if given.condition is not None:
        condition = given.condition[np.arange(len(real)) % len(given.condition)]
    generated = given.model.generate(
        len(real), condition=condition, sample=drawn, seed=given.seed
    )
    of_real, of_generated = features(real), features(generated)
    copied = None
    if given.train is not None:
        copied = copying(features(given.train), of_real, of_generated)
    return Samples(
        frechet_distance(of_real, of_generated),
        kernel_distance(of_real, of_generated, seed=given.seed),
        precision_recall(of_real, of_generated),
        two_sample_test(of_real[:_COMPARED], of_generated[:_COMPARED], seed=given.seed),
        copied,
        name,
        drawn,
        len(real),
    )


def _features(given: Given) -> tuple[str, Callable[[Any], np.ndarray], np.ndarray]:
    """What features are called, how they are found, and the examples to find them of."""
    x, scale = given.x, given.peak

    def of_network(network: Any, scale: float = 1.0) -> Callable[[Any], np.ndarray]:
        def features(x: Any) -> np.ndarray:
            found = network.predict(np.asarray(x, "float32") / scale, verbose=0)
            rows: np.ndarray = np.reshape(found, (len(x), -1))
            return rows

        return features

    if given.network is not None:
        return "features of the network given", of_network(given.network), x
    first, second = x[: len(x) // 2], x[len(x) // 2 :]
    if len(first) < _LEAST_SAMPLES:
        raise LeftOutError(
            f"{len(x)} examples are too few; {2 * _LEAST_SAMPLES} are needed, or a `network`"
        )
    classes = _few_classes(given.labels, len(x))
    if given.images and classes is not None:
        classes = classes[: len(first)]
        images = np.asarray(first, "float32").reshape(-1, *given.model.event_shape) / scale
        epochs = max(_EPOCHS, math.ceil(_TRAINED_ON / len(images)))
        network = feature_network(images, classes, epochs=epochs, seed=given.seed)
        name = "64 features of a classifier trained on other data of this set"
        return name, _reshaped(of_network(network, scale), given.model.event_shape), second

    import sklearn.decomposition

    flat = np.reshape(first, (len(first), -1))
    components = min(_COMPONENTS, flat.shape[1])
    # The share of a variance of 0 that a component explains is asked for by nobody here.
    with np.errstate(invalid="ignore"):
        pca = sklearn.decomposition.PCA(components, random_state=given.seed).fit(flat)

    def principal(x: Any) -> np.ndarray:
        found: np.ndarray = pca.transform(np.reshape(x, (len(x), -1)))
        return found

    return f"{components} principal components of the data", principal, second


def _few_classes(labels: Any, count: int) -> np.ndarray | None:
    """Number of each example's class, if there are several and few enough to learn from."""
    if labels is None:
        return None
    try:
        classes, numbers = classes_of(labels, count)
    except ValueError:  # the section of labels says why
        return None
    several = len(np.unique(numbers[: count // 2])) > 1
    return numbers if several and len(classes) <= _COMPONENTS else None


def _reshaped(
    function: Callable[[Any], np.ndarray], shape: tuple[int, ...]
) -> Callable[[Any], np.ndarray]:
    return lambda x: function(np.reshape(x, (len(x), *shape)))


def _factors(given: Given) -> Mapping[str, Score]:
    if given.factors is None:
        raise LeftOutError("no factors were given")
    try:
        return disentanglement(_codes(given), given.factors, seed=given.seed)
    except ValueError as error:
        raise LeftOutError(str(error)) from error


#: In the order of measuring; what lasts longest is late.
SECTIONS: Mapping[str, Callable[[Given], Any]] = {
    "reconstruction": _reconstruction,
    "active": _active,
    "latents": _latents,
    "labels": _labels,
    "calibration": _calibration,
    "likelihood": _likelihood,
    "samples": _samples,
    "factors": _factors,
}

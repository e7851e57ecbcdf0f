"""How good samples are, in the features of a network.

Floor 5. No network is downloaded: features are those of any Keras model, or of one trained here
on labelled data. Distances by different networks do not compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_vae.arguments import require_integer
from keras_vae.data.labels import classes_of
from keras_vae.evaluation.distances import (
    centred,
    distance_blocks,
    feature_matrices,
    flat_rows,
    reach,
)

__all__ = [
    "Copying",
    "PrecisionRecall",
    "copying",
    "feature_network",
    "frechet_distance",
    "precision_recall",
]


class PrecisionRecall(NamedTuple):
    """Result of `precision_recall`.

    Attributes:
        precision: Share of the samples that lie among real examples.
        recall: Share of the real examples that lie among samples.
        density: In how many neighbourhoods of real examples a sample lies, over what is
            expected of a real one; may be above 1. Outliers move it less than `precision`.
        coverage: Share of the real examples with a sample in their neighbourhood.
    """

    precision: float
    recall: float
    density: float
    coverage: float


class Copying(NamedTuple):
    """Result of `copying`.

    Attributes:
        closer: The probability that a sample lies closer to its nearest training example than
            a held-out example does: 0.5 for new data, above it for copies, below it for
            samples that are unlike data.
        p_value: That so much closeness comes by chance; two-sided.
        nearest: Index of each sample's nearest training example, the first of several.
        distances: To it.
    """

    closer: float
    p_value: float
    nearest: np.ndarray
    distances: np.ndarray


def feature_network(
    x: Any, labels: Any, *, width: int = 64, epochs: int = 3, seed: int = 0, verbose: Any = 0
) -> keras.Model:
    """Train a small convolutional classifier, and return it up to its features.

    Args:
        x: Images `[examples, height, width, channels]`, scaled as those to be compared.
        labels: Classes, `[examples]`, numbers or strings; or one-hot rows.
        width: Number of features. Defaults to `64`.
        epochs: Epochs of training. Defaults to `3`.
        seed: Random seed of weights, dropout and order. The generators of Python, NumPy, Keras
            and TensorFlow stay as they are.
        verbose: As in Keras. Defaults to `0`.

    Returns:
        Images -> features, `[examples, width]`.

    Raises:
        ValueError: If x are no finite images, or labels are not as many, or of one class.

    Example:
    >>> images = keras_vae.data.load_digits()
    >>> network = keras_vae.evaluation.feature_network(
    ...     images.x_train[:200], images.y_train[:200], epochs=1
    ... )
    >>> network(images.x_test[:5]).shape
    TensorShape([5, 64])
    """
    require_integer("width", width)
    require_integer("epochs", epochs)
    x = np.asarray(x)
    if x.ndim != 4 or x.dtype.kind not in "biuf" or not len(x):
        raise ValueError(
            f"`x` must be images [examples, height, width, channels]. "
            f"Received: shape {x.shape}, dtype {x.dtype}."
        )
    x = x.astype("float32")
    if not np.isfinite(x).all():
        raise ValueError("`x` must be finite. Received: NaN or infinities.")
    classes, numbers = classes_of(labels, len(x), least=2)
    rng = np.random.default_rng(seed)
    features, classifier = _classifier(x.shape[1:], width, len(classes), rng)
    for epoch in range(epochs):
        # Keras would shuffle by TensorFlow's own generator.
        order = rng.permutation(len(x))
        classifier.fit(
            x[order],
            numbers[order],
            initial_epoch=epoch,
            epochs=epoch + 1,
            batch_size=128,
            shuffle=False,
            verbose=verbose,
        )
    return features


def _classifier(
    shape: tuple[int, ...], width: int, classes: int, rng: np.random.Generator
) -> tuple[keras.Model, keras.Model]:
    """A network of features and a classifier on it, with seeds of their own."""

    def options() -> dict[str, Any]:
        seed = int(rng.integers(2**31))
        return {"kernel_initializer": keras.initializers.GlorotUniform(seed)}

    layers: list[Any] = [keras.Input(shape)]
    for channels in (32, 64):
        layers += [
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu", **options()),
            keras.layers.MaxPooling2D(padding="same"),
        ]
    layers += [
        keras.layers.Flatten(),
        keras.layers.Dense(width, activation="relu", **options()),
    ]
    features = keras.Sequential(layers)
    dropout = keras.layers.Dropout(0.2, seed=int(rng.integers(2**31)))
    classifier = keras.Sequential([features, dropout, keras.layers.Dense(classes, **options())])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss, metrics=["accuracy"])
    return features, classifier


def frechet_distance(real: Any, generated: Any) -> float:
    """Frechet distance between normal distributions fitted to features: FID.

    It falls with the number of examples: compare at equal numbers only. Equal sets have 0.

    Args:
        real: Features of real examples, `[examples, features]`; more than features.
        generated: The same of generated ones.

    Raises:
        ValueError: If they are no matrices of equally many columns.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=[5_000, 3]), rng.normal(size=[5_000, 3])
    >>> round(keras_vae.evaluation.frechet_distance(a, b + [1, 0, 0]), 1)
    1.0

    Reference: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter (2017), GANs Trained by a
    Two Time-Scale Update Rule, equation 6.
    """
    real, generated = feature_matrices({"real": real, "generated": generated})
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    # tr (AB)^(1/2) by the eigenvalues of A^(1/2) B A^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    means = np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2)
    # Rounding can leave less than nothing of equal sets.
    return max(0.0, float(means + np.trace(first) + np.trace(second) - 2 * shared))


def precision_recall(real: Any, generated: Any, *, neighbours: int = 5) -> PrecisionRecall:
    """Whether samples lie where data do, and everywhere where they do.

    The neighbourhood of an example reaches to its fifth neighbour of the same set, itself left
    out, and holds that neighbour: who lies exactly at its edge lies inside. Copies of an
    example count as neighbours at distance 0. So a set has precision, recall and coverage 1
    against itself, and a density of `(neighbours + 1) / neighbours` if no distances tie:
    each example lies in its own neighbourhood too.

    Args:
        real: Features of real examples, `[examples, features]`.
        generated: The same of as many generated ones.
        neighbours: Rank of the neighbour at the edge. Defaults to `5`.

    Raises:
        ValueError: If they are no matrices of equally many columns, or have too few rows.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=[500, 3]), rng.normal(size=[500, 3])
    >>> found = keras_vae.evaluation.precision_recall(a, 0.1 * b)
    >>> found.precision > 0.9, found.recall < 0.1
    (True, True)

    Reference: Kynkaanniemi, Karras, Laine, Lehtinen and Aila (2019), Improved Precision and
    Recall Metric; Naeem, Oh, Uh, Choi and Yoo (2020), Reliable Fidelity and Diversity Metrics.
    """
    real, generated = feature_matrices({"real": real, "generated": generated})
    require_integer("neighbours", neighbours)
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(
            f"`real` and `generated` must have more than {neighbours} rows. "
            f"Received: {len(real)} and {len(generated)}."
        )
    real, generated = centred(real, generated)
    edges, own_edges = reach(real, neighbours), reach(generated, neighbours)
    among, counts = np.zeros(len(generated), bool), np.zeros(len(generated))
    recalled, covered = [], []
    for rows, squares in distance_blocks(real, generated):
        inside = squares <= edges[rows, None]
        among |= inside.any(axis=0)
        counts += inside.sum(axis=0)
        recalled.append((squares <= own_edges).any(axis=1))
        covered.append(inside.any(axis=1))
    return PrecisionRecall(
        float(among.mean()),
        float(np.concatenate(recalled).mean()),
        float(counts.mean() / neighbours),
        float(np.concatenate(covered).mean()),
    )


def copying(train: Any, held_out: Any, generated: Any) -> Copying:
    """Test whether samples copy the training data.

    Args:
        train: Training examples or their features, `[examples, ...]`.
        held_out: Real examples that the model has not seen, in the same form.
        generated: Samples, in the same form.

    Raises:
        ValueError: If examples' sizes differ.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> train, test = rng.normal(size=[500, 3]), rng.normal(size=[200, 3])
    >>> found = keras_vae.evaluation.copying(train, test, train[:100] + 0.001)
    >>> round(found.closer, 1), found.p_value < 0.01
    (1.0, True)

    Reference: Meehan, Chaudhuri and Dasgupta (2020), A Non-Parametric Test to Detect
    Data-Copying in Generative Models, without its cells.
    """
    import scipy.stats

    given = {"train": train, "held_out": held_out, "generated": generated}
    flat = {name: flat_rows(each) for name, each in given.items()}
    train, held_out, generated = centred(*feature_matrices(flat))
    expected, _ = _nearest(held_out, train)
    distances, rows = _nearest(generated, train)
    test = scipy.stats.mannwhitneyu(expected, distances)
    closer = float(test.statistic) / (len(expected) * len(distances))
    return Copying(closer, float(test.pvalue), rows, distances)


def _nearest(rows: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row to the nearest of others, and its place: the first of equals."""
    found = [
        (np.sqrt(squares.min(axis=1)), squares.argmin(axis=1))
        for _, squares in distance_blocks(rows, among)
    ]
    distances, places = (np.concatenate(each) for each in zip(*found, strict=True))
    return distances, places

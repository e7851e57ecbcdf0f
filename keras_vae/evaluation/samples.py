"""How good samples are, in the features of a network.

Floor 5. No network is downloaded: features are those of any Keras model, or of one trained here
on labelled data. Distances by different networks do not compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np

from keras_vae.arguments import require_integer

__all__ = [
    "Copying",
    "KernelDistance",
    "PrecisionRecall",
    "copying",
    "feature_network",
    "frechet_distance",
    "kernel_distance",
    "precision_recall",
]

# Rows of distances held at a time.
_ROWS = 1024
# Features of a subset of the kernel distance.
_SUBSET = 1_000


class KernelDistance(NamedTuple):
    """Result of `kernel_distance`.

    Attributes:
        value: Mean over subsets; about 0 for samples of one distribution, and may be below.
        standard_error: Of the mean.
    """

    value: float
    standard_error: float


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
        nearest: Index of each sample's nearest training example.
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
        labels: Classes, whole numbers from 0, `[examples]`.
        width: Number of features. Defaults to `64`.
        epochs: Of training. Defaults to `3`.
        seed: Of weights and order.
        verbose: As in Keras. Defaults to `0`.

    Returns:
        Images -> features, `[examples, width]`.

    Raises:
        ValueError: If x are no images, or labels are not as many.

    Example:
    >>> images = keras_vae.data.load_digits()
    >>> network = keras_vae.evaluation.feature_network(
    ...     images.x_train[:200], images.y_train[:200], epochs=1
    ... )
    >>> network(images.x_test[:5]).shape
    TensorShape([5, 64])
    """
    x, labels = np.asarray(x), np.asarray(labels)
    if x.ndim != 4 or labels.shape != (len(x),):
        raise ValueError(
            f"`x` must be images [examples, height, width, channels], with a label each. "
            f"Received: shapes {x.shape} and {labels.shape}."
        )
    require_integer("width", width)
    keras.utils.set_random_seed(seed)
    layers: list[Any] = [keras.Input(x.shape[1:])]
    for channels in (32, 64):
        layers += [
            keras.layers.Conv2D(channels, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(padding="same"),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(width, activation="relu")]
    features = keras.Sequential(layers)
    classifier = keras.Sequential(
        [
            features,
            keras.layers.Dropout(0.2, seed=seed),
            keras.layers.Dense(int(labels.max()) + 1),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("adam", loss, metrics=["accuracy"])
    classifier.fit(x, labels, epochs=epochs, batch_size=128, verbose=verbose)
    return features


def frechet_distance(real: Any, generated: Any) -> float:
    """Frechet distance between normal distributions fitted to features: FID.

    It falls with the number of examples: compare at equal numbers only.

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
    real, generated = _features(real, generated)
    first, second = np.cov(real, rowvar=False), np.cov(generated, rowvar=False)
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    # tr (AB)^(1/2) by the eigenvalues of A^(1/2) B A^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    means = np.sum((real.mean(axis=0) - generated.mean(axis=0)) ** 2)
    return float(means + np.trace(first) + np.trace(second) - 2 * shared)


def kernel_distance(
    real: Any, generated: Any, *, subsets: int = 100, size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Squared maximum mean discrepancy of features under a cubic kernel: KID.

    Unlike `frechet_distance` it does not depend on the number of examples in the mean.

    Args:
        real: Features of real examples, `[examples, features]`.
        generated: The same of generated ones.
        subsets: Random subsets that are averaged. Defaults to `100`.
        size: Of a subset; at most all. Defaults to `None`: 1000, but at most half of the
            fewer, so that subsets differ.
        seed: Of the subsets.

    Raises:
        ValueError: If they are no matrices of equally many columns, or a number is not a
            positive integer.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.normal(size=[500, 3]), rng.normal(size=[500, 3])
    >>> abs(keras_vae.evaluation.kernel_distance(a, b, size=100).value) < 0.05
    True

    Reference: Binkowski, Sutherland, Arbel and Gretton (2018), Demystifying MMD GANs,
    section 4.
    """
    real, generated = _features(real, generated)
    require_integer("subsets", subsets, least=2)
    if size is not None:
        require_integer("size", size, least=2)
    fewer = min(len(real), len(generated))
    size = max(2, min(_SUBSET, fewer // 2)) if size is None else min(size, fewer)
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        a = real[rng.choice(len(real), size, replace=False)]
        b = generated[rng.choice(len(generated), size, replace=False)]
        within = sum(_cubic(v, v).sum() - np.trace(_cubic(v, v)) for v in (a, b))
        values.append(within / (size * (size - 1)) - 2 * _cubic(a, b).mean())
    return KernelDistance(
        float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(subsets))
    )


def precision_recall(real: Any, generated: Any, *, neighbours: int = 5) -> PrecisionRecall:
    """Whether samples lie where data do, and everywhere where they do.

    The neighbourhood of an example reaches to its fifth neighbour of the same set.

    Args:
        real: Features of real examples, `[examples, features]`.
        generated: The same of as many generated ones.
        neighbours: Defaults to `5`.

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
    real, generated = _features(real, generated)
    require_integer("neighbours", neighbours)
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(
            f"`real` and `generated` must have more than {neighbours} rows. "
            f"Received: {len(real)} and {len(generated)}."
        )
    import sklearn.metrics

    reach = _reach(real, neighbours)
    own_reach = _reach(generated, neighbours)
    among, counts = np.zeros(len(generated), bool), np.zeros(len(generated))
    recalled, covered = [], []
    for start in range(0, len(real), _ROWS):
        rows = slice(start, start + _ROWS)
        distances = sklearn.metrics.pairwise_distances(real[rows], generated)
        inside = distances <= reach[rows, None]
        among |= inside.any(axis=0)
        counts += inside.sum(axis=0)
        recalled.append((distances <= own_reach).any(axis=1))
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
    import sklearn.neighbors

    sets = [
        np.reshape(np.asarray(each, "float64"), (len(each), -1)) for each in (train, held_out)
    ]
    train, held_out = _features(*sets)
    _, generated = _features(train, np.reshape(np.asarray(generated), (len(generated), -1)))
    search = sklearn.neighbors.NearestNeighbors(n_neighbors=1).fit(train)
    expected = search.kneighbors(held_out)[0][:, 0]
    distances, nearest = search.kneighbors(generated)
    test = scipy.stats.mannwhitneyu(expected, distances[:, 0])
    closer = float(test.statistic) / (len(expected) * len(distances))
    return Copying(closer, float(test.pvalue), nearest[:, 0], distances[:, 0])


def _cubic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    kernel: np.ndarray = (a @ b.T / a.shape[1] + 1) ** 3
    return kernel


def _reach(rows: np.ndarray, neighbours: int) -> np.ndarray:
    """Distance of each row to its neighbour of that rank, itself left out."""
    import sklearn.neighbors

    search = sklearn.neighbors.NearestNeighbors(n_neighbors=neighbours).fit(rows)
    reach: np.ndarray = search.kneighbors()[0][:, -1]
    return reach


def _features(real: Any, generated: Any) -> tuple[np.ndarray, np.ndarray]:
    real, generated = np.asarray(real, "float64"), np.asarray(generated, "float64")
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"Features must be matrices [examples, features] of equally many columns. "
            f"Received: shapes {real.shape} and {generated.shape}. Give images to a network "
            f"first: feature_network(x, labels).predict(images)."
        )
    for rows in (real, generated):
        if len(rows) < 2 or not np.isfinite(rows).all():
            raise ValueError(
                f"Features must be finite, of at least two examples. Received: shape "
                f"{rows.shape}{'' if len(rows) < 2 else ', NaN or infinities'}."
            )
    return real, generated

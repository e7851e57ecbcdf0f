"""A folder of images: find like ones and damaged ones, change and multiply them.

    python examples/images.py          digits of scikit-learn, written to a folder: a minute
    python examples/images.py fashion  5,000 pieces of clothing, 28 x 28, if
                                       KERAS_VAE_DATA has them: five minutes

Trains without looking at labels and prints, of images that were held out:

    like              share of the five images with the nearest codes that are of the same class
    damaged           ROC-AUC of the anomaly score, as they are against with a square of noise
    flagged           share of the damaged ones above a threshold that one in a hundred of those
                      trained on exceed
    found             share of the damaged ones whose most unlikely pixel is in that square
    edited            share of the images of one class that a classifier takes for another, when
                      moved along the direction from the one to the other
    of few, more      accuracy of a classifier of ten images of each class, and of the same with
                      ten draws around each

Expect 0.90, 0.92, 0.61, 0.91, 0.87, 0.88 and 0.90 for the digits. For the clothing 0.73, 0.66,
0.06, 0.88, 0.96, 0.68 and 0.70: bags cost 1,200 nats more than trousers and damage 340, which
shows in where it is and not in the sum.

Writes found.png (images and their like), edited.png (before and after), traversals.png, way.png
(from one image to another) and model.keras into output/images. From the shell:

    keras-vae train photos --kind images --out model.keras
    keras-vae score photos --model model.keras --out scores.csv --reference photos
    keras-vae interpolate photos --model model.keras --out way.png
"""

import os
import pathlib
import shutil
import sys

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import keras_vae
from keras_vae import data, plots, presets, tasks

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
OUTPUT = pathlib.Path("output", "images")
FEW, DRAWS = 10, 10


def digits() -> tuple[np.ndarray, np.ndarray]:
    found = load_digits()
    return (found.images * 255 / 16).astype("uint8"), found.target


def fashion() -> tuple[np.ndarray, np.ndarray]:
    with np.load(pathlib.Path(os.environ["KERAS_VAE_DATA"]) / "fashion_mnist.npz") as file:
        return file["x_test"][:5000], file["y_test"][:5000]


def write_folder(images: np.ndarray, labels: np.ndarray) -> pathlib.Path:
    """A folder for each class, as `from_images` and many others know them."""
    root = OUTPUT / "photos"
    shutil.rmtree(root, ignore_errors=True)
    for index, (image, label) in enumerate(zip(images, labels)):
        path = root / str(label) / f"{index:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(image[..., None]).numpy())
    return root


def write_sheet(name: str, rows: np.ndarray) -> None:
    """Rows of images `[rows, columns, height, width, 1]`, four times as large."""
    height, width = (rows.shape[0] * rows.shape[2], rows.shape[1] * rows.shape[3])
    sheet = np.clip(rows, 0, 255).transpose(0, 2, 1, 3, 4).reshape(height, width, 1)
    large = sheet.repeat(4, 0).repeat(4, 1).astype("uint8")
    (OUTPUT / name).write_bytes(tf.io.encode_png(large).numpy())


def damaged(x: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with a square of noise in each, and where it is."""
    rng = np.random.default_rng(SEED)
    where = np.zeros(x.shape, bool)
    corners = rng.integers(0, x.shape[1] - side + 1, (len(x), 2))
    for mask, (row, column) in zip(where, corners):
        mask[row : row + side, column : column + side] = True
    return np.where(where, rng.integers(0, 256, x.shape), x).astype(x.dtype), where


def classifier(x: np.ndarray, y: np.ndarray) -> LogisticRegression:
    return LogisticRegression(C=0.1, max_iter=500).fit(x.reshape(len(x), -1) / 255, y)


def main() -> None:
    if sys.argv[1:] not in ([], ["fashion"]):
        sys.exit("usage: python examples/images.py [fashion]")
    keras.utils.set_random_seed(SEED)
    folder = write_folder(*(fashion() if sys.argv[1:] else digits()))

    source = data.from_images(folder, held_out=0.2, seed=SEED)
    print(source)
    vae = presets.for_source(source, seed=SEED)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(
        source.x_train,
        validation_data=source.x_test,
        batch_size=64,
        epochs=2 if SMOKE else 150,
        callbacks=keras_vae.callbacks.EarlyStopping(patience=15),
        verbose=0,
    )
    train, test = source.x_train, source.x_test
    train_labels, labels = source.labels_train, source.labels_test
    print(f"test elbo      {vae.elbo(test, seed=0).mean():9.2f} nats")

    found = tasks.nearest(vae, test, train, k=5)
    like = train_labels[found.indices] == labels[:, None]
    print(f"like           {like.mean():9.3f} of the five nearest")

    broken, where = damaged(test, side=max(3, test.shape[1] // 4))
    scores = tasks.anomaly_score(vae, np.concatenate([test, broken]), seed=SEED)
    truth = np.arange(len(scores)) >= len(test)
    limit = tasks.threshold(tasks.anomaly_score(vae, train, seed=SEED), rate=0.01)
    worst = tasks.attribution(vae, broken, samples=20, seed=SEED)
    worst = worst.reshape(len(broken), -1).argmax(1)
    hit = where.reshape(len(where), -1)[np.arange(len(worst)), worst]
    print(f"damaged        {roc_auc_score(truth, scores):9.3f} ROC-AUC")
    print(f"flagged        {(scores[truth] > limit.value).mean():9.3f} of the damaged")
    print(f"found          {hit.mean():9.3f} of the damaged")

    first, second = np.unique(train_labels)[[1, 7]]
    both = np.isin(train_labels, [first, second])
    change = tasks.direction(vae, train[both], train_labels[both] == second)
    before = test[labels == first]
    after = tasks.edit(vae, before, change)
    told = classifier(train, train_labels).predict(after.reshape(len(after), -1) / 255)
    print(f"edited         {(told == second).mean():9.3f} from {first} to {second}")

    few = np.concatenate(
        [np.flatnonzero(train_labels == name)[:FEW] for name in np.unique(train_labels)]
    )
    more = tasks.augment(vae, train[few], DRAWS, seed=SEED).reshape(-1, *train.shape[1:])
    x, y = np.concatenate([train[few], more]), np.tile(train_labels[few], 1 + DRAWS)
    for name, one in (
        ("of few", classifier(train[few], train_labels[few])),
        ("of more", classifier(x, y)),
    ):
        accuracy = one.score(test.reshape(len(test), -1) / 255, labels)
        print(f"{name:14} {accuracy:9.3f} accuracy")

    write_sheet("found.png", np.concatenate([test[:8, None], train[found.indices[:8]]], 1))
    write_sheet("edited.png", np.stack([before[:12], after[:12]]))
    plots.traversals(vae, test, path=OUTPUT / "traversals.png")
    write_sheet("way.png", tasks.interpolate(vae, test[:6], test[6:12], steps=10))
    vae.save(OUTPUT / "model.keras")
    print(f"written: {OUTPUT}/found.png, edited.png, traversals.png, way.png, model.keras")


if __name__ == "__main__":
    main()

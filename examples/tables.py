"""A table with holes: fill them in, find odd rows, draw new ones.

    python examples/tables.py          cells of tumours (scikit-learn's breast_cancer): a minute

Trains on benign cases with a tenth of the cells taken out, as real tables have them, and
prints, of cases that were held out:

    filled in        root mean squared error of the cells taken out, in standard deviations,
                     beside that of the column's mean
    malignant        ROC-AUC of the anomaly score, benign against malignant: no label was used
    synthetic        accuracy of a classifier of malignant cases, trained on rows drawn from two
                     such models, beside that of the same classifier trained on real rows

Expect an error of 0.5 to 0.6 against 1.0, an AUC above 0.9, and 0.9 against 0.95.
Writes model.keras and synthetic.csv into output/tables. The same from the shell:

    keras-vae train cells.csv --kind table --label class --out model.keras
    keras-vae impute cells.csv --model model.keras --out whole.csv
    keras-vae score cells.csv --model model.keras --out scores.csv
    keras-vae generate --model model.keras --out synthetic.csv --count 1000
"""

import os
import pathlib

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

import keras_vae
from keras_vae import data, presets, tasks

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
EPOCHS = 2 if SMOKE else 400
HIDDEN = 0.1


def trained(frame) -> tuple[keras_vae.VAE, data.Source]:
    source = data.from_table(frame, seed=SEED)
    vae = presets.for_source(source, seed=SEED)
    vae.compile(keras.optimizers.Adam(1e-3))
    vae.fit(
        source.x_train,
        validation_data=source.x_test,
        batch_size=32,
        epochs=EPOCHS,
        callbacks=keras_vae.callbacks.EarlyStopping(patience=40),
        verbose=0,
    )
    return vae, source


def main() -> None:
    output = pathlib.Path("output", "tables")
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)

    frame = load_breast_cancer(as_frame=True).frame
    benign = frame.pop("target").to_numpy() == 1
    held_out = rng.random(len(frame)) < 0.3
    holed = frame.mask(rng.random(frame.shape) < HIDDEN)

    vae, source = trained(holed[benign & ~held_out])
    print(f"test elbo      {vae.elbo(source.x_test, seed=0).mean():8.2f} nats")

    table = source.schema.table
    spread = np.nanstd(source.x_train, 0)
    incomplete, truth = (table.to_array(f[benign & held_out]) for f in (holed, frame))
    missing = np.isnan(incomplete)
    filled = vae.impute(incomplete, seed=SEED)
    means = np.broadcast_to(np.nanmean(source.x_train, 0), truth.shape)
    for name, guess in (("filled in", filled), ("by the mean", means)):
        error = np.sqrt(np.mean((((guess - truth) / spread)[missing]) ** 2))
        print(f"{name:14} {error:8.3f} standard deviations")

    scores = tasks.anomaly_score(vae, table.to_array(frame[held_out]), seed=SEED)
    print(f"malignant      {roc_auc_score(~benign[held_out], scores):8.3f} ROC-AUC")

    others, _ = trained(holed[~benign & ~held_out])
    count = int(np.sum(~held_out))
    drawn = [model.generate(count, sample=True, seed=SEED) for model in (vae, others)]
    classes = np.repeat([True, False], count)
    real = table.to_array(frame[~held_out])
    for name, x, y in (
        ("synthetic", np.concatenate(drawn), classes),
        ("real", real, benign[~held_out]),
    ):
        forest = RandomForestClassifier(100, random_state=SEED).fit(x, y)
        accuracy = forest.score(table.to_array(frame[held_out]), benign[held_out])
        print(f"{name:14} {accuracy:8.3f} accuracy")

    source.schema.write(drawn[0], output / "synthetic.csv")
    vae.save(output / "model.keras")
    print(f"written: {output}/model.keras, synthetic.csv")


if __name__ == "__main__":
    main()

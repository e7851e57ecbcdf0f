"""Scikit-learn: a VAE as a step of a pipeline, searched over, and as a detector of outliers.

    python examples/estimators.py      178 wines, 569 tumours, of scikit-learn: two minutes

Prints

    codes            accuracy of a classifier of wines, by the codes of a `VAETransformer` whose
                     number of latents a grid search chose, over five folds, beside that of the
                     same classifier on as many principal components
    outliers         ROC-AUC of malignant cases against benign ones that were held out, by a
                     `VAEOutlierDetector` of benign ones, beside an `IsolationForest`

Expect 0.97 and 0.96, and 0.94 and 0.96: on this table the forest is ahead, in the mean over the
ten tables of `benchmarks/adbench.py` the detector is (0.867 and 0.848).

Writes detector.keras, the detector's model, into output/estimators: `keras.saving.load_model`
opens it, `exporters` take it along.
"""

import os
import pathlib

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_vae import tasks

SMOKE = os.environ.get("KERAS_VAE_SMOKE") == "1"
SEED = 0
EPOCHS, FOLDS, LATENTS = (2, 2, [2]) if SMOKE else (150, 5, [2, 4, 8])


def codes() -> None:
    x, y = load_wine(return_X_y=True)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    reduced = tasks.VAETransformer(epochs=EPOCHS, random_state=SEED)
    pipeline = make_pipeline(reduced, LogisticRegression())
    search = GridSearchCV(pipeline, {"vaetransformer__latent_dim": LATENTS}, cv=folds)
    search.fit(x, y)
    chosen = search.best_params_["vaetransformer__latent_dim"]
    linear = make_pipeline(StandardScaler(), PCA(chosen), LogisticRegression())
    accuracy = cross_val_score(linear, x, y, cv=folds).mean()
    print(f"codes            {search.best_score_:8.3f} accuracy, {chosen} latents")
    print(f"components       {accuracy:8.3f} accuracy")


def outliers(output: pathlib.Path) -> None:
    x, benign = load_breast_cancer(return_X_y=True)
    seen = (benign == 1) & (np.random.default_rng(SEED).random(len(x)) < 0.67)
    # One in a hundred may be odd among those that it learns from.
    detector = tasks.VAEOutlierDetector(
        contamination=0.01,
        latent_dim=8,
        epochs=EPOCHS if SMOKE else None,
        random_state=SEED,
    )
    forest = IsolationForest(random_state=SEED)
    for name, one in (("outliers", detector), ("by a forest", forest)):
        score = -one.fit(x[seen]).score_samples(x[~seen])
        print(f"{name:16} {roc_auc_score(benign[~seen] == 0, score):8.3f} ROC-AUC")
    detector.model_.save(output / "detector.keras")
    print(f"written: {output}/detector.keras")


def main() -> None:
    output = pathlib.Path("output", "estimators")
    output.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(SEED)
    codes()
    outliers(output)


if __name__ == "__main__":
    main()

"""Training on synthetic rows: `python benchmarks/synthetic_rows.py`.

A classifier learns from rows that a model of a table drew, and is tested on real rows that
neither has seen; beside it the same classifier that learnt from the real rows of which the
model was made. The label is one of the columns. Tables: wine, breast_cancer and digits of
scikit-learn, and those of ADBench whose rarer class has 5 % of the rows or more; of longer
ones 3,000 rows, drawn at random. 30 % of the rows of a table, stratified, are the test rows of
all seeds; the seeds are those of starting points, draws and classifiers.

- `real`: the training rows.
- `VAE`: as many rows drawn by `presets.for_source(...).generate(n, sample=True)`, the table
  read as from a `.csv` file: whole numbers from 0 on are counts. Adam at 1e-3, batches as
  the command line takes them, until the bound of a tenth of the training rows has not risen
  for 1,000 updates, at most 6,000.
- `VAE, heavy label`: the same, but the log-likelihood of the label counts tenfold in training,
  `Columns(table.columns(), {"label": 10.0})`. What `--choose` found best.
- `marginals`: each column on its own, shuffled.
- `normal per class`: for each class a normal of its mean and its covariance, by Ledoit and
  Wolf (2004).
- `copula`: normal scores of all columns, the label among them, with the covariance by the same;
  back through the columns' quantiles.

`roc_auc` is that of one class against the rest, mean over the classes. Forest: 200 trees of
`RandomForestClassifier`; logistic: `LogisticRegression` on standardised columns. `points` are
hundredths by which the real rows are better, means over seeds.

`--choose` compares the candidates on a quarter of the training rows of each table, with one
seed, the models made of the other three; test rows play no part. The choice was made by
campaign, the first table on which the default fell short, and satellite.

Cells go to `output/synthetic_rows.jsonl`, from where an interrupted run goes on; results go to
`results/synthetic_rows.json`. Needs the folder of data sets named by KERAS_VAE_DATA.
"""

import argparse
import hashlib
import itertools
import json
import os
import pathlib
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
import scipy.stats
import sklearn
import sklearn.datasets
import smoke
import tensorflow as tf
from facts import machine, sha256, versions
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_vae
from keras_vae import data, likelihoods, presets, priors, samplers

HERE = pathlib.Path(__file__).parent
FILE = pathlib.Path(os.environ.get("KERAS_VAE_DATA", "")) / "adbench_shared10.npz"
CELLS, RESULTS = smoke.OUTPUT / "synthetic_rows.jsonl", smoke.RESULTS / "synthetic_rows.json"
SKLEARN = ("wine", "breast_cancer", "digits")
TABLES = (*SKLEARN, "breastw", "satellite", "campaign", "annthyroid", "shuttle")
ROWS, SEEDS, LABEL = 3_000, smoke.pick((0, 1, 2), (0,)), "label"
UPDATES, EPOCH, PATIENCE = *smoke.pick((6_000, 100), (2, 2)), 10
MEASURES = ("roc_auc", "accuracy")


def load(name):
    """A table, its label a word."""
    if name in SKLEARN:
        found = getattr(sklearn.datasets, f"load_{name}")()
        x, y = found.data, found.target
    else:
        with np.load(FILE, allow_pickle=False) as arrays:
            x, y = arrays[f"{name}_X"].astype("float64"), arrays[f"{name}_y"]
    rows = np.random.default_rng(0).permutation(len(x))[:ROWS]
    frame = pd.DataFrame(x[rows], columns=[f"column {i}" for i in range(x.shape[1])])
    return frame.assign(**{LABEL: [f"class {value}" for value in y[rows]]})


def split(name, choose):
    """Rows to make models of, and rows to test on; to choose, all are training rows."""
    frame = load(name)
    train, test = train_test_split(frame, test_size=0.3, stratify=frame[LABEL], random_state=0)
    if choose:
        train, test = train_test_split(
            train, test_size=0.25, stratify=train[LABEL], random_state=0
        )
    varied = [column for column in train if train[column].nunique() > 1]
    return train[varied], test[varied]


def fitted(train, seed, **parts):
    """A trained model and its source. `parts` are functions of the source."""
    keras.utils.set_random_seed(seed)
    source = data.from_table(train.convert_dtypes(), seed=seed)
    parts = {name: part(source) for name, part in parts.items()}
    vae = presets.for_source(source, seed=seed, **parts)
    vae.compile(keras.optimizers.Adam(1e-3), steps_per_execution=EPOCH)
    count = len(source.x_train)
    # Small tables would spend their time between epochs.
    rows = tf.data.Dataset.from_tensor_slices(source.x_train.astype("float32"))
    batches = rows.shuffle(count, seed).repeat().batch(max(8, min(128, count // 8)))
    vae.fit(
        batches,
        validation_data=source.x_test,
        steps_per_epoch=EPOCH,
        epochs=UPDATES // EPOCH,
        callbacks=keras_vae.callbacks.EarlyStopping(patience=PATIENCE),
        verbose=0,
    )
    return vae, source


def predicted_scales(source):
    columns = source.schema.table.columns()
    for name, kind in zip(source.schema.table.names, source.schema.table.kinds):
        if kind == "real":
            columns[name] = likelihoods.Normal("predicted")
    return likelihoods.Columns(columns)


def heavy_label(source):
    return likelihoods.Columns(source.schema.table.columns(), {LABEL: 10.0})


def equal_label(source):
    """The label counts as much as all other columns together."""
    columns = source.schema.table.columns()
    return likelihoods.Columns(columns, {LABEL: len(columns) - 1.0})


# The parts that differ from the default, and a prior to fit to the codes.
MODELS = {
    "default": {},
    "predicted scales": {"likelihood": predicted_scales},
    "flow": {"prior": lambda _: priors.Flow()},
    "more latents": {"latent_dim": lambda source: max(2, min(32, source.event_shape[0] // 2))},
    "heavy label": {"likelihood": heavy_label},
    "equal label": {"likelihood": equal_label},
}
FITTED = {"": None, ", fitted mixture": lambda: priors.NormalMixture(20, covariance="full")}
CANDIDATES = [f"{model}{fitted}" for model, fitted in itertools.product(MODELS, FITTED)]
CHOSEN = "heavy label"
# The model that was made last: another prior may be fitted to its codes.
LAST = {}


def by_vae(candidate):
    name, _, ending = candidate.partition(", ")
    prior = FITTED[f", {ending}" if ending else ""]

    def draw(train, seed):
        key = (name, seed, int(pd.util.hash_pandas_object(train).sum()))
        if key not in LAST:
            model = fitted(train, seed, **MODELS[name])
            LAST.clear()
            LAST[key] = model
        vae, source = LAST[key]
        given = {}
        if prior is not None:
            given["prior"] = samplers.fit(vae, source.x_train, prior(), seed=seed)
        x = vae.generate(len(train), sample=True, seed=seed, **given)
        return source.schema.table.to_frame(x)

    return draw


def marginals(train, seed):
    rng = np.random.default_rng(seed)
    return train.apply(lambda column: rng.permutation(column.to_numpy()))


def normals(train, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for name, rows in train.groupby(LABEL):
        x = rows.drop(columns=LABEL).to_numpy("float64")
        spread = x.std(0)
        spread[spread == 0] = 1
        found = LedoitWolf().fit((x - x.mean(0)) / spread)
        drawn = rng.multivariate_normal(np.zeros(x.shape[1]), found.covariance_, len(x))
        drawn = x.mean(0) + spread * drawn
        columns = train.columns.drop(LABEL)
        parts.append(pd.DataFrame(drawn, columns=columns).assign(**{LABEL: name}))
    return pd.concat(parts)


def copula(train, seed):
    rng = np.random.default_rng(seed)
    codes, names = pd.factorize(train[LABEL], sort=True)
    x = np.column_stack([train.drop(columns=LABEL).to_numpy("float64"), codes])
    # Equal values take their ranks by chance.
    order = np.lexsort(np.stack([rng.random(x.shape), x]), axis=0)
    ranks = np.argsort(order, axis=0)
    scores = scipy.stats.norm.ppf((ranks + 0.5) / len(x))
    covariance = LedoitWolf().fit(scores).covariance_
    drawn = rng.multivariate_normal(np.zeros(x.shape[1]), covariance, len(x))
    places = scipy.stats.norm.cdf(drawn / np.sqrt(np.diag(covariance)))
    rows = np.minimum((places * len(x)).astype(int), len(x) - 1)
    drawn = np.take_along_axis(np.sort(x, axis=0), rows, axis=0)
    result = pd.DataFrame(drawn[:, :-1], columns=train.columns.drop(LABEL))
    return result.assign(**{LABEL: names[drawn[:, -1].astype(int)]})


MAKERS = {
    "real": lambda train, seed: train,
    "VAE": by_vae("default"),
    **({} if CHOSEN == "default" else {f"VAE, {CHOSEN}": by_vae(CHOSEN)}),
    "marginals": marginals,
    "normal per class": normals,
    "copula": copula,
}
CLASSIFIERS = {
    "forest": lambda seed: RandomForestClassifier(200, random_state=seed),
    "logistic": lambda seed: make_pipeline(
        StandardScaler(), LogisticRegression(max_iter=2_000)
    ),
}


def scores(rows, test, seed):
    """Figures of each classifier that learnt from `rows`, on `test`."""
    found = {}
    classes = np.unique(test[LABEL])
    truth = test[LABEL].to_numpy() == classes[:, None]
    for name, make in CLASSIFIERS.items():
        probabilities = np.zeros((len(test), len(classes)))
        known = np.unique(rows[LABEL].astype(str))
        if len(known) > 1:
            x, y = rows.drop(columns=LABEL), rows[LABEL].astype(str)
            model = make(seed).fit(x.to_numpy("float64"), y.to_numpy(str))
            seen = test[x.columns].to_numpy("float64")
            places = np.searchsorted(classes, model.classes_)
            probabilities[:, places] = model.predict_proba(seen)
        else:
            probabilities[:, classes == known[0]] = 1
        each = [roc_auc_score(t, p) for t, p in zip(truth, probabilities.T)]
        found[name] = {
            "roc_auc": float(np.mean(each)),
            "accuracy": float(np.mean(probabilities.argmax(1) == truth.argmax(0))),
        }
    return found


def measured(makers, options):
    """All cells, those of earlier runs among them."""
    CELLS.parent.mkdir(parents=True, exist_ok=True)
    lines = CELLS.read_text().splitlines() if CELLS.exists() else []
    cells = {tuple(key): found for key, found in map(json.loads, lines)}
    study = "choose" if options.choose else "test"
    for seed, table, maker in itertools.product(options.seeds, options.tables, makers):
        key = (study, table, maker, seed)
        if key not in cells:
            train, test = split(table, options.choose)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of columns that tell nothing
                rows = makers[maker](train, seed)
            cells[key] = scores(rows, test, seed)
            with CELLS.open("a") as file:
                file.write(json.dumps([key, cells[key]]) + "\n")
        print(*key, cells[key], flush=True)
    return {key[1:]: found for key, found in cells.items() if key[0] == study}


def table_of(cells, makers, options):
    """Mean and spread of each figure; and by how much real rows are better."""
    tables = {}
    for table, maker in itertools.product(options.tables, makers):
        runs = [cells[table, maker, seed] for seed in options.seeds]
        row = tables.setdefault(table, {})[maker] = {}
        for name, figure in itertools.product(CLASSIFIERS, MEASURES):
            values = [run[name][figure] for run in runs]
            found = {"mean": round(float(np.mean(values)), 4)}
            if len(values) > 1:
                found["spread"] = round(float(np.std(values, ddof=1)), 4)
            row.setdefault(name, {})[figure] = found
    points = {}
    for maker, figure in itertools.product(makers, MEASURES):
        if maker == "real":
            continue
        of_maker = points.setdefault(maker, {})
        by_table = {
            table: {
                name: round(
                    100
                    * (rows["real"][name][figure]["mean"] - rows[maker][name][figure]["mean"]),
                    1,
                )
                for name in CLASSIFIERS
            }
            for table, rows in tables.items()
        }
        every = [value for row in by_table.values() for value in row.values()]
        of_maker[figure] = {
            "mean": round(float(np.mean(every)), 2),
            "within 3": f"{sum(value <= 3 for value in every)} of {len(every)}",
            "tables": by_table,
        }
    return {"points": points, "tables": tables}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument(
        "--tables", nargs="+", default=TABLES[: smoke.pick(None, 1)], choices=TABLES
    )
    smoke.add_argument(parser)
    parser.add_argument("--seeds", nargs="+", type=int, default=None)
    parser.add_argument("--candidates", nargs="+", default=CANDIDATES)
    options = parser.parse_args()
    makers = MAKERS
    if options.choose:
        candidates = {f"VAE, {name}": by_vae(name) for name in options.candidates}
        makers = {"real": MAKERS["real"], **candidates}
    options.seeds = options.seeds or ([0] if options.choose else list(SEEDS))
    found = table_of(measured(makers, options), makers, options)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    chosen = " --choose" if options.choose else ""
    if options.choose:
        chosen += " --candidates " + " ".join(f"'{name}'" for name in options.candidates)
    results["choice on validation rows" if options.choose else "test"] = {
        "command": f"python benchmarks/synthetic_rows.py{chosen}"
        f" --tables {' '.join(options.tables)} --seeds {' '.join(map(str, options.seeds))}",
        "protocol": __doc__,
        "seeds": options.seeds,
        "data": {FILE.name: sha256(FILE)},
        "sha256_of_tables": {
            name: hashlib.sha256(load(name).to_csv(index=False).encode()).hexdigest()
            for name in options.tables
        },
        "machine": machine(),
        "versions": versions("scikit-learn"),
        "results": found,
    }
    smoke.write(RESULTS, results)
    print(json.dumps(found["points"], indent=2))


if __name__ == "__main__":
    main()

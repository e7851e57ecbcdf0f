"""Detectors of pyod with its defaults: `SCRIPT SEED FOLDER`.

For each pair [table, detector] of `FOLDER/pairs.json` a detector is fitted to the array
`train` of `FOLDER/TABLE.npz`; its scores of `test` go to `FOLDER/scores.npy`, and a line of
JSON with the seconds it took to the output. The next begins when a line comes in. One thread:
the detectors' batches of 32 rows give no work to more.
"""

import json
import pathlib
import sys
import time

import numpy as np
import pyod
import sklearn
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.ecod import ECOD
from pyod.models.vae import VAE

DETECTORS = {
    "AutoEncoder": lambda seed: AutoEncoder(random_state=seed, verbose=0),
    "VAE": lambda seed: VAE(random_state=seed, verbose=0),
    "ECOD": lambda seed: ECOD(),
}

torch.set_num_threads(1)
seed, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
# Fitting a first one imports more of torch.
DETECTORS["VAE"](seed).fit(np.random.default_rng(0).normal(size=(64, 4)))
for table, name in json.loads((folder / "pairs.json").read_text()):
    with np.load(folder / f"{table}.npz", allow_pickle=False) as arrays:
        train, test = arrays["train"], arrays["test"]
    detector = DETECTORS[name](seed)
    start = time.perf_counter()
    detector.fit(train)
    fitted = time.perf_counter()
    np.save(folder / "scores.npy", detector.decision_function(test))
    result = {
        "table": table,
        "detector": name,
        "fit_seconds": fitted - start,
        "score_seconds": time.perf_counter() - fitted,
        "versions": {
            "pyod": pyod.__version__,
            "torch": torch.__version__,
            "pyod's scikit-learn": sklearn.__version__,
        },
    }
    print()
    print(json.dumps(result), flush=True)
    sys.stdin.readline()

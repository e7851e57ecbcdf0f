"""scVI of scvi-tools with its defaults: `SCRIPT LIKELIHOOD SEED SAMPLES FOLDER`.

Reads the arrays `train` and `test` of `FOLDER/cells.npz`, counts of cells x genes, trains as
its tutorials do - 400 epochs at most, a tenth of the cells held out - and ends early when
those tell it to. `FOLDER/scvi.npz` gets the bound and the importance-weighted estimate of each
test cell and the codes of all; a line of JSON goes to the output. One thread.
"""

import json
import pathlib
import sys
import warnings

import anndata
import numpy as np
import scvi
import torch

warnings.simplefilter("ignore")
likelihood, seed, samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
folder = pathlib.Path(sys.argv[4])
torch.set_num_threads(1)
scvi.settings.seed = seed
scvi.settings.verbosity = 30
with np.load(folder / "cells.npz", allow_pickle=False) as arrays:
    train, test = (
        anndata.AnnData(arrays[name].astype("float32")) for name in ("train", "test")
    )
scvi.model.SCVI.setup_anndata(train)
model = scvi.model.SCVI(train, gene_likelihood=likelihood)
model.train(
    accelerator="cpu",
    early_stopping=True,
    enable_progress_bar=False,
    enable_model_summary=False,
)
np.savez(
    folder / "scvi.npz",
    bound=np.asarray(model.get_elbo(test, return_mean=False)),
    log_marginal=np.asarray(
        model.get_marginal_ll(
            test, n_mc_samples=samples, return_mean=False, n_mc_samples_per_pass=10
        )
    ),
    train_codes=model.get_latent_representation(train),
    test_codes=model.get_latent_representation(test),
)
result = {
    "epochs": model.trainer.current_epoch,
    "versions": {"scvi-tools": scvi.__version__, "torch": torch.__version__},
}
print(json.dumps(result), flush=True)

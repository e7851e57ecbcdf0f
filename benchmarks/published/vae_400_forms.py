"""What separates Keras's form of the VAE of `vae_400.py` from PyTorch's, one thing at a time.

`python benchmarks/published/vae_400_forms.py --peers PYTHON`, a Python that has torch. Forms:

| form | differs from `keras` in |
|---|---|
| `keras` | nothing: Glorot's initialisation, a softplus scale, Adam's epsilon 1e-7 |
| `initialisation` | kernels and biases uniform within 1 / sqrt(inputs), as PyTorch draws them |
| `log variance` | the encoder emits the logarithm of the variance |
| `epsilon` | Adam's epsilon is 1e-8 |
| `all three` | all of these |
| `torch` | the same model written in PyTorch, trained on the same bits |

Each form is trained for `--epochs` epochs from each of `--seeds`; the bound on held-out images
is noted after each, and log p(x) of the test images measured at the end. A row is written as
soon as it is there, and rows that are there are not repeated.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import ladder
import numpy as np
from vae_400 import RECIPE, SCHEDULE, make

from keras_vae import evaluation, posteriors
from keras_vae.component import register

sys.path.append(str(ladder.ROOT / "benchmarks"))
import smoke
from facts import machine, sha256, versions

RESULTS = smoke.RESULTS / "vae_400_forms.json"
CONTENDER = ladder.ROOT / "benchmarks" / "contenders" / "torch_vae_400.py"
CHANGES = {
    "keras": (),
    "initialisation": ("initialisation",),
    "log variance": ("log variance",),
    "epsilon": ("epsilon",),
    "all three": ("initialisation", "log variance", "epsilon"),
}
FORMS = (*CHANGES, "torch")


@register("benchmarks")
class LogVarianceNormal(posteriors.DiagonalNormal):
    """Independent normals whose parameters are means and logarithms of variances."""

    def scale(self, params):
        return keras.ops.exp(0.5 * params[..., self.latent_dim :])


def uniform_like_torch(model, seed):
    """Draw kernels and biases of dense layers as `torch.nn.Linear` does."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            end = layer.kernel.shape[0] ** -0.5
            layer.set_weights([rng.uniform(-end, end, w.shape) for w in layer.get_weights()])


def train_here(changes, seed, epochs, bits, samples):
    keras.utils.set_random_seed(seed)
    posterior = None
    if "log variance" in changes:
        posterior = LogVarianceNormal(40)
    vae = make(0, seed=seed, posterior=posterior)
    if "initialisation" in changes:
        uniform_like_torch(vae, seed)
    options = {"epsilon": 1e-8} if "epsilon" in changes else {}
    steps = -(-len(bits["train"]) // RECIPE.batch_size)
    vae.compile(ladder.stepwise(*SCHEDULE)(steps, **options), jit_compile=True)
    history = vae.fit(
        bits["train"],
        validation_data=bits["val"],
        batch_size=RECIPE.batch_size,
        epochs=epochs,
        verbose=2,
    )
    found = evaluation.log_marginal(vae, bits["test"], samples=samples, seed=0)
    return {
        "nats": -float(found.mean),
        "val_elbo": [round(float(v), 3) for v in history.history["val_elbo"]],
    }


def train_torch(python, seed, epochs, folder, samples):
    command = [python, str(CONTENDER), str(folder), str(epochs), str(samples), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line)
            print("torch", seed, line.strip(), flush=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: exit code {process.returncode}.")
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", help="a Python that has torch; without, `torch` is left out")
    parser.add_argument(
        "--forms", nargs="+", choices=FORMS, default=smoke.pick(FORMS, FORMS[4:])
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=smoke.pick([0, 1, 2], [0]))
    parser.add_argument("--epochs", type=int, default=smoke.pick(60, 1))
    smoke.add_argument(parser)
    given = parser.parse_args()
    bits, epochs, samples = ladder.static_bits(), given.epochs, smoke.pick(RECIPE.samples, 5)
    with tempfile.TemporaryDirectory() as folder:
        flat = {n: b.reshape(len(b), -1).astype("uint8") for n, b in bits.items()}
        np.savez(pathlib.Path(folder) / "bits.npz", **flat)
        for seed in given.seeds:
            for form in given.forms:
                report = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": {}}
                name = f"{form}, {epochs} epochs, seed {seed}"
                if name in report["rows"] or (form == "torch" and not given.peers):
                    continue
                if form == "torch":
                    row = train_torch(given.peers, seed, epochs, folder, samples)
                else:
                    row = train_here(CHANGES[form], seed, epochs, bits, samples)
                row = {"form": form, "seed": seed, "epochs": epochs, **row}
                report["rows"][name] = row
                report.update(
                    command="python benchmarks/published/vae_400_forms.py --peers PYTHON",
                    data=sha256(ladder.data_file("mnist.npz")),
                    machine=machine(),
                    versions=versions(),
                )
                smoke.write(RESULTS, report)
                print(name, row["nats"], flush=True)


if __name__ == "__main__":
    main()

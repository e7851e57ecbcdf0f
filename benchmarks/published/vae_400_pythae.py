"""pythae's VAE of `vae_400.py`, trained by pythae on the same bits and measured by it.

`python benchmarks/published/vae_400_pythae.py --peers PYTHON`, a Python that has torch and
pythae. It cannot go on where it was: an interrupted run begins anew.
"""

import argparse

import ladder
import numpy as np
from speed import run
from vae_400 import RECIPE


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers")
    ladder.smoke.add_argument(parser)
    parser.add_argument("--epochs", type=int, default=ladder.smoke.pick(RECIPE.epochs, 1))
    given = parser.parse_args()
    if not (given.peers or given.smoke):
        parser.error("--peers is needed: a Python that has torch and pythae")
    name = f"{RECIPE.name}, by pythae on the same bits"
    folder = ladder.smoke.OUTPUT / "ladder" / name
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "bits.npz",
        **{
            part: bits.reshape(len(bits), -1).astype("uint8")
            for part, bits in ladder.static_bits().items()
        },
    )
    if given.peers is None:
        print("Without --peers nothing is trained.")
        return
    sizes = (str(given.epochs), str(RECIPE.samples))
    found = run(given.peers, "pythae_vae_400.py", str(folder), *sizes)
    losses = np.array(found["losses"])
    chosen = np.unique(np.linspace(0, len(losses) - 1, ladder.POINTS).astype(int))
    row = {
        "binarisation": RECIPE.binarisation,
        "epochs": RECIPE.epochs,
        "batch_size": RECIPE.batch_size,
        "samples": RECIPE.samples,
        "published": RECIPE.published,
        "source": RECIPE.source,
        "pythae": RECIPE.pythae,
        "changes": "pythae 0.1.2 and its own trainer and get_nll; other bits, for static "
        "MNIST is drawn here",
        "command": f"python benchmarks/published/{ladder.FILE} --peers PYTHON "
        f"--epochs {given.epochs}",
        "epochs_trained": len(losses),
        "best_epoch": int(losses[:, 1].argmin()) + 1,
        "nats": round(found["nats"], 3),
        "gap_to_published": round(found["nats"] - RECIPE.published, 3),
        "torch": found["torch"],
        "curve": {
            "epoch": [int(epoch) + 1 for epoch in chosen],
            "elbo": [-losses[epoch, 0] for epoch in chosen],
            "val_elbo": [-losses[epoch, 1] for epoch in chosen],
        },
    }
    ladder.write(name, row)


if __name__ == "__main__":
    main()

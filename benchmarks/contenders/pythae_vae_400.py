"""The VAE of pythae's list of reproductions, by pythae: `SCRIPT FOLDER EPOCHS SAMPLES`.

The folder has `bits.npz`: `train`, `val` and `test`, bytes `[images, 784]`. Networks, optimizer
and schedule are those of `examples/scripts/reproducibility/vae.py` in pythae's repository; the
trainer keeps the weights of the best epoch by `val`, and `get_nll` measures them on `test`.
"""

import json
import logging
import pathlib
import sys

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, AutoModel, VAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from pythae_nets import Decoder, Encoder

logging.disable(logging.CRITICAL)
SIZES = 784, 400, 40


class Curve(TrainingCallback):
    """Losses of each epoch, which pythae does not keep."""

    def __init__(self):
        self.losses = []

    def on_log(self, training_config, logs, **kwargs):
        self.losses.append((float(logs["train_epoch_loss"]), float(logs["eval_epoch_loss"])))


def dataset(bits):
    x = torch.from_numpy(bits).float()
    return BaseDataset(x, torch.ones(len(x)))


def main(folder, epochs, samples):
    torch.manual_seed(0)
    with np.load(folder / "bits.npz") as arrays:
        bits = dict(arrays)
    settings = VAEConfig(input_dim=(SIZES[0],), latent_dim=SIZES[2], reconstruction_loss="bce")
    training = BaseTrainerConfig(
        output_dir=str(folder),
        num_epochs=epochs,
        learning_rate=1e-4,
        per_device_train_batch_size=100,
        per_device_eval_batch_size=1000,
        optimizer_cls="Adam",
        scheduler_cls="MultiStepLR",
        scheduler_params={"milestones": [200, 350, 500, 750, 1000], "gamma": 10**-0.2},
        seed=0,
        no_cuda=True,
    )
    curve = Curve()
    model = VAE(settings, encoder=Encoder(*SIZES), decoder=Decoder(*SIZES))
    trainer = BaseTrainer(
        model, dataset(bits["train"]), dataset(bits["val"]), training, callbacks=[curve]
    )
    trainer.train()
    best = AutoModel.load_from_folder(str(pathlib.Path(trainer.training_dir) / "final_model"))
    best.eval()
    with torch.no_grad():
        nats = -best.get_nll(torch.from_numpy(bits["test"]).float(), n_samples=samples)
    losses = [(round(a, 3), round(b, 3)) for a, b in curve.losses]
    print(json.dumps({"nats": float(nats), "losses": losses, "torch": torch.__version__}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

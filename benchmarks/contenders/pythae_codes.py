"""Codes of digits by pythae: `SCRIPT FOLDER BETA EPOCHS BATCH SEED`.

The folder has `images.npz`: `seen`, what to train on, `[copies, digits, 28, 28]`, one of the
copies of a digit at random each time; `train` and `test`, what to encode. Means of q(z|x) go to
`codes.npz`. The network is that of `images.py`, in PyTorch; trainer, loss and schedule are
pythae's and PyTorch's own.
"""

import json
import logging
import pathlib
import sys
import tempfile

import numpy as np
import torch
from pythae.data.datasets import DatasetOutput
from pythae.models import BetaVAE, BetaVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig

logging.disable(logging.CRITICAL)
WIDTH, LATENTS, PIXELS = 512, 32, 784


def body(size):
    layers = [torch.nn.Linear(size, WIDTH), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, torch.nn.Linear(WIDTH, WIDTH), torch.nn.ReLU())


class Encoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.body = body(PIXELS)
        self.mean = torch.nn.Linear(WIDTH, LATENTS)
        self.log_var = torch.nn.Linear(WIDTH, LATENTS)

    def forward(self, x):
        h = self.body(x.flatten(1))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.body = body(LATENTS)
        self.head = torch.nn.Linear(WIDTH, PIXELS)

    def forward(self, z):
        x = torch.sigmoid(self.head(self.body(z)))
        return ModelOutput(reconstruction=x.reshape(len(z), 1, 28, 28))


class Digits(torch.utils.data.Dataset):
    """One of the copies of each digit, at random."""

    def __init__(self, copies, seed):
        self.copies = torch.from_numpy(copies)
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return self.copies.shape[1]

    def __getitem__(self, index):
        copy = self.rng.integers(len(self.copies))
        return DatasetOutput(data=self.copies[copy, index][None].float() / 255)


def main(folder, beta, epochs, batch, seed):
    # More threads than idle cores would wait for each other.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    with np.load(folder / "images.npz") as arrays:
        seen, sets = arrays["seen"], {name: arrays[name] for name in ("train", "test")}
    settings = {"input_dim": (1, 28, 28), "latent_dim": LATENTS, "reconstruction_loss": "bce"}
    config = BetaVAEConfig(**settings, beta=beta)
    model = BetaVAE(config, encoder=Encoder(), decoder=Decoder())
    with tempfile.TemporaryDirectory() as output:
        training = BaseTrainerConfig(
            output_dir=output,
            num_epochs=epochs,
            learning_rate=2e-3,
            per_device_train_batch_size=batch,
            optimizer_cls="Adam",
            scheduler_cls="CosineAnnealingLR",
            scheduler_params={"T_max": epochs, "eta_min": 1e-4},
            seed=seed,
            no_cuda=True,
        )
        BaseTrainer(model, Digits(seen, seed), training_config=training).train()
    model.eval()
    codes = {}
    with torch.no_grad():
        for name, images in sets.items():
            parts = (torch.from_numpy(images).float() / 255).split(1000)
            codes[name] = torch.cat([model.encoder(part).embedding for part in parts])
    np.savez(folder / "codes.npz", **{name: each.numpy() for name, each in codes.items()})
    print(json.dumps({"pythae": "0.1.2", "torch": torch.__version__}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), float(sys.argv[2]), *map(int, sys.argv[3:]))

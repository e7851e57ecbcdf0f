"""The VAE of `vae_400_forms.py` in PyTorch: `SCRIPT FOLDER EPOCHS SAMPLES SEED`.

The folder has `bits.npz`: `train`, `val` and `test`, bytes `[images, 784]`. The layers are
those of `pythae_nets.py` with PyTorch's own initialisation, a log-variance, and Adam with
PyTorch's epsilon. Writes a line of JSON: the held-out bound after each epoch, and log p(x) of
the test images by importance sampling.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch.nn import functional

SIZES = 784, 400, 40
RATE, FACTOR, MILESTONES, BATCH = 1e-4, 10**-0.2, [200, 350, 420, 460, 480], 100
nn = torch.nn


class Net(nn.Module):
    """Encoder and decoder with one hidden layer each."""

    def __init__(self):
        super().__init__()
        pixels, width, latents = SIZES
        self.encoder = nn.Sequential(nn.Linear(pixels, width), nn.ReLU())
        self.mean = nn.Linear(width, latents)
        self.log_var = nn.Linear(width, latents)
        self.decoder = nn.Sequential(
            nn.Linear(latents, width), nn.ReLU(), nn.Linear(width, pixels)
        )

    def log_likelihood(self, z, x):
        """log p(x|z), `[..., batch]`."""
        logits = self.decoder(z)
        loss = functional.binary_cross_entropy_with_logits
        return -loss(logits, x.expand_as(logits), reduction="none").sum(-1)

    def elbo(self, x):
        """The bound of each example with one draw and the closed form of the KL."""
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)
        return self.log_likelihood(z, x) - kl

    def log_marginal(self, x, samples):
        """Importance-weighted estimate of log p(x) of each example."""
        h = self.encoder(x)
        mean, log_var = self.mean(h), self.log_var(h)
        noise = torch.randn(samples, *mean.shape)
        z = mean + torch.exp(0.5 * log_var) * noise
        log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(-1)
        return torch.logsumexp(self.log_likelihood(z, x) + log_ratio, 0) - math.log(samples)


def mean_over(function, x, rows):
    with torch.no_grad():
        return float(torch.cat([function(part) for part in x.split(rows)]).mean())


def main(folder, epochs, samples, seed):
    torch.manual_seed(seed)
    with np.load(folder / "bits.npz") as arrays:
        train, val, test = (
            torch.from_numpy(arrays[name]).float() for name in ("train", "val", "test")
        )
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, MILESTONES, FACTOR)
    curve = []
    for epoch in range(epochs):
        for index in torch.randperm(len(train)).split(BATCH):
            loss = -net.elbo(train[index]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        curve.append(round(mean_over(net.elbo, val, 1000), 3))
        print(json.dumps({"epoch": epoch + 1, "val_elbo": curve[-1]}), flush=True)
    nats = -mean_over(lambda x: net.log_marginal(x, samples), test, 50)
    print(json.dumps({"nats": nats, "val_elbo": curve, "torch": torch.__version__}))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))

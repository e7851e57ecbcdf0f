"""pythae or a loop for so much time of the processor: `SCRIPT DATA.npz MINUTES SAMPLES WHO`.

`pythae`: its VAE, trainer and defaults (batches of 64, Adam 1e-4), and a data set that draws
bits. `torch.compile`: batches of 128, Adam 1e-3 in one kernel, bits drawn of a batch at a time,
data in memory, no loss read.
"""

import contextlib
import json
import logging
import math
import sys
import tempfile
import time

import numpy as np
import torch
from pythae.data.datasets import BaseDataset, DatasetOutput
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from pythae_nets import Decoder, Encoder
from torch.nn import functional

logging.disable(logging.CRITICAL)
path, minutes, samples, who = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with np.load(path) as arrays:
    train, test = (torch.from_numpy(arrays[name]).flatten(1) for name in ("train", "test"))
torch.manual_seed(0)
LATENTS, WIDTH = 50, 512
encoder, decoder = (part(train.shape[1], WIDTH, LATENTS) for part in (Encoder, Decoder))


class OverError(Exception):
    """The budget is used up."""


class Budget(TrainingCallback):
    def __init__(self):
        self.start, self.clock = time.process_time(), time.perf_counter()
        self.updates = 0

    def on_train_step_end(self, training_config, **kwargs):
        self.updates += 1
        self.used = time.process_time() - self.start
        if self.used >= 60 * minutes:
            self.wall = time.perf_counter() - self.clock
            raise OverError


class Bits(BaseDataset):
    def __getitem__(self, index):
        return DatasetOutput(data=torch.bernoulli(self.data[index]))


def by_pythae(budget):
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(output_dir=folder, num_epochs=10_000, no_cuda=True)
        settings = VAEConfig(
            input_dim=(train.shape[1],), latent_dim=LATENTS, reconstruction_loss="bce"
        )
        pipeline = TrainingPipeline(
            model=VAE(settings, encoder=encoder, decoder=decoder), training_config=config
        )
        pipeline(train_data=Bits(train, torch.zeros(len(train))), callbacks=[budget])


def by_loop(budget):
    logits = decoder.body[:-1]

    def negative_elbo(x):
        hidden = encoder.body(x)
        mean, log_var = encoder.mean(hidden), encoder.log_var(hidden)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        missed = functional.binary_cross_entropy_with_logits(logits(z), x, reduction="none")
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        return (kl + missed.sum(1)).mean()

    compiled = torch.compile(negative_elbo)
    optimizer = torch.optim.Adam(
        [*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=True
    )
    while True:
        for index in torch.randperm(len(train)).split(128):
            loss = compiled(torch.bernoulli(train[index]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            budget.on_train_step_end(None)


@torch.no_grad()
def log_marginal(x):
    """Estimates of log p(x) by draws from q(z|x), as `VAE.log_marginal` makes them."""
    found, count = [], 20
    for rows in x.split(count):
        hidden = encoder.body(rows)
        mean, log_var = encoder.mean(hidden), encoder.log_var(hidden)
        noise = torch.randn(samples, *mean.shape)
        z = mean + torch.exp(0.5 * log_var) * noise
        bits = rows.expand(samples, *rows.shape)
        log_x = -functional.binary_cross_entropy_with_logits(
            decoder.body[:-1](z), bits, reduction="none"
        ).sum(-1)
        # The constants of the prior and of q(z|x) are the same.
        log_ratio = 0.5 * (noise**2 + log_var - z**2).sum(-1)
        found.append(torch.logsumexp(log_x + log_ratio, 0) - math.log(samples))
    return torch.cat(found).double()


budget = Budget()
with contextlib.suppress(OverError):
    (by_pythae if who == "pythae" else by_loop)(budget)
log_p = log_marginal(test)
batch = 64 if who == "pythae" else 128
result = {
    "nats": float(-log_p.mean()),
    "standard_error": float(log_p.std() / len(test) ** 0.5),
    "epochs": budget.updates * batch / len(train),
    "updates": budget.updates,
    "processor_seconds": budget.used,
    "seconds": budget.wall,
    "versions": {"torch": torch.__version__, "pythae": "0.1.2"},
}
json.dump(result, sys.stdout)
print()

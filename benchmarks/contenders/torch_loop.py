"""A PyTorch loop as a good user writes it: data in memory, shuffled by index, no DataLoader.

The word `fused` as argument: the optimizer in one kernel, and no loss read in each step.
"""

import sys
import time

import torch
from torch.nn import functional
from workload import BATCH, EPOCHS, HIDDEN, LATENT, PIXELS, WARM_UP, bits, report

tuned = sys.argv[1:] == ["fused"]
torch.manual_seed(0)
encoder = torch.nn.Sequential(
    torch.nn.Linear(PIXELS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, 2 * LATENT)
)
decoder = torch.nn.Sequential(
    torch.nn.Linear(LATENT, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, PIXELS)
)
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=tuned)
data = torch.from_numpy(bits())

times = []
for _ in range(WARM_UP + EPOCHS):
    total = 0.0
    for index in torch.randperm(len(data)).split(BATCH):
        x = data[index]
        mean, log_var = encoder(x).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        log_likelihood = -functional.binary_cross_entropy_with_logits(
            decoder(z), x, reduction="none"
        ).sum(1)
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        loss = (kl - log_likelihood).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not tuned:
            total += loss.item()
    times.append(time.perf_counter())
report(times, torch=torch.__version__)

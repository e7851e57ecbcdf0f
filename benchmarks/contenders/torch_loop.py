"""A PyTorch loop as a good user writes it: data in memory, shuffled by index, no DataLoader.

Words: `tuned`, the optimizer in one kernel and no loss read in each step; `compiled`, by
`torch.compile`, convolutions with channels last.
"""

import itertools

import torch
from torch.nn import functional
from workload import BATCH, HIDDEN, LATENT, NAME, SHAPE, WORDS, Turns, bits

tuned, compiled = "tuned" in WORDS, "compiled" in WORDS
torch.manual_seed(0)
nn = torch.nn


def dense():
    activation = nn.Tanh if NAME == "burda" else nn.ReLU
    rows = []
    for sizes in ([SHAPE[0], *HIDDEN], [LATENT, *HIDDEN[::-1]]):
        layers = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), activation()]
        rows.append(layers)
    rows[0].append(nn.Linear(HIDDEN[-1], 2 * LATENT))
    rows[1].append(nn.Linear(HIDDEN[0], SHAPE[0]))
    return [nn.Sequential(*row) for row in rows]


def convolutional():
    side = SHAPE[0] // 2 ** len(HIDDEN)
    encoder, before = [], SHAPE[2]
    for width in HIDDEN:
        encoder += [nn.Conv2d(before, width, 3, stride=2, padding=1), nn.ReLU()]
        before = width
    encoder += [nn.Flatten(), nn.Linear(before * side * side, 2 * LATENT)]
    decoder = [nn.Linear(LATENT, before * side * side), nn.ReLU()]
    decoder.append(nn.Unflatten(1, (before, side, side)))
    for width in HIDDEN[::-1]:
        up = nn.ConvTranspose2d(before, width, 3, stride=2, padding=1, output_padding=1)
        decoder += [up, nn.ReLU()]
        before = width
    decoder.append(nn.Conv2d(before, SHAPE[2], 1))
    networks = [nn.Sequential(*encoder), nn.Sequential(*decoder)]
    return [network.to(memory_format=torch.channels_last) for network in networks]


encoder, decoder = convolutional() if NAME == "conv" else dense()
optimizer = torch.optim.Adam(
    [*encoder.parameters(), *decoder.parameters()], lr=1e-3, fused=tuned
)
data = torch.from_numpy(bits())
if NAME == "conv":
    data = data.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def negative_elbo(x):
    mean, log_var = encoder(x).chunk(2, dim=1)
    z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
    log_likelihood = -functional.binary_cross_entropy_with_logits(
        decoder(z), x, reduction="none"
    ).flatten(1)
    kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
    return (kl - log_likelihood.sum(1)).mean()


if compiled:
    negative_elbo = torch.compile(negative_elbo)
turns = Turns(torch=torch.__version__)
while not turns.over:
    total = 0.0
    for index in torch.randperm(len(data)).split(BATCH):
        loss = negative_elbo(data[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        turns.step_ended()
        if not tuned:
            total += loss.item()
    assert torch.isfinite(loss)
    turns.epoch_ended()

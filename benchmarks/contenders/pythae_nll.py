"""pythae's `get_nll`: `SCRIPT BITS.npy EXAMPLES SAMPLES`."""

import json
import logging
import sys
import time

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae_nets import Decoder, Encoder
from resident import peak_mb

logging.disable(logging.CRITICAL)
WIDTH, LATENT = 512, 10
# How many samples of an example are decoded at a time; the fastest counts.
BATCHES = (100, 500, 2500)

path, count, samples = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
x = torch.from_numpy(np.load(path)[:count].reshape(count, -1))
sizes = (x.shape[1], WIDTH, LATENT)
torch.manual_seed(0)
config = VAEConfig(input_dim=(x.shape[1],), latent_dim=LATENT, reconstruction_loss="bce")
model = VAE(config, encoder=Encoder(*sizes), decoder=Decoder(*sizes)).eval()
seconds = {}
with torch.no_grad():
    for batch in BATCHES:
        model.get_nll(x[:2], n_samples=samples, batch_size=batch)
        start = time.perf_counter()
        model.get_nll(x, n_samples=samples, batch_size=batch)
        seconds[batch] = time.perf_counter() - start
batch, fastest = min(seconds.items(), key=lambda item: item[1])
result = {
    "samples_per_second": count * samples / fastest,
    "batch_size": batch,
    "peak_memory_mb": peak_mb(),
    "versions": {"pythae": "0.1.2", "torch": torch.__version__},
}
json.dump(result, sys.stdout)
print()

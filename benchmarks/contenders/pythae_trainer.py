"""pythae's VAE under pythae's own trainer."""

import logging
import tempfile
import time

import pythae
import torch
from pythae.data.datasets import DatasetOutput  # noqa: F401  (fails early if pythae is broken)
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from pythae_nets import Decoder, Encoder
from workload import BATCH, EPOCHS, HIDDEN, LATENT, SHAPE, WARM_UP, bits, report

(PIXELS,), (WIDTH,) = SHAPE, HIDDEN

logging.disable(logging.CRITICAL)


class Ends(TrainingCallback):
    times: list[float] = []

    def on_epoch_end(self, training_config, **kwargs):
        self.times.append(time.perf_counter())


with tempfile.TemporaryDirectory() as folder:
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=WARM_UP + EPOCHS,
        learning_rate=1e-3,
        per_device_train_batch_size=BATCH,
        optimizer_cls="Adam",
        no_cuda=True,
    )
    sizes = (PIXELS, WIDTH, LATENT)
    settings = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(settings, encoder=Encoder(*sizes), decoder=Decoder(*sizes))
    pipeline = TrainingPipeline(model=model, training_config=config)
    pipeline(train_data=bits(), callbacks=[Ends()])
report(Ends.times, pythae=getattr(pythae, "__version__", "0.1.2"), torch=torch.__version__)

"""pythae's VAE under pythae's own trainer."""

import importlib.metadata
import logging
import tempfile

import torch
from pythae.data.datasets import DatasetOutput  # noqa: F401  (fails early if pythae is broken)
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from pythae_nets import Decoder, Encoder
from workload import ALL_EPOCHS, BATCH, HIDDEN, LATENT, SHAPE, Turns, bits

(PIXELS,), (WIDTH,) = SHAPE, HIDDEN

logging.disable(logging.CRITICAL)


class Ends(TrainingCallback):
    def on_epoch_end(self, training_config, **kwargs):
        turns.epoch_ended()


with tempfile.TemporaryDirectory() as folder:
    config = BaseTrainerConfig(
        output_dir=folder,
        num_epochs=ALL_EPOCHS,
        learning_rate=1e-3,
        per_device_train_batch_size=BATCH,
        optimizer_cls="Adam",
        no_cuda=True,
    )
    sizes = (PIXELS, WIDTH, LATENT)
    settings = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(settings, encoder=Encoder(*sizes), decoder=Decoder(*sizes))
    pipeline = TrainingPipeline(model=model, training_config=config)
    turns = Turns(pythae=importlib.metadata.version("pythae"), torch=torch.__version__)
    pipeline(train_data=bits(), callbacks=[Ends()])

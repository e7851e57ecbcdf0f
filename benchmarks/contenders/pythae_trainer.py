"""pythae's VAE under pythae's own trainer."""

import logging
import tempfile
import time

import pythae
import torch
from pythae.data.datasets import DatasetOutput  # noqa: F401  (fails early if pythae is broken)
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from workload import BATCH, EPOCHS, HIDDEN, LATENT, SHAPE, WARM_UP, bits, report

(PIXELS,), (WIDTH,) = SHAPE, HIDDEN

logging.disable(logging.CRITICAL)


class Encoder(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(PIXELS, WIDTH), torch.nn.ReLU())
        self.mean = torch.nn.Linear(WIDTH, LATENT)
        self.log_var = torch.nn.Linear(WIDTH, LATENT)

    def forward(self, x):
        h = self.body(x.flatten(1))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(LATENT, WIDTH),
            torch.nn.ReLU(),
            torch.nn.Linear(WIDTH, PIXELS),
            torch.nn.Sigmoid(),
        )

    def forward(self, z):
        return ModelOutput(reconstruction=self.body(z))


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
    settings = VAEConfig(input_dim=(PIXELS,), latent_dim=LATENT, reconstruction_loss="bce")
    model = VAE(settings, encoder=Encoder(), decoder=Decoder())
    pipeline = TrainingPipeline(model=model, training_config=config)
    pipeline(train_data=bits(), callbacks=[Ends()])
report(Ends.times, pythae=getattr(pythae, "__version__", "0.1.2"), torch=torch.__version__)

"""Networks of one hidden layer for pythae."""

import torch
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder


class Encoder(BaseEncoder):
    def __init__(self, pixels, width, latents):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(pixels, width), torch.nn.ReLU())
        self.mean = torch.nn.Linear(width, latents)
        self.log_var = torch.nn.Linear(width, latents)

    def forward(self, x):
        h = self.body(x.flatten(1))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    def __init__(self, pixels, width, latents):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(latents, width),
            torch.nn.ReLU(),
            torch.nn.Linear(width, pixels),
            torch.nn.Sigmoid(),
        )

    def forward(self, z):
        return ModelOutput(reconstruction=self.body(z))

"""Normalising flows: invertible maps of vectors that know how they change volume."""

from keras_vae.flows.autoregressive import IAF, MAF, SplineAutoregressive
from keras_vae.flows.base import Bijection
from keras_vae.flows.coupling import AffineCoupling, SplineCoupling
from keras_vae.flows.permutation import Permutation
from keras_vae.flows.planar import Planar
from keras_vae.flows.radial import Radial

__all__ = [
    "IAF",
    "MAF",
    "AffineCoupling",
    "Bijection",
    "Permutation",
    "Planar",
    "Radial",
    "SplineAutoregressive",
    "SplineCoupling",
]

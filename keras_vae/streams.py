"""Streams of random numbers: one for each purpose.

Noise is a function of a seed and a stream, so that two purposes with one seed - a step of
training and `generate`, say - never see the same noise.

Floor 0.
"""

from __future__ import annotations

import enum

import tensorflow as tf

from keras_vae import numerics

__all__ = ["Stream"]


class Stream(enum.IntEnum):
    """What random numbers are drawn for.

    Numbers are never changed or used again: the noise of saved models, and of everything
    seeded, follows from them. A new purpose gets a new one.

    `data.binarize` is drawn from stream 0, too, which published data sets rest on: its keys
    are folded twice, those of training at least three times.
    """

    # Of a model's own seed.
    TRAINING = 0
    EVALUATION = 1
    ORDER = 2
    # Of the seed given to a method of a model.
    ENCODE = 3
    GENERATE = 4
    ELBO = 5
    LOG_MARGINAL = 6
    IMPUTE = 7
    # Of the seed given to a function.
    LIKELIHOOD_SAMPLE = 8
    FLOW_FIT = 9
    DYNAMIC_BINARIZATION = 10
    DEQUANTIZE = 11
    ANOMALY = 12
    AUGMENT = 13
    IMPUTE_DRAWS = 14
    CALIBRATION = 15
    LATENT_SUMMARY = 16
    PRIOR_DRAWS = 17
    AIS = 18
    BDMC = 19
    # Of seeds that are always the same.
    SHARED_NOISE = 20
    COLLAPSE = 21
    EXPLORER = 22
    PROBES = 23

    def key(self, seed: int | tf.Tensor | None) -> tf.Tensor:
        """Turn a seed into a key for draws of this purpose.

        Args:
            seed: Any integer, `None` for a fresh one, or a key, which is returned as it is.
        """
        return numerics.key_from_seed(seed, self)

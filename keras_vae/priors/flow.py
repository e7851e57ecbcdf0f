"""Priors that are flows of a standard normal.

Floor 2. Papamakarios et al. (2017), Masked Autoregressive Flow for Density Estimation; Chen et
al. (2017), Variational Lossy Autoencoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import numerics
from keras_vae.component import register
from keras_vae.flows import Permutation, SplineCoupling
from keras_vae.flows.base import Bijection, as_tfp, require_flows, run_forward, run_inverse
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.streams import Stream
from keras_vae.terms import Context

__all__ = ["Flow"]

tfd = tfp.distributions


def _default_flows() -> list[Bijection]:
    return [flow for _ in range(4) for flow in (SplineCoupling(), Permutation())]


@register("priors")
class Flow(Prior):
    """A standard normal pushed through a trained flow: a prior of any form (FlowPrior).

    Trained with the model inside the bound, or afterwards by `fit_to`. Each step of training
    runs the flows backwards, each draw forwards: couplings are fast both ways,
    `flows.MAF` and `flows.SplineAutoregressive` fast in training.

    Args:
        flows: A list of `keras_vae.flows` that have an inverse and want nothing of the
            encoder, the one next to the normal first. Defaults to `None`: four
            `SplineCoupling`, each with a `Permutation`. It begins as a standard normal.
        **kwargs: As in any Keras layer.

    Raises:
        TypeError: If `flows` is no list of flows.
        ValueError: If a flow has no inverse or wants parameters of the encoder.

    Example:
    >>> p = keras_vae.priors.Flow()
    >>> p.build((2,))
    >>> round(float(p.log_prob(tf.zeros([2]), Context())), 4)  # untrained
    -1.8379

    Reference: Papamakarios et al. (2017), equation 2; Chen et al. (2017), section 3.2.
    """

    def __init__(self, flows: Sequence[Bijection] | None = None, **kwargs: Any) -> None:
        flows = _default_flows() if flows is None else flows
        require_flows(flows)
        for flow in flows:
            if not flow.has_inverse or flow.params_size(2):
                reason = (
                    "takes parameters from the encoder"
                    if flow.has_inverse
                    else ("has no inverse")
                )
                raise ValueError(
                    f"`flows` must be such that a prior can run backwards and alone, but "
                    f"{type(flow).__name__} {reason}. Use flows.AffineCoupling or flows.MAF "
                    f"without context."
                )
        super().__init__(**kwargs)
        self.flows = flows

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        if len(latent_shape) != 1:
            raise ValueError(
                f"A flow prior needs latents that are vectors. Received: latents of shape "
                f"{tuple(latent_shape)}."
            )
        super().build(latent_shape)
        for flow in self.flows:
            flow.build(self.latent_shape)
        # Of the latents that `fit_to` saw: a last, fixed step, at first the identity.
        self.loc = self.add_weight(self.latent_shape, "zeros", trainable=False, name="loc")
        self.scale = self.add_weight(self.latent_shape, "ones", trainable=False, name="scale")

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {"epsilon": NoiseSpec("normal", self.latent_shape)}

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        return self.loc + self.scale * run_forward(self.flows, noise["epsilon"])[0]

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        origin, log_det = run_inverse(self.flows, (z - self.loc) / self.scale)
        log_det = log_det - tf.reduce_sum(tf.math.log(tf.convert_to_tensor(self.scale)))
        return self._base().log_prob(origin) + log_det

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        standardised = tfp.bijectors.Chain(
            [
                tfp.bijectors.Shift(tf.convert_to_tensor(self.loc)),
                tfp.bijectors.Scale(tf.convert_to_tensor(self.scale)),
                as_tfp(self.flows),
            ]
        )
        return tfd.TransformedDistribution(self._base(), standardised)

    def _base(self) -> tfp.distributions.Distribution:
        zeros = tf.zeros(self.latent_shape, numerics.density_dtype())
        return tfd.Independent(tfd.Normal(zeros, 1.0), 1)

    def fit_to(
        self,
        latents: np.ndarray,
        *,
        steps: int = 1000,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        seed: int | None = None,
    ) -> None:
        """Fit the flow to latents by maximum likelihood, with Adam in mini-batches.

        The latents are standardised first, so that their location and scale do not matter.
        The learning rate falls to zero along half a cosine.

        Args:
            latents: `[examples, latent_dim]`.
            steps: Number of updates. Defaults to `1000`.
            batch_size: Examples of one update, drawn with replacement. Defaults to `256`.
            learning_rate: At the start. Defaults to `2e-3`.
            seed: Of the mini-batches. Defaults to `None`: a fresh one.

        Raises:
            ValueError: If latents have the wrong shape or are not finite.
        """
        latents = np.asarray(latents)
        good = latents.ndim == 2 and latents.shape[1:] == self.latent_shape
        if not good or len(latents) < 2 or not np.isfinite(latents).all():
            raise ValueError(
                f"`latents` must be finite, at least two, of shape "
                f"{('examples', *self.latent_shape)}. Received: shape {latents.shape}."
            )
        self.loc.assign(latents.mean(axis=0))
        self.scale.assign(latents.std(axis=0) + numerics.SCALE_FLOOR)
        variables = self.trainable_variables
        if not variables:
            return
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        optimizer = keras.optimizers.Adam(rate, clipnorm=10.0)
        optimizer.build(variables)
        data, key = numerics.as_density(latents), Stream.FLOW_FIT.key(seed)

        def update(step: tf.Tensor) -> tuple[tf.Tensor]:
            spec = {"row": NoiseSpec("uniform", ())}
            noise = numerics.draw_noise(spec, [batch_size], numerics.fold_in(key, step))
            rows = tf.cast(noise["row"] * len(latents), tf.int32)
            batch = tf.gather(data, tf.minimum(rows, len(latents) - 1))
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(self.log_prob(batch, Context()))
            optimizer.apply(tape.gradient(loss, variables), variables)
            return (step + 1,)

        @tf.function
        def updates(first: tf.Tensor, last: tf.Tensor) -> None:
            tf.while_loop(lambda step: step < last, update, (first,))

        for first in range(0, steps, 100):  # few enough to be interrupted
            updates(tf.constant(first), tf.constant(min(first + 100, steps)))

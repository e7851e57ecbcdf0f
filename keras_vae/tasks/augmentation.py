"""More examples like those at hand.

Floor 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_positive
from keras_vae.models import VAE
from keras_vae.streams import Stream
from keras_vae.tasks.frames import taken

__all__ = ["augment"]


def augment(
    model: VAE,
    x: Any,
    draws: int = 1,
    *,
    scale: float = 1.0,
    sample: bool = False,
    condition: Any = None,
    seed: int = 0,
    batch_size: int = 128,
) -> Any:
    """Make new examples around each of x: z drawn from q(z|x), decoded.

    They vary as the encoder leaves open, so that labels of x go over to them: to train a
    classifier of few examples, give it x and these with `np.tile(labels, draws)`. How much they
    vary is the model's: one with a collapsed latent varies there as the prior does.

    Args:
        model: One whose posterior has noise.
        x: `[examples, *raw_shape]`; NaN where missing, if the model knows of it.
        draws: New examples for each. Defaults to `1`.
        scale: Factor of the distance of latents from the one that stands for x, for normal
            posteriors the factor of their standard deviations: above 1 for more variety,
            below 1 for fewer mistakes. Only where latents are real vectors. Defaults to `1.0`.
        sample: Whether to draw from p(x|z) rather than return the value that stands for it.
            Defaults to `False`.
        condition: One per example, or one for all. Defaults to `None`.
        seed: Of the draws.
        batch_size: Examples at a time, with all their draws. Defaults to `128`.

    Returns:
        `[draws, examples, *raw_shape]`; of a frame of pandas a frame, whose first level of the
        index counts draws.

    Raises:
        ValueError: If x is bad, a number is out of range, the posterior has no noise, or its
            latents cannot be scaled.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(),
    ...     event_shape=(3,),
    ... )
    >>> keras_vae.tasks.augment(model, np.eye(3), draws=20, scale=1.5).shape
    (20, 3, 3)

    Reference: DeVries and Taylor (2017), Dataset Augmentation in Feature Space, of noise in
    codes; Chadebec, Thibeau-Sutre, Burgos and Allassonniere (2022), Data Augmentation in High
    Dimensional Low Sample Size Setting Using a Geometry-Based Variational Autoencoder, of
    classifiers trained with examples of a VAE.
    """
    require_integer("draws", draws)
    require_positive("scale", scale)
    posterior = model.posterior
    if not posterior.noise_spec():
        raise ValueError(
            f"`model` must have a posterior with noise, such as DiagonalNormal. Received: "
            f"{type(posterior).__name__}."
        )
    if scale != 1.0 and posterior.space != "real vectors":
        raise ValueError(
            f"`scale` must be 1.0 unless latents are real vectors. Received: scale={scale}, "
            f"latents that are {posterior.space}."
        )

    def around(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        condition = model.conditions.prepared(condition, x)
        params = model.posterior_params(model.preprocessed(x), condition=condition)
        noise = numerics.draw_noise(
            posterior.noise_spec(), [draws, tf.shape(x)[0]], numerics.fold_in(key, 0)
        )
        context = model.context(condition=condition)
        z = posterior.sample_and_log_prob(params, noise, context).latents
        if scale != 1.0:
            centre = posterior.point(params)
            z = centre + scale * (z - centre)
        return (_decoded(model, z, condition, numerics.fold_in(key, 1) if sample else None),)

    x, frame = taken(x)
    x = model.checked_events(x)
    name = f"augment {draws} {scale} {sample}"
    key = Stream.AUGMENT.key(seed)
    found = model.in_batches(name, around, x, batch_size, key, condition)[0]
    return frame.stacked(np.moveaxis(found, 1, 0), "draw")


def _decoded(
    model: VAE, z: tf.Tensor, condition: tf.Tensor | None, key: tf.Tensor | None
) -> tf.Tensor:
    """Points or draws of p(x|z) for `z [draws, batch, ...]`, `[batch, draws, *raw_shape]`."""
    z = tf.transpose(z, [1, 0, *range(2, z.shape.rank)])
    draws = tf.shape(z)[1]
    flat = tf.reshape(z, (-1, *model.posterior.latent_shape))
    of_each = None if condition is None else tf.repeat(condition, draws, axis=0)
    x = model.decoded_points(flat, of_each, key)
    return tf.reshape(x, tf.concat([[-1, draws], model.raw_shape], axis=0))

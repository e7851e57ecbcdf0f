"""Products of priors, for products of posteriors.

Floor 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.component import register
from keras_vae.numerics import NoiseSpec
from keras_vae.priors.base import Prior
from keras_vae.terms import Context, Draw, Support

__all__ = ["Joint"]


@register("priors")
class Joint(Prior):
    """Independent blocks of latents, each with a prior of its own.

    For `posteriors.Joint` with as many blocks. The KL is told by group of each block, in
    closed form where a block has one.

    Args:
        priors: The priors of the blocks; they are built with the joint one and belong to it.
        **kwargs: As in any Keras layer.

    Raises:
        TypeError: If `priors` is not a list of priors.
        ValueError: If it is empty.

    Example:
    >>> q = keras_vae.posteriors.Joint(
    ...     [
    ...         keras_vae.posteriors.DiagonalNormal(latent_dim=6),
    ...         keras_vae.posteriors.RelaxedCategorical(categories=10),
    ...     ]
    ... )
    >>> p = keras_vae.priors.Joint(
    ...     [keras_vae.priors.StandardNormal(), keras_vae.priors.Categorical(10)]
    ... )
    >>> p.kl_blocks(q)
    (6, 1)

    Reference: Dupont (2018), Learning Disentangled Joint Continuous and Discrete
    Representations, equation 3.
    """

    def __init__(self, priors: Sequence[Prior], **kwargs: Any) -> None:
        if not isinstance(priors, (list, tuple)) or not all(
            isinstance(p, Prior) for p in priors
        ):
            raise TypeError(
                f"`priors` must be a list of keras_vae priors. Received: priors={priors!r}."
            )
        if not priors:
            raise ValueError("`priors` must hold at least one. Received: priors=[].")
        super().__init__(**kwargs)
        self.priors = priors
        self.factorised = all(p.factorised for p in priors)
        self.needs_condition = any(p.needs_condition for p in priors)
        self.adapt_rows = max(p.adapt_rows for p in priors)
        self.space = " x ".join(p.space for p in priors)

    def why_not(self, posterior: Any) -> str | None:
        blocks = getattr(posterior, "posteriors", ())
        if len(blocks) != len(self.priors):
            return (
                f"a Joint prior of {len(self.priors)} blocks needs a Joint posterior of as "
                f"many, and a {type(posterior).__name__} posterior has {len(blocks) or 1}"
            )
        reasons = (p.why_not(q) for p, q in zip(self.priors, blocks))
        return next((reason for reason in reasons if reason is not None), None)

    def bind(
        self,
        event_shape: tuple[int, ...],
        support: Support,
        condition_shape: tuple[int, ...] | None = None,
        posterior: Any = None,
    ) -> None:
        super().bind(event_shape, support, condition_shape, posterior)
        self.latent_dims = [q.latent_dim for q in posterior.posteriors]
        for p, q in zip(self.priors, posterior.posteriors):
            p.bind(event_shape, support, condition_shape, q)

    def bind_view(self, likelihood: Any) -> None:
        for p in self.priors:
            p.bind_view(likelihood)

    def build(self, latent_shape: tuple[int, ...]) -> None:
        if self.built:
            return
        for p, latent_dim in zip(self.priors, self.latent_dims):
            p.build((latent_dim,))
        super().build(latent_shape)

    def get_build_config(self) -> None:
        """Nothing to save: the model that holds the prior binds and builds it."""
        return

    def adapt(self, x: np.ndarray, context: Context) -> None:
        for p, own in zip(self.priors, self._contexts(context)):
            p.adapt(x[: p.adapt_rows], own)

    def noise_spec(self) -> dict[str, NoiseSpec]:
        return {
            f"block_{index}_{name}": spec
            for index, p in enumerate(self.priors)
            for name, spec in p.noise_spec().items()
        }

    def sample(self, noise: Mapping[str, tf.Tensor], context: Context) -> tf.Tensor:
        parts = []
        for index, (p, own) in enumerate(zip(self.priors, self._contexts(context))):
            own_noise = {name: noise[f"block_{index}_{name}"] for name in p.noise_spec()}
            parts.append(p.sample(own_noise, own))
        return tf.concat(parts, axis=-1)

    def distribution(self, context: Context) -> tfp.distributions.Distribution:
        blocks = zip(self.priors, self._contexts(context))
        return tfp.distributions.Blockwise([p.distribution(own) for p, own in blocks])

    def log_prob(self, z: tf.Tensor, context: Context) -> tf.Tensor:
        blocks = zip(self.priors, self._split(z), self._contexts(context))
        return tf.add_n([p.log_prob(part, own) for p, part, own in blocks])

    def log_prob_per_dimension(self, z: tf.Tensor, context: Context | None = None) -> tf.Tensor:
        contexts = self._contexts(Context() if context is None else context)
        blocks = zip(self.priors, self._split(z), contexts)
        parts = [p.log_prob_per_dimension(part, own) for p, part, own in blocks]
        return tf.concat(parts, axis=-1)

    def closed_form_kl(self, posterior: Any, params: tf.Tensor) -> tf.Tensor | None:
        blocks = zip(self.priors, posterior.posteriors, posterior.split_params(params))
        parts = [p.closed_form_kl(q, own) for p, q, own in blocks]
        return None if any(part is None for part in parts) else tf.concat(parts, axis=-1)

    def kl(self, posterior: Any, params: tf.Tensor, draw: Draw, context: Context) -> tf.Tensor:
        return self._by_block(lambda p: p.kl, posterior, params, draw, context)

    def monte_carlo_kl(
        self, posterior: Any, params: tf.Tensor, draw: Draw, context: Context
    ) -> tf.Tensor:
        return self._by_block(lambda p: p.monte_carlo_kl, posterior, params, draw, context)

    def kl_groups(self, posterior: Any) -> int:
        return sum(self.kl_blocks(posterior))

    def kl_blocks(self, posterior: Any) -> tuple[int, ...]:
        return tuple(p.kl_groups(q) for p, q in zip(self.priors, posterior.posteriors))

    def _by_block(
        self,
        method: Callable[[Prior], Callable[..., tf.Tensor]],
        posterior: Any,
        params: tf.Tensor,
        draw: Draw,
        context: Context,
    ) -> tf.Tensor:
        blocks = zip(
            self.priors,
            posterior.posteriors,
            posterior.split_params(params),
            draw.blocks,
            self._contexts(context),
        )
        return tf.concat([method(p)(*rest) for p, *rest in blocks], axis=-1)

    def _split(self, z: tf.Tensor) -> list[tf.Tensor]:
        parts: list[tf.Tensor] = tf.split(z, self.latent_dims, axis=-1)
        return parts

    def _contexts(self, context: Context) -> list[Context]:
        """The context of each block: its own posterior, and an encoder that tells of it."""
        joint, encode, encode_view = context.posterior, context.encode, context.encode_view
        if encode is None or not hasattr(joint, "posteriors"):
            return [context] * len(self.priors)

        def block_of(encode: Callable[[tf.Tensor], tf.Tensor], index: int) -> Any:
            return lambda x: joint.split_params(encode(x))[index]

        return [
            context._replace(
                posterior=q,
                encode=block_of(encode, index),
                encode_view=None if encode_view is None else block_of(encode_view, index),
            )
            for index, q in enumerate(joint.posteriors)
        ]

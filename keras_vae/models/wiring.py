"""The two networks of a model, with their heads, and what they are given.

Floor 4.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_vae import numerics
from keras_vae.models import update
from keras_vae.models.conditions import attach, repeated
from keras_vae.models.forking import require_own_process
from keras_vae.models.gather import with_stand_ins
from keras_vae.models.heads import (
    attach_head,
    features_of,
    require_layer,
    run_network,
    wants_integers,
)
from keras_vae.models.sequences import next_params, write_sequence
from keras_vae.models.training import BoundModel
from keras_vae.priors import VampPrior
from keras_vae.terms import Context

__all__ = ["TwoNetworks"]


class TwoNetworks(BoundModel):
    """A model of an encoder and a decoder, each a network and a head.

    Subclassing: set the attributes below in the constructor and call `build_networks` once
    the parts are built.
    """

    encoder: Any
    decoder: Any
    encoder_head: bool
    decoder_head: bool
    _takes_integers: bool
    _to_posterior: keras.Sequential
    _to_likelihood: keras.Sequential

    def build_networks(self) -> None:
        """Build the networks and make their heads."""
        event_shape = self.event_shape
        for network in (self.encoder, self.decoder):
            if hasattr(network, "bind") and not network.built:
                network.bind(event_shape)
        require_layer("encoder", self.encoder)
        self._takes_integers = self._checked_for_integers()
        features = self._features_of("encoder", self._symbolic_view())
        self._to_posterior = attach_head(
            "encoder",
            self.encoder,
            features,
            self.posterior.params_shape,
            wanted=self.encoder_head,
            dtype=self.dtype_policy,
        )
        features = self._features_of("decoder", _symbol(self.posterior.latent_shape))
        self._to_likelihood = attach_head(
            "decoder",
            self.decoder,
            features,
            self.likelihood.params_shape(event_shape),
            wanted=self.decoder_head,
            dtype=self.dtype_policy,
        )
        if self.autoregressive and (len(event_shape) != 2 or features[:-1] != event_shape[:-1]):
            raise ValueError(
                f"An autoregressive decoder writes events of shape (length, channels) and "
                f"returns features of shape (None, length, n). Received: event_shape="
                f"{event_shape}, features of shape {(None, *features)}."
            )
        if self.autoregressive and not self.likelihood.maskable:
            raise ValueError(
                f"An autoregressive decoder writes value by value, but the density of one "
                f"value under this {type(self.likelihood).__name__} likelihood needs the "
                f"whole event. Use another likelihood or decoder."
            )

    @property
    def autoregressive(self) -> bool:
        """Whether the decoder writes events step by step."""
        return bool(getattr(self.decoder, "autoregressive", False))

    def encoder_view(self, x: Any) -> Any:
        """What the encoder sees of x, with its mask if values may be missing.

        Args:
            x: `[batch, *event]`, real or symbolic. An encoder of integers sees x itself,
                without the last axis if that has one element.
        """
        if self._takes_integers:
            x = keras.ops.cast(x, "int32")
            return keras.ops.squeeze(x, -1) if self._squeezes else x
        if not self.missing:
            return self.likelihood.encoder_input(x)
        observed = keras.ops.logical_not(keras.ops.isnan(x))
        view = self.filled_view(x)
        mask = keras.ops.cast(observed, numerics.density_dtype())
        # What stands in a hole is nothing to learn from.
        if view.shape == x.shape:
            view = view * mask
        return keras.ops.concatenate([view, mask], axis=-1)

    def filled_view(self, x: Any) -> Any:
        """What the encoder sees of x, with values of the likelihood's choice for NaN."""
        observed = keras.ops.logical_not(keras.ops.isnan(x))
        return self.likelihood.encoder_input(self.likelihood.filled(x, observed))

    def observed_view(self, view: tf.Tensor) -> tf.Tensor:
        """A filled view with the channels of `encoder_view`: all of it was observed."""
        if not self.missing:
            return view
        mask = tf.ones_like(view[..., :1])
        return tf.concat([view, tf.repeat(mask, self.event_shape[-1], axis=-1)], axis=-1)

    def posterior_params(
        self, x: tf.Tensor, training: bool = False, condition: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Parameters of q(z|x), `[batch, *params_shape]`.

        Args:
            x: `[batch, *event]`.
            training: As in Keras.
            condition: As in a context: `[batch, *conditions.prepared_shape]`. Defaults to
                `None`: none, or none known.
        """
        return self.posterior_params_of_view(self.encoder_view(x), training, condition)

    def posterior_params_of_view(
        self, view: tf.Tensor, training: bool = False, condition: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Parameters of q(z|x) from what the encoder sees of x.

        Args:
            view: As from `encoder_view`.
            training: As in `posterior_params`.
            condition: As in `posterior_params`.
        """
        if condition is None:
            condition = self.conditions.prepared(None, view)
        view, options = attach(self.encoder, view, condition, "encoder")
        return self._run("encoder", self._to_posterior, view, training, options)

    def likelihood_params(
        self,
        z: tf.Tensor,
        training: bool = False,
        condition: tf.Tensor | None = None,
        target: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Parameters of p(x|z), `[*leading, *params_shape]`.

        Args:
            z: `[*leading, latent_dim]`.
            training: As in Keras.
            condition: `[batch, *conditions.prepared_shape]` for `leading` that ends with
                `batch`. Defaults to `None`: none, or none known.
            target: `[batch, *event]`: what an autoregressive decoder is to predict, step by
                step, and only it needs.

        Raises:
            ValueError: If the decoder is autoregressive and no target is given.
        """
        leading = tf.shape(z)[: z.shape.rank - len(self.posterior.latent_shape)]
        z, options = self._decoder_input(z, condition)
        if self.autoregressive:
            if target is None:
                raise ValueError(
                    "p(x|z) of an autoregressive decoder depends on the values before: pass "
                    "`target`, or let `generate` and `decode` write x step by step."
                )
            shifted = tf.concat([tf.zeros_like(target[:, :1]), target[:, :-1]], axis=1)
            options["target"] = repeated(shifted, leading)
        params = self._run("decoder", self._to_likelihood, z, training, options)
        return tf.reshape(params, tf.concat([leading, params.shape[1:]], axis=0))

    def decoded_points(
        self,
        z: tf.Tensor,
        condition: tf.Tensor | None = None,
        key: tf.Tensor | None = None,
        training: bool = False,
        adjust: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Make x of z: the value that stands for p(x|z), or a draw, as raw data.

        An autoregressive decoder writes it step by step, from its own values.

        Args:
            z: `[batch, latent_dim]`.
            condition: As in `likelihood_params`.
            key: Key of the draw. Defaults to `None`: no draw, at each step the point.
            training: As in Keras.
            adjust: Done to the likelihood's parameters first. Defaults to `None`: nothing.

        Returns:
            `[batch, *raw_shape]`.
        """
        if self.autoregressive:
            z, options = self._decoder_input(z, condition)
            x = write_sequence(
                self.decoder, self._to_likelihood, self.likelihood, z, key, options, adjust
            )
            return self.restored(x)
        params = self.likelihood_params(z, training, condition)
        if adjust is not None:
            params = adjust(params)
        return self.restored(
            self.likelihood.point(params)
            if key is None
            else self.likelihood.sample(params, key)
        )

    def first_state(self, z: tf.Tensor, condition: tf.Tensor | None = None) -> Any:
        """State of an autoregressive decoder before the first element: tensors by name.

        Args:
            z: `[batch, latent_dim]`.
            condition: As in `likelihood_params`.
        """
        z, options = self._decoder_input(z, condition)
        return self.decoder.initial_state(z, **options)

    def next_params(
        self, token: tf.Tensor, state: Any, z: tf.Tensor, condition: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Parameters of an autoregressive decoder's next element, and the state after it.

        Args:
            token: The element before, `[batch, channels]`; anything at the first.
            state: From `first_state`, or of the last step.
            z: `[batch, latent_dim]`.
            condition: As in `likelihood_params`.

        Returns:
            `[batch, 1, n]`, and the state.
        """
        z, options = self._decoder_input(z, condition)
        return next_params(self.decoder, self._to_likelihood, token, state, z, options)

    def call(self, x: Any, training: bool = False) -> tf.Tensor:
        """Reconstruct: the point of p(x|z) at the point of q(z|x), `[batch, *raw_shape]`.

        Args:
            x: `[batch, *raw_shape]`; a conditional model takes `{"x": ..., "condition": ...}`.
            training: As in Keras.
        """
        x, condition = self.split_inputs(x)
        condition = self.conditions.prepared(condition, x)
        params = self.posterior_params(self.preprocessed(x), training, condition)
        z = self.posterior.point(params)
        return self.decoded_points(z, condition, training=training)

    def inputs_of_call(self) -> Any:
        """What `call` takes, as `keras.InputSpec`: raw x, and conditions beside it."""
        dtype = None if self.preprocessor is None else self.preprocessor.raw_dtype
        usual = numerics.density_dtype()
        x = keras.InputSpec(dtype or usual, (None, *self.raw_shape), name="x")
        if self.conditions.shape is None:
            return x
        shape = (None, *self.conditions.shape)
        return {"x": x, "condition": keras.InputSpec(usual, shape, name="condition")}

    def split_inputs(self, inputs: Any) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Split what a conditional model is given into x and condition, as tensors."""
        condition = None
        if isinstance(inputs, Mapping):
            inputs, condition = inputs["x"], inputs.get("condition")
        return numerics.as_density(inputs), self.conditions.tensor(condition)

    def masked(self, context: Context, target: tf.Tensor) -> tuple[Context, tf.Tensor]:
        """Note in the context what was observed of the target, and fill the rest."""
        if not self.missing:
            return context, target
        mask = ~tf.math.is_nan(target)
        return context._replace(mask=mask), self.likelihood.filled(target, mask)

    def _run(
        self, role: str, head: Any, x: tf.Tensor, training: bool, options: dict[str, Any]
    ) -> tf.Tensor:
        """Parameters that a network and its head make of an input."""
        require_own_process()
        network = getattr(self, role)
        rows = tf.shape(x)[0]
        replicated = training and update.number_of_replicas() > 1
        if replicated:
            x, options = with_stand_ins((x, options))
        with tf.name_scope(role):
            features = run_network(network, x, training=training, **options)
        # At once: the other network may share layers with this one.
        self.added_losses.take(network)
        params = numerics.as_density(head(features, training=training))
        self.added_losses.take(head)
        return params[:rows] if replicated else params

    def _decoder_input(
        self, z: tf.Tensor, condition: tf.Tensor | None
    ) -> tuple[tf.Tensor, dict[str, Any]]:
        latent_shape = self.posterior.latent_shape
        leading = tf.shape(z)[: z.shape.rank - len(latent_shape)]
        flat = tf.reshape(z, (-1, *latent_shape))
        if condition is None:
            condition = self.conditions.prepared(None, flat)
        elif z.shape.rank > 1 + len(latent_shape):
            condition = repeated(condition, leading)
        return attach(self.decoder, flat, condition, "decoder")

    def _checked_for_integers(self) -> bool:
        """Whether the encoder takes integers."""
        if not wants_integers(self.encoder):
            return False
        if any(isinstance(prior, VampPrior) for prior in self.prior._flatten_layers()):
            raise ValueError(
                "A VampPrior learns inputs of the encoder by their gradients, which an encoder "
                "of integers has none of. Use another prior, such as NormalMixture()."
            )
        if self.missing or (self.conditions.shape and not self._takes("encoder", "condition")):
            raise ValueError(
                f"An encoder of integers cannot see missing values or conditions beside them. "
                f"Received: missing={self.missing!r}, condition_shape={self.conditions.shape}. "
                f"Use an encoder of real numbers, or one whose `call` takes `condition`."
            )
        return True

    @property
    def _squeezes(self) -> bool:
        known = getattr(self.encoder, "inputs", None) if self.encoder.built else None
        rank = len(known[0].shape) if known else len(self.event_shape)
        return self.event_shape[-1] == 1 and rank == len(self.event_shape)

    def _takes(self, role: str, name: str) -> bool:
        return name in inspect.signature(getattr(self, role).call).parameters

    def _symbolic_view(self) -> Any:
        if self._takes_integers:
            shape = self.event_shape[:-1] if self._squeezes else self.event_shape
            return keras.KerasTensor((None, *shape), dtype="int32")
        channels = self.event_shape[-1] if self.missing else 0
        shape = self.likelihood.encoder_input_shape(self.event_shape)
        return _symbol((*shape[:-1], shape[-1] + channels))

    def _features_of(self, role: str, x: Any) -> tuple[int, ...]:
        network = getattr(self, role)
        require_layer(role, network)
        shape = self.conditions.prepared_shape
        condition = None if shape is None else _symbol(shape)
        x, options = attach(network, x, condition, role)
        if role == "decoder" and self.autoregressive:
            options["target"] = _symbol(self.event_shape)
        return features_of(role, network, x, options)


def _symbol(shape: tuple[int, ...]) -> keras.KerasTensor:
    return keras.KerasTensor((None, *shape), dtype=numerics.density_dtype())

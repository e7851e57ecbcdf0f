"""What a saved model holds beyond what Keras saves.

Floor 4.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from keras_vae.models import update
from keras_vae.models.saving import SafelySaved
from keras_vae.models.sharing import shared_layers
from keras_vae.trainability import KeepsTrainability

__all__ = ["Saved"]

_SEED = "seed_state_"


class Saved(KeepsTrainability, SafelySaved):
    """A Keras model whose files hold all of its state.

    Keras loses which layers inside of a network are trained, the optimizer's state where they
    changed after `compile`, and the seeds of Dropout and its like.
    """

    encoder: Any
    decoder: Any

    def save(self, filepath: Any, *arguments: Any, **kwargs: Any) -> None:
        """Save the model to a `.keras` file, as in Keras.

        Args:
            filepath: Where to, ending in `.keras`.
            *arguments: As in Keras.
            **kwargs: As in Keras.

        Raises:
            ValueError: If it is another kind of file, or the networks share layers.
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(_no_hdf5(f" Received: filepath={str(filepath)!r}."))
        super().save(filepath, *arguments, **kwargs)

    def export(self, filepath: Any, format: str = "tf_saved_model", **kwargs: Any) -> None:  # noqa: A002
        """Export what `call` computes, as in Keras: reconstructions of raw data.

        `keras_vae.exporters` have encoders, decoders, samplers and scorers besides, checked in
        a fresh process.

        Args:
            filepath: As in Keras.
            format: As in Keras. Defaults to `"tf_saved_model"`.
            **kwargs: As in Keras; `input_signature` defaults to the model's own inputs.
        """
        if kwargs.get("input_signature") is None:
            kwargs["input_signature"] = [self.inputs_of_call()]
        if not self._called:  # Keras asks for it
            self(keras.tree.map_structure(_example, self.inputs_of_call()))
        super().export(filepath, format=format, **kwargs)

    def inputs_of_call(self) -> Any:
        """What `call` takes, as `keras.InputSpec`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and which layers are trained.

        Raises:
            ValueError: If encoder and decoder share layers, which a config cannot say.
        """
        if global_state.get_global_attribute("use_legacy_config"):
            raise ValueError(_no_hdf5())
        shared = sorted({layer.name for layer in shared_layers(self.encoder, self.decoder)})
        if shared:
            raise ValueError(
                f"A saved or cloned model could not share layers: they would come back as two, "
                f"trained apart. Received: {shared}, which encoder and decoder share. Use "
                f"`save_weights`; then make the model by the same code and `load_weights`."
            )
        return super().get_config()

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was called with, and what the optimizer was built on."""
        config: dict[str, Any] | None = super().get_compile_config()
        weights = self._optimized_weights() if config and self.optimizer else None
        return config if weights is None else {**(config or {}), "optimized": weights}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was."""
        config = keras.saving.deserialize_keras_object(config)
        for name in ("loss", "loss_weights"):
            config.pop(name, None)
        numbers = config.pop("optimized", None)
        if numbers is not None:
            weights = self.weights
            with self.distribute_strategy.scope():
                config["optimizer"] = keras.optimizers.get(config["optimizer"])
                config["optimizer"].build([weights[number] for number in numbers])
        self.compile(**config)

    def save_own_variables(self, store: Any) -> None:
        """Save the networks' seed states too; Keras leaves them out."""
        super().save_own_variables(store)
        for index, state in enumerate(self._seed_states()):
            store[f"{_SEED}{index}"] = state.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Load what `save_own_variables` saved.

        Seed states are optional, as in Keras: networks may differ in what draws at random.

        Raises:
            ValueError: If a variable of the file is not finite or cannot be read.
        """
        file = getattr(store, "h5_file", None)
        if file is not None:
            _require_finite(file)
        keys = list(store.keys())
        own = {key: store[key] for key in keys if not key.startswith(_SEED)}
        super().load_own_variables(own)
        for index, state in enumerate(self._seed_states()):
            saved = store[f"{_SEED}{index}"] if f"{_SEED}{index}" in keys else None
            if saved is not None and tuple(saved.shape) == tuple(state.shape):
                state.assign(saved)

    def _seed_states(self) -> list[Any]:
        weights = {id(v) for v in self.weights}
        return [v for v in self.variables if id(v) not in weights]

    def _optimized_weights(self) -> list[int] | None:
        """Numbers of the weights that the optimizer knows; `None` if they are those trained."""
        optimizer = self.optimizer
        inner = optimizer.inner_optimizer if update.scales_loss(optimizer) else optimizer
        known = [id(v) for v in inner._trainable_variables]
        if known == [id(v) for v in self.trainable_variables]:
            return None
        numbers = {id(v): number for number, v in enumerate(self.weights)}
        return [numbers[key] for key in known]


def _example(spec: keras.InputSpec) -> Any:
    return keras.ops.zeros((1, *spec.shape[1:]), spec.dtype)


def _require_finite(file: Any) -> None:
    """Check all variables of a weights file at once: layers load theirs one by one."""

    def check(name: str, item: Any) -> None:
        if not hasattr(item, "dtype") or item.dtype.kind != "f":
            return
        try:
            finite = bool(np.isfinite(item[()]).all())
        except OSError as error:
            raise ValueError(
                f"The weights file is damaged: variable {name!r} cannot be read ({error}). Use "
                f"another copy of it."
            ) from error
        if not finite:
            raise ValueError(
                f"The weights file must hold finite numbers. Received: NaN or infinity in "
                f"variable {name!r}. Use a file of an earlier epoch."
            )

    file.visititems(check)


def _no_hdf5(received: str = "") -> str:
    return (
        f"HDF5 files cannot hold a VAE: it could not be loaded from one.{received} Save to a "
        f"file that ends in .keras, or weights alone by "
        f"save_weights('name.weights.h5')."
    )

"""What a model is made of, in words.

Floor 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from keras_vae.models.vae import VAE

__all__ = ["PARTS", "described"]

#: What every model has.
PARTS = ("encoder", "decoder", "posterior", "prior", "likelihood", "objective")


def described(model: VAE) -> dict[str, Any]:
    """Class, shapes, classes of the parts and steps of training, as JSON takes them."""
    preprocessor = model.preprocessor
    return {
        "class": type(model).__name__,
        "event_shape": list(model.event_shape),
        "latent_dim": model.posterior.latent_dim,
        **{part: type(getattr(model, part)).__name__ for part in PARTS},
        "preprocessor": None if preprocessor is None else type(preprocessor).__name__,
        "steps_trained": int(tf.convert_to_tensor(model.state.step)),
    }

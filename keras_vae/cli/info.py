"""`keras-vae info`: what a saved model is made of.

Floor 7.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

from keras_vae.cli.shell import (
    ImportOption,
    JsonOption,
    ModelArgument,
    TracebackOption,
    load,
    one_line_errors,
    progress,
    show,
)

if TYPE_CHECKING:
    from keras_vae.models import VAE

__all__ = ["info"]

_PARTS = ("encoder", "decoder", "posterior", "prior", "likelihood", "objective")


def info(
    model: ModelArgument,
    modules: ImportOption = None,
    as_json: JsonOption = False,
    traceback: TracebackOption = False,
) -> None:
    """Show what a saved model is made of."""
    with one_line_errors(traceback):
        with progress(f"Loading {model}"):
            facts = _facts(load(model, modules or []), model)
        show(facts, as_json)


def _facts(model: VAE, path: str) -> dict[str, Any]:
    import keras
    import tensorflow as tf

    from keras_vae import __version__

    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    counts = {part: getattr(model, part).count_params() for part in _PARTS}
    total = model.count_params() - model.state.count_params()
    counts["heads"] = total - sum(counts.values())
    return {
        "file": path,
        "model": type(model).__name__,
        "event_shape": list(model.event_shape),
        "latent_dim": model.posterior.latent_dim,
        "parts": {part: type(getattr(model, part)).__name__ for part in _PARTS},
        "parameters": {**{part: n for part, n in counts.items() if n}, "total": total},
        "steps_trained": int(tf.convert_to_tensor(model.state.step)),
        "saved": {"date": metadata["date_saved"], "keras": metadata["keras_version"]},
        "versions": {
            "keras_vae": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
    }

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
    from keras_vae.models.describing import PARTS, described

    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
    counts = {part: getattr(model, part).count_params() for part in PARTS}
    total = model.count_params() - model.state.count_params()
    counts["heads"] = total - sum(counts.values())
    facts = described(model)
    schema = getattr(model.preprocessor, "schema", None)
    return {
        "file": path,
        "model": facts["class"],
        "event_shape": facts["event_shape"],
        "latent_dim": facts["latent_dim"],
        **({} if schema is None else {"data": schema.kind}),
        "parts": {part: facts[part] for part in (*PARTS, "preprocessor") if facts[part]},
        "parameters": {**{part: n for part, n in counts.items() if n}, "total": total},
        "steps_trained": facts["steps_trained"],
        "saved": {"date": metadata["date_saved"], "keras": metadata["keras_version"]},
        "versions": {
            "keras_vae": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
    }

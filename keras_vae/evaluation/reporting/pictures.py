"""The pictures of a report.

Floor 5.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae import plots
from keras_vae.core.atomic_io import temporary_folder
from keras_vae.data.labels import classes_of, flat_labels
from keras_vae.models import VAE
from keras_vae.plots.figures import COLOURS

if TYPE_CHECKING:
    from keras_vae.evaluation.reporting.contents import Report

__all__ = ["pictures_of"]

_RECONSTRUCTED = 20


def pictures_of(
    report: Report, model: VAE, x: np.ndarray, labels: Any, condition: Any, seed: int
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Draw what can be drawn, as PNG.

    Args:
        report: What was measured.
        model: Of what.
        x: On which examples.
        labels: As in `plots.latent_map`.
        condition: One for each example, or `None`.
        seed: Of samples.

    Returns:
        Section and name -> bytes, and why some are missing, by the same names.
    """
    few = slice(_RECONSTRUCTED)
    first = None if condition is None else condition[few]
    history, latents, ranks = report.history, report.latents, report.calibration
    drawn: dict[str, Callable[[pathlib.Path], Any] | str] = {
        "training": "no history was given; `fit` returns one"
        if history is None
        else lambda path: plots.learning_curves(history, path=path),
        "latents: map": lambda path: plots.latent_map(
            model, x, _drawable(labels), condition=condition, path=path
        ),
    }
    if latents is not None:
        drawn["latents: KL"] = lambda path: plots.kl_spectrum(latents.kl, path=path)
    if ranks is not None:
        drawn["calibration"] = lambda path: plots.rank_histogram(
            ranks.mean, ranks.standard_errors, path=path
        )
    if np.isnan(x).any():
        drawn["latents: map"] = "data have missing values"
    elif len(model.event_shape) == 3 and model.event_shape[-1] in (1, 3):
        drawn["reconstruction"] = lambda path: plots.reconstructions(
            model, x[few], condition=first, path=path
        )
        drawn["samples"] = lambda path: plots.samples(
            model, condition=condition, path=path, seed=seed
        )
        drawn["latents: traversals"] = (
            f"latents are {model.posterior.space}, which do not move one by one"
            if model.posterior.space != "real vectors"
            else lambda path: plots.traversals(
                model, x, condition=condition, path=path, seed=seed
            )
        )
    pictures: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    with temporary_folder() as folder:
        for index, (name, draw) in enumerate(drawn.items()):
            if isinstance(draw, str):
                left_out[f"picture of {name}"] = draw
                continue
            path = folder / f"{index}.png"
            try:
                draw(path)
            except ImportError as error:  # no Matplotlib: none can be drawn
                return {}, {"pictures": str(error)}
            pictures[name] = path.read_bytes()
    return pictures, left_out


def _drawable(labels: Any) -> Any:
    """Labels, or their numbers if they are too many words to have a colour each."""
    if labels is None:
        return None
    try:
        words, numbers = classes_of(labels, len(labels))
        found = flat_labels(labels, len(labels))
    except ValueError:  # left out, and said why, where they are read off codes
        return None
    few = found.dtype.kind in "fiub" or len(words) <= len(COLOURS)
    return found if few else numbers

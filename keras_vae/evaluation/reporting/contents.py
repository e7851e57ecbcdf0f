"""What a report holds, and its forms: rows, text, JSON, files.

Floor 5.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vae.core.atomic_io import publish, staging
from keras_vae.core.paths import local_path
from keras_vae.evaluation.calibration import Calibration
from keras_vae.evaluation.factors import Score
from keras_vae.evaluation.generation import TwoSampleTest
from keras_vae.evaluation.kernel import KernelDistance
from keras_vae.evaluation.latents import LatentSummary, Probe
from keras_vae.evaluation.likelihood import LogMarginal, RateDistortion
from keras_vae.evaluation.reporting.page import page_of
from keras_vae.evaluation.reporting.rows import Measure, measures_of
from keras_vae.evaluation.samples import Copying, PrecisionRecall

__all__ = ["Likelihood", "Report", "Samples"]

_WIDTH = 100  # characters of a line of text


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """How probable data are.

    Attributes:
        log_marginal: Estimates of log p(x), of events as preprocessed.
        rate_distortion: Of the ELBO.
        dimensions: Numbers in one event.
        unit: Object that nats and bits are of, such as `"of a code for x"`.
    """

    log_marginal: LogMarginal
    rate_distortion: RateDistortion
    dimensions: int
    unit: str = "of log p(x)"


@dataclasses.dataclass(frozen=True)
class Samples:
    """How samples compare with as many held-out examples.

    Attributes:
        frechet_distance: FID, in these features: it compares with models measured the same
            way alone.
        kernel_distance: KID.
        precision_recall: With density and coverage.
        two_sample_test: Of up to 1,000 of each.
        copying: `None` without training data.
        features: What was compared, in words.
        drawn: Whether samples are draws from p(x|z), or the values that stand for it.
        examples: How many of each.
    """

    frechet_distance: float
    kernel_distance: KernelDistance
    precision_recall: PrecisionRecall
    two_sample_test: TwoSampleTest
    copying: Copying | None
    features: str
    drawn: bool
    examples: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What was measured of a model. `print` shows it, `save` writes it as a page and as JSON.

    A section that was not measured is `None`, and `left_out` says why.

    Attributes:
        model: What the model is made of, in words.
        settings: Of the measuring: examples, samples, seed, versions.
        reconstruction: Name -> error, as `reconstruction_errors`; `"accuracy"`, the share of
            elements that are exactly right, where values are whole numbers.
        likelihood: How probable data are.
        latents: What latents hold.
        active: Active units, `[latent_dim]`.
        labels: How well labels can be read off codes.
        calibration: Ranks of data among draws.
        samples: How samples compare with data.
        factors: Name -> score of disentanglement.
        history: Name -> value of each epoch of training.
        left_out: Section -> why.
        pictures: Name -> bytes of a PNG.
    """

    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    reconstruction: Mapping[str, float] | None = None
    likelihood: Likelihood | None = None
    latents: LatentSummary | None = None
    active: np.ndarray | None = None
    labels: Probe | None = None
    calibration: Calibration | None = None
    samples: Samples | None = None
    factors: Mapping[str, Score] | None = None
    history: Mapping[str, list[float]] | None = None
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, bytes] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def measures(self) -> list[Measure]:
        """All numbers, section by section."""
        return list(measures_of(self))

    def to_json(self) -> str:
        """Return all but pictures and values of single examples as JSON, indented."""
        sections: dict[str, dict[str, Any]] = {}
        for measure in self.measures:
            fields = measure._asdict()
            section, name = fields.pop("section"), fields.pop("name")
            sections.setdefault(section, {})[name] = fields
        found = {
            "model": dict(self.model),
            "settings": dict(self.settings),
            "measures": sections,
            "kl": None if self.latents is None else self.latents.kl.tolist(),
            "ranks": None if self.calibration is None else self.calibration.mean.tolist(),
            "history": None if self.history is None else dict(self.history),
            "left_out": dict(self.left_out),
        }
        return json.dumps(_finite(found), indent=2, allow_nan=False)

    def to_html(self) -> str:
        """Return a page that needs nothing but itself: all numbers and pictures."""
        return page_of(self)

    def save(self, folder: str | os.PathLike[str]) -> pathlib.Path:
        """Write `report.html` and `report.json`, both or neither.

        Args:
            folder: New or existing; an older report in it is replaced.

        Returns:
            The path of the page.

        Raises:
            OSError: If they cannot be written.
            ValueError: If files of these names are there that are no report.
        """
        place = local_path(folder, "folder")
        _check_replaceable(place)
        texts = {"report.json": self.to_json(), "report.html": self.to_html()}
        with staging(place) as stage:
            for name, text in texts.items():
                (stage / name).write_text(f"{text}\n", encoding="utf-8")
            publish(stage, place, list(texts))
        return place / "report.html"

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False)
        section = ""
        for measure in self.measures:
            label = measure.section if measure.section != section else ""
            section = measure.section
            table.add_row(
                Text(label), *map(Text, (measure.name, measure.text, measure.meaning))
            )
        for section, reason in self.left_out.items():
            table.add_row(Text(section), Text("left out"), Text(""), Text(reason))
        text = io.StringIO()
        Console(file=text, width=_WIDTH).print(table)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _check_replaceable(folder: pathlib.Path) -> None:
    data, page = folder / "report.json", folder / "report.html"
    with contextlib.suppress(FileNotFoundError, ValueError):
        found = json.loads(data.read_text(encoding="utf-8"))
        if isinstance(found, dict) and {"measures", "settings"} <= set(found):
            return
    taken = [path.name for path in (data, page) if os.path.lexists(path)]
    if taken:
        raise ValueError(
            f"`folder` holds {taken[0]}, which is no report of this package and is not "
            f"replaced. Received: folder={str(folder)!r}. Choose another folder."
        )


def _finite(value: Any) -> Any:
    """Replace what JSON cannot say, infinities and NaN, by `None`."""
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

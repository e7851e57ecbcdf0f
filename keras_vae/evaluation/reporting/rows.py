"""The numbers of a report, one by one, with what they mean.

Floor 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from keras_vae.evaluation.likelihood import log_p

if TYPE_CHECKING:
    from keras_vae.evaluation.reporting.contents import Report, Samples

__all__ = ["Measure", "measures_of"]

_ERRORS = {
    "accuracy": "share of elements that are exactly right",
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "psnr": "peak signal to noise; more is better",
    "ssim": "structural similarity; 1 is best",
    "feature_distance": "distance in the features of the network given",
}


class Measure(NamedTuple):
    """One number of a report.

    Attributes:
        section: Such as `"latents"`.
        name: Unique within its section.
        value: In the unit.
        standard_error: `None` where it is not known.
        unit: `""` for shares and scores.
        meaning: In a few words.
    """

    section: str
    name: str
    value: float
    standard_error: float | None
    unit: str
    meaning: str

    @property
    def text(self) -> str:
        """The value with its error and unit, rounded to what can be known."""
        error = self.standard_error
        if error is not None and math.isfinite(error) and error > 0:
            digits = max(0, 1 - math.floor(math.log10(error)))
            number = f"{self.value:.{min(digits, 6)}f} +- {error:.{min(digits, 6)}f}"
        else:
            number = f"{self.value:.4g}" if abs(self.value) < 1e4 else f"{self.value:,.0f}"
        return f"{number} {self.unit}".rstrip()


def measures_of(report: Report) -> Iterator[Measure]:
    """Yield all numbers of a report, section by section."""

    def row(
        section: str, name: str, value: float, unit: str, meaning: str, error: Any = None
    ) -> Measure:
        error = None if error is None else float(error)
        return Measure(section, name, float(value), error, unit, meaning)

    if report.reconstruction is not None:
        for name, value in report.reconstruction.items():
            unit = "dB" if name == "psnr" else ""
            yield row("reconstruction", name, value, unit, _ERRORS[name])
    if report.likelihood is not None:
        marginal, (rate, distortion) = (
            report.likelihood.log_marginal,
            report.likelihood.rate_distortion,
        )
        estimated = f"{marginal.method}, {marginal.samples:,} each; more is better"
        bits = marginal.bits_per_dimension(report.likelihood.dimensions)
        unit_words = f"{report.likelihood.unit}; less is better"
        name_of_p = log_p(marginal.given)
        few = f"share of x whose {name_of_p} rests on < 3: too low, with too small errors"
        for name, value, unit, meaning, error in (
            (name_of_p, marginal.mean, "nats", estimated, marginal.standard_error),
            ("bits per dimension", bits, "bits", unit_words, None),
            ("few effective samples", marginal.few, "", few, None),
            ("ELBO", -rate - distortion, "nats", f"lower bound on {name_of_p}", None),
            ("rate", rate, "nats", "KL of q(z|x) from the prior", None),
            ("distortion", distortion, "nats", "-log p(x|z)", None),
        ):
            yield row("likelihood", name, value, unit, meaning, error)
    if report.active is not None:
        of = f"of {report.active.size} latents, vary with x"
        yield row("latents", "active units", report.active.sum(), "", of)
    if report.latents is not None:
        found = report.latents
        limit = f"I(x; z) under q; at most {math.log(found.examples):.2f} with these data"
        yield row("latents", "KL", found.kl.sum(), "nats", "of q(z|x) from the prior")
        yield row("latents", "mutual information", found.mutual_information, "nats", limit)
        meaning = "of latents of data from the prior; 0 if alike"
        if found.saturated:
            meaning += "; at most this: information is at its limit"
        yield row("latents", "aggregate KL", found.aggregate_kl, "nats", meaning)
        test = found.aggregate_test
        meaning = f"of the same, squared; p = {test.p_value:.2g} if alike"
        yield row("latents", "discrepancy", test.statistic, "", meaning)
        if found.total_correlation is not None:
            meaning = "dependence of latents of data on each other"
            yield row("latents", "total correlation", found.total_correlation, "nats", meaning)
    if report.labels is not None:
        meaning = "held-out accuracy of a linear classifier of codes"
        yield row("labels", "linear probe", report.labels.linear, "", meaning)
        meaning = "held-out accuracy of the majority of near codes"
        yield row("labels", "nearest neighbours", report.labels.nearest, "", meaning)
    if report.calibration is not None:
        ranks = report.calibration
        meaning = "distance of ranks among draws from equal ones"
        yield row("calibration", "error", ranks.error, "", meaning)
        for level in (0.5, 0.9):
            meaning = f"share of elements in that interval of p(x|z): {level:g} is right"
            yield row("calibration", f"central {level:.0%}", ranks.coverage(level), "", meaning)
    if report.samples is not None:
        yield from _of_samples(report.samples, row)
    for name, score in (report.factors or {}).items():
        meaning = "disentanglement; 1 is best"
        yield row("factors", name, score.value, "", meaning, score.standard_error)


def _of_samples(found: Samples, row: Any) -> Iterator[Measure]:
    kernel, around, test = found.kernel_distance, found.precision_recall, found.two_sample_test
    kind = "draws" if found.drawn else "means"
    meaning = f"in {found.features}; {found.examples:,} {kind} of p(x|z)"
    yield row("samples", "FID", found.frechet_distance, "", meaning)
    meaning = "squared kernel distance; 0 if alike"
    yield row("samples", "KID", kernel.value, "", meaning, kernel.standard_error)
    for name, meaning in (
        ("precision", "share of samples among data"),
        ("recall", "share of data among samples"),
        ("density", "samples in neighbourhoods of data; 1 is right"),
        ("coverage", "share of data with samples near"),
    ):
        yield row("samples", name, getattr(around, name), "", meaning)
    meaning = "that samples and data are alike, by a kernel test"
    yield row("samples", "p-value", test.p_value, "", meaning)
    if found.copying is not None:
        meaning = "of training data: samples nearer than held-out data; 0.5 is right"
        yield row("samples", "copying", found.copying.closer, "", meaning)

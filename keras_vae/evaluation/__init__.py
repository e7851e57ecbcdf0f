"""Measures of trained models."""

from keras_vae.evaluation.annealed import Bracket, ais, bdmc
from keras_vae.evaluation.calibration import Calibration, calibration
from keras_vae.evaluation.factors import (
    DCI,
    Score,
    beta_vae_score,
    dci,
    disentanglement,
    explicitness,
    factor_vae_score,
    interventional_robustness,
    modularity,
    mutual_information_gap,
    separated_attributes,
)
from keras_vae.evaluation.generation import TwoSampleTest, median_distance, two_sample_test
from keras_vae.evaluation.kernel import KernelDistance, kernel_distance
from keras_vae.evaluation.latents import (
    LatentSummary,
    Probe,
    active_units,
    latent_summary,
    probe,
)
from keras_vae.evaluation.likelihood import (
    FewEffectiveSamplesWarning,
    LogMarginal,
    RateDistortion,
    log_marginal,
    rate_distortion,
)
from keras_vae.evaluation.reconstructions import reconstruction_errors
from keras_vae.evaluation.reporting import Likelihood, Measure, Report, Samples, report
from keras_vae.evaluation.samples import (
    Copying,
    PrecisionRecall,
    copying,
    feature_network,
    frechet_distance,
    precision_recall,
)

__all__ = [
    "DCI",
    "Bracket",
    "Calibration",
    "Copying",
    "FewEffectiveSamplesWarning",
    "KernelDistance",
    "LatentSummary",
    "Likelihood",
    "LogMarginal",
    "Measure",
    "PrecisionRecall",
    "Probe",
    "RateDistortion",
    "Report",
    "Samples",
    "Score",
    "TwoSampleTest",
    "active_units",
    "ais",
    "bdmc",
    "beta_vae_score",
    "calibration",
    "copying",
    "dci",
    "disentanglement",
    "explicitness",
    "factor_vae_score",
    "feature_network",
    "frechet_distance",
    "interventional_robustness",
    "kernel_distance",
    "latent_summary",
    "log_marginal",
    "median_distance",
    "modularity",
    "mutual_information_gap",
    "precision_recall",
    "probe",
    "rate_distortion",
    "reconstruction_errors",
    "report",
    "separated_attributes",
    "two_sample_test",
]

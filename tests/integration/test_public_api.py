"""What users may import, as a snapshot: a change here is a change for them."""

import importlib
import inspect

import pytest

PUBLIC = {
    "keras_vae": [
        "VAE",
        "callbacks",
        "data",
        "evaluation",
        "exporters",
        "flows",
        "likelihoods",
        "networks",
        "objectives",
        "plots",
        "posteriors",
        "preprocessors",
        "presets",
        "priors",
        "samplers",
        "schedules",
        "tables",
        "tasks",
    ],
    "keras_vae.callbacks": [
        "BackupAndRestore",
        "CollapseMonitor",
        "CollapseWarning",
        "EarlyStopping",
        "ImageGrids",
        "TimeLimit",
    ],
    "keras_vae.cli": ["app", "main"],
    "keras_vae.component": ["Component", "FromSignature", "register"],
    "keras_vae.data": [
        "AudioSchema",
        "Column",
        "CountSchema",
        "ImageSchema",
        "LabelledImages",
        "Read",
        "Schema",
        "SeriesSchema",
        "Source",
        "SparseRows",
        "TableSchema",
        "TextSchema",
        "binarize",
        "decide_columns",
        "dequantize",
        "dynamic_binarization",
        "from_audio",
        "from_counts",
        "from_images",
        "from_series",
        "from_table",
        "from_text",
        "load_digits",
        "load_mnist",
        "row_scores",
        "stream",
    ],
    "keras_vae.evaluation": [
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
    ],
    "keras_vae.exporters": [
        "ExportError",
        "FileEntry",
        "Manifest",
        "SignatureEntry",
        "TensorEntry",
        "export_keras_archive",
        "export_litert",
        "export_onnx",
        "export_openvino",
        "export_saved_model",
        "export_web",
        "read_manifest",
        "write_answers",
    ],
    "keras_vae.flows": [
        "IAF",
        "MAF",
        "AffineCoupling",
        "Bijection",
        "Permutation",
        "Planar",
        "Radial",
        "SplineAutoregressive",
        "SplineCoupling",
    ],
    "keras_vae.likelihoods": [
        "Bernoulli",
        "Beta",
        "Binomial",
        "Categorical",
        "Columns",
        "ContinuousBernoulli",
        "DiscretizedLogistic",
        "Laplace",
        "Likelihood",
        "LogNormal",
        "Logistic",
        "NegativeBinomial",
        "Normal",
        "Ordinal",
        "Poisson",
        "StudentT",
        "Support",
        "ZeroInflatedNegativeBinomial",
    ],
    "keras_vae.models": ["VAE"],
    "keras_vae.models.presets": [
        "CIWAE",
        "DIPVAE1",
        "DIPVAE2",
        "IAFVAE",
        "IWAE",
        "MIWAE",
        "MSSSIMVAE",
        "PIWAE",
        "RAE_GP",
        "RAE_L2",
        "SVAE",
        "WAE",
        "AnnealedVAE",
        "Autoencoder",
        "BetaTCVAE",
        "BetaVAE",
        "CategoricalVAE",
        "ConditionalVAE",
        "DReG",
        "InfoVAE",
        "JointVAE",
        "MissingIWAE",
        "PlanarVAE",
        "PoincareVAE",
        "PowerSphericalVAE",
        "RadialVAE",
        "SigmaVAE",
        "VampVAE",
        "for_source",
    ],
    "keras_vae.networks": [
        "MLP",
        "CausalConvDecoder",
        "ConvDecoder",
        "ConvEncoder",
        "ConvEncoder1D",
        "Network",
        "RecurrentDecoder",
        "RecurrentEncoder",
        "ResidualDecoder",
        "ResidualEncoder",
        "ResidualMLP",
        "TransformerDecoder",
        "TransformerEncoder",
    ],
    "keras_vae.objectives": [
        "CIWAE",
        "DIPVAE",
        "ELBO",
        "IWAE",
        "MIWAE",
        "MSSSIM",
        "PIWAE",
        "RAE",
        "TCVAE",
        "WAE",
        "DReG",
        "InfoVAE",
        "LogLikelihood",
        "Objective",
        "Perceptual",
        "Renyi",
        "StickingTheLanding",
    ],
    "keras_vae.plots": [
        "kl_spectrum",
        "latent_map",
        "learning_curves",
        "overview",
        "rank_histogram",
        "rate_distortion",
        "reconstructions",
        "samples",
        "spectrograms",
        "traversals",
    ],
    "keras_vae.posteriors": [
        "Deterministic",
        "DiagonalNormal",
        "Flow",
        "FullCovarianceNormal",
        "Joint",
        "Laplace",
        "LogisticNormal",
        "PoincareNormal",
        "Posterior",
        "PowerSpherical",
        "RelaxedBernoulli",
        "RelaxedCategorical",
        "VonMisesFisher",
    ],
    "keras_vae.preprocessors": [
        "Chain",
        "Identity",
        "Logit",
        "MuLaw",
        "Preprocessor",
        "Rescaling",
        "Reshape",
        "Standardization",
    ],
    "keras_vae.priors": [
        "Bernoulli",
        "Categorical",
        "ConditionalNormal",
        "Dirichlet",
        "Flow",
        "Joint",
        "Laplace",
        "NormalMixture",
        "PoincareNormal",
        "Prior",
        "SphericalUniform",
        "StandardNormal",
        "VampPrior",
    ],
    "keras_vae.samplers": ["Hypersphere", "TwoStage", "fit"],
    "keras_vae.schedules": [
        "Constant",
        "Cyclical",
        "LinearWarmup",
        "Schedule",
        "Scheduled",
        "Sigmoid",
        "value_at",
    ],
    "keras_vae.tables": ["KINDS", "Table"],
    "keras_vae.tasks": [
        "Neighbours",
        "Threshold",
        "VAEOutlierDetector",
        "VAETransformer",
        "anomaly_score",
        "attribution",
        "augment",
        "direction",
        "edit",
        "impute",
        "interpolate",
        "nearest",
        "threshold",
        "traverse",
    ],
    "keras_vae.terms": ["Bound", "Context", "Draw", "ElboTerms", "LogJointGradient", "Support"],
}
every_module = pytest.mark.parametrize("name", PUBLIC)


@every_module
def test_public_names(name):
    assert importlib.import_module(name).__all__ == PUBLIC[name]


@every_module
def test_public_names_are_sorted_and_exist(name):
    module = importlib.import_module(name)
    # The order of ruff: constants, then classes, then functions, each by name.
    groups = {"constants": [], "classes": [], "functions": []}
    for public in module.__all__:
        assert hasattr(module, public), public
        kind = "classes" if public[0].isupper() else "functions"
        groups["constants" if public.isupper() else kind].append(public)
    assert module.__all__ == [n for names in groups.values() for n in sorted(names)]


@every_module
def test_everything_public_has_a_docstring(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in module.__all__:
        thing = getattr(module, public)
        assert has_docstring(thing), f"{name}.{public}"
        if inspect.isclass(thing):
            for member, value in inspect.getmembers(thing, inspect.isfunction):
                own = value.__module__.startswith("keras_vae")
                if own and not member.startswith("_"):
                    # An overriding method has that of the method it overrides.
                    assert inspect.getdoc(getattr(thing, member)), f"{name}.{public}.{member}"


def has_docstring(thing):
    return bool(thing.__doc__) and not thing.__doc__.isspace()


_HOMES = ("keras_vae.models", "keras_vae.terms", "keras_vae.data.table_columns")


@every_module
def test_public_things_are_reached_by_their_public_name(name):
    # Defined within the unit that exports it, in the models, in the terms or with the data.
    module = importlib.import_module(name)
    for public in module.__all__:
        thing = getattr(module, public)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__module__.startswith((name, *_HOMES))


def test_the_package_has_a_version():
    package = importlib.import_module("keras_vae")
    assert [int(part) for part in package.__version__.split(".")[:2]] >= [0, 1]

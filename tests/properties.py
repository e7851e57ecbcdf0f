"""Random compositions of parts, trained for one step on extreme values.

What is looked for: a number that is not finite, in the loss, its terms or a gradient. Within
the ranges of `docs/architecture.md` ("Ranges") there is none.
"""

import dataclasses
import warnings

import keras
import numpy as np
from hypothesis import strategies as st

import keras_vae
from keras_vae import likelihoods, networks, preprocessors
from keras_vae.models.composition import why_invalid
from tests.conformance.case import CONDITION_SHAPE, EVENT_SHAPE, Case
from tests.conformance.cases import CASES

#: Largest values of data, by the tails of the density: of its logarithm, squares fit float32.
FAR = 1e6
FARTHEST = 1e30
LINEAR_TAILS = (likelihoods.Laplace, likelihoods.Logistic, likelihoods.StudentT)
#: What is added to the parameters of q(z|x) and of p(x|z), with random signs.
OF_POSTERIOR = (0.0, 1e-30, 1.0, 30.0, 1e3)
OF_LIKELIHOOD = (0.0, 1e-30, 1.0, 10.0, 30.0)
#: How values of x are chosen.
DATA = ("typical", "ends", "one end", "equal rows")
ENCODERS = {
    "tanh": lambda: networks.MLP([8], activation="tanh"),
    "relu": lambda: networks.MLP([8, 8], activation="relu"),
    "residual": lambda: networks.ResidualMLP(8, blocks=1),
    "conv": lambda: networks.ConvEncoder([4]),
}
PREPROCESSORS = {
    "none": lambda: None,
    "standardization": preprocessors.Standardization,
    "rescaling": lambda: preprocessors.Rescaling(scale=-2.0, offset=1.0),
}
SLOTS = {
    "posterior": "posteriors",
    "prior": "priors",
    "likelihood": "likelihoods",
    "objective": "objectives",
}
# Parts to ask what goes together.
_MADE = {case.key: case.make() for case in CASES if case.family in SLOTS.values()}
_BY_SLOT = {slot: [c for c in CASES if c.family == f] for slot, f in SLOTS.items()}
for _case in _BY_SLOT["likelihood"]:
    _MADE[_case.key].build(_case.event_shape)


@dataclasses.dataclass(frozen=True)
class Composition:
    """One model, and what it is trained on.

    Attributes:
        posterior: A line of the conformance table, as `prior`, `likelihood` and `objective`.
        prior: See above.
        likelihood: See above.
        objective: See above.
        encoder: A key of `ENCODERS`.
        preprocessor: A key of `PREPROCESSORS`.
        data: One of `DATA`.
        rows: Examples of the one batch.
        missing: Whether values are missing, in one row all.
        of_posterior: One of `OF_POSTERIOR`.
        of_likelihood: One of `OF_LIKELIHOOD`.
        seed: Random seed of weights, data and noise.
    """

    posterior: Case
    prior: Case
    likelihood: Case
    objective: Case
    encoder: str
    preprocessor: str
    data: str
    rows: int
    missing: bool
    of_posterior: float
    of_likelihood: float
    seed: int

    def __repr__(self) -> str:
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return ", ".join(v.name if isinstance(v, Case) else str(v) for v in values)

    def model(self):
        """The model, compiled, with extreme parameters."""
        keras.utils.set_random_seed(self.seed)
        parts = {slot: getattr(self, slot).make() for slot in SLOTS}
        vae = keras_vae.VAE(
            ENCODERS[self.encoder](),
            networks.MLP([8], activation="tanh"),
            **parts,
            event_shape=self.likelihood.event_shape,
            condition_shape=CONDITION_SHAPE if parts["prior"].needs_condition else None,
            missing="nan" if self.missing else None,
            preprocessor=PREPROCESSORS[self.preprocessor](),
            seed=self.seed,
        )
        rng = np.random.default_rng(self.seed)
        for head, size in (("encoder", self.of_posterior), ("decoder", self.of_likelihood)):
            for bias in vae.trainable_variables:
                if bias.path.endswith(f"{head}_head/parameters/bias"):
                    bias.assign_add(size * rng.choice([-1.0, 1.0], bias.shape))
        vae.compile("sgd", run_eagerly=True)
        return vae

    def inputs(self):
        """What `fit` is given."""
        rng = np.random.default_rng(self.seed)
        x = self.likelihood.data(rng, (self.rows, *self.likelihood.event_shape))
        ends = ends_of(self)
        if self.data == "ends" and ends:
            x = rng.choice(ends, x.shape)
        elif self.data == "one end" and ends:
            x = np.full(x.shape, rng.choice(ends))
        elif self.data == "equal rows":
            x = np.repeat(x[:1], self.rows, axis=0)
        if self.missing:
            x = np.where(rng.random(x.shape) < 0.3, np.nan, x)
            x[0] = np.nan
        if not _MADE[self.prior.key].needs_condition:
            return x
        return {"x": x, "condition": rng.choice([-FAR, 0, FAR], (self.rows, *CONDITION_SHAPE))}

    def trouble(self):
        """What was not finite in a step of training; empty if all was."""
        vae = self.model()
        try:
            with warnings.catch_warnings():
                # Of priors with weights, beside an objective that never asks for their density.
                warnings.filterwarnings("ignore", message="Gradients do not exist")
                history = vae.fit(self.inputs(), verbose=0).history
        except FloatingPointError as error:
            return str(error)
        bad = [name for name, values in history.items() if not np.isfinite(values).all()]
        return f"history: {bad}" if bad else ""


def ends_of(composition):
    """Values of x at the ends of the support, and far out where there are none."""
    case = composition.likelihood
    if case.cls is likelihoods.Columns or "ends" in case.name:
        return []  # Each element has a support of its own.
    support = _MADE[case.key].support
    if support.integer:
        return [support.lower, support.upper or FAR]
    farthest = FARTHEST if reaches_far(composition) else FAR
    if support.lower is None:
        return [-farthest, -1e-30, 0.0, 1e-30, farthest]
    if support.upper is None:
        return [1e-30, farthest]
    if support.open:
        return [1e-30, 1 - 1e-7]
    return [support.lower, support.upper]


def reaches_far(composition):
    """Whether values as far as `FARTHEST` are in range: no square is taken of them."""
    case, objective = composition.likelihood, composition.objective
    return (
        (issubclass(case.cls, LINEAR_TAILS) or case.cls is likelihoods.LogNormal)
        and "reconstruction" not in _MADE[objective.key].requires
        and composition.preprocessor == "none"
        and composition.encoder in ("tanh",)
    )


@st.composite
def compositions(draw):
    """Valid compositions, with the data they are trained on."""
    likelihood = draw(st.sampled_from(_BY_SLOT["likelihood"]))
    image = likelihood.event_shape == EVENT_SHAPE
    posterior = draw(st.sampled_from(_BY_SLOT["posterior"]))
    goes = [
        (prior, objective)
        for prior in _BY_SLOT["prior"]
        for objective in _BY_SLOT["objective"]
        if (image or "reconstruction" not in _MADE[objective.key].requires)
        and why_invalid(*(_MADE[c.key] for c in (posterior, prior, likelihood, objective)))
        is None
    ]
    prior = draw(st.sampled_from(list({p.name: p for p, _ in goes}.values())))
    objective = draw(st.sampled_from([o for p, o in goes if p is prior]))
    part = _MADE[likelihood.key]
    real = image and part.support.lower is None
    return Composition(
        posterior,
        prior,
        likelihood,
        objective,
        encoder=draw(st.sampled_from([n for n in ENCODERS if image or n != "conv"])),
        preprocessor=draw(st.sampled_from(list(PREPROCESSORS) if real else ["none"])),
        data=draw(st.sampled_from(DATA)),
        rows=draw(st.sampled_from([1, 3])),
        missing=part.maskable and draw(st.booleans()),
        of_posterior=draw(st.sampled_from(OF_POSTERIOR)),
        of_likelihood=draw(st.sampled_from(OF_LIKELIHOOD)),
        seed=draw(st.integers(0, 10**6)),
    )

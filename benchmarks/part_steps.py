"""What a training step costs with each part: `python benchmarks/part_steps.py` (quiet machine).

One part of the plain VAE - 784-512-32-512-784, normal posterior, standard normal prior,
Bernoulli, ELBO, batch of 128 - is replaced at a time. Each model and the plain one take
turns over rounds of 40 steps after a warm-up; the ratio is the median over rounds. Where a part
needs more arithmetic by its nature, the table says so: objectives with k samples decode k
latents, likelihoods with n parameters per pixel have an n times wider output.
"""

import json
import pathlib
import platform
import statistics
import time

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import flows, likelihoods, networks, objectives, posteriors, priors

RESULTS = pathlib.Path(__file__).parent / "results" / "part_steps.json"
DIM, BATCH, STEPS, ROUNDS, SEED = 32, 128, 40, 9, 0
NORMAL = posteriors.DiagonalNormal


def iaf():
    return posteriors.Flow(
        NORMAL(DIM), [flows.IAF([64, 64]), flows.Permutation(), flows.IAF([64, 64])]
    )


def joint():
    return posteriors.Joint([NORMAL(12), posteriors.RelaxedCategorical(10, 2)])


CONTENDERS = {
    "posterior FullCovarianceNormal": {
        "posterior": lambda: posteriors.FullCovarianceNormal(DIM)
    },
    "posterior Laplace": {"posterior": lambda: posteriors.Laplace(DIM)},
    "posterior Flow, 10 planar": {
        "posterior": lambda: posteriors.Flow(NORMAL(DIM), [flows.Planar() for _ in range(10)])
    },
    "posterior Flow, 2 IAF": {"posterior": iaf},
    "posterior VonMisesFisher": {
        "posterior": lambda: posteriors.VonMisesFisher(DIM),
        "prior": priors.SphericalUniform,
    },
    "posterior PowerSpherical": {
        "posterior": lambda: posteriors.PowerSpherical(DIM),
        "prior": priors.SphericalUniform,
    },
    "posterior PoincareNormal": {
        "posterior": lambda: posteriors.PoincareNormal(DIM),
        "prior": priors.PoincareNormal,
    },
    "posterior LogisticNormal, prior Dirichlet": {
        "posterior": lambda: posteriors.LogisticNormal(DIM),
        "prior": priors.Dirichlet,
    },
    "posterior RelaxedBernoulli": {
        "posterior": lambda: posteriors.RelaxedBernoulli(DIM),
        "prior": priors.Bernoulli,
    },
    "posterior Joint of normal and categorical": {
        "posterior": joint,
        "prior": lambda: priors.Joint([priors.StandardNormal(), priors.Categorical(10, 2)]),
    },
    "prior NormalMixture(100)": {"prior": lambda: priors.NormalMixture(100)},
    "prior VampPrior(100): 100 more examples encoded": {"prior": lambda: priors.VampPrior(100)},
    "prior Flow": {"prior": priors.Flow},
    "prior Laplace": {"prior": priors.Laplace},
    "likelihood Normal": {"likelihood": lambda: likelihoods.Normal("learned")},
    "likelihood Laplace": {"likelihood": lambda: likelihoods.Laplace("learned")},
    "likelihood StudentT": {"likelihood": likelihoods.StudentT},
    "likelihood Logistic": {"likelihood": likelihoods.Logistic},
    "likelihood ContinuousBernoulli": {"likelihood": likelihoods.ContinuousBernoulli},
    "likelihood Poisson": {"likelihood": likelihoods.Poisson},
    "likelihood Binomial": {"likelihood": lambda: likelihoods.Binomial(1)},
    "likelihood NegativeBinomial": {"likelihood": likelihoods.NegativeBinomial},
    "likelihood NegativeBinomial with library": {
        "likelihood": lambda: likelihoods.NegativeBinomial(library="observed")
    },
    "likelihood ZeroInflatedNegativeBinomial: 2 numbers a pixel": {
        "likelihood": likelihoods.ZeroInflatedNegativeBinomial
    },
    "likelihood Categorical(2): 2 numbers a pixel": {
        "likelihood": lambda: likelihoods.Categorical(2)
    },
    "likelihood Ordinal(4)": {"likelihood": lambda: likelihoods.Ordinal(4)},
    "likelihood DiscretizedLogistic(1), 2 levels: 3 numbers a pixel": {
        "likelihood": lambda: likelihoods.DiscretizedLogistic(1, 2)
    },
    "objective ELBO with free bits": {"objective": lambda: objectives.ELBO(free_bits=0.1)},
    "objective ELBO with capacity": {"objective": lambda: objectives.ELBO(capacity=5.0)},
    "objective InfoVAE": {"objective": lambda: objectives.InfoVAE(0.0, 10.0)},
    "objective WAE": {"objective": objectives.WAE},
    "objective TCVAE": {"objective": lambda: objectives.TCVAE(6.0)},
    "objective DIPVAE": {"objective": lambda: objectives.DIPVAE("i", 10.0, 10.0)},
    "objective RAE": {"objective": lambda: objectives.RAE(1e-2)},
    "objective StickingTheLanding": {"objective": objectives.StickingTheLanding},
    "objective IWAE(5): 5 samples": {"objective": objectives.IWAE},
    "objective DReG(5): 5 samples": {"objective": objectives.DReG},
    "objective MIWAE(2, 3): 6 samples": {"objective": lambda: objectives.MIWAE(2, 3)},
    "objective PIWAE(2, 3): 6 samples": {"objective": lambda: objectives.PIWAE(2, 3)},
    "objective Renyi(5): 5 samples": {"objective": objectives.Renyi},
    "objective CIWAE(5): 5 samples": {"objective": objectives.CIWAE},
    "condition of 10 labels": {"condition_shape": (10,)},
    "missing values: the input twice as wide": {"missing": "nan"},
}


def model(**parts):
    keras.utils.set_random_seed(SEED)
    parts = {k: v() if k in SLOTS else v for k, v in {**PLAIN, **parts}.items()}
    vae = keras_vae.VAE(
        networks.MLP([512]), networks.MLP([512]), **parts, event_shape=(784,), seed=1
    )
    vae.compile("adam", steps_per_execution=STEPS)
    return vae


PLAIN = {"posterior": lambda: NORMAL(DIM), "likelihood": likelihoods.Bernoulli}
SLOTS = ("posterior", "prior", "likelihood", "objective")


class Timer(keras.callbacks.Callback):
    """Seconds of the one execution; before and after it `fit` waits for threads of its own."""

    def on_train_batch_begin(self, batch, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.seconds = time.perf_counter() - self.start


def seconds(vae, data):
    timer = Timer()
    vae.fit(data, verbose=0, callbacks=[timer])
    return timer.seconds / STEPS


def main():
    bits = np.random.default_rng(SEED).integers(0, 2, (STEPS * BATCH, 784)).astype("float32")
    labels = np.eye(10, dtype="float32")[np.arange(len(bits)) % 10]
    with_labels = tf.data.Dataset.from_tensor_slices({"x": bits, "condition": labels}).batch(
        BATCH
    )
    plain_data = tf.data.Dataset.from_tensor_slices(bits).batch(BATCH)
    plain = model()
    seconds(plain, plain_data)
    table = {}
    for name, parts in CONTENDERS.items():
        vae = model(**parts)
        if isinstance(vae.objective, objectives.TCVAE):
            vae = model(objective=lambda: objectives.TCVAE(6.0, data_size=len(bits)))
        data = with_labels if vae.condition_shape else plain_data
        seconds(vae, data)
        pairs = [(seconds(vae, data), seconds(plain, plain_data)) for _ in range(ROUNDS)]
        table[name] = {
            "milliseconds": round(1e3 * statistics.median(own for own, _ in pairs), 3),
            "ratio_to_plain": round(statistics.median(own / base for own, base in pairs), 2),
        }
        print(name, table[name], flush=True)
        keras.backend.clear_session()
    report = {
        "command": "python benchmarks/part_steps.py",
        "plain_milliseconds": round(
            1e3 * statistics.median(seconds(plain, plain_data) for _ in range(ROUNDS)), 3
        ),
        "parts": table,
        "seed": SEED,
        "versions": {
            "keras_vae": keras_vae.__version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
    }
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()

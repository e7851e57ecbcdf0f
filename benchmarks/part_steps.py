"""What a training step costs with each part: `python benchmarks/part_steps.py` (quiet machine).

One part of the plain VAE - 784-512-32-512-784, normal posterior, standard normal prior,
Bernoulli, ELBO, batch of 128 - is replaced at a time. Each model and the plain one take
turns over rounds of 40 steps after a warm-up; the ratio is the median over rounds. Where a part
needs more arithmetic by its nature, the table says so: objectives with k samples decode k
latents, likelihoods with n parameters per pixel have an n times wider output.

`python benchmarks/part_steps.py --alone` adds, to parts above 1.5, what the part's own
functions take alone, value and gradient, beyond those of the plain model's part: `ratio_beyond`
is what is left of the ratio without them.
"""

import argparse
import json
import statistics
import time

import keras
import numpy as np
import smoke
import tensorflow as tf
from facts import versions

import keras_vae
from keras_vae import flows, likelihoods, networks, numerics, objectives, posteriors, priors

RESULTS = smoke.RESULTS / "part_steps.json"
DIM, BATCH, SEED = 32, 128, 0
STEPS, ROUNDS = smoke.pick((40, 9), (2, 1))
NORMAL = posteriors.DiagonalNormal


def iaf():
    return posteriors.Flow(
        NORMAL(DIM), [flows.IAF([64, 64]), flows.Permutation(), flows.IAF([64, 64])]
    )


def joint():
    return posteriors.Joint([NORMAL(12), posteriors.RelaxedCategorical(10, 2)])


CONTENDERS = {
    "posterior FullCovarianceNormal: 560 numbers in place of 64": {
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
    "likelihood Categorical(2): 2 numbers a pixel, input twice as wide": {
        "likelihood": lambda: likelihoods.Categorical(2)
    },
    "likelihood Ordinal(4): input 4 times as wide": {
        "likelihood": lambda: likelihoods.Ordinal(4)
    },
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
    "objective DReG(5): 5 samples, the decoder's gradient twice": {
        "objective": objectives.DReG
    },
    "objective MIWAE(2, 3): 6 samples": {"objective": lambda: objectives.MIWAE(2, 3)},
    "objective PIWAE(2, 3): 6 samples, the decoder's gradient twice": {
        "objective": lambda: objectives.PIWAE(2, 3)
    },
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
    for name, parts in list(CONTENDERS.items())[:: smoke.pick(1, 20)]:
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
        smoke.write(RESULTS, table, complete=False)
        keras.backend.clear_session()
    report = {
        "command": "python benchmarks/part_steps.py",
        "plain_milliseconds": round(
            1e3 * statistics.median(seconds(plain, plain_data) for _ in range(ROUNDS)), 3
        ),
        "parts": table,
        "seed": SEED,
        "versions": versions(),
    }
    smoke.write(RESULTS, report)


def alone(vae, slot):
    """Seconds of value and gradient of a part's own functions, with the head before them."""
    rng = np.random.default_rng(SEED)
    features = tf.constant(rng.normal(size=(BATCH, 512)).astype("float32"))
    z = tf.constant(rng.normal(size=(vae.objective.samples, BATCH, DIM)).astype("float32"))
    x = tf.constant(rng.integers(0, 2, (BATCH, 784)).astype("float32"))
    context = vae.context(training=True)

    def posterior():
        params = numerics.as_density(vae._to_posterior(features))
        noise = numerics.draw_noise(vae.posterior.noise_spec(), [1, BATCH], KEY)
        draw = vae.posterior.sample_and_log_prob(params, noise, context)
        return tf.reduce_sum(draw.latents) + tf.reduce_sum(draw.log_prob)

    def prior():
        return tf.reduce_sum(vae.prior.log_prob(z, context))

    def likelihood():
        params = numerics.as_density(vae._to_likelihood(features))[None]
        return tf.reduce_sum(vae.likelihood.log_prob(params, x, None, context))

    def objective():
        params = vae.likelihood_params(z, training=True)
        return tf.reduce_sum(vae.likelihood.log_prob(params, x, None, context))

    own = {f.__name__: f for f in (posterior, prior, likelihood, objective)}[slot]

    @tf.function
    def steps():
        total = 0.0
        for _ in tf.range(STEPS):
            with tf.GradientTape() as tape:
                tape.watch([features, z])
                value = own()
            gradients = tape.gradient(value, [features, z, *vae.trainable_variables])
            total += tf.add_n([tf.reduce_sum(g) for g in gradients if g is not None])
        return total

    steps()
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        steps().numpy()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) / STEPS


def add_alone():
    report = json.loads(RESULTS.read_text())
    plain = model()
    for name, row in report["parts"].items():
        parts = CONTENDERS[name]
        if row["ratio_to_plain"] <= 1.5 or set(parts) - set(SLOTS):
            continue
        slot = name.split(" ", maxsplit=1)[0]
        base = row["milliseconds"] / row["ratio_to_plain"]  # of the same rounds
        more = 1e3 * (alone(model(**parts), slot) - alone(plain, slot))
        row["own_milliseconds"] = round(more, 3)
        row["ratio_beyond"] = round(row["ratio_to_plain"] - more / base, 2)
        print(name, row, flush=True)
    smoke.write(RESULTS, report)


KEY = numerics.key_from_seed(SEED)

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", action="store_true")
    smoke.add_argument(parser)
    if parser.parse_args().alone:
        add_alone()
    else:
        main()

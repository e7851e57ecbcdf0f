"""Scores of codes by disentanglement_lib: `SCRIPT FILE`.

The `.npz` file has `factors` and, for each kind of codes, an array of its name, all with one
row for each example. The scores go to standard output as JSON. disentanglement_lib 1.5 was
written for TensorFlow 1, which its scores do not use but through the part of gin that is for
TensorFlow: gin itself stands in for that.
"""

import json
import logging
import sys

import gin
import numpy as np

sys.modules["gin.tf"] = gin.tf = gin
logging.disable(logging.CRITICAL)

from disentanglement_lib.evaluation.metrics import (  # noqa: E402 (after gin)
    beta_vae,
    dci,
    factor_vae,
    irs,
    mig,
    modularity_explicitness,
    sap_score,
)


class Examples:
    """Examples to draw from, as the library wants them; an observation is a row's number."""

    def __init__(self, factors):
        self.factors = factors
        self.num_factors = factors.shape[1]
        self.rows = {}
        for row, values in enumerate(factors):
            self.rows.setdefault(tuple(values), []).append(row)

    def sample_factors(self, number, rng):
        return self.factors[rng.randint(len(self.factors), size=number)]

    def sample_observations_from_factors(self, factors, rng):
        return np.array([rng.choice(self.rows[tuple(values)]) for values in factors])

    def sample(self, number, rng):
        factors = self.sample_factors(number, rng)
        return factors, self.sample_observations_from_factors(factors, rng)

    def sample_observations(self, number, rng):
        return self.sample(number, rng)[1]


def scores(codes, factors):
    examples, rng = Examples(factors), np.random.RandomState(0)
    half = len(codes) // 2
    train = codes[:half].T, factors[:half].T
    test = codes[half:].T, factors[half:].T

    def encode(rows):
        return codes[rows]

    by_trees = dci._compute_dci(*train, *test)
    sizes = {"batch_size": 64, "num_train": 2_000}
    by_modularity = modularity_explicitness.compute_modularity_explicitness(
        examples, encode, rng, num_train=half, num_test=half
    )
    of_beta = beta_vae.compute_beta_vae_sklearn(examples, encode, rng, num_eval=1_000, **sizes)
    of_factor = factor_vae.compute_factor_vae(
        examples, encode, rng, num_eval=1_000, num_variance_estimate=len(codes), **sizes
    )
    robust = irs.scalable_disentanglement_score(factors, codes, 0.99)
    return {
        "mutual_information_gap": mig._compute_mig(codes.T, factors.T)["discrete_mig"],
        "separated_attributes": sap_score._compute_sap(*train, *test, False)["SAP_score"],
        "dci_disentanglement": by_trees["disentanglement"],
        "dci_completeness": by_trees["completeness"],
        "dci_informativeness": by_trees["informativeness_test"],
        "beta_vae_score": of_beta["eval_accuracy"],
        "factor_vae_score": of_factor["eval_accuracy"],
        "interventional_robustness": robust["avg_score"],
        "modularity": by_modularity["modularity_score"],
        "explicitness": by_modularity["explicitness_score_test"],
    }


# Histograms of 20 bins, as in the library's published study.
gin.bind_parameter("discretizer.discretizer_fn", mig.utils._histogram_discretize)
gin.bind_parameter("discretizer.num_bins", 20)
with np.load(sys.argv[1]) as arrays:
    everything = dict(arrays)
truth = everything.pop("factors")
found = {name: scores(codes, truth) for name, codes in everything.items()}
print(json.dumps({k: {n: float(v) for n, v in row.items()} for k, row in found.items()}))

"""How well latents keep known factors apart: the scores of disentanglement.

Floor 5. All take codes, such as `model.encode(x)`, and the factors that made x; they follow
the definitions of the papers as disentanglement_lib (Locatello et al. 2019, Challenging Common
Assumptions in the Unsupervised Learning of Disentangled Representations) states them, where
that says more than a paper. Higher is better, from 0 to 1, and 1 is perfect but for
`separated_attributes`, where it is what remains of 1 after guessing.
"""

from keras_vae.evaluation.factors.groups import (
    beta_vae_score,
    factor_vae_score,
    interventional_robustness,
)
from keras_vae.evaluation.factors.information import modularity, mutual_information_gap
from keras_vae.evaluation.factors.prediction import DCI, dci, explicitness, separated_attributes
from keras_vae.evaluation.factors.scores import Score, disentanglement

__all__ = [
    "DCI",
    "Score",
    "beta_vae_score",
    "dci",
    "disentanglement",
    "explicitness",
    "factor_vae_score",
    "interventional_robustness",
    "modularity",
    "mutual_information_gap",
    "separated_attributes",
]

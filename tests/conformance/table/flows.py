"""The cases of keras_vae.flows: one line per class, or per mode of it."""

from keras_vae import flows
from tests.conformance.case import Case

CASES = [
    Case(flows.AffineCoupling, {"hidden": (5,), "activation": "tanh"}),
    Case(flows.AffineCoupling, {"hidden": [5, 4], "context_size": 3}, "context"),
    Case(flows.IAF, {"hidden": [5, 4], "activation": "tanh"}),
    Case(flows.IAF, {"hidden": [5, 4], "context_size": 3}, "context"),
    Case(flows.MAF, {"hidden": [5, 4], "activation": "tanh"}),
    Case(flows.MAF, {"hidden": [5], "context_size": 3}, "context"),
    Case(flows.Permutation),
    Case(flows.Permutation, {"seed": 3}, "random"),
    Case(flows.Planar),
    Case(flows.Planar, {"amortised": True}, "amortised"),
    Case(flows.Radial),
    Case(flows.Radial, {"amortised": True}, "amortised"),
    Case(flows.SplineAutoregressive, {"bins": 3, "limit": 2.0, "hidden": [5]}),
    Case(flows.SplineAutoregressive, {"bins": 2, "hidden": [5], "context_size": 3}, "context"),
    Case(flows.SplineCoupling, {"bins": 3, "limit": 2.0, "hidden": [5]}),
    Case(flows.SplineCoupling, {"bins": 2, "hidden": [5], "context_size": 3}, "context"),
]

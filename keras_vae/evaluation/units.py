"""What log p of data is measured in: the one place that says when bits are those of a code.

Floor 5.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from keras_vae import numerics
from keras_vae.models import VAE

__all__ = ["Unit", "unit_of"]

# Examples looked at in one go.
_ROWS = 1024


class Unit(NamedTuple):
    """What log p of data is measured in.

    Attributes:
        is_code: Whether minus log p is the length of a code for the data.
        words: Object that nats and bits are of.
    """

    is_code: bool
    words: str


def unit_of(model: VAE, x: Any) -> Unit:
    """Say what bounds on log p of data are in, as the methods give them without `raw=True`.

    Nats of probabilities are the length of a code for x. Nats of densities depend on the unit
    of x, may be of either sign, and are no code.

    Args:
        model: Any model.
        x: `[examples, *raw_shape]`.
    """
    likelihood = model.likelihood
    discrete = likelihood.discrete_elements()
    values = "x" if model.preprocessor is None else "x as preprocessed"
    given = "" if likelihood.given is None else f", given {likelihood.given}"
    if not discrete.any():
        return Unit(False, f"of a density per unit of {values}{given}; no code")
    if not _all_have_mass(model, x, discrete):
        between = f"{values} lies between the values of a {type(likelihood).__name__}"
        return Unit(False, f"neither of a code nor of a density{given}: {between}")
    if not discrete.all():
        count = int((~discrete).sum())
        return Unit(
            False,
            f"of {count} densities per unit of {values} and {discrete.sum()} codes{given}",
        )
    if likelihood.given is not None:
        return Unit(False, f"of counts{given}; no code for {values}")
    return Unit(True, f"of a code for {values}")


def _all_have_mass(model: VAE, x: Any, discrete: np.ndarray) -> bool:
    for start in range(0, len(x), _ROWS):
        y = model.preprocessed(numerics.as_density(x[start : start + _ROWS]))
        if np.any(discrete & ~np.asarray(model.likelihood.has_mass(y))):
            return False
    return True

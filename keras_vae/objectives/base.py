"""The contract of an objective.

Floor 3.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_vae.component import Component
from keras_vae.schedules import Schedule, value_at
from keras_vae.terms import Bound, Context, ElboTerms

__all__ = ["TERM_NAMES", "Objective"]

#: What an objective may ask for in `requires`.
TERM_NAMES = frozenset(
    {
        "density",
        "factorised",
        "moments",
        "x",
        "reconstruction",
        "prior_latents",
        "posterior_params",
        "log_joint_gradient",
    }
)


class Objective(Component):
    """What is maximised: a bound in nats, one number per example.

    Subclassing: implement `bound`. Set `requires` to the optional terms that it reads;
    `"density"` stands for all that need log q(z|x), `"factorised"` for a posterior with
    `log_prob_per_dimension` and `"moments"` for one with `mean` and `scale`, both asked of
    `context.posterior`. `build` is given the event's shape. Set `coupled` if the value of one
    example depends on others of the batch. Constructor arguments that are schedules are
    logged under their names.

    (The method is `bound` rather than `__call__`, which Keras layers keep for themselves:
    theirs casts its inputs and records shapes.)
    """

    #: Optional terms that are needed, a subset of `TERM_NAMES`.
    requires: frozenset[str] = frozenset()
    #: Whether the value of one example depends on the other examples of the batch.
    coupled = False

    #: Number of latents drawn per example.
    samples = 1

    def bound(self, terms: ElboTerms, context: Context) -> Bound:
        """Return the bound.

        Args:
            terms: Log-densities and what else was required.
            context: What is known of the step.

        Returns:
            A `Bound` with a value of shape `[batch]`, in nats, higher being better.
        """
        raise NotImplementedError

    def scheduled(self, context: Context) -> dict[str, tf.Tensor]:
        """Present values of the arguments that are schedules, by name."""
        return {
            name: value_at(getattr(self, name), context.step) for name in self.schedule_names()
        }

    def schedule_names(self) -> list[str]:
        """Names of the constructor arguments that are schedules."""
        return [n for n in self.argument_names() if isinstance(getattr(self, n), Schedule)]


def require_samples(samples: Any) -> None:
    """Raise a ValueError unless `samples` is a positive integer."""
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise ValueError(f"`samples` must be an integer >= 1. Received: samples={samples!r}.")

"""The contract of an objective.

Floor 3.
"""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from keras_vae.arguments import is_number
from keras_vae.component import Component
from keras_vae.schedules import Schedule, Scheduled
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


class Objective(Scheduled, Component):
    """What is maximised: a bound in nats, one number per example.

    Subclassing: implement `bound`. Set `requires` to the optional terms that it reads;
    `"density"` stands for all that need log q(z|x), `"factorised"` for a posterior with
    `log_prob_per_dimension` and `"moments"` for one with `mean` and `scale`, both asked of
    `context.posterior`. `build` is given the event's shape. Set `coupled` if the value of one
    example depends on others of the batch: the model then gathers the terms of all replicas,
    and the mean of the values over the batch is what counts. If what it compares is not
    defined for a few examples, leave it out of the values of such a batch
    (`without_penalty_if_too_few`) and set `smallest_batch`: `fit` then refuses batches that
    are all too small. `requires`, `coupled`, `smallest_batch` and `samples` may be set in the
    constructor. Override `check` for what must be known before
    training. Constructor arguments that are schedules are logged under their names.

    (The method is `bound` rather than `__call__`, which Keras layers keep for themselves:
    theirs casts its inputs and records shapes.)
    """

    #: Optional terms that are needed, a subset of `TERM_NAMES`.
    requires: frozenset[str] = frozenset()
    #: Whether the value of one example depends on the other examples of the batch.
    coupled = False
    #: Examples that a batch must have for the whole value to be measured.
    smallest_batch = 1

    #: Whether log p(x|z) counts. Where it does not, what a likelihood has to learn beyond its
    #: mean stays as it was.
    uses_log_likelihood = True

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

    def why_not(self, blocks: int) -> str | None:
        """Say why it does not go with a posterior of so many blocks; `None` if it does."""
        return None

    def check(self, data_size: int) -> None:
        """Raise an error if the objective cannot be trained; called before each `fit`.

        Args:
            data_size: Number of training examples, 0 if unknown.
        """


def without_penalty_if_too_few(
    penalty: tf.Tensor, terms: ElboTerms, smallest_batch: int
) -> tf.Tensor:
    """Return the penalty, or zeros if the batch has too few examples to compare.

    Args:
        penalty: Any finite tensor.
        terms: The terms of the batch.
        smallest_batch: Number of examples from which on the penalty is defined.
    """
    enough = tf.shape(terms.log_likelihood)[1] >= smallest_batch
    return tf.where(enough, penalty, tf.zeros_like(penalty))


def require_weight(name: str, weight: Any, *, scheduled: bool = True) -> None:
    """Raise a ValueError unless `weight` is a number >= 0 or, if allowed, a schedule."""
    if scheduled and isinstance(weight, Schedule):
        return
    if not is_number(weight) or not 0 <= weight < math.inf:
        kind = ">= 0 or a schedule" if scheduled else ">= 0"
        raise ValueError(f"`{name}` must be {kind}. Received: {name}={weight!r}.")

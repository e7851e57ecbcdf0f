"""What may stand where values are missing: draws of p(missing x | observed x).

Floor 6.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import numerics
from keras_vae.arguments import require_integer, require_one_of
from keras_vae.models import VAE
from keras_vae.models.conditions import repeated
from keras_vae.streams import Stream
from keras_vae.tasks.frames import taken

__all__ = ["impute"]

_METHODS = ("importance", "metropolis", "pseudo_gibbs")
# Share of a chain's steps in which Metropolis accepts all: a start from a latent that the
# encoder thinks impossible would be left too rarely.
_ACCEPTING = 0.1
# Share of a chain's steps that its mean leaves out.
_BURN_IN = 0.5


def impute(
    model: VAE,
    x: Any,
    *,
    method: str = "importance",
    draws: int | None = 1,
    samples: int = 200,
    steps: int = 100,
    condition: Any = None,
    seed: int = 0,
    batch_size: int = 32,
) -> Any:
    """Fill what is missing in x, NaN, several times: by draws, or with what is expected there.

    Draws differ as much as what was observed leaves open. What is computed from each of
    several and pooled has an honest error; what is computed from one mean has not.

    - `"importance"`: latents drawn from q(z|observed x), some of them drawn again by their
      importance weights. For models made with `missing="nan"`.
    - `"metropolis"`: a chain for each draw, in which latents and missing values are drawn in
      turn. q(z|completed x) proposes latents, which are accepted as often as makes the chain
      one of p(z, missing x | observed x). For models trained on complete data, too.
    - `"pseudo_gibbs"`: the same chain, accepting all: right as far as q(z|x) is p(z|x).

    Chains give the encoder completed x, in which nothing is missing. They start from
    q(z|observed x) where the encoder knows of missing values, else from p(z).

    Args:
        model: One whose likelihood is a product over the elements of x.
        x: `[examples, *raw_shape]`, NaN where missing.
        method: One of the above. Defaults to `"importance"`.
        draws: Per example; chains run side by side. Defaults to `1`. `None`: no draws but the
            expectation of p(x|z), for categories the most probable one; over the weighted
            latents, as `model.impute`, or over the second half of one chain.
        samples: Latents per example of `"importance"`. Defaults to `200`; draws repeat
            latents where few of them count.
        steps: Of each chain. Defaults to `100`.
        condition: One per example, or one for all. Defaults to `None`.
        seed: Of the draws.
        batch_size: Examples at a time. Defaults to `32`: all draws of a batch are held.

    Returns:
        `[draws, examples, *raw_shape]`, or `[examples, *raw_shape]` for `draws=None`. Values
        that were observed are as in x. Of a frame of pandas a frame with its index, columns
        and dtypes, below each other for each draw: the first level of the index counts draws.

    Raises:
        ValueError: If x is bad, an argument is none of its options or out of range, or the
            method does not go with the model.

    Example:
    >>> model = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(2),
    ...     likelihood=keras_vae.likelihoods.Normal(1.0),
    ...     event_shape=(3,),
    ...     missing="nan",
    ... )
    >>> x = np.array([[0.5, np.nan, 2.0], [np.nan, np.nan, 1.0]])
    >>> filled = keras_vae.tasks.impute(model, x, draws=5)
    >>> filled.shape
    (5, 2, 3)
    >>> filled[:, 0, 2].tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0]

    Reference: Mattei and Frellsen (2019), MIWAE, section 3.3 (importance); Mattei and Frellsen
    (2018), Leveraging the Exact Likelihood of Deep Latent Variable Models, section 4
    (metropolis); Rezende, Mohamed and Wierstra (2014), appendix F (pseudo-Gibbs); Rubin
    (1987), Multiple Imputation for Nonresponse in Surveys, of what draws are for.
    """
    require_one_of("method", method, _METHODS)
    for name, value in (("samples", samples), ("steps", steps)):
        require_integer(name, value)
    if draws is not None:
        require_integer("draws", draws)
    _require_suitable(model, method, draws)
    x, frame = taken(x)
    # Models of complete data, too, get x with holes.
    x, condition = model.checked_inputs(x, condition, scored=True, missing=True)
    options: dict[str, Any] = {"condition": condition, "seed": seed, "batch_size": batch_size}
    if method == "importance" and draws is None:
        return frame.rows(_completed(x, model.impute(x, samples=samples, **options)))

    def imputed(x: tf.Tensor, key: tf.Tensor, condition: Any = None) -> tuple[tf.Tensor]:
        condition = model.conditions.prepared(condition, x)
        y = model.preprocessed(x)
        if method == "importance":
            return (_resampled(model, y, key, condition, samples, draws or 1),)
        corrected = method == "metropolis"
        chains = _Chains(model, y, key, condition, draws or 1, steps, corrected)
        return (chains.mean() if draws is None else chains.draws(),)

    name = f"imputed {method} {draws} {samples if method == 'importance' else steps}"
    found = model.in_batches(
        name, imputed, x, batch_size, Stream.IMPUTE_DRAWS.key(seed), condition
    )[0]
    if draws is None:
        return frame.rows(_completed(x, found))
    return frame.stacked(_completed(x, np.moveaxis(found, 1, 0)), "draw")


def _require_suitable(model: VAE, method: str, draws: int | None) -> None:
    posterior = model.posterior
    if method == "importance" and model.missing is None:
        raise ValueError(
            "`model` must be made with missing='nan' for method='importance': its encoder is "
            "given what was observed. Received: missing=None. Use method='metropolis'."
        )
    if method != "pseudo_gibbs" and not posterior.has_density:
        raise ValueError(
            f"`model` must have a posterior with a density for method={method!r}. Received: "
            f"{type(posterior).__name__}. Use method='pseudo_gibbs'."
        )
    if method == "metropolis" and not posterior.evaluable:
        raise ValueError(
            f"`model` must have a posterior whose density can be asked at any latent for "
            f"method='metropolis'. Received: {type(posterior).__name__} with arguments under "
            f"which it cannot. Use method='importance' or 'pseudo_gibbs'."
        )
    if model.autoregressive and not (method == "importance" and draws is None):
        raise ValueError(
            "`model` must have a decoder that gives all elements of x at once. Received: an "
            "autoregressive one. Use method='importance' with draws=None."
        )
    if not model.likelihood.maskable:
        raise ValueError(
            f"`model` must have a likelihood that is a product over the elements of x. "
            f"Received: {type(model.likelihood).__name__} with arguments under which it is not."
        )


def _completed(x: Any, found: np.ndarray) -> np.ndarray:
    """What was found in the holes of x, and x itself elsewhere."""
    x = np.asarray(x)
    completed: np.ndarray = np.where(np.isnan(x), found, x)
    return completed


def _resampled(
    model: VAE,
    y: tf.Tensor,
    key: tf.Tensor,
    condition: tf.Tensor | None,
    samples: int,
    draws: int,
) -> tf.Tensor:
    """Draws of p(x|z) for latents drawn by their importance, `[batch, draws, *raw_shape]`."""
    keys = [numerics.fold_in(key, index) for index in range(3)]
    params = model.posterior_params(y, condition=condition)
    decoded, log_weight = model.weighted_draws(y, params, keys[0], condition, samples)
    chosen = _chosen(log_weight, draws, keys[1])
    rows = tf.repeat(tf.range(tf.shape(y)[0])[:, None], draws, axis=1)
    of_chosen = tf.gather_nd(decoded, tf.stack([chosen, rows], axis=-1))
    flat = tf.reshape(of_chosen, (-1, *decoded.shape[2:]))
    drawn = model.restored(model.likelihood.sample(flat, keys[2]))
    return tf.reshape(drawn, (-1, draws, *model.raw_shape))


def _chosen(log_weight: tf.Tensor, draws: int, key: tf.Tensor) -> tf.Tensor:
    """Numbers of samples, each drawn as often as it weighs, `[batch, draws]`.

    Args:
        log_weight: `[samples, batch]`.
        draws: Per example.
        key: Of the draws.
    """
    weights = tf.nn.softmax(tf.cast(tf.transpose(log_weight), tf.float64), axis=1)
    cumulative = tf.cumsum(weights, axis=1)
    leading = [tf.shape(weights)[0], draws]
    uniform = tf.cast(_uniform(leading, key), tf.float64) * cumulative[:, -1:]
    index = tf.searchsorted(cumulative, uniform, side="right")
    return tf.minimum(index, tf.shape(weights)[1] - 1)


def _uniform(leading: list[Any], key: tf.Tensor) -> tf.Tensor:
    spec = {"uniform": numerics.NoiseSpec("uniform", ())}
    return numerics.draw_noise(spec, leading, key)["uniform"]


class _State(NamedTuple):
    """Where chains are: completed x, z, and the parameters of p(x|z); `[rows, ...]` each."""

    x: tf.Tensor
    z: tf.Tensor
    decoded: tf.Tensor


class _Chains:
    """Chains that draw z given completed x, and what is missing in x given z, in turn.

    Args:
        model: The model.
        x: `[batch, *event]`, NaN where missing.
        key: Of the draws.
        condition: As prepared, or `None`.
        count: Chains per example.
        steps: Of each.
        corrected: Whether latents are accepted by Metropolis's rule, rather than always.
    """

    def __init__(
        self,
        model: VAE,
        x: tf.Tensor,
        key: tf.Tensor,
        condition: tf.Tensor | None,
        count: int,
        steps: int,
        corrected: bool,
    ) -> None:
        leading = tf.stack([count, tf.shape(x)[0]])
        self.model = model
        self.x: tf.Tensor = repeated(x, leading)
        self.missing = tf.math.is_nan(self.x)
        self.key = key
        self.context = model.context(condition=repeated(condition, leading))
        self.count = count
        self.steps = steps
        self.accepting = max(1, round(_ACCEPTING * steps)) if corrected else steps

    def draws(self) -> tf.Tensor:
        """Completed x after the last step, `[batch, count, *raw_shape]`."""
        raw = self.model.restored(self._after(self.steps).x)
        by_chain = tf.reshape(raw, (self.count, -1, *self.model.raw_shape))
        return tf.transpose(by_chain, [1, 0, *range(2, by_chain.shape.rank)])

    def mean(self) -> tf.Tensor:
        """What is expected over the last steps of one chain, `[batch, *raw_shape]`."""
        first = int(_BURN_IN * self.steps)
        state, count = self._after(first), self.steps - first
        visited = tf.TensorArray(state.decoded.dtype, count)

        def body(
            index: tf.Tensor, state: _State, visited: tf.TensorArray
        ) -> tuple[tf.Tensor, _State, tf.TensorArray]:
            state = self._next(index, state)
            return index + 1, state, visited.write(index - first, state.decoded)

        start = (tf.constant(first), state, visited)
        visited = tf.while_loop(lambda index, *_: index < self.steps, body, start)[2]
        decoded = visited.stack()
        weights = tf.fill(tf.shape(decoded)[:2], tf.constant(1 / count, decoded.dtype))
        return self.model.restored(self.model.likelihood.mixture_point(decoded, weights))

    def _after(self, steps: int) -> _State:
        def body(index: tf.Tensor, state: _State) -> tuple[tf.Tensor, _State]:
            return index + 1, self._next(index, state)

        start = (tf.constant(0), self._start())
        found: _State = tf.while_loop(lambda index, _: index < steps, body, start)[1]
        return found

    def _start(self) -> _State:
        key, prior = numerics.fold_in(self.key, 0), self.model.prior
        key_of_z, key_of_x = numerics.fold_in(key, 0), numerics.fold_in(key, 1)
        if self.model.missing:
            z = self._proposed(self.x, key_of_z)[0]
        else:
            noise = numerics.draw_noise(prior.noise_spec(), [tf.shape(self.x)[0]], key_of_z)
            z = prior.sample(noise, self.context)
        return self._completed_by(z, self._decoded(z), key_of_x)

    def _next(self, index: tf.Tensor, state: _State) -> _State:
        key = numerics.fold_in(self.key, index + 1)
        z, log_q, params = self._proposed(state.x, numerics.fold_in(key, 0))
        decoded = self._decoded(z)
        if self.accepting < self.steps:
            log_q_before = self.model.posterior.log_prob(params, state.z[None], self.context)
            log_ratio = self._log_joint(state.x, z, decoded) - log_q[0]
            log_ratio -= self._log_joint(state.x, state.z, state.decoded) - log_q_before[0]
            uniform = _uniform([tf.shape(z)[0]], numerics.fold_in(key, 2))
            accepted = (tf.math.log(uniform) < log_ratio) | (index < self.accepting)
            z = _where(accepted, z, state.z)
            decoded = _where(accepted, decoded, state.decoded)
        return self._completed_by(z, decoded, numerics.fold_in(key, 1))

    def _proposed(self, x: tf.Tensor, key: tf.Tensor) -> tuple[tf.Tensor, Any, tf.Tensor]:
        """A draw of q(z|x), its log-density `[1, rows]` if any, and q's parameters."""
        posterior = self.model.posterior
        params = self.model.posterior_params(x, condition=self.context.condition)
        noise = numerics.draw_noise(posterior.noise_spec(), [1, tf.shape(x)[0]], key)
        draw = posterior.sample_and_log_prob(params, noise, self.context)
        return draw.latents[0], draw.log_prob, params

    def _decoded(self, z: tf.Tensor) -> tf.Tensor:
        return self.model.likelihood_params(z, condition=self.context.condition)

    def _log_joint(self, x: tf.Tensor, z: tf.Tensor, decoded: tf.Tensor) -> tf.Tensor:
        """Log p(x|z) + log p(z), of completed x."""
        model = self.model
        log_likelihood = model.likelihood.log_prob(decoded[None], x, None, self.context)
        return (log_likelihood + model.prior.log_prob(z[None], self.context))[0]

    def _completed_by(self, z: tf.Tensor, decoded: tf.Tensor, key: tf.Tensor) -> _State:
        model = self.model
        drawn = model.likelihood.sample(decoded, key)
        params_shape = model.likelihood.params_shape(model.event_shape)
        return _State(
            tf.ensure_shape(tf.where(self.missing, drawn, self.x), self.x.shape),
            tf.ensure_shape(z, (None, *model.posterior.latent_shape)),
            tf.ensure_shape(decoded, (None, *params_shape)),
        )


def _where(chosen: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Rows of one or the other."""
    shape = tf.concat([tf.shape(chosen), [1] * (one.shape.rank - 1)], axis=0)
    return tf.where(tf.reshape(chosen, shape), one, other)

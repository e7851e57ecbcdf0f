"""Active units against variances known beforehand."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae.evaluation import active_units


def model_with_means(factors, posterior):
    """A model whose latent i has the mean `factors[i] * x[i]`."""
    size = len(factors)
    width = posterior.params_shape[0]
    encoder = keras.layers.Dense(width, use_bias=False)
    encoder.build((None, size))
    kernel = np.zeros((size, width))
    kernel[range(size), range(size)] = factors
    encoder.kernel.assign(kernel)
    return keras_vae.VAE(
        encoder,
        keras_vae.networks.MLP([4]),
        posterior,
        likelihood=keras_vae.likelihoods.Normal(),
        event_shape=(size,),
        encoder_head=False,
    )


POSTERIORS = [keras_vae.posteriors.DiagonalNormal, keras_vae.posteriors.Deterministic]


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_units_are_active_where_the_mean_varies(posterior):
    model = model_with_means([1.0, 0.11, 0.09, 0.0], posterior(4))
    # Variance 1 about a mean that does not count: the latents' are 1, 0.0121, 0.0081 and 0.
    x = np.array([[1.0] * 4, [-1.0] * 4] * 2000) + 5.0
    assert active_units(model, x).tolist() == [True, True, False, False]
    assert active_units(model, x, threshold=0.001).tolist() == [True, True, True, False]
    assert active_units(model, x, threshold=0.5).sum() == 1


def test_arguments_are_checked():
    model = model_with_means([1.0, 1.0], keras_vae.posteriors.DiagonalNormal(2))
    with pytest.raises(ValueError, match="`threshold` must be >= 0"):
        active_units(model, np.zeros([3, 2]), threshold=-1)
    with pytest.raises(ValueError, match="`x` must have at least two examples"):
        active_units(model, np.zeros([1, 2]))
    with pytest.raises(ValueError, match="`x` must have shape"):
        active_units(model, np.zeros([3, 5]))

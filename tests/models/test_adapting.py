"""Statistics of the training data in loops of one's own."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, preprocessors, priors


def standardised(make_vae):
    vae = make_vae(
        preprocessor=preprocessors.Standardization(), likelihood=likelihoods.Normal()
    )
    vae.compile()
    return vae


def by_step(vae, x):
    return tf.function(vae.train_step, autograph=False)((tf.constant(x),))["loss"]


STEPS = {
    "train_on_batch": lambda vae, x: vae.train_on_batch(x),
    "test_on_batch": lambda vae, x: vae.test_on_batch(x),
    "train_step": by_step,
    "evaluate": lambda vae, x: vae.evaluate(x, verbose=0),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_before_adapt_are_refused(digits, make_vae, name):
    vae, x = standardised(make_vae), 1000 * digits[:64]
    with pytest.raises(ValueError, match=r"Standardization.*vae\.adapt\(x\)"):
        STEPS[name](vae, x)
    vae.adapt(x)
    assert np.ravel(STEPS[name](vae, x))[0] < 1000  # 3.6e6 on data as they are


def test_adapt_gives_what_fit_gives(digits, make_vae):
    ours, fitted = standardised(make_vae), standardised(make_vae)
    ours.adapt(digits[:64])
    fitted.fit(digits[:64], verbose=0)
    np.testing.assert_array_equal(ours.preprocessor.centre, fitted.preprocessor.centre)
    # Objectives that weigh by the number of examples know it, too.
    assert int(ours.state.data_size) == int(fitted.state.data_size) == 64


def test_priors_that_start_from_data_want_it_before_training_only(digits, make_vae):
    vae = make_vae(prior=priors.VampPrior(components=3))
    vae.compile()
    vae.evaluate(digits[:32], verbose=0)
    with pytest.raises(ValueError, match=r"VampPrior.*adapt"):
        vae.train_on_batch(digits[:32])
    vae.adapt(digits[:32])
    vae.train_on_batch(digits[:32])
    np.testing.assert_array_equal(vae.prior.pseudo_inputs.shape, (3, 8, 8, 1))


def test_adapt_after_training_is_refused(digits, make_vae):
    vae = standardised(make_vae)
    vae.fit(digits[:32], verbose=0)
    with pytest.raises(ValueError, match="before training"):
        vae.adapt(digits[:32])

"""A built model is what it was made of: its arguments do not change in silence."""

import pytest

import keras_vae
from keras_vae import likelihoods, objectives, posteriors, preprocessors, priors, schedules


def make(make_vae):
    return make_vae(
        encoder=keras_vae.networks.MLP([8], dropout=0.1),
        posterior=posteriors.DiagonalNormal(latent_dim=3),
        prior=priors.NormalMixture(components=2),
        likelihood=likelihoods.Normal("optimal"),
        objective=objectives.ELBO(beta=schedules.LinearWarmup(40), free_bits=0.1),
        preprocessor=preprocessors.Standardization(),
    )


CHANGES = {
    "objective.free_bits": 0.5,
    "objective.beta": 50.0,
    "objective.beta.steps": 7,
    "objective.samples": 3,
    "prior.components": 5,
    "posterior.latent_dim": 4,
    "likelihood.scale": "fixed",
    "likelihood.maskable": False,
    "encoder.dropout": 0.5,
    "encoder.activation": "tanh",
    "preprocessor": None,
    "condition_dropout": 0.3,
    "missing": "nan",
    "objective": objectives.IWAE(samples=2),
    "seed": 7,
}


@pytest.mark.parametrize("path", CHANGES)
def test_arguments_of_a_built_model_do_not_change(make_vae, path):
    vae = make(make_vae)
    *owners, name = path.split(".")
    part = vae
    for owner in owners:
        part = getattr(part, owner)
    before = getattr(part, name)
    with pytest.raises(AttributeError, match=rf"`{name}` of .*with_parts"):
        setattr(part, name, CHANGES[path])
    assert getattr(part, name) is before
    setattr(part, name, before)


def test_attributes_of_keras_still_change(make_vae):
    vae = make(make_vae)
    vae.encoder.trainable = False
    vae.prior.name = "p"
    vae.stop_training = True
    vae.objective.anything = 3  # not an argument


def test_subclasses_may_set_arguments_of_their_own_after_the_model_is_built(make_vae):
    class Own(keras_vae.VAE):
        def __init__(self, margin, **kwargs):
            super().__init__(**kwargs)
            self.margin = margin

    parts = {n: getattr(make_vae(), n) for n in ("encoder", "decoder", "event_shape")}
    vae = Own(
        margin=2.0,
        posterior=posteriors.DiagonalNormal(latent_dim=3),
        likelihood=likelihoods.Bernoulli(),
        **parts,
    )
    assert vae.margin == 2.0
    with pytest.raises(AttributeError, match="margin"):
        vae.margin = 3.0


def test_with_parts_changes_an_argument_and_keeps_the_weights(digits, make_vae):
    vae = make_vae()
    other = vae.with_parts(objective=objectives.ELBO(beta=50.0))
    for model in (vae, other):
        model.compile()
    logs = [m.evaluate(digits[:64], verbose=0, return_dict=True) for m in (vae, other)]
    assert logs[0]["kl"] == logs[1]["kl"]
    assert logs[1]["loss"] - logs[0]["loss"] == pytest.approx(49 * logs[0]["kl"], rel=1e-4)
    with pytest.raises(TypeError, match="objectiv"):
        vae.with_parts(objectiv=objectives.ELBO())
    with pytest.raises(ValueError, match="other weights"):
        vae.with_parts(decoder=keras_vae.networks.MLP([4]))

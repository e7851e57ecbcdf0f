"""Which layers are trained: kept by files and copies, with the optimizer's state."""

import copy
import pickle
import warnings

import keras
import numpy as np
import pytest

import keras_vae
from tests.models.support import largest_difference


def trained(model):
    return [weight.trainable for weight in model.weights]


def saved_and_loaded(model, folder):
    model.save(folder / "vae.keras")
    return keras.saving.load_model(folder / "vae.keras")


def weights_loaded(model, folder):
    model.save_weights(folder / "vae.weights.h5")
    model.load_weights(folder / "vae.weights.h5")
    return model


COPIES = {
    "file": saved_and_loaded,
    "weights": weights_loaded,
    "clone": lambda model, _: keras.models.clone_model(model),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),  # noqa: S301 (our own)
    "config": lambda model, _: type(model).from_config(model.get_config()),
    "prior": lambda model, _: model.with_prior(model.prior),
}


def freeze_encoder(vae):
    vae.encoder.trainable = False


def freeze_one_layer(vae):
    vae.encoder.layers[1].trainable = False


def thaw_one_layer(vae):
    vae.encoder.trainable = False
    vae.encoder.layers[1].trainable = True


def freeze_prior_and_head(vae):
    vae.prior.trainable = False
    vae._to_posterior.trainable = False


def freeze_one_weight(vae):
    vae.decoder.layers[0].kernel.trainable = False


def freeze_all(vae):
    vae.trainable = False


CHOICES = [
    freeze_encoder,
    freeze_one_layer,
    thaw_one_layer,
    freeze_prior_and_head,
    freeze_one_weight,
    freeze_all,
]


def make(make_vae, **changes):
    return make_vae(
        **{
            "encoder": keras_vae.networks.MLP([8, 8]),
            "prior": keras_vae.priors.NormalMixture(components=2),
            **changes,
        }
    )


@pytest.mark.parametrize("choose", CHOICES)
def test_copies_train_the_same_weights(make_vae, tmp_path, choose):
    vae = make(make_vae)
    choose(vae)
    assert not all(trained(vae))
    for name, copied in COPIES.items():
        other = copied(vae, tmp_path)
        assert trained(other) == trained(vae), name
        layers = zip(vae._flatten_layers(), other._flatten_layers(), strict=True)
        assert all(a.trainable == b.trainable for a, b in layers), name


@keras.saving.register_keras_serializable(package="tests")
class MadeLater(keras.Model):
    """A network of a user, whose layers are made in `build`."""

    def build(self, input_shape):
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(8)
        self.dense.build((None, int(np.prod(input_shape[1:]))))

    def call(self, x):
        return self.dense(self.flatten(x))


FROZEN = {
    "network": lambda: keras_vae.networks.MLP([8], trainable=False),
    "sequential": lambda: keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(8)], trainable=False
    ),
    "user": lambda: MadeLater(trainable=False),
}


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_networks_are_frozen_from_the_start(digits, make_vae, tmp_path, name):
    vae = make(make_vae, encoder=FROZEN[name]())
    before = vae.encoder.get_weights()
    vae.compile("adam")
    vae.fit(digits[:64], verbose=0)
    assert largest_difference(vae.encoder.get_weights(), before) == 0
    assert not any(w.trainable for w in vae.encoder.weights)
    assert trained(saved_and_loaded(vae, tmp_path)) == trained(vae)


def test_frozen_models_and_parts_are_frozen_from_the_start(make_vae):
    assert not any(trained(make(make_vae, trainable=False)))
    prior = keras_vae.priors.Flow(trainable=False)
    vae = make_vae(prior=prior)
    assert prior.weights
    assert not any(w.trainable for w in prior.weights)
    assert any(trained(vae))


def test_a_network_alone_keeps_which_layers_are_trained(digits, make_vae, tmp_path):
    encoder = make(make_vae).encoder
    encoder.layers[1].trainable = False
    again = saved_and_loaded(encoder, tmp_path)
    assert trained(again) == trained(encoder) == [False, False, True, True]


@pytest.mark.parametrize("frozen", ["before compile", "after compile"])
def test_training_continues_bit_for_bit_where_layers_are_frozen(
    digits, make_vae, tmp_path, frozen
):
    vae = make(make_vae)
    if frozen == "before compile":
        freeze_one_layer(vae)
    vae.compile("adam", jit_compile=False)
    freeze_one_layer(vae)
    with warnings.catch_warnings():
        # Keras advises to compile again.
        warnings.filterwarnings("ignore", "A layer's `trainable` state has changed")
        vae.fit(digits[:64], verbose=0, shuffle=False)
        again = saved_and_loaded(vae, tmp_path)
        for model in (vae, again):
            model.fit(digits[:64], verbose=0, shuffle=False)
    assert largest_difference(again.get_weights(), vae.get_weights()) == 0


def test_configs_without_trainability_load_as_before(make_vae):
    vae = make(make_vae)
    freeze_one_layer(vae)
    config = vae.get_config()
    del config["trainability"], config["encoder"]["config"]["trainability"]
    assert all(w.trainable for w in type(vae).from_config(config).encoder.weights)


@pytest.mark.parametrize("drop", [True, False])
def test_weights_load_with_and_without_dropout(digits, make_vae, tmp_path, drop):
    saved = make(make_vae, encoder=keras_vae.networks.MLP([8, 8], dropout=0.5 * drop))
    other = make(make_vae, encoder=keras_vae.networks.MLP([8, 8], dropout=0.5 * (not drop)))
    other.load_weights(_weights_of(saved, tmp_path))
    np.testing.assert_array_equal(other.encode(digits[:9]), saved.encode(digits[:9]))


def _weights_of(model, folder):
    model.save_weights(folder / "vae.weights.h5")
    return folder / "vae.weights.h5"

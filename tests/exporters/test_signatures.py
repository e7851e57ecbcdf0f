import numpy as np
import pytest
import tensorflow as tf

from keras_vae import likelihoods, networks, priors
from keras_vae.exporters import signatures
from tests.exporters.support import latents, make_model


@pytest.mark.parametrize("likelihood", [likelihoods.Bernoulli(), likelihoods.Normal()])
def test_decode_is_the_verb(likelihood):
    model = make_model(likelihood=likelihood)
    z = latents(5)
    x = signatures.decode(model).evaluate({"z": z})["x"]
    # The verb runs compiled, this eagerly: some roundings of float32 apart.
    np.testing.assert_allclose(x, model.decode(z), rtol=1e-5, atol=1e-6)


def test_takes_any_batch_size_under_its_names():
    signature = signatures.decode(make_model())
    concrete = signature.traced.get_concrete_function()
    assert concrete.structured_input_signature[0][0].name == "z"
    assert concrete.structured_outputs["x"].shape == [None, 8, 8, 1]
    for rows in (1, 4):
        assert signature.traced(tf.constant(latents(rows)))["x"].shape == (rows, 8, 8, 1)


def test_is_traced_once():
    signature = signatures.decode(make_model())
    assert signature.traced is signature.traced


def test_probes_come_from_the_prior():
    model = make_model(prior=priors.NormalMixture(components=4))
    means = [v for v in model.prior.trainable_variables if "loc" in v.name]
    for variable in means:
        variable.assign(tf.fill(variable.shape, 100.0))
    assert means
    z = signatures.decode(model).probe(3)["z"]
    assert z.shape == (3, 3)
    assert z.dtype == "float32"
    assert np.all(z > 50)


def test_probes_of_different_sizes_differ_and_are_repeatable():
    signature = signatures.decode(make_model())
    assert not np.allclose(signature.probe(1)["z"][0], signature.probe(3)["z"][0])
    np.testing.assert_array_equal(signature.probe(3)["z"], signature.probe(3)["z"])


def test_ops_stand_in_the_scope_of_their_part():
    model = make_model(decoder=networks.ConvDecoder([4]))
    signature = signatures.decode(model)
    operations = signature.traced.get_concrete_function().graph.get_operations()
    scopes = {op.name.split("/")[0] for op in operations if op.type in ("Sigmoid", "MatMul")}
    assert scopes == {"decoder", "likelihood"}
    assert signature.parts == {"decoder": "ConvDecoder", "likelihood": "Bernoulli"}


def test_a_conditional_model_takes_its_condition():
    model = make_model(condition_shape=(4,))
    signature = signatures.decode(model)
    assert list(signature.inputs) == ["z", "condition"]
    inputs = signature.probe(3)
    assert inputs["condition"].shape == (3, 4)
    expected = model.decode(inputs["z"], condition=inputs["condition"])
    np.testing.assert_allclose(signature.evaluate(inputs)["x"], expected, rtol=1e-5, atol=1e-6)
    traced = signature.traced(*(tf.constant(inputs[name]) for name in signature.inputs))
    np.testing.assert_allclose(traced["x"], expected, rtol=1e-5, atol=1e-6)

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae import likelihoods, networks, posteriors, preprocessors, priors
from keras_vae.exporters import signatures
from keras_vae.exporters.seeded import noise_of_seeds
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
    assert signature.parts["decoder"] == "ConvDecoder"
    assert signature.parts["likelihood"] == "Bernoulli"


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


def close(got, wanted, tolerance=1e-5):
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def conditional():
    """A model with all inputs that there are."""
    return make_model(
        likelihood=likelihoods.Normal("predicted"),
        prior=priors.NormalMixture(3),
        condition_shape=(4,),
        missing="nan",
    )


def of(model, name):
    return signatures.signatures_of(model, [name])[0]


def holed(inputs):
    return np.where(inputs["mask"], inputs["x"], np.nan)


def test_encode_is_the_verb(conditional):
    signature = of(conditional, "encode")
    assert list(signature.inputs) == ["x", "mask", "condition"]
    inputs = signature.probe(5)
    outputs = signature.evaluate(inputs)
    wanted = conditional.encode(holed(inputs), condition=inputs["condition"], return_scale=True)
    close(outputs["z"], wanted[0])
    close(outputs["scale"], wanted[1])


def test_reconstruct_is_the_verb(conditional):
    signature = of(conditional, "reconstruct")
    inputs = signature.probe(5)
    wanted = conditional.reconstruct(holed(inputs), condition=inputs["condition"])
    close(signature.evaluate(inputs)["reconstruction"], wanted)


def test_decode_describes_the_likelihood(conditional):
    signature = of(conditional, "decode")
    inputs = signature.probe(2)
    outputs = signature.evaluate(inputs)
    assert set(outputs) == {"x", "loc", "scale"}
    p = conditional.likelihood_of(inputs["z"], inputs["condition"])
    x = tf.constant(np.random.default_rng(0).normal(size=[2, 8, 8, 1]).astype("float32"))
    described = tfp.distributions.Normal(outputs["loc"], outputs["scale"])
    close(tf.reduce_sum(described.log_prob(x), [1, 2, 3]), p.log_prob(x), 1e-4)


def test_generate_decodes_latents_of_the_prior(conditional):
    signature = of(conditional, "generate")
    inputs = signature.probe(4)
    outputs = signature.evaluate(inputs)
    context = conditional.context(condition=tf.constant(inputs["condition"]))
    noise = {k.removeprefix("noise_"): v for k, v in inputs.items() if k != "condition"}
    close(outputs["z"], conditional.prior.sample(noise, context))
    decoded = conditional.decode(outputs["z"], condition=inputs["condition"])
    close(outputs["x"], decoded)


def test_score_is_log_p_x_and_z_less_log_q(conditional):
    signature = of(conditional, "score")
    inputs = signature.probe(4)
    outputs = signature.evaluate(inputs)
    close(outputs["elbo"], outputs["log_likelihood"] - outputs["kl"])
    # By way of the distributions; a mixture prior has no closed form.
    x, condition = holed(inputs), tf.constant(inputs["condition"])
    q = conditional.posterior_of(x, condition)
    z = q.distribution.loc + q.distribution.scale * inputs["noise_epsilon"]
    p = conditional.likelihood_of(z, condition).distribution
    log_likelihood = np.where(inputs["mask"], p.log_prob(inputs["x"]), 0).sum((1, 2, 3))
    close(outputs["log_likelihood"], log_likelihood, 1e-4)
    log_prior = conditional.prior_distribution(condition).log_prob(z)
    close(outputs["kl"], q.log_prob(z) - log_prior, 1e-4)


def test_score_of_a_model_without_density():
    signature = of(make_model(posterior=posteriors.Deterministic(3)), "score")
    assert list(signature.inputs) == ["x"]
    assert list(signature.outputs) == ["log_likelihood"]


def test_sample_is_generate_at_noise_of_its_seeds(conditional):
    signature = of(conditional, "sample")
    inputs = signature.probe(4)
    noise = noise_of_seeds(tf.constant(inputs["seed"]), conditional.prior.noise_spec())
    tensors = {f"noise_{name}": value for name, value in noise.items()}
    tensors["condition"] = inputs["condition"]
    wanted = of(conditional, "generate").evaluate(tensors)
    outputs = signature.evaluate(inputs)
    close(outputs["z"], wanted["z"])
    again = signature.evaluate({k: v[::-1].copy() for k, v in inputs.items()})
    np.testing.assert_array_equal(again["z"], outputs["z"][::-1])


def test_seed_minus_one_draws_anew_whatever_seed_was_set():
    signature = of(make_model(), "sample")
    seeds = np.full([2], -1)
    draws = []
    for _ in range(2):
        tf.random.set_seed(7)
        draws.append(signature.traced(tf.constant(seeds))["z"].numpy())
    assert len(np.unique(np.concatenate(draws)[:, 0])) == 4


@pytest.mark.parametrize(
    ("decoder", "likelihood", "channels"),
    [
        (networks.RecurrentDecoder([5], autoregressive=True), "learned", 2),
        (networks.TransformerDecoder(1, 1, 4, autoregressive=True), "predicted", 2),
        (
            networks.CausalConvDecoder(4, dilations=[1], autoregressive=True, vocabulary=3),
            None,
            1,
        ),
    ],
)
def test_steps_write_what_decode_writes(decoder, likelihood, channels):
    model = make_model(
        decoder=decoder,
        likelihood=likelihoods.Normal(likelihood) if likelihood else likelihoods.Categorical(3),
        event_shape=(6, channels),
    )
    z = latents(3)
    state = of(model, "initial_state").evaluate({"z": z})
    token, written = np.zeros([3, channels], "float32"), []
    step = of(model, "step")
    for _ in range(6):
        outputs = step.evaluate({"z": z, "token": token, **state})
        token = outputs["x"]
        state = {name: outputs[f"next_{name}"] for name in state}
        written.append(token)
    close(np.stack(written, axis=1), of(model, "decode").evaluate({"z": z})["x"])
    close(np.stack(written, axis=1), model.decode(z))


def test_names_are_those_of_all_formats():
    names = ["hours per week", "hours-per-week", "größe"]
    columns = {name: likelihoods.Poisson() for name in names}
    model = make_model(likelihood=likelihoods.Columns(columns), event_shape=(3,))
    rates = {"gr__e_log_rate", "hours_per_week_log_rate", "hours_per_week_log_rate_"}
    assert set(of(model, "decode").outputs) == {"x", *rates}


@pytest.mark.parametrize("names", ["decode", [], ["decode", "step"], ["nonsense"]])
def test_names_that_are_not_there(names):
    with pytest.raises(ValueError, match="`signatures` must be a list of decode, encode"):
        signatures.signatures_of(make_model(), names)


def test_edges_stay_where_the_model_lives():
    model = make_model(likelihood=likelihoods.LogNormal("learned"))
    edges = {name: inputs() for name, inputs in of(model, "score").edges.items()}
    assert set(edges) == {"zeros", "large", "denormal"}
    for inputs in edges.values():
        assert np.all(inputs["x"] > 0)
    assert not edges["zeros"]["noise_epsilon"].any()
    edges = of(make_model(), "score").edges
    assert 0 < edges["denormal"]()["x"].max() < 1e-38
    assert not edges["zeros"]()["x"].any()
    on_sphere = make_model(
        posterior=posteriors.PowerSpherical(3), prior=priors.SphericalUniform()
    )
    z = of(on_sphere, "decode").edges["large"]()["z"]
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, rtol=1e-5)


def test_raw_data_go_in_and_come_out():
    model = make_model(
        likelihood=likelihoods.Normal(),
        preprocessor=preprocessors.Chain(
            [preprocessors.Rescaling(raw_dtype="uint8"), preprocessors.Reshape((8, 8))]
        ),
    )
    found = {each.name: each for each in signatures.signatures_of(model)}
    x = found["encode"].probe(5)["x"]
    assert (x.shape, x.dtype) == ((5, 8, 8), "uint8")
    assert len(np.unique(x)) > 20
    np.testing.assert_allclose(
        found["encode"].evaluate({"x": x})["z"], model.encode(x), rtol=1e-5, atol=1e-5
    )
    raw = found["reconstruct"].evaluate({"x": x})["reconstruction"]
    np.testing.assert_allclose(raw, model.reconstruct(x), rtol=1e-5, atol=1e-3)
    z = latents(5)
    decoded = found["decode"].evaluate({"z": z})
    np.testing.assert_allclose(decoded["x"], model.decode(z), rtol=1e-5, atol=1e-3)
    # Parameters stay those of p(x|z) of preprocessed x.
    np.testing.assert_allclose(255 * decoded["loc"][..., 0], decoded["x"], rtol=1e-5, atol=1e-3)
    large = found["encode"].edges["large"]()["x"]
    assert large.dtype == "uint8"
    assert large.max() == 255
    noise = {k: v for k, v in found["score"].probe(5).items() if k != "x"}
    plain = make_model(likelihood=likelihoods.Normal())
    score = signatures.score(plain).evaluate(
        {"x": (x / 255)[..., None].astype("float32"), **noise}
    )
    raw_score = found["score"].evaluate({"x": x, **noise})
    for name, values in score.items():
        np.testing.assert_allclose(raw_score[name], values, rtol=1e-5)

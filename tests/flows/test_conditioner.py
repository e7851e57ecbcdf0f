"""The masked network: who depends on whom."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.flows import IAF, MAF, AffineCoupling, SplineAutoregressive
from keras_vae.flows.conditioner import Conditioner

PARAMS = 3


def trained(layer):
    rng = np.random.default_rng(6)
    for variable in layer.trainable_variables:
        variable.assign_add(rng.normal(size=variable.shape))
    return layer


def conditioner(inputs, outputs, hidden=(16, 12), params_size=0, numbers=2):
    layer = Conditioner(inputs, outputs, numbers, hidden, "tanh", params_size)
    layer.build()
    return trained(layer)


def dependence(layer):
    """Which output depends on which input, and on which parameter: boolean matrices."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(4, len(layer.input_degrees))))
    params = tf.constant(rng.normal(size=(4, layer.params_size)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, params])
        values = [tf.reduce_sum(v) for v in tf.unstack(layer.call(x, params), axis=1)]
    zero = tf.UnconnectedGradients.ZERO

    def matrix(source):
        rows = [tape.gradient(v, source, unconnected_gradients=zero) for v in values]
        return np.stack([np.any(row.numpy() != 0, axis=0) for row in rows])

    return matrix(x), matrix(params)


@pytest.mark.parametrize("dim", [1, 2, 3, 7])
@pytest.mark.parametrize("params_size", [0, PARAMS])
def test_autoregressive_outputs_depend_on_all_inputs_before_and_no_other(
    dim, params_size, float64
):
    degrees = list(range(1, dim + 1))
    on_inputs, on_params = dependence(conditioner(degrees, degrees, params_size=params_size))
    np.testing.assert_array_equal(on_inputs, np.tri(dim, k=-1, dtype=bool))
    assert np.all(on_params)


@pytest.mark.parametrize("hidden", [[1], [2], [2, 9], [9, 2], [3, 3, 3]], ids=str)
def test_narrow_layers_stay_autoregressive(hidden, float64):
    degrees = [1, 2, 3, 4, 5, 6, 7]
    on_inputs, _ = dependence(conditioner(degrees, degrees, hidden))
    assert not np.any(on_inputs & ~np.tri(7, k=-1, dtype=bool))
    assert np.any(on_inputs)


def test_outputs_of_a_coupling_depend_on_all_inputs(float64):
    on_inputs, on_params = dependence(conditioner([0, 0], [1, 1, 1], params_size=PARAMS))
    assert np.all(on_inputs)
    assert np.all(on_params)


def test_it_is_the_dense_network_of_its_masked_kernels(float64):
    layer = conditioner([1, 2, 3], [1, 2, 3], (4, 5), params_size=2, numbers=2)
    x, h = np.random.default_rng(1).normal(size=(6, 3)), np.ones((6, 2))
    low, high = [1, 1, 2, 2], [1, 1, 2, 2, 2]  # degrees of the hidden units
    masks = [
        [[int(i <= o) for o in low] for i in (1, 2, 3)],
        [[int(i <= o) for o in high] for i in low],
    ]
    a = x
    for index, mask in enumerate(masks):
        kernel = layer.kernels[index].numpy() * np.array(mask)
        a = np.tanh(
            a @ kernel + layer.biases[index].numpy() + h @ layer.params_kernels[index].numpy()
        )
    last = np.array([[int(i < o) for o in (1, 2, 3)] for i in high])[..., None]
    expected = np.einsum("bi,ion->bon", a, layer.last_kernel.numpy() * last)
    expected += layer.last_bias.numpy()
    expected += np.einsum("bi,ion->bon", h, layer.last_params_kernel.numpy())
    result = layer.call(tf.constant(x), tf.constant(h))
    np.testing.assert_allclose(result, expected, rtol=1e-12)


@pytest.mark.parametrize("cls", [IAF, MAF, SplineAutoregressive])
def test_jacobian_of_an_autoregressive_flow_is_triangular(cls, float64):
    flow = cls(hidden=[16])
    flow.build((5,))
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 5)))
    for function in (trained(flow).forward, flow.inverse):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            values = tf.unstack(tf.reduce_sum(function(z, None)[0], 0))
        rows = np.stack([tape.gradient(v, z).numpy() for v in values], axis=1)
        assert np.all(np.triu(rows, k=1) == 0)
        assert np.all(np.diagonal(rows, axis1=1, axis2=2) > 0)
        assert np.any(np.tril(rows, k=-1) != 0, axis=(1, 2)).all()


@pytest.mark.parametrize("activation", ["elu", "relu", "selu", "gelu", "softplus", "tanh"])
@pytest.mark.parametrize(
    ("leading", "rows"), [((1, 1), 1), ((1, 1), 3), ((1,), 1), ((3, 1), 1), ((1, 3), 3)]
)
def test_compiled_for_few_rows_it_keeps_all_axes(activation, leading, rows):
    # Shapes must be known: on a CPU, TensorFlow took [1, 1, k] for a bias of [rows, k].
    layer = Conditioner([1, 2], [1, 2], 2, (4, 3), activation, PARAMS)
    layer.build()
    trained(layer)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(*leading, 2)), tf.float32)
    params = tf.constant(rng.normal(size=(rows, PARAMS)), tf.float32)

    def numbers_and_gradients(x, params):
        with tf.GradientTape() as tape:
            numbers = layer.call(x, params)
            total = tf.reduce_sum(numbers**2)
        return [numbers, *tape.gradient(total, layer.trainable_variables)]

    expected = numbers_and_gradients(x, params)
    result = tf.function(numbers_and_gradients)(x, params)
    for one, two in zip(result, expected, strict=True):
        assert one.shape == two.shape
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


def test_a_coupling_keeps_the_first_half():
    flow = AffineCoupling(hidden=[8])
    flow.build((5,))
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 5)), tf.float32)
    y, _ = trained(flow).forward(z, None)
    np.testing.assert_array_equal(y[:, :2], z[:, :2])
    assert np.all(y[:, 2:] != z[:, 2:])


@pytest.mark.parametrize("hidden", [[], 8, [0], [8, 2.0], None], ids=str)
def test_bad_hidden_layers_are_refused(hidden):
    with pytest.raises(ValueError, match=r"`hidden` must be a list of positive integers"):
        MAF(hidden=hidden)


@pytest.mark.parametrize("size", [-1, 1.5])
def test_bad_context_size_is_refused(size):
    with pytest.raises(ValueError, match=r"`context_size` must be an integer >= 0. Received:"):
        IAF(context_size=size)

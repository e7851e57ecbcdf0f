"""What every flow must do: its log-determinant, its inverse, its axes, its beginning."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.flows.base import as_tfp, run_forward, run_inverse
from tests.conformance.cases import CASES, cases_of
from tests.twins import assert_gradients

every_flow = pytest.mark.parametrize("case", cases_of("flows"))
every_invertible_flow = pytest.mark.parametrize(
    "case", cases_of("flows", where=lambda part: part.has_inverse)
)
dimensions = pytest.mark.parametrize("dim", [1, 2, 5])


def built(case, dim):
    """A flow with weights as if trained."""
    flow = case.make()
    flow.build((dim,))
    rng = np.random.default_rng(6)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape))
    return flow


def some_inputs(flow, *leading):
    rng = np.random.default_rng(2)
    z = tf.constant(2 * rng.normal(size=(*leading, flow.dim)))
    return z, tf.constant(rng.normal(size=(leading[-1], flow.params_size(flow.dim))))


def jacobian(function, x, params, step=1e-6):
    """dy/dx `[rows, out, in]` by central differences."""
    columns = []
    for index in range(x.shape[-1]):
        shift = np.zeros(x.shape[-1])
        shift[index] = step
        high, low = function(x + shift, params)[0], function(x - shift, params)[0]
        columns.append((high.numpy() - low.numpy()) / (2 * step))
    return np.stack(columns, axis=-1)


@every_flow
@dimensions
def test_log_determinant_is_that_of_the_numerical_jacobian(case, dim, float64):
    flow = built(case, dim)
    z, params = some_inputs(flow, 20)
    y, log_det = flow.forward(z, params)
    assert log_det.shape == (20,)
    _, expected = np.linalg.slogdet(jacobian(flow.forward, z, params))
    # Differences of step 1e-6: an error of 1e-12 times the third derivative, which splines
    # have of some 1e5, and rounding of 1e-16 / 1e-6 times values of order 10.
    np.testing.assert_allclose(log_det, expected, rtol=1e-5, atol=1e-6)
    if flow.has_inverse:
        _, expected = np.linalg.slogdet(jacobian(flow.inverse, y, params))
        np.testing.assert_allclose(flow.inverse(y, params)[1], expected, rtol=1e-5, atol=1e-6)


@every_flow
@dimensions
def test_flow_preserves_orientation_or_only_reorders(case, dim, float64):
    # A determinant that changed its sign on the way would be 0 somewhere: not invertible.
    flow = built(case, dim)
    z, params = some_inputs(flow, 200)
    signs = np.linalg.slogdet(jacobian(flow.forward, z, params))[0]
    assert np.all(signs == signs[0])


@every_invertible_flow
@dimensions
def test_inverse_leads_back(case, dim, float64):
    flow = built(case, dim)
    z, params = some_inputs(flow, 4, 20)
    y, log_det = flow.forward(z, params)
    again, log_det_back = flow.inverse(y, params)
    # Rounding, times the largest slopes of several dimensions.
    np.testing.assert_allclose(again, z, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(log_det_back, -log_det, rtol=1e-10, atol=1e-10)
    forth, _ = flow.forward(flow.inverse(z, params)[0], params)
    np.testing.assert_allclose(forth, z, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", cases_of("flows", where=lambda part: not part.has_inverse))
def test_flow_without_inverse_says_so(case):
    flow = built(case, 2)
    with pytest.raises(NotImplementedError, match="no inverse in closed form"):
        flow.inverse(*some_inputs(flow, 3))


@every_flow
def test_parameters_are_those_of_their_example(case, float64):
    flow = built(case, 2)
    z, params = some_inputs(flow, 4, 3)
    directions = [flow.forward, flow.inverse] if flow.has_inverse else [flow.forward]
    for function in directions:
        together, log_det = function(z, params)
        assert together.shape == (4, 3, 2)
        assert log_det.shape == (4, 3)
        for example in range(3):
            alone, log_det_alone = function(z[:, example], params[example])
            np.testing.assert_allclose(together[:, example], alone, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(
                log_det[:, example], log_det_alone, rtol=1e-12, atol=1e-12
            )
        if flow.params_size(2):
            moved, _ = function(z, params + 0.1)
            # All dimensions, but those that a coupling keeps.
            kept = 1 if "Coupling" in case.name else 0
            assert np.all(moved.numpy()[..., kept:] != together.numpy()[..., kept:])


@every_flow
def test_each_latent_may_meet_the_parameters_of_each_example(case, float64):
    flow = built(case, 2)
    z, params = some_inputs(flow, 3)
    if not flow.params_size(2):
        return
    crossed, _ = run_forward([flow], z[:, None], params)
    assert crossed.shape == (3, 3, 2)
    np.testing.assert_allclose(crossed[1, 2], flow.forward(z[1], params[2])[0], rtol=1e-12)


@every_flow
def test_gradients_are_those_of_finite_differences(case, float64):
    flow = built(case, 3)
    z, params = some_inputs(flow, 2)
    weights = tf.constant([0.3, -1.2, 0.7], tf.float64)
    for function in [flow.forward, flow.inverse] if flow.has_inverse else [flow.forward]:

        def total(z, params, function=function):
            y, log_det = function(z, params)
            return tf.reduce_sum(y * weights, -1) + tf.sin(log_det)

        if flow.params_size(3):
            assert_gradients(total, z.numpy(), params.numpy())
        else:
            assert_gradients(lambda z, total=total: total(z, None), z.numpy())


@every_flow
def test_flow_begins_near_the_identity(case):
    flow = case.make()
    flow.build((3,))
    z = tf.constant(np.random.default_rng(0).normal(size=(5, 3)), tf.float32)
    y, log_det = flow.forward(z, tf.zeros([5, flow.params_size(3)]))
    if type(flow).__name__ == "Permutation":
        y = tf.gather(y, np.argsort(flow.order()), axis=-1)
    gate = 1 / (1 + np.exp(-2)) if type(flow).__name__ == "IAF" else 1.0
    # Rounding in float32, of values of order 1.
    np.testing.assert_allclose(y, gate * z, atol=1e-5)
    np.testing.assert_allclose(log_det, np.full(5, 3 * np.log(gate)), atol=1e-5)


@every_flow
def test_large_inputs_and_weights_stay_finite(case):
    flow = case.make()
    flow.build((3,))
    for variable in flow.trainable_variables:
        variable.assign_add(5 * np.random.default_rng(6).normal(size=variable.shape))
    z, params = (tf.cast(100 * t, tf.float32) for t in some_inputs(flow, 20))
    with tf.GradientTape() as tape:
        tape.watch(z)
        y, log_det = flow.forward(z, params)
        total = tf.reduce_sum(log_det) + tf.reduce_sum(y)
    for values in (y, log_det, tape.gradient(total, z)):
        assert np.isfinite(values).all()


@every_invertible_flow
def test_single_precision_leads_back_too(case):
    flow = built(case, 4)
    z, params = (tf.cast(t, tf.float32) for t in some_inputs(flow, 200))
    y, log_det = flow.forward(z, params)
    again, log_det_back = flow.inverse(y, params)
    # Float32 keeps 7 digits; slopes of up to 20 and four dimensions lose some of them.
    np.testing.assert_allclose(again, z, atol=2e-3)
    np.testing.assert_allclose(log_det_back, -log_det, atol=2e-3)


@every_invertible_flow
def test_the_sequential_direction_is_the_one_that_is_named(case, monkeypatch):
    flow = built(case, 4)
    passes = []
    conditioner = getattr(flow, "conditioner", None)
    if conditioner is None:
        assert flow.sequential is None
        return
    call = conditioner.call
    monkeypatch.setattr(conditioner, "call", lambda *a: (passes.append(1), call(*a))[1])
    z, params = (tf.cast(t, tf.float32) for t in some_inputs(flow, 2))
    for direction in ("forward", "inverse"):
        passes.clear()
        getattr(flow, direction)(z, params)
        assert len(passes) == (4 if direction == flow.sequential else 1)


def test_flows_in_a_row_are_their_composition(float64):
    cases = [case for case in CASES if case.family == "flows"]
    flows = [f for f in (built(case, 3) for case in cases) if f.has_inverse]
    z, _ = some_inputs(flows[0], 4, 5)
    sizes = [flow.params_size(3) for flow in flows]
    params = tf.constant(np.random.default_rng(1).normal(size=(5, sum(sizes))))
    y, log_det = run_forward(flows, z, params)
    one_by_one, total = z, 0.0
    for flow, own in zip(flows, tf.split(params, sizes, axis=-1)):
        one_by_one, part = flow.forward(one_by_one, own)
        total += part
    np.testing.assert_allclose(y, one_by_one, rtol=1e-12)
    np.testing.assert_allclose(log_det, total, rtol=1e-12)
    again, log_det_back = run_inverse(flows, y, params)
    np.testing.assert_allclose(again, z, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(log_det_back, -log_det, rtol=1e-8, atol=1e-8)
    as_one = as_tfp(flows, params)
    np.testing.assert_allclose(as_one.forward(z), y, rtol=1e-12)
    np.testing.assert_allclose(as_one.forward_log_det_jacobian(z, 1), log_det, rtol=1e-12)


def test_no_flow_is_the_identity(float64):
    z = tf.constant(np.random.default_rng(1).normal(size=(4, 5, 3)))
    for function in (run_forward, run_inverse):
        y, log_det = function([], z)
        np.testing.assert_array_equal(y, z)
        np.testing.assert_array_equal(log_det, np.zeros((4, 5)))

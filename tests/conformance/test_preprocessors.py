"""What every preprocessor must do: its inverse, its log-determinant, NaN, its learning."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.case import EVENT_SHAPE
from tests.conformance.cases import cases_of

every_preprocessor = pytest.mark.parametrize("case", cases_of("preprocessors"))
ROWS = 5


def adapted(case):
    """A preprocessor that has seen raw data, and more of those."""
    part = case.make_built()
    rng = np.random.default_rng(3)
    shape = part.raw_shape(EVENT_SHAPE)
    if part.adapt_rows:
        part.adapt(case.data(rng, (50, *shape)))
    return part, tf.constant(case.data(rng, (ROWS, *shape)))


@every_preprocessor
def test_inverse_leads_back(case, float64):
    part, x = adapted(case)
    y = part.forward(x)
    assert y.shape == (ROWS, *EVENT_SHAPE)
    np.testing.assert_allclose(part.inverse(y), x, rtol=1e-12, atol=1e-12)


@every_preprocessor
def test_log_determinant_is_that_of_the_jacobian(case, float64):
    part, x = adapted(case)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = part.forward(x)
    jacobian = tape.batch_jacobian(y, x)
    size = int(np.prod(EVENT_SHAPE))
    _, expected = np.linalg.slogdet(np.reshape(jacobian, (ROWS, size, size)))
    log_det = part.log_det(x)
    assert log_det.shape == (ROWS,)
    np.testing.assert_allclose(log_det, expected, rtol=1e-10, atol=1e-10)


@every_preprocessor
def test_missing_values_stay_missing_and_do_not_count(case, float64):
    part, x = adapted(case)
    x = x.numpy().reshape(ROWS, -1)
    holed = x.copy()
    holed[:, :3] = np.nan
    shape = part.raw_shape(EVENT_SHAPE)
    y = part.forward(tf.constant(holed.reshape(ROWS, *shape)))
    hidden = np.zeros(x.shape, bool)
    hidden[:, :3] = True
    np.testing.assert_array_equal(np.isnan(y).reshape(ROWS, -1), hidden)
    full, partly = (part.log_det(tf.constant(v.reshape(ROWS, *shape))) for v in (x, holed))
    assert np.all(np.isfinite(partly))
    others = x.copy()
    others[:, 3:] = np.nan
    rest = part.log_det(tf.constant(others.reshape(ROWS, *shape)))
    np.testing.assert_allclose(partly + rest, full, rtol=1e-10, atol=1e-10)


@every_preprocessor
def test_works_on_symbols_of_keras(case):
    part, x = adapted(case)
    raw = keras.Input(part.raw_shape(EVENT_SHAPE))
    y = part.forward(raw)
    there_and_back = keras.Model(raw, [y, part.inverse(y)])
    x = tf.cast(x, "float32")
    values, again = there_and_back(x)
    np.testing.assert_allclose(values, part.forward(x), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(again, x, rtol=1e-4, atol=1e-4)
    restored = keras.Model.from_config(there_and_back.get_config())
    np.testing.assert_array_equal(restored(x)[0], values)

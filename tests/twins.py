"""Other ways to a number: finite differences, and Monte Carlo with its error."""

import numpy as np
import tensorflow as tf

#: Monte Carlo estimates are compared at this many standard errors: with some hundred
#: comparisons at fixed seeds, a correct formula practically never exceeds it.
STANDARD_ERRORS = 5


def assert_gradients(function, *inputs, rtol=1e-6, atol=1e-7):
    """The gradients of a function's sum are those by central differences, in float64.

    Args:
        function: Of tensors, returning a tensor.
        *inputs: float64 arrays, small ones.
        rtol: The error of the differences is of order step**2 = 1e-10 times the third
            derivative; rounding adds about 1e-16 / step = 1e-11 times the value.
        atol: The same for gradients near zero.
    """
    tensors = [tf.constant(x, tf.float64) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(function(*tensors))
    gradients = tape.gradient(total, tensors)
    for index, (tensor, gradient) in enumerate(zip(tensors, gradients)):

        def along(x, index=index):
            return tf.reduce_sum(function(*tensors[:index], x, *tensors[index + 1 :]))

        expected = finite_differences(along, tensor.numpy())
        np.testing.assert_allclose(gradient, expected, rtol, atol, err_msg=f"input {index}")


def finite_differences(function, x, step=1e-5):
    """Gradient of a scalar function by central differences."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[index] = step
        high, low = function(tf.constant(x + shift)), function(tf.constant(x - shift))
        gradient[index] = (float(high) - float(low)) / (2 * step)
    return gradient


def integral(function, low=-60.0, high=60.0, points=400_001):
    """Integral of a smooth function of arrays that vanishes at both ends, in float64.

    The trapezoidal rule: for such functions its error falls faster than any power of the
    spacing, here 3e-4.
    """
    grid = np.linspace(low, high, points)
    return np.trapezoid(function(tf.constant(grid)), grid, axis=0)


def standard_error(values):
    """Standard error of the mean over the first axis."""
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


def assert_mean_is(values, expected, rounding=1e-5):
    """The mean over the first axis is the expected one, within its Monte Carlo error."""
    values = np.asarray(values, "float64")
    # Where all draws are equal there is rounding alone.
    allowed = STANDARD_ERRORS * standard_error(values) + rounding
    gap = np.abs(values.mean(axis=0) - np.asarray(expected, "float64"))
    assert np.all(gap < allowed), (gap, allowed)

"""Shortest ways between two points: great circles, and geodesics of the Poincare ball.

In NumPy and double precision: ways are few, and points near the rim or opposite each other
would lose all digits in float32.

Floor 1. White (2016), Sampling Generative Networks, of `spherical`; Cannon, Floyd, Kenyon and
Parry (1997), Hyperbolic Geometry, section 7, of the hyperboloid.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["hyperbolic", "spherical"]

# Sines below it are rounding: the directions of two points are the same, or opposite.
_PARALLEL = 1e-12


def spherical(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points whose angle and length change evenly from a to b, `[steps, dimension]`.

    On a sphere that is the shorter great circle. Between opposite points all great circles
    are equally long: the way goes by the axis along which a is shortest, the first if several
    are. A point at the origin, which has no direction, takes that of the other.

    Args:
        a: Start, `[dimension]`.
        b: End.
        shares: How far along the way, `[steps]`, from 0 to 1.

    Raises:
        ValueError: If a and b are opposite and there is but one dimension.
    """
    a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    shares = np.reshape(shares, (-1, 1)).astype("float64")
    if not all(lengths):
        straight: np.ndarray = (1 - shares) * a + shares * b
        return straight
    start, end = a / lengths[0], b / lengths[1]
    cosine = float(start @ end)
    across = end - cosine * start
    sine = float(np.linalg.norm(across))
    if sine < _PARALLEL:
        across = np.zeros_like(start)
        if cosine < 0:
            if start.size == 1:
                raise ValueError(
                    "A spherical way between opposite points needs two dimensions or more. "
                    "Received: points of one dimension. Use path='linear'."
                )
            across[np.argmin(np.abs(start))] = 1.0
            across -= (across @ start) * start
        sine = float(np.linalg.norm(across)) or 1.0
        angle = 0.0 if cosine > 0 else math.pi
    else:
        angle = math.atan2(sine, cosine)
    way = np.cos(shares * angle) * start + np.sin(shares * angle) * across / sine
    found: np.ndarray = ((1 - shares) * lengths[0] + shares * lengths[1]) * way
    return found


def hyperbolic(
    a: np.ndarray, b: np.ndarray, shares: np.ndarray, curvature: float
) -> np.ndarray:
    """Points of the Poincare ball on the geodesic from a to b, `[steps, dimension]`.

    On the hyperboloid, whose geodesics are combinations of their ends by hyperbolic sines.

    Args:
        a: Start, `[dimension]`, within the ball.
        b: End.
        shares: How far along the way, `[steps]`, from 0 to 1.
        curvature: c > 0, of a ball of radius 1 / sqrt(c).
    """
    root = math.sqrt(curvature)
    a, b = (root * np.asarray(point, "float64") for point in (a, b))
    shares = np.reshape(shares, (-1, 1)).astype("float64")
    # Half of the distance, by its sine: exact for points close together, too.
    shrinks = [1 - np.sum(point**2) for point in (a, b)]
    distance = 2 * math.asinh(float(np.linalg.norm(a - b) / math.sqrt(math.prod(shrinks))))
    if distance < _PARALLEL:
        way: np.ndarray = ((1 - shares) * a + shares * b) / root
        return way
    lifted = [
        np.concatenate([[1 + np.sum(point**2)], 2 * point]) / shrink
        for point, shrink in zip((a, b), shrinks)
    ]
    first, last = np.sinh((1 - shares) * distance), np.sinh(shares * distance)
    points = (first * lifted[0] + last * lifted[1]) / math.sinh(distance)
    found: np.ndarray = points[:, 1:] / (1 + points[:, :1]) / root
    return found

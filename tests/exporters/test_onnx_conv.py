"""Transposed convolutions in ONNX, compared with Keras."""

import itertools

import keras
import numpy as np
import pytest

from keras_vae import exporters, networks
from keras_vae.exporters.onnx import to_proto
from keras_vae.exporters.signature import Signature, TensorInfo
from tests.exporters.support import latents, make_model, onnx_decode, onnx_session

# A hundred roundings of float32: what the exporter itself allows by default.
TOLERANCE = 1e-5
TRANSPOSED = {
    1: keras.layers.Conv1DTranspose,
    2: keras.layers.Conv2DTranspose,
    3: keras.layers.Conv3DTranspose,
}
SHAPES = {1: (5, 2), 2: (4, 5, 2), 3: (3, 4, 2, 2)}


def signature_of(network, shape):
    """A network alone, as a signature `z` -> `x`."""

    def probe(rows):
        values = np.random.default_rng(rows).normal(size=[rows, *shape])
        return {"z": values.astype("float32")}

    return Signature(
        name="decode",
        meaning="",
        inputs={"z": TensorInfo(shape, "float32")},
        function=lambda z: {"x": network(z)},
        probe=probe,
        edges={},
        parts={},
        properties={},
        meanings={},
    )


def largest_error(layer, shape, opset=18):
    network = keras.Sequential([keras.Input(shape), layer])
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(0.1 + 0.3 * rng.normal(size=weight.shape))
    signature = signature_of(network, shape)
    proto = to_proto(signature, opset)
    session = onnx_session(proto.SerializeToString())
    errors = []
    for inputs, wanted in signature.cases.values():
        (got,) = session.run(["x"], inputs)
        assert got.shape == wanted["x"].shape
        errors.append(np.max(np.abs(got - wanted["x"])) / np.max(np.abs(wanted["x"])))
    return max(errors)


def strided(rank):
    """Kernels shorter than, as long as and longer than strides, with each output padding."""
    sizes = {1: (1, 2, 3, 5), 2: (1, 2, 3, (1, 4)), 3: (1, 3)}[rank]
    strides = {1: (1, 2, 4), 2: (2, 4, (2, 3)), 3: (1, 2)}[rank]
    for padding, kernel, stride in itertools.product(("same", "valid"), sizes, strides):
        for extra in (None, *range(min(stride) if isinstance(stride, tuple) else stride)):
            # oneDNN itself refuses these.
            if padding == "same" and extra == 0 and kernel in (2, (1, 4)) and rank < 3:
                continue
            yield (
                rank,
                {
                    "kernel_size": kernel,
                    "strides": stride,
                    "padding": padding,
                    "output_padding": extra,
                },
            )


def dilated(rank):
    for padding, kernel in itertools.product(("same", "valid"), (2, 3)):
        yield rank, {"kernel_size": kernel, "dilation_rate": 2, "padding": padding}


CASES = [case for rank in (1, 2, 3) for case in (*strided(rank), *dilated(rank))]


def chosen(case):
    """Run each time: one in eight, and the kinds that were wrong before."""
    rank, options = case
    short = options["kernel_size"] == 2 and options.get("strides") == 4
    return CASES.index(case) % 8 == 0 or (rank == 2 and short)


@pytest.mark.parametrize(
    ("rank", "options"),
    [
        pytest.param(
            *case,
            id="-".join(map(str, (case[0], *case[1].values()))),
            marks=() if chosen(case) else pytest.mark.thorough,
        )
        for case in CASES
    ],
)
def test_transposed_convolutions(rank, options):
    assert largest_error(TRANSPOSED[rank](3, **options), SHAPES[rank]) <= TOLERANCE


@pytest.mark.parametrize("opset", [13, pytest.param(15, marks=pytest.mark.thorough), 18])
def test_kernels_that_are_computed(opset):
    layer = keras.layers.Conv2DTranspose(3, 2, strides=3, output_padding=1, use_bias=False)
    wrapped = keras.layers.SpectralNormalization(layer)
    assert largest_error(wrapped, SHAPES[2], opset) <= TOLERANCE


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 4},
        pytest.param({"strides": 3, "kernel_size": 2}, marks=pytest.mark.thorough),
    ],
)
def test_decoders_with_kernels_shorter_than_strides(tmp_path, options):
    model = make_model(decoder=networks.ConvDecoder([4, 4], **options), event_shape=(9, 7, 1))
    exporters.export_onnx(model, tmp_path, signatures=["decode"])
    got = onnx_decode(tmp_path / "decode.onnx", latents(5))
    np.testing.assert_allclose(got, model.decode(latents(5)), atol=TOLERANCE)

"""What servers and clients find beside an export: warm-up requests, settings, answers.

Formats of TensorFlow Serving: `prediction_log.proto`, `model_server_config.proto` and
`session_bundle_config.proto`. Its Python package is not needed to write them.

Floor 6.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_vae.arguments import is_integer
from keras_vae.core.atomic_io import write_bytes
from keras_vae.core.paths import local_path
from keras_vae.exporters.checks import check_model
from keras_vae.exporters.dtypes import DTYPES, check_dtype
from keras_vae.exporters.precision import portable
from keras_vae.exporters.signature import Signature
from keras_vae.models import VAE

__all__ = [
    "BATCH_SIZES",
    "FILES",
    "answers_bytes",
    "serving_command",
    "serving_name",
    "write_answers",
    "write_serving_files",
]

#: Batches that a server forms: it fills each up to the next size. The last is the largest
#: that it accepts.
BATCH_SIZES = (1, 4, 16, 64)
#: Written beside the version's folder.
FILES = ("models.config", "batching.config")

_WARM_UP = "assets.extra/tf_serving_warmup_requests"
_MAGIC = b"ANSWERS1"


def serving_name(folder: Path) -> str:
    """Return a name for the model in `folder` that can stand in an address and a path."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", folder.resolve().name).strip(".") or "model"


def serving_command(model_name: str) -> str:
    """Return a command that serves a model, to be run in the folder of its export."""
    return (
        f'docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD:/models/{model_name}" '
        f"tensorflow/serving --model_config_file=/models/{model_name}/models.config "
        f"--enable_batching --batching_parameters_file=/models/{model_name}/batching.config"
    )


def write_serving_files(
    stage: Path, version: str, served: Mapping[str, Signature], model_name: str
) -> None:
    """Write what TensorFlow Serving reads besides the SavedModel itself.

    `VERSION/assets.extra/tf_serving_warmup_requests`: for each signature a request of one row
    and one of the largest batch, which the server runs before it reports to be ready.
    `models.config`: name and place of the model. `batching.config`: how requests that arrive
    together are run together.

    Args:
        stage: Holds the SavedModel in the folder `version`.
        version: A number.
        served: What it serves, by the name it is served under.
        model_name: Such as `serving_name` returns.

    Raises:
        ValueError: If `model_name` cannot stand in an address.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", model_name):
        raise ValueError(
            f"`model_name` must consist of letters, digits, '_', '-' and '.'. Received: "
            f"model_name={model_name!r}. serving_name(folder) makes one."
        )
    warm_up = stage / version / _WARM_UP
    warm_up.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(warm_up)) as writer:
        for name, signature in served.items():
            for rows in (BATCH_SIZES[0], BATCH_SIZES[-1]):
                writer.write(_prediction_log(model_name, name, signature.probe(rows)))
    (stage / "models.config").write_text(_models_config(model_name), "utf-8")
    (stage / "batching.config").write_text(_batching_config(), "utf-8")


def write_answers(
    model: VAE, path: str | os.PathLike[str], *, signature: str = "decode", rows: int = 512
) -> None:
    """Write inputs and what a model answers, for clients in other languages to check.

    Integers are unsigned, of 32 bits; all is little-endian; text is preceded by its number
    of bytes. The file holds `ANSWERS1`, the signature's name, the number of rows and the
    number of tensors; of each tensor 0 for an input or 1 for an output, its name, the number
    of its dtype (`tf.DType.as_datatype_enum`), of its axes behind the batch, their sizes, and
    its values, row by row.

    Args:
        model: The one exported; if in half precision, its rebuild in float32 answers.
        path: The file.
        signature: What is asked. Defaults to `"decode"`.
        rows: Number of examples. Defaults to `512`.

    Raises:
        ExportError: If the model cannot compute it.
        TypeError: If `model` is no model.
        ValueError: If the signature is unknown, or there are no rows.

    Example:
    >>> vae = keras_vae.VAE(
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.networks.MLP([8]),
    ...     keras_vae.posteriors.DiagonalNormal(latent_dim=2),
    ...     likelihood=keras_vae.likelihoods.Bernoulli(),
    ...     event_shape=(4,),
    ... )
    >>> import os, tempfile
    >>> from keras_vae.exporters import serving
    >>> path = os.path.join(tempfile.mkdtemp(), "answers.bin")
    >>> serving.write_answers(vae, path, signature="encode", rows=3)
    >>> with open(path, "rb") as file:
    ...     file.read(8)
    b'ANSWERS1'
    """
    check_model(model)
    if not is_integer(rows) or rows < 1:
        raise ValueError(f"`rows` must be an integer >= 1. Received: rows={rows!r}.")
    (asked,) = portable(model, [signature]).signatures
    inputs = asked.probe(rows)
    answers = answers_bytes(signature, inputs, asked.evaluate(inputs))
    write_bytes(local_path(path), answers)


def answers_bytes(
    signature: str, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> bytes:
    """Return the content of a file of answers, as `write_answers` describes it.

    Args:
        signature: Signature that was asked.
        inputs: Arrays by name; all arrays have as many rows.
        outputs: Answers by name.

    Raises:
        TypeError: If an array is of a type that no manifest can have.
    """
    tensors = [(0, *item) for item in inputs.items()] + [(1, *item) for item in outputs.items()]
    rows = len(next(iter(inputs.values())))
    parts = [_MAGIC, _text(signature), struct.pack("<2I", rows, len(tensors))]
    for kind, name, value in tensors:
        check_dtype(f"`{name}` of `{signature}`", value.dtype.name)
        dtype = DTYPES[value.dtype.name].number
        shape = struct.pack(f"<{value.ndim}I", value.ndim - 1, *value.shape[1:])
        parts += [struct.pack("<I", kind), _text(name), struct.pack("<I", dtype), shape]
        parts.append(value.astype(value.dtype.newbyteorder("<")).tobytes())
    return b"".join(parts)


def _text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def _prediction_log(model_name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> bytes:
    """A `tensorflow.serving.PredictionLog` of a request, as bytes."""
    model_spec = _field(1, model_name.encode()) + _field(3, signature.encode())
    request = _field(1, model_spec)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, value: bytes) -> bytes:
    """A protocol buffer's field that holds text or a message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that there are more."""
    low, high = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _models_config(model_name: str) -> str:
    return f"""\
model_config_list {{
  config {{
    name: "{model_name}"
    base_path: "/models/{model_name}"
    model_platform: "tensorflow"
  }}
}}
"""


def _batching_config() -> str:
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in BATCH_SIZES)
    return f"""\
# Larger requests are refused: split them, or raise both this and the last allowed size.
max_batch_size {{ value: {BATCH_SIZES[-1]} }}
# How long a request may wait for others.
batch_timeout_micros {{ value: 1000 }}
max_enqueued_batches {{ value: 100 }}
{sizes}"""

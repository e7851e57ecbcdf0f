"""Arrays of what people have: tensors, frames, masked and sparse arrays.

Packages are told by their names, so that none has to be installed.

Floor 3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.sparse import SparseRows
from keras_vae.data.streaming import is_streamed

__all__ = ["as_array", "batches_of", "columns_of", "is_stream"]

# What cannot hold examples, and what to do about it.
_OBJECTS = "Give numbers of one kind and shape: {name}.astype('float32')"
_FIXES = {
    "O": _OBJECTS,
    "S": "Texts are no numbers: encode them, or read files with keras_vae.data.from_text",
    "U": "Texts are no numbers: encode them, or read files with keras_vae.data.from_text",
    "T": "Texts are no numbers: encode them, or read files with keras_vae.data.from_text",
    "c": "Give real numbers, such as stack([{name}.real, {name}.imag], axis=-1)",
    "M": "Give numbers, such as ({name} - {name}.min()) / np.timedelta64(1, 'D')",
    "m": "Give numbers, such as {name} / np.timedelta64(1, 's')",
    "V": "Give numbers of one kind: the fields of a record are its columns",
}
_NO_ARRAYS = {
    "RaggedTensor": "Pad it: {name}.to_tensor()",
    "SparseTensor": "Make it dense with tf.sparse.to_dense, or keep it sparse as "
    "keras_vae.data.SparseRows",
    "IndexedSlices": "Make it dense: tf.convert_to_tensor({name})",
}


def is_stream(x: Any) -> bool:
    """Whether x gives batches: a data set, a `PyDataset`, a loader or an iterator."""
    if isinstance(x, (tf.data.Dataset, keras.utils.PyDataset)) or _is(x, "torch", "DataLoader"):
        return True
    return hasattr(x, "__next__")


def columns_of(name: str, x: Any) -> Any:
    """Return the columns of a data set of Hugging Face as a mapping; anything else as it is.

    Raises:
        TypeError: If it has no column "x".
    """
    if not (_is(x, "datasets", "Dataset") and hasattr(x, "column_names")):
        return x
    names = list(x.column_names)
    if "x" not in names:
        raise TypeError(
            f"`{name}` as a data set of columns must have one named 'x'. Received: columns "
            f"{names}. Rename one, or pass np.asarray({name}[{names[:1]}])."
        )
    held = x.with_format("numpy")
    return {column: held[column][:] for column in names if column in ("x", "condition")}


def as_array(name: str, value: Any, *, missing: bool = False) -> Any:
    """Return an array or tensor of real numbers that TensorFlow takes.

    Args:
        name: Name of the argument, for messages.
        value: An array or tensor, a frame, or lists of numbers of one shape.
        missing: Whether what is masked becomes NaN rather than an error.

    Returns:
        `value` itself where it is such an array; `np.memmap` and `SparseRows` stay on disk
        and sparse.

    Raises:
        TypeError: If it does not hold numbers.
        ValueError: If something in it is masked, or lists differ in length.
    """
    value = _unwrapped(name, value, missing)
    if not hasattr(value, "dtype"):
        value = _of_lists(name, value)
    if np.ma.isMaskedArray(value):
        value = _unmasked(name, value, missing)
    kind = getattr(value.dtype, "kind", None)
    if kind in _FIXES and "bfloat" not in str(value.dtype):
        kinds = {"O": "objects"}.get(kind, f"dtype {value.dtype}")
        raise TypeError(
            f"`{name}` must hold numbers. Received: {kinds}. {_FIXES[kind].format(name=name)}."
        )
    if isinstance(value, np.ndarray) and not is_streamed(value):
        return _native(value)
    return value


def _native(value: np.ndarray) -> np.ndarray:
    """As TensorFlow has numbers: in this machine's byte order, of 64 bits at most."""
    dtype = np.dtype("float64") if value.dtype == np.longdouble else value.dtype
    if dtype.isnative and dtype == value.dtype:
        return value
    with np.errstate(over="ignore"):
        return value.astype(dtype.newbyteorder("="))


def _is(value: Any, package: str, kind: str = "") -> bool:
    """Whether a value is of a package, and of a class of that name there."""
    names = [(c.__module__.split(".")[0], c.__name__) for c in type(value).__mro__]
    return any(module == package and kind in ("", name) for module, name in names)


def _unwrapped(name: str, value: Any, missing: bool) -> Any:
    """What other packages' containers hold."""
    for kind, fix in _NO_ARRAYS.items():
        if type(value).__name__ == kind and _is(value, "tensorflow"):
            raise TypeError(
                f"`{name}` must be a dense array. Received: a {kind}. {fix.format(name=name)}."
            )
    if keras.utils.is_keras_tensor(value):
        raise TypeError(
            f"`{name}` must be data. Received: a symbolic tensor of keras.Input. Call the "
            f"model on it, model({name}), or take model.encoder_model()."
        )
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        raise TypeError(
            f"`{name}` must be data. Received: a text, {value!r}. Load it first: np.load, or "
            f"keras_vae.data.from_images and its like."
        )
    if isinstance(value, (tf.Variable, keras.Variable)):
        return tf.convert_to_tensor(value)
    if _is(value, "torch", "Tensor"):
        value = value.detach().cpu()
        return (value.float() if "bfloat16" in str(value.dtype) else value).numpy()
    if _is(value, "anndata", "AnnData"):
        return _unwrapped(name, value.X, missing)
    if _is(value, "scipy") and hasattr(value, "tocsr"):
        rows = value.tocsr()
        return SparseRows(rows.data, rows.indices, rows.indptr, rows.shape)
    if _is(value, "pyarrow") and hasattr(value, "to_pandas"):
        value = value.to_pandas()
    if _is(value, "pandas"):
        return _of_frame(name, value, missing)
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return value


def _of_frame(name: str, frame: Any, missing: bool) -> np.ndarray:
    """An array of a frame, a series or an index of pandas."""
    columns = dict(frame.dtypes) if hasattr(frame, "columns") else {name: frame.dtype}
    numbers = {c: d for c, d in columns.items() if getattr(d, "kind", "O") in "iufb"}
    if len(numbers) < len(columns):
        other = {str(c): str(d) for c, d in columns.items() if c not in numbers}
        raise TypeError(
            f"`{name}` must hold numbers. Received: columns {other}. Turn them into numbers, "
            f"for instance with keras_vae.tables.Table.from_frame."
        )
    if any(hasattr(dtype, "na_value") for dtype in columns.values()):
        nullable = bool(np.asarray(frame.isna()).any())
        array: np.ndarray = frame.to_numpy(dtype="float64", na_value=np.nan)
        return np.ma.masked_invalid(array) if nullable and not missing else array
    return np.asarray(frame.to_numpy())


def _unmasked(name: str, value: Any, missing: bool) -> np.ndarray:
    masked = np.ma.getmaskarray(value)
    data: np.ndarray = np.ma.getdata(value)
    if not masked.any():
        return data
    if not missing:
        place = tuple(np.argwhere(masked)[0].tolist())
        events = name.rsplit("_", maxsplit=1)[-1] in ("x", "y")
        of_events = ", or make the model with missing='nan'" if events else ""
        raise ValueError(
            f"`{name}` must not be masked, for masks would be lost. Received: a missing value "
            f"at index {place}. Fill it: {name}.filled(value){of_events}."
        )
    if data.dtype.kind != "f":
        data = data.astype("float64")
    return np.where(masked, data.dtype.type(np.nan), data)


def _of_lists(name: str, value: Any) -> np.ndarray:
    known = isinstance(value, (list, tuple, int, float, complex)) or hasattr(value, "__array__")
    if not known:
        raise TypeError(
            f"`{name}` must be an array. Received: a {type(value).__name__}. Pass "
            f"np.asarray({name}), or batches as a tf.data.Dataset."
        )
    if isinstance(value, (list, tuple)) and any(_is(item, "torch") for item in value):
        value = [as_array(name, item) for item in value]
    if isinstance(value, (list, tuple)) and any(np.ma.isMaskedArray(item) for item in value):
        return np.ma.stack(value)
    try:
        return np.asarray(value)
    except ValueError:
        lengths = sorted({len(item) for item in value if hasattr(item, "__len__")})
        raise ValueError(
            f"`{name}` must hold examples of one shape. Received: a list whose items differ, "
            f"of lengths {lengths[:5]}. Pad or cut them."
        ) from None


def batches_of(
    name: str, x: Any, missing: bool = False, limit: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Yield x and the condition, or `None`, of each batch of a stream that ends.

    Args:
        name: Name of the argument, for messages.
        x: As in `is_stream`.
        missing: As in `as_array`.
        limit: Number of batches, for a stream that does not end. Defaults to `None`: all.

    Raises:
        ValueError: If the stream is known to be endless, or empty.
        TypeError: If it is a loader whose batches are bare tensors.
    """
    endless = (
        isinstance(x, tf.data.Dataset) and int(x.cardinality()) == tf.data.INFINITE_CARDINALITY
    )
    if endless and limit is None:
        raise ValueError(
            f"`{name}` must end. Received: an endless data set. Cut it: {name}.take(100)."
        )
    batches = x
    if isinstance(x, keras.utils.PyDataset):
        count = limit if x.num_batches is None else x.num_batches
        if count is None:
            raise ValueError(f"`{name}` must end. Received: a PyDataset without `num_batches`.")
        batches = (x[index] for index in range(count))
    found = False
    for batch in itertools.islice(batches, limit):
        part: Any = keras.utils.unpack_x_y_sample_weight(batch)[0]
        condition = None
        if isinstance(part, Mapping):
            part, condition = part.get("x"), part.get("condition")
        found = True
        yield as_array(name, part, missing=missing), condition
    if not found:
        raise ValueError(f"`{name}` is empty. Received: a {type(x).__name__} of 0 batches.")

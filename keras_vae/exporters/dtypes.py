"""The dtypes that a manifest can have: the one table that clients follow and tests go through.

Floor 6.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DTYPES", "Dtype", "check_dtype"]


class Dtype(NamedTuple):
    """How a dtype is called outside Python.

    Attributes:
        number: TensorFlow's number of it, as in a file of answers.
        name: TensorFlow's name of it, as servers say it.
    """

    number: int
    name: str


#: Name in a manifest -> what others call it.
DTYPES = {
    "float32": Dtype(1, "DT_FLOAT"),
    "float64": Dtype(2, "DT_DOUBLE"),
    "float16": Dtype(19, "DT_HALF"),
    "bfloat16": Dtype(14, "DT_BFLOAT16"),
    "int8": Dtype(6, "DT_INT8"),
    "int16": Dtype(5, "DT_INT16"),
    "int32": Dtype(3, "DT_INT32"),
    "int64": Dtype(9, "DT_INT64"),
    "uint8": Dtype(4, "DT_UINT8"),
    "uint16": Dtype(17, "DT_UINT16"),
    "uint32": Dtype(22, "DT_UINT32"),
    "uint64": Dtype(23, "DT_UINT64"),
    "bool": Dtype(10, "DT_BOOL"),
}


def check_dtype(what: str, dtype: str) -> None:
    """Raise a TypeError if files and clients cannot hold a dtype.

    Args:
        what: Holder, as prose.
        dtype: Such as `"float32"`.
    """
    if dtype not in DTYPES:
        raise TypeError(
            f"{what} must be of one of the types {', '.join(DTYPES)}. Received: {dtype}. "
            f"Cast it."
        )

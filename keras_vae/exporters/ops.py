"""Ops that a target lacks: how they are found and what is said about them.

Floor 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_vae.exporters.checks import ExportError
from keras_vae.exporters.signatures import Signature

__all__ = ["PYTHON_OPS", "graph_nodes", "missing_op"]

#: Ops that call back into the Python process that made the graph.
PYTHON_OPS = ("EagerPyFunc", "PyFunc", "PyFuncStateless")

# The nearest thing that works, where there is a nearer one than another target.
_INSTEAD = {
    "Erfc": "Use gelu with approximate=True, which needs no erfc",
    "Expm1": "Use tf.exp(x) - 1",
    "LookupTableFindV2": "Use tensors and variables in place of lookup tables",
    "Log1p": "Use tf.math.log(1 + x)",
    "MulNoNan": "Use tf.where in place of tf.math.multiply_no_nan",
    **dict.fromkeys(PYTHON_OPS, "Use TensorFlow ops in place of Python code"),
}


def graph_nodes(concrete: Any) -> Iterator[Any]:
    """All nodes of a traced function, those of the functions it calls included."""
    graph = concrete.graph.as_graph_def()
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def missing_op(op: str, node: str, target: str, signature: Signature) -> ExportError:
    """Say that a target lacks an op.

    Args:
        op: The op's type.
        node: Name of a node of that type; its scope tells the part.
        target: The target, as prose.
        signature: The signature that has the node.

    Returns:
        The error to be raised.
    """
    scope = node.split("/", maxsplit=1)[0]
    part = signature.parts.get(scope)
    where = f"the {scope} ({part})" if part else "the model"
    instead = _INSTEAD.get(op, "Use exporters.export_saved_model, which has all TensorFlow ops")
    return ExportError(
        f"{target} has no op for {op!r}, which {where} needs for `{signature.name}` (node "
        f"{node!r}). {instead}. Nothing was written."
    )

"""Ops that a target lacks: how they are found and what is said about them.

Floor 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from keras_vae.exporters.checks import UnsupportedError
from keras_vae.exporters.signature import Signature

__all__ = ["PYTHON_OPS", "graph_nodes", "in_network", "missing_op"]

#: Ops that call back into the Python process that made the graph.
PYTHON_OPS = ("EagerPyFunc", "PyFunc", "PyFuncStateless")

_NETWORK = re.compile(r"(^|/)(decoder|encoder)(_head)?(_\d+)?/")

_RANDOM_OPS = (
    "Multinomial",
    "RandomGamma",
    "StatelessMultinomial",
    "StatelessRandomGammaV3",
    "StatelessRandomNormalV2",
    "StatelessRandomUniformIntV2",
    "StatelessRandomUniformV2",
)

# The nearest thing that works, where there is a nearer one than another target.
_INSTEAD = {
    "CudnnRNNV3": "Use `use_cudnn=False` in the recurrent layers",
    "Bitcast": "Use comparisons in place of bits",
    "LookupTableFindV2": "Use tensors and variables in place of lookup tables",
    **dict.fromkeys(("BitwiseAnd", "BitwiseOr", "BitwiseXor", "Invert"), "Use opset=18"),
    **dict.fromkeys(PYTHON_OPS, "Use TensorFlow ops in place of Python code"),
    **dict.fromkeys(_RANDOM_OPS, "Use noise that is handed in: see `noise_spec` of priors"),
}


def graph_nodes(concrete: Any) -> Iterator[Any]:
    """All nodes of a traced function, those of the functions it calls included."""
    graph = concrete.graph.as_graph_def()
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def in_network(node: str) -> bool:
    """Whether a node belongs to a model's encoder or decoder or their heads, by its scopes."""
    return bool(_NETWORK.search(node))


def missing_op(op: str, node: str, target: str, signature: Signature) -> UnsupportedError:
    """Say that a target lacks an op.

    Args:
        op: The op's type.
        node: Name of a node of that type; its scope tells the part.
        target: The target, as prose.
        signature: The signature that has the node.

    Returns:
        The error to be raised.
    """
    # TensorFlow numbers a scope that is entered again.
    scope = re.sub(r"_\d+$", "", node.split("/", maxsplit=1)[0])
    part = signature.parts.get(scope)
    where = f"the {scope} ({part})" if part else "the model"
    instead = _INSTEAD.get(op, "Use exporters.export_saved_model, which has all TensorFlow ops")
    return UnsupportedError(
        f"{target} has no op for {op!r}, which {where} needs for `{signature.name}` (node "
        f"{node!r}). {instead}. Nothing was written."
    )

"""Dataclasses from JSON that anybody may have written.

Floor 6.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from typing import Any

__all__ = ["typed"]

_WORDS = {str: "text", int: "an integer", float: "a number"}


def typed(kind: Any, value: Any, where: str) -> Any:
    """Return a value of JSON as a dataclass, or as the type of a field.

    Raises:
        ValueError: If it is something else, with its place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _as_dataclass(kind, value, where)
    if kind is Any:
        return value
    if origin is dict and isinstance(value, dict):
        return {key: typed(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin is tuple and isinstance(value, list):
        return tuple(typed(arguments[0], item, where) for item in value)
    if origin is types.UnionType:
        return None if value is None else typed(arguments[0], value, where)
    expected = (int, float) if kind is float else origin or kind
    if not isinstance(value, expected) or isinstance(value, bool):
        raise ValueError(
            f"`{where}` must be {_WORDS.get(kind, 'an object')}, not {value!r:.40}"
        )
    return value


def _as_dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"`{where}` must be an object, not {value!r:.40}")
    hints, found = typing.get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            found[field.name] = typed(
                hints[field.name], value[field.name], f"{where}.{field.name}"
            )
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"`{where}` has no {field.name!r}")
    for path in (*found.get("files", ()), *([found["path"]] if "path" in found else [])):
        _check_inside(path, where)
    return kind(**found)


def _check_inside(path: str, where: str) -> None:
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or re.search(r"[\\:\0]", path):
        raise ValueError(f"`{where}` has a path that leads out of the folder, {path!r:.60}")

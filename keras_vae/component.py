"""What every part is: a Keras object whose constructor arguments are its config.

Floor 0.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from keras_vae import numerics
from keras_vae.arguments import plain, plain_argument

__all__ = ["Component", "FromSignature", "register"]

Class = TypeVar("Class", bound=type)

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def register(family: str) -> Callable[[Class], Class]:
    """Register a class for Keras saving as `keras_vae.<family>>Name`.

    Args:
        family: The family's module name, such as `"priors"`.

    Returns:
        The class decorator.

    Example:
    >>> from keras_vae.component import Component, register
    >>> @register("priors")
    ... class MyPart(Component):
    ...     def __init__(self, width, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.width = width
    >>> keras.saving.get_registered_name(MyPart)
    'keras_vae.priors>MyPart'
    """
    decorator: Callable[[Class], Class] = keras.saving.register_keras_serializable(
        package=f"keras_vae.{family}"
    )
    return decorator


class FromSignature:
    """Mixin that derives `get_config` and `from_config` from the constructor.

    A class stores each constructor argument unchanged under its own name; this mixin
    does the rest, Keras objects among the arguments included. Scalars of NumPy and
    TensorFlow become Python's before the constructor sees them, so that a config is JSON.
    """

    #: Arguments of parent classes that the class works out itself.
    derived_arguments: tuple[str, ...] = ()
    _fixed = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; those that a built model was made from stay as they are."""
        if self.is_fixed and name in self._fixed_names() and hasattr(self, name):
            old = getattr(self, name)
            if value is not old and not (isinstance(value, _PLAIN) and value == old):
                raise AttributeError(
                    f"`{name}` of {type(self).__name__} cannot change once the model is built: "
                    f"what was compiled keeps {old!r}. Received: {value!r}. Pass a schedule "
                    f"where a value is to change in training, or make another model: "
                    f"`vae.with_parts(objective=...)`, with any constructor argument, keeps "
                    f"the weights."
                )
        super().__setattr__(name, value)

    @property
    def is_fixed(self) -> bool:
        """Whether constructor arguments can no longer change."""
        return bool(self._fixed or vars(self).get("built"))

    @classmethod
    def _fixed_names(cls) -> frozenset[str]:
        """Constructor arguments, and what a class says of itself, such as `samples`."""
        if cls not in _FIXED_NAMES:
            names = set(cls.argument_names())
            for parent in cls.__mro__:
                if parent.__module__.startswith(("keras.", "tensorflow.", "builtins")):
                    continue
                own = vars(parent).items()
                names |= {n for n, v in own if v is not None and isinstance(v, _PLAIN)}
            keras_own = set(dir(keras.Model))
            _FIXED_NAMES[cls] = frozenset(n for n in names - keras_own if n[0] != "_")
        return _FIXED_NAMES[cls]

    def fix(self) -> None:
        """Keep constructor arguments as they are from now on, those inside of them too."""
        if not isinstance(self, keras.layers.Layer):
            self._fixed = True
        for name in self.argument_names():
            for inner in keras.tree.flatten(getattr(self, name, None)):
                if isinstance(inner, FromSignature):
                    inner.fix()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _with_plain_arguments(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    def argument_names(cls) -> list[str]:
        """Names of the constructor's arguments, those that `**kwargs` hands on included."""
        names: list[str] = []
        for parent in cls.__mro__:
            if not issubclass(parent, FromSignature):
                continue  # Keras's own: its `get_config` has them
            if "__init__" not in vars(parent):
                continue
            parameters = inspect.signature(vars(parent)["__init__"]).parameters.values()
            own = [
                p.name
                for p in parameters
                if p.name != "self" and p.kind in (_POSITIONAL, _BY_NAME)
            ]
            names += [n for n in own if n not in (*names, *cls.derived_arguments)]
            if all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in parameters):
                break
        return names

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, serialised by Keras."""
        parent = super()
        config = parent.get_config() if hasattr(parent, "get_config") else {}
        for name in self.argument_names():
            config[name] = keras.saving.serialize_keras_object(getattr(self, name))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Rebuild the object from `get_config`."""
        return cls(**{name: _deserialize(value) for name, value in config.items()})


def _with_plain_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """Check kinds of arguments by their annotations, where they are those of this package."""
    signature = inspect.signature(init)
    own = init.__module__.startswith("keras_vae.")
    kinds = {
        name: str(parameter.annotation) if own else "Any"
        for name, parameter in signature.parameters.items()
        if parameter.kind in (_POSITIONAL, _BY_NAME)
    }

    @functools.wraps(init)
    def plainly(self: Any, *args: Any, **kwargs: Any) -> None:
        first = [plain_argument(n, v, kinds[n]) for n, v in zip(list(kinds)[1:], args)]
        rest = {n: plain_argument(n, v, kinds.get(n, "Any")) for n, v in kwargs.items()}
        init(self, *first, *(plain(v) for v in args[len(first) :]), **rest)

    # Keras looks for the names of arguments in the function itself.
    plainly.__signature__ = signature  # type: ignore[attr-defined]
    return plainly


_FIXED_NAMES: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()
_PLAIN = (bool, int, float, str, tuple, frozenset, type(None))


def _deserialize(value: Any) -> Any:
    if isinstance(value, dict) and "class_name" in value:
        return keras.saving.deserialize_keras_object(value)
    if isinstance(value, dict):
        return {key: _deserialize(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_deserialize(item) for item in value]
    return value


class Component(FromSignature, keras.layers.Layer):
    """A part of a variational autoencoder: a Keras layer that is called by its methods.

    Constructor arguments, stored unchanged under their own names, are the whole config.
    Weights are created in `build`, which does nothing when called again. Parts compute in
    at least float32, whatever the global dtype policy.

    Args:
        **kwargs: `name`, `trainable` and `dtype` as in any Keras layer.
    """

    built: bool

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", numerics.density_dtype())
        super().__init__(autocast=False, **kwargs)

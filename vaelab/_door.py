"""The door that is made of a signature: what comes in must be what the annotations say.

A tensor may come as an array or a list; it holds finite real numbers, and whole ones become
float64, but for `images`, whose bytes stay bytes. An int is a whole number ≥ 1, `seed` a seed; a
float is finite, and > 0 where it is called `gamma` or `t`; a `cut` at ∞ cuts nothing. Of a class an
instance is expected. What has another annotation is left to the function; where shapes do not fit
together, the error names them.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

from vaelab._arrays import as_numbers, as_tensor
from vaelab._inputs import (
    as_seed,
    check_callable,
    check_finite,
    check_flag,
    check_images,
    check_positive,
    check_positive_int,
    shown,
)

P = ParamSpec("P")
R = TypeVar("R")
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIVE = ("gamma", "t")
_UNBOUNDED = ("cut",)
# What arithmetic says of shapes and sizes that do not fit together.
_DEEP = (RuntimeError, IndexError, AttributeError, ArithmeticError, MemoryError, TypeError)


def door(f: Callable[P, R]) -> Callable[P, R]:
    """The same function, which looks at its arguments before anything is computed.

    Raises:
        TypeError, ValueError: an argument that is not what its annotation says.

    >>> @door
    ... def half(x: Tensor, n: int = 1) -> Tensor:
    ...     return x / 2
    >>> half([1, 2])
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    signature = inspect.signature(f)
    asked = {n: p for n, p in signature.parameters.items() if p.kind not in _OPEN}

    @functools.cache
    def hints() -> dict[str, Any]:
        return typing.get_type_hints(f)

    @functools.wraps(f)
    def through(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in hints() and name in asked and value is not asked[name].default:
                bound.arguments[name] = taken(name, value, hints()[name])
        try:
            return f(*bound.args, **bound.kwargs)
        except _DEEP as error:
            is_ours = type(error).__module__.startswith("vaelab")
            is_clear = isinstance(error, TypeError) and "expected" in str(error)
            lacks = "not implemented for" in str(error)  # What torch says of short floats.
            is_open = isinstance(error, (NotImplementedError, ValueError)) and not lacks
            if is_ours or is_clear or is_open:
                raise
            came = ", ".join(f"{n} {_described(v)}" for n, v in bound.arguments.items())
            said = " ".join(str(error).split())
            name = f.__qualname__.removesuffix(".__init__")
            raise ValueError(
                f"{name}: expected arguments of the shapes and sizes in its documentation, got "
                f"{came} ({said})"
            ) from error

    return through


def _described(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)


def check_fields(thing: Any) -> None:
    """The same for the fields of a dataclass, which may be frozen, in its `__post_init__`."""
    hints = typing.get_type_hints(type(thing))
    for name, field in type(thing).__dataclass_fields__.items():
        value = getattr(thing, name)
        if value is not field.default:
            object.__setattr__(thing, name, taken(name, value, hints[name]))


def taken(name: str, value: Any, kind: Any) -> Any:
    """A value as an argument of that name and kind, or an error."""
    origin = typing.get_origin(kind)
    if origin in (Sequence, tuple):
        return _all_taken(name, value, typing.get_args(kind))
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise TypeError(f"{name}: expected a dictionary, got {shown(value)}")
        inside = typing.get_args(kind)[1]
        return {key: taken(f"{name}[{key!r}]", each, inside) for key, each in value.items()}
    if origin in (typing.Union, types.UnionType):
        kinds = [k for k in typing.get_args(kind) if k is not type(None)]
        if value is None and len(kinds) < len(typing.get_args(kind)):
            return None
        several = [k for k in kinds if typing.get_origin(k) is Sequence]
        if several and len(kinds) == 2:  # One of them, or a list of them.
            is_list = hasattr(value, "__iter__") and not isinstance(value, str)
            kinds = several if is_list else [k for k in kinds if k not in several]
        if len(kinds) == 1:
            return taken(name, value, kinds[0])
        if not {int, float, Tensor}.intersection(kinds) and not isinstance(value, tuple(kinds)):
            raise TypeError(f"{name}: expected a {_named(kinds)}, got {shown(value)}")
        return value
    if kind is Tensor and name == "images":
        return check_images(value, pixels=True)
    if kind is Tensor:
        x = as_tensor(value, name)
        if name == "t" and not x.numel():  # Places along a way: there may be none.
            return x
        numbers = as_numbers(name, x)
        return x if x.is_floating_point() else numbers  # With its gradients.
    if kind is int and name == "seed":
        return as_seed(value)
    if kind is int:
        return check_positive_int(name, value)
    if kind is float:
        if name in _POSITIVE:
            check_positive(name, value)
        elif not (name in _UNBOUNDED and isinstance(value, float) and value == math.inf):
            check_finite(name, value)
        return value
    if kind is bool:
        check_flag(name, value)
    elif origin is Callable:
        check_callable(name, value)
    elif isinstance(kind, type) and kind not in (object, Any) and not isinstance(value, kind):
        raise TypeError(f"{name}: expected a {_named([kind])}, got {shown(value)}")
    return value


def _all_taken(name: str, values: Any, kinds: tuple[Any, ...]) -> Sequence[Any]:
    """A list of one kind, or of one entry of each kind."""
    if isinstance(values, Tensor):
        values = as_tensor(values, name)
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, (str, bytes, Mapping)) or not hasattr(plain, "__iter__"):
        raise TypeError(f"{name}: expected a list, got {shown(values)}")
    entries = list(plain)
    if len(kinds) == 1 or kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(entries)
    if len(entries) != len(kinds):
        raise ValueError(f"{name}: expected {len(kinds)} entries, got {shown(values)}")
    checked = [taken(name, value, kind) for value, kind in zip(entries, kinds, strict=True)]
    return tuple(checked) if isinstance(values, tuple) else checked


def _named(kinds: list[type]) -> str:
    return " or a ".join("word" if kind is str else kind.__name__ for kind in kinds)

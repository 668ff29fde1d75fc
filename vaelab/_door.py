"""The door that is made of a signature: what comes in must be what the annotations say.

A tensor may come as an array or a list; it holds finite real numbers, and whole ones become
float64, but for `images`, whose bytes stay bytes. An int is a whole number ≥ 1, `seed` a seed; a
float is finite, and > 0 where it is called `gamma` or `t`; a `cut` at ∞ cuts nothing, and what is
saved every ∞ seconds is never saved. Of a class an instance is expected; `Annotated[kind, check]`
is what `check(name, value)` gives back. What has another annotation is left to the function; where
shapes do not fit together, the error names them.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ParamSpec, TypeVar

from torch import Tensor

from vaelab._arrays import as_numbers, as_tensor
from vaelab._inputs import (
    as_list,
    as_seed,
    check_callable,
    check_finite,
    check_flag,
    check_images,
    check_positive,
    check_positive_int,
    shown,
)
from vaelab._memory import is_out_of_memory, out_of_memory

P = ParamSpec("P")
R = TypeVar("R")
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_POSITIVE = ("gamma", "t")
_UNBOUNDED = ("cut", "checkpoint_every")
_CHECKS: dict[Any, Callable[[str, Any], Any]] = {
    int: check_positive_int,
    float: check_finite,
    bool: check_flag,
    Callable: check_callable,
}
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
    trains = "session" in asked  # It may call what a user wrote, whose errors stay as they are.

    @functools.cache
    def hints() -> dict[str, Any]:
        return typing.get_type_hints(f, include_extras=True)

    @functools.wraps(f)
    def through(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name in hints() and name in asked and value is not asked[name].default:
                bound.arguments[name] = taken(name, value, hints()[name])
        try:
            return f(*bound.args, **bound.kwargs)
        except _DEEP as error:
            is_ours = type(error).__module__.startswith("vaelab.")
            is_clear = isinstance(error, TypeError) and "expected" in str(error)
            lacks = "not implemented for" in str(error)  # What torch says of short floats.
            is_open = isinstance(error, (NotImplementedError, ValueError)) and not lacks
            if is_ours or is_clear or is_open or trains:
                raise
            name = f.__qualname__.removesuffix(".__init__")
            if is_out_of_memory(error):
                raise ValueError(f"{name}: {out_of_memory(error, 'give less')}") from error
            given = [(n, v) for n, v in bound.arguments.items() if n != "self"]
            came = ", ".join(f"{n} {_described(v)}" for n, v in given)
            said = " ".join(str(error).split())
            raise ValueError(
                f"{name}: expected arguments of the shapes and sizes in its documentation, got "
                f"{came} ({said})"
            ) from error

    return through


def _described(value: Any) -> str:
    return f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else shown(value)


@functools.cache
def _hints_of(kind: type) -> dict[str, Any]:
    """What the package's own class says of its fields; a user's subclass may add others."""
    ours = next(each for each in kind.__mro__ if each.__module__.startswith("vaelab."))
    return typing.get_type_hints(ours, include_extras=True)


def taken_fields(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass as its annotations take them, or an error."""
    hints, values = _hints_of(type(thing)), {}
    for field in dataclasses.fields(thing):
        name, value = field.name, getattr(thing, field.name)
        is_checked = name in hints and value is not field.default
        values[name] = taken(name, value, hints[name]) if is_checked else value
    return values


def check_fields(thing: Any) -> None:
    """Let a dataclass, which may be frozen, keep its fields so, in its `__post_init__`."""
    for name, value in taken_fields(thing).items():
        object.__setattr__(thing, name, value)


def taken(name: str, value: Any, kind: Any) -> Any:
    """A value as an argument of that name and kind, or an error."""
    origin = typing.get_origin(kind)
    if origin is Annotated:
        [check] = kind.__metadata__
        return check(name, value)
    if origin in (Sequence, tuple):
        return _all_taken(name, value, typing.get_args(kind))
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise TypeError(f"{name}: expected a dictionary, got {shown(value)}")
        inside = typing.get_args(kind)[1]
        return {key: taken(f"{name}[{key!r}]", each, inside) for key, each in value.items()}
    if origin in (typing.Union, types.UnionType):
        return _one_taken(name, value, typing.get_args(kind))
    if kind is Tensor:
        return _tensor_taken(name, value)
    if kind is float and name in _UNBOUNDED and isinstance(value, float) and value == math.inf:
        return value
    if kind is int and name == "seed":
        return as_seed(value)
    if kind is float and name in _POSITIVE:
        return check_positive(name, value)
    if kind in _CHECKS or origin is Callable:
        return _CHECKS[origin or kind](name, value)
    if isinstance(kind, type) and kind not in (object, Any):
        return _instance(name, value, (kind,))
    return value


def _tensor_taken(name: str, value: Any) -> Tensor:
    if name == "images":
        return check_images(value, pixels=True)
    x = as_tensor(value, name)
    if name == "t" and not x.numel():  # Places along a way: there may be none.
        return x
    numbers = as_numbers(name, x)
    return x if x.is_floating_point() else numbers  # With its gradients.


def _one_taken(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    """A value of one of several kinds."""
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    several = [kind for kind in kinds if typing.get_origin(kind) is Sequence]
    if several and len(kinds) == 2:  # One of them, or a list of them.
        is_list = hasattr(value, "__iter__") and not isinstance(value, str)
        kinds = tuple(kind for kind in kinds if (kind in several) == is_list)
    if len(kinds) == 1:
        return taken(name, value, kinds[0])
    has_numbers = {int, float, Tensor}.intersection(kinds)
    return value if has_numbers else _instance(name, value, kinds)


def _instance(name: str, value: Any, kinds: tuple[Any, ...]) -> Any:
    kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)
    if not isinstance(value, kinds):
        hint = f"; make one of it first: {value.__name__}(...)" if isinstance(value, type) else ""
        named = " or a ".join("word" if kind is str else kind.__name__ for kind in kinds)
        raise TypeError(f"{name}: expected a {named}, got {shown(value)}{hint}")
    return value


def _all_taken(name: str, values: Any, kinds: tuple[Any, ...]) -> Sequence[Any]:
    """A list of one kind, or of one entry of each kind."""
    entries = as_list(name, values)
    if len(kinds) == 1 or kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(entries)
    if len(entries) != len(kinds):
        raise ValueError(f"{name}: expected {len(kinds)} entries, got {shown(values)}")
    checked = [taken(name, value, kind) for value, kind in zip(entries, kinds, strict=True)]
    return tuple(checked) if isinstance(values, tuple) else checked

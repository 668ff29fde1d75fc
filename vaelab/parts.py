"""What every part of a model has in common: it remembers the call that made it.

A `Call` is that memory: a class or a function, and its arguments by name, in which other parts are
calls again. From it a part is copied, sent to another process, and described in a file. The file
holds an *account*: plain data in which classes and functions are names.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar, ParamSpec, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import nn

P = ParamSpec("P")
R = TypeVar("R", bound="Part")


class _Signature:
    """The signature of `__init__`, which `Part.__new__` would hide from `help` and from editors."""

    def __get__(self, instance: Any, owner: type) -> inspect.Signature:
        signature = inspect.signature(owner.__init__)
        return signature.replace(parameters=list(signature.parameters.values())[1:])


class Part:
    """Base of everything that a model is made of: it remembers the arguments of its constructor.

    A class derived from it is saved, loaded, copied and pickled without further code, as long as
    its arguments are plain data (numbers, words, None, sequences and dictionaries of them) or other
    parts.
    """

    __signature__ = _Signature()
    is_recorded: ClassVar = True
    forgets: ClassVar[tuple[str, ...]] = ()  # Arguments that matter until it is fitted: not saved
    # with it, but with an estimator that is to fit a part like it.
    _call: tuple[Callable[..., Any], tuple, dict]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        part = super().__new__(cls)
        object.__setattr__(part, "_call", (cls, args, kwargs))
        return part

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        state: Any = self.__getstate__()  # Without what torch compiled of it.
        for name, value in state.items():
            twin.__dict__[name] = copy.deepcopy(value, memo)
        return twin


class Recorded(Protocol):
    """What remembers the call that made it: a `Part`, or an estimator."""

    forgets: ClassVar[tuple[str, ...]]

    @property
    def _call(self) -> tuple[Callable[..., Any], tuple, dict]: ...


class StepSizes(Protocol):
    """What a part may ask of the plan of training, `vaelab.training.Plan`."""

    @property
    def lr(self) -> float:
        """Adam's step size at the start."""
        ...

    @property
    def gamma_lr(self) -> float:
        """Factor on it for log γ."""
        ...


class Module(Part, nn.Module):
    """A part with parameters, or made of parts that have some."""

    def step(self, plan: StepSizes) -> dict[str, Any] | None:
        """How its parameters are stepped: options of Adam (`lr`, `betas`, `weight_decay`) that
        differ from the plan's. None, unless a part says otherwise: as the part that it belongs to.
        """
        return None

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickle as call, state and attributes: layers with spectral norm allow nothing else."""
        plain = {
            name: {k: v for k, v in vars(each).items() if k[0] != "_" and not callable(v)}
            for name, each in self.named_modules()
        }
        learned = {name for name, p in self.named_parameters() if p.requires_grad}
        return _remake, (call_of(self), self.state_dict(), learned, plain)


class UnknownPart(LookupError):
    """An account names a class or a function that is not at hand; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"unknown part {name!r}")
        self.name = name


def recorded(function: Callable[P, R]) -> Callable[P, R]:
    """Let what a function builds remember the call of the function: for one that makes `Networks`.

    >>> from vaelab import networks
    >>> call_of(networks.mlp(3, latent_dim=2)).maker is networks.mlp
    True
    """

    @functools.wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> R:
        part = function(*args, **kwargs)
        object.__setattr__(part, "_call", (build, args, kwargs))
        return part

    vars(build)["is_recorded"] = True
    return build


@dataclass(eq=False)
class Call:
    """The call of a class or a function that makes a part.

    Args:
        maker: the class or function.
        arguments: by name; those that are parts are calls.
    """

    maker: Callable[..., Any]
    arguments: dict[str, Any]

    def make(self, made: dict[int, Any] | None = None) -> Any:
        """Make the part; an argument that stands in two places is made once."""
        made = {} if made is None else made
        if id(self) not in made:
            arguments = _each(self.arguments, Call, lambda call: call.make(made))
            made[id(self)] = self.maker(**arguments)
        return made[id(self)]


def call_of(part: Recorded, seen: dict[int, Call] | None = None) -> Call:
    """The call that made a part, and those of the parts among its arguments.

    Raises:
        TypeError: a constructor with `*args`, whose arguments have no names.
    """
    forgets = part.forgets if seen is None else ()  # What is asked for, not its arguments.
    seen = {} if seen is None else seen
    if id(part) not in seen:
        maker, args, kwargs = part._call
        signature = inspect.signature(maker)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments: dict[str, Any] = {}
        for name, value in bound.arguments.items():
            kind = signature.parameters[name].kind
            if kind == inspect.Parameter.VAR_KEYWORD:
                arguments |= value
            elif kind != inspect.Parameter.VAR_POSITIONAL:
                arguments[name] = value
            elif value:
                raise TypeError(f"{maker.__name__}: expected arguments with names, got *{name}")
        kept = {name: value for name, value in arguments.items() if name not in forgets}
        seen[id(part)] = Call(maker, _each(kept, Part, lambda other: call_of(other, seen)))
    return seen[id(part)]


def _each(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    """`value` with everything in it that is of a kind changed."""
    if isinstance(value, kind):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_each(item, kind, change) for item in value)
    if type(value) is dict:
        return {key: _each(item, kind, change) for key, item in value.items()}
    return value


def _remake(
    call: Call,
    state: dict[str, torch.Tensor],
    learned: set[str],
    plain: dict[str, dict[str, Any]],
) -> nn.Module:
    # The first weights are drawn, and then replaced.
    with torch.random.fork_rng(devices=[]), to_be_filled():
        part = call.make()
    fill(part, state)
    for name, each in part.named_modules():
        vars(each).update(plain[name])
    for name, parameter in part.named_parameters():
        parameter.requires_grad_(name in learned)
    return part


_filled: ContextVar[bool] = ContextVar("filled", default=False)


@contextlib.contextmanager
def to_be_filled() -> Iterator[None]:
    """Say of parts made inside that their tensors come from elsewhere: see `is_to_be_filled`."""
    token = _filled.set(True)
    try:
        yield
    finally:
        _filled.reset(token)


def is_to_be_filled() -> bool:
    """Whether a part need not read weights that were trained, as the tensors of a file or of a
    pickle will take their place.
    """
    return _filled.get()


def changed(part: Module) -> str | None:
    """What was changed of a part after it was made, so that `rebuild` would make another: the first
    attribute called as an argument whose plain value is another than it was.
    """
    with torch.random.fork_rng(devices=[]), to_be_filled():
        twins = dict(call_of(part).make().named_modules())
    for place, each in part.named_modules():
        for name in inspect.signature(type(each)).parameters if isinstance(each, Part) else ():
            now, made = (vars(one).get(name) for one in (each, twins.get(place, each)))
            if isinstance(now, (bool, int, float, str, tuple)) and now != made:
                return f"{'.'.join(filter(None, (place, name)))} is {now!r}, and was {made!r}"
    return None


def fill(module: nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Give a module the tensors of `state`, in the precision and on the device that they have.

    Raises:
        RuntimeError: other names or shapes.
    """
    for name, tensor in module.state_dict(keep_vars=True).items():
        if name in state:
            tensor.data = tensor.data.to(state[name])
    module.load_state_dict(state)


# ---- accounts: calls as plain data
# ----------------------------------------------------------------


def account(part: Recorded) -> dict[str, Any]:
    """A part as plain data, from which `rebuild` makes one like it, with new first weights.

    Raises:
        TypeError: an argument that a file cannot hold, such as a module or a lambda.

    >>> from vaelab import likelihoods
    >>> account(likelihoods.Gaussian(0.1))["part"]
    'likelihoods.Gaussian'
    """
    return _describe(call_of(part), [])


def _describe(call: Call, met: list[Call]) -> dict[str, Any]:
    if call in met:
        return {"same": met.index(call)}
    met.append(call)
    name = public_name(call.maker)

    def described(value: Any, where: str) -> Any:
        if isinstance(value, Call):
            return _describe(value, met)
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return {"dict": {k: plain(v, f"{where}[{k!r}]", described) for k, v in value.items()}}
        if isinstance(value, (type, FunctionType)) and value.__name__.isidentifier():
            return {"maker": public_name(value)}
        kind = "networks made by hand" if isinstance(value, nn.Module) else type(value).__name__
        raise TypeError(
            f"{where}: a file cannot hold {kind}; expected plain data (numbers, words, sequences) "
            "or parts. Build it inside a class of your own, or in a function under "
            "@networks.recorded, whose arguments are plain"
        )

    arguments = call.arguments.items()
    return {
        "part": name,
        "with": {key: plain(value, f"{key} of {name}", described) for key, value in arguments},
    }


def plain(value: Any, where: str, other: Callable[[Any, str], Any]) -> Any:
    """A value as JSON holds it: numbers, words and None, lists for sequences and arrays.

    Args:
        value: anything.
        where: what a message calls it.
        other: called with all that is none of these, and where it is; it converts it or raises.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist(), where, other)
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]", other) for i, item in enumerate(value)]
    return other(value, where)


def as_data(value: Any, where: str) -> Any:
    """What a caller hands over, as JSON holds it: dictionaries and tensors too.

    Raises:
        TypeError: something that JSON cannot hold, by its place.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v, f"{where}[{k!r}]", as_data) for k, v in value.items()}
    if isinstance(value, torch.Tensor):
        return plain(value.tolist(), where, as_data)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(
        f"{where}: expected plain data (numbers, words, lists, dictionaries), got "
        f"{type(value).__name__}; convert it first. Nothing was written"
    )


def public_name(maker: Callable[..., Any]) -> str:
    """How a file names a class or function: with its room if it is one of the package's.

    >>> from vaelab import networks
    >>> public_name(networks.mlp)
    'networks.mlp'
    """
    home, _, room = maker.__module__.partition(".")
    return f"{room.split('.')[0]}.{maker.__name__}" if home == "vaelab" else maker.__name__


def rebuild(account: Mapping[str, Any], makers: Mapping[str, Callable[..., Any]]) -> Any:
    """Make a part from its account.

    Args:
        account: what `account` gave, perhaps read from a file.
        makers: the classes and functions that it may name. No other name is looked up anywhere.

    Raises:
        UnknownPart: an account that names none of these.
        ValueError: no account.
    """
    return _read(account, makers, []).make()


def _read(account: Any, makers: Mapping[str, Callable[..., Any]], met: list[Call | None]) -> Call:
    if not isinstance(account, Mapping) or {"part", "with"} != set(account):
        raise ValueError(f"expected the account of a part, got {str(account)[:80]}")
    number = len(met)
    met.append(None)  # Until its arguments are read: none of them can be the part itself.

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(argument(item) for item in value)
        if not isinstance(value, Mapping):
            return value
        if set(value) == {"same"}:
            number = value["same"]
            call = met[number] if type(number) is int and 0 <= number < len(met) else None
            if call is None:
                raise ValueError(
                    f"expected the number of a part that stands before it, got {number!r}"
                )
            return call
        if set(value) == {"maker"}:
            return _named(value["maker"], makers)
        if set(value) == {"dict"}:
            return {key: argument(item) for key, item in value["dict"].items()}
        return _read(value, makers, met)

    maker = _named(account["part"], makers)
    call = Call(maker, {key: argument(item) for key, item in account["with"].items()})
    met[number] = call
    return call


def _named(name: Any, makers: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if name not in makers:
        raise UnknownPart(str(name))
    return makers[name]

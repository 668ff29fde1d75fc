"""What every part of a model has in common: it remembers the call that made it.

A `Call` is that memory: a class or a function, and its arguments by name, in which other parts are
calls again. From it a part is copied, sent to another process, and described in a file. The file
holds an *account*: plain data in which classes and functions are names.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, ParamSpec, Protocol, Self, TypeVar

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

    A class derived from it is saved, loaded, copied and pickled without code of its own, as long as
    its arguments are plain data (numbers, words, None, sequences and dictionaries of them) or other
    parts.
    """

    __signature__ = _Signature()
    forgets: ClassVar[tuple[str, ...]] = ()  # Arguments that matter until it is fitted: not saved.
    _call: tuple[Callable[..., Any], tuple, dict]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        part = super().__new__(cls)
        object.__setattr__(part, "_call", (cls, args, kwargs))
        return part

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        for name, value in vars(self).items():
            twin.__dict__[name] = copy.deepcopy(value, memo)
        return twin


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
        """Pickle as call and state: layers with spectral norm allow nothing else."""
        plain = {name: value for name, value in vars(self).items() if not name.startswith("_")}
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
            arguments = {name: _made(value, made) for name, value in self.arguments.items()}
            made[id(self)] = self.maker(**arguments)
        return made[id(self)]


def call_of(part: Part, seen: dict[int, Call] | None = None) -> Call:
    """The call that made a part, and those of the parts among its arguments.

    Raises:
        TypeError: a constructor with `*args`, whose arguments have no names.
    """
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
        call = Call(maker, {})
        seen[id(part)] = call
        call.arguments = {
            k: _called(v, seen) for k, v in arguments.items() if k not in part.forgets
        }
    return seen[id(part)]


def _called(value: Any, seen: dict[int, Call]) -> Any:
    if isinstance(value, Part):
        return call_of(value, seen)
    if isinstance(value, (list, tuple)) and any(isinstance(item, Part) for item in value):
        return tuple(_called(item, seen) for item in value)
    return value


def _made(value: Any, made: dict[int, Any]) -> Any:
    if isinstance(value, Call):
        return value.make(made)
    if isinstance(value, tuple):
        return tuple(_made(item, made) for item in value)
    return value


def _remake(
    call: Call, state: dict[str, torch.Tensor], learned: set[str], plain: dict[str, Any]
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # The first weights are drawn, and then replaced.
        part = call.make()
    for name, value in plain.items():
        setattr(part, name, value)
    for name, tensor in part.state_dict(keep_vars=True).items():
        tensor.data = state[name].clone()
    for name, parameter in part.named_parameters():
        parameter.requires_grad_(name in learned)
    return part.train(part.training)


# ---- accounts: calls as plain data
# ----------------------------------------------------------------


def account(part: Part) -> dict[str, Any]:
    """A part as plain data, from which `rebuild` makes its like, with first weights of its own.

    Raises:
        TypeError: an argument that a file cannot hold, such as a module or a function.

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
    return {
        "part": name,
        "with": {
            key: _plain(value, f"{key} of {name}", met) for key, value in call.arguments.items()
        },
    }


def _plain(value: Any, where: str, met: list[Call]) -> Any:
    if isinstance(value, Call):
        return _describe(value, met)
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if hasattr(value, "tolist") and not isinstance(value, torch.Tensor):  # NumPy's.
        return _plain(value.tolist(), where, met)
    if isinstance(value, (list, tuple)):
        return [_plain(item, where, met) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _plain(item, where, met) for key, item in value.items()}}
    kind = "networks made by hand" if isinstance(value, nn.Module) else type(value).__name__
    raise TypeError(
        f"{where}: a file cannot hold {kind}; expected plain data (numbers, words, sequences) or "
        "parts. Build it inside a class of your own, or in a function under @networks.recorded, "
        "whose arguments are plain"
    )


def public_name(maker: Callable[..., Any]) -> str:
    """How a file names a class or function: with its room where it is the package's own.

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


def _read(account: Any, makers: Mapping[str, Callable[..., Any]], met: list[Call]) -> Call:
    if not isinstance(account, Mapping) or not {"part", "with"} == set(account):
        raise ValueError(f"expected the account of a part, got {str(account)[:80]}")
    if account["part"] not in makers:
        raise UnknownPart(str(account["part"]))
    call = Call(makers[account["part"]], {})
    met.append(call)
    call.arguments = {key: _argument(item, makers, met) for key, item in account["with"].items()}
    return call


def _argument(value: Any, makers: Mapping[str, Callable[..., Any]], met: list[Call]) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_argument(item, makers, met) for item in value)
    if not isinstance(value, Mapping):
        return value
    if "same" in value:
        return met[value["same"]]
    if "dict" in value:
        return {key: _argument(item, makers, met) for key, item in value["dict"].items()}
    return _read(value, makers, met)

"""A fitted estimator as what a folder holds: a model, a density, tensors, and plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.densities import Density
from vaelab.models import Autoencoder
from vaelab.parts import Part, UnknownPart, account, public_name, rebuild

_KINDS = {"array": lambda t: t.numpy(), "number": lambda t: t.numpy()[()], "tensor": lambda t: t}


@dataclass(frozen=True)
class FittedState:
    """Everything that makes a fitted estimator, apart from its class.

    Args:
        model, density: as fitted.
        record: plain data: its class and arguments, and the kinds or values of what it has learned.
        tensors: arrays that it has learned, by name.
    """

    model: Autoencoder
    density: Density
    record: dict[str, Any]
    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, estimator: Any) -> FittedState:
        """Take a fitted estimator apart."""
        tensors: dict[str, Tensor] = {}
        fitted = {}
        for name, value in vars(estimator).items():
            is_learned = name.endswith("_") or name.startswith("_")
            if is_learned and name not in ("model_", "density_"):
                fitted[name] = _taken_apart(name, value, tensors)
        arguments = estimator.get_params(deep=False)
        if not isinstance(arguments["random_state"], (int, np.integer, type(None))):
            arguments["random_state"] = None  # A generator, which has moved on.
        record = {
            "part": public_name(type(estimator)),
            "with": {name: _argument(name, value) for name, value in arguments.items()},
            "fitted": fitted,
        }
        return cls(estimator.model_, estimator.density_, record, tensors)

    def estimator(self, makers: Mapping[str, Callable[..., Any]]) -> Any:
        """Put it together again.

        Raises:
            UnknownPart: a class or function that is not among `makers`.
        """
        from vaelab import estimators

        own = {f"estimators.{name}": getattr(estimators, name) for name in estimators.__all__}
        known = {**makers, **own}
        arguments = {name: _given(value, known) for name, value in self.record["with"].items()}
        made = _known(self.record["part"], known)(**arguments)
        for name, value in self.record["fitted"].items():
            setattr(made, name, _put_together(name, value, self.tensors))
        made.model_ = self.model
        made.density_ = self.density
        return made


def _taken_apart(name: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """A learned attribute as plain data; arrays go to `tensors`."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"kind": "tensor"}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {"kind": "names", "values": value.tolist()}
    if isinstance(value, (np.ndarray, np.generic)):
        tensors[name] = torch.from_numpy(np.array(value))
        return {"kind": "array" if isinstance(value, np.ndarray) else "number"}
    if isinstance(value, dict):
        parts = {key: _taken_apart(f"{name}.{key}", item, tensors) for key, item in value.items()}
        return {"kind": "dict", "parts": parts}
    if isinstance(value, torch.dtype):
        return {"kind": "dtype", "name": str(value).removeprefix("torch.")}
    return {"kind": "plain", "value": value}


def _put_together(name: str, packed: dict[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    kind = packed["kind"]
    if kind in _KINDS:
        return _KINDS[kind](tensors[name])
    if kind == "names":
        return np.array(packed["values"], dtype=object)
    if kind == "dict":
        parts = packed["parts"].items()
        return {key: _put_together(f"{name}.{key}", item, tensors) for key, item in parts}
    if kind == "dtype":
        return {"float32": torch.float32, "float64": torch.float64}[packed["name"]]
    value = packed["value"]
    return tuple(value) if isinstance(value, list) else value


def _argument(name: str, value: Any) -> Any:
    if isinstance(value, Part):
        return {"account": account(value)}
    if callable(value):
        return {"maker": public_name(value)}
    if isinstance(value, Mapping):
        return {"dict": {key: _argument(f"{name}[{key!r}]", item) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_argument(name, item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{name}: a file cannot hold {type(value).__name__}; give plain data or parts")


def _given(value: Any, known: Mapping[str, Callable[..., Any]]) -> Any:
    if isinstance(value, list):
        return tuple(_given(item, known) for item in value)
    if not isinstance(value, Mapping):
        return value
    if "account" in value:
        return rebuild(value["account"], known)
    if "maker" in value:
        return _known(value["maker"], known)
    return {key: _given(item, known) for key, item in value["dict"].items()}


def _known(name: str, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if name not in known:
        raise UnknownPart(str(name))
    return known[name]

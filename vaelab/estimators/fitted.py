"""What an estimator has learned, beside model and density, as what a folder holds: plain data, and
tensors by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def taken_apart(name: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """A learned attribute as plain data, from which `put_together` makes it again.

    Args:
        name: of the attribute.
        value: a tensor, an array, a dictionary of such, or plain data.
        tensors: where tensors and arrays are put.
    """
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {"names": value.tolist()}
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(np.array(value))
        return {"array": name}
    if isinstance(value, dict):
        items = value.items()
        return {"dict": {key: taken_apart(f"{name}.{key}", item, tensors) for key, item in items}}
    if isinstance(value, tuple):
        return {"tuple": list(value)}
    return value


def put_together(record: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `taken_apart` took apart."""
    if not isinstance(record, dict):
        return record
    [(kind, content)] = record.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    if kind == "names":
        return np.array(content, dtype=object)
    if kind == "tuple":
        return tuple(content)
    return {key: put_together(item, tensors) for key, item in content.items()}

"""The door through which arrays come in: finite numbers, and rows of one dimension."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vaelab import _arrays
from vaelab._arrays import as_tensor

_LIMITS = {torch.float64: 1e70, torch.float32: 1e15}  # Products of variances stay finite.


def as_numbers(name: str, values: Any, dtype: torch.dtype | None = torch.float64) -> Tensor:
    """`_arrays.as_numbers`, of numbers so small that what is measured is finite, too.

    Raises:
        ValueError: larger ones.
    """
    x = _arrays.as_numbers(name, values, dtype)
    limit, largest = _LIMITS.get(x.dtype, math.inf), x.abs().max()
    if largest > limit:
        raise ValueError(
            f"{name}: expected numbers up to {limit:g}, whose squares can be computed with, got "
            f"{largest:.4g}; rescale them"
        )
    return x


def as_rows(*samples: Any) -> list[Tensor]:
    """The samples as float64 tensors (n, κ) without gradients; images are flattened.

    Raises:
        ValueError: fewer than two rows, NaN or infinite values, samples of several dimensions.
    """
    rows = []
    for sample in samples:
        x = as_tensor(sample, "sample")
        if x.ndim < 2 or len(x) < 2:
            raise ValueError(
                f"expected a sample (n, κ) of at least 2 rows, got shape {tuple(x.shape)}"
            )
        rows.append(as_numbers("sample", x).flatten(1))
    if len({x.shape[1] for x in rows}) > 1:
        raise ValueError(
            f"expected samples of one dimension, got {' and '.join(str(x.shape[1]) for x in rows)}"
        )
    return rows

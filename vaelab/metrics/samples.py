"""The door through which arrays come in: finite numbers, and rows of one dimension."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vaelab._arrays import as_tensor


def as_numbers(name: str, values: Any, dtype: torch.dtype | None = torch.float64) -> Tensor:
    """The values as a floating-point tensor without gradients, of any shape.

    Args:
        name: what an error calls them.
        values: numbers, an array or a tensor.
        dtype: of the result; None keeps a floating one, and makes whole numbers torch's default.

    Raises:
        TypeError: complex numbers.
        ValueError: no values, or NaN or infinite ones.
    """
    x = as_tensor(values, name).detach()
    if x.is_complex():
        raise TypeError(f"{name}: expected real numbers, got {x.dtype}")
    if dtype is None:
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    x = x.to(dtype)
    if not x.numel():
        raise ValueError(f"{name}: expected at least one value, got shape {tuple(x.shape)}")
    if not x.isfinite().all():
        bad = int((~x.isfinite()).sum())
        raise ValueError(
            f"{name}: expected finite numbers, but it holds NaN or infinite values ({bad} of "
            f"{x.numel()}); remove or repair them"
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

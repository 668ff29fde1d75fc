"""The door through which arrays come in: finite numbers, and rows of one dimension."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vaelab._arrays import as_numbers, as_tensor


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

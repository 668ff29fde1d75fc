"""Rows of a data set that need not fit into memory, as an estimator sees them: as numbers of its
own precision, with what it must know of all of them found in one pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from vaelab._arrays import Rows, as_rows
from vaelab._inputs import check_rows

AT_ONCE = 1000
MOST = 2**24  # The whole number up to which float32 holds every one.


def stream_of(X: Any) -> Rows | None:
    """The rows of an `np.memmap`, a map-style `Dataset` or a `DataLoader`, as floating-point
    numbers; None for what lies in memory.

    Raises:
        TypeError, ValueError: what `vaelab._arrays` refuses; one row alone, or rows that are
            neither vectors nor images.
    """
    on_disk = isinstance(X, np.memmap) and getattr(X, "_mmap", None) is not None
    if not (on_disk or isinstance(X, (Rows, data.Dataset, data.DataLoader))):
        return None
    rows = as_rows(X, "X")
    if not isinstance(rows, Rows):
        return None
    if rows.ndim not in (2, 4) or len(rows) < 1:
        raise ValueError(
            "X: expected rows (n, d) or images (n, channels, height, width), got "
            f"{tuple(rows.shape)}"
        )
    dtype = rows.dtype if rows.dtype in (torch.float32, torch.float64) else torch.float32
    return mapped(rows, dtype, lambda x: _floating(x, dtype))


def _floating(x: Tensor, dtype: torch.dtype) -> Tensor:
    if not x.is_floating_point() and (x.double().abs() > MOST).any():
        raise ValueError(
            "X: expected whole numbers up to 2²⁴, which float32 holds exactly, got "
            f"{x.double().abs().max():.0f}; write the file as float64"
        )
    return x.to(dtype)


def mapped(rows: Rows, dtype: torch.dtype, f: Callable[[Tensor], Tensor]) -> Rows:
    """The same rows, each put through `f` when it is read; finite ones, or an error."""
    changed = Rows(rows.shape, dtype, lambda numbers: f(rows[numbers]))
    return cast(Rows, check_rows(changed))


@dataclass(frozen=True)
class Moments:
    """What is known of rows after one pass; in float64, where they are read as they are asked for.

    Args:
        mean: of each column, shape of a row.
        columns: standard deviation of each column.
        overall: that of all numbers about the columns' means.
        low, high: of each column.
    """

    mean: Tensor
    columns: Tensor
    overall: float
    low: Tensor
    high: Tensor

    def ends(self) -> Tensor:
        """The range of each column of vectors, or of all numbers of images, lowest first."""
        ends = torch.stack([self.low, self.high])
        return ends if ends.ndim == 2 else torch.stack([ends[0].min(), ends[1].max()])


def moments(rows: Tensor | Rows) -> Moments:
    """Mean, spread and range of rows; of a stream, read once, sums are kept about the first rows'
    mean.
    """
    if isinstance(rows, Tensor):
        mean = rows.mean(0)
        overall = float((rows - mean).std())
        return Moments(mean, rows.std(0), overall, rows.amin(0), rows.amax(0))
    centre = rows[:100].double().mean(0)
    total, squares = torch.zeros_like(centre), torch.zeros_like(centre)
    low, high = torch.full_like(centre, torch.inf), torch.full_like(centre, -torch.inf)
    for part in rows.split(AT_ONCE):
        away = part.double() - centre
        total, squares = total + away.sum(0), squares + away.square().sum(0)
        low, high = torch.minimum(low, part.amin(0)), torch.maximum(high, part.amax(0))
    n = len(rows)
    about_mean = (squares - total.square() / n).clamp_min(0)
    overall = float((about_mean.sum() / (n * centre.numel() - 1)).sqrt())
    return Moments(centre + total / n, (about_mean / max(n - 1, 1)).sqrt(), overall, low, high)

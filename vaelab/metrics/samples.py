"""What is asked of every sample: finite rows of one dimension."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def as_rows(*samples: Any) -> list[Tensor]:
    """The samples as float64 tensors (n, κ) without gradients; images are flattened.

    Raises:
        ValueError: fewer than two rows, NaN or infinite values, samples of several dimensions.
    """
    out = [torch.as_tensor(s).detach().double() for s in samples]
    out = [x.flatten(1) if x.ndim > 2 else x for x in out]
    for x in out:
        if x.ndim != 2 or len(x) < 2:
            raise ValueError(
                f"expected a sample (n, κ) of at least 2 rows, got shape {tuple(x.shape)}"
            )
        if not torch.isfinite(x).all():
            raise ValueError("a sample holds NaN or infinite values; expected finite rows")
    if len({x.shape[1] for x in out}) > 1:
        raise ValueError(
            f"expected samples of one dimension, got {' and '.join(str(x.shape[1]) for x in out)}"
        )
    return out

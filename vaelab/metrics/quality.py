"""What torchmetrics measures for us in given features: kernel distance (KID) and Inception
score.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch
from torch import nn

from vaelab._inputs import check_positive_int, check_seed
from vaelab.metrics.samples import as_rows


def kernel_distance(
    x: Any, y: Any, n_subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The squared MMD of features with the kernel (1 + ⟨a, b⟩/κ)³, over random subsets: KID in
    Inception's features.

    Computed by torchmetrics (extra `metrics`).

    Source: Bińkowski et al. (2018), Section 4.

    Args:
        x, y: features (n, κ) and (m, κ).
        n_subsets, subset_size: of the rows; a subset has no more rows than the smaller sample.
        seed: of the subsets.

    Returns:
        Mean and standard deviation over the subsets.

    Raises:
        ValueError: fewer than one subset or two rows a subset; samples of two dimensions, of fewer
            than two rows, or not finite.
    """
    x, y = as_rows(x, y)
    n_subsets = check_positive_int("n_subsets", n_subsets)
    subset_size = check_positive_int("subset_size", subset_size)
    if subset_size < 2:
        raise ValueError("subset_size: expected at least 2 rows, one has no pairs")
    options = {"subsets": n_subsets, "subset_size": min(subset_size, len(x), len(y))}
    metric = _metric("kid", "KernelInceptionDistance", x.shape[1], options)
    metric.set_dtype(torch.float64)
    metric.update(x, real=False)
    metric.update(y, real=True)
    return _computed(metric, seed)


def inception_score(logits: Any, n_splits: int = 10, seed: int = 0) -> tuple[float, float]:
    """exp of the mean KL from p(class given image) to its mean over images: ≥ 1, at most the number
    of classes.

    Computed by torchmetrics (extra `metrics`); with the logits of Inception it is the Inception
    score.

    Source: Salimans et al. (2016), Section 4.

    Args:
        logits: (n, classes).
        n_splits: parts of the images, ≥ 2, in random order, each with its own mean.
        seed: of the order.

    Returns:
        Mean and standard deviation over the parts.
    """
    (logits,) = as_rows(logits)
    if not 2 <= check_positive_int("n_splits", n_splits) <= len(logits):
        raise ValueError(
            f"n_splits: expected at least 2 and at most {len(logits)} rows, got {n_splits}"
        )
    # Where every image of a part rules a class out to the last bit, 0 log 0 would be NaN.
    logits = (logits - logits.amax(1, keepdim=True)).clamp(min=-600)
    options = {"splits": n_splits}
    metric = _metric("inception", "InceptionScore", logits.shape[1], options)
    metric.update(logits)
    return _computed(metric, seed)


class _Given(nn.Identity):
    """A feature extractor for torchmetrics that is given features."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.num_features = n_features


def _metric(module: str, name: str, n_features: int, options: dict[str, int]) -> Any:
    """A metric of torchmetrics, without its warning that it keeps what it is given."""
    try:
        home = importlib.import_module(f"torchmetrics.image.{module}")
    except ImportError as error:
        raise ImportError(
            f"this measure needs torchmetrics ({error}); pip install 'vaelab[metrics]'"
        ) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
        return getattr(home, name)(_Given(n_features), **options)


def _computed(metric: Any, seed: int) -> tuple[float, float]:
    seed = check_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        mean, spread = metric.compute()
    return mean.item(), spread.item()

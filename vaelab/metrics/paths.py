"""Measures of a latent space by what lies along and across it: separability, evenness of steps,
nearest neighbours, diversity.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from vaelab._inputs import check_seed
from vaelab.metrics.coverage import nearest
from vaelab.metrics.samples import as_numbers, as_rows


def conditional_entropy(predicted: Any, actual: Any) -> float:
    """H(actual | predicted) in bits: what a prediction of yes or no leaves open of the truth.

    Args:
        predicted, actual: zeros and ones, shape (n,).

    >>> conditional_entropy([0, 0, 1, 1], [0, 0, 1, 1]), conditional_entropy([0, 0], [0, 1])
    (0.0, 1.0)
    """
    x, y = as_numbers("predicted", predicted).bool(), as_numbers("actual", actual).bool()
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"expected two lists of one length, got {x.shape} and {y.shape}")
    bits = 0.0
    for group in (y[x], y[~x]):
        share = group.double().mean().nan_to_num().item()  # None where nothing is predicted so.
        bits -= len(group) / len(y) * sum(p * math.log2(p) for p in (share, 1 - share) if p)
    return bits


def separability(z: Any, attributes: Any, seed: int = 0) -> tuple[float, Tensor]:
    """How much of each attribute a linear boundary in latent space leaves open, lower is better:
    exp Σ_i H(attribute i | side of the boundary), and the H_i in bits.

    The boundary is a linear support vector machine's on standardised codes.

    Source: Karras, Laine & Aila (2019), Section 4.2, with the classifier's surer half of the
    samples chosen by the caller.

    Args:
        z: codes (n, κ).
        attributes: zeros and ones, shape (n, m), each with both among the rows.
        seed: of the machine.

    Returns:
        The score, and H_i, shape (m,).

    Raises:
        ValueError: shapes that differ, or an attribute without both values.
    """
    from sklearn.svm import LinearSVC

    (codes,) = as_rows(z)
    wanted = as_numbers("attributes", attributes).bool().cpu()
    if wanted.ndim != 2 or len(wanted) != len(codes):
        raise ValueError(f"attributes: expected ({len(codes)}, m), got {tuple(wanted.shape)}")
    constant = (wanted.all(0) | ~wanted.any(0)).nonzero().flatten().tolist()
    if constant:
        raise ValueError(f"attributes: expected both values of each, {constant} are constant")
    spread = codes.std(0).clamp(min=torch.finfo(codes.dtype).tiny)
    rows = ((codes - codes.mean(0)) / spread).cpu().numpy()
    machine = LinearSVC(dual=cast(Any, False), random_state=check_seed(seed))
    bits = []
    for column in wanted.T:
        side = machine.fit(rows, column.numpy()).predict(rows)
        bits.append(conditional_entropy(side, column))
    found = torch.tensor(bits)
    return math.exp(found.sum().item()), found.double()


def step_variation(paths: Any) -> Tensor:
    """How uneven the steps along each path are: the coefficient of variation of their lengths.

    Args:
        paths: pictures, codes or values along n paths of T ≥ 3 points, shape (n, T, ...).

    Returns:
        Standard deviation over mean of ‖x_t+1 − x_t‖, shape (n,); 0 for even steps.

    >>> step_variation([[0.0, 1.0, 2.0], [0.0, 0.0, 2.0]]).tolist()
    [0.0, 1.0]
    """
    x = as_numbers("paths", paths, None)
    if x.ndim < 2 or x.shape[1] < 3:
        raise ValueError(f"paths: expected (n, T, ...) with T ≥ 3, got {tuple(x.shape)}")
    steps = x.reshape(*x.shape[:2], -1).diff(dim=1).norm(dim=-1)
    tiny = torch.finfo(steps.dtype).tiny  # A path that stays where it is has even steps.
    return steps.std(1, correction=0) / steps.mean(1).clamp_min(tiny)


def nearest_share(samples: Any, one: Any, other: Any) -> float:
    """The share of samples whose nearest neighbour among two sets of one size lies in `one`.

    ½ is chance only where both sets are alike: compare with the share of real images that neither
    holds.

    Raises:
        ValueError: sets of two sizes, rows of other lengths.
    """
    x, a, b = as_rows(samples, one, other)
    if len(a) != len(b):
        raise ValueError(f"expected two sets of one size, got {len(a)} and {len(b)}")
    index, _ = nearest(x, torch.cat([a, b]))
    return (index < len(a)).double().mean().item()


def diversity(features: Any) -> Tensor:
    """The mean distance between all pairs of unit feature vectors in each group, shape (g,).

    It rewards noise, too: it is told beside a measure of quality.

    Args:
        features: g groups of m ≥ 2 samples, shape (g, m, f).

    >>> diversity([[[1.0, 0.0], [0.0, 2.0]]]).item()
    1.4142135623730951
    """
    x = as_numbers("features", features, None)
    if x.ndim != 3 or x.shape[1] < 2:
        raise ValueError(f"features: expected (g, m ≥ 2, f), got {tuple(x.shape)}")
    unit = torch.nn.functional.normalize(x, dim=-1)
    m = x.shape[1]
    return torch.cdist(unit, unit).sum((1, 2)) / (m * (m - 1))

"""How much of the data samples cover, and how much of the samples is data: precision and recall,
and the nearest image to each.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor

from vaelab._inputs import check_draws, check_positive, check_positive_int, check_seed
from vaelab.metrics.distances import BLOCK, _squared_distances
from vaelab.metrics.samples import as_numbers, as_rows

_TINY = 1e-10  # The first and the last angle keep this distance from the axes, as in the code.


def precision_recall(
    x: Any, y: Any, n_clusters: int = 20, n_angles: int = 1001, n_runs: int = 10, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """The precision and the recall of samples for every weight between them: a curve (PRD).

    Both sets are sorted into clusters together, which gives two histograms, p of the data and q of
    the samples; at the angle φ, with λ = tan φ, precision is Σ_ω min(λ p_ω, q_ω) and recall is
    precision / λ.

    Source: Sajjadi et al. (2018), Algorithm 1; ten runs of k-means are averaged, as in their code.
    Samples that lie in another cluster's place count as missing, so that sets of equal sizes
    compare.

    Args:
        x: features of the samples, (n, κ).
        y: features of the data, (m, κ).
        n_clusters: k of k-means, at most n + m.
        n_angles: points of the curve.
        n_runs: of k-means.
        seed: of the runs.

    Returns:
        Precision and recall, each of shape (n_angles,), float64.

    Raises:
        ValueError: samples that do not fit, more clusters than rows, or numbers below 1.
    """
    from sklearn.cluster import MiniBatchKMeans

    x, y = as_rows(x, y)
    seed = check_seed(seed)
    check_positive_int("n_runs", n_runs)
    check_draws("n_angles", n_angles, 2)
    both = torch.cat([x, y]).cpu().numpy()
    if check_positive_int("n_clusters", n_clusters) > len(both):
        raise ValueError(f"n_clusters: expected at most {len(both)} rows, got {n_clusters}")
    slopes = torch.linspace(_TINY, math.pi / 2 - _TINY, n_angles, dtype=torch.float64).tan()
    curves = []
    for run in range(n_runs):
        random = (seed * 1009 + run) % 2**32
        means = MiniBatchKMeans(n_clusters, n_init=cast(Any, 10), random_state=random)
        labels = torch.from_numpy(means.fit_predict(both)).long()
        q = torch.bincount(labels[: len(x)], minlength=n_clusters).double() / len(x)
        p = torch.bincount(labels[len(x) :], minlength=n_clusters).double() / len(y)
        precision = torch.minimum(slopes[:, None] * p, q).sum(1)
        curves.append(torch.stack([precision, precision / slopes]))
    precision, recall = torch.stack(curves).mean(0).clamp(0, 1)
    return precision, recall


def f_score(precision: Any, recall: Any, beta: float = 1.0) -> float:
    """The largest F_β of a curve, (1 + β²) P R / (β² P + R): β > 1 weighs recall, β < 1 precision.

    Sajjadi et al. (2018) and Ghosh et al. (2020) give F_8 for recall and F_{1/8} for precision.

    >>> round(f_score([0.5, 1.0], [0.5, 0.25], beta=8), 4), f_score([0.0], [0.0])
    (0.5, 0.0)
    """
    check_positive("beta", beta)
    p, r = as_numbers("precision", precision), as_numbers("recall", recall)
    if p.shape != r.shape or min(p.min(), r.min()) < 0:
        raise ValueError(
            "precision, recall: expected as many of each, all ≥ 0, got shapes "
            f"{tuple(p.shape)} and {tuple(r.shape)}, the least {min(p.min(), r.min()):.4g}"
        )
    share = 1 / (1 + beta * beta)  # Of recall in the mean; a large β² may be infinite.
    below = (1 - share) * p + share * r
    scores = p * r / below.clamp(min=torch.finfo(below.dtype).tiny)
    return scores.max().item()


def nearest(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    """For each row of x the nearest row of y: its number and how far it is, each of shape (n,).

    Args:
        x: samples (n, κ); images are flattened.
        y: where to look, such as the training images, (m, κ).
    """
    x, y = as_rows(x, y)
    least = [_squared_distances(part, y).min(1) for part in x.split(BLOCK)]
    index = torch.cat([each.indices for each in least])
    return index, (x - y[index]).norm(dim=1)

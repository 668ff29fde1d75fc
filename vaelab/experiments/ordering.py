"""How far the rows of a column stand in the paper's order, and how sure that is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000
_ALL = 7  # Rows of which every order is looked at; of more there are too many, and some are drawn.
_ORDERS = 20_000


@dataclass(frozen=True)
class Agreement:
    """A rank correlation of measured and printed figures.

    Args:
        rho: Spearman's, of the means.
        chance: share of all orders of the rows that correlate as well or better, or of 20,000 drawn
            ones where there are more than 7 rows.
        low, high: between them lie nine tenths of the correlations of single trials, drawn as
            normal figures with each row's spread on both sides; equal to ρ where no spread is
            known.
    """

    rho: float
    chance: float
    low: float
    high: float


def agreement(
    measured: Sequence[float],
    printed: Sequence[float],
    sds: Sequence[float] | None = None,
    printed_sds: Sequence[float] | None = None,
    seed: int = 0,
) -> Agreement:
    """Rank correlation of two lists of 2 or more figures with its uncertainty.

    Args:
        measured, printed: the figures of the same rows; not all equal.
        sds, printed_sds: their standard deviations over trials; 0 unless given.
        seed: of the draws.

    >>> found = agreement([1, 2, 3, 5], [10, 20, 40, 30])
    >>> round(found.rho, 2), round(found.chance * 24)
    (0.8, 4)
    """
    x, y = np.asarray(measured, float), np.asarray(printed, float)
    rho = float(_correlations(x[None], y[None])[0])
    rng = np.random.default_rng(seed)
    if len(x) <= _ALL:
        orders = np.array(list(itertools.permutations(x)))
    else:
        orders = rng.permuted(np.tile(x, (_ORDERS, 1)), axis=1)
    chance = float((_correlations(orders, y[None]) >= rho - 1e-9).mean())
    drawn = [
        values + rng.standard_normal((_DRAWS, len(values))) * np.asarray(0.0 if s is None else s)
        for values, s in ((x, sds), (y, printed_sds))
    ]
    low, high = np.quantile(_correlations(*drawn), (0.05, 0.95))
    return Agreement(rho, chance, float(low), float(high))


def _correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Spearman's ρ of each row of x with that of y, shapes (n, rows), or (1, rows) for y."""
    from scipy.stats import rankdata

    ranks = [rankdata(values, axis=1) for values in (x, y)]
    centred = [each - each.mean(1, keepdims=True) for each in ranks]
    lengths = np.linalg.norm(centred[0], axis=1) * np.linalg.norm(centred[1], axis=1)
    return (centred[0] * centred[1]).sum(1) / lengths

"""How the step size and γ go along a training run: small frozen functions, whose repr stands in
every checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaelab._door import check_fields
from vaelab._inputs import Fraction, Positive
from vaelab.parts import Part


class _Schedule(Part):
    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class HalveEvery(_Schedule):
    """Halve the step size every so many epochs, as the paper does (150, 300 or 48 of them)."""

    epochs: int

    def __call__(self, epoch: float, epochs: int) -> float:
        """The factor at a moment of training, `epoch` of `epochs`."""
        return 0.5 ** (int(epoch) // self.epochs)


@dataclass(frozen=True)
class Cosine(_Schedule):
    """Let the step size fall to zero along half a cosine."""

    def __call__(self, epoch: float, epochs: int) -> float:
        """The factor at a moment of training, `epoch` of `epochs`."""
        return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


@dataclass(frozen=True)
class Anneal(_Schedule):
    """Let γ fall geometrically from `start` to `stop` over a share of the training, then hold it
    there.

    Start it above the top PCA eigenvalue of the data (no direction is active there, N6) and stop it
    well above the decoder's error: then the eigenvalues of Σ_z split cleanly into 0 and 1.

    >>> Anneal(1.0, 0.01, over=0.5)(0.25), Anneal(1.0, 0.01, over=0.5)(0.9)
    (0.1, 0.01)
    """

    start: Positive
    stop: Positive
    over: Fraction = 0.6

    def __call__(self, progress: float) -> float:
        """γ at a moment of training, `progress` in [0, 1]."""
        share = min(progress / self.over, 1.0)
        return self.start ** (1 - share) * self.stop**share


@dataclass(frozen=True)
class Ramp(_Schedule):
    """Let the weight of the KL rise from 0 to β along a line, over a share of the training.

    Source: "Empirical observations pertaining to learned priors for deep latent variable models",
    Section 4.1, whose "from 0 to γ" is β; 50,000 steps there.

    >>> Ramp(over=0.5)(0.25), Ramp(over=0.5)(0.9)
    (0.5, 1.0)
    """

    over: Fraction = 0.25

    def __call__(self, progress: float) -> float:
        """The factor on β at a moment of training, `progress` in [0, 1]."""
        return min(progress / self.over, 1.0)


@dataclass(frozen=True)
class Hold(_Schedule):
    """Keep γ at a value for a share of the training, then let the likelihood's own rule go on; to
    the very end, its last step too, with `until` above 1.

    Keeps a second stage from collapsing onto its prior before its decoder has learned anything.
    """

    gamma: Positive
    until: Positive = 0.5

    def __call__(self, progress: float) -> float | None:
        """γ at a moment of training, `progress` in [0, 1]; None once it is free."""
        return self.gamma if progress < self.until else None

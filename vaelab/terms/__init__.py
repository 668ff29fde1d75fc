"""What is added to −log p(x given z): latent terms, which pull q(z) into shape, and decoder terms.

A term is called with one `Pass`, which holds what a forward pass knows, and gives one value a row,
weight included. KL and ½‖z‖² look at each row alone; MMD and the adversary compare the batch of
codes with a batch drawn from the model's prior. The decoder terms are `WeightNorm`,
`GradientPenalty` and `SquaredNormPenalty`.
"""

from __future__ import annotations

from vaelab.terms.adversary import Adversary
from vaelab.terms.decoder import GradientPenalty, SquaredNormPenalty, WeightNorm
from vaelab.terms.mmd import MMD, imq
from vaelab.terms.rows import KL, SquaredNorm
from vaelab.terms.term import Pass, Term

__all__ = [
    "KL",
    "MMD",
    "Adversary",
    "GradientPenalty",
    "Pass",
    "SquaredNorm",
    "SquaredNormPenalty",
    "Term",
    "WeightNorm",
    "imq",
]

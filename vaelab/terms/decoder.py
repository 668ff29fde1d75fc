"""Decoder terms, which keep a decoder smooth: the length of its weights, and the size of its slope.

The third way, spectral normalisation, is a choice of network: `networks.spectral`.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import Weight
from vaelab.terms.term import Pass, Term


class WeightNorm(Term):
    """λ ‖θ‖² over the weights of the decoder's layers: weight decay as a term of the objective.

    Neither biases nor the scales and shifts of batch normalisation count. Every row of the batch
    has the same value.

    Source: Ghosh et al. (2020), Section 3.1, RAE-L2.

    Args:
        weight: λ ≥ 0, beside −log p(x given z).
    """

    name = "weight_norm"

    @door
    def __init__(self, weight: Weight = 1e-4) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, p: Pass) -> Tensor:
        squares = [w.square().sum() for w in p.decoder.parameters() if w.ndim > 1]
        total = functools.reduce(torch.add, squares)
        return (self.weight * total).expand(len(p.z))


class GradientPenalty(Term):
    """λ ‖∂D/∂z‖²_F at the codes, by random probes: E ‖Jᵀv‖² = ‖J‖²_F for v ~ N(0, I).

    One probe is unbiased, and costs half a step more, where all κ columns of J cost 25 steps. Its
    gradient reaches the decoder alone: the encoder has the latent term, without which the codes
    would grow and the slope shrink by as much.

    Source: Ghosh et al. (2020), Section 3.1, RAE-GP, with the norm of the paper's text; the
    estimate is Hutchinson's (1990).

    Args:
        weight: λ ≥ 0, beside −log p(x given z).
        probes: how many v a row, over which it is averaged.
    """

    name = "gradient_penalty"

    @door
    def __init__(self, weight: Weight = 1e-3, probes: int = 1) -> None:
        super().__init__()
        self.weight = weight
        self.probes = probes

    def forward(self, p: Pass) -> Tensor:
        squares = [p.pull_back(p.noise(p.x)).square().sum(1) for _ in range(self.probes)]
        return (self.weight / self.probes) * functools.reduce(torch.add, squares)


class SquaredNormPenalty(Term):
    """λ ‖∂‖D(z)‖²/∂z‖² = 4 λ ‖Jᵀ D(z)‖²: how fast the squared length of the image changes.

    It is what the authors' code has in the place of the gradient penalty, averaged there over the κ
    directions. A decoder that turns an image at constant length pays nothing for it.

    Source: the code of Ghosh et al. (2020), `models/rae/loss_functions.py`.

    Args:
        weight: λ ≥ 0, beside −log p(x given z).
    """

    name = "squared_norm_penalty"

    @door
    def __init__(self, weight: Weight = 1e-3) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, p: Pass) -> Tensor:
        slope = p.pull_back(lambda x_hat: 2 * x_hat)
        return self.weight * slope.square().sum(1)

"""The exercises of notebook 10: priors that are learned beside the autoencoder."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from vaelab import priors
from vaelab.course.exercises.exercise import (
    FIRST,
    SECOND,
    Answers,
    Draw,
    Exercise,
    Inputs,
    Slope,
    adam,
    descent,
    gradient,
    in_turn,
)
from vaelab.networks import seeded


def seen(z: Tensor, beta: Tensor) -> Answers:
    """What the prior is asked at: codes with the value of z (n, κ) and β times its gradient."""
    still = z.detach()
    return still + beta * (z - still), {
        "this has the whole gradient: where does β come in?": 1.0 * z,
        "this has the right gradient, and β times the value": beta * z,
        "this has the right value, and no gradient": still,
        "the gradient is 1 − β: which of the two parts is detached?": z + beta * (still - z),
        "the gradient is 1 + β: one z too many is not detached": z + beta * (z - still),
        "the gradient is there, and the value is lost": beta * (z - still),
        "the value is (β − 1) z: what is detached takes β along, too": beta * z - still,
        "the value is (1 + β) z: what has the gradient must have the value 0": still + beta * z,
    }


def value_and_gradient(function: Callable[..., Any], z: Tensor, beta: Tensor) -> Any:
    """The value and the gradient of what a function of codes gives."""
    z = z.clone().requires_grad_()
    result = function(z, beta)
    if not isinstance(result, Tensor):
        return result
    weights = torch.arange(1.0, 1 + z.numel(), dtype=z.dtype).view_as(z)
    return torch.stack([result.detach(), gradient((weights * result).sum(), z) / weights])


def raw_outputs(draw: Draw) -> Inputs:
    """What a coupling's network says before it is cut, (n, m)."""
    for n, m in ((4, 3), (5, 2)):
        yield (2 * draw(n, m),)


def log_det(raw: Tensor) -> Answers:
    """log|det| of the coupling (a, b) ↦ (a, exp(s) b + t) with s = 2 tanh(raw / 2), raw (n, m):
    to (n,).
    """
    s = 2 * torch.tanh(raw / 2)
    return s.sum(1), {
        "the factors exp(s) multiply, so their logarithms add: this is their mean": s.mean(1),
        "the determinant is not the sum of exp(s)": s.exp().sum(1).log(),
        "the factors exp(s) multiply, so their logarithms s add: no exp is left": s.exp().sum(1),
        "raw is not cut: s = 2 tanh(raw / 2)": raw.sum(1),
        "raw must be halved in tanh(raw / 2)": (2 * torch.tanh(raw)).sum(1),
        "both twos are missing: s = 2 tanh(raw / 2)": torch.tanh(raw).sum(1),
        "summed over the rows: each has its own determinant": s.sum(0),
    }


def same_gamma(beta: Tensor, gamma: Tensor) -> Answers:
    """The γ at which a VAE with β = 1 has the encoder and decoder of one with β and a fixed γ."""
    return beta * gamma, {
        "upside down: a small β must act like a small γ": gamma / beta,
        "this is β/γ: multiply the objective by what makes the KL's weight 1": beta / gamma,
        "γ is a variance already: no square": beta * gamma.square(),
        "β is no variance, and multiplies the KL alone: no root": beta.sqrt() * gamma,
        "γ is not left alone: β changes the balance": gamma,
    }


def squared_length(t: Tensor, kappa: Tensor) -> Answers:
    """E‖(1 − t) a + t b‖² for independent draws a, b of N(0, I) in κ dimensions."""
    right = kappa * ((1 - t) ** 2 + t**2)
    return right, {
        "this is κ, as on an arc: the shares are squared, and the mixed term has the mean 0": (
            kappa + 0 * t
        ),
        "κ is missing: every coordinate adds its variance": right / kappa,
        "this is what is taken off κ: (1 − t)² + t² = 1 − 2 t (1 − t)": kappa - right,
        "a and b are independent: there is no mixed term": kappa * (1 - 2 * t) ** 2,
        "the shares are squared: a variance grows with the square": kappa * (1 - t) * 2,
    }


def to_fit(draw: Draw) -> Inputs:
    """Codes (n,), a number of steps and a step size."""
    for n, steps, lr in ((9, 3, 0.1), (7, 5, 0.05)):
        yield 2 * draw(n) + 1, steps, lr


def descended(z: Tensor, steps: int, lr: float) -> Answers:
    """A prior N(m, exp(2s)) after so many steps of gradient descent, of size lr, on the mean of
    −log p over codes z (n,), from m = s = 0: (m, s) as a tensor of two.
    """

    def right(at: Tensor) -> Tensor:
        m, s = at
        standard = (z - m) * torch.exp(-s)
        return torch.stack([-(standard * torch.exp(-s)).mean(), 1 - standard.square().mean()])

    def after(slope: Slope) -> Tensor:
        return descent(slope, steps, lr)

    def of_log_variance(at: Tensor) -> Tensor:
        m, s = at
        squared = (z - m).square() * torch.exp(-s)
        return torch.stack([-((z - m) * torch.exp(-s)).mean(), 0.5 - 0.5 * squared.mean()])

    def ends(correction: int) -> Tensor:
        return torch.stack([z.mean(), z.std(correction=correction).log()])

    m, s = after(right)
    return after(right), {
        "this climbs: −log p is to fall": after(lambda at: -right(at)),
        "summed over the codes where their mean is asked for": after(lambda at: len(z) * right(at)),
        "the normalisation is missing: −log p has a term + s": after(lambda at: right(at) - SECOND),
        "only the mean moves": after(lambda at: FIRST * right(at)),
        "one step too few": descent(right, steps - 1, lr),
        "s must move by the slope at the old m: take both, then move both": (
            after(in_turn(right, lr))
        ),
        "−log p has ½ (z − m)²: the ½ is missing": after(lambda at: 2 * right(at) - SECOND),
        "this is (m, σ): s = log σ is asked for": torch.stack([m, s.exp()]),
        "this is (s, m): m comes first": torch.stack([s, m]),
        "here s is log σ²: the variance is exp(2 s), so that s is log σ": after(of_log_variance),
        "Adam takes these steps: plain gradient descent is asked for": adam(right, steps, lr),
        "this is where descent ends: the place after so many steps is asked for": ends(0),
        "this is a fit by mean and std: the place after so many steps is asked for": ends(1),
        "slopes of earlier steps are added up: clear the gradient at each step": (
            descent(right, steps, lr, kept=1.0)
        ),
    }


class Mixture(priors.Prior):
    """A mixture of diagonal Gaussians with weights of its own."""

    def __init__(self, latent_dim: int, n: int) -> None:
        super().__init__()
        self.means = nn.Parameter(torch.randn(n, latent_dim))
        self.log_scales = nn.Parameter(torch.zeros(n, latent_dim))
        self.logits = nn.Parameter(torch.zeros(n))

    def log_prob(self, z: Tensor) -> Tensor:
        standard = (z.unsqueeze(-2) - self.means) * torch.exp(-self.log_scales)
        each = -(0.5 * (standard.square() + priors.LOG_2_PI) + self.log_scales).sum(-1)
        return torch.logsumexp(each + self.logits.log_softmax(-1), -1)


# What each slip makes of the facts of a prior, see `_facts`; those of the right one are all 1.
MIXTURE_SLIPS = {
    "the weights do not add up to 1: its mass is n; take log_softmax of what is learned": (
        "3 1 1 1 0 1 1"
    ),
    "its mass grows as it learns: are the weights a log_softmax, and is σ one in all its places?": (
        "10 1 1 1 0 1 1"
    ),
    "½ log 2π a dimension is missing: its mass is not 1": "6.3 1 1 1 0 1 1",
    "log 2π a dimension has lost its ½: its mass is not 1": "0.2 1 1 1 0 1 0",
    "the widths are learned, but −log σ is missing: its mass is not 1": "10 1 0 1 0 1 0",
    "the widths are not learned, or the means are not: they stay wider than the clusters": (
        "1 1 1 1 0 1 0"
    ),
    "a mixture's logarithm is a logsumexp, no mean of logarithms": "1 0.5 0 1 0 1 0",
    "the largest component alone is no mixture: where they overlap its mass is below 1": (
        "1 0 1 1 1 1 1"
    ),
    "nothing in it is learned: make its numbers nn.Parameter": "1 1 1 0 0 1 0",
    "the largest cluster has less than its share: are the weights learned, and the means?": (
        "1 1 1 1 1 1 0"
    ),
    "the weights stand as they are where their logarithms belong: log_softmax": "4.5 1 1 1 0 1 1",
    "this is the density: log_prob is its logarithm": "10 1 1 0 0 1 1",
    "log_prob is one number a code: sum over the κ dimensions of each component": (
        "-1 -1 -1 -1 -1 -1 -1"
    ),
    "the code is detached in it, so that at β > 0 the encoder hears nothing of it": "1 1 1 1 1 0 1",
}


def mixture(latent_dim: int, n: int) -> Answers:
    """A prior: a mixture of n diagonal Gaussians whose means, widths and weights are learned."""
    wrong = {words: _of_text(facts) for words, facts in MIXTURE_SLIPS.items()}
    return _of_text("1 1 1 1 1 1 1"), wrong


def _of_text(facts: str) -> Tensor:
    return torch.tensor([float(fact) for fact in facts.split()], dtype=torch.float64)


MASS_LIMIT = 10.0  # What passes it depends on the start.


def facts_of_a_prior(function: Callable[..., Any], latent_dim: int, n: int) -> Any:
    """What can be said of a learned prior of two dimensions: see `_facts`. It is trained on three
    clusters, of which the first holds four fifths of the codes.
    """
    with seeded(0):
        prior = function(latent_dim, n)
        angles = torch.tensor([0.0] * 240 + [1.0] * 50 + [2.0] * 10) * (2 * math.pi / 3)
        z = 2 * torch.stack([angles.cos(), angles.sin()], 1) + 0.3 * torch.randn(300, 2)
    if not isinstance(prior, priors.Prior):
        return prior
    try:
        log_p = prior.log_prob(z)
    except RuntimeError:  # Shapes that do not broadcast.
        log_p = z
    if log_p is ...:
        return ...
    if log_p.shape != z.shape[:1]:
        return -torch.ones(7, dtype=torch.float64)
    whole = _whole(prior, n)
    _train(prior, n, z)
    return _facts(prior, z, whole, log_p.mean().item())


# Nats of log p on the three clusters: one Gaussian cannot pass −2.6; three reach −1.5 with equal
# weights, and −1 with the right ones.
SEPARATED = -1.7
FITTED = -1.3


def _train(prior: priors.Prior, n: int, z: Tensor) -> None:
    """Fits a prior to codes in 150 steps. Where it does not fit, its components start anew, near
    each other, up to four times: too wide or too far off, some hear nothing of the codes.
    """
    learned = [p for p in prior.parameters() if p.requires_grad]
    if not learned:
        return
    for attempt in range(5):
        if attempt:
            _merge(learned, n, apart=0.5, seed=attempt)
        adam = torch.optim.Adam(learned, 0.05)
        for _ in range(150):
            adam.zero_grad()
            (-prior.log_prob(z).mean()).backward()
            adam.step()
        if not prior.log_prob(z).mean().item() <= FITTED:  # Nothing starts anew from NaN.
            return


@cache
def _grid() -> tuple[Tensor, Tensor]:
    """Points of the plane up to ±4000 and the areas round them: near 0 the steps are 0.03, further
    out 3% of the distance, so that what a prior starts as may be narrow or wide.
    """
    steps = torch.linspace(-9, 9, 601)
    areas = torch.outer(steps.cosh(), steps.cosh()).flatten() * 0.03**2
    return torch.cartesian_prod(steps.sinh(), steps.sinh()), areas


@torch.no_grad()
def _masses(prior: priors.Prior) -> Tensor:
    """The mass of each rectangle of the grid."""
    points, areas = _grid()
    return prior.log_prob(points).exp() * areas


@torch.no_grad()
def _curves_alike(prior: priors.Prior, z: Tensor) -> bool:
    """Whether log p has the same second difference everywhere, as one Gaussian's has."""
    before, at, after = (prior.log_prob(z + step) for step in (-0.5, 0.0, 0.5))
    return (before - 2 * at + after).std().item() < 0.01


@torch.no_grad()
def _merge(parameters: Iterable[Tensor], n: int, apart: float = 0.0, seed: int = 0) -> None:
    """Makes all n components one, or one up to noise of this size; what is positive, as widths may
    have to be, stays so.
    """
    generator = torch.Generator().manual_seed(seed)
    for p in parameters:
        each = [dim for dim, size in enumerate(p.shape) if size == n]
        if each:
            one = p.mean(each, keepdim=True)
            noise = apart * torch.randn(p.shape, generator=generator)
            p.copy_(one * noise.exp() if (p > 0).all() else one + noise)


@torch.no_grad()
def _whole(prior: priors.Prior, n: int) -> float:
    """1 where the mass is 1, and still is where all n components are made one; else 0, or ½ where
    only the second holds.
    """
    merged = copy.deepcopy(prior)
    _merge(merged.parameters(), n)
    start, one = (abs(_masses(each).sum().item() - 1) < 0.05 for each in (prior, merged))
    return (0.5 + 0.5 * start) * one


def _facts(prior: priors.Prior, z: Tensor, whole: float, first: float) -> Tensor:
    """Seven numbers: the mass after training; and, one for yes and zero for no, whether it was 1
    before, see `_whole`, whether log p is that of more than one Gaussian, whether it has grown,
    whether it lies on the clusters, whether a code hears of it, and whether the largest has its
    share.
    """
    asked = z.clone().requires_grad_()
    heard = gradient(prior.log_prob(asked).sum(), asked).any()
    masses = _masses(prior)
    with torch.no_grad():
        last = prior.log_prob(z).mean().item()
    mass = round(masses.sum().item(), 1)
    mass = 4.5 if 4 < mass < 5 else min(mass, MASS_LIMIT)  # Softmax depends on the start.
    fits = last > SEPARATED and mass == 1
    near = masses[(_grid()[0] - torch.tensor([2.0, 0.0])).norm(dim=1) < 1.2].sum().item()
    whole = whole if mass == 1 else 1
    mixed = not _curves_alike(prior, z)
    facts = [mass, whole, mixed, last - first > 0.5, fits, heard, near > 0.73]
    return torch.tensor([float(fact) for fact in facts], dtype=torch.float64)


UNMET = (
    "its mass is not 1 where components overlap: what is added, and is it a logsumexp?",
    "trained, it is one Gaussian still: is it a logsumexp over all n, and are widths learned?",
    "training hardly raises log p: which of its numbers are nn.Parameter, and are they used?",
    "trained, it does not lie on the clusters: are means, widths and weights all learned?",
    "no gradient passes from log_prob to the code",
    "trained, the largest cluster has less than its share: are the weights learned?",
)


def what_is_unmet(got: list[Tensor]) -> str:
    """The first of a prior's facts that is not as it should be, in words."""
    mass, *facts = got[0].tolist()
    if math.isnan(mass):
        return (
            "trained, its log p is NaN: do widths or weights turn negative? Learn their logarithms"
        )
    if mass != 1:
        found = f"{mass:g} or more" if mass == MASS_LIMIT else f"about {mass:g}"
        return f"its mass after training is {found}, where a density's is 1"
    return next(words for words, fact in zip(UNMET, facts, strict=True) if fact != 1)


EXERCISES = (
    Exercise("10.1", seen, [((4, 3), 0.3), ((6, 3), 1.7)], probe=value_and_gradient),
    Exercise("10.2", log_det, raw_outputs),
    Exercise("10.3", same_gamma, [(0.1, 0.5), (0.3, 2.0)]),
    Exercise("10.4", descended, to_fit),
    Exercise("10.5", squared_length, [(0.5, 8.0), (0.2, 32.0)]),
    Exercise(
        "10.6",
        mixture,
        [(2, 3)],
        ours=Mixture,
        probe=facts_of_a_prior,
        described=what_is_unmet,
    ),
)

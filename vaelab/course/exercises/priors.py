"""The exercises of notebook 10: priors that are learned beside the autoencoder."""

from __future__ import annotations

import math
from collections.abc import Callable
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
        "this is the determinant; its logarithm is asked for": s.exp().prod(1),
        "the factors exp(s) multiply, so their logarithms add: this is their mean": s.mean(1),
        "the determinant is not the sum of exp(s)": s.exp().sum(1).log(),
        "raw is not cut: s = 2 tanh(raw / 2)": raw.sum(1),
        "raw must be halved in tanh(raw / 2)": (2 * torch.tanh(raw)).sum(1),
        "tanh(raw / 2) must be doubled": 0.5 * s.sum(1),
        "this is the inverse's: the sign is wrong": -s.sum(1),
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
        "a and b are independent: there is no mixed term": kappa * (1 - 2 * t) ** 2,
        "this is the length; its square is asked for": right.sqrt(),
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
        "slopes of earlier steps are added up: clear the gradient at each step": (
            descent(right, steps, lr, kept=1.0)
        ),
    }


class Mixture(priors.Prior):
    """A mixture of diagonal Gaussians with weights of its own; `slip` names what is wrong."""

    def __init__(self, latent_dim: int, n: int, slip: str = "") -> None:
        super().__init__()
        self.slip = slip
        self.means = nn.Parameter(torch.randn(n, latent_dim))
        self.log_scales = nn.Parameter(torch.zeros(n, latent_dim))
        self.logits = nn.Parameter(torch.zeros(n))
        if slip == "fixed":
            self.requires_grad_(False)

    def log_prob(self, z: Tensor) -> Tensor:
        z = z.detach() if self.slip == "detached" else z
        standard = (z.unsqueeze(-2) - self.means) * torch.exp(-self.log_scales)
        log_scales = 0.0 if self.slip == "scales" else self.log_scales
        constant = 0.0 if self.slip == "constant" else priors.LOG_2_PI
        each = -(0.5 * (standard.square() + constant) + log_scales).sum(-1)
        if self.slip == "weights":
            return torch.logsumexp(each, -1)
        log_weights = self.logits.log_softmax(-1)
        if self.slip == "equal":
            log_weights = torch.zeros_like(log_weights).log_softmax(-1)
        if self.slip == "softmax":
            log_weights = log_weights.exp()
        if self.slip == "mean":
            return (log_weights.exp() * each).sum(-1)
        log_p = torch.logsumexp(each + log_weights, -1)
        return {"density": log_p.exp(), "unsummed": standard}.get(self.slip, log_p)


MIXTURE_SLIPS = {
    "weights": "the weights do not add up to 1: its mass is n; take log_softmax of what is learned",
    "constant": "½ log 2π a dimension is missing: its mass is not 1",
    "scales": "the widths are learned, but −log σ is missing: its mass is not 1",
    "mean": "a mixture's logarithm is a logsumexp, no mean of logarithms",
    "fixed": "nothing in it is learned: make its numbers nn.Parameter",
    "equal": "the weights are not learned: the largest cluster has more than its component's share",
    "softmax": "the weights stand as they are where their logarithms belong: log_softmax",
    "density": "this is the density: log_prob is its logarithm",
    "unsummed": "log_prob is one number a code: sum over the κ dimensions of each component",
    "detached": "the code is detached in it, so that at β > 0 the encoder hears nothing of it",
}


def mixture(latent_dim: int, n: int) -> Answers:
    """A prior: a mixture of n diagonal Gaussians whose means, widths and weights are learned."""
    wrong = {words: Mixture(latent_dim, n, slip) for slip, words in MIXTURE_SLIPS.items()}
    return Mixture(latent_dim, n), wrong


def facts_of_a_prior(function: Callable[..., Any], latent_dim: int, n: int) -> Any:
    """What can be said of a learned prior of two dimensions: its mass after training, whether it
    learns, and whether a code hears of it. It is trained on three clusters, of which the first
    holds four fifths of the codes.
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
        return -torch.ones(5, dtype=torch.float64)
    first = log_p.mean().item()
    learned = [p for p in prior.parameters() if p.requires_grad]
    if learned:
        adam = torch.optim.Adam(learned, 0.05)
        for _ in range(150):
            adam.zero_grad()
            (-prior.log_prob(z).mean()).backward()
            adam.step()
    return _facts(prior, z, first)


def _facts(prior: priors.Prior, z: Tensor, first: float) -> Tensor:
    axis = torch.linspace(-9, 9, 181)
    grid = torch.cartesian_prod(axis, axis)
    asked = z.clone().requires_grad_()
    heard = gradient(prior.log_prob(asked).sum(), asked).any()
    with torch.no_grad():
        masses = prior.log_prob(grid).exp() * 0.1**2
        gain = prior.log_prob(z).mean().item() - first
        several = prior.log_prob(z).mean().item() > -2.2  # One Gaussian cannot pass −2.6.
    mass = round(masses.sum().item(), 1)
    mass = 4.5 if 4 < mass < 5 else min(mass, 100.0)  # Softmax and densities depend on the start.
    near = masses[(grid - torch.tensor([2.0, 0.0])).norm(dim=1) < 1.2].sum().item()
    facts = [mass, gain > 0.5, several and mass == 1, heard, near > 0.73]
    return torch.tensor([float(fact) for fact in facts], dtype=torch.float64)


EXERCISES = (
    Exercise("10.1", seen, [((4, 3), 0.3), ((6, 3), 1.7)], probe=value_and_gradient),
    Exercise("10.2", log_det, raw_outputs),
    Exercise("10.3", same_gamma, [(0.1, 0.5), (0.3, 2.0)]),
    Exercise("10.4", descended, to_fit),
    Exercise("10.5", squared_length, [(0.5, 8.0), (0.2, 32.0)]),
    Exercise("10.6", mixture, [(2, 3)], probe=facts_of_a_prior),
)

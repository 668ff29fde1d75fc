"""The exercises of notebook 00: the training loop, the trick, and two broken losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from vaelab.course.exercises.exercise import Answers, Exercise, Generator, Inputs, normal, numbers

Batches = Callable[[int], Iterable[Tensor]]
Loss = Callable[[Tensor], Tensor]


def lines(generator: Generator) -> Inputs:
    """A loss with one weight matrix, its parameters, batches of three epochs, and their number."""
    rows = normal(generator, 12, 4)
    weight = nn.Parameter(normal(generator, 4, 4))

    def loss(x: Tensor) -> Tensor:
        return (x - x @ weight).square().sum(1).mean()

    def batches(epoch: int) -> Iterable[Tensor]:
        return rows.roll(epoch, 0).split(4)

    yield loss, [weight], batches, 3


def loop(loss: Loss, parameters: Iterable, batches: Batches, epochs: int) -> list[float]:
    """Adam on the loss of each batch of each epoch; the losses of all steps."""
    optimizer = torch.optim.Adam(parameters, fused=True)
    history = []
    for epoch in range(epochs):
        for batch in batches(epoch):
            value = loss(batch)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            history.append(value.item())
    return history


def training_loop(loss: Loss, parameters: list, batches: Batches, epochs: int) -> Answers:
    """Train by Adam, a step a batch: loss, parameters, batches(epoch), epochs to a list of
    losses.
    """
    start = [p.detach().clone() for p in parameters]

    def run(train: Callable[..., list[float]]) -> list[float]:
        with torch.no_grad():
            for p, value in zip(parameters, start, strict=True):
                p.copy_(value)
                p.grad = None
        return train()

    right = run(lambda: loop(loss, parameters, batches, epochs))
    still = run(lambda: [loss(x).item() for epoch in range(epochs) for x in batches(epoch)])
    steps = len(right) // epochs
    return right, {
        "the weights never move: is backward() or step() missing, or zero_grad() between them?": (
            still
        ),
        "zero_grad() is missing: the gradients of all steps add up": run(
            lambda: _piling_up(loss, parameters, batches, epochs)
        ),
        "every epoch takes batches(0); batches(epoch) is asked for": run(
            lambda: loop(loss, parameters, lambda epoch: batches(0), epochs)
        ),
        "this is one epoch; the loop over epochs is missing, or it returns inside": right[:steps],
        "this is the last loss of each epoch; those of all steps are asked for": (
            right[steps - 1 :: steps]
        ),
        "this is the last loss alone; those of all steps are asked for": right[-1],
    }


def _piling_up(loss: Loss, parameters: list, batches: Batches, epochs: int) -> list[float]:
    optimizer = torch.optim.Adam(parameters, fused=True)
    history = []
    for x in (x for epoch in range(epochs) for x in batches(epoch)):
        value = loss(x)
        value.backward()
        optimizer.step()
        history.append(value.item())
    return history


def noisy_codes(generator: Generator) -> Inputs:
    """mu, log_var and eps, each (batch, κ)."""
    for n, k in ((5, 3), (2, 4)):
        yield tuple(normal(generator, n, k) for _ in range(3))


def draw(mu: Tensor, log_var: Tensor, eps: Tensor) -> Answers:
    """A latent z for noise eps, of N(mu, diag exp log_var): (batch, κ) three times to the same."""
    sigma = (0.5 * log_var).exp()
    return mu + sigma * eps, {
        "the variance stands where σ belongs: take the root, exp(log_var / 2)": (
            mu + log_var.exp() * eps
        ),
        "log_var stands where σ belongs: the exponential is missing": mu + log_var * eps,
        "log_var is the log of σ², not of σ: halve it, do not double it": (
            mu + (2 * log_var).exp() * eps
        ),
        "the noise is missing: this is the mean": mu,
        "the mean is missing": sigma * eps,
        "the noise is not scaled by σ": mu + eps,
        "the noise is subtracted; on average it is the same, for this eps it is not": (
            mu - sigma * eps
        ),
    }


def passes(generator: Generator) -> Inputs:
    """x, mu, log_sigma, eps, a decoder and γ."""
    weight = normal(generator, 3, 5)

    def decode(z: Tensor) -> Tensor:
        return torch.tanh(z @ weight)

    for gamma in numbers(0.2, 1.5):
        x = normal(generator, 6, 5)
        mu, log_sigma, eps = (normal(generator, 6, 3) for _ in range(3))
        yield x, mu, log_sigma, eps, decode, gamma


def _nll(x: Tensor, x_hat: Tensor, gamma: Tensor) -> Tensor:
    error = (x - x_hat).square().sum(1)
    return 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))


def _kl(mu: Tensor, log_sigma: Tensor) -> Tensor:
    return 0.5 * (mu**2 + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(1)


Decoder = Callable[[Tensor], Tensor]
NO_SIGMA = "log σ stands where σ belongs"
FALLING = "the KL has the wrong sign"


def cost_of_rows(
    x: Tensor, mu: Tensor, log_sigma: Tensor, eps: Tensor, decode: Decoder, gamma: Tensor
) -> Answers:
    """The cost of each row, repaired: x, mu, log_sigma, eps, decode, gamma to (batch,)."""
    kl = _kl(mu, log_sigma)

    def cost(z: Tensor) -> Tensor:
        return _nll(x, decode(z), gamma) + kl

    right = cost(mu + log_sigma.exp() * eps)
    return right, {
        NO_SIGMA: cost(mu + log_sigma * eps),
        "σ² stands where σ belongs": cost(mu + (2 * log_sigma).exp() * eps),
        "log_sigma is the log of σ already: it needs no half": (
            cost(mu + (0.5 * log_sigma).exp() * eps)
        ),
        "the noise was taken out: then nothing keeps the latents apart": cost(mu),
        "the noise is not scaled by σ": cost(mu + eps),
        "averaged over the batch: the cost of each row is asked for": right.mean(),
    }


def cost_of_batch(
    x: Tensor, mu: Tensor, log_sigma: Tensor, eps: Tensor, decode: Decoder, gamma: Tensor
) -> Answers:
    """The mean cost of a batch, repaired: x, mu, log_sigma, eps, decode, gamma to one number."""
    nll = _nll(x, decode(mu + log_sigma.exp() * eps), gamma)
    kl = _kl(mu, log_sigma)
    right = (nll + kl).mean()
    squares = 0.5 * (mu**2 + (2 * log_sigma).exp()).sum(1)
    return right, {
        FALLING: (nll - kl).mean(),
        "the KL was taken out: without it nothing says where latents lie": nll.mean(),
        "the term log σ² of the KL still has the wrong sign": (
            (nll + squares + log_sigma.sum(1) - 0.5 * mu.shape[1]).mean()
        ),
        "the −1 of each dimension still has the wrong sign": (right + mu.shape[1]),
        "the KL lost its factor 1/2": (nll + 2 * kl).mean(),
        "the whole cost has changed its sign": -(nll + kl).mean(),
        "the mean over the batch is missing": nll + kl,
    }


EXERCISES = (
    Exercise("00.1", training_loop, lines, ours=loop),
    Exercise("00.2", draw, noisy_codes),
    Exercise("00.3", cost_of_rows, passes, planted=NO_SIGMA),
    Exercise("00.4", cost_of_batch, passes, planted=FALLING),
)

"""The exercises of notebook 00: the training loop, the trick, and two broken losses."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from vaelab.course.exercises.exercise import (
    Answers,
    Draw,
    Exercise,
    Inputs,
    Slip,
    explained,
    numbers,
)

Batches = Callable[[int], Iterable[Tensor]]
Loss = Callable[[Tensor], Tensor]


def lines(draw: Draw) -> Inputs:
    """A loss with one weight matrix, its parameters, batches of three epochs, and their number."""
    rows = draw(12, 4)
    weight = nn.Parameter(draw(4, 4))

    def loss(x: Tensor) -> Tensor:
        return (x - x @ weight).square().sum(1).mean()

    def batches(epoch: int) -> Iterable[Tensor]:
        return rows.roll(epoch, 0).split(4)

    yield loss, [weight], batches, 3


def loop(loss: Loss, parameters: Iterable, batches: Batches, epochs: int) -> list[float]:
    """Adam on the loss of each batch of each epoch; the losses of all steps."""
    parts = (batches(epoch) for epoch in range(epochs))
    return _steps(loss, torch.optim.Adam(parameters, fused=True), parts)


def _steps(
    loss: Loss, optimizer: torch.optim.Optimizer, parts: Iterable, after: bool = False
) -> list[float]:
    history = []
    for batch in (batch for part in parts for batch in part):
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        history.append(loss(batch).item() if after else value.item())
    return history


def training_loop(loss: Loss, parameters: list, batches: Batches, epochs: int) -> Answers:
    """Train by Adam, a step a batch: loss, parameters, batches(epoch), epochs to a list of
    losses.
    """
    start = [p.detach().clone() for p in parameters]
    Adam = torch.optim.Adam
    parts = [list(batches(epoch)) for epoch in range(epochs)]
    steps = [[batch] for part in parts for batch in part]

    def run(optimizer: Callable = Adam, parts: Iterable = parts, **how: bool) -> list[float]:
        _restore(parameters, start)
        return _steps(loss, optimizer(parameters), parts, **how)

    def anew(parts: Iterable) -> list[float]:
        _restore(parameters, start)
        return [value for part in parts for value in _steps(loss, Adam(parameters), [part])]

    right = run()
    return right, {
        "zero_grad() is missing: the gradients of all steps add up": run(_Piling),
        "every epoch takes batches(0); batches(epoch) is asked for": run(parts=parts[:1] * epochs),
        "the optimizer is made anew at each step: make it once, before the loops": anew(steps),
        "the optimizer is made anew at each epoch: make it once, before the loops": anew(parts),
        "the loss is taken after the step: keep the one that the step was made from": (
            run(after=True)
        ),
        "the steps are ten times too long: leave Adam its own step size, 0.001": (
            run(partial(Adam, lr=1e-2))
        ),
        "SGD takes these steps; Adam is asked for": run(partial(torch.optim.SGD, lr=1e-3)),
        "AdamW takes these steps; Adam is asked for": run(torch.optim.AdamW),
        "epochs are counted from 0: batches(0) comes first": (
            run(parts=[batches(epoch + 1) for epoch in range(epochs)])
        ),
        "one step in all: is there a return inside the loop over batches?": right[:1],
        "one batch an epoch: is there a break or a return inside the loop over batches?": (
            run(parts=[part[:1] for part in parts])
        ),
        **_not_all(right, epochs),
    }


def _not_all(right: list[float], epochs: int) -> dict[str, Any]:
    """Losses of the right loop, but not those of all steps."""
    each = torch.tensor(right, dtype=torch.float64).reshape(epochs, -1)
    return {
        "this is one epoch; the loop over epochs is missing, or it returns inside": each[0],
        "these are means over an epoch; the losses of all steps are asked for": each.mean(1),
        "this is the last loss of each epoch; those of all steps are asked for": each[:, -1],
        "this is the last loss alone; those of all steps are asked for": each[-1, -1],
        "these are sums of the losses so far; append that of each step alone": (
            each.flatten().cumsum(0)
        ),
        "these are the losses of the last epoch: make the list once, before the loops": each[-1],
    }


class _Piling(torch.optim.Adam):
    """Adam where zero_grad() is forgotten."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


def _restore(parameters: list, start: list[Tensor]) -> None:
    with torch.no_grad():
        for p, value in zip(parameters, start, strict=True):
            p.copy_(value)
            p.grad = None


NO_FUNCTION = "loss is a function: write value = loss(batch), and go on with value"
MISNAMED = {
    "'function' object is not iterable": (
        "batches is a function: batches(epoch) gives the batches of an epoch"
    ),
    "'function' object has no attribute": NO_FUNCTION,
    "'Tensor' object is not callable": NO_FUNCTION,
}


def losses(
    train: Callable[..., Any], loss: Loss, parameters: list, batches: Batches, epochs: int
) -> Any:
    """What a loop returns, if it trains and these are plain numbers."""
    start = [p.detach().clone() for p in parameters]
    with _counted(parameters) as calls, explained(MISNAMED):

        def seen(batch: Tensor) -> Tensor:
            calls["loss"] += 1
            return loss(batch)

        history = train(seen, parameters, batches, epochs)
    if calls["loss"] and history is ...:
        raise Slip("the loop runs, but returns nothing yet: its last line must be return history")
    if isinstance(history, list):
        _check_list(history)
    if calls["loss"] and all(map(torch.equal, parameters, start)):
        raise Slip(f"the weights never move: {_why_still(calls)}")
    return history


@contextmanager
def _counted(parameters: list) -> Iterator[Counter]:
    """How often a gradient reaches the parameters, and how often an optimizer steps."""
    calls = Counter()

    def count(name: str) -> Callable[..., None]:
        return lambda *_: calls.update([name])

    hooks = (
        parameters[0].register_hook(count("backward")),
        register_optimizer_step_pre_hook(count("step")),
    )
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _why_still(calls: Counter) -> str:
    if not calls["backward"]:
        return "value.backward() is missing"
    if not calls["step"]:
        return "step() of the optimizer is missing"
    return "zero_grad() wipes out the gradient between backward() and step()"


def _check_list(history: list) -> None:
    if not history:
        raise Slip("the list is empty: append value.item() for each step")
    if any(isinstance(each, list) for each in history):
        raise Slip(
            "this is a list for each epoch; one list of the losses of all steps is asked for"
        )
    if any(isinstance(each, Tensor) for each in history):
        raise Slip("these are tensors: append value.item(), a plain number, for each step")


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
        "eps is not used: this is no draw, it is the same each time": mu + sigma,
        "the noise is subtracted; on average it is the same, for this eps it is not": (
            mu - sigma * eps
        ),
        "the mean is multiplied in: add it": mu * sigma * eps,
        "log_var may be negative, and its root is not σ: take exp(log_var / 2)": (
            mu + log_var.sqrt() * eps
        ),
        "the root stands inside the exponential: σ is √exp(log_var), which is exp(log_var / 2)": (
            mu + log_var.sqrt().exp() * eps
        ),
        "the half stands inside the exponential: exp(log_var / 2)": mu + log_var.exp() / 2 * eps,
        "log_var / 2 is log σ: the exponential is missing": mu + log_var / 2 * eps,
        "there is a minus too many: σ grows with log_var": mu + (-0.5 * log_var).exp() * eps,
        "mu and log_var are swapped": log_var + (0.5 * mu).exp() * eps,
        "σ scales the mean as well; it scales eps alone": (mu + eps) * sigma,
        "σ is added; multiply it with eps": mu + sigma + eps,
        "μ and σ are swapped: σ scales the noise": mu * eps + sigma,
    }


def with_gradient(sample: Callable[..., Any], mu: Tensor, log_var: Tensor, eps: Tensor) -> Any:
    """A draw, if a gradient passes through it to both."""
    z = sample(mu.requires_grad_(), log_var.requires_grad_(), eps)
    if not (isinstance(z, Tensor) and z.dtype == torch.float64):
        return z
    if not z.requires_grad:
        raise Slip("no gradient passes: is there a detach(), a no_grad() or a sample()?")
    if z.shape == mu.shape and torch.allclose(z, draw(mu, log_var, eps)[0]):
        slopes = torch.autograd.grad(z.sum(), (mu, log_var), allow_unused=True)
        for name, slope in zip(("mu", "log_var"), slopes, strict=True):
            if slope is None:
                raise Slip(f"no gradient passes to {name}: is there a detach() or a .data?")
    return z


def passes(draw: Draw) -> Inputs:
    """x, mu, log_sigma, eps, a decoder and γ."""
    weight = draw(3, 5)

    def decode(z: Tensor) -> Tensor:
        return torch.tanh(z @ weight)

    for gamma in numbers(0.2, 1.5):
        x = draw(6, 5)
        mu, log_sigma, eps = (draw(6, 3) for _ in range(3))
        yield x, mu, log_sigma, eps, decode, gamma


def _nll(x: Tensor, x_hat: Tensor, gamma: Tensor) -> Tensor:
    error = (x - x_hat).square().sum(1)
    return 0.5 * (error / gamma + x.shape[1] * math.log(2 * math.pi * gamma))


def _kl(mu: Tensor, log_sigma: Tensor, var: Tensor | None = None) -> Tensor:
    var = (2 * log_sigma).exp() if var is None else var
    return 0.5 * (mu**2 + var - 2 * log_sigma - 1).sum(1)


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
        "the KL was taken out: without it nothing says where latents lie": right - kl,
        "the KL was right: the variance in it is exp(2 log_sigma)": (
            right - kl + _kl(mu, log_sigma, log_sigma.exp())
        ),
    }


def cost_of_batch(
    x: Tensor, mu: Tensor, log_sigma: Tensor, eps: Tensor, decode: Decoder, gamma: Tensor
) -> Answers:
    """The mean cost of a batch, repaired: x, mu, log_sigma, eps, decode, gamma to one number."""
    nll = _nll(x, decode(mu + log_sigma.exp() * eps), gamma)
    kl = _kl(mu, log_sigma)
    right = (nll + kl).mean()
    squares = 0.5 * (mu**2 + (2 * log_sigma).exp()).sum(1)
    logs = 0.5 * x.shape[1] * math.log(2 * math.pi * gamma)
    return right, {
        FALLING: (nll - kl).mean(),
        "the KL was taken out: without it nothing says where latents lie": nll.mean(),
        "the term log σ² of the KL still has the wrong sign": (
            (nll + squares + log_sigma.sum(1) - 0.5 * mu.shape[1]).mean()
        ),
        "the −1 of each dimension still has the wrong sign": right + mu.shape[1],
        "the sign of mu² in the KL is still wrong": right - mu.square().sum(1).mean(),
        "the sign of σ² in the KL is still wrong": right - (2 * log_sigma).exp().sum(1).mean(),
        "the term d log 2πγ was right: it is added": right - 2 * logs,
        "the term d log 2πγ was right, and is missing now": right - logs,
        "the KL lost its factor 1/2": (nll + 2 * kl).mean(),
        "the mean over the batch is missing": nll + kl,
    }


EXERCISES = (
    Exercise("00.1", training_loop, lines, ours=loop, probe=losses),
    Exercise("00.2", draw, [((5, 3),) * 3, ((2, 4),) * 3], probe=with_gradient),
    Exercise("00.3", cost_of_rows, passes, planted=NO_SIGMA),
    Exercise("00.4", cost_of_batch, passes, planted=FALLING),
)

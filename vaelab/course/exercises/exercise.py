"""One exercise: what is right, what people write instead, and inputs that tell these apart.

To add one: write a function that computes the right result and every wrong one, each under words
that say what is wrong with it, and inputs on which they all differ. A test turns each slip red.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Answers = tuple[Any, dict[str, Any]]
Inputs = Iterator[tuple[Any, ...]]


class Draw:
    """Random numbers in float64, the same each time: `draw(5, 3)` is standard normal."""

    def __init__(self) -> None:
        self.generator = torch.Generator().manual_seed(7)

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers between 0 and 1."""
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def argument(self, wanted: Any) -> Any:
        """A shape as normal numbers of that shape, a float as a tensor, all else as it is."""
        if isinstance(wanted, tuple):
            return self(*wanted)
        return numbers(wanted)[0] if isinstance(wanted, float) else wanted


class Slip(Exception):
    """What is wrong with an answer, in words, where comparing numbers would not show it."""


@contextmanager
def explained(slips: dict[str, str]) -> Iterator[None]:
    """Turns an error into a slip, where a part of its message is known.

    Args:
        slips: what to say, by that part of the message.

    Raises:
        Slip: the first that fits.
    """
    try:
        yield
    except (TypeError, AttributeError) as error:
        for part, slip in slips.items():
            if part in str(error):
                raise Slip(slip) from None
        raise


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        id: notebook and number, "01.1".
        answers: the right result, and the wrong ones by what is wrong with them in words, from the
            arguments of the reader's function. Its docstring is what is asked, with the shapes.
        inputs: the arguments, a tuple of them at a time; see `Draw.argument`. Or a function that
            yields them from a `Draw`.
        planted: the slip that stands in the stub, where the exercise is to find it: it is to do,
            and the check does not name it.
        ours: the right answer alone, where `answers` has only what is compared of it, or would cost
            time.
        probe: what is compared: numbers from the reader's function and the arguments, where what it
            gives is no number itself, or has a gradient; what it gives unless told. It may raise
            `Slip`.
        described: what is wrong in words, from what is compared of an answer that matches no wrong
            one, where these numbers say little by themselves.
    """

    id: str
    answers: Callable[..., Answers]
    inputs: Callable[[Draw], Inputs] | Sequence[tuple[Any, ...]]
    planted: str = ""
    ours: Callable[..., Any] | None = None
    probe: Callable[..., Any] | None = None
    described: Callable[[list[Tensor]], str] | None = None

    def arguments(self) -> list[tuple[Any, ...]]:
        """Fresh inputs, the same each time, so that an answer that changes its arguments harms
        nothing.
        """
        draw = Draw()
        if callable(self.inputs):
            return list(self.inputs(draw))
        return [tuple(map(draw.argument, each)) for each in self.inputs]

    def results(self, function: Callable[..., Any]) -> list[Any]:
        """What is compared of a function, for all arguments."""
        if self.probe is None:
            return [function(*each) for each in self.arguments()]
        return [self.probe(function, *each) for each in self.arguments()]

    def slip(self, words: str) -> Callable[..., Any]:
        """A wrong answer, as a function."""
        return lambda *arguments: self.answers(*arguments)[1][words]

    def right(self, *arguments: Any) -> Any:
        """The right answer, as a function."""
        if self.ours is not None:
            return self.ours(*arguments)
        return self.answers(*arguments)[0]


def numbers(*values: float) -> Tensor:
    """A float64 tensor; its entries can be taken by `math.log` and `torch.log` alike."""
    return torch.tensor(values, dtype=torch.float64)


def gradient(total: Tensor, x: Tensor) -> Tensor:
    """The gradient of one number in x; zero where none passes."""
    if not total.requires_grad:
        return torch.zeros_like(x)
    return torch.autograd.grad(total, x, materialize_grads=True)[0]


Slope = Callable[[Tensor], Tensor]
FIRST = numbers(1, 0)
SECOND = numbers(0, 1)


def adam(slope: Slope, steps: int, lr: float) -> Tensor:
    """Two numbers after so many steps of Adam from (0, 0) down a slope."""
    at = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([at], lr)
    for _ in range(steps):
        at.grad = slope(at.detach())
        optimizer.step()
    return at.detach()


def descent(slope: Slope, steps: int, lr: float, kept: float = 0.0) -> Tensor:
    """Two numbers after so many steps from (0, 0) down a slope, with a part of the last step."""
    at = step = torch.zeros(2, dtype=torch.float64)
    for _ in range(steps):
        step = kept * step + slope(at)
        at = at - lr * step
    return at


def in_turn(slope: Slope, lr: float) -> Slope:
    """The slope where the first number moves before the second one's slope is taken."""

    def seen(at: Tensor) -> Tensor:
        first = slope(at)[0]
        return torch.stack([first, slope(at - lr * first * FIRST)[1]])

    return seen

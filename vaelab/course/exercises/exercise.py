"""One exercise: what is right, what people write instead, and inputs that tell these apart.

To add one: write a function that computes the right result and every wrong one, each under words
that say what is wrong with it, and inputs on which they all differ. A test turns each slip red.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Answers = tuple[Any, dict[str, Any]]
Generator = torch.Generator
Inputs = Iterator[tuple[Any, ...]]


class Slip(Exception):
    """What is wrong with an answer, in words, where comparing numbers would not show it."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        id: notebook and number, "01.1".
        answers: the right result, and the wrong ones by what is wrong with them in words, from the
            arguments of the reader's function. Its docstring is what is asked, with the shapes.
        inputs: yields the arguments, a tuple of them at a time, drawn from a generator.
        planted: the slip that stands in the stub, where the exercise is to find it: it is to do,
            and the check does not name it.
        ours: the right answer alone, where computing the wrong ones too would cost time.
        probe: what is compared: numbers from the reader's function and the arguments, where what it
            gives is no number itself, or has a gradient; what it gives unless told. It may raise
            `Slip`.
    """

    id: str
    answers: Callable[..., Answers]
    inputs: Callable[[Generator], Inputs]
    planted: str = ""
    ours: Callable[..., Any] | None = None
    probe: Callable[..., Any] | None = None

    def arguments(self) -> list[tuple[Any, ...]]:
        """Fresh inputs, the same each time, so that an answer that changes its arguments harms
        nothing.
        """
        return list(self.inputs(Generator().manual_seed(7)))

    def result(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """What is compared of a function at some arguments."""
        if self.probe is None:
            return function(*arguments)
        return self.probe(function, *arguments)

    def slip(self, words: str) -> Callable[..., Any]:
        """A wrong answer, as a function."""
        return lambda *arguments: self.answers(*arguments)[1][words]

    def right(self, *arguments: Any) -> Any:
        """The right answer, as a function."""
        if self.ours is not None:
            return self.ours(*arguments)
        return self.answers(*arguments)[0]


def normal(generator: Generator, *shape: int) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def numbers(*values: float) -> Tensor:
    """A float64 tensor; its entries can be taken by `math.log` and `torch.log` alike."""
    return torch.tensor(values, dtype=torch.float64)

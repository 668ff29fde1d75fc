"""The check under an exercise: says `ok`, names the slip, or prints `todo`, and never stops the
notebook.

    def kl(mu, log_var):
        return ...                          # the stub

    exercises.check("01.1", kl)             # prints: todo  01.1

Behind `ok` stand the number that was furthest off and the one expected, in brackets.
An answer is compared in float64 with the right one and, if it differs, with every wrong one that
the exercise names.
"""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab._arrays import as_tensor
from vaelab._inputs import check_choice
from vaelab._words import nearest
from vaelab.course.exercises import (
    autoencoders,
    cost,
    grammars,
    halves,
    images,
    latent,
    priors,
    scratch,
    theorems,
)
from vaelab.course.exercises.exercise import Exercise, Slip

CHAPTERS = (
    scratch,
    cost,
    theorems,
    images,
    autoencoders,
    priors,
    halves,
    latent,
    grammars,
)
EXERCISES = {exercise.id: exercise for chapter in CHAPTERS for exercise in chapter.EXERCISES}
# Of each quiz the question, and what each choice earns; the first choice is right.
QUIZZES = json.loads(Path(__file__).with_name("quizzes.json").read_text("utf-8"))

RTOL = 1e-5

# What is wrong in any exercise, unless it has words of its own for it: what people make of the
# right result.
COMMON: dict[str, Callable[[Tensor], Tensor]] = {
    "the sign of the whole is wrong": torch.neg,
    "a factor 1/2 is missing: this is twice what is asked for": lambda right: 2 * right,
    "this is half of what is asked for": lambda right: right / 2,
    "this is the root of what is asked for": torch.sqrt,
    "this is the square of what is asked for": torch.square,
    "this is the logarithm of what is asked for": torch.log,
    "this is the exponential of what is asked for": torch.exp,
    "this is one over what is asked for": torch.reciprocal,
    "this is a mean over what is asked for: reduce no further": torch.mean,
    "this is a sum over what is asked for: reduce no further": torch.sum,
}


def find(exercise_id: str) -> Exercise:
    """The exercise with this id.

    Raises:
        ValueError: no such exercise; the nearest id is named.
    """
    if exercise_id not in EXERCISES:
        raise ValueError(f"no exercise {exercise_id!r}{nearest(exercise_id, EXERCISES)}")
    return EXERCISES[exercise_id]


def check(exercise_id: str, answer: Callable[..., Any]) -> None:
    """Print `todo  <id>`, `ok    <id> (found …, expected …)`, or `slip  <id>  <what is wrong>`. A
    wrong answer raises nothing.

    Args:
        exercise_id: such as "01.1".
        answer: the reader's function. One that returns `...`, as the stub does, raises
            NotImplementedError, or still holds the fault that was planted in it, is to do.

    Raises:
        ValueError: no such exercise.

    >>> check("A.2", lambda log_sigma: 2 * log_sigma)
    ok    A.2 (found -4, expected -4, tolerance 4e-05)
    >>> check("A.2", lambda log_sigma: log_sigma / 2)
    slip  A.2  halved where it must be doubled
    >>> check("A.2", lambda log_sigma: ...)
    todo  A.2
    """
    exercise = find(exercise_id)
    results = results_of(exercise, answer)
    words = results if isinstance(results, str) else judge(exercise, results)
    if words == "ok" and not isinstance(results, str):
        print(f"ok    {exercise_id} ({_figures(results, _right(exercise))})")
    elif words == "todo":
        print(f"todo  {exercise_id}")
    else:
        print(f"slip  {exercise_id}  {words}")


def given(exercise_id: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """The reader's function if it is right, else the right one: what later cells go on with.

    >>> given("A.2", lambda log_sigma: 2 * log_sigma)(3)
    6
    """
    exercise = find(exercise_id)
    right = exercise.ours or exercise.right
    return answer if verdict(exercise, answer) == "ok" else right


def quiz(quiz_id: str) -> Any:
    """A question with a few choices, as a view that says why each is right or wrong.

    Raises:
        ValueError: no such quiz.
    """
    from vaelab.widgets import Quiz

    check_choice("quiz", quiz_id, QUIZZES)
    return Quiz(**QUIZZES[quiz_id])


def verdict(exercise: Exercise, answer: Any) -> str:
    """ "todo", "ok", or what is wrong with the answer."""
    results = results_of(exercise, answer)
    return results if isinstance(results, str) else judge(exercise, results)


def results_of(exercise: Exercise, answer: Any) -> list[Tensor] | str:
    """What an answer returns for each of the exercise's inputs, in float64; or "todo", or why there
    is nothing to compare.
    """
    if not callable(answer):
        return f"expected a function, got {_kind(answer)}"
    try:
        results = exercise.results(answer)
    except NotImplementedError:
        return "todo"
    except Slip as slip:
        return str(slip)
    except Exception as error:
        return f"your function raised {_raised(error, answer)}"
    if any(result is ... for result in results):
        return "todo"
    if any(result is None for result in results):
        return "your function returned None: is a return missing?"
    try:
        numbers = _numbers(results)
    except (TypeError, ValueError, RuntimeError):
        return f"expected numbers or tensors back, got {_kind(results[0])}"
    if not _agree(numbers, _numbers(exercise.results(answer))):
        return "two calls give two results: draw no noise of your own, use what is given"
    return numbers


def _raised(error: Exception, answer: Callable[..., Any]) -> str:
    """An error in one line, with the reader's own line that it came from, if Python has kept it."""
    first_line = str(error).partition("\n")[0]
    words = f"{type(error).__name__}: {first_line[:120]}"
    written_in = getattr(getattr(answer, "__code__", None), "co_filename", None)
    steps = traceback.extract_tb(error.__traceback__)
    lines = [step.line for step in steps if step.filename == written_in and step.line]
    return f"{words}, in the line: {lines[-1][:80]}" if lines else words


def judge(exercise: Exercise, got: list[Tensor]) -> str:
    """ "ok", "todo" for the fault that was planted, or what is wrong with the results."""
    right = _right(exercise)
    if _agree(got, right):
        return "ok"
    for words in exercise.answers(*exercise.arguments()[0])[1]:
        if _agree(got, _numbers(exercise.results(exercise.slip(words)))):
            return "todo" if words == exercise.planted else words
    if exercise.described:
        return exercise.described(got)
    for words, change in COMMON.items():
        if _agree(got, [change(each).nan_to_num() for each in right]):
            return words
    return _describe(got, right)


def _right(exercise: Exercise) -> list[Tensor]:
    return _numbers(exercise.results(exercise.right))


def _figures(got: list[Tensor], right: list[Tensor]) -> str:
    """The number that is furthest off, the one expected there, and what it may be off."""
    g, r = _joined(got), _joined(right)
    worst = int((g - r).abs().argmax())
    return f"found {g[worst]:.4g}, expected {r[worst]:.4g}, tolerance {RTOL * r[worst].abs():.1g}"


def _describe(got: list[Tensor], right: list[Tensor]) -> str:
    """What can be said of an answer that matches no known slip."""
    for g, r in zip(got, right, strict=True):
        if g.shape != r.shape:
            return f"expected shape {tuple(r.shape)} back, got {tuple(g.shape)}{_reshaping(g, r)}"
        if not torch.isfinite(g).all():
            return "the result holds NaN or infinite values"
    g, r = _joined(got), _joined(right)
    for relation, values in (("times what it should be", g / r), ("too much, everywhere", g - r)):
        spread = values.std() if len(values) > 1 else math.inf
        if spread < 1e-6 * values.abs().max():
            return f"the result is {values.mean():.4g} {relation}"
    worst = int((g - r).abs().argmax())
    return f"the result differs: for example {g[worst]:.4g} where {r[worst]:.4g} is right"


def _reshaping(got: Tensor, right: Tensor) -> str:
    """What would make one shape of the other, in words; nothing where that is not known."""
    if _agree([got.squeeze()], [right.squeeze()]):
        return "; the numbers are there: squeeze() takes off dimensions of size 1"
    return "; one value a row: sum over dim 1" if right.ndim == 1 and got.ndim != 1 else ""


def _agree(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(
        x.shape == y.shape and torch.allclose(x, y, RTOL, 1e-9, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def _joined(results: list[Tensor]) -> Tensor:
    return torch.cat([result.flatten() for result in results])


def _numbers(values: list[Any]) -> list[Tensor]:
    """Results in float64, on the CPU."""
    return [as_tensor(each, "answer").detach().to("cpu", torch.float64) for each in values]


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:60]

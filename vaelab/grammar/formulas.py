"""Formulas in x, read by a grammar with the ordinary precedence and evaluated by its tree; nothing
is ever handed to Python.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from vaelab._arrays import as_numbers
from vaelab._door import door
from vaelab._inputs import shown
from vaelab.grammar.grammar import Grammar
from vaelab.grammar.reading import Rule

_FORMULAS = """
sum -> sum '+' product | sum '-' product | product
product -> product '*' factor | product '/' factor | factor
factor -> '-' factor | '+' factor | power
power -> atom '**' factor | atom '^' factor | atom
atom -> '(' sum ')' | function '(' sum ')' | 'x' | 'pi' | number
function -> 'sin' | 'cos' | 'tan' | 'tanh' | 'exp' | 'log' | 'sqrt' | 'abs'
number -> whole | whole '.' | '.' whole | whole '.' whole
whole -> digit whole | digit
digit -> '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9'
"""
_BINARY: dict[str, Callable] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
    "^": np.power,
}
POINTS = np.linspace(-10, 10, 1000)


@functools.cache
def _grammar() -> Grammar:
    return Grammar(_FORMULAS, joint=" ")


class Formula:
    """A function of x given as text, such as "1/3 + x + sin(x*x)".

    It may hold x, numbers, pi, + - * / ** (or ^), brackets, sin, cos, tan, tanh, exp, log, sqrt and
    abs; `*` binds before `+`, `**` before a sign, and equals from the left, but `**` from the
    right.

    Raises:
        ValueError: any other text; says where, and what was expected.
        TypeError: no text.

    >>> Formula("1/3 + x + sin(x*x)")(np.array([0.0]))
    array([0.33333333])
    >>> float(Formula("-2**2 * 3")(np.zeros(())))
    -12.0
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._rules = _grammar().parse(text)
        torn = re.search(r"[\d.]\s+[\d.]", text)
        if torn:
            raise ValueError(f"{shown(text)}: expected an operator within {torn.group()!r}")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Its values at x, shape of x; NaN and infinities where it has none."""
        x = np.asarray(x, dtype=float)
        waiting: list[Any] = []  # Values of subtrees; the last rules are read first.
        with np.errstate(all="ignore"):
            for number in reversed(self._rules):
                rule = _grammar().rules[number]
                values = [waiting.pop() for _, quoted in rule.right if not quoted]
                waiting.append(_value(rule, values, x))
        return np.broadcast_to(waiting.pop(), x.shape).astype(float)


def _value(rule: Rule, values: list[Any], x: np.ndarray) -> Any:
    """The value of a rule's left side, from the values of the symbols on its right; those of digits
    and functions are text.
    """
    words = [name for name, quoted in rule.right if quoted]
    if rule.left in ("digit", "whole", "number", "function"):
        rest = iter(values)
        text = "".join(name if quoted else next(rest) for name, quoted in rule.right)
        return np.asarray(float(text)) if rule.left == "number" else text
    if not values:
        return x if words == ["x"] else np.asarray(np.pi)
    if len(values) == 2 and rule.left == "atom":
        return getattr(np, values[0])(values[1])
    if len(values) == 2:
        return _BINARY[words[0]](*values)
    return -values[0] if words == ["-"] else values[0]


@door
def distance_to(target: str, points: Any = None) -> Callable[[str], float]:
    """How far an expression is from a target: log(1 + mean squared error) over points.

    It may be infinite or NaN, where the expression has no value at a point.

    Source: Kusner, Paige & Hernández-Lobato (2017), Section 4.1: 1000 points of [−10, 10].

    Args:
        target: as for `Formula`.
        points: where both are evaluated, (n,); 1000 of [−10, 10] unless given.

    Raises:
        ValueError: a target that is no formula, or without a value at some of the points.

    >>> round(distance_to("1/3 + x + sin(x*x)")("x / 1 + sin( 3 ) + sin( x * x )"), 4)
    0.0363
    """
    points = POINTS if points is None else as_numbers("points", points).numpy()
    wanted = Formula(target)(points)
    bad = ~np.isfinite(wanted)
    if bad.any():
        raise ValueError(
            f"{shown(target)}: expected a finite value at each of {len(points)} points from "
            f"{points.min():g} to {points.max():g}, got {wanted[bad][0]} at x = "
            f"{points[bad][0]:.3g}"
        )

    def score(line: str) -> float:
        with np.errstate(all="ignore"):
            return float(np.log1p(np.mean((Formula(line)(points) - wanted) ** 2)))

    return score

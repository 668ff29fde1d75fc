"""Formulas in x, read by a grammar with the ordinary precedence and evaluated by its tree; nothing
is ever handed to Python.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

import numpy as np

from vaelab.grammar.grammar import Grammar

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

    >>> Formula("1/3 + x + sin(x*x)")(np.array([0.0]))
    array([0.33333333])
    >>> float(Formula("-2**2 * 3")(np.zeros(())))
    -12.0
    """

    def __init__(self, text: str) -> None:
        grammar = _grammar()
        torn = re.search(r"[\d.]\s+[\d.]", text)
        if torn:
            raise ValueError(f"{text!r}: expected an operator within {torn.group()!r}")
        self.text = text
        self._rules = grammar.parse(text)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Its values at x, shape of x; NaN and infinities where it has none."""
        try:
            with np.errstate(all="ignore"):
                values = _value(iter(self._rules), np.asarray(x, dtype=float))
        except RecursionError as error:
            start = f"{self.text[:40]}…"
            raise ValueError(f"{start!r} is nested too deeply; write it shorter") from error
        return np.broadcast_to(values, np.shape(x)).astype(float)


def _value(rules: Iterator[int], x: np.ndarray) -> np.ndarray:
    """The value of the subtree whose first rule comes next."""
    rule = _grammar().rules[next(rules)]
    words = [name for name, terminal in rule.right if terminal]
    if rule.left in ("number", "whole", "digit"):
        return np.asarray(float(_digits(rule.right, rules)))
    if rule.left == "function":
        return np.asarray(words[0])
    if words in (["x"], ["pi"]):
        return x if words == ["x"] else np.asarray(np.pi)
    parts = [_value(rules, x) for _, terminal in rule.right if not terminal]
    if rule.left == "atom" and len(parts) == 2:
        return getattr(np, str(parts[0]))(parts[1])
    if len(parts) == 2:
        return _BINARY[words[0]](*parts)
    return -parts[0] if words == ["-"] else parts[0]


def _digits(right: tuple[tuple[str, bool], ...], rules: Iterator[int]) -> str:
    return "".join(
        name if terminal else _digits(_grammar().rules[next(rules)].right, rules)
        for name, terminal in right
    )


def distance_to(target: str, points: np.ndarray = POINTS) -> Callable[[str], float]:
    """How far an expression is from a target: log(1 + mean squared error) over points.

    It may be infinite or NaN, where the expression has no value at a point.

    Source: Kusner, Paige & Hernández-Lobato (2017), Section 4.1: 1000 points of [−10, 10].

    Args:
        target: as for `Formula`.
        points: where both are evaluated, (n,).

    Raises:
        ValueError: a target that is no formula, or without a value at some of the points.

    >>> round(distance_to("1/3 + x + sin(x*x)")("x / 1 + sin( 3 ) + sin( x * x )"), 4)
    0.0363
    """
    wanted = Formula(target)(points)
    if not np.isfinite(wanted).all():
        raise ValueError(
            f"{target!r}: expected a finite value at each of {len(points)} points from "
            f"{points.min():g} to {points.max():g}, got "
            f"{wanted[~np.isfinite(wanted)][0]} at x = {points[~np.isfinite(wanted)][0]:.3g}"
        )

    def score(line: str) -> float:
        with np.errstate(all="ignore"):
            return float(np.log1p(np.mean((Formula(line)(points) - wanted) ** 2)))

    return score

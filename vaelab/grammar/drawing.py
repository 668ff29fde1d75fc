"""Lines drawn from a grammar: every derivation of a length is as likely as any other."""

from __future__ import annotations

import bisect
import functools
import itertools
import random
from collections.abc import Callable, Sequence

from vaelab._door import door
from vaelab._inputs import check_draws
from vaelab.grammar.grammar import Grammar

Stack = tuple[int, ...]


@door
def derivations(grammar: Grammar) -> Callable[[Stack, int], int]:
    """How many derivations of exactly n rules a stack of non-terminals has, as a function of both:

    N(A rest, n) = Σ N(right(r) rest, n − 1) over the rules r of A,   N((), 0) = 1.

    The order of a stack does not change its number, so stacks are counted sorted.

    Raises:
        ValueError: when called, a length of several hundred rules.

    >>> count = derivations(Grammar("S -> 'a' S | 'b' S | 'c'"))
    >>> [count((0,), n) for n in range(5)]
    [0, 1, 2, 4, 8]
    """
    rights = _rights(grammar)

    @functools.cache
    def count(stack: Stack, n: int) -> int:
        if len(stack) > n or not stack:
            return int(not stack and n == 0)
        rest = stack[1:]
        return sum(count(tuple(sorted(right + rest)), n - 1) for _, right in rights[stack[0]])

    def counted(stack: Stack, n: int) -> int:
        try:
            return count(tuple(sorted(stack)), n)
        except RecursionError as error:
            raise ValueError(f"length {n}: too many rules to count; give fewer") from error

    return counted


def _rights(grammar: Grammar) -> list[list[tuple[int, Stack]]]:
    """Of every non-terminal, its rules that a line can use, with their non-terminals."""
    rights: list[list[tuple[int, Stack]]] = [[] for _ in grammar.symbols]
    for number, (left, right) in enumerate(grammar.productions):
        if grammar.live[number]:
            rights[left].append((number, tuple(symbol for symbol in right if symbol >= 0)))
    return rights


@door
def draw_lines(grammar: Grammar, n: int, length: int, seed: int = 0) -> list[str]:
    """`n` different lines of at most `length` rules, drawn uniformly from all derivations.

    Args:
        grammar: in which no line has two parses.
        n: how many.
        length: rules a line at most.
        seed: of the draws.

    Raises:
        ValueError: there are, or were found, fewer than `n`; a length that is too long to count.

    >>> from vaelab.grammar import expressions
    >>> draw_lines(expressions(), 3, length=6, seed=0)
    ['3 + 3 / 2', '2 * 1 / x', 'x / 2 * 3']
    """
    check_draws("length", length, length)  # Counts of so many digits, each.
    count = derivations(grammar)
    sizes = [count((0,), size) for size in range(length + 1)]
    if sum(sizes) < n:
        raise ValueError(
            f"the grammar has {sum(sizes)} derivations of at most {length} rules; expected at "
            f"least n={n}, give a larger length"
        )
    rng = random.Random(seed)
    rights = _rights(grammar)
    lines: dict[str, None] = {}
    for _ in range(100 * n):
        left = _choose(rng, sizes)
        rules, stack = [], (0,)
        while stack:
            left -= 1
            options = [(number, right + stack[1:]) for number, right in rights[stack[0]]]
            rule, stack = options[_choose(rng, [count(after, left) for _, after in options])]
            rules.append(rule)
        lines[grammar.write(rules)] = None
        if len(lines) == n:
            return list(lines)
    raise ValueError(
        f"found {len(lines)} different lines of at most {length} rules in {100 * n} draws; "
        f"expected n={n}, give a larger length"
    )


def _choose(rng: random.Random, weights: Sequence[int]) -> int:
    """A place, in proportion to weights of any size."""
    sums = list(itertools.accumulate(weights))
    return bisect.bisect_right(sums, rng.randrange(sums[-1]))

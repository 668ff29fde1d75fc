"""A parser for any context-free grammar: an LR table, and several stacks where it leaves a choice.

Left recursion costs nothing, and a grammar need not be LR: where the table offers two actions both
are tried, and the wrong one dies within a few tokens. What is left at the end are the parses; two
of them show that a line is ambiguous.

Source: Tomita (1985), An Efficient Context-free Parsing Algorithm for Natural Languages, without
the sharing of stacks; the table is SLR(1), DeRemer (1971).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

# Numbers ≥ 0 are non-terminals, ~j is the terminal j.
Production = tuple[int, tuple[int, ...]]
Stack = tuple[int, tuple[int, ...], "Stack | None"]  # state, rules beneath it in order, the rest
_NOTHING = -1  # Among the terminals that may come first: there may be none.


class Unexpected(Exception):
    """No parse goes on at token `place`; the terminals in `expected` would have gone on."""

    def __init__(self, place: int, expected: list[int]) -> None:
        super().__init__(place)
        self.place = place
        self.expected = expected


class Parser:
    """Parses sequences of terminals.

    Args:
        productions: those that may be used, by the number of their rule.
        n_terminals: terminals are 0 to n_terminals − 1.
        start: the non-terminal of a whole line.
    """

    def __init__(self, productions: dict[int, Production], n_terminals: int, start: int) -> None:
        self.end = n_terminals
        top = max(left for left, _ in productions.values()) + 1
        self.productions = {**productions, -1: (max(top, start + 1), (start, ~self.end))}
        self._rules_of: dict[int, list[int]] = defaultdict(list)
        for number, (left, _) in self.productions.items():
            self._rules_of[left].append(number)
        self._build(self._follows())

    def _follows(self) -> dict[int, set[int]]:
        """The terminals that may come after each non-terminal, by a fixed point."""
        first: dict[int, set[int]] = {left: set() for left in self._rules_of}
        follow: dict[int, set[int]] = {left: set() for left in self._rules_of}

        def begins(symbols: tuple[int, ...], after: set[int]) -> set[int]:
            """The terminals that may come first, where `after` may come after the symbols."""
            if not symbols:
                return after
            head = {~symbols[0]} if symbols[0] < 0 else first[symbols[0]]
            rest = begins(symbols[1:], after) if _NOTHING in head else set()
            return head - {_NOTHING} | rest

        size = -1
        while size != (size := sum(map(len, (*first.values(), *follow.values())))):
            for left, right in self.productions.values():
                first[left] |= begins(right, {_NOTHING})
                for place, symbol in enumerate(right):
                    if symbol >= 0:
                        follow[symbol] |= begins(right[place + 1 :], follow[left])
        return follow

    def _closure(self, kernel: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
        """The items (rule, symbols seen) of a state."""
        items, agenda = set(kernel), list(kernel)
        while agenda:
            number, dot = agenda.pop()
            right = self.productions[number][1]
            if dot < len(right):
                new = {(other, 0) for other in self._rules_of.get(right[dot], [])} - items
                items |= new
                agenda += new
        return items

    def _build(self, follow: dict[int, set[int]]) -> None:
        """Of every state, where each symbol leads, and the rules that end there, by the terminals
        that may come after them.
        """
        kernels = [frozenset({(-1, 0)})]
        self._moves: list[dict[int, int]] = []
        self._ends: list[dict[int, list[int]]] = []
        for kernel in kernels:  # Grows meanwhile.
            moves: dict[int, set[tuple[int, int]]] = defaultdict(set)
            ends: dict[int, list[int]] = defaultdict(list)
            for number, dot in sorted(self._closure(kernel)):
                left, right = self.productions[number]
                if dot < len(right):
                    moves[right[dot]].add((number, dot + 1))
                    continue
                for terminal in follow[left]:
                    ends[terminal].append(number)
            following = {symbol: frozenset(items) for symbol, items in moves.items()}
            kernels += [
                items for items in dict.fromkeys(following.values()) if items not in kernels
            ]
            self._moves.append(
                {symbol: kernels.index(items) for symbol, items in following.items()}
            )
            self._ends.append(dict(ends))

    def parses(self, tokens: Sequence[int]) -> list[tuple[int, ...]]:
        """The parses of a line, two at most, each as its rules, leftmost non-terminal first.

        Raises:
            Unexpected: there is none.
        """
        stacks: list[Stack] = [(0, (), None)]
        depth = (len(tokens) + 2) * (len(self._rules_of) + 1)
        for place, token in enumerate((*tokens, self.end)):
            going = self._advance(stacks, token, depth)
            if not going:
                every = range(self.end + 1)
                raise Unexpected(place, [t for t in every if self._advance(stacks, t, depth)])
            stacks = going
        return list(dict.fromkeys(stack[2][1] for stack in stacks if stack[2]))

    def _advance(self, stacks: list[Stack], token: int, depth: int) -> list[Stack]:
        """The stacks after one more token, reductions first; of those with the same states, which
        have the same future, two.
        """
        shifted: list[Stack] = []
        agenda = [*stacks]
        while agenda:
            stack = agenda.pop()
            for number in self._ends[stack[0]].get(token, ()):
                reduced = self._reduce(stack, number)
                if self.productions[number][1] or len(_states(reduced)) <= depth:
                    agenda.append(reduced)
            if ~token in self._moves[stack[0]]:
                shifted.append((self._moves[stack[0]][~token], (), stack))
        if len(shifted) < 2:
            return shifted
        alike: dict[tuple[int, ...], list[Stack]] = defaultdict(list)
        for stack in shifted:
            alike[_states(stack)].append(stack)
        return [stack for group in alike.values() for stack in group[:2]]

    def _reduce(self, stack: Stack, number: int) -> Stack:
        left, right = self.productions[number]
        rules: tuple[int, ...] = ()
        for _ in right:
            rules = stack[1] + rules
            stack = stack[2]  # type: ignore[assignment]
        return (self._moves[stack[0]][left], (number, *rules), stack)


def _states(stack: Stack | None) -> tuple[int, ...]:
    states = []
    while stack:
        states.append(stack[0])
        stack = stack[2]
    return tuple(states)

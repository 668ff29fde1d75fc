"""A parser for any context-free grammar: an LR table, and several stacks where it leaves a choice.

Left recursion costs nothing, and a grammar need not be LR: where the table offers two actions both
are tried, and the wrong one dies within a few tokens. What is left at the end are the parses; two
of them show that a line is ambiguous.

Source: Tomita (1985), An Efficient Context-free Parsing Algorithm for Natural Languages, without
the sharing of stacks; the table is SLR(1), DeRemer (1971).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Numbers ≥ 0 are non-terminals, ~j is the terminal j.
Production = tuple[int, tuple[int, ...]]
Stack = tuple[int, tuple[int, ...], "Stack | None"]  # state, rules beneath it in order, the rest


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
        self._rules_of: dict[int, list[int]] = {}
        for number, (left, _) in self.productions.items():
            self._rules_of.setdefault(left, []).append(number)
        self._follow = self._follows()
        self._build()

    def _follows(self) -> dict[int, set[int]]:
        """The terminals that may come after each non-terminal, by a fixed point."""
        empty: set[int] = set()
        first: dict[int, set[int]] = {left: set() for left in self._rules_of}
        follow: dict[int, set[int]] = {left: set() for left in self._rules_of}
        size = -1
        while size != (size := sum(map(len, (empty, *first.values(), *follow.values())))):
            for left, right in self.productions.values():
                after, vanishes = set(follow[left]), True
                for symbol in reversed(right):
                    if symbol < 0:
                        after, vanishes = {~symbol}, False
                        continue
                    follow[symbol] |= after
                    kept = after if symbol in empty else set()
                    after = first[symbol] | kept
                    vanishes = vanishes and symbol in empty
                first[left] |= self._firsts(right, first, empty)
                if vanishes:
                    empty.add(left)
        return follow

    @staticmethod
    def _firsts(right: Sequence[int], first: dict[int, set[int]], empty: set[int]) -> set[int]:
        found: set[int] = set()
        for symbol in right:
            found |= {~symbol} if symbol < 0 else first[symbol]
            if symbol not in empty:
                break
        return found

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

    def _build(self) -> None:
        """Every state's actions by terminal (≥ 0: shift to that state; < 0: reduce by a rule), and
        where it goes by non-terminal.
        """
        kernels = [frozenset({(-1, 0)})]
        self._actions: list[dict[int, tuple[int, ...]]] = []
        self._gotos: list[dict[int, int]] = []
        for kernel in kernels:  # Grows meanwhile.
            actions: dict[int, tuple[int, ...]] = {}
            gotos: dict[int, int] = {}
            moves: dict[int, set[tuple[int, int]]] = {}
            for number, dot in sorted(self._closure(kernel)):
                left, right = self.productions[number]
                if dot < len(right):
                    moves.setdefault(right[dot], set()).add((number, dot + 1))
                    continue
                for terminal in self._follow[left]:
                    actions[terminal] = (*actions.get(terminal, ()), ~number)
            for symbol, items in moves.items():
                following = frozenset(items)
                if following not in kernels:
                    kernels.append(following)
                state = kernels.index(following)
                if symbol < 0:
                    actions[~symbol] = (*actions.get(~symbol, ()), state)
                else:
                    gotos[symbol] = state
            self._actions.append(actions)
            self._gotos.append(gotos)

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
        """The stacks after one more token, reductions first."""
        shifted: list[Stack] = []
        agenda = [*stacks]
        while agenda:
            stack = agenda.pop()
            for action in self._actions[stack[0]].get(token, ()):
                if action >= 0:
                    shifted.append((action, (), stack))
                    continue
                reduced = self._reduce(stack, ~action)
                if self.productions[~action][1] or _height(reduced) <= depth:
                    agenda.append(reduced)
        return shifted if len(shifted) < 2 else _two_of_each(shifted)

    def _reduce(self, stack: Stack, number: int) -> Stack:
        left, right = self.productions[number]
        rules: tuple[int, ...] = ()
        for _ in right:
            rules = stack[1] + rules
            stack = stack[2]  # type: ignore[assignment]
        return (self._gotos[stack[0]][left], (number, *rules), stack)


def _height(stack: Stack | None) -> int:
    return sum(1 for _ in _states(stack))


def _states(stack: Stack | None) -> Iterable[int]:
    while stack:
        yield stack[0]
        stack = stack[2]


def _two_of_each(stacks: list[Stack]) -> list[Stack]:
    """Of the stacks with the same states, which have the same future, two."""
    alike: dict[tuple[int, ...], list[Stack]] = {}
    for stack in stacks:
        alike.setdefault(tuple(_states(stack)), []).append(stack)
    return [stack for group in alike.values() for stack in group[:2]]

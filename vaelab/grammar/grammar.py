"""A context-free grammar as data: rules by number, masks, and lines as sequences of rules."""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter

import numpy as np
import torch
from torch import Tensor

from vaelab._arrays import as_tensor
from vaelab._inputs import as_list, check_flag, check_positive_int, shown
from vaelab.grammar.parser import Parser, Production, Unexpected
from vaelab.grammar.reading import Rule, read_rules
from vaelab.parts import Part


class Grammar(Part):
    """A context-free grammar, read from text; the first rule's left side is a whole line.

    A line is kept as the rules of its derivation, the leftmost non-terminal first, each rule a
    byte. One more rule, the last, is the padding: it stands after the end of a line.

    Rules of a non-terminal that derives nothing are masked: no line can use them.

    Args:
        rules: `name -> symbols | symbols`, a rule a line or several, terminals in quotes; `#`
            begins a comment.
        joint: what stands between two terminals of a line that is written: "" or " ". With " ",
            spaces in a line that is read are free, and it is read as the longest terminals.
        warn: whether a warning names the rules that are masked.

    Raises:
        ValueError: text that is no grammar; a start that derives nothing; a non-terminal that
            derives itself; more than 255 rules.

    >>> sums = Grammar("S -> S '+' T | T  \\n T -> 'x' | '1'", joint=" ")
    >>> sums.parse("x+1"), sums.write([0, 1, 2, 3])
    ([0, 1, 2, 3], 'x + 1')
    >>> sums.parse("x+")
    Traceback (most recent call last):
        ...
    ValueError: 'x+' at character 3, after 'x+': expected 'x', '1', got the end of the line
    """

    def __init__(self, rules: str, joint: str = "", warn: bool = True) -> None:
        if not isinstance(joint, str) or joint not in ("", " "):
            raise ValueError(f"joint: expected '' or ' ', got {shown(joint)}")
        check_flag("warn", warn)
        self.joint = joint
        self.rules: tuple[Rule, ...] = tuple(read_rules(rules))
        self.padding = len(self.rules)
        self.n_rules = len(self.rules) + 1
        if self.n_rules > 256:
            raise ValueError(f"expected at most 255 rules, which fit a byte, got {self.padding}")
        rights = [symbol for rule in self.rules for symbol in rule.right]
        names = [
            *(rule.left for rule in self.rules),
            *(name for name, quoted in rights if not quoted),
        ]
        self.symbols = list(dict.fromkeys(names))
        self.terminals = list(dict.fromkeys(name for name, quoted in rights if quoted))
        # What a line is read by: characters where nothing stands between the terminals.
        spelled = self.terminals if joint else "".join(self.terminals)
        self.tokens = list(dict.fromkeys(spelled))
        self._number = {token: number for number, token in enumerate(self.tokens)}
        ends = self._grown({(name, True) for name in self.terminals})
        self.live = [ends.issuperset(rule.right) for rule in self.rules]
        self._check_ends([name for name in self.symbols if (name, False) not in ends], warn)
        self._check_cycles()

    def __repr__(self) -> str:
        return f"Grammar({self.n_rules} rules with the padding, start {self.symbols[0]})"

    def _grown(self, found: set[tuple[str, bool]]) -> set[tuple[str, bool]]:
        """The symbols, and all non-terminals of which something made of them alone can come."""
        for _ in self.symbols:
            found = found | {(r.left, False) for r in self.rules if found.issuperset(r.right)}
        return found

    def _check_ends(self, dead: list[str], warn: bool) -> None:
        """Raise for a start that derives nothing; name the rules that no line can use in a warning,
        if one is wanted.
        """
        if self.symbols[0] in dead:
            raise ValueError(
                f"the start, {self.symbols[0]}, derives nothing: each of its rules leads to itself "
                "again or to a name without rules; give it a rule that ends (terminals: in quotes)"
            )
        if dead and warn:
            pairs = zip(self.rules, self.live, strict=True)
            masked = "; ".join(str(rule) for rule, is_live in pairs if not is_live)
            warnings.warn(f"no line can come of {', '.join(dead)}; masked: {masked}", stacklevel=3)

    def _check_cycles(self) -> None:
        """Raise for a non-terminal that derives itself and nothing else: its lines would have
        endless parses.
        """
        empty = self._grown(set())
        alone: TopologicalSorter[str] = TopologicalSorter()
        for rule in self.rules:
            for i, (name, quoted) in enumerate(rule.right):
                if not quoted and empty.issuperset(rule.right[:i] + rule.right[i + 1 :]):
                    alone.add(rule.left, name)
        try:
            alone.prepare()
        except CycleError as error:
            raise ValueError(
                f"{error.args[1][0]} derives itself, so that its lines have endless parses; delete "
                "a rule of that circle"
            ) from None

    # ---- what the stack machine needs

    @cached_property
    def productions(self) -> list[Production]:
        """The rules in numbers: left, and right with ~j for the terminal j."""
        symbol = {name: number for number, name in enumerate(self.symbols)}
        terminal = {name: ~number for number, name in enumerate(self.terminals)}
        return [
            (symbol[r.left], tuple((terminal if quoted else symbol)[n] for n, quoted in r.right))
            for r in self.rules
        ]

    @cached_property
    def masks(self) -> np.ndarray:
        """Which rules each non-terminal allows, shape (n_symbols + 1, n_rules). The last row is of
        the empty stack, which allows the padding alone.
        """
        masks = np.zeros((len(self.symbols) + 1, self.n_rules), bool)
        for number, (left, _) in enumerate(self.productions):
            masks[left, number] = self.live[number]
        masks[-1, self.padding] = True
        return masks

    def step(self, stack: Sequence[int], rule: int) -> tuple[int, ...]:
        """One step of the stack machine: the top symbol is replaced by the non-terminals of a rule.

        Args:
            stack: non-terminals still to be expanded, the next one first.
            rule: its number.

        Raises:
            ValueError: no such rule, or the mask of the top does not allow it.
        """
        stack = as_list("stack", stack, "symbols such as [0]")
        right = self._right(stack[0] if stack else -1, rule)
        return (*(symbol for symbol in right if symbol >= 0), *stack[1:])

    def _right(self, top: int, rule: int) -> tuple[int, ...]:
        """What comes in the place of the top symbol, −1 of the empty stack; or raise."""
        fitting = self.masks[top] if -1 <= top < len(self.symbols) else []
        is_rule = isinstance(rule, (int, np.integer)) and 0 <= rule < len(fitting)
        if not (is_rule and fitting[rule]):
            name = self.symbols[top] if 0 <= top < len(self.symbols) else "the empty stack"
            known = ", ".join(map(str, np.flatnonzero(fitting)))
            raise ValueError(f"rule {shown(rule)} does not expand {name}; expected one of {known}")
        return self.productions[rule][1] if rule < self.padding else ()

    # ---- lines and rules

    @cached_property
    def _word(self) -> re.Pattern[str]:
        """A token, the longest first, or else one character."""
        words = [re.escape(word) for word in sorted(self.tokens, key=len, reverse=True)]
        return re.compile("|".join([*words, r"\S" if self.joint else "."]), re.DOTALL)

    @cached_property
    def _parser(self) -> Parser:
        """Of the rules that a line can use, each terminal spelled in tokens."""
        spelled = [[word] if self.joint else word for word in self.terminals]
        symbols = {n: (n,) for n in range(len(self.symbols))}
        symbols |= {~j: tuple(~self._number[t] for t in word) for j, word in enumerate(spelled)}
        live = {
            number: (left, tuple(itertools.chain.from_iterable(symbols[s] for s in right)))
            for number, (left, right) in enumerate(self.productions)
            if self.live[number]
        }
        return Parser(live, len(self.tokens), 0)

    def parse(self, line: str) -> list[int]:
        """The rules of a line's derivation, leftmost non-terminal first.

        Raises:
            ValueError: a line outside the grammar (where, what was expected), or one with two
                parses (both).
            TypeError: no text.
        """
        if not isinstance(line, str):
            raise TypeError(f"expected a line of text, got {shown(line)} ({type(line).__name__})")
        words = self._word.findall(line)
        unknown = len(self.tokens) + 1
        try:
            parses = self._parser.parses([self._number.get(word, unknown) for word in words])
        except Unexpected as error:
            raise ValueError(self._where(line, error)) from None
        if len(parses) > 1:
            one, other = (self.tree(rules) for rules in parses)
            raise ValueError(
                f"{shown(line)} has two parses:\n{one}\nand\n{other}\nMend the grammar"
            )
        return list(parses[0])

    def _where(self, line: str, error: Unexpected) -> str:
        """What is wrong with a line, and where."""
        end = "the end of the line"
        names = [*map(repr, self.tokens), end]
        words = list(self._word.finditer(line))
        got, at = end, len(line)
        if error.place < len(words):
            got, at = repr(words[error.place].group()), words[error.place].start()
        after = f", after {line[:at][-40:]!r}" if at else ""
        expected = ", ".join(names[number] for number in error.expected)
        return f"{shown(line)} at character {at + 1}{after}: expected {expected}, got {got}"

    def write(self, rules: Iterable[int]) -> str:
        """The line of a derivation; padding is left out.

        Raises:
            ValueError: rules that do not fit, or that leave the line unfinished.
        """
        rules = as_list("rules", rules, "the numbers of rules")
        words: list[str] = []
        stack = [0]
        for rule in rules:
            while stack and stack[-1] < 0:
                words.append(self.terminals[~stack.pop()])
            if rule == self.padding and not stack:
                break
            stack[-1:] = reversed(self._right(stack[-1] if stack else -1, rule))
        waiting = [self.symbols[symbol] for symbol in reversed(stack) if symbol >= 0]
        if waiting:
            raise ValueError(f"the line is unfinished: {', '.join(waiting)} waits for a rule")
        words += [self.terminals[~symbol] for symbol in reversed(stack)]
        return self.joint.join(words)

    def tree(self, rules: Iterable[int]) -> str:
        """A derivation as an indented list of its rules.

        Raises:
            ValueError: as for `write`.
        """
        rules = as_list("rules", rules, "the numbers of rules")
        self.write(rules)
        lines: list[str] = []
        depths = [0]
        for rule in rules:
            if rule == self.padding:
                break
            depth = depths.pop()
            lines.append("  " * depth + str(self.rules[rule]))
            depths += [depth + 1] * sum(symbol >= 0 for symbol in self.productions[rule][1])
        return "\n".join(lines)

    def encode(self, lines: Sequence[str], length: int | None = None) -> Tensor:
        """Lines as rule numbers, bytes, padded: shape (n, length), as `load_images` gives pixels.

        Args:
            lines: of the grammar.
            length: in rules; that of the longest unless given.

        Raises:
            ValueError: no line; one outside the grammar, or of more than `length` rules, by its
                number.
            TypeError: one line in place of several, or what is no text.
        """
        if length is not None:
            check_positive_int("length", length)
        if isinstance(lines, str):
            raise TypeError(f"expected several lines, got one: {shown(lines)}; put it in brackets")
        lines = as_list("lines", lines, "several lines")
        if not lines:
            raise ValueError("expected at least one line, got none")
        rows: list[list[int]] = []
        for number, line in enumerate(lines, 1):
            try:
                rows.append(self.parse(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            if length is not None and len(rows[-1]) > length:
                raise ValueError(
                    f"line {number}: {shown(line)} takes {len(rows[-1])} rules; expected at most "
                    f"length={length}: shorten it, or give a larger length"
                )
        width = length or max(map(len, rows))
        padded = [row + [self.padding] * (width - len(row)) for row in rows]
        return torch.tensor(padded, dtype=torch.uint8)

    def decode(self, x: Tensor) -> list[str | None]:
        """The lines of rule numbers (n, length), bytes or bytes/255; None for an unfinished one.

        Raises:
            ValueError: another shape.
        """
        x = as_tensor(x, "rules")
        if x.ndim != 2:
            raise ValueError(f"expected rule numbers (n, length), got shape {tuple(x.shape)}")
        return [self._line(row) for row in rule_numbers(x).tolist()]

    def _line(self, rules: list[int]) -> str | None:
        try:
            return self.write(rules)
        except ValueError:
            return None

    def characters(self) -> Grammar:
        """The grammar of any sequence of these terminals (of their characters, where nothing stands
        between them), which knows nothing of how they fit: what a character-level model has.

        >>> print(*Grammar("S -> 'a' S | 'b'").characters().rules, sep="; ")
        line -> 'a' line; line -> 'b' line; line -> ''
        """
        quote = {name: '"' if "'" in name else "'" for name in self.tokens}
        rules = [f"line -> {q}{name}{q} line" for name, q in quote.items()]
        return Grammar("\n".join([*rules, "line -> ''"]), self.joint)


def rule_numbers(x: Tensor) -> Tensor:
    """Rule numbers of bytes, or of the b / 255 that a model sees: whole numbers of the same shape.

    >>> rule_numbers(torch.tensor([0.0, 3 / 255]))
    tensor([0, 3])
    """
    x = as_tensor(x, "rules")
    return (x * 255).round().long() if x.is_floating_point() else x.long()

"""A grammar as text, read into rules: `name -> symbols | symbols`, terminals in quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORD = re.compile(r"\s*(?:(#.*)|(->)|(\|)|'([^']+)'|\"([^\"]+)\"|(''|\"\")|([^\W\d]\w*)|(\S))")


@dataclass(frozen=True)
class Rule:
    """One rule, left -> right.

    Args:
        left: a non-terminal.
        right: what it becomes: (name, whether it is a terminal), in order.
    """

    left: str
    right: tuple[tuple[str, bool], ...]

    def __str__(self) -> str:
        right = [f"'{name}'" if terminal else name for name, terminal in self.right]
        return f"{self.left} -> {' '.join(right) or repr('')}"


def read_rules(text: str) -> list[Rule]:
    """The rules of a grammar, in the order in which they stand.

    Raises:
        ValueError: a line that is no rule, a rule that stands twice, no rule at all.
        TypeError: no text.

    >>> [str(rule) for rule in read_rules("S -> 'a' S 'b' | 'c'")]
    ["S -> 'a' S 'b'", "S -> 'c'"]
    """
    if not isinstance(text, str):
        raise TypeError(f"expected the rules of a grammar as text, got {type(text).__name__}")
    rules: list[Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        for rule in _rules_of(line, number):
            if rule in rules:
                raise ValueError(f"line {number}: the rule {rule} stands twice; delete one")
            rules.append(rule)
    if not rules:
        raise ValueError("expected rules such as S -> 'a' S | 'b', got none")
    return rules


def _rules_of(line: str, number: int) -> list[Rule]:
    words = [match for match in _WORD.finditer(line) if match.group(1) is None]
    if not words:
        return []
    bad = [match.group(8) for match in words if match.group(8)]
    arrows = [i for i, match in enumerate(words) if match.group(2)]
    if bad or arrows != [1] or not words[0].group(7):
        what = f"; {bad[0]!r} has no meaning outside of quotes" if bad else ""
        raise ValueError(
            f"line {number}: expected NAME -> symbols | symbols, terminals in quotes, got "
            f"{line.strip()!r}{what}"
        )
    left = words[0].group(7)
    alternatives: list[list[tuple[str, bool]]] = [[]]
    for match in words[2:]:
        terminal, name = match.group(4) or match.group(5), match.group(7)
        if match.group(3):
            alternatives.append([])
        elif terminal or name:
            alternatives[-1].append((terminal or name, bool(terminal)))
    return [Rule(left, tuple(right)) for right in alternatives]

"""The stack machine for many lines at once: scores in, rules out, each allowed by its mask."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vaelab._door import door
from vaelab.grammar.grammar import Grammar


@door
def tables(grammar: Grammar) -> dict[str, Tensor]:
    """What the machine looks up, for K non-terminals, R rules with the padding.

    Returns:
        "masks" (K + 1, R), whether a rule expands a symbol, the last one the empty stack; "pushes"
        (R, M), the non-terminals of each rule's right side, last first; "n_pushes" (R,), how many
        they are.
    """
    rights = [[s for s in reversed(right) if s >= 0] for _, right in grammar.productions]
    rows = [torch.tensor(right, dtype=torch.long) for right in (*rights, [])]
    return {
        "masks": torch.from_numpy(grammar.masks),
        "pushes": pad_sequence(rows, batch_first=True),
        "n_pushes": torch.tensor([*map(len, rows)]),
    }


class _Stacks:
    """The stacks of many lines: symbols (batch, ...) and the place of the top in each row."""

    def __init__(self, n: int, length: int, lookup: dict[str, Tensor]) -> None:
        self.pushes, self.n_pushes = lookup["pushes"], lookup["n_pushes"]
        self.rows = torch.arange(n, device=self.pushes.device)
        self.symbols = self.pushes.new_zeros(n, 2 + length * self.pushes.shape[1])
        self.symbols[:, 0] = len(lookup["masks"]) - 1  # The empty stack, never taken away.
        self.top = torch.ones_like(self.rows)  # The start.

    def tops(self) -> Tensor:
        """The symbol to be expanded in each row."""
        return self.symbols[self.rows, self.top]

    def take(self, rule: Tensor) -> None:
        """Replace each top by the non-terminals of a rule, (batch,)."""
        self.top = (self.top - 1).clamp(min=0)
        for k in range(self.pushes.shape[1]):
            more = k < self.n_pushes[rule]
            self.top = self.top + more.long()
            symbol = torch.where(more, self.pushes[rule, k], self.tops())
            self.symbols[self.rows, self.top] = symbol


def expand(scores: Tensor, lookup: dict[str, Tensor]) -> Tensor:
    """The rules that the stack machine takes, at each step the allowed one of the highest score.

    Args:
        scores: of each rule at each step, (batch, length, R). Logits give the likeliest rules one
            by one; logits plus Gumbel noise give a draw of p(x given z).
        lookup: of the grammar, see `tables`, on the device of the scores.

    Returns:
        Rule numbers (batch, length). A line whose stack is not empty at the end is unfinished.
    """
    stacks = _Stacks(scores.shape[0], scores.shape[1], lookup)
    rules = []
    for each in scores.unbind(1):
        allowed = lookup["masks"][stacks.tops()]
        rules.append(each.masked_fill(~allowed, -torch.inf).argmax(-1))
        stacks.take(rules[-1])
    return torch.stack(rules, 1)


def allowed(rules: Tensor, lookup: dict[str, Tensor]) -> Tensor:
    """The mask of every step of lines whose rules are known, (batch, length) to (batch, length, R):
    what the stack machine allows after the rules before.
    """
    stacks = _Stacks(rules.shape[0], rules.shape[1], lookup)
    tops = []
    for rule in rules.unbind(1):
        tops.append(stacks.tops())
        stacks.take(rule)
    return lookup["masks"][torch.stack(tops, 1)]

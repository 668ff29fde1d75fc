"""The stack machine for many lines at once: scores in, rules out, each allowed by its mask."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vaelab.grammar.grammar import Grammar


def tables(grammar: Grammar) -> dict[str, Tensor]:
    """What the machine looks up, for K non-terminals, R rules with the padding.

    Returns:
        "masks" (K + 1, R), whether a rule expands a symbol, the last one the empty stack; "left"
        (R,), the symbol that each rule expands; "pushes" (R, M), the non-terminals of its right
        side, last first, and "n_pushes" (R,), how many they are.
    """
    rights = [[s for s in reversed(right) if s >= 0] for _, right in grammar.productions]
    most = max(1, *map(len, rights)) if len(rights) > 1 else max(1, len(rights[0]))
    pushes = np.zeros((grammar.n_rules, most), int)
    for number, right in enumerate(rights):
        pushes[number, : len(right)] = right
    left = [left for left, _ in grammar.productions]
    return {
        "masks": torch.from_numpy(grammar.masks),
        "left": torch.tensor([*left, len(grammar.symbols)]),
        "pushes": torch.from_numpy(pushes),
        "n_pushes": torch.tensor([*map(len, rights), 0]),
    }


def expand(scores: Tensor, lookup: dict[str, Tensor]) -> Tensor:
    """The rules that the stack machine takes, at each step the allowed one of the highest score.

    Args:
        scores: of each rule at each step, (batch, length, R). Logits give the likeliest rules one
            by one; logits plus Gumbel noise give a draw of p(x given z).
        lookup: of the grammar, see `tables`, on the device of the scores.

    Returns:
        Rule numbers (batch, length). A line whose stack is not empty at the end is unfinished.
    """
    n, length, _ = scores.shape
    masks, pushes, n_pushes = lookup["masks"], lookup["pushes"], lookup["n_pushes"]
    empty = len(masks) - 1
    rows = torch.arange(n, device=scores.device)
    stack = torch.zeros(n, 2 + length * pushes.shape[1], dtype=torch.long, device=scores.device)
    stack[:, 0] = empty  # Never taken away.
    depth = torch.ones_like(rows)  # Of the top, which is the start.
    out = []
    for step in range(length):
        allowed = masks[stack[rows, depth]]
        rule = scores[:, step].masked_fill(~allowed, -torch.inf).argmax(-1)
        depth = (depth - 1).clamp(min=0)
        for k in range(pushes.shape[1]):
            depth = depth + (k < n_pushes[rule]).long()
            top = torch.where(k < n_pushes[rule], pushes[rule, k], stack[rows, depth])
            stack[rows, depth] = top
        out.append(rule)
    return torch.stack(out, 1)

"""Rows that are held out of training, and the loss on them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch

from vaelab._inputs import generator_of
from vaelab.training.batches import Feed


class HeldOut:
    """Rows that a run does not train on: the loss on them after each epoch is its history's
    "validation".

    The loss is the mean over the rows of the sum of all terms, in nats, in evaluation mode, with
    the same noise each time. None of the run's own noise is used.

    Args:
        rows: on their device.
        device: where the model is.
        seed: of the noise.
        batch_size: rows at a time.
    """

    def __init__(self, rows: Feed, device: torch.device, seed: int, batch_size: int) -> None:
        self.rows = replace(rows, flip=False)
        self.device = device
        self.seed = seed
        parts = min(math.ceil(len(rows) / batch_size), len(rows) // 2)  # Terms compare rows.
        self.parts = torch.arange(len(rows)).tensor_split(parts)

    @torch.no_grad()
    def loss(self, model: Any) -> float:
        """The loss of a model, which is left in training mode."""
        generator = generator_of(self.seed, self.device)
        model.eval()
        nats = []
        for part in self.parts:
            x = self.rows.batch(part.to(self.device), generator)
            terms = model.loss_terms(x, generator)
            nats.append(torch.stack(list(terms.values())).double().sum())
        model.train()
        return float(torch.stack(nats).sum()) / len(self.rows)


def split(rows: Feed, share: float, seed: int) -> tuple[Feed, Feed]:
    """The rows to train on, and a share of them, drawn with the seed, that is held out.

    Raises:
        ValueError: either would have fewer than two.
    """
    n = len(rows)
    n_held = round(share * n)
    if n_held < 2 or n - n_held < 2:
        raise ValueError(
            f"validation: expected a share that leaves at least 2 rows on either side, got "
            f"{n_held} of {n} held out; pass another share or more rows"
        )
    order = torch.randperm(n, generator=generator_of(seed))
    held, kept = order.split([n_held, n - n_held])
    return rows.part(kept.sort().values), rows.part(held.sort().values)

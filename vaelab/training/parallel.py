"""One model over several processes: torch's DistributedDataParallel, and what lets it compute what
one would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaelab import _processes

BATCH_NORM = nn.BatchNorm1d | nn.BatchNorm2d


def check_shared(model: nn.Module, batch_size: int, device: torch.device) -> None:
    """Raise unless batch, latent terms and layers can be shared among the processes there are."""
    _, processes = _processes.place()
    if processes == 1:
        return
    if batch_size % processes:
        nearest = max(processes, batch_size // processes * processes)
        expected = f"expected a multiple of the number of processes, {processes}"
        raise ValueError(f"batch_size: {expected}, got {batch_size}; try {nearest}")
    whole = [type(m).__name__ for m in model.modules() if getattr(m, "whole_batch", False)]
    if whole:
        raise ValueError(
            f"{whole[0]} compares the codes of a whole batch, which no process has: expected "
            "terms of single rows (such as KL, SquaredNorm), or one process"
        )
    if device.type != "cuda" and any(isinstance(m, BATCH_NORM) for m in model.modules()):
        raise ValueError(
            "batch normalisation over several processes works on CUDA alone, not on "
            f"{device.type}: expected networks without it (mlp), a GPU for each process, or one "
            "process"
        )


@contextlib.contextmanager
def parallel(model: Any, device: torch.device) -> Iterator[Callable[..., dict[str, Tensor]]]:
    """What is to be called for the loss terms inside: the model, or the model as one of several
    processes has it.

    Gradients are averaged over the processes, batch statistics taken over all rows; the model is
    the same in each, and has its former layers again afterwards.
    """
    if _processes.place()[1] == 1:
        yield model.loss_terms
        return
    layers = {name: m for name, m in model.named_modules() if isinstance(m, BATCH_NORM)}
    try:
        # The same parameters and statistics, in a layer that asks the other processes.
        for name, layer in layers.items():
            model.set_submodule(name, nn.SyncBatchNorm.convert_sync_batchnorm(layer))
        gpus = [torch.cuda.current_device()] if device.type == "cuda" else None
        yield DistributedDataParallel(model, device_ids=gpus)
    finally:
        for name, layer in layers.items():
            model.set_submodule(name, layer.train(model.training))

"""What makes a step faster on a GPU, and what is said when its memory is too small."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

import torch
from torch import nn

from vaelab._inputs import check_choice
from vaelab.models import Autoencoder
from vaelab.training.ensemble import Ensemble

PRECISIONS = ("float32", "tf32", "bfloat16")


class OutOfMemory(RuntimeError):
    """The device's memory is too small for the run. Says which batch would fit."""


@contextlib.contextmanager
def accelerated(
    model: Autoencoder, device: torch.device, precision: str, compile: bool
) -> Iterator[None]:
    """Train inside with faster arithmetic; the model and torch's settings are afterwards as they
    were.

    Convolutions on a CUDA device run with channels last. Encoder and decoder alone take part in
    bfloat16: posterior, likelihood and latent term stay in the model's precision, since γ and σ
    span many orders of magnitude.
    """
    check_choice("precision", precision, PRECISIONS)
    on_cuda, before = device.type == "cuda", torch.get_float32_matmul_precision()
    together = isinstance(
        model, Ensemble
    )  # whose weights have a dimension more, and whose pass is compiled as a whole
    if (
        on_cuda
        and not together
        and any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())
    ):
        model.to(memory_format=torch.channels_last)
    if precision == "tf32" and not on_cuda:
        warnings.warn(
            f"tf32 is arithmetic of NVIDIA's GPUs; on {device.type} this run is float32",
            stacklevel=4,
        )
    try:
        if precision == "tf32" and on_cuda:
            torch.set_float32_matmul_precision("high")
        if precision == "bfloat16":
            model.autocast = torch.bfloat16
        if compile and together:
            model.compile_pass()
        elif compile:  # "reduce-overhead" replays the networks as CUDA graphs
            for network in (model.encoder, model.decoder):
                network.forward = torch.compile(
                    network.forward, mode="reduce-overhead" if on_cuda else "default"
                )
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        model.autocast = None
        if compile:  # torch keeps eight variants of a function and runs the ninth as it is
            torch.compiler.reset()
        for network in (model.encoder, model.decoder):
            vars(network).pop("forward", None)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch says that memory, of a GPU or of this machine, did not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def largest_batch(
    model: Autoencoder, optimizer: torch.optim.Optimizer, batch: torch.Tensor
) -> int | None:
    """The largest half, quarter, … of a batch that one step has memory for, found by trying; None
    if not even 2 rows.

    The model's running statistics move: only for a run that has ended.
    """
    optimizer.zero_grad()
    n = len(batch) // 2
    while n >= 2:
        if batch.is_cuda:
            torch.cuda.empty_cache()
        try:
            moments = (
                []
                if optimizer.state
                else [torch.empty_like(p) for p in model.parameters() for _ in range(2)]
            )
            sum(model.loss_terms(batch[:n])).mean().backward()
            del moments
            return n
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        finally:
            optimizer.zero_grad()
        n //= 2
    return None

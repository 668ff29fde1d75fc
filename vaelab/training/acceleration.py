"""What makes a step faster on a GPU, and which batch would fit when its memory is too small."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

PRECISIONS = ("float32", "tf32", "bfloat16", "auto")


class OutOfMemory(RuntimeError):
    """The device's memory is too small for the run. Says which batch would fit."""


def chosen(precision: str, model: nn.Module, device: torch.device) -> str:
    """The precision that "auto" stands for: bfloat16 where it is faster and was measured not to
    move γ, r̂ or the Fréchet distance, else float32.

    That is for convolutions in float32 on a processor that multiplies bfloat16 matrices (AMX), see
    `benchmarks/precision.py`; dense networks lose time there. Other precisions stand for
    themselves.
    """
    if precision != "auto":
        return precision
    is_float32 = next(model.parameters()).dtype == torch.float32
    pays = device.type == "cpu" and _convolves(model) and is_float32 and _multiplies_bfloat16()
    return "bfloat16" if pays else "float32"


def _convolves(model: nn.Module) -> bool:
    return any(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in model.modules())


def _multiplies_bfloat16() -> bool:
    """Whether this processor has AMX for bfloat16; no, where torch is too old to tell."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16"))


@contextlib.contextmanager
def accelerated(model: Any, device: torch.device, precision: str, compile: bool) -> Iterator[None]:
    """Train inside with faster arithmetic; the model and torch's settings are afterwards as they
    were, but for the order of a convolution's weights in memory.

    Convolutions on a CUDA device, or in bfloat16, run with channels last. Encoder and decoder alone
    take part in bfloat16: posterior, likelihood and terms stay in the model's precision, since γ
    and σ span many orders of magnitude.
    """
    on_cuda = device.type == "cuda"
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    networks = [getattr(model, name) for name in ("encoder", "decoder") if hasattr(model, name)]
    is_one = all(p.ndim <= 4 for p in model.parameters())  # Of several models a kernel has five.
    if (on_cuda or precision == "bfloat16") and _convolves(model) and is_one:
        model.to(memory_format=torch.channels_last)
    if precision == "tf32" and not on_cuda:
        warnings.warn(
            f"tf32 is arithmetic of NVIDIA's GPUs; on {device.type} this run is float32",
            stacklevel=4,
        )
    try:
        if on_cuda:  # torch rounds convolutions, unlike products, to TF32 unless told otherwise.
            torch.backends.cudnn.allow_tf32 = precision == "tf32"
        if precision == "tf32" and on_cuda:
            torch.set_float32_matmul_precision("high")
        if precision == "bfloat16":
            model.autocast = torch.bfloat16
        if compile:
            _compile(model, networks, "reduce-overhead" if on_cuda else "default")
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        model.autocast = None
        if compile:  # torch keeps eight variants of a function and runs the ninth as it is.
            torch.compiler.reset()
            for network in networks:
                vars(network).pop("_compiled_call_impl", None)


def _compile(model: Any, networks: list[nn.Module], mode: str) -> None:
    """Compile the pass of a model that says how, else its networks, on CUDA as CUDA graphs."""
    if hasattr(model, "compile_pass"):
        model.compile_pass()
        return
    for network in networks:
        network.compile(mode=mode)  # Which copies of it do not share.

"""Spectral normalisation of a dense layer by its output: W x / σ for (W / σ) x."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scaled(layer: nn.Module) -> nn.Module:
    """Let a dense layer under `spectral_norm` divide its outputs by σ instead of its weights.

    The same function and the same gradients, and the weights, of which a dense layer has many more
    than outputs in a batch, are passed over half as often. `layer.weight` is W / σ as before.

    >>> _ = torch.manual_seed(0)
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2).eval())
    >>> x = torch.ones(1, 3)
    >>> torch.allclose(F.linear(x, layer.weight, layer.bias), scaled(layer)(x))
    True
    """
    layer.forward = MethodType(_forward, layer)
    return layer


def _forward(layer: Any, x: Tensor) -> Tensor:
    weight = layer.parametrizations.weight.original
    norm = layer.parametrizations.weight[0]
    with torch.autocast(x.device.type, enabled=False):
        if norm.training:
            norm._power_method(weight, norm.n_power_iterations)
        # A second pass moves the vectors in place, and the first must still find its own.
        u, v = norm._u.clone(), norm._v.clone()
        sigma = torch.vdot(u, torch.mv(weight, v))
    return F.linear(x, weight) / sigma + layer.bias

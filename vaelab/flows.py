"""Normalizing flows of affine couplings: invertible maps between codes and standard normal noise.

One flow serves as a prior trained beside the autoencoder, as a density fitted to its codes
afterwards, and on top of a posterior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import Whole, Widths
from vaelab.networks.layers import dense
from vaelab.networks.mlp import layers
from vaelab.parts import Module

LOG_2_PI = math.log(2 * math.pi)


class Couplings(Module):
    """f from codes z to noise u: a shift and scale, then affine couplings whose halves take turns.

    Each coupling keeps one half a of its input and moves the other, b ↦ exp(s(a)) b + t(a), s and t
    a perceptron's outputs, the log-scale cut to s = 2 tanh(raw / 2). So f is inverted as cheaply as
    it is computed, and log|det ∂f/∂z| is the sum of all s. The last layers start at zero: f is the
    identity until it has learned something else. The halves swap at every step; random
    permutations would leave some coordinates unmoved.

    Source: Dinh, Sohl-Dickstein & Bengio (2017), Eq. 4–8.

    Args:
        latent_dim: κ.
        transforms: number of couplings; 0 leaves the shift and scale.
        hidden: widths of the ReLU layers in each.
        n_context: length of a context c that shift, scale and every coupling see; 0 for none.
        scaled: whether the first step scales; without couplings and scale, f(z) = z − m(c).

    >>> f = Couplings(4, transforms=2, hidden=(8,))
    >>> u, log_det = f(torch.ones(5, 4))
    >>> u.shape, log_det.shape, torch.equal(f.inverse(u), torch.ones(5, 4))
    (torch.Size([5, 4]), torch.Size([5]), True)
    """

    @door
    def __init__(
        self,
        latent_dim: int,
        transforms: Whole = 6,
        hidden: Widths = (64, 64),
        n_context: Whole = 0,
        scaled: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.n_context = n_context
        self.shift = nn.Parameter(torch.zeros(latent_dim))
        self.log_scale = nn.Parameter(torch.zeros(latent_dim), requires_grad=scaled)
        width = 2 * latent_dim if scaled else latent_dim
        self.placed = _perceptron([n_context, *hidden, width]) if n_context else None
        half = latent_dim // 2
        kept = [latent_dim - half if i % 2 else half for i in range(transforms)]
        # With one coordinate there is nothing to look at but the context.
        self.kept = [k for k in kept if k < latent_dim and k + n_context]
        widths = [[k + n_context, *hidden, 2 * (latent_dim - k)] for k in self.kept]
        self.couplings = nn.ModuleList(_perceptron(each) for each in widths)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u = f(z; c) and log|det ∂f/∂z|.

        Args:
            z: codes, shape (n, latent_dim).
            context: c, shape (n, n_context), or None where there is none.

        Returns:
            u, shape (n, latent_dim), and the log-determinant, shape (n,).
        """
        shift, log_scale = self._place(context)
        u = (z - shift) * torch.exp(-log_scale)
        log_det = -log_scale.sum(-1).expand(len(z))
        for kept, net in zip(self.kept, self.couplings, strict=True):
            a, b = u.split([kept, self.latent_dim - kept], -1)
            s, t = _affine(net, a, context)
            u = torch.cat([torch.exp(s) * b + t, a], -1)
            log_det = log_det + s.sum(-1)
        return u, log_det

    def inverse(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """f⁻¹(u; c): noise to codes, both of shape (n, latent_dim)."""
        for kept, net in zip(reversed(self.kept), reversed(self.couplings), strict=True):
            b, a = u.split([self.latent_dim - kept, kept], -1)
            s, t = _affine(net, a, context)
            u = torch.cat([a, (b - t) * torch.exp(-s)], -1)
        shift, log_scale = self._place(context)
        return shift + torch.exp(log_scale) * u

    def log_prob(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """log p(z; c) = log N(f(z; c); 0, I) + log|det ∂f/∂z|, in nats, shape (n,)."""
        u, log_det = self(z, context)
        return log_det - 0.5 * (u.square() + LOG_2_PI).sum(-1)

    def _place(self, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Shift and log-scale, shape (latent_dim,), or (n, latent_dim) with a context."""
        if (context is not None) != bool(self.n_context):
            given = "none" if context is None else f"shape {tuple(context.shape)}"
            raise ValueError(f"context: expected n_context={self.n_context} columns, got {given}")
        if self.placed is None:
            return self.shift, self.log_scale
        shift, *raw = self.placed(context).split(self.latent_dim, -1)
        more = 2 * torch.tanh(raw[0] / 2) if raw else torch.zeros_like(shift)
        return self.shift + shift, self.log_scale + more


def _perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Dense and ReLU layers whose last one starts at zero."""
    body = layers(widths[0], widths[1:-1], "relu")
    last = dense(widths[-2], widths[-1])
    nn.init.zeros_(last.weight)
    return nn.Sequential(*body, last)


def _affine(net: nn.Module, a: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """The log-scale s and the shift t of the half that moves."""
    raw, t = net(a if context is None else torch.cat([a, context], -1)).chunk(2, -1)
    return 2 * torch.tanh(raw / 2), t

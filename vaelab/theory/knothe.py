"""The Knothe–Rosenblatt map: it turns a density into uniform noise, and with G⁻¹ behind it into
Gaussian noise.

    F_i(u) = P[U_i ≤ u_i given U_1..U_{i−1} = u_1..u_{i−1}]        (Eq. 11–12)
    G(z)   = (Φ(z_1), …, Φ(z_r))                                    (Eq. 14–15)

so that h = G⁻¹∘F sends p_gt to N(0, I), and f = h⁻¹ = F⁻¹∘G sends N(0, I) to p_gt. F itself rounds
to 0 or 1 in the tails; h and f never leave the log scale and do not.

Source: Dai & Wipf (2019), Appendix E.1.
"""

from __future__ import annotations

from typing import Any

import torch
from scipy import special
from torch import Tensor

from vaelab._door import door
from vaelab.manifolds import Density, row_hessian, row_jacobian
from vaelab.manifolds.lattice import log_phi


class _NormalScore(torch.autograd.Function):
    """z with log Φ(z) = y ≤ log ½, differentiable as often as wanted: dz/dy = exp(y) / φ(z)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor) -> Tensor:
        z = torch.from_numpy(special.ndtri_exp(y.detach().numpy()))
        ctx.save_for_backward(y)
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        z = _NormalScore.apply(y)
        return grads[0] * (y - log_phi(z)).exp()


@door
def normal_score(log_cdf: Tensor, log_sf: Tensor) -> Tensor:
    """Φ⁻¹(F) from log F and log (1 − F), any shape: the smaller of the two tails is inverted.

    >>> half = torch.tensor([0.5], dtype=torch.float64).log()
    >>> abs(normal_score(half, half).item()) < 1e-15
    True
    """
    upper = log_sf < log_cdf
    score = _NormalScore.apply(torch.where(upper, log_sf, log_cdf))
    return torch.where(upper, -score, score)


@door
def rosenblatt(density: Density, u: Tensor) -> Tensor:
    """F(u) ∈ (0, 1)^r: points drawn from the density become uniform noise. Shape (n, r) to (n, r).

    Source: Dai & Wipf (2019), Eq. 11–12.

    Raises:
        ValueError: a row where the density is zero.
    """
    _check_support(density, u)
    return density.conditionals(u)[1].exp()


@door
def to_noise(density: Density, u: Tensor) -> Tensor:
    """h(u) = G⁻¹∘F(u): points drawn from the density become N(0, I). Shape (n, r) to (n, r).

    Source: Dai & Wipf (2019), Eq. 23.

    Raises:
        ValueError: wrong shape, or a row where the density is zero.

    >>> from vaelab import manifolds
    >>> p = manifolds.gaussian(1, mean=torch.tensor([2.0]))
    >>> round(to_noise(p, torch.tensor([[5.0]], dtype=torch.float64)).item(), 12)
    3.0
    """
    _check_support(density, u)
    _, log_cdf, log_sf = density.conditionals(u)
    return normal_score(log_cdf, log_sf)


@door
def from_noise(density: Density, z: Tensor) -> Tensor:
    """f(z) = F⁻¹∘G(z): N(0, I) becomes the density. Shape (n, r) to (n, r); to the last digit, not
    differentiable.

    Source: Dai & Wipf (2019), Eq. 17.

    Raises:
        ValueError: wrong shape.
    """
    check_points("Rosenblatt map", z, density.dim)
    return density.from_noise(z)


@door
def to_noise_jacobian(density: Density, u: Tensor) -> Tensor:
    """∂h/∂u, lower triangular with positive diagonal, shape (n, r, r).

    |det h'| N(h; 0, I) = p: the change of variables that makes h an exact Gaussianisation.
    """
    return row_jacobian(lambda v: to_noise(density, v), u)


@door
def to_noise_hessian(density: Density, u: Tensor) -> Tensor:
    """∂²h_i/∂u_j ∂u_k, shape (n, r, r, r)."""
    return row_hessian(lambda v: to_noise(density, v), u)


def check_points(name: str, u: Tensor, dim: int) -> None:
    """ValueError unless u is float64 of shape (n, dim)."""
    if u.ndim != 2 or u.shape[1] != dim or u.dtype != torch.float64:
        raise ValueError(
            f"{name}: expected float64 of shape (n, {dim}), got {u.dtype} of {tuple(u.shape)}; "
            "use .double() and one row a point"
        )


def _check_support(density: Density, u: Tensor) -> None:
    check_points("Rosenblatt map", u, density.dim)
    inside = density.contains(u.detach())
    if not inside.all():
        first = int((~inside).int().argmax())
        raise ValueError(
            "Rosenblatt map: expected points where the density is positive, got "
            f"{u[first].tolist()} (row {first}) where it is zero; the map is a diffeomorphism on "
            "the support only"
        )

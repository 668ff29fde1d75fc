"""Densities on ℝ^r whose conditionals are known in closed form, tails included.

Every density here speaks the language of the Rosenblatt map: for each coordinate, given the
coordinates before it, the log-density, log F and log (1 − F), and the quantile. Tails stay exact
because nothing leaves the log scale.

Source: Dai & Wipf (2019), Appendix E, define F from these conditionals (Eq. 11–12).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_draws, check_positive
from vaelab.manifolds.lattice import (
    LOG_2_PI,
    Nodes,
    beside,
    float64,
    generator_from,
    log_phi,
    normal_lattice,
    normal_noise,
)

Conditionals = tuple[Tensor, Tensor, Tensor]
log_ndtr = torch.special.log_ndtr


class Density:
    """A probability density on ℝ^r, or on an open subset of it.

    A subclass has `dim`, `conditionals` and `quantile`; it may replace `sample_with`, `nodes` and
    `contains`, which is everywhere unless it says otherwise.
    """

    @property
    def dim(self) -> int:
        """r."""
        raise NotImplementedError

    def conditionals(self, u: Tensor) -> Conditionals:
        """For u, shape (n, i) with i ≤ r: log p, log F and log (1 − F) of each coordinate given
        those before it.

        Returns:
            three tensors of shape (n, i).
        """
        raise NotImplementedError

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        """The next coordinate u_i with F_i(u_i given `before`) = Φ(z). Shapes (n,), (n, i) to
        (n,).
        """
        raise NotImplementedError

    def from_noise(self, z: Tensor) -> Tensor:
        """The points whose conditional quantiles are Φ(z): N(0, I) becomes the density; (n, r)."""
        u = z[:, :0]
        for column in z.T:
            following = self.quantile(column.contiguous(), u)
            u = beside(u, following[:, None])
        return u

    def sample(
        self, n: int, seed: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n points, shape (n, r)."""
        check_draws("n", n, 2 * self.dim)
        return self.sample_with(n, generator_from(seed, generator))

    def sample_with(self, n: int, generator: torch.Generator) -> Tensor:
        """The same from a generator."""
        return self.from_noise(normal_noise(generator, n, self.dim))

    @door
    def nodes(self, n: int, smooth: bool = False) -> Nodes:
        """About n points, shape (m, r), and weights that sum to 1, shape (m,), with E g(u) ≈ Σ w g.

        Spread for the indicator of a set, or with `smooth` for smooth g, where the error is far
        smaller.
        """
        z, w = normal_lattice(n, self.dim, smooth)
        return self.from_noise(z), w

    def nodes_inside(self, n: int) -> Nodes:
        """The nodes for smooth g that rounding has not put on the border of the support.

        Raises:
            ValueError: a share of more than 1e-8 lies on the border or past the largest float64, so
                that a mean over the rest may look converged where the truth is infinite.
        """
        u, w = self.nodes(n, smooth=True)
        inside = self.contains(u) & u.isfinite().all(1)
        lost = float(w[~inside].sum())
        if lost > 1e-8:
            raise ValueError(
                f"density: expected coordinates that float64 can hold, but a share of {lost:.1e} "
                "of the mass lies past its range; with tails so heavy the entropy, and with it the "
                "best cost of any VAE, is infinite or out of reach of quadrature"
            )
        kept = w[inside]
        return u[inside], kept / kept.sum()

    def contains(self, u: Tensor) -> Tensor:
        """Whether each row of u, shape (n, i), lies where the density is positive; bool, shape
        (n,).
        """
        return torch.ones(len(u), dtype=torch.bool)

    def log_prob(self, u: Tensor) -> Tensor:
        """log p(u) in nats, shape (n,); −∞ outside the support."""
        inside = self.contains(u)
        if inside.all():
            return self._log_prob_inside(u)
        out = torch.full_like(u[:, 0], -math.inf)
        out[inside] = self._log_prob_inside(u[inside])
        return out

    def _log_prob_inside(self, u: Tensor) -> Tensor:
        return self.conditionals(u)[0].sum(-1)


class Mixture(Density):
    """A Gaussian mixture Σ_k π_k N(m_k, L_k L_kᵀ), the density most of the theory is run on.

    Its conditionals are mixtures again: with y = L_k⁻¹(u − m_k), coordinate i given those before it
    has the component densities φ(y_i) / L_k,ii and the weights π_k Π_{j<i} φ(y_j) / L_k,jj,
    normalised.

    Args:
        weights: π, positive, shape (k,); scaled to sum to 1.
        means: shape (k, r).
        scale_trils: L_k, lower triangular with positive diagonal, shape (k, r, r).

    Raises:
        ValueError: shapes that do not fit, a weight ≤ 0, a diagonal entry ≤ 0, or entries above the
            diagonal.

    >>> p = Mixture([1.0, 1.0], [[-1.0], [1.0]], [[[0.5]], [[0.5]]])
    >>> p.log_prob(torch.zeros(1, 1, dtype=torch.float64)).exp().item()   # φ(2) / 0.5
    0.107981933026...
    """

    def __init__(self, weights: Any, means: Any, scale_trils: Any) -> None:
        weights = float64(weights, "weights")
        self.means = float64(means, "means")
        self.scale_trils = float64(scale_trils, "scale_trils")
        _check_mixture(weights, self.means, self.scale_trils)
        self.weights = weights / weights.sum()
        self._whiten = torch.linalg.inv(self.scale_trils).tril()
        self._log_scales = self.scale_trils.diagonal(dim1=-2, dim2=-1).log()

    @classmethod
    def from_covariances(
        cls,
        weights: Any,
        means: Any,
        covariances: Any,
    ) -> Mixture:
        """The same from covariances, shape (k, r, r)."""
        factor, failed = torch.linalg.cholesky_ex(float64(covariances, "covariances"))
        if failed.any():
            number = int(failed.bool().int().argmax())
            raise ValueError(
                "covariances: expected symmetric positive-definite matrices, got one that is not "
                f"(number {number}); add a small multiple of the identity"
            )
        return cls(weights, means, factor)

    @property
    def dim(self) -> int:
        """r."""
        return self.means.shape[1]

    def covariances(self) -> Tensor:
        """C_k = L_k L_kᵀ, shape (k, r, r)."""
        return self.scale_trils @ self.scale_trils.mT

    def _whitened(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """y and the log component density of each coordinate given those before, both (n, k, i)."""
        i = u.shape[1]
        away = u[:, None] - self.means[:, :i]
        y = torch.einsum("kij,nkj->nki", self._whiten[:, :i, :i], away)
        return y, log_phi(y) - self._log_scales[:, :i]

    def conditionals(self, u: Tensor) -> Conditionals:
        y, log_n = self._whitened(u)
        log_w = self.weights.log()[:, None] + log_n.cumsum(-1) - log_n
        log_w = log_w - log_w.logsumexp(1, keepdim=True)
        log_p = (log_w + log_n).logsumexp(1)
        log_cdf = (log_w + log_ndtr(y)).logsumexp(1)
        log_sf = (log_w + log_ndtr(-y)).logsumexp(1)
        return log_p, log_cdf, log_sf

    def _log_prob_inside(self, u: Tensor) -> Tensor:
        away = u[:, None] - self.means
        y = torch.einsum("kij,nkj->nki", self._whiten, away)
        squares = y.square().sum(-1)
        log_n = -0.5 * (squares + self.dim * LOG_2_PI) - self._log_scales.sum(-1)
        return (self.weights.log() + log_n).logsumexp(1)

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        i = before.shape[1]
        y, log_n = self._whitened(before)
        log_w = (self.weights.log() + log_n.sum(-1)).log_softmax(1)
        factors = self.scale_trils[:, i]
        mean = self.means[:, i] + torch.einsum("kj,nkj->nk", factors[:, :i], y)
        sd = factors[:, i].expand_as(mean)
        return _mixture_quantile(z, log_w, mean, sd)

    def sample_with(self, n: int, generator: torch.Generator) -> Tensor:
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        eps = normal_noise(generator, n, self.dim, 1)
        away = self.scale_trils[k] @ eps
        return self.means[k] + away.squeeze(-1)

    @door
    def nodes(self, n: int, smooth: bool = False) -> Nodes:
        parts = []
        for pi, mean, factor in zip(self.weights, self.means, self.scale_trils, strict=True):
            n_part = max(16, round(n * pi.item()))
            z, w = normal_lattice(n_part, self.dim, smooth)
            parts.append((mean + z @ factor.mT, pi * w))
        nodes, weights = map(torch.cat, zip(*parts, strict=True))
        return nodes, weights

    def convolve(self, gamma: float) -> Mixture:
        """The density of u + N(0, γ I): the mixture with C_k + γ I (Dai & Wipf, Eq. 21)."""
        check_positive("gamma", gamma)
        covariances = self.covariances() + gamma * torch.eye(self.dim, dtype=torch.float64)
        return Mixture.from_covariances(self.weights, self.means, covariances)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean, shape (r,), and covariance, shape (r, r)."""
        mean = self.weights @ self.means
        away = self.means - mean
        squares = self.covariances() + away[:, :, None] * away[:, None]
        return mean, torch.einsum("k,kij->ij", self.weights, squares)


def _check_mixture(weights: Tensor, means: Tensor, factors: Tensor) -> None:
    k, r = means.shape if means.ndim == 2 else (0, 0)
    if k == 0 or weights.shape != (k,) or factors.shape != (k, r, r):
        raise ValueError(
            "mixture: expected weights (k,), means (k, r), scale_trils (k, r, r), got "
            f"{tuple(weights.shape)}, {tuple(means.shape)}, {tuple(factors.shape)}"
        )
    if not (weights > 0).all() or not torch.isfinite(weights).all():
        raise ValueError(
            f"weights: expected finite numbers > 0, got {weights.tolist()}; drop empty components"
        )
    positive = (factors.diagonal(dim1=-2, dim2=-1) > 0).all()
    if not positive or factors.triu(1).any() or not torch.isfinite(means).all():
        raise ValueError(
            "scale_trils: expected lower triangular matrices with positive diagonal and finite "
            "means, got others; for covariances use Mixture.from_covariances"
        )


def _mixture_quantile(
    z: Tensor,
    log_w: Tensor,
    mean: Tensor,
    sd: Tensor,
) -> Tensor:
    """Solve Σ_k w_k Φ((x − mean_k) / sd_k) = Φ(z) row by row, by Newton's method inside a bracket.

    The root lies between the smallest and the largest component quantile. The equation is solved
    for log F where z ≤ 0 and for log (1 − F) where z > 0, so that tails keep their digits. Shapes
    (n,), (n, k) three times, to (n,).
    """
    sign = torch.where(z > 0, -1.0, 1.0).to(z)
    target = log_ndtr(sign * z)
    corners = mean + sd * z[:, None]
    low, high = corners.aminmax(dim=1)
    x = (log_w.exp() * corners).sum(1)
    eps = torch.finfo(x.dtype).eps
    going = torch.ones_like(x, dtype=torch.bool)
    for _ in range(200):
        y = (x[:, None] - mean) / sd
        log_tail = (log_w + log_ndtr(sign[:, None] * y)).logsumexp(1)
        log_p = (log_w + log_phi(y) - sd.log()).logsumexp(1)
        miss = sign * (log_tail - target)
        high = torch.where(miss > 0, x, high)
        low = torch.where(miss < 0, x, low)
        new = x - miss * (log_tail - log_p).exp()
        inside = (new >= low) & (new <= high)
        step = torch.where(inside, new, 0.5 * (low + high)) - x
        x = torch.where(going, x + step, x)
        moving = step.abs() > 4 * eps * (x.abs() + sd.amin(1))
        going &= moving & (miss.abs() > 2 * eps * (1 + target.abs()))
        if not going.any():
            break
    return x

"""Densities on ℝ^r whose conditionals are known in closed form, tails included.

Every density here speaks the language of the Rosenblatt map: for each coordinate, given the
coordinates before it, the log-density, log F and log (1 − F), and the quantile. Tails stay exact
because nothing leaves the log scale.

Source: Dai & Wipf (2019), Appendix E, define F from these conditionals (Eq. 14–15).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._inputs import check_positive, check_positive_int
from vaelab.manifolds.lattice import generator_from, normal_lattice

LOG_2_PI = math.log(2 * math.pi)


class Density:
    """A probability density on ℝ^r, or on an open subset of it. Subclasses fill in the five methods
    below.
    """

    dim: int

    def conditionals(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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

    def sample(
        self, n: int, seed: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw n points, shape (n, r)."""
        raise NotImplementedError

    def nodes(self, n: int, smooth: bool = False) -> tuple[Tensor, Tensor]:
        """About n points, shape (m, r), and weights that sum to 1, shape (m,), with E g(u) ≈ Σ w g.

        Spread for the indicator of a set, or with `smooth` for smooth g, where the error is far
        smaller.
        """
        raise NotImplementedError

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


@dataclass(frozen=True, eq=False)
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

    weights: Tensor
    means: Tensor
    scale_trils: Tensor

    def __post_init__(self) -> None:
        for name in ("weights", "means", "scale_trils"):
            object.__setattr__(
                self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64)
            )
        _check_mixture(self.weights, self.means, self.scale_trils)
        object.__setattr__(self, "weights", self.weights / self.weights.sum())
        object.__setattr__(self, "_whiten", torch.linalg.inv(self.scale_trils).tril())

    @classmethod
    def from_covariances(cls, weights: Tensor, means: Tensor, covariances: Tensor) -> Mixture:
        """The same from covariances, shape (k, r, r)."""
        covariances = torch.as_tensor(covariances, dtype=torch.float64)
        factor, failed = torch.linalg.cholesky_ex(covariances)
        if failed.any():
            raise ValueError(
                "covariances: expected symmetric positive-definite matrices, got one that is not "
                "(number "
                f"{int(failed.bool().int().argmax())}); add a small multiple of the identity"
            )
        return cls(weights, means, factor)

    @property
    def dim(self) -> int:
        """r."""
        return self.means.shape[1]

    def covariances(self) -> Tensor:
        """C_k = L_k L_kᵀ, shape (k, r, r)."""
        return self.scale_trils @ self.scale_trils.mT

    def _before(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """y, log component densities and log weights given the coordinates before, each (n, k,
        i).
        """
        i = u.shape[1]
        y = torch.einsum("kij,nkj->nki", self._whiten[:, :i, :i], u[:, None] - self.means[:, :i])
        log_d = self.scale_trils.diagonal(dim1=-2, dim2=-1)[:, :i].log()
        log_n = -0.5 * (y.square() + LOG_2_PI) - log_d
        log_w = self.weights.log()[:, None] + log_n.cumsum(-1) - log_n
        return y, log_n, log_w - log_w.logsumexp(1, keepdim=True)

    def conditionals(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y, log_n, log_w = self._before(u)
        terms = (log_n, torch.special.log_ndtr(y), torch.special.log_ndtr(-y))
        return tuple((log_w + term).logsumexp(1) for term in terms)

    def _log_prob_inside(self, u: Tensor) -> Tensor:
        y = torch.einsum("kij,nkj->nki", self._whiten, u[:, None] - self.means)
        log_d = self.scale_trils.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        log_n = -0.5 * (y.square().sum(-1) + self.dim * LOG_2_PI) - log_d
        return (self.weights.log() + log_n).logsumexp(1)

    def quantile(self, z: Tensor, before: Tensor) -> Tensor:
        i = before.shape[1]
        y, log_n, log_w = self._before(before)
        log_w = (self.weights.log() + log_n.sum(-1)).log_softmax(1)
        mean = self.means[:, i] + torch.einsum("kj,nkj->nk", self.scale_trils[:, i, :i], y)
        return _mixture_quantile(z, log_w, mean, self.scale_trils[:, i, i].expand_as(mean))

    def sample(
        self, n: int, seed: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        check_positive_int("n", n)
        generator = generator_from(seed, generator)
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        eps = torch.randn(n, self.dim, 1, dtype=torch.float64, generator=generator)
        return self.means[k] + (self.scale_trils[k] @ eps).squeeze(-1)

    def nodes(self, n: int, smooth: bool = False) -> tuple[Tensor, Tensor]:
        parts, weights = [], []
        for pi, m, factor in zip(self.weights, self.means, self.scale_trils, strict=True):
            w, share = normal_lattice(max(16, round(n * pi.item())), self.dim, smooth)
            parts.append(m + w @ factor.mT)
            weights.append(pi * share)
        return torch.cat(parts), torch.cat(weights)

    def convolve(self, gamma: float) -> Mixture:
        """The density of u + N(0, γ I): the mixture with C_k + γ I (Dai & Wipf, Eq. 21)."""
        check_positive("gamma", gamma)
        eye = torch.eye(self.dim, dtype=torch.float64)
        return Mixture.from_covariances(self.weights, self.means, self.covariances() + gamma * eye)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean, shape (r,), and covariance, shape (r, r)."""
        mean = self.weights @ self.means
        away = self.means - mean
        return mean, torch.einsum(
            "k,kij->ij", self.weights, self.covariances() + away[:, :, None] * away[:, None]
        )


def _check_mixture(weights: Tensor, means: Tensor, factors: Tensor) -> None:
    k, r = means.shape if means.ndim == 2 else (0, 0)
    if k == 0 or weights.shape != (k,) or factors.shape != (k, r, r):
        raise ValueError(
            "mixture: expected weights (k,), means (k, r), scale_trils (k, r, r), got "
            f"{tuple(weights.shape)}, "
            f"{tuple(means.shape)}, {tuple(factors.shape)}"
        )
    if not (weights > 0).all() or not torch.isfinite(weights).all():
        raise ValueError(
            f"weights: expected finite numbers > 0, got {weights.tolist()}; drop empty components"
        )
    if (
        not (factors.diagonal(dim1=-2, dim2=-1) > 0).all()
        or factors.triu(1).any()
        or not torch.isfinite(means).all()
    ):
        raise ValueError(
            "scale_trils: expected lower triangular matrices with positive diagonal and finite "
            "means, got others; "
            "for covariances use Mixture.from_covariances"
        )


def _mixture_quantile(z: Tensor, log_w: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """Solve Σ_k w_k Φ((x − mean_k) / sd_k) = Φ(z) row by row, by Newton's method inside a bracket.

    The root lies between the smallest and the largest component quantile. The equation is solved
    for log F where z ≤ 0 and for log (1 − F) where z > 0, so that tails keep their digits. Shapes
    (n,), (n, k) three times, to (n,).
    """
    sign = torch.where(z > 0, -1.0, 1.0).to(z)
    target = torch.special.log_ndtr(sign * z)
    corners = mean + sd * z[:, None]
    low, high = corners.amin(1), corners.amax(1)
    x = (log_w.exp() * corners).sum(1)
    todo = torch.arange(len(z))
    eps = torch.finfo(x.dtype).eps
    for _ in range(200):
        step, miss = _newton_step(x, todo, (sign, target, log_w, mean, sd), low, high)
        x[todo] += step
        moving = step.abs() > 4 * eps * (x[todo].abs() + sd[todo].amin(1))
        todo = todo[moving & (miss.abs() > 2 * eps * (1 + target[todo].abs()))]
        if not len(todo):
            break
    return x


def _newton_step(
    x: Tensor, rows: Tensor, problem: tuple[Tensor, ...], low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """The next step of the rows still open, by Newton, or bisection where that leaves the bracket;
    and their misses.
    """
    sign, target, log_w, mean, sd = (part[rows] for part in problem)
    at = x[rows]
    y = (at[:, None] - mean) / sd
    log_tail = (log_w + torch.special.log_ndtr(sign[:, None] * y)).logsumexp(1)
    log_p = (log_w - 0.5 * (y.square() + LOG_2_PI) - sd.log()).logsumexp(1)
    above = sign * (log_tail - target)
    high[rows] = torch.where(above > 0, at, high[rows])
    low[rows] = torch.where(above < 0, at, low[rows])
    new = at - above * (log_tail - log_p).exp()
    inside = (new >= low[rows]) & (new <= high[rows])
    return torch.where(inside, new, 0.5 * (low[rows] + high[rows])) - at, above

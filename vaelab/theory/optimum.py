"""The optimal encoder and decoder of Theorems 1 and 2, written down instead of trained, as
functions of t = 1/γ.

With f = F⁻¹∘G the Rosenblatt decoder onto the coordinates, ψ the embedding and U any κ×r matrix
with UᵀU = I:

    decoder   f(z) = ψ(F⁻¹∘G(Uᵀz)),   γ = 1/t                         (Eq. 17; 41 for r < d)
    encoder   μ_z = U G⁻¹∘F(φ(x)),    S_z = [U √γ (JᵀJ)^(−1/2), N]    (Eq. 23, 24; 52, 53)

and for κ > r the encoder's mean and S_z are Eq. 31–32 and 33.

J the Jacobian of the decoder on the r coordinates that matter and N a basis of the κ − r others.

Source: Dai & Wipf (2019), Appendices E and F. Eq. 24 gives an r×r matrix where Eq. 33 expects r×κ:
the columns of N are what has to be filled in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._door import check_fields, door
from vaelab.manifolds import Manifold, Mixture, generator_from, row_hessian
from vaelab.manifolds.lattice import normal_noise
from vaelab.theory.gauss import hermite
from vaelab.theory.knothe import (
    check_points,
    from_noise,
    to_noise,
    to_noise_hessian,
    to_noise_jacobian,
)


@dataclass(frozen=True, eq=False)
class OptimalVAE:
    """θ*_t and φ*_t for every t at once.

    Args:
        truth: a simple manifold with the density of the model. With another density than the
            data's, the model has the right manifold with the wrong measure (claim D9).
        basis: orthogonal κ×κ matrix [U, N].
    """

    truth: Manifold
    basis: Tensor

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def latent_dim(self) -> int:
        """κ."""
        return len(self.basis)

    @property
    def r(self) -> int:
        """Dimension of the manifold."""
        return self.truth.r

    @property
    def d(self) -> int:
        """Dimension of x."""
        return self.truth.d

    @door
    def decode(self, z: Tensor) -> Tensor:
        """f(z), shape (n, κ) to (n, d); the same for every t."""
        noise = z @ self.basis[:, : self.r]
        return self.truth.embed(from_noise(self.truth.density, noise))

    @door
    def encode(self, x: Tensor) -> Tensor:
        """μ_z(x) for x on the manifold, shape (n, d) to (n, κ); the same for every t (Eq. 23,
        31–32, 52).
        """
        noise = to_noise(self.truth.density, self._coordinates(x))
        return noise @ self.basis[:, : self.r].T

    @door
    def jacobian(self, x: Tensor) -> Tensor:
        """J = ∂f/∂(Uᵀz) at the code of x, shape (n, d, r).

        Raises:
            ValueError: J has not full rank r.
        """
        u = self._coordinates(x)
        K = torch.linalg.inv(to_noise_jacobian(self.truth.density, u))
        J = self.truth.jacobian(u) @ K
        _check_full_rank(J)
        return J

    @door
    def hessian(self, x: Tensor) -> Tensor:
        """∂²f/∂(Uᵀz)² at the code of x, shape (n, d, r, r): ψ''[Ka, Kb] − ψ' K h''[Ka, Kb], K =
        (h')⁻¹.
        """
        truth, u = self.truth, self._coordinates(x)
        K = torch.linalg.inv(to_noise_jacobian(truth.density, u))
        H = to_noise_hessian(truth.density, u)
        straightened = torch.einsum("ndi,nij,njkl->ndkl", truth.jacobian(u), K, H)
        bend = row_hessian(truth.embed, u) - straightened
        return torch.einsum("ndkl,nki,nlj->ndij", bend, K, K)

    @door
    def scale(self, x: Tensor, t: float) -> Tensor:
        """S_z(x), shape (n, κ, κ), with Σ_z = S_z S_zᵀ (Eq. 24, 33, 53)."""
        U, N = self.basis.tensor_split([self.r], 1)
        narrow = U @ (math.sqrt(1 / t) * inverse_root(self.jacobian(x)))
        return torch.cat([narrow, N.expand(len(x), *N.shape)], 2)

    @door
    def covariance(self, x: Tensor, t: float) -> Tensor:
        """Σ_z(x) = S_z S_zᵀ, shape (n, κ, κ): r eigenvalues of order γ, κ − r of exactly 1."""
        S = self.scale(x, t)
        return S @ S.mT

    @door
    def sample(
        self,
        n: int,
        t: float,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw x ~ p_θt: decode N(0, I) and add N(0, γ I). Shape (n, d)."""
        generator = generator_from(seed, generator)
        z = normal_noise(generator, n, self.latent_dim)
        eps = normal_noise(generator, n, self.d)
        return self.decode(z) + eps / math.sqrt(t)

    def _coordinates(self, x: Tensor) -> Tensor:
        check_points("x", x, self.d)
        return self.truth.coordinates(x)


@door
def optimal_vae(
    truth: Manifold, latent_dim: int | None = None, seed: int | None = None
) -> OptimalVAE:
    """The optimum for this ground truth with κ latent dimensions.

    Args:
        truth: a manifold with one global chart.
        latent_dim: κ ≥ r; by default r.
        seed: of the random orthogonal basis [U, N]; None takes the identity.

    Raises:
        ValueError: κ < r, d < r, or a manifold without a global chart.

    >>> from vaelab import manifolds
    >>> vae = optimal_vae(manifolds.manifold("helix", "bimodal"), latent_dim=4, seed=0)
    >>> vae.decode(vae.encode(vae.truth.sample(3, seed=0))).shape
    torch.Size([3, 3])
    """
    kappa = truth.r if latent_dim is None else latent_dim
    if kappa < truth.r:
        raise ValueError(
            f"latent_dim: expected κ ≥ r = {truth.r}, got {kappa}; fewer codes cannot reach all "
            "of χ"
        )
    if truth.d < truth.r:
        raise ValueError(f"manifold: expected d ≥ r, got r = {truth.r}, d = {truth.d}")
    if not truth.chart.simple:
        raise ValueError(
            f"manifold: expected one with a global chart, got the {truth.chart.name}; the "
            "construction needs φ"
        )
    basis = torch.eye(kappa, dtype=torch.float64)
    if seed is not None:
        noise = normal_noise(generator_from(seed), kappa, kappa)
        basis = torch.linalg.qr(noise).Q
    return OptimalVAE(truth, basis)


@door
def inverse_root(J: Tensor) -> Tensor:
    """(JᵀJ)^(−1/2), the symmetric root, from the singular values of J; shape (n, d, r) to (n, r,
    r).

    >>> inverse_root(torch.tensor([[[2.0], [0.0]]])).item()
    0.5
    """
    _check_full_rank(J)
    _, s, Vt = torch.linalg.svd(J, full_matrices=False)
    return Vt.mT @ (Vt / s[..., None])


def _check_full_rank(J: Tensor) -> None:
    s = torch.linalg.svdvals(J)
    flat = ~(s[:, -1] > 1e-13 * s[:, 0]) | ~torch.isfinite(s).all(1)
    if J.shape[1] < J.shape[2] or flat.any():
        first = int(flat.int().argmax())
        raise ValueError(
            f"decoder Jacobian: expected full rank {J.shape[2]}, got singular values "
            f"{s[first].tolist()} in row {first}; the map is no immersion there, so S_z does not "
            "exist"
        )


def _nodes_of_q(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None,
) -> tuple[Tensor, ...]:
    """w (m, κ), weights (m,), codes z = μ + S w (n, m, κ), log |det S| (n,)."""
    w, weights = hermite(vae.latent_dim, n_nodes)
    S = vae.scale(x, t)
    z = vae.encode(x)[:, None] + torch.einsum("nij,mj->nmi", S, w)
    return w, weights, z, torch.linalg.slogdet(S).logabsdet


@door
def squared_error(vae: OptimalVAE, x: Tensor, z: Tensor) -> Tensor:
    """‖x − f(z)‖² for codes z, shape (n, m, κ), of each x, shape (n, d); shape (n, m)."""
    x_hat = vae.decode(z.flatten(0, 1)).reshape(*z.shape[:2], -1)
    return (x[:, None] - x_hat).square().sum(-1)


@door
def loss(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None = None,
) -> Tensor:
    """The VAE cost −log p_θ(x) + KL[q ‖ p_θ(z given x)] = −E_q ℓ of each x on the manifold, in
    nats; shape (n,). ℓ = log p(x given z) p(z) / q(z given x).

    Source: Dai & Wipf (2019), Eq. 1 and 2 (which call the sum over x the cost).
    """
    w, weights, z, log_det = _nodes_of_q(vae, x, t, n_nodes)
    constant = vae.d * math.log(2 * math.pi / t)
    log_p_x_given_z = -0.5 * (t * squared_error(vae, x, z) + constant)
    squares = z.square().sum(-1) - w.square().sum(-1)
    log_ratio = log_p_x_given_z - 0.5 * squares
    return -((log_ratio + log_det[:, None]) * weights).sum(1)


@door
def log_p_theta(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None = None,
) -> Tensor:
    """log p_θt(x) in nats, shape (n,).

    For r = d and a Gaussian mixture p_gt, p_θt = p_gt * N(0, γ I) in closed form (Eq. 21), at any
    x. Otherwise through the decoder, `log_p_theta_decoder`, at x on the manifold.
    """
    if vae.truth.chart.isometric and isinstance(vae.truth.density, Mixture):
        return vae.truth.density.convolve(1 / t).log_prob(vae.truth.coordinates(x))
    return log_p_theta_decoder(vae, x, t, n_nodes)


@door
def log_p_theta_decoder(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None = None,
) -> Tensor:
    """log ∫ N(x; f(z), γ I) N(z; 0, I) dz (Eq. 19) for x on the manifold, shape (n,), by quadrature
    around its code.

    Gauss–Hermite with nodes from N(μ_z, [I + JᵀJ/γ]⁻¹), the Laplace approximation of the posterior,
    on r coordinates: the other κ − r integrate to one.
    """
    gamma = 1 / t
    small = optimal_vae(vae.truth)
    w, weights = hermite(vae.r, n_nodes)
    _, s, Vt = torch.linalg.svd(vae.jacobian(x), full_matrices=False)
    sd = (gamma / (gamma + s.square())).sqrt()
    z = small.encode(x)[:, None] + torch.einsum("nji,nj,mj->nmi", Vt, sd, w)
    constant = vae.d * math.log(2 * math.pi * gamma)
    squares = z.square().sum(-1)
    log_joint = -0.5 * (t * squared_error(small, x, z) + constant + squares)
    log_det = sd.log().sum(-1)[:, None]
    log_ratio = log_joint + 0.5 * w.square().sum(-1) + log_det
    return (log_ratio + weights.log()).logsumexp(1)


@door
def log_p_theta_lattice(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int = 2**14,
) -> Tensor:
    """The same integral (Eq. 19) by brute force over all z, for any x on or off the manifold; shape
    (n, d) to (n,).

    For r = 1 exact to rounding as long as neighbouring nodes decode to points closer than about √γ;
    for r ≥ 2 the lattice gives some 3 digits where √γ is not small against the manifold.
    """
    gamma = 1 / t
    u, w = vae.truth.density.nodes(n_nodes)
    mean = vae.truth.embed(u)
    log_w = w.log()
    constant = 0.5 * vae.d * math.log(2 * math.pi * gamma)
    squares = [(row - mean).square().sum(1) for row in x]
    rows = [(log_w - 0.5 * t * square).logsumexp(0) for square in squares]
    return torch.stack(rows) - constant


@door
def kl_q_to_posterior(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None = None,
) -> Tensor:
    """KL[q(z given x) ‖ p_θ(z given x)] = log p_θ(x) − E_q ℓ of each x on the manifold, in nats;
    shape (n,).

    Source: Dai & Wipf (2019), Eq. 1, the term Theorem 1 (ii) sends to 0.

    Args:
        vae: the optimum.
        x: points on the manifold, shape (n, d).
        t: 1/γ.
        n_nodes: in each of the κ latent dimensions. By default those of `hermite`, exact from
            t = 1000 on; below, where the posterior is far from the Gaussian q, 200 for κ = 1 and 60
            for κ = 2, which leaves some per cent at single points of a valley at t = 10, and more
            for κ ≥ 3.

    >>> from vaelab import manifolds
    >>> vae = optimal_vae(manifolds.manifold("flat", "gaussian", r=1))
    >>> x = torch.zeros(1, 1, dtype=torch.float64)      # Gaussian: KL = ½ (γ − log(1 + γ))
    >>> abs(kl_q_to_posterior(vae, x, 10.0).item() - 0.5 * (0.1 - math.log(1.1))) < 1e-14
    True
    """
    if n_nodes is None and t < 1e3:
        n_nodes = {1: 200, 2: 60}.get(vae.latent_dim)
    return log_p_theta(vae, x, t, n_nodes) + loss(vae, x, t, n_nodes)


@door
def cost_terms(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    n_nodes: int | None = None,
) -> tuple[Tensor, Tensor]:
    """−2 E_q log p(x given z) and 2 KL[q ‖ N(0, I)], twice the two halves of the cost, as in Eq. 8
    and 9; (n,), (n,).

    Against log γ their slopes tend to d and −r̂.
    """
    _, weights, z, log_det = _nodes_of_q(vae, x, t, n_nodes)
    error = (squared_error(vae, x, z) * weights).sum(1)
    spread = vae.scale(x, t).square().sum((1, 2)) + vae.encode(x).square().sum(1)
    divergence = spread - vae.latent_dim - 2 * log_det
    return t * error + vae.d * math.log(2 * math.pi / t), divergence


@door
def reconstruction_error(
    vae: OptimalVAE,
    x: Tensor,
    t: float,
    eps: Tensor,
) -> Tensor:
    """‖x − f(μ_z + S_z ε)‖² for one noise row ε a point, shape (n, κ); shape (n,). Theorem 4: → 0
    whatever ε.
    """
    z = vae.encode(x) + torch.einsum("nij,nj->ni", vae.scale(x, t), eps)
    return squared_error(vae, x, z[:, None])[:, 0]

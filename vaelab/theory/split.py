"""The split of Σ_z's eigenvalues into clean dimensions and noise, and Eq. 83 for any decoder.

Near γ = 0 the optimal encoder covariance is Σ_z = [I + JᵀJ/γ]⁻¹: r eigenvalues λ_j of order γ along
the directions in which the decoder moves, and κ − r of 1 along those it ignores.

Source: Dai & Wipf (2019), Section 3, Theorem 4 and Appendix I, Eq. 83.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_positive, shown


@door
def decoder_jacobian(decoder: Callable[[Tensor], Tensor], z: Tensor) -> Tensor:
    """J = ∂x̂/∂z of any decoder, images flattened, shape (n, κ) to (n, d, κ), by torch.func.jacrev.

    >>> W = torch.tensor([[2.0], [1.0]])
    >>> decoder_jacobian(lambda z: z @ W.T, torch.zeros(1, 1)).tolist()
    [[[2.0], [1.0]]]
    """
    if z.ndim != 2:
        raise ValueError(f"z: expected codes of shape (n, latent_dim), got {tuple(z.shape)}")

    def decode(row: Tensor) -> Tensor:
        return decoder(row[None])[0].flatten()

    return torch.func.vmap(torch.func.jacrev(decode))(z)


@door
def optimal_covariance(J: Tensor, gamma: float) -> Tensor:
    """Σ_z = [I + JᵀJ/γ]⁻¹ (Eq. 83), from the singular values s of J: λ = γ / (γ + s²). Shape (n, d,
    κ) to (n, κ, κ).

    Exact for tiny γ, where forming and inverting the matrix is not.

    Raises:
        ValueError: γ ≤ 0, or J not finite.

    >>> optimal_covariance(torch.tensor([[[3.0], [0.0]]]), 1.0).item()
    0.1...
    """
    if J.ndim != 3:
        raise ValueError(f"J: expected shape (n, d, latent_dim), got {tuple(J.shape)}")
    _, s, Vt = torch.linalg.svd(J, full_matrices=J.shape[1] < J.shape[2])
    shares = _noise_shares(s, gamma, Vt.shape[-1])
    return Vt.mT @ (shares[..., None] * Vt)


@door
def optimal_eigenvalues(J: Tensor, gamma: float) -> Tensor:
    """λ_j = γ / (γ + s_j²) ascending, shape (n, κ): the eigenvalues of `optimal_covariance`."""
    return _noise_shares(torch.linalg.svdvals(J), gamma, J.shape[-1])


def _noise_shares(s: Tensor, gamma: float, latent_dim: int) -> Tensor:
    """λ = γ / (γ + s²), and 1 for the directions that have no singular value; shape (n, κ)."""
    s = torch.nn.functional.pad(s, (0, latent_dim - s.shape[-1]))
    return gamma / (gamma + s.square())


@door
def relative_frobenius(sigma: Tensor, expected: Tensor) -> Tensor:
    """‖Σ − Σ'‖ / ‖Σ'‖ in the Frobenius norm, shape (n, κ, κ) twice to (n,).

    With κ > r the ones dominate it.
    """
    return (sigma - expected).norm(dim=(1, 2)) / expected.norm(dim=(1, 2))


@door
def kl_between_covariances(sigma: Tensor, expected: Tensor) -> Tensor:
    """KL[N(0, Σ) ‖ N(0, Σ')] in nats, shape (n, κ, κ) twice to (n,): ½ (tr Σ'⁻¹Σ − κ − log det
    Σ'⁻¹Σ).

    The honest measure of Eq. 83: small eigenvalues count as much as the ones.

    >>> eye = torch.eye(2, dtype=torch.float64)[None]
    >>> round(kl_between_covariances(2 * eye, eye).item(), 12) == round(1 - math.log(2), 12)
    True
    """
    ratio = torch.linalg.solve(expected, sigma)
    trace = ratio.diagonal(dim1=1, dim2=2).sum(1)
    log_det = torch.linalg.slogdet(ratio).logabsdet
    return 0.5 * (trace - sigma.shape[-1] - log_det)


@door
def diagonal_penalty(sigma: Tensor) -> Tensor:
    """What a diagonal encoder costs against the full Σ_z, in nats, shape (n, κ, κ) to (n,).

    The best diagonal covariance D has 1/D_jj = P_jj, P = Σ_z⁻¹, and KL[N(0, D) ‖ N(0, Σ_z)] =
    ½ (Σ_j log P_jj − log det P) is ≥ 0 (Hadamard) and 0 exactly where Σ_z is diagonal. For κ = r it
    tends to a constant as γ → 0: turning the code would save it, waiting does not.

    >>> round(diagonal_penalty(torch.tensor([[[2.0, 0.0], [0.0, 0.5]]])).item(), 6)
    0.0
    """
    P = torch.linalg.inv(sigma)
    log_diagonal = P.diagonal(dim1=1, dim2=2).log().sum(1)
    return 0.5 * (log_diagonal - torch.linalg.slogdet(P).logabsdet)


@dataclass(frozen=True)
class ActiveDimensions:
    """How many latent dimensions carry information, and how sure that is.

    Args:
        modal: r̂, the most frequent number of λ_j below the threshold.
        fraction: share of the points with that number.
        low: lower end of the 95 % Wilson interval of `fraction`.
        high: its upper end.
        mean: average number over the points.
        soft: average of Σ_j (1 − λ_j), the number of well-determined dimensions, without any
            threshold.
        gap: (a, b), the thresholds between which every point keeps its number: largest active,
            smallest idle λ. a > b where no single threshold splits all points alike.
    """

    modal: int
    fraction: float
    low: float
    high: float
    mean: float
    soft: float
    gap: tuple[float, float]

    def __str__(self) -> str:
        return f"r_hat = {self.modal} at {100 * self.fraction:.1f} % of the points"


@door
def active_dimensions(eigenvalues: Tensor, threshold: float = 0.5) -> ActiveDimensions:
    """r̂ = #{j : λ_j < threshold} over a set of points.

    ½ is the natural threshold: λ = 1 / (1 + s²/γ), so λ < ½ exactly where the decoder's signal s²
    along the direction exceeds its noise γ, that is where the data say more about the code than the
    prior does.

    Args:
        eigenvalues: of Σ_z, shape (n, κ), any order, in (0, 1] (a little more is allowed for
            trained encoders).
        threshold: in (0, 1).

    Raises:
        ValueError: threshold outside (0, 1); eigenvalues ≤ 0 or of the wrong shape.

    >>> active_dimensions(torch.tensor([[0.01, 0.99], [0.02, 1.0]])).modal
    1
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold: expected a number in (0, 1), got {threshold}")
    if eigenvalues.ndim != 2 or not len(eigenvalues) or not (eigenvalues > 0).all():
        raise ValueError(
            "eigenvalues: expected positive, of shape (n, latent_dim), got "
            f"{tuple(eigenvalues.shape)}"
        )
    counts = (eigenvalues < threshold).sum(1)
    modal = int(counts.bincount().argmax())
    hits = int((counts == modal).sum())
    n = len(counts)
    ordered = eigenvalues.sort(1).values
    largest = ordered[:, modal - 1].max().item() if modal else 0.0
    smallest = ordered[:, modal].min().item() if modal < ordered.shape[1] else math.inf
    mean = counts.double().mean().item()
    soft = (1 - eigenvalues).sum(1).mean().item()
    return ActiveDimensions(
        modal, hits / n, *wilson_interval(hits, n), mean, soft, (largest, smallest)
    )


@door
def wilson_interval(hits: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a proportion, by default of 95 %.

    >>> tuple(round(end, 3) for end in wilson_interval(10, 10))
    (0.722, 1.0)
    """
    check_positive("z", z)
    if not 0 <= hits <= n:
        raise ValueError(f"hits: expected a number from 0 to n = {n}, got {shown(hits)}")
    p = hits / n
    square = z * z
    centre = (p + 0.5 * square / n) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(p * (1 - p) / n + 0.25 * square / n**2)
    return max(0.0, centre - half), min(1.0, centre + half)

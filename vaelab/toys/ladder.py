"""Train several seeds of a toy at once, γ annealed down a ladder."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal, cast

import torch
from torch import Tensor

from vaelab import models, networks, theory
from vaelab._door import door
from vaelab._inputs import check_choice, check_draws
from vaelab.manifolds import Manifold
from vaelab.models import Autoencoder
from vaelab.toys.geodesic import BETAS, QUIET, anchored, widen
from vaelab.toys.truth import covariance
from vaelab.training import Anneal, Cosine, Plan, fit_together

# γ at which codes are held to geodesic coordinates, and from which it falls afterwards.
GEODESIC_START = 0.03
# Points drawn for a training run: each is met a few times by a member, as good as fresh ones.
N_DATA = 2**17


@door
def members(
    truth: Manifold,
    latent_dim: int,
    n_seeds: int = 5,
    hidden: Sequence[int] = (64, 64),
    full: bool = False,
    gamma: float | str = 1.0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> list[Autoencoder]:
    """Untrained VAEs for a toy that differ in their initial weights alone; the last layers start at
    a tenth.
    """
    out = []
    check_draws("n_seeds", n_seeds, 1000)
    for s in range(n_seeds):
        with networks.seeded(seed + s):
            model = models.vae(networks.mlp(truth.d, latent_dim, hidden), gamma, full=full)
        with torch.no_grad():
            for last in (cast(Any, model.decoder)[1], cast(Any, model.posterior).parameters_of_q):
                last.weight.mul_(0.1)
        out.append(model.to(dtype))
    return out


@dataclass(frozen=True)
class _Rung:
    """How models are trained on one rung of the ladder: data, and what `train` says of the rest."""

    x: Tensor
    over: float
    lr: float
    batch_size: int
    seed: int

    def settle(
        self, trained: list[Autoencoder], gammas: tuple[float, float], steps: int, k: int
    ) -> None:
        """Let γ fall from the first to the second of `gammas` and hold it there: the k-th run."""
        epochs = -(-steps * self.batch_size // len(self.x))  # As many as it takes, …
        some = self.x[: -(-steps // epochs) * self.batch_size]  # … over as many of the points.
        plan = Plan(
            epochs=epochs,
            batch_size=self.batch_size,
            lr=self.lr * min(1.0, 100 * gammas[1]) ** 0.25,
            schedule=Cosine(),
            gamma_schedule=Anneal(*gammas, self.over),
            betas=BETAS,
        )
        n = len(trained)
        fit_together(trained, some, plan, QUIET, seeds=[self.seed + s + n * k for s in range(n)])


def _above(truth: Manifold) -> float:
    """A γ at which no direction is active: 5/4 of the top PCA eigenvalue."""
    return 1.25 * float(theory.spectrum(covariance(truth))[0][0])


def _falling(start: float, gammas: Sequence[float]) -> list[tuple[float, float]]:
    ladder = list(pairwise((start, *gammas)))
    if not ladder or any(not 0 < b <= a for a, b in ladder):
        raise ValueError(
            f"gammas: expected values > 0 that fall from the start, {start:.3g}, got "
            f"{tuple(gammas)}"
        )
    return ladder


@door
def train(
    truth: Manifold,
    latent_dim: int,
    gammas: Sequence[float] = (1e-2,),
    steps: int | Sequence[int] = 4000,
    n_seeds: int = 5,
    *,
    start: float | None = None,
    over: float = 0.6,
    lr: float | None = None,
    batch_size: int = 256,
    hidden: Sequence[int] | None = None,
    full: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    order: Literal["variance", "geodesic"] = "variance",
    widths: Sequence[int] | None = None,
    neighbours: int = 10,
) -> list[list[Autoencoder]]:
    """Anneal γ down a ladder and settle on every rung; the models as they stand at the end of each.

    On each rung γ falls geometrically over a share of the steps and is then held, while the step
    size falls along half a cosine from lr · min(1, (100 γ)^¼).

    With `order="variance"` γ starts above the top PCA eigenvalue, where no direction is active
    (N6), so that each λ_j leaves 1 in its turn: whoever starts far lower wakes a latent dimension
    for every PCA direction at once, and may keep too many (N1). On a manifold that winds this keeps
    its linear dimension (N12; `explain` tells beforehand). With `order="geodesic"` each seed starts
    from coordinates along the data (`geodesic_coordinates`), is trained at the width of the
    manifold down to the first rung, and then gets its other latent dimensions, at the prior.

    Args:
        truth: what to learn; `standardised`, so that `lr` fits.
        latent_dim: κ; below r the cost grows like 1/γ (D35).
        gammas: the rungs, falling.
        steps: on each rung, or one number for all.
        n_seeds: initialisations trained side by side, each on batches of its own.
        start: where γ starts; 5/4 of the top PCA eigenvalue unless given, 0.03 in geodesic order.
        over: share of a rung over which γ falls.
        lr: Adam's step size at the beginning; 2e-2 unless given, 3e-3 in geodesic order.
        batch_size: rows a step for each seed.
        hidden: widths of the networks; (64, 64) unless given, three of 64 in geodesic order.
        full: whether Σ_z is a full matrix.
        seed: of the first member, of data and noise.
        dtype: of the networks.
        order: what decides which directions are learned first.
        widths: in geodesic order, the numbers of dimensions that training starts from, at most 3;
            r unless given.
        neighbours: as for `geodesic_coordinates`.

    Returns:
        for every rung the `n_seeds` models; with several `widths`, those of each in turn.

    Raises:
        ValueError: γ that do not fall, not as many `steps` as `gammas`, widths above κ or 3.
        TrainingDiverged: as `training.fit`.
    """
    check_draws("n_seeds", n_seeds, 1000)
    check_choice("order", order, ("variance", "geodesic"))
    geodesic = order == "geodesic" and _has_an_order(truth)
    if start is None:
        start = GEODESIC_START if geodesic else _above(truth)
    lr = (3e-3 if geodesic else 2e-2) if lr is None else lr
    hidden = ((64,) * (3 if geodesic else 2)) if hidden is None else hidden
    each = [steps] * len(gammas) if isinstance(steps, int) else list(steps)
    if len(each) != len(gammas):
        raise ValueError(f"steps: expected one number for each γ, got {each} for {tuple(gammas)}")
    ladder = list(zip(_falling(start, gammas), each, strict=True))
    rung = _Rung(truth.sample(N_DATA, seed=seed), over, lr, batch_size, seed)
    make = partial(members, truth, hidden=hidden, full=full, gamma=start, seed=seed, dtype=dtype)
    rungs = []
    if geodesic:
        (schedule, n_steps), *ladder = ladder
        wanted = _check_widths(widths, latent_dim, truth)
        narrow = anchored(truth, make, wanted, n_seeds, neighbours, seed)
        for group in narrow:
            rung.settle(group, schedule, n_steps, 0)
        trained = [widen(m, *make(latent_dim, 1)) for group in narrow for m in group]
        rest = replace(rung, lr=rung.lr / 3)
        rest.settle(trained, (schedule[1], schedule[1]), -(-n_steps // 8), 1)
        rungs.append(copy.deepcopy(trained))
    else:
        trained = make(latent_dim, n_seeds)
    for schedule, n_steps in ladder:
        rung.settle(trained, schedule, n_steps, len(rungs))
        rungs.append(copy.deepcopy(trained))
    return rungs


def _has_an_order(truth: Manifold) -> bool:
    if not truth.chart.simple:
        warnings.warn(
            f'order="geodesic": {truth.chart.name} is closed and has no order to find; γ falls '
            "from above instead",
            stacklevel=3,
        )
    return truth.chart.simple


def _check_widths(widths: Sequence[int] | None, latent_dim: int, truth: Manifold) -> list[int]:
    wanted = [truth.r] if widths is None else list(widths)
    if not wanted or not all(1 <= width <= min(latent_dim, 3) for width in wanted):
        raise ValueError(
            f'order="geodesic": expected widths from 1 to κ = {latent_dim} and at most 3, got '
            f"{wanted}"
        )
    return wanted

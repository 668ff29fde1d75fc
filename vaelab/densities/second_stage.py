"""A second VAE, fitted to the codes of the first."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self, cast

import torch
from torch import Tensor, nn

from vaelab import networks
from vaelab._door import door
from vaelab._inputs import Seeds, Widths, as_seed, generator_of
from vaelab._memory import check_parameters
from vaelab.densities.density import QUIET, Trained, draw
from vaelab.densities.evidence import log_prob_mc
from vaelab.likelihoods import Gaussian
from vaelab.models import Autoencoder
from vaelab.parts import fill
from vaelab.posteriors import Distribution, Point
from vaelab.training import Hold, Plan, Run, Session, fit_plan, fit_together


class SecondStage(Trained):
    """A second VAE, fitted to q(z): the enhancement of the Two-Stage VAE.

    Its data are fresh draws z = μ + σε at every step, its latent space has the dimension of z (so r
    = d there and Theorem 1 applies), its γ is learned, and a sample is z = ẑ(u) + √γ ε with u ~
    N(0, I): noise on for z, off for x.

    Source: Dai & Wipf (2019), Section 4; network and noise as in the authors' code.

    Args:
        hidden: widths of its hidden layers, each of encoder and decoder.
        activation: of those layers.
        epochs, batch_size, lr, schedule, weight_decay, gamma_lr: as in `training.fit`.
        gamma: "learned" or "optimal" (see `likelihoods.Gaussian`).
        gamma_schedule: as in `training.fit`; the default keeps γ at 1 for half of the training,
            which keeps it from settling before the decoder has learned.
        standardise: whether it is trained on (z − mean) / (standard deviation of all coordinates),
            and then scaled back. Codes that no prior holds may be far smaller than 1, and a γ held
            at 1 would then settle on u that say nothing of z. Unless given: where codes are points.
    """

    @door
    def __init__(
        self,
        hidden: Widths = (1024, 1024, 1024),
        activation: str = "relu",
        *,
        epochs: int = 800,
        batch_size: int = 100,
        lr: float = 1e-4,
        schedule: Callable[[float, int], float] | None = None,
        weight_decay: float = 0.0,
        gamma: str = "learned",
        gamma_lr: float = 10.0,
        gamma_schedule: Callable[[float], float | None] | None = Hold(1.0),  # noqa: B008 (frozen)
        standardise: bool | None = None,
    ) -> None:
        self.plan = Plan.of(locals())
        self.standardise = standardise
        self.hidden = hidden
        self.activation = activation
        self.gamma_rule = gamma

    @door
    def fit_codes(self, q: Distribution, seed: int = 0, session: Session = QUIET) -> Self:
        vae = self.new_vae(q.mean.shape[1], seed)
        data = self._data(q, seed)
        return self._take(vae, fit_plan(vae, data, self.plan.with_seed(seed), session))

    def _data(self, q: Distribution, seed: int) -> Distribution:
        """What it is trained on; notes shift and scale."""
        z = draw(q, seed)
        self._units = (z.new_zeros(z.shape[1]), 1.0)
        if isinstance(q, Point) if self.standardise is None else self.standardise:
            mean = z.mean(0)
            self._units = (mean, (z - mean).std().item() or 1.0)
            q = q.scaled(*self._units)
        return q

    def _take(self, vae: Autoencoder, run: Run) -> Self:
        shift, scale = self._units
        scale_back(vae, shift, scale)
        history = {**run.history, "gamma": scale**2 * run.history["gamma"]}
        for name in ("nll", "loss"):
            history[name] = history[name] + vae.latent_dim * math.log(scale)
        self.run = replace(run, history=history)
        self.vae = vae
        self.latent_dim = vae.latent_dim
        return self

    def new_vae(self, latent_dim: int, seed: int = 0) -> Autoencoder:
        """The second VAE, untrained, for codes of that dimension."""
        with networks.seeded(seed):
            sizes = (latent_dim, latent_dim, self.hidden, self.activation)
            check_parameters(functools.partial(networks.mlp, *sizes))
            return Autoencoder(networks.mlp(*sizes), likelihood=Gaussian(self.gamma_rule))

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        self.check(n)
        generator = generator_of(seed)
        u, noise = torch.randn(2, n, self.latent_dim, generator=generator)
        u = self.vae.prior.at(u)
        return self.vae.images(u) + math.sqrt(self.gamma) * noise

    def codes(self, z: Tensor, seed: int = 0) -> Tensor:
        """Draw one u from q(u given z) for each code z: shape (n, latent_dim). What Table 3
        compares with N(0, I).
        """
        return draw(self.vae.codes(self.check_codes(z)), seed)

    def log_prob(self, z: Tensor, n_samples: int = 16, seed: int = 0) -> Tensor:
        """log p(z), estimated by importance sampling as in `log_prob_mc`, shape (n,).

        The noise is never that which `log_prob_mc` draws z with: shared, it would make the estimate
        too high.
        """
        z = self.check_codes(z)
        return log_prob_mc(self.vae, z, n_samples=n_samples, seed=as_seed(seed) + 2**31)

    @property
    def gamma(self) -> float:
        """The second stage's decoder variance."""
        self.check()
        return cast(Gaussian, self.vae.likelihood).gamma

    def state_dict(self) -> dict[str, Tensor]:
        return self.vae.state_dict()

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        self.latent_dim = latent_dim
        self.vae = self.new_vae(latent_dim)
        fill(self.vae, tensors)
        self.vae.eval()
        return self


@torch.no_grad()
def scale_back(vae: Autoencoder, shift: Tensor, scale: float) -> None:
    """Make of a VAE of (z − shift) / scale one of z, by its weights, which see the same numbers as
    before; γ becomes scale² γ.

    Args:
        vae: from `SecondStage.new_vae`.
        shift: shape (latent_dim,).
        scale: > 0.
    """
    modules = [vae.encoder, vae.decoder, vae.posterior]
    layers = [m for part in modules for m in part.modules() if isinstance(m, nn.Linear)]
    first, *_, last, head = layers
    shift = shift.to(first.weight)
    for reader in (first, head):  # Their last columns read z.
        columns = reader.weight[:, -len(shift) :]
        columns.div_(scale)
        reader.bias.sub_(columns @ shift)
    last.weight.mul_(scale)
    last.bias.mul_(scale).add_(shift)
    cast(Gaussian, vae.likelihood).log_gamma.add_(2 * math.log(scale))


@door
def fit_second_stages(
    stages: Sequence[SecondStage],
    posteriors: Sequence[Distribution],
    seeds: Seeds,
    session: Session = QUIET,
) -> None:
    """Fit several second stages of one kind at once, each to the posteriors of its own first stage.

    Args:
        stages: unfitted, made alike; each ends as its own `fit_codes` would have left it, up to
            rounding.
        posteriors: one set a stage, equally many rows.
        seeds: one a stage.
        session: as in `training.fit_together`.

    Raises:
        ValueError: as `training.fit_together`; stages that are trained differently.
    """
    if not stages or not len(stages) == len(posteriors) == len(seeds):
        raise ValueError(
            "stages: expected one set of posteriors and one seed for each (at least one), got "
            f"{len(stages)} stages, {len(posteriors)} and {len(seeds)}"
        )
    plans = [stage.plan for stage in stages]
    if any(plan != plans[0] for plan in plans):
        raise ValueError(f"stages: expected all to be trained alike, got {plans}")
    each = list(zip(stages, posteriors, seeds, strict=True))
    vaes = [stage.new_vae(q.mean.shape[1], seed) for stage, q, seed in each]
    data = [stage._data(q, seed) for stage, q, seed in each]
    runs = fit_together(vaes, data, plans[0], session, seeds=seeds)
    for stage, vae, run in zip(stages, vaes, runs, strict=True):
        stage._take(vae, run)

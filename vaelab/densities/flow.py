"""A normalizing flow, fitted to the codes afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from vaelab import networks
from vaelab._door import door, taken
from vaelab.densities.density import QUIET, Trained
from vaelab.parts import fill
from vaelab.posteriors import Distribution
from vaelab.priors import FlowPrior
from vaelab.training import Cosine, Plan, Run, Session, fit_plan


class _Codes(nn.Module):
    """What the loop trains: the mean of −log p(z) over codes, drawn afresh at every step."""

    def __init__(self, prior: FlowPrior) -> None:
        super().__init__()
        self.prior = prior

    def loss_terms(self, z: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"nll": -self.prior.log_prob(z)}


class Flow(Trained):
    """A flow of affine couplings, fitted to q(z) by maximum likelihood.

    It is the flow of `models.flow_prior_vae` at β = 0, trained afterwards instead of beside the
    autoencoder: the codes it learns from no longer move.

    Args:
        transforms, hidden: as for `flows.Couplings`.
        epochs, batch_size, lr, schedule, weight_decay: as in `training.fit`.
    """

    @door
    def __init__(
        self,
        transforms: int = 6,
        hidden: Sequence[int] = (64, 64),
        *,
        epochs: int = 80,
        batch_size: int = 100,
        lr: float = 2e-3,
        schedule: Callable[[float, int], float] | None = Cosine(),  # noqa: B008 (frozen)
        weight_decay: float = 0.0,
    ) -> None:
        self.plan = Plan.of(locals())
        self.transforms = transforms
        self.hidden = tuple(hidden)

    def fit_codes(self, q: Distribution, seed: int = 0, session: Session = QUIET) -> Self:
        taken("q", q, Distribution)
        prior = self._new(q.mean.shape[1], seed)
        self.run: Run = fit_plan(_Codes(prior), q, self.plan.with_seed(seed), session)
        self.prior = prior.cpu()
        self.latent_dim = q.mean.shape[1]
        return self

    def _new(self, latent_dim: int, seed: int = 0) -> FlowPrior:
        with networks.seeded(seed):
            return FlowPrior(latent_dim, self.transforms, self.hidden)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        self.check(n)
        return self.prior.sample(n, self.latent_dim, seed)

    @torch.no_grad()
    def log_prob(self, z: Tensor) -> Tensor:
        self.check()
        return self.prior.log_prob(z.to(next(self.prior.parameters()))).to(z)

    def state_dict(self) -> dict[str, Tensor]:
        return self.prior.state_dict()

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        self.latent_dim = latent_dim
        self.prior = self._new(latent_dim)
        fill(self.prior, tensors)
        return self

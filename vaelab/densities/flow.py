"""A normalizing flow, fitted to the codes afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from vaelab import networks
from vaelab._door import door
from vaelab._inputs import Widths
from vaelab.densities.density import QUIET, Trained
from vaelab.densities.prior import _OfPrior
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


class Flow(_OfPrior, Trained):
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
        hidden: Widths = (64, 64),
        *,
        epochs: int = 80,
        batch_size: int = 100,
        lr: float = 2e-3,
        schedule: Callable[[float, int], float] | None = Cosine(),  # noqa: B008 (frozen)
        weight_decay: float = 0.0,
    ) -> None:
        self.plan = Plan.of(locals())
        self.transforms = transforms
        self.hidden = hidden

    @door
    def fit_codes(self, q: Distribution, seed: int = 0, session: Session = QUIET) -> Self:
        prior = self._new(q.mean.shape[1], seed)
        self.run: Run = fit_plan(_Codes(prior), q, self.plan.with_seed(seed), session)
        self.prior = prior.cpu()
        self.latent_dim = q.mean.shape[1]
        return self

    def _new(self, latent_dim: int, seed: int = 0) -> FlowPrior:
        with networks.seeded(seed):
            return FlowPrior(latent_dim, self.transforms, self.hidden)

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        self.prior = self._new(latent_dim)
        return super().load_state(tensors, latent_dim)

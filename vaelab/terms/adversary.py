"""The latent term of WAE-GAN: a discriminator between codes and the prior, trained beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._door import door
from vaelab._inputs import Positive, Weight
from vaelab.networks.layers import dense
from vaelab.networks.mlp import layers
from vaelab.parts import StepSizes
from vaelab.terms.term import Pass, Term


class Adversary(Term):
    """−λ log D(z): the codes are to be taken for draws of the prior by a discriminator D that is
    trained beside them.

    The discriminator's own loss, `own_loss`, enters the term with the value 0: it adds a gradient
    for the discriminator alone, while the term itself adds none for it. So one backward pass serves
    both players, and the loop needs no second one; in Adam the discriminator has a step size
    (`rate`) and a momentum of its own, 0.5.

    A prior that is learned is the third player: its draws are to be taken for codes, at full weight
    whatever λ is (Prior-AAE). With λ = 0 it alone moves.

    Source: Tolstikhin et al. (2018), Algorithm 1, with the non-saturating loss of Goodfellow et al.
    (2014) for the encoder; Makhzani et al. (2016). The penalty is R1 of Mescheder et al. (2018).

    Args:
        latent_dim: κ.
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_gan`.
        hidden: widths of the discriminator's ReLU layers.
        rate: factor on `training.fit`'s step size for the discriminator, > 0. Ours: at 1 the
            discriminator lags behind.
        penalty: R1, the weight of ½ ‖∂D/∂z‖² at the codes in the discriminator's loss, ≥ 0.
    """

    name = "adversary"
    whole_batch = True

    @door
    def __init__(
        self,
        latent_dim: int,
        weight: Weight = 1.0,
        hidden: Sequence[int] = (512, 512, 512, 512),
        rate: Positive = 4.0,
        penalty: Weight = 0.0,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.rate = rate
        self.penalty = penalty
        body = layers(latent_dim, hidden, "relu")
        self.discriminator = nn.Sequential(*body, dense([latent_dim, *hidden][-1], 1))

    def step(self, plan: StepSizes) -> dict[str, Any]:
        """With the usual momentum of 0.9 the two players chase each other (Radford et al. 2016)."""
        return {"lr": self.rate * plan.lr, "betas": (0.5, 0.999), "weight_decay": 0.0}

    def own_loss(self, z: Tensor, p: Tensor) -> Tensor:
        """−log D(p) − log(1 − D(z)) for codes `z` and draws `p` of the prior, in nats, (batch,)."""
        real = self.discriminator(p)
        fake = self.discriminator(z)
        loss = (F.softplus(-real) + F.softplus(fake)).squeeze(1)
        if not self.penalty:
            return loss
        slope = torch.func.grad(lambda code: self.discriminator(code).sum())(z)
        return loss + 0.5 * self.penalty * slope.square().sum(1)

    def forward(self, p: Pass) -> Tensor:
        z, drawn = self.compared(p)
        loss = self.own_loss(z.detach(), drawn.detach())
        if p.prior.is_learned:
            loss = loss + F.softplus(self._frozen(drawn)).squeeze(1)
        return self.weight * F.softplus(-self._frozen(z)).squeeze(1) + (loss - loss.detach())

    def _frozen(self, z: Tensor) -> Tensor:
        """The discriminator's logits, through which its weights hear nothing."""
        frozen = {name: w.detach() for name, w in self.discriminator.named_parameters()}
        return torch.func.functional_call(self.discriminator, frozen, (z,))

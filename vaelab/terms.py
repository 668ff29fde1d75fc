"""What is added to −log p(x given z): latent terms, which pull q(z) into shape, and decoder terms.

A term is called with one `Pass`, which holds what a forward pass knows, and gives one value a row,
weight included. KL and ½‖z‖² look at each row alone; MMD and the adversary compare the batch of
codes with a batch drawn from the model's prior.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._inputs import check_positive, check_positive_int, check_weight
from vaelab._processes import Generator, draw
from vaelab.networks.layers import dense, statistics_kept
from vaelab.parts import Module, StepSizes
from vaelab.posteriors import Distribution
from vaelab.priors import Prior


@dataclass
class Pass:
    """What one forward pass knows. What is costly is computed when a term first asks for it.

    Args:
        x: images (batch, *image_shape).
        q: q(z given x), one row an image.
        z: one code drawn from each, shape (batch, latent_dim).
        decode: the decoder, from codes to images.
        decoder: the module behind it.
        prior: the model's p(z).
        generator: of everything drawn.
    """

    x: Tensor
    q: Distribution
    z: Tensor
    decode: Callable[[Tensor], Tensor]
    decoder: nn.Module
    prior: Prior
    generator: Generator = None

    @cached_property
    def x_hat(self) -> Tensor:
        """The decoder's output for `z`, shape (batch, *image_shape)."""
        return self.decode(self.z)

    @cached_property
    def kl(self) -> Tensor:
        """KL[q(z given x) ‖ p(z)], in nats, shape (batch,)."""
        return self.prior.kl(self.q, self.z)

    @cached_property
    def p(self) -> Tensor:
        """As many codes drawn from the prior, shape (batch, latent_dim)."""
        return self.prior.like(self.z, self.generator)

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal noise of the shape of `like`, rows first."""
        return draw(torch.randn, like.shape, self.generator, like)

    def pull_back(self, v: Tensor) -> Tensor:
        """Jᵀv of every row, J = ∂x_hat/∂z at `z`, for `v` of the shape of images: shape of `z`.

        Differentiable in the decoder's weights, not in the codes; batch statistics stay as they
        are.
        """
        with statistics_kept(self.decoder):
            pull = torch.func.vjp(self.decode, self.z.detach())[1]
            return pull(v)[0]


class Term(Module):
    """One term of the objective, in nats a row: the base of latent terms and of decoder terms.

    `name` is what it is called in histories and tables. A user's term takes what it needs from the
    pass:

    >>> from vaelab import models, networks, terms
    >>> class Flat(terms.Term):
    ...     name = "flat"
    ...
    ...     def __init__(self, weight: float = 1e-2) -> None:
    ...         super().__init__()
    ...         self.weight = weight
    ...
    ...     def forward(self, p: terms.Pass) -> Tensor:
    ...         slope = p.pull_back(p.noise(p.x))     # E ‖Jᵀv‖² = ‖J‖² for v ~ N(0, I)
    ...         return self.weight * slope.square().sum(-1)
    >>> model = models.Autoencoder(networks.mlp(3, latent_dim=2), decoder_term=Flat())
    >>> list(model.loss_terms(torch.zeros(5, 3)))
    ['nll', 'kl', 'flat']
    """

    name: ClassVar[str]
    whole_batch: ClassVar[bool] = False  # Whether a row's value depends on the other rows.

    def forward(self, p: Pass) -> Tensor:
        """The term for one pass, in nats, weight included, shape (batch,)."""
        raise NotImplementedError(f"{type(self).__name__}: write forward(p) -> nats a row")


class KL(Term):
    """β · KL[q(z given x) ‖ p(z)]: the VAE's term (β = 1), a β-VAE's otherwise.

    Args:
        beta: the weight, ≥ 0.
    """

    name = "kl"

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        check_weight("beta", beta)
        self.beta = beta

    def forward(self, p: Pass) -> Tensor:
        return p.kl if self.beta == 1 else self.beta * p.kl


class SquaredNorm(Term):
    """β · ½‖z‖², the latent term of a regularised autoencoder; β = 0 leaves a plain autoencoder.

    Source: Ghosh et al. (2020), Eq. 11.

    Args:
        beta: the weight, ≥ 0.
    """

    name = "squared_norm"

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        check_weight("beta", beta)
        self.beta = beta

    def forward(self, p: Pass) -> Tensor:
        return (0.5 * self.beta) * p.z.square().sum(-1)


def imq(x: Tensor, y: Tensor, scales: Sequence[float]) -> Tensor:
    """Σ_s C_s / (C_s + ‖x_i − y_j‖²), C_s = 2κ s, for all pairs of rows, shape (n, m);
    differentiable.

    `metrics.imq` is the same kernel for samples too large for a matrix.
    """
    squares = x.square().sum(1, keepdim=True) + y.square().sum(1)
    squared = torch.addmm(squares, x, y.T, alpha=-2).clamp(min=0)
    sizes = [2 * x.shape[1] * s for s in scales]
    return functools.reduce(torch.add, [c / (c + squared) for c in sizes])


class MMD(Term):
    """λ · MMD²(batch of codes, p(z)) with the inverse multiquadratic kernel: the term of WAE-MMD.

    Row i holds mean_{j≠i} k(z_i, z_j) + mean_{j≠i} k(p_i, p_j) − 2 mean_j k(z_i, p_j), p drawn from
    the prior: the mean over the batch is the unbiased estimate, and may be negative.

    Source: Tolstikhin et al. (2018), Algorithm 2; the seven scales are their code's.

    Args:
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_mmd`.
        scales: s of the kernel, over which it is summed.
    """

    name = "mmd"
    whole_batch = True

    def __init__(
        self,
        weight: float = 1.0,
        scales: Sequence[float] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    ) -> None:
        super().__init__()
        check_weight("weight", weight)
        self.weight = weight
        self.scales = tuple(scales)
        for scale in self.scales:
            check_positive("scales", scale)

    def forward(self, p: Pass) -> Tensor:
        """The term for codes `p.z`, shape (batch,).

        Raises:
            ValueError: a batch of one, in which there are no pairs.
        """
        z, n = p.z, len(p.z)
        if n < 2:
            raise ValueError(
                "MMD compares the codes of a batch with each other: expected batch_size ≥ 2, got 1"
            )
        others = 1 - torch.eye(n, device=z.device, dtype=z.dtype)
        pairs = others * (imq(z, z, self.scales) + imq(p.p, p.p, self.scales))
        across = imq(z, p.p, self.scales)
        return self.weight * (pairs.sum(1) / (n - 1) - 2 * across.mean(1))


class Adversary(Term):
    """−λ log D(z): the codes are to be taken for draws of the prior by a discriminator D that is
    trained beside them.

    The discriminator's own loss, `own_loss`, enters the term with the value 0: it adds a gradient
    for the discriminator alone, while the term itself adds none for it. So one backward pass serves
    both players, and the loop needs no second one; in Adam the discriminator has a step size
    (`rate`) and a momentum of its own, 0.5.

    Source: Tolstikhin et al. (2018), Algorithm 1, with the non-saturating loss of Goodfellow et al.
    (2014) for the encoder; Makhzani et al. (2016).

    Args:
        latent_dim: κ.
        weight: λ ≥ 0, beside −log p(x given z); see `models.wae_gan`.
        hidden: widths of the discriminator's ReLU layers.
        rate: factor on `training.fit`'s step size for the discriminator, > 0. Ours: at 1 the
            discriminator lags behind.
    """

    name = "adversary"
    whole_batch = True

    def __init__(
        self,
        latent_dim: int,
        weight: float = 1.0,
        hidden: Sequence[int] = (512, 512, 512, 512),
        rate: float = 4.0,
    ) -> None:
        super().__init__()
        check_weight("weight", weight)
        check_positive("rate", rate)
        self.weight = weight
        self.rate = rate
        widths = [check_positive_int("latent_dim", latent_dim)]
        layers: list[nn.Module] = []
        for width in hidden:
            widths.append(check_positive_int("hidden", width))
            layers += [dense(widths[-2], widths[-1]), nn.ReLU()]
        self.discriminator = nn.Sequential(*layers, dense(widths[-1], 1))

    def step(self, plan: StepSizes) -> dict[str, Any]:
        """With the usual momentum of 0.9 the two players chase each other (Radford et al. 2016)."""
        return {"lr": self.rate * plan.lr, "betas": (0.5, 0.999), "weight_decay": 0.0}

    def own_loss(self, z: Tensor, p: Tensor) -> Tensor:
        """−log D(p) − log(1 − D(z)) for codes `z` and draws `p` of the prior, in nats, (batch,)."""
        real = self.discriminator(p)
        fake = self.discriminator(z)
        return (F.softplus(-real) + F.softplus(fake)).squeeze(-1)

    def forward(self, p: Pass) -> Tensor:
        frozen = {name: w.detach() for name, w in self.discriminator.named_parameters()}
        logit = torch.func.functional_call(self.discriminator, frozen, (p.z,))
        loss = self.own_loss(p.z.detach(), p.p.detach())
        return self.weight * F.softplus(-logit).squeeze(-1) + (loss - loss.detach())

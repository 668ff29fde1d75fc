"""An autoencoder that is given something: a label, or a part of the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab import likelihoods, posteriors, priors, terms
from vaelab._inputs import check_positive_int, check_seed, floats, generator_of
from vaelab._processes import Generator
from vaelab.models.autoencoder import Autoencoder, evaluating
from vaelab.networks import Networks


class Conditional(Autoencoder):
    """An autoencoder of p(x given c): decoder and prior see the context c, which is given.

    The encoder sees the whole picture; the decoder's network takes [z, c], as
    `networks.with_context` makes it. It is trained on `training.Given(images, context)`. With
    N(m(c), I) for the prior, `FlowPrior(latent_dim, 0, n_context=…, scaled=False)`, it is the
    Variational U-net's model (Esser, Sutter & Ommer 2018); with couplings, the conditional one of
    "Empirical observations pertaining to learned priors", Section 6.

    Args:
        networks: a pair whose decoder takes context.
        posterior, likelihood, prior, latent_term: as for `Autoencoder`.
        part: the number of each pixel that c holds, in its order, where c is a part of the
            picture: these pixels are decoded as they are given, and cost nothing. () for labels.

    >>> from vaelab import networks
    >>> nets = networks.with_context(networks.mlp(3, latent_dim=2 + 1), n_context=1)
    >>> model = Conditional(nets, prior=priors.FlowPrior(2, n_context=1), part=(0,))
    >>> x = torch.rand(5, 3)
    >>> model.draw(x[:, :1], n=4).shape
    torch.Size([5, 4, 3])
    """

    def __init__(
        self,
        networks: Networks,
        posterior: posteriors.Posterior | None = None,
        likelihood: likelihoods.Likelihood | None = None,
        prior: priors.Prior | None = None,
        latent_term: terms.Term | Sequence[terms.Term] | None = None,
        part: Sequence[int] = (),
    ) -> None:
        super().__init__(networks, posterior, likelihood, prior, latent_term)
        self.part: Tensor
        self.register_buffer("part", torch.tensor(list(part), dtype=torch.long), persistent=False)

    def context(self, x: Tensor) -> Tensor:
        """c of images (n, *image_shape), where it is a part of them: shape (n, n_context)."""
        return x.flatten(1)[:, self.part.to(x.device)]

    def decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The decoder's mean for codes (batch, latent_dim) and contexts (batch, n_context)."""
        if context is None:
            raise TypeError("context: expected what is given with each code, shape (n, n_context)")
        x_hat = self._run(self.decoder, torch.cat([z, context], -1))
        if not len(self.part):
            return x_hat
        flat = x_hat.flatten(1).index_copy(1, self.part, context)
        return flat.unflatten(1, self.image_shape)

    def loss_terms(
        self, x: tuple[Tensor, Tensor], generator: Generator = None
    ) -> dict[str, Tensor]:
        """The terms by name for images and contexts, as `training.Given` holds them."""
        images, context = x
        return self._terms(images, self.encode(images), generator, context)

    forward = loss_terms

    @torch.no_grad()
    def draw(self, context: Tensor, n: int = 1, seed: int = 0) -> Tensor:
        """Draw `n` images for each context, (m, n_context): shape (m, n, *image_shape)."""
        check_positive_int("n", n)
        seed = check_seed(seed)
        each = floats(context, next(self.parameters())).repeat_interleave(n, 0)
        generator = generator_of(seed)
        eps = torch.randn(len(each), self.latent_dim, generator=generator).to(each)
        with evaluating(self):
            images = self.decode(self.prior.given(each).at(eps), each)
        return images.unflatten(0, (len(context), n)).to(context.device)

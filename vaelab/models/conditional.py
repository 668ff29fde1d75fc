"""An autoencoder that is given something: a label, or a part of the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vaelab import likelihoods, posteriors, priors, terms
from vaelab._arrays import Rows
from vaelab._door import door
from vaelab._inputs import check_draws, check_rows, check_shape, floats, generator_of
from vaelab._processes import Generator
from vaelab.models.autoencoder import Autoencoder, evaluating
from vaelab.networks import Networks, with_context


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
            raise TypeError(
                "context: expected what is given with each code, shape (n, n_context); to draw "
                "images, model.draw(context, n)"
            )
        x_hat = self._run(self.decoder, torch.cat([z, context], -1))
        if not len(self.part):
            return x_hat
        flat = x_hat.flatten(1).index_copy(1, self.part, context)
        return flat.unflatten(1, self.image_shape)

    def loss_terms(
        self, x: Tensor | tuple[Tensor, Tensor], generator: Generator = None
    ) -> dict[str, Tensor]:
        """The terms by name for images and contexts, as `training.Given` holds them; of images
        alone where the context is a part of them.
        """
        images, context = x if isinstance(x, tuple) else (x, self.context(x))
        return self._terms(images, self.encode(images), generator, context)

    forward = loss_terms

    @torch.no_grad()
    def reconstruct(self, x: Tensor | Rows) -> Tensor:
        """Decode the mean code of every image, whose part is given: shape of `x`."""

        def decoded(x: Tensor) -> Tensor:
            return self.decode(self.encode(x).mean, self.context(x))

        x = check_rows(x, self.image_shape, self.unit)
        return self.likelihood.mode(torch.cat(list(self._parts(decoded, x))))

    @door
    @torch.no_grad()
    def draw(self, context: Tensor, n: int = 1, seed: int = 0) -> Tensor:
        """Draw `n` images for each context, (m, n_context): shape (m, n, *image_shape)."""
        check_draws("n", n, len(context) * self.latent_dim)
        each = floats(context, next(self.parameters())).repeat_interleave(n, 0)
        generator = generator_of(seed)
        eps = torch.randn(len(each), self.latent_dim, generator=generator).to(each)
        with evaluating(self):
            images = self.likelihood.mode(self.decode(self.prior.given(each).at(eps), each))
        return images.unflatten(0, (len(context), n)).to(context.device)


def upper_half(image_shape: Sequence[int]) -> list[int]:
    """The numbers of the pixels in the upper half of each channel, or of a row's first half.

    >>> upper_half((2, 2, 3)), upper_half((5,))
    ([0, 1, 2, 6, 7, 8], [0, 1])
    """
    shape = check_shape("image_shape", image_shape)
    pixels = torch.arange(math.prod(shape)).view(*shape)
    height = -2 if len(shape) > 1 else -1
    return pixels.narrow(height, 0, shape[height] // 2).flatten().tolist()


def half_given(
    networks: Networks,
    gamma: float | str = "learned",
    beta: float = 0.0,
    transforms: int = 6,
    hidden: Sequence[int] = (64, 64),
) -> Conditional:
    """A VAE that completes pictures of which the upper half is given.

    Args:
        networks: a pair for codes of κ numbers and as many more as `upper_half` has.
        gamma: as for `vae`.
        beta: the weight of the KL for encoder and decoder, ≥ 0; the prior learns at full weight.
        transforms, hidden: of the prior's flow, as for `flows.Couplings`; with no transforms the
            prior is N(m(c), I), that of the Variational U-net.

    >>> from vaelab import networks
    >>> half_given(networks.mlp((1, 4, 4), latent_dim=2 + 8), transforms=0).latent_dim
    2
    """
    part = upper_half(networks.image_shape)
    pair = with_context(networks, len(part))
    how = (transforms, hidden, len(part), transforms > 0)
    prior = priors.FlowPrior(pair.latent_dim, *how)
    likelihood = likelihoods.Gaussian(gamma)
    return Conditional(pair, None, likelihood, prior, terms.KL(beta), part)

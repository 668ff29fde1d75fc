"""The autoencoder: an encoder, a decoder, and the choices that make them a model."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vaelab import likelihoods, posteriors, priors, terms
from vaelab._arrays import Rows
from vaelab._door import door
from vaelab._inputs import check_codes, check_positive_int, check_rows, floats
from vaelab._processes import Generator
from vaelab.networks import Networks
from vaelab.parts import Module

T = TypeVar("T")


class Autoencoder(Module):
    """An encoder, a decoder and the choices that make them a model.

    The objective is −log p(x given z) plus the latent terms and the decoder terms, each in nats a
    row; with the KL it is the cost of Dai & Wipf's Eq. 2. A class derived from it adds what it
    likes, and is saved and loaded as long as its own arguments are parts or plain data.

    Args:
        networks: encoder and decoder; see `vaelab.networks`.
        posterior: what the encoder says about z, made with the networks; a diagonal Gaussian unless
            given.
        likelihood: what the decoder says about x; a Gaussian with learned γ unless given.
        prior: p(z); N(0, I) unless given.
        latent_term: what pulls q(z) into shape, one or several; the KL to the prior unless given.
        decoder_term: what keeps the decoder smooth, one or several; nothing unless given.
        draws: codes drawn of each q(z given x), over which the terms are averaged.

    Raises:
        TypeError: something else in the place of a part.

    >>> from vaelab import networks
    >>> model = Autoencoder(networks.mlp(3, latent_dim=2), likelihood=likelihoods.Gaussian(0.1))
    >>> {name: tuple(nats.shape) for name, nats in model.loss_terms(torch.zeros(5, 3)).items()}
    {'nll': (5,), 'kl': (5,)}
    """

    @door
    def __init__(
        self,
        networks: Networks,
        posterior: posteriors.Posterior | None = None,
        likelihood: likelihoods.Likelihood | None = None,
        prior: priors.Prior | None = None,
        latent_term: terms.Term | Sequence[terms.Term] | None = None,
        decoder_term: terms.Term | Sequence[terms.Term] = (),
        draws: int = 1,
    ) -> None:
        super().__init__()
        self.image_shape = networks.image_shape
        self.latent_dim = networks.latent_dim
        self.n_features = networks.n_features
        self.encoder = networks.encoder
        self.decoder = networks.decoder
        self.posterior = posterior or posteriors.DiagonalGaussian(networks)
        self.likelihood = likelihood or likelihoods.Gaussian()
        self.prior = prior or priors.StandardNormal()
        latent = terms.KL() if latent_term is None else latent_term
        self.terms = nn.ModuleDict(_named([*_several(latent), *_several(decoder_term)]))
        self.draws = draws
        self.unit = bool(networks.unit or self.likelihood.unit)  # Whether images lie in [0, 1].
        self.autocast: torch.dtype | None = None  # Of the networks alone, while they are trained.

    def encode(self, x: Tensor) -> posteriors.Distribution:
        """q(z given x) of images (batch, *image_shape), one row each."""
        features = self._run(self.encoder, x)
        expected = (len(x), self.n_features)
        if not isinstance(features, Tensor) or features.shape != expected:
            found = tuple(getattr(features, "shape", ())) or type(features).__name__
            raise ValueError(
                f"encoder: expected features of shape {expected}, as n_features says, got {found}"
            )
        return self.posterior(features)

    def decode(self, z: Tensor) -> Tensor:
        """The decoder's mean for codes (batch, latent_dim): images (batch, *image_shape)."""
        return self._run(self.decoder, z)

    def _run(self, network: nn.Module, x: Tensor) -> Tensor:
        if self.autocast is None:
            return network(x)
        with torch.autocast(x.device.type, self.autocast):
            return network(x).to(x.dtype)

    def loss_terms(self, x: Tensor, generator: Generator = None) -> dict[str, Tensor]:
        """The terms of the objective by name, at one draw of z for each image or the mean over
        several: nats, shape (batch,).
        """
        return self._terms(x, self.encode(x), generator)

    def _terms(
        self,
        x: Tensor,
        q: posteriors.Distribution,
        generator: Generator,
        context: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """`loss_terms` at q(z given x), with what is given, if anything."""
        if self.draws > 1:
            each = torch.arange(len(x), device=x.device).repeat_interleave(self.draws)
            x, q, context = x[each], q[each], None if context is None else context[each]
        z, decode, prior = q.rsample(generator), self.decode, self.prior
        if context is not None:
            decode = functools.partial(decode, context=context)
            prior = prior.given(context)
        p = terms.Pass(x, q, z, decode, self.decoder, prior, generator)
        nll = self.likelihood.nll(x, p.x_hat)
        nats = {"nll": nll, **{name: term(p) for name, term in self.terms.items()}}
        if self.draws == 1:
            return nats
        return {name: n.unflatten(0, (-1, self.draws)).mean(1) for name, n in nats.items()}

    forward = loss_terms

    def anneal(self, share: Tensor | None) -> bool:
        """Let `share`, which may change in place, multiply the β of its KL; None for all of it.

        Returns:
            Whether it has a KL.
        """
        several = [term for term in self.terms.values() if isinstance(term, terms.KL)]
        for term in several:
            term.share = share
        return bool(several)

    @property
    def gamma(self) -> float | None:
        """The decoder variance γ; None for a likelihood without one."""
        return self.likelihood.gamma

    @torch.no_grad()
    def codes(self, x: Tensor | Rows, batch_size: int = 1000) -> posteriors.Distribution:
        """q(z given x) of any number of images, in evaluation mode, without gradients, on the
        images' device. Bytes are pixels 0 to 255. Whatever `training.fit` takes is taken.
        """
        x = check_rows(x, self.image_shape, self.unit)
        return posteriors.cat(self._parts(self.encode, x, batch_size), len(x))

    def _parts(
        self, f: Callable[[Tensor], T], x: Tensor | Rows, batch_size: int = 1000
    ) -> Iterator[T]:
        """What `f`, one of its passes, gives for rows, some at a time, in evaluation mode."""
        first, size = next(self.parameters()), check_positive_int("batch_size", batch_size)
        with evaluating(self):
            for part in x.split(size):
                given: Any = f(floats(part, first))
                yield given.to(x.device)

    def images(self, z: Tensor, batch_size: int = 1000) -> Tensor:
        """Decode any number of codes, in evaluation mode, without gradients, on the codes'
        device.
        """
        return self.likelihood.mode(self.outputs(z, batch_size))

    @torch.no_grad()
    def outputs(self, z: Tensor, batch_size: int = 1000) -> Tensor:
        """What the decoder itself gives for any number of codes, as `images` has it: what
        `likelihood.nll` takes.
        """
        z = check_codes(z, self.latent_dim)
        return torch.cat(list(self._parts(self.decode, z, batch_size)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the mean code of every image: shape of `x`."""
        return self.images(self.codes(x).mean)


def _several(term: terms.Term | Sequence[terms.Term]) -> list[terms.Term]:
    return list(term) if isinstance(term, Sequence) else [term]


def _named(several: list[terms.Term]) -> dict[str, terms.Term]:
    """Terms by their names; the second of a name gets a number."""
    named: dict[str, terms.Term] = {}
    for term in several:
        count = sum(other.name == term.name for other in named.values())
        named[f"{term.name}_{count + 1}" if count else term.name] = term
    return named


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode inside, and back in the mode it was in afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)

"""The autoencoder, and how one is rebuilt from its account of itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from vaelab import likelihoods, posteriors, regularizers
from vaelab import networks as networks_module
from vaelab._inputs import check_choice, check_images
from vaelab.networks import Networks


class Terms(NamedTuple):
    """The two terms of the objective, one value a row, in nats; their sum is the cost of Dai &
    Wipf's Eq. 2.

    Args:
        nll: −log p(x given z) at one draw of z, shape (batch,).
        latent: the latent term, weight included, shape (batch,).
    """

    nll: Tensor
    latent: Tensor


class Autoencoder(nn.Module):
    """An encoder, a decoder and the three choices that make them a model.

    Args:
        networks: encoder and decoder; see `vaelab.networks`.
        posterior: a head class of `vaelab.posteriors`, called with `networks`.
        likelihood: from `vaelab.likelihoods`.
        latent_term: from `vaelab.regularizers`, called with (q, z, generator).

    >>> from vaelab import networks
    >>> model = Autoencoder(networks.mlp(3, latent_dim=2), likelihood=likelihoods.Gaussian(0.1))
    >>> model.loss_terms(torch.zeros(5, 3)).nll.shape
    torch.Size([5])
    """

    def __init__(
        self,
        networks: Networks,
        posterior: Any = posteriors.DiagonalGaussian,
        likelihood: nn.Module | None = None,
        latent_term: Any = None,
    ) -> None:
        super().__init__()
        self.image_shape, self.latent_dim = networks.image_shape, networks.latent_dim
        self.encoder, self.decoder = networks.encoder, networks.decoder
        self.posterior = posterior(networks)
        self.likelihood = likelihood if likelihood is not None else likelihoods.Gaussian()
        self.latent_term = latent_term if latent_term is not None else regularizers.KL()
        self.networks_spec = networks.spec
        self.autocast: torch.dtype | None = (
            None  # precision of the two networks alone, while `training.fit` sets it
        )

    def encode(self, x: Tensor) -> posteriors.Point:
        """q(z given x) of images (batch, *image_shape), one row each."""
        return self.posterior(self._run(self.encoder, x))

    def decode(self, z: Tensor) -> Tensor:
        """The decoder's mean for codes (batch, latent_dim): images (batch, *image_shape)."""
        return self._run(self.decoder, z)

    def _run(self, network: nn.Module, x: Tensor) -> Tensor:
        if self.autocast is None:
            return network(x)
        with torch.autocast(x.device.type, self.autocast):
            return network(x).to(x.dtype)

    def loss_terms(self, x: Tensor, generator: torch.Generator | None = None) -> Terms:
        """Both terms of the objective at one draw of z for each image, each of shape (batch,), in
        nats.
        """
        q = self.encode(x)
        z = q.rsample(generator)
        return Terms(self.likelihood.nll(x, self.decode(z)), self.latent_term(q, z, generator))

    forward = loss_terms

    @property
    def gamma(self) -> float | None:
        """The decoder variance γ; None for a likelihood without one."""
        return self.likelihood.gamma

    @torch.no_grad()
    def codes(self, x: Tensor, batch_size: int = 1000) -> posteriors.Point:
        """q(z given x) of any number of images, in evaluation mode, without gradients, on the
        images' device.
        """
        x = check_images(x, self.image_shape)
        first = next(self.parameters())
        with evaluating(self):
            return posteriors.cat(
                [self.encode(part.to(first)).to(x.device) for part in x.split(batch_size)]
            )

    @torch.no_grad()
    def images(self, z: Tensor, batch_size: int = 1000) -> Tensor:
        """Decode any number of codes, in evaluation mode, without gradients, on the codes'
        device.
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"codes: expected shape (n, {self.latent_dim}), got {tuple(z.shape)}")
        first = next(self.parameters())
        with evaluating(self):
            return torch.cat(
                [self.decode(part.to(first)).to(z.device) for part in z.split(batch_size)]
            )

    def reconstruct(self, x: Tensor) -> Tensor:
        """Decode the mean code of every image: shape of `x`."""
        return self.images(self.codes(x).mean)

    def __reduce__(self) -> tuple:
        """Pickle and copy as parts and weights, since spectrally normalised layers cannot be
        pickled as they are.
        """
        dtype = next(self.parameters()).dtype
        return _rebuild, (self.spec(), self.state_dict(), dtype, self.training)

    def spec(self) -> dict:
        """What rebuilds this model without its weights; `from_spec` reads it."""
        return {
            "networks": self.networks_spec,
            "posterior": self.posterior.spec(),
            "likelihood": self.likelihood.spec(),
            "latent_term": self.latent_term.spec(),
        }


class Joint(nn.Module):
    """KL[q(z given x) ‖ N(0, I)] plus the cost of a second VAE of z: both stages' objectives in one
    sum.

    Both are minimised together, and the codes learn from both: the ablation that asks whether the
    stages must be trained apart. `second` is an ordinary autoencoder; to sample as two stages do,
    hand its weights to one:
    `densities.SecondStage(hidden).load_state(model.latent_term.second.state_dict(), latent_dim)`.

    Source: Dai & Wipf (2019), Section 4.

    Args:
        latent_dim: κ, of z and of u.
        hidden: widths of the second stage's layers.
        activation: of those layers.
        init: where the second stage's γ starts; from 1 it may settle on u that say nothing of z.
    """

    def __init__(
        self,
        latent_dim: int,
        hidden: Sequence[int] = (1024, 1024, 1024),
        activation: str = "relu",
        init: float = 0.1,
    ) -> None:
        super().__init__()
        nets = networks_module.mlp(latent_dim, latent_dim, hidden, activation)
        self.second = Autoencoder(nets, likelihood=likelihoods.Gaussian("learned", init))

    def forward(
        self, q: posteriors.Point, z: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """The term for posteriors `q` and codes `z` drawn from them, in nats, shape (batch,)."""
        return q.kl_at(z) + sum(self.second.loss_terms(z, generator))

    def spec(self) -> dict:
        """What rebuilds this term."""
        nets = self.second.networks_spec
        told = {
            "hidden": nets["hidden"],
            "activation": nets["activation"],
            "init": self.second.likelihood.init,
        }
        return {"name": "Joint", "latent_dim": self.second.latent_dim, **told}


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode inside, and back in the mode it was in afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _rebuild(
    spec: dict, state: dict[str, Tensor], dtype: torch.dtype, training: bool
) -> Autoencoder:
    model = from_spec(spec).to(dtype)
    model.load_state_dict(state)
    return model.train(training)


def from_spec(spec: dict) -> Autoencoder:
    """Rebuild a model, with weights of seed 0, from `Autoencoder.spec()`.

    Raises:
        ValueError: a part that this version does not know, or networks made by hand.
    """
    if not spec["networks"]:
        raise ValueError(
            "the networks were made by hand: expected those of vaelab.networks, which can be "
            "rebuilt"
        )
    with networks_module.seeded(0):
        return _from_parts(spec)


def _from_parts(spec: dict) -> Autoencoder:
    networks = _networks(spec["networks"])
    heads = ("PointHead", "DiagonalGaussian", "ConstantGaussian", "FullGaussian", "FlowGaussian")
    head = dict(spec["posterior"])
    name = head.pop("name")
    check_choice("posterior", name, heads)
    return Autoencoder(
        networks,
        lambda networks: getattr(posteriors, name)(networks, **head),
        _part(likelihoods, ("Gaussian", "CrossEntropy"), spec["likelihood"]),
        _latent_term(spec["latent_term"]),
    )


def _networks(spec: dict) -> Networks:
    if spec["name"] == "fused":
        spec = {**spec, "networks": _networks(spec["networks"])}
    return _part(networks_module, ("mlp", "infogan", "resnet", "wae", "fused"), spec)


def _latent_term(spec: dict) -> Any:
    if spec["name"] == "Joint":
        return Joint(**{k: v for k, v in spec.items() if k != "name"})
    return _part(regularizers, ("KL", "SquaredNorm", "MMD", "Adversary", "Joint"), spec)


def _part(module: Any, known: tuple[str, ...], spec: dict) -> Any:
    arguments = dict(spec)
    name = arguments.pop("name")
    check_choice(module.__name__, name, known)
    return getattr(module, name)(**arguments)

"""S models as one: every weight with a first dimension S, every pass for all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.utils.parametrizations import _SpectralNorm

from vaelab._processes import Noise, draw
from vaelab.models import Autoencoder, Terms
from vaelab.posteriors import Point
from vaelab.training.feed import Feed, feed


class Seeds:
    """One generator a model, as one object."""

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        self.device, self.each = (
            device,
            [torch.Generator(device).manual_seed(seed) for seed in seeds],
        )

    def get_state(self) -> Tensor:
        return torch.stack([g.get_state() for g in self.each])

    def set_state(self, states: Tensor) -> None:
        for g, state in zip(self.each, states, strict=True):
            g.set_state(state.clone())  # torch wants a tensor that begins where its memory does


class Ensemble(Autoencoder):
    """S models of one kind as one: each weight and each statistic has a first dimension S.

    Its only business is `loss_terms`; `member_states` gives each model its own weights back.
    """

    def __init__(self, models: Sequence[Autoencoder], seeds: Sequence[int]) -> None:
        super(Autoencoder, self).__init__()
        self.seeds, self._kind = tuple(seeds), models[0].spec()
        copied = copy.deepcopy(models[0])
        self.image_shape, self.latent_dim, self.autocast = (
            copied.image_shape,
            copied.latent_dim,
            None,
        )
        for name in ("encoder", "decoder", "posterior", "likelihood", "latent_term"):
            setattr(self, name, getattr(copied, name))
        states = [model.state_dict() for model in models]
        for name, tensor in self.state_dict(keep_vars=True).items():
            tensor.data = torch.stack([state[name].detach() for state in states])
        for mine, theirs in zip(self.parameters(), models[0].parameters(), strict=True):
            mine.requires_grad_(theirs.requires_grad)
        one = copy.deepcopy(models[0]).train()
        self._one = (one,)  # whose layers compute, with weights that are handed to them
        self._spectral = {
            name: m.eval() for name, m in one.named_modules() if isinstance(m, _SpectralNorm)
        }
        self._all = _pass(one)
        self._asked: list | None = None

    def to(self, *args: Any, **kwargs: Any) -> Ensemble:
        vars(self).pop("_tensors", None)
        self._one[0].to(*args, **kwargs)
        return super().to(*args, **kwargs)

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        """Every weight and statistic by name: they change in place, until `to` replaces them."""
        return self.state_dict(keep_vars=True)

    @property
    def gamma(self) -> list[float] | None:
        """γ of each model."""
        log_gamma = getattr(self.likelihood, "log_gamma", None)
        return None if log_gamma is None else log_gamma.double().exp().tolist()

    def loss_terms(self, x: Tensor, generator: Seeds) -> Terms:
        """Both terms for batches (S, batch, *image_shape), each of shape (S, batch)."""
        one = self._one[0]
        one.autocast = self.autocast
        self._normalise_spectra()
        if self._asked is None:  # which noise a step draws, found by drawing it
            asks = Noise()
            with torch.no_grad():
                copy.deepcopy(one).to(x.device).loss_terms(x[0], asks)  # a copy is made on the CPU
            self._asked = asks.asked
        noise = [
            torch.stack([draw(sample, shape, g, x) for g in generator.each])
            for sample, shape in self._asked
        ]
        return Terms(*self._all(self._tensors, x, *noise))

    forward = loss_terms

    def compile_pass(self) -> None:
        """From now on, run the pass through torch.compile."""
        self._all = torch.compile(_pass(self._one[0]))

    @torch.no_grad()
    def _normalise_spectra(self) -> None:
        """One step of each power iteration, as torch takes it in a layer's own pass, but for all
        models at once.

        The layers are in evaluation mode, in which a pass uses the vectors and leaves them alone.
        """
        for name, layer in self._spectral.items():
            weight = (
                self._tensors[f"{name.rpartition('.')[0]}.original"]
                .movedim(layer.dim + 1, 1)
                .flatten(2)
            )
            u, v = self._tensors[f"{name}._u"], self._tensors[f"{name}._v"]
            for _ in range(layer.n_power_iterations):
                u.copy_(F.normalize((weight @ v.unsqueeze(-1)).squeeze(-1), dim=1, eps=layer.eps))
                v.copy_(
                    F.normalize((weight.mT @ u.unsqueeze(-1)).squeeze(-1), dim=1, eps=layer.eps)
                )

    def member_states(self) -> Iterator[dict[str, Tensor]]:
        """The weights and statistics of each model."""
        stacked = self.state_dict()
        return ({name: value[i] for name, value in stacked.items()} for i in range(len(self.seeds)))

    def spec(self) -> dict:
        return {**self._kind, "together": len(self.seeds)}


def _pass(one: Autoencoder) -> Callable[..., tuple]:
    """The loss terms of all models from their stacked tensors; refers to one model, and so to no
    ensemble.
    """

    def call(tensors: dict[str, Tensor], x: Tensor, *noise: Tensor) -> tuple:
        return tuple(functional_call(one, tensors, (x, Noise(noise))))

    return vmap(call)


@dataclass(frozen=True)
class Feeds:
    """One feed a model; their batches are stacked."""

    each: tuple[Feed, ...]

    def __len__(self) -> int:
        return len(self.each[0])

    def batch(self, rows: Tensor, generator: Seeds) -> Tensor:
        """The rows of those numbers, (S, batch), each from its own feed: shape (S, batch,
        *image_shape).
        """
        return torch.stack(
            [f.batch(r, g) for f, r, g in zip(self.each, rows, generator.each, strict=True)]
        )


def feeds(
    model: Ensemble, data: Sequence[Tensor | Point], device: torch.device, flip: bool
) -> tuple[Feeds, str]:
    """One feed a model, of its own data or of the one set there is, and the digests of all."""
    made = [feed(model, each, device, flip) for each in data]
    lengths = sorted({len(f) for f, _ in made})
    if len(lengths) > 1:
        raise ValueError(
            f"data: expected as many rows for each model, got from {lengths[0]} to {lengths[-1]}"
        )
    each, digests = zip(*made, strict=True)
    return Feeds(each * (len(model.seeds) // len(each))), "+".join(digests)

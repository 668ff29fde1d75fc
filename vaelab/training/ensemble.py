"""S models as one: every weight with a first dimension S, every pass for all of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils._pytree import tree_map

from vaelab import flows, likelihoods, posteriors, priors, terms
from vaelab._inputs import generator_of
from vaelab._processes import Noise, draw
from vaelab.models import Autoencoder
from vaelab.networks.mlp import Skip
from vaelab.training.batches import Batches, Feed, Given, shuffled

_BY_ROW = {
    Autoencoder,
    Skip,
    likelihoods.Gaussian,
    nn.Flatten,
    nn.Identity,
    nn.Linear,
    nn.ModuleDict,
    nn.ReLU,
    nn.SiLU,
    nn.Sequential,
    nn.Sigmoid,
    nn.Tanh,
    nn.Unflatten,
    flows.Couplings,
    nn.ModuleList,
    posteriors.ConstantGaussian,
    posteriors.DiagonalGaussian,
    posteriors.FlowGaussian,
    posteriors.FullGaussian,
    posteriors.PointHead,
    priors.FlowPrior,
    priors.StandardNormal,
    terms.KL,
    terms.GradientPenalty,
    terms.SquaredNorm,
    terms.SquaredNormPenalty,
}  # What looks at each row alone, with no parameters but dense layers' and those of one row.


class Seeds:
    """One generator a model, as one object."""

    def __init__(self, device: torch.device, seeds: Sequence[int]) -> None:
        self.each = [generator_of(seed, device) for seed in seeds]

    def get_state(self) -> Tensor:
        return torch.stack([g.get_state() for g in self.each])

    def set_state(self, states: Tensor) -> None:
        for g, state in zip(self.each, states, strict=True):
            g.set_state(state.clone())  # torch wants a tensor that begins where its memory does


class Ensemble(nn.Module):
    """S models of one kind as one: each weight and each statistic has a first dimension S.

    It has `loss_terms` alone; `member_states` gives the weights of each model back.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.n_models = len(models)
        self.autocast: torch.dtype | None = None
        states = [model.state_dict() for model in models]
        shell = copy.deepcopy(models[0])
        for name, tensor in shell.state_dict(keep_vars=True).items():
            tensor.data = torch.stack([state[name].detach() for state in states])
        self.shell = shell  # Holds the stacked tensors, and is never run.
        one: Any = copy.deepcopy(models[0]).train()
        self._probe: tuple[Any] = (copy.deepcopy(models[0]),)
        self._one = (one,)  # Whose layers compute, with weights that are handed to them.
        parts = one.named_modules()
        self._spectral = {name: m.eval() for name, m in parts if isinstance(m, _SpectralNorm)}
        self._dense = is_dense(one)
        self._all = (_rows_pass if self._dense else _pass)(one)
        self._asked: dict[int, list] = {}  # Noise of a step, by the rows of its batch.

    def to(self, *args: Any, **kwargs: Any) -> Ensemble:
        vars(self).pop("_tensors", None)
        self._one[0].to(*args, **kwargs)
        return super().to(*args, **kwargs)

    @cached_property
    def _tensors(self) -> dict[str, Tensor]:
        """Every weight and statistic by name: they change in place, until `to` replaces them."""
        return self.shell.state_dict(keep_vars=True)

    @property
    def likelihood(self) -> nn.Module | None:
        """The likelihood of all, with its tensors stacked."""
        return getattr(self.shell, "likelihood", None)

    @property
    def gamma(self) -> list[float] | None:
        """γ of each model."""
        log_gamma = getattr(self.likelihood, "log_gamma", None)
        return None if log_gamma is None else log_gamma.double().exp().tolist()

    def loss_terms(self, x: Tensor | Given, generator: Seeds) -> dict[str, Tensor]:
        """The terms for batches (S, batch, *image_shape) by name, each of shape (S, batch)."""
        one = self._one[0]
        one.autocast = self.autocast
        self._normalise_spectra()
        images = x.x if isinstance(x, Given) else x
        n = images.shape[1]
        if n not in self._asked:  # One step shows which noise a step draws.
            asks = Noise()
            with torch.no_grad():
                first = tree_map(lambda rows: rows[0], x)
                self._probe[0].to(images.device).loss_terms(first, asks)
            self._asked[n] = asks.asked
        noise = [
            torch.stack([draw(sample, shape, g, images) for g in generator.each])
            for sample, shape in self._asked[n]
        ]
        return self._all(self._tensors, x, *noise)

    forward = loss_terms

    def anneal(self, share: Tensor | None) -> bool:
        """As `Autoencoder.anneal`, for all models."""
        (one,), (probe,) = self._one, self._probe
        probe.anneal(share)
        return one.anneal(share)

    def compile_pass(self) -> None:
        """From now on, run the pass through torch.compile."""
        one = self._probe[0].train() if self._dense else self._one[0]
        self._all = torch.compile(_pass(one))

    @torch.no_grad()
    def _normalise_spectra(self) -> None:
        """One step of each power iteration, as torch takes it in a layer's own pass, but for all
        models at once.

        The layers are in evaluation mode, in which a pass uses the vectors and leaves them alone.
        """
        for name, layer in self._spectral.items():
            original = self._tensors[f"{name.rpartition('.')[0]}.original"]
            weight = original.movedim(layer.dim + 1, 1).flatten(2)
            u = self._tensors[f"{name}._u"]
            v = self._tensors[f"{name}._v"]
            for new, matrix, old in ((u, weight, v), (v, weight.mT, u)) * layer.n_power_iterations:
                product = (matrix @ old.unsqueeze(-1)).squeeze(-1)
                new.copy_(F.normalize(product, dim=1, eps=layer.eps))

    def member_states(self) -> Iterator[dict[str, Tensor]]:
        """The weights and statistics of each model."""
        stacked = self.shell.state_dict()
        for i in range(self.n_models):
            yield {name: value[i] for name, value in stacked.items()}


def _pass(one: nn.Module) -> Callable[..., dict[str, Tensor]]:
    """The loss terms of all models from their stacked tensors; refers to one model, and so to no
    ensemble.
    """

    def call(tensors: dict[str, Tensor], x: Any, *noise: Tensor) -> dict[str, Tensor]:
        return functional_call(one, tensors, (x, Noise(noise)))

    return vmap(call)


class GroupedLinear(nn.Module):
    """The dense layers of S models as one batched product, on rows that are S equal groups.

    The weight has shape (S, n_out, n_in) and the bias (S, n_out), once they are handed to it.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight = layer.weight
        self.bias = layer.bias

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (S·b, n_in) to (S·b, n_out)."""
        groups = rows.unflatten(0, (len(self.weight), -1))
        return torch.baddbmm(self.bias.unsqueeze(1), groups, self.weight.mT).flatten(0, 1)


def is_dense(model: Any) -> bool:
    """Whether a model is made of dense layers and of what looks at each row alone, so that the rows
    of several can pass as one batch: half as long on a CPU as `torch.func.vmap`.
    """
    rows_alone = all(type(m) in _BY_ROW or getattr(m, "rows_alone", False) for m in model.modules())
    return rows_alone and model.draws == 1 and model.likelihood.rule != "optimal"


def _rows_pass(one: nn.Module) -> Callable[..., dict[str, Tensor]]:
    """`_pass` for dense models: the rows of all of them are one batch."""
    for name, layer in list(one.named_modules()):
        if isinstance(layer, nn.Linear):
            one.set_submodule(name, GroupedLinear(layer))
    dense = {id(p) for m in one.modules() if isinstance(m, GroupedLinear) for p in m.parameters()}
    loose = [name for name, p in one.state_dict(keep_vars=True).items() if id(p) not in dense]

    def call(tensors: dict[str, Tensor], x: Any, *noise: Tensor) -> dict[str, Tensor]:
        sizes = (x.x if isinstance(x, Given) else x).shape[:2]
        each = {name: tensors[name].repeat_interleave(sizes[1], 0) for name in loose}
        rows = tree_map(lambda tensor: tensor.flatten(0, 1), [x, *noise])
        each_row = {**tensors, **each}
        terms = functional_call(one, each_row, (rows[0], Noise(rows[1:])))
        return {name: term.unflatten(0, sizes) for name, term in terms.items()}

    return call


class StackedBatches(Batches):
    """The batches of several models: each has an order and a generator, and rows, which may be the
    same for all.
    """

    hint = "; or train fewer models together"

    def __init__(self, rows: Sequence[Feed], device: torch.device, seeds: Sequence[int]) -> None:
        lengths = sorted({len(each) for each in rows})
        if len(lengths) > 1:
            raise ValueError(
                f"data: expected as many rows for each model, got from {lengths[0]} to "
                f"{lengths[-1]}"
            )
        super().__init__(rows[0], device, list(seeds), Seeds(device, seeds))
        self.each = list(rows) * (len(seeds) // len(rows))
        self.digests = [each.digest() for each in rows]

    def digest(self) -> str:
        return "+".join(self.digests)

    def order(self, epoch: int) -> Tensor:
        """The order in which each model visits its rows, shape (S, n)."""
        orders = [shuffled(len(self), seed, epoch) for seed in self.seed]
        return torch.stack(orders).to(self.device)

    def batch(self, index: Tensor) -> Any:
        """The rows of those numbers, (S, batch), each from its own: (S, batch, *image_shape)."""
        each = zip(self.each, index, self.generator.each, strict=True)
        batches = [rows.batch(i, generator) for rows, i, generator in each]
        return tree_map(lambda *several: torch.stack(several), *batches)

    def whose(self, finite: Tensor) -> str:
        broken = [i for i, fine in enumerate(finite.flatten(0, 1).all(0).tolist()) if not fine]
        names = ", ".join(f"{i} (seed {self.seed[i]})" for i in broken)
        return f" of model {names}" if names else ""

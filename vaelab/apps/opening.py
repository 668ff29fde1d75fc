"""A saved folder, opened so that everything is in the data's own units."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from vaelab import checkpoints
from vaelab.checkpoints import Saved
from vaelab.likelihoods import Gaussian
from vaelab.models import Autoencoder


def opened(folder: str | Path, parts: Iterable[Callable[..., Any]] = ()) -> Saved:
    """Read a model, or an estimator, that `vaelab.save` or `vaelab train` wrote.

    An estimator trains on rows that are centred and divided by one scale. Here its scale is part of
    the model: images go in, and come out, in the units that `fit` was given, and γ is in those
    units squared.

    Args:
        folder: holds `model.safetensors` and `run.json`.
        parts: classes and functions of your own, as for `vaelab.load`.

    Returns:
        Model, density and record. What an estimator's `sample` draws is cut to the range of its
        data, as the estimator does.

    Raises:
        FileNotFoundError, CheckpointError: see `vaelab.load`.

    >>> import tempfile
    >>> import vaelab
    >>> rows = 3 * torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) + 100
    >>> fitted = vaelab.VAE(latent_dim=2, epochs=2, random_state=0).fit(rows)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     round(opened(vaelab.save(f"{folder}/vae", fitted)).sample(50).mean().item() / 100)
    1
    """
    saved = checkpoints.load(folder, parts)
    if isinstance(saved, Saved):
        return saved
    run = json.loads((checkpoints.place_of(folder) / "run.json").read_text(encoding="utf-8"))
    model = in_data_units(saved.model_, saved.mean_, saved.scale_)
    return _Cut(model, saved.density_, run, saved.range_)


@dataclass(frozen=True)
class _Cut(Saved):
    """One whose samples are cut to `limits`."""

    limits: Any  # lowest and highest, of all or of each column

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """What the estimator draws with `random_state=seed`."""
        drawn = int(check_random_state(seed).randint(2**31 - 1))
        return super().sample(n, drawn).clamp(*self.limits)


def in_data_units(model: Autoencoder, mean: Tensor, scale: float | Tensor) -> Autoencoder:
    """A copy of a model of (x − mean) / scale that is one of x.

    The scale goes into the decoder's last dense layer where nothing but a change of shape follows
    it, and stands behind the decoder otherwise. γ, of a Gaussian likelihood, is multiplied by
    scale², unless every column has a scale of its own: then it stays that of the scaled rows.

    Args:
        model: trained on standardised rows.
        mean: of the rows, shape `image_shape`, or one number.
        scale: > 0, one number for all pixels, or one a column.
    """
    model = copy.deepcopy(model)
    by_column = isinstance(scale, Tensor)
    if not by_column and scale == 1 and not mean.any():
        return model
    model.encoder = nn.Sequential(_Affine(-mean / scale, 1 / scale), model.encoder)
    last = _last_dense(model.decoder)
    if last is None or by_column:
        model.decoder = nn.Sequential(model.decoder, _Affine(mean, scale))
    else:
        with torch.no_grad():
            last.weight.mul_(scale)
            last.bias.mul_(scale).add_(mean.flatten())
    if isinstance(model.likelihood, Gaussian) and not by_column:
        model.likelihood.gamma *= scale**2
    return model


class _Affine(nn.Module):
    """x ↦ shift + scale · x."""

    def __init__(self, shift: Tensor, scale: float | Tensor) -> None:
        super().__init__()
        self.shift = nn.Buffer(shift)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.shift + self.scale * x


def _last_dense(decoder: Any) -> nn.Linear | None:
    """The dense layer that a decoder ends in, apart from changes of shape."""
    layers = list(decoder) if isinstance(decoder, nn.Sequential) else []
    while layers and isinstance(layers[-1], (nn.Identity, nn.Flatten, nn.Unflatten)):
        layers.pop()
    last = layers[-1] if layers else None
    return last if type(last) is nn.Linear else None

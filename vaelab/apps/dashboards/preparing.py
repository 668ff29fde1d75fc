"""What the first two pages show: a model folder, with images and stand-ins for q(z)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vaelab import densities, models
from vaelab._inputs import generator_of
from vaelab.apps.images import images_for
from vaelab.apps.opening import opened
from vaelab.data import unit

N_IMAGES = 2000  # A page reads codes off so many images at most: a visitor waits for a second.


@dataclass(frozen=True)
class Opened:
    """A model with what its pages need.

    Args:
        model: the autoencoder.
        densities: fitted stand-ins for q(z), by name.
        x: images, (n, *image_shape).
        labels: their classes, or None.
        name: what to call it.
    """

    model: models.Autoencoder
    densities: dict[str, densities.Density]
    x: Tensor
    labels: Tensor | None
    name: str


def open_model(folder: str | Path, images: str | None = None) -> Opened:
    """Read a model folder, the images it was trained on, and fit the quick stand-ins to its codes.

    Args:
        folder: one that `vaelab train` or `vaelab.save` wrote.
        images: a data set or the path of a folder of pictures; what the model was trained on unless
            given.

    Raises:
        FileNotFoundError, CheckpointError: no model there, or a damaged one.
        ValueError: the run does not say which images, or they are not of the model's shape.
    """
    saved = opened(folder)
    model = saved.model
    data = images_for(saved, name=images)
    order = torch.randperm(len(data.train_pixels), generator=generator_of(0))[:N_IMAGES]
    x = unit(data.train_pixels[order])
    fitted = {
        "Gaussian": densities.Gaussian().fit(model, x),
        "mixture of 10": densities.GaussianMixture(10).fit(model, x),
    }
    if not densities.is_standard_normal(saved.density):
        is_second = isinstance(saved.density, densities.SecondStage)
        kind = "second stage" if is_second else type(saved.density).__name__
        fitted = {kind: saved.density, **fitted}
    labels = None if data.train_labels is None else data.train_labels[order]
    return Opened(model, fitted, x, labels, f"{data.name}, κ = {model.latent_dim}")

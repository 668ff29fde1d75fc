"""Several models under one hand: what each makes of one picture, and of one draw."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from ipywidgets import IntSlider
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import floats
from vaelab.models import Autoencoder
from vaelab.widgets._view import View
from vaelab.widgets.controls import beside, named_rows
from vaelab.widgets.drawing import Picture

INVENTIONS = 8


class ModelComparison(View):
    """Two or more models side by side: a row a model, with a picture, its copy, and what the model
    makes of eight draws from N(0, I). The draws are the same for all models of one latent_dim.

    Args:
        models: each with its name.
        images: (n, *image_shape), to choose from.
        scale: how many screen pixels an image pixel is wide.

    Raises:
        ValueError: fewer than two models, or models of other images.

    >>> from vaelab import models, networks
    >>> several = {str(g): models.vae(networks.mlp((1, 8, 8), 2), g) for g in (1.0, 0.1)}
    >>> view = ModelComparison(several, torch.zeros(3, 1, 8, 8))
    >>> view.seed.value = 5
    >>> view.frames, view.error
    (2, None)
    """

    @door
    def __init__(self, models: Mapping[str, Autoencoder], images: Tensor, scale: int = 2) -> None:
        shapes = {model.image_shape for model in models.values()}
        if len(models) < 2 or shapes != {tuple(images.shape[1:])}:
            raise ValueError(
                f"models: expected two or more, of images of shape {tuple(images.shape[1:])}, got "
                f"{len(models)}, of {sorted(shapes)}"
            )
        super().__init__()
        self.models = dict(models)
        self.images = floats(images, torch.empty(0))
        self.index = IntSlider(max=len(images) - 1, description="picture")
        self.seed = IntSlider(max=99, description="draw")
        self.image = Picture("the picture, its copy and eight draws: a row for each model")
        self.scale = scale * max(1, 28 // images.shape[-1])
        rows = named_rows(self.models, self.image)
        self.children = (beside(self.index, self.seed), rows)
        self._listen(self.redraw, self.index, self.seed)
        self.redraw()

    def _draw(self) -> None:
        x = self.images[self.index.value][None]
        pictures = [
            torch.cat([x, model.reconstruct(x), model.images(self._latents(model))])
            for model in self.models.values()
        ]
        self.image.show(torch.cat(pictures), self.scale, columns=INVENTIONS + 2)

    def _latents(self, model: Autoencoder) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed.value)
        return torch.randn(INVENTIONS, model.latent_dim, generator=generator)

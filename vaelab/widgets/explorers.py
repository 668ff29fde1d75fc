"""Sliders for a function of the caller's own: codes to images, or a positive number to images or to
a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_positive
from vaelab.plots import figure_png
from vaelab.widgets._view import View
from vaelab.widgets.controls import beside, log_slider
from vaelab.widgets.drawing import Drawing, Picture


class _Explorer(View):
    """Sliders above one picture, which `render` draws of the sliders' values."""

    def __init__(self, sliders: Sequence[Any], image: Picture, render: Callable[..., None]) -> None:
        super().__init__()
        self.sliders = tuple(sliders)
        self.image = image
        self._render = render
        self.children = (*sliders, beside(image))
        self._listen(self.redraw, *sliders)
        self.redraw()

    def _draw(self) -> None:
        self._render(self.image, *(each.value for each in self.sliders))


@door
def latent_explorer(
    decode: Callable[[Tensor], Tensor],
    latent_dim: int,
    scale: int = 24,
    limit: float = 3.0,
) -> View:
    """One slider for each latent dimension, and the image that the decoder makes of the code they
    spell.

    Args:
        decode: codes (n, latent_dim), float32, to images (n, channels, height, width) with values
            in [0, 1].
        latent_dim: κ; more than about ten sliders are hard to use.
        scale: how many screen pixels an image pixel is wide.
        limit: the sliders run from −limit to limit.

    Returns:
        The sliders and the image, one above the other.

    Raises:
        TypeError, ValueError: `latent_dim` is not a whole number ≥ 1, or `limit` no number > 0.
    """
    check_positive("limit", limit)
    sliders = [
        ipywidgets.FloatSlider(
            min=-limit,
            max=limit,
            step=0.1,
            description=f"z[{j}]",
        )
        for j in range(latent_dim)
    ]

    @torch.no_grad()
    def render(picture: Picture, *values: float) -> None:
        picture.show(decode(torch.tensor([values])), scale)

    return _Explorer(sliders, Picture("the code, decoded"), render)


@door
def gamma_explorer(
    draw: Callable[[float], Tensor],
    low: float = 1e-3,
    high: float = 1.0,
    scale: int = 8,
) -> View:
    """One slider for the decoder variance γ, on a logarithmic axis, and the images that go with it.

    Args:
        draw: γ to images (n, channels, height, width) with values in [0, 1].
        low, high: the slider's ends, 0 < low < high; it starts at `high`.
        scale: how many screen pixels an image pixel is wide.

    Returns:
        The slider and the images, one above the other.

    Raises:
        ValueError: ends that are not 0 < low < high.
    """

    def render(picture: Picture, gamma: float) -> None:
        images = draw(gamma)
        picture.show(images, scale, columns=len(images))

    _check_ends("gamma_explorer", low, high)
    gammas = log_slider("γ", high, low, high, step=0.02)
    return _Explorer([gammas], Picture("the images at this γ"), render)


@door
def figure_explorer(
    draw: Callable[[Axes, float], None],
    low: float,
    high: float,
    name: str = "γ",
) -> View:
    """One slider for a positive number, on a logarithmic axis, and the figure that goes with it.

    Args:
        draw: called with empty axes and the number.
        low, high: the slider's ends, 0 < low < high; it starts at `low`.
        name: the slider's label.

    Returns:
        The slider and the figure, one above the other.

    Raises:
        ValueError: ends that are not 0 < low < high.
    """

    def render(picture: Picture, number: float) -> None:
        # Outside pyplot there is nothing to close, and nothing is shown twice.
        figure = Figure(figsize=(6, 3))
        draw(figure.subplots(), number)
        picture.value = figure_png(figure)

    _check_ends("figure_explorer", low, high)
    image = Drawing(f"the figure at this {name}", 600)
    return _Explorer([log_slider(name, low, low, high)], image, render)


def _check_ends(caller: str, low: float, high: float) -> None:
    if not 0 < low < high:
        raise ValueError(f"{caller}: expected 0 < low < high, got low={low} and high={high}")

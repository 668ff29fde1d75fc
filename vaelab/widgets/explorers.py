"""Sliders for a function of the caller's own: codes to images, or a positive number to images or to
a figure.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import ipywidgets
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vaelab._inputs import check_positive_int
from vaelab.plots import image_grid, to_png
from vaelab.widgets._view import View, log_slider, picture


class _Explorer(View):
    """Sliders above one picture, which `render` makes of the sliders' values."""

    def __init__(self, sliders: list[ipywidgets.Widget], render: Callable[..., bytes]) -> None:
        super().__init__()
        self.sliders, self.image, self._render = tuple(sliders), picture(), render
        self.children = (*sliders, self.image)
        for each in sliders:
            self._listen(each, self.redraw)
        self.redraw()

    def _draw(self) -> None:
        self.image.value = self._render(*(each.value for each in self.sliders))


def latent_explorer(
    decode: Callable[[Tensor], Tensor], latent_dim: int, scale: int = 24, limit: float = 3.0
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
        TypeError, ValueError: `latent_dim` is not a whole number ≥ 1.
    """
    check_positive_int("latent_dim", latent_dim)
    sliders = [
        ipywidgets.FloatSlider(min=-limit, max=limit, step=0.1, description=f"z[{j}]")
        for j in range(latent_dim)
    ]

    def render(*values: float) -> bytes:
        with torch.no_grad():
            return to_png(image_grid(decode(torch.tensor([values]))), scale)

    return _Explorer(sliders, render)


def gamma_explorer(
    draw: Callable[[float], Tensor], low: float = 1e-3, high: float = 1.0, scale: int = 8
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

    def render(gamma: float) -> bytes:
        images = draw(gamma)
        return to_png(image_grid(images, columns=len(images)), scale)

    return _number_explorer("gamma_explorer", render, low, high, high, "γ", step=0.02)


def figure_explorer(
    draw: Callable[[Axes, float], None], low: float, high: float, name: str = "γ"
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

    def render(number: float) -> bytes:
        figure, buffer = (
            Figure(figsize=(6, 3)),
            io.BytesIO(),
        )  # outside pyplot: nothing to close, nothing shown twice
        draw(figure.subplots(), number)
        figure.savefig(buffer, format="png")
        return buffer.getvalue()

    return _number_explorer("figure_explorer", render, low, high, low, name, step=0.05)


def _number_explorer(
    caller: str,
    render: Callable[[float], bytes],
    low: float,
    high: float,
    start: float,
    name: str,
    step: float,
) -> View:
    if not 0 < low < high:
        raise ValueError(f"{caller}: expected 0 < low < high, got low={low} and high={high}")
    return _Explorer([log_slider(name, start, low, high, step)], render)

"""Interactive views: sliders that drive a picture.

The picture is a PNG in an `ipywidgets.Image`. Images are drawn without matplotlib, so that they follow a slider as it
is dragged; `figure_explorer` redraws a small figure.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vaelab._inputs import check_positive_int
from vaelab.plots import image_grid, to_png

if TYPE_CHECKING:
    from ipywidgets import VBox


def latent_explorer(decode: Callable[[Tensor], Tensor], latent_dim: int, scale: int = 24, limit: float = 3.0) -> VBox:
    """One slider for each latent dimension, and the image that the decoder makes of the code they spell.

    Args:
        decode: codes (n, latent_dim), float32, to images (n, channels, height, width) with values in [0, 1].
        latent_dim: κ; more than about ten sliders are hard to use.
        scale: how many screen pixels an image pixel is wide.
        limit: the sliders run from −limit to limit.

    Returns:
        The sliders and the image, one above the other.

    Raises:
        TypeError, ValueError: `latent_dim` is not a whole number ≥ 1.
    """
    import ipywidgets

    check_positive_int("latent_dim", latent_dim)
    sliders = [
        ipywidgets.FloatSlider(min=-limit, max=limit, step=0.1, description=f"z[{j}]") for j in range(latent_dim)
    ]
    image = ipywidgets.Image(format="png", layout={"align_self": "flex-start"})

    def draw(change: Any = None) -> None:
        z = torch.tensor([[slider.value for slider in sliders]])
        with torch.no_grad():
            image.value = to_png(image_grid(decode(z)), scale)

    for slider in sliders:
        slider.observe(draw, names="value")
    draw()
    return ipywidgets.VBox([*sliders, image])


def gamma_explorer(draw: Callable[[float], Tensor], low: float = 1e-3, high: float = 1.0, scale: int = 8) -> VBox:
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
    import ipywidgets

    if not 0 < low < high:
        raise ValueError(f"gamma_explorer: expected 0 < low < high, got low={low} and high={high}")
    slider = ipywidgets.FloatLogSlider(
        value=high, base=10, min=math.log10(low), max=math.log10(high), step=0.02, description="γ", readout_format=".3g"
    )
    image = ipywidgets.Image(format="png", layout={"align_self": "flex-start"})

    def show(change: Any = None) -> None:
        images = draw(slider.value)
        image.value = to_png(image_grid(images, columns=len(images)), scale)

    slider.observe(show, names="value")
    show()
    return ipywidgets.VBox([slider, image])


def figure_explorer(draw: Callable[[Axes, float], None], low: float, high: float, name: str = "γ") -> VBox:
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
    import ipywidgets

    if not 0 < low < high:
        raise ValueError(f"figure_explorer: expected 0 < low < high, got low={low} and high={high}")
    slider = ipywidgets.FloatLogSlider(
        value=low, base=10, min=math.log10(low), max=math.log10(high), step=0.05, description=name, readout_format=".3g"
    )
    image = ipywidgets.Image(format="png", layout={"align_self": "flex-start"})

    def show(change: Any = None) -> None:
        figure, buffer = Figure(figsize=(6, 3)), io.BytesIO()  # outside pyplot: nothing to close, nothing shown twice
        draw(figure.subplots(), slider.value)
        figure.savefig(buffer, format="png")
        image.value = buffer.getvalue()

    slider.observe(show, names="value")
    show()
    return ipywidgets.VBox([slider, image])

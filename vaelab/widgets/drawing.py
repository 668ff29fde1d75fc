"""How views draw: figures of which a part moves, and strips of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import ipywidgets
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.plots import COLORS, as_bytes, image_grid, pixels_to_png, rgb, to_png

MARK = rgb(COLORS["q"])
Place = Literal["best", "lower right", "upper right"]
LEGIBLE = 0.7  # A figure's letters are read down to this share of its size.
PAD = 3  # So many white pixels stand round each picture of a strip; the mark is drawn there.


class Plot:
    """A matplotlib figure of which only the moving artists are drawn again: a frame costs
    milliseconds.

    Args:
        figure: outside pyplot, with everything on it.
        moving: the artists that will change. They are drawn on top of the rest.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist] = ()) -> None:
        self.figure = figure
        self.moving = list(moving)
        self.canvas = FigureCanvasAgg(figure)
        for artist in self.moving:
            artist.set_animated(True)
        self.refresh()

    def refresh(self) -> None:
        """Draw what stands still again, after a change of limits or labels."""
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def pixels(self) -> np.ndarray:
        """The figure as it is now: bytes (H, W, 3)."""
        self.canvas.restore_region(self.background)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        pixels = np.asarray(self.canvas.buffer_rgba())
        return np.ascontiguousarray(pixels[..., :3])

    def png(self) -> bytes:
        """The figure as it is now, as a PNG file."""
        return pixels_to_png(self.pixels())


def panels(
    size: tuple[float, float],
    ratios: Sequence[float],
    edges: tuple[float, float, float, float],
    gap: float,
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes side by side, in the same place whatever the style.

    Args:
        size: of the figure, in hundreds of pixels.
        ratios: of the axes' widths, one each.
        edges: left, bottom, right and top of the axes, as shares of the figure.
        gap: between two axes, as a share of their mean width.
    """
    figure = Figure(figsize=size, dpi=100, layout="none")  # pyright: ignore[reportArgumentType]
    axes = figure.subplots(1, len(ratios), width_ratios=ratios)
    figure.subplots_adjust(*edges, wspace=gap)
    return figure, list(axes)


def dress(
    ax: Axes,
    title: str = "",
    legend: Place | None = None,
    size: int = 8,
) -> None:
    """The small print of a panel.

    Args:
        ax: the panel.
        title: above it.
        legend: where the legend goes; none unless given.
        size: of the tick labels, in points; the title is one point larger.
    """
    ax.tick_params(labelsize=size)
    ax.set_title(title, fontsize=size + 1)
    if legend is not None:
        ax.legend(fontsize=7, frameon=False, loc=legend)


def pixel_scale(side: int, pixels: int) -> int:
    """How many screen pixels an image pixel gets for a picture of about `pixels`."""
    return max(1, round(pixels / side))


def strip_pixels(images: Tensor, scale: int, columns: int) -> np.ndarray:
    """Images in rows, every pixel `scale` wide, `PAD` white pixels round each: bytes (H, W, 3)."""
    x = images.cpu().numpy().repeat(scale, -2).repeat(scale, -1)
    grid = np.atleast_3d(image_grid(x, columns, pad=2 * PAD))
    grid = np.pad(grid, ((PAD, PAD), (PAD, PAD), (0, 0)), constant_values=1)
    return as_bytes(np.broadcast_to(grid, (*grid.shape[:2], 3)))


class Picture(ipywidgets.Image):
    """A picture, no wider than the page; give it a PNG as its `value`, or images.

    Args:
        name: what it shows, for whoever cannot see it: `alt`, which the view's foot reads.
    """

    def __init__(self, name: str) -> None:
        layout = {"align_self": "flex-start", "min_width": "0", "max_width": "calc(100% - 4px)"}
        super().__init__(format="png", layout=layout)
        self.alt = name

    def show(self, images: Tensor, scale: int, columns: int | None = None) -> None:
        """Show images in a grid, as for `plots.image_grid`, every pixel `scale` wide."""
        self.value = to_png(image_grid(images, columns), scale)


class Drawing(Picture):
    """A figure, dark on white, which a dark page shows light on dark; it shrinks with the page
    while its letters can be read. Give it a box of its own, which scrolls.

    Args:
        name: what it shows.
        width: of the figure, in pixels.
    """

    def __init__(self, name: str, width: float) -> None:
        super().__init__(name)
        self.add_class("vaelab-drawing")
        self.layout.min_width = f"{LEGIBLE * width:.0f}px"


class Strip(Picture):
    """Pictures in rows, of which one column is framed.

    Args:
        name: what they show.
        scale: how many screen pixels an image pixel is wide.
        columns: pictures in a row.
    """

    def __init__(self, name: str, scale: int, columns: int) -> None:
        super().__init__(name)
        self.scale = scale
        self.columns = columns

    def lay(self, images: Tensor) -> None:
        """Take images, row after row, shape (n, c, h, w) or (n, h, w); `frame` sends them."""
        self._pixels = strip_pixels(images, self.scale, self.columns)
        self._framed = -1

    def frame(self, column: int) -> None:
        """Send the pictures with a frame round one column, unless that was sent last."""
        if column == self._framed:
            return
        self._framed = column
        pixels = self._pixels.copy()
        place = np.split(pixels, self.columns, axis=1)[column]
        place[:PAD] = MARK
        place[-PAD:] = MARK
        place[:, :PAD] = MARK
        place[:, -PAD:] = MARK
        self.value = pixels_to_png(pixels)

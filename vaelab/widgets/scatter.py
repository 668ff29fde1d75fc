"""Scatter plots that can be redrawn at every event: matplotlib draws the axes once, numpy the
points each time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaelab.plots import pixels_to_png, rgb
from vaelab.widgets.drawing import Plot, panels

# Petroff (2021), arXiv:2107.02270, ten colours: distinguishable with every common colour vision.
CLASSES = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
DIM = "#e2e2e2"
GREYS = 200  # The axes have so many shades; the palette's other entries are the points' colours.
PALETTE = np.zeros((256, 3), np.uint8)
PALETTE[:GREYS] = np.round(np.linspace(0, 255, GREYS))[:, None]
PALETTE[GREYS : GREYS + len(CLASSES) + 1] = [rgb(color) for color in (*CLASSES, DIM)]
DISC = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dx * dx + dy * dy <= 5]


class Scatter:
    """Panels side by side with the same limits, and points on them.

    Args:
        n: how many panels.
        side: screen pixels of a panel's height and width, about.
    """

    def __init__(self, n: int, side: int = 220) -> None:
        height = side + 30
        edges = (0.19 / n, 36 / height, 1 - 0.03 / n, 1 - 20 / height)
        size = (n * side / 100, height / 100)
        figure, self.axes = panels(size, [1] * n, edges, gap=0.2)
        self._plot = Plot(figure)

    def set_axes(
        self, titles: Sequence[str], names: Sequence[str], limits: Sequence[tuple[float, float]]
    ) -> None:
        """Draw the axes again: a title a panel, and the names and the limits of x and y."""
        for ax, title in zip(self.axes, titles, strict=True):
            ax.set(xlim=limits[0], ylim=limits[1])
            ax.tick_params(labelsize=8, pad=2)
            ax.set_title(title, fontsize=9, pad=4)
            ax.set_xlabel(names[0], fontsize=9, labelpad=1)
        self.axes[0].set_ylabel(names[1], fontsize=9, labelpad=0)
        self._plot.refresh()
        grey = self._plot.pixels().astype(float).mean(-1)
        self._frame = np.round(grey / 255 * (GREYS - 1)).astype(np.uint8)

    def pixels(self, panel: int, points: np.ndarray) -> np.ndarray:
        """Where points (n, 2) of a panel are in the picture, x to the right and y downwards; (n,
        2).
        """
        x, up = self.axes[panel].transData.transform(points).T
        y = len(self._frame) - up
        return np.stack([x, y], 1)

    def locate(self, x: float, y: float) -> tuple[int, float, float] | None:
        """The panel at a pixel and the point of its plane, or None beside the panels."""
        pixel = (x, len(self._frame) - y)
        for panel, ax in enumerate(self.axes):
            if ax.bbox.contains(*pixel):
                x, y = ax.transData.inverted().transform(pixel).tolist()
                return panel, x, y
        return None

    def png(self, points: Sequence[np.ndarray], classes: Sequence[np.ndarray]) -> bytes:
        """The picture with points (n, 2) on each panel, in the colours of `CLASSES` by number; −1
        is dim, drawn below.

        Points outside the limits are left out.
        """
        picture = self._frame.copy()
        height = len(picture)
        for panel, numbers in enumerate(classes):
            pixels = self.pixels(panel, points[panel])
            at = np.round(pixels).astype(int)
            frame = self.axes[panel].bbox
            low = (frame.x0 + 3, height - frame.y1 + 3)
            high = (frame.x1 - 3, height - frame.y0 - 3)
            inside = np.all((at > low) & (at < high), axis=1)
            order = np.argsort(numbers >= 0, kind="stable")  # The dim ones come first.
            order = order[inside[order]]
            x, y = at[order].T
            kinds = numbers[order]
            color = np.where(kinds < 0, len(CLASSES), kinds % len(CLASSES))
            for dy, dx in DISC:
                picture[y + dy, x + dx] = GREYS + color
        return pixels_to_png(picture, PALETTE)

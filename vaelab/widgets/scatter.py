"""Scatter plots that can be redrawn at every event: matplotlib draws the axes once, numpy the
points each time.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PILImage

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
GREYS = 200  # shades of the axes; the palette's other entries are the points' colours
DISC = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if dx * dx + dy * dy <= 5]


def rgb(color: str) -> tuple[int, int, int]:
    """The three bytes of "#rrggbb"."""
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


class Scatter:
    """Panels side by side with the same limits, and points on them.

    Args:
        titles: one a panel.
        side: screen pixels of a panel's height and width, about.
    """

    def __init__(self, titles: Sequence[str], side: int = 220) -> None:
        n, dpi = len(titles), 100
        self.figure = Figure(
            figsize=(n * side / dpi, (side + 30) / dpi), dpi=dpi, layout="none"
        )  # whatever the style
        self.canvas = FigureCanvasAgg(self.figure)
        self.axes = self.figure.subplots(1, n, squeeze=False)[0]
        low, high = 36 / (side + 30), 1 - 20 / (side + 30)
        self.figure.subplots_adjust(
            left=0.19 / n, right=1 - 0.03 / n, bottom=low, top=high, wspace=0.2
        )
        for ax in self.axes:
            ax.tick_params(labelsize=8, pad=2)
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[:GREYS] = np.round(np.linspace(0, 255, GREYS))[:, None]
        for i, color in enumerate((*CLASSES, DIM)):
            self._palette[GREYS + i] = rgb(color)
        self.set_axes(titles, (-3, 3), (-3, 3), "", "")

    def set_axes(
        self,
        titles: Sequence[str],
        x: tuple[float, float],
        y: tuple[float, float],
        x_name: str,
        y_name: str,
    ) -> None:
        """Draw the axes again, with new titles, shared limits and labels."""
        for ax, title in zip(self.axes, titles, strict=True):
            ax.set(xlim=x, ylim=y)
            ax.set_title(title, fontsize=9, pad=4)
            ax.set_xlabel(x_name, fontsize=9, labelpad=1)
        self.axes[0].set_ylabel(y_name, fontsize=9, labelpad=0)
        self.canvas.draw()
        grey = np.asarray(self.canvas.buffer_rgba())[..., :3].astype(float).mean(-1)
        self._frame = np.round(grey / 255 * (GREYS - 1)).astype(np.uint8)

    def pixels(self, panel: int, points: np.ndarray) -> np.ndarray:
        """Where points (n, 2) of a panel are in the picture, x to the right and y downwards; (n,
        2).
        """
        out = self.axes[panel].transData.transform(points)
        return np.stack([out[:, 0], len(self._frame) - out[:, 1]], 1)

    def locate(self, x: float, y: float) -> tuple[int, float, float] | None:
        """The panel at a pixel and the point of its plane, or None beside the panels."""
        up = len(self._frame) - y
        for number, ax in enumerate(self.axes):
            if ax.bbox.contains(x, up):
                return (number, *ax.transData.inverted().transform((x, up)).tolist())
        return None

    def png(self, points: Sequence[np.ndarray], colors: Sequence[np.ndarray]) -> bytes:
        """The picture with points (n, 2) on each panel, in the colours of `CLASSES` by number; −1
        is dim, drawn below.

        Points outside the limits are left out.
        """
        out = self._frame.copy()
        for panel, (where, which) in enumerate(zip(points, colors, strict=True)):
            ax = self.axes[panel].bbox
            at = np.round(self.pixels(panel, where)).astype(int)
            height = len(out)
            low, high = (ax.x0 + 3, height - ax.y1 + 3), (ax.x1 - 3, height - ax.y0 - 3)
            order = np.argsort(which >= 0, kind="stable")  # the dim ones first
            order = order[((at > low) & (at < high)).all(1)[order]]
            x, y = at[order].T
            color = GREYS + np.where(which < 0, len(CLASSES), which % len(CLASSES))[order].astype(
                np.uint8
            )
            for dy, dx in DISC:
                out[y + dy, x + dx] = color
        image = PILImage.fromarray(out)
        image.putpalette(self._palette.tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

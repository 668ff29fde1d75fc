"""q(z), what stands in for it, and N(0, I), side by side for several models:
`PosteriorComparison`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ipywidgets import HTML, Label, VBox
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import metrics
from vaelab._door import door
from vaelab._inputs import check_images, generator_of
from vaelab.densities import draw
from vaelab.plots import COLORS, spectra
from vaelab.widgets._view import View
from vaelab.widgets.controls import (
    STEP,
    beside,
    captioned,
    dropdown,
    range_slider,
    set_range,
    slider,
    stepped,
    words,
)
from vaelab.widgets.drawing import LEGIBLE, Drawing, Picture, Plot, dress, pixel_scale
from vaelab.widgets.pointer import Pointer
from vaelab.widgets.scatter import CLASSES, Scatter
from vaelab.widgets.spaces import PRIOR, Subject, subjects, subscript

# So many principal components are offered as axes, beside the latent dimensions.
N_COMPONENTS = 4


class PosteriorRow(View):
    """One model of a `PosteriorComparison`: its three panels, spectra, distances and cursor.

    The panels show draws from q(z), from the density chosen, and from N(0, I). A point of the last
    two is coloured, and dimmed, as the image whose code in q(z) is nearest to it, in all κ
    dimensions.

    Attributes:
        density, x, y: `Dropdown`s: what stands in for q(z); the plane, latent dimensions by λ or
            principal components.
        canvas: the panels, a `Pointer`: moving over it moves the cursor, dragging sets the brush.
        cursor_x, cursor_y: `FloatSlider`s, the cursor. The other coordinates of its code are those
            of the mean code.
        range_x, range_y: `FloatRangeSlider`s, the brush; over their whole length they hold every
            point.
        decoded, nearest: pictures of the code at the cursor, and of the point next to it (its
            image, or its draw decoded).
        figures, spectra: distances in an HTML table; singular values of the codes, a picture.
        distances: from name to (MMD², sliced Wasserstein): "density", "N(0, I)", "same" (two draws
            of the density).
        points: the panels' points in the plane, three arrays (n, 2).
        code: the code at the cursor, shape (κ,).
        n_codes: how many codes each panel shows and each distance is computed of.
    """

    def __init__(
        self,
        name: str,
        parts: Subject,
        rows: Tensor,
        classes: np.ndarray,
        seed: int,
    ) -> None:
        super().__init__()
        self.name = name
        self.subject = parts
        self.n_codes = len(rows)
        self._rows = rows
        self._classes = classes
        self._seed = seed
        self._space = parts.spaces["z"]
        self._q = draw(self._space.q, seed)[rows]
        self._mean = self._space.q.mean.mean(0)
        self._normal = parts.densities[PRIOR].sample(self.n_codes, seed + 1).to(self._q)
        self._axes = self._all_axes()
        self._scatter = Scatter(3)
        self._bright = np.ones(self.n_codes, bool)
        self._panel = 0  # This is the panel under the mouse.
        self._build()
        self._choose_density()
        self._listen(self._choose_density, self.density)
        self._listen(self._choose_plane, self.x, self.y)
        self._listen(self._show_cursor, self.cursor_x, self.cursor_y)
        self._listen(self._point, self.canvas, name="pointer")
        self._listen(self._brush, self.canvas, name="box")

    def _all_axes(self) -> dict[str, Tensor]:
        """Directions (κ,) by name: the latent dimensions, smallest λ first, then the first
        principal components.
        """
        values, order = self._space.mean_variances().sort()
        eye = torch.eye(len(order)).to(self._q)
        axes = {}
        for value, j in zip(values, order.tolist(), strict=True):
            axes[f"{subscript('z', j)}  λ = {value:.2g}"] = eye[j]
        centred = self._q - self._q.mean(0)
        components = torch.linalg.svd(centred, full_matrices=False).Vh
        for k, axis in enumerate(components[:N_COMPONENTS], 1):
            axes[f"component {k}"] = axis
        return axes

    def _build(self) -> None:
        names = list(self._axes)
        densities = list(self.subject.densities)
        self.density = dropdown("density", densities, densities[:2][-1])
        self.x = dropdown("x", names, width="170px")
        self.y = dropdown("y", names, names[:2][-1], width="170px")
        self.canvas = Pointer(description=f"{self.name}: draws from q(z), the density and N(0, I)")
        self.canvas.layout.min_width = f"{LEGIBLE * 660:.0f}px"
        wide = ("330px", "60px")
        cursors = [slider(f"cursor {n}", 0.0, -3.0, 3.0, STEP, *wide) for n in "xy"]
        brushes = [range_slider(f"brush {n}", (-3, 3), 3, *wide, 1) for n in "xy"]
        self.cursor_x, self.cursor_y = self._cursors = cursors
        self.range_x, self.range_y = self._brushes = brushes
        self.decoded = Picture("the code at the cursor, decoded")
        self.nearest = Picture("the point nearest to the cursor")
        self.spectra = Drawing("singular values of the codes", 380)
        self.figures = words()
        self._shares = Label()
        title = HTML(f"<b>{html.escape(self.name)}</b>")
        pictures = [captioned(self.decoded, "cursor"), captioned(self.nearest, "nearest point")]
        panels = [beside(self.canvas), self._shares, beside(*cursors), beside(*brushes)]
        self.children = (
            beside(title, self.density, self.x, self.y),
            beside(VBox(panels), VBox(pictures)),
            beside(self.figures, beside(self.spectra)),
        )

    @property
    def _titles(self) -> tuple[str, ...]:
        return ("q(z)", self.density.value, PRIOR)

    # ---- the density and the plane ---------------------------------------------------------------

    def _choose_density(self) -> None:
        density = self.subject.densities[self.density.value]
        self._drawn = density.sample(self.n_codes, self._seed + 2).to(self._q)
        again = density.sample(self.n_codes, self._seed + 3).to(self._q)
        self._codes = (self._q, self._drawn, self._normal)
        self._nearest = [torch.cdist(codes, self._q).argmin(1).numpy() for codes in self._codes[1:]]
        self.distances = {}
        lines = [f"<tr><th>{self.n_codes} codes each</th><th>MMD²</th><th>sliced W₂</th></tr>"]
        pairs = (
            ("density", f"q(z), {self.density.value}", self._q, self._drawn),
            (PRIOR, f"q(z), {PRIOR}", self._q, self._normal),
            ("same", "two draws of the density", self._drawn, again),
        )
        for kind, caption, a, b in pairs:
            mmd2 = metrics.mmd2(a, b)
            sliced = metrics.sliced_wasserstein(a, b, seed=self._seed)
            self.distances[kind] = (mmd2, sliced)
            lines.append(
                f"<tr><td>{html.escape(caption)}</td><td>{mmd2:.2e}</td><td>{sliced:.3f}</td></tr>"
            )
        self.figures.value = f'<table style="border-spacing: 12px 0">{"".join(lines)}</table>'
        self._draw_spectra()
        self._choose_plane()

    def _draw_spectra(self) -> None:
        figure = Figure(figsize=(3.8, 1.5), dpi=100, layout="constrained")
        ax = figure.subplots()
        name = self.density.value
        codes = {"q(z)": self._q, name: self._drawn}
        values = {key: metrics.singular_values(z) for key, z in codes.items()}
        spectra(ax, values, {"q(z)": COLORS["q"], name: COLORS["second"]})
        for line in ax.lines:
            line.set_linewidth(1)
        ax.set(
            xlabel="",
            ylabel="",
            ylim=(0, 1.1 * ax.get_ylim()[1]),
        )
        dress(ax, "singular values of the codes / √n", "best", 7)
        ax.locator_params("x", integer=True)
        self.spectra.value = Plot(figure).png()

    def _choose_plane(self) -> None:
        names = [self.x.value, self.y.value]
        self._plane = torch.stack([self._axes[name] for name in names], 1)
        self.points = tuple((codes @ self._plane).double().numpy() for codes in self._codes)
        every = np.concatenate(self.points)
        low = np.floor(2 * every.min(0)) / 2
        high = np.ceil(2 * every.max(0)) / 2
        limits = list(zip(low.tolist(), high.tolist(), strict=True))
        short = [name.split("  ")[0] for name in names]
        self._scatter.set_axes(self._titles, short, limits)
        middle = (self._mean @ self._plane).tolist()
        with self.one_frame():
            for i, ends in enumerate(limits):
                set_range(self._brushes[i], *ends, ends)
                set_range(self._cursors[i], *ends, middle[i])
            self.redraw()
        self._show_cursor()

    # ---- the brush -------------------------------------------------------------------------------

    def inside(self) -> np.ndarray:
        """Which images' codes lie in this row's brush; bool, one for each code shown."""
        low, high = np.transpose([each.value for each in self._brushes])
        codes = self.points[0]
        return ((codes >= low) & (codes <= high)).all(1)

    def highlight(self, bright: np.ndarray) -> None:
        """Dim the codes that are not bright, in every panel; bool, one for each code shown."""
        self._bright = bright
        self.redraw()

    def _draw(self) -> None:
        classes = np.where(self._bright, self._classes, -1)
        self.colors = (classes, *(classes[nearest] for nearest in self._nearest))
        self.canvas.value = self._scatter.png(self.points, self.colors)
        shares = [
            f"{100 * np.mean(colors >= 0):.0f} % of {title}"
            for colors, title in zip(self.colors, self._titles, strict=True)
        ]
        self._shares.value = f"bright: {', '.join(shares)}"

    def _brush(self) -> None:
        """Brush what lies in the rectangle dragged, or everything."""
        ranges = [(each.min, each.max) for each in self._brushes]
        if self.canvas.box:
            x0, y0, x1, y1 = self.canvas.box
            start = self._scatter.locate(x0, y0)
            end = self._scatter.locate(x1, y1)
            if start is None or end is None or start[0] != end[0]:
                return  # It began or ended beside a panel.
            ranges = np.sort([start[1:], end[1:]], axis=0).T.tolist()
        self.range_x.value, self.range_y.value = ranges

    # ---- the cursor ------------------------------------------------------------------------------

    def _point(self) -> None:
        pointer = self.canvas.pointer
        place = self._scatter.locate(*pointer) if pointer else None
        if place is None:
            return  # The pointer is beside the panels.
        self._panel, x, y = place
        for each, value in zip(self._cursors, (x, y), strict=True):
            each.value = stepped(each, value)
        self._show_cursor()

    @property
    def code(self) -> Tensor:
        """The code at the cursor: the mean code, moved within the plane to the cursor's
        coordinates; shape (κ,).
        """
        at = torch.tensor([each.value for each in self._cursors]).to(self._mean)
        pinv = torch.linalg.pinv(self._plane.T)  # It takes one axis twice, too.
        way = at - self._mean @ self._plane
        return self._mean + pinv @ way

    def _show_cursor(self) -> None:
        at = np.array([[each.value for each in self._cursors]])
        scale = pixel_scale(self.subject.x.shape[-2], 112)
        self.decoded.show(self._space.images(self.code[None]), scale)
        marks = [self._scatter.pixels(panel, at)[0] for panel in range(3)]
        self.canvas.marks = [mark.tolist() for mark in marks]
        panel = self._panel
        away = self.points[panel] - at
        nearest = int(np.square(away).sum(1).argmin())
        self.closest = (panel, nearest)
        if panel == 0:
            image = self.subject.x[self._rows[nearest]][None]
        else:
            image = self._space.images(self._codes[panel][nearest][None])
        self.nearest.show(image, scale)


class PosteriorComparison(View):
    """For each model its q(z), a density fitted to it and N(0, I), side by side and brushed
    together.

    A brush (dragged in a panel, or set with its sliders) and the class picker choose images; the
    others are dimmed in every panel of every model.

    Source: Dai & Wipf (2019), Section 4 and Fig. 2: q(z) is far from N(0, I) where the second
    stage's codes are near.

    Args:
        entries: from a name to a model or (model, density), density a fitted density of
            `vaelab.densities` or a dict of them by name; None takes N(0, I) alone, and what an
            estimator brings along.
        images: (n, c, h, w) or (n, h, w), values in [0, 1], the same for all models.
        labels: the class of each image: n numbers or words.
        n_codes: how many images are shown, at most; chosen at random.
        seed: of the codes, the draws and that choice.

    Attributes:
        rows: from each name to its `PosteriorRow`.
        classes: `Dropdown`: "all classes" or one class.
        bright: which of the images shown are chosen; bool.

    Raises:
        TypeError, ValueError: parts that do not fit together; see `spaces.subject`.
    """

    @door
    def __init__(
        self,
        entries: Mapping[str, Any],
        images: Any,
        labels: Any = None,
        *,
        n_codes: int = 1000,
        seed: int = 0,
    ) -> None:
        images = check_images(images, minimum=2)
        parts = subjects(entries, images, labels=labels)
        super().__init__()
        order = torch.randperm(len(images), generator=generator_of(seed))
        rows = order[:n_codes].sort().values
        known = []
        numbers = np.zeros(len(images), int)
        labels = next(iter(parts.values())).labels
        if labels is not None:
            known, numbers = np.unique(labels, return_inverse=True)
        self._classes = numbers[rows.numpy()]
        self.classes = dropdown("class", ["all classes", *map(str, known)])
        self.legend = HTML("".join(_swatch(i, str(name)) for i, name in enumerate(known)))
        tops = beside(self.classes, self.legend)
        tops.layout.display = "" if len(known) else "none"
        self.rows = {
            name: PosteriorRow(name, each, rows, self._classes, seed)
            for name, each in parts.items()
        }
        self.children = (tops, *self.rows.values())
        for row in self.rows.values():
            self._listen(self.redraw, row.range_x, row.range_y)
        self._listen(self.redraw, self.classes)
        self.redraw()

    def _draw(self) -> None:
        self.bright = np.all([row.inside() for row in self.rows.values()], 0)
        if self.classes.index:
            self.bright &= self._classes == self.classes.index - 1
        for row in self.rows.values():
            row.highlight(self.bright)


def _swatch(number: int, name: str) -> str:
    """A dot in the colour of a class, and its name."""
    color = CLASSES[number % len(CLASSES)]
    dot = f'<span class="vaelab-dot" style="color: {color}; font-size: 150%">●</span>'
    return f'<span style="white-space: nowrap">{dot} {html.escape(name)}</span> &nbsp;'

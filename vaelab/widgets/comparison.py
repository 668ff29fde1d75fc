"""q(z), what stands in for it, and N(0, I), side by side for several models:
`PosteriorComparison`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import metrics
from vaelab._inputs import check_images, check_positive_int, check_seed
from vaelab.densities import draw
from vaelab.plots import COLORS, image_grid, to_png
from vaelab.widgets._view import Plot, View, captioned, dropdown, picture, slider
from vaelab.widgets.latent import pixel_scale, subscript
from vaelab.widgets.pointer import Pointer
from vaelab.widgets.scatter import CLASSES, Scatter
from vaelab.widgets.spaces import PRIOR, Subject, subject

N_COMPONENTS = 4  # principal components offered as axes, beside the latent dimensions


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
        self, name: str, made: Subject, rows: Tensor, classes: np.ndarray, seed: int
    ) -> None:
        super().__init__()
        self.subject, self.name, self._seed, self._rows, self._classes = (
            made,
            name,
            seed,
            rows,
            classes,
        )
        space = made.spaces["z"]
        self.n_codes = len(rows)
        self._q = draw(space.q, seed)[rows]
        self._mean = space.q.mean.mean(0)
        self._normal = made.densities[PRIOR].sample(self.n_codes, seed + 1).to(self._q)
        self._axes = self._all_axes()
        self._scatter = Scatter(["q(z)", "", PRIOR])
        self._bright = np.ones(len(rows), bool)
        self._build()
        for each in (self.density, self.x, self.y):
            self._listen(each, self._chosen)
        for each in (self.cursor_x, self.cursor_y):
            self._listen(each, self._cursor_moved)
        (
            self._listen(self.canvas, self._pointed, "pointer"),
            self._listen(self.canvas, self._boxed, "box"),
        )
        self._panel, self._quiet = 0, False
        self._chosen()

    def _all_axes(self) -> dict[str, Tensor]:
        """Directions (κ,) by name: the latent dimensions, smallest λ first, then the first
        principal components.
        """
        values, order = self.subject.spaces["z"].mean_variances().sort()
        eye = torch.eye(len(order)).to(self._q)
        named = [
            (f"{subscript('z', j)}  λ = {values[k]:.2g}", eye[j])
            for k, j in enumerate(order.tolist())
        ]
        components = torch.linalg.svd(self._q - self._q.mean(0), full_matrices=False).Vh[
            :N_COMPONENTS
        ]
        return dict(named) | {f"component {k + 1}": v for k, v in enumerate(components)}

    def _build(self) -> None:
        names = list(self._axes)
        densities = list(self.subject.densities)
        self.density = dropdown("density", densities)
        self.density.value = densities[min(1, len(densities) - 1)]
        self.x, self.y = dropdown("x", names, "170px"), dropdown("y", names, "170px")
        self.y.value = names[1] if len(names) > 1 else names[0]
        self.canvas = Pointer(description=f"{self.name}: draws from q(z), the density and N(0, I)")
        self.cursor_x, self.cursor_y = (slider(f"cursor {n}", 0.0, -3.0, 3.0) for n in "xy")
        self.range_x, self.range_y = (
            ipywidgets.FloatRangeSlider(
                value=(-3, 3),
                min=-3,
                max=3,
                step=0.05,
                description=f"brush {n}",
                readout_format=".1f",
                style={"description_width": "60px"},
                layout={"width": "330px"},
            )
            for n in "xy"
        )
        for each in (self.cursor_x, self.cursor_y):
            each.layout.width, each.style.description_width = "330px", "60px"
        self.decoded, self.nearest, self.spectra = picture(), picture(), picture()
        self.figures, self._said = ipywidgets.HTML(), ipywidgets.Label()
        title = ipywidgets.HTML(f'<b style="white-space: nowrap">{html.escape(self.name)}</b>')
        tops = ipywidgets.HBox([title, self.density, self.x, self.y])
        pictures = ipywidgets.VBox(
            [captioned(self.decoded, "cursor"), captioned(self.nearest, "nearest point")]
        )
        pairs = ((self.cursor_x, self.cursor_y), (self.range_x, self.range_y))
        sliders = [ipywidgets.HBox(pair) for pair in pairs]
        panels = ipywidgets.VBox([self.canvas, self._said, *sliders])
        self.children = (
            tops,
            ipywidgets.HBox([panels, pictures]),
            ipywidgets.HBox([self.figures, self.spectra]),
        )

    # ---- the plane and the density
    # ----------------------------------------------------------------------------------

    def _chosen(self, change: Any = None) -> None:
        """Another density or another plane: everything is computed again."""
        self._plane = plane = torch.stack([self._axes[self.x.value], self._axes[self.y.value]], 1)
        if change is None or change.owner is self.density:
            self._draw_density()
        self._codes = (self._q, self._drawn, self._normal)
        self.points = tuple((codes @ plane).double().numpy() for codes in self._codes)
        low, high = (
            np.min([p.min(0) for p in self.points], 0),
            np.max([p.max(0) for p in self.points], 0),
        )
        low, high = np.floor(low * 2) / 2, np.ceil(high * 2) / 2
        names = [self.x.value.split("  ")[0], self.y.value.split("  ")[0]]
        limits = list(zip(low.tolist(), high.tolist(), strict=True))
        self._scatter.set_axes(["q(z)", self.density.value, PRIOR], *limits, *names)
        with self.one_frame():
            for each, (a, b) in zip((self.range_x, self.range_y), limits, strict=True):
                each.min, each.max = min(a, each.min), max(b, each.max)
                each.value = (a, b)
                each.min, each.max = a, b
            for each, (a, b), at in zip(
                (self.cursor_x, self.cursor_y), limits, self._mean @ plane, strict=True
            ):
                each.min, each.max = min(a, each.min), max(b, each.max)
                each.value = at.item()
                each.min, each.max = a, b
            self.redraw()
        self._show_cursor()

    def _draw_density(self) -> None:
        chosen = self.subject.densities[self.density.value]
        self._drawn = chosen.sample(self.n_codes, self._seed + 2).to(self._q)
        again = chosen.sample(self.n_codes, self._seed + 3).to(self._q)
        pairs = {
            "density": (self._q, self._drawn),
            PRIOR: (self._q, self._normal),
            "same": (self._drawn, again),
        }
        self.distances = {
            k: (metrics.mmd2(*v), metrics.sliced_wasserstein(*v, seed=self._seed))
            for k, v in pairs.items()
        }
        said = {
            "density": f"q(z), {self.density.value}",
            PRIOR: f"q(z), {PRIOR}",
            "same": "two draws of the density",
        }
        cells = "".join(
            f"<tr><td>{html.escape(said[k])}</td><td>{m:.2e}</td><td>{s:.3f}</td></tr>"
            for k, (m, s) in self.distances.items()
        )
        head = f"<tr><th>{self.n_codes} codes each</th><th>MMD²</th><th>sliced W₂</th></tr>"
        self.figures.value = f'<table style="border-spacing: 12px 0">{head}{cells}</table>'
        self._nearest = [
            torch.cdist(codes, self._q).argmin(1).numpy() for codes in (self._drawn, self._normal)
        ]
        self._draw_spectra()

    def _draw_spectra(self) -> None:
        figure = Figure(figsize=(3.8, 1.5), dpi=100, layout="constrained")
        ax = figure.subplots()
        for codes, color, name in (
            (self._q, "q", "q(z)"),
            (self._drawn, "second", self.density.value),
        ):
            s = metrics.singular_values(codes)
            ax.plot(np.arange(1, len(s) + 1), s, ".-", color=COLORS[color], label=name, linewidth=1)
        ax.axhline(1, color=COLORS["prior"], linestyle="--", linewidth=1, label=PRIOR)
        ax.set_ylim(0, 1.1 * ax.get_ylim()[1])
        ax.set_title("singular values of the codes / √n", fontsize=8)
        ax.tick_params(labelsize=7)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(fontsize=7, frameon=False)
        self.spectra.value = Plot(figure).png()

    # ---- the brush -------------------------------------------------------------------------------
    # -------------------

    def inside(self) -> np.ndarray:
        """Which images' codes lie in this row's brush; bool, one for each code shown."""
        out = np.ones(self.n_codes, bool)
        for k, each in enumerate((self.range_x, self.range_y)):
            low, high = each.value
            out &= (self.points[0][:, k] >= low) & (self.points[0][:, k] <= high)
        return out

    def highlight(self, bright: np.ndarray) -> None:
        """Dim the codes that are not bright, in every panel; bool, one for each code shown."""
        self._bright = bright
        self.redraw()

    def _draw(self) -> None:
        own = np.where(self._bright, self._classes, -1)
        self.colors = (own, *(own[nearest] for nearest in self._nearest))
        self.canvas.value = self._scatter.png(self.points, self.colors)
        shares = [100 * np.mean(c >= 0) for c in self.colors]
        names = ("q(z)", self.density.value, PRIOR)
        self._said.value = "bright: " + ", ".join(
            f"{s:.0f} % of {n}" for s, n in zip(shares, names, strict=True)
        )

    def _boxed(self, change: Any) -> None:
        full = [(each.min, each.max) for each in (self.range_x, self.range_y)]
        if len(change.new) == 4:
            x0, y0, x1, y1 = change.new
            ends = [self._scatter.locate(x0, y0), self._scatter.locate(x1, y1)]
            if None in ends or ends[0][0] != ends[1][0]:
                return  # begun or ended beside a panel
            full = [tuple(sorted(pair)) for pair in zip(ends[0][1:], ends[1][1:], strict=True)]
        self.range_x.value, self.range_y.value = full

    # ---- the cursor ------------------------------------------------------------------------------
    # -------------------

    def _pointed(self, change: Any) -> None:
        found = self._scatter.locate(*change.new) if len(change.new) == 2 else None
        if found is None:
            return
        self._panel, at = found[0], found[1:]
        self._quiet = True
        self.cursor_x.value, self.cursor_y.value = at
        self._quiet = False
        self._show_cursor()

    def _cursor_moved(self, change: Any) -> None:
        if not self._quiet:
            self._show_cursor()

    @property
    def code(self) -> Tensor:
        """The code at the cursor: the mean code, moved within the plane to the cursor's
        coordinates; shape (κ,).
        """
        at = torch.tensor([self.cursor_x.value, self.cursor_y.value]).to(self._mean)
        return self._mean + torch.linalg.pinv(self._plane.T) @ (
            at - self._mean @ self._plane
        )  # one axis twice, too

    def _show_cursor(self) -> None:
        at = np.array([[self.cursor_x.value, self.cursor_y.value]])
        decode = self.subject.spaces["z"].images
        scale = pixel_scale(self.subject.x.shape[-2], 112)
        self.decoded.value = to_png(image_grid(decode(self.code[None])), scale)
        self.canvas.marks = [self._scatter.pixels(panel, at)[0].tolist() for panel in range(3)]
        closest = int(np.square(self.points[self._panel] - at).sum(1).argmin())
        self.closest = (self._panel, closest)
        if self._panel == 0:
            image = self.subject.x[self._rows[closest]][None]
        else:
            image = decode(self._codes[self._panel][closest : closest + 1])
        self.nearest.value = to_png(image_grid(image), scale)


class PosteriorComparison(View):
    """For each model its q(z), a density fitted to it and N(0, I), side by side and brushed
    together.

    A brush (dragged in a panel, or set with its sliders) and the class picker choose images; the
    others are dimmed in every panel of every model.

    Source: Dai & Wipf (2019), Section 4 and Fig. 2: q(z) is far from N(0, I) where the second
    stage's codes are near.

    Args:
        entries: from a name to (model, density), density a fitted density of `vaelab.densities` or
            a dict of them by name; None takes N(0, I) alone, and what an estimator brings along.
        images: (n, c, h, w) or (n, h, w), values in [0, 1], the same for all models.
        labels: the class of each image.
        n_codes: how many images are shown, at most; chosen at random.
        seed: of the codes, the draws and that choice.

    Attributes:
        rows: from each name to its `PosteriorRow`.
        classes: `Dropdown`: "all classes" or one class.
        bright: which of the images shown are chosen; bool.

    Raises:
        TypeError, ValueError: parts that do not fit together; see `spaces.subject`.
    """

    def __init__(
        self,
        entries: Mapping[str, tuple[Any, Any]],
        images: Any,
        labels: Any = None,
        *,
        n_codes: int = 1000,
        seed: int = 0,
    ) -> None:
        check_positive_int("n_codes", n_codes), check_seed(seed)
        if not isinstance(entries, Mapping) or not entries:
            raise ValueError(
                'entries: expected a dict such as {"VAE": (model, density)} with at least one model'
            )
        for name, entry in entries.items():
            if not isinstance(entry, tuple) or len(entry) != 2:
                raise ValueError(
                    f"entries[{name!r}]: expected (model, density), got {type(entry).__name__}"
                )
        images = check_images(images, minimum=2)
        made = {
            name: subject(model, images, density, labels)
            for name, (model, density) in entries.items()
        }
        super().__init__()
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        rows = order[:n_codes].sort().values
        self._labels = next(iter(made.values())).labels
        known, numbers = [], torch.zeros(len(images), dtype=torch.long)
        if self._labels is not None:
            known, numbers = self._labels.unique(return_inverse=True)
        self._classes, self._known = numbers[rows].numpy(), [each.item() for each in known]
        self.classes = dropdown("class", ["all classes", *map(str, self._known)])
        self.rows = {
            name: PosteriorRow(name, each, rows, self._classes, seed) for name, each in made.items()
        }
        for row in self.rows.values():
            self._listen(row.range_x, self.redraw), self._listen(row.range_y, self.redraw)
        swatches = "".join(
            (
                f'<span style="color:{CLASSES[i % len(CLASSES)]}; font-size: 150%">●</span> '
                f"{html.escape(str(name))} &nbsp;"
            )
            for i, name in enumerate(self._known)
        )
        self.legend = ipywidgets.HTML(swatches)
        tops = ipywidgets.HBox(
            [self.classes, self.legend], layout={"display": "" if self._known else "none"}
        )
        self.children = (tops, *self.rows.values())
        self._listen(self.classes, self.redraw)
        self.redraw()

    def _draw(self) -> None:
        bright = np.all([row.inside() for row in self.rows.values()], 0)
        if self.classes.index:
            bright &= self._classes == self.classes.index - 1
        self.bright = bright
        for row in self.rows.values():
            row.highlight(bright)

"""The optima of Theorems 1 and 2 under a slider for t = 1/γ: nothing here is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ipywidgets import IntSlider
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from vaelab import manifolds, theory
from vaelab._door import door
from vaelab._inputs import check_choice
from vaelab.plots import COLORS
from vaelab.widgets._view import View
from vaelab.widgets.controls import (
    beside,
    dropdown,
    log_slider,
    range_slider,
    slider,
    words,
)
from vaelab.widgets.drawing import Drawing, Plot, dress, panels

LINE = ("skewed", "bimodal", "valley", "narrow", "half_line", "gaussian", "student_t")
PLANE = ("arc", "sine_curve")
MAX_LATENT_DIM = 6
HERMITE_NODES = 60
T_SHOWN = np.geomspace(1, 1e4, 30)  # The cost's limit is drawn at these 1/γ.
# Below it exp is taken as e^-80: numbers too small for a normal float cost a hundred times as much.
FAR = -80.0
TINY = 1e-9  # It is the lowest KL on the axis.


def _even(low: float, high: float, n: int) -> Tensor:
    """n numbers from low to high, float64."""
    return torch.linspace(low, high, n, dtype=torch.float64)


def _shares(scores: Tensor) -> Tensor:
    """Weights of evenly spaced normal scores, which sum to 1."""
    return torch.softmax(-0.5 * scores.square(), 0)


SCORES = _even(-1.5, 1.5, 9)  # The KL is shown at the points x with these normal scores.


class _TheoremView(View):
    """What both views share: t, κ, the density, and the panels of KL and eigenvalues.

    Masses are sums over `mass_nodes` nodes: enough while √γ is above some 18 / mass_nodes times the
    map's slope.

    The KL of κ codes is that of r codes to rounding (claim D5), and is computed with r.
    """

    mass_nodes = 2**13
    t_max = 1e4
    width = 960  # Of the figure, in pixels.
    _plot: Plot
    densities: Sequence[str] = ("bimodal", "skewed", "narrow", "gaussian")

    def __init__(self, density: str, t: float, latent_dim: int) -> None:
        check_choice("density", density, self.densities)
        if not 1 <= t <= self.t_max or latent_dim > MAX_LATENT_DIM:
            raise ValueError(
                f"expected 1 ≤ t ≤ {self.t_max:g} and latent_dim ≤ {MAX_LATENT_DIM}, got t = {t}, "
                f"latent_dim = {latent_dim}"
            )
        super().__init__()
        self.density = dropdown("density", self.densities, density)
        self.t = log_slider("t = 1/γ", t, 1, self.t_max)
        self.latent_dim = IntSlider(latent_dim, 1, MAX_LATENT_DIM, description="codes κ")
        self.image = Drawing("the model's density, KL and eigenvalues", self.width)
        self.said = words()

    def _begin(self, truth: Sequence[Any], region: Sequence[Any]) -> None:
        """Lay out the controls of p_gt and those of the set A, listen to them, and draw."""
        controls = beside(*truth, self.t, self.latent_dim)
        self.children = (controls, beside(*region), self.said, beside(self.image))
        self._listen(self._choose, *truth)
        self._listen(self._choose_region, *region)
        self._listen(self.redraw, self.t, self.latent_dim)
        self._choose()

    @property
    def gamma(self) -> float:
        """γ = 1/t."""
        return 1 / self.t.value

    # ---- what a view adds ------------------------------------------------------------------------

    def _manifold(self) -> manifolds.Manifold:
        """p_gt, as the controls choose it."""
        raise NotImplementedError

    def _fit_axes(self) -> None:
        """Draw what depends on p_gt alone."""
        raise NotImplementedError

    def _show_density(self) -> str:
        """Draw p_θt; a note for the line of words."""
        raise NotImplementedError

    def _show_region(self) -> manifolds.Region | None:
        """Draw A's outline; A, or None where it is empty."""
        raise NotImplementedError

    # ---- what both do ----------------------------------------------------------------------------

    def _choose(self) -> None:
        self.truth = self._manifold()
        self._vae = theory.optimal_vae(self.truth)
        self._x = self.truth.embed(self._coordinates(SCORES))
        self._rate = theory.kl_rate_exact(self._vae, self._x)
        # The nodes are those of `theory.mass_of_set`, for all t.
        u, self._weights = self.truth.density.nodes(self.mass_nodes)
        self._nodes = self.truth.embed(u)
        self.values: dict[str, Any] = {}
        self._fit_axes()
        self._plot.refresh()
        self._choose_region()

    def _choose_region(self) -> None:
        """Take A, whose mass under p_gt is the same for all t."""
        self._region = self._show_region()
        self.values["mass_limit"] = self.truth.mass(self._region) if self._region else 0.0
        self.redraw()

    def _coordinates(self, scores: Tensor) -> Tensor:
        """Normal scores (n,) to coordinates (n, 1) of p_gt."""
        return theory.from_noise(self.truth.density, scores[:, None])

    def _shared_panels(self, kl: Axes, spectrum: Axes) -> list[Artist]:
        at = np.arange(len(SCORES)) - len(SCORES) // 2
        j = np.arange(1, MAX_LATENT_DIM + 1)
        q = COLORS["q"]
        exact = COLORS["exact"]
        (self._kl,) = kl.semilogy(
            at,
            at**0,
            "o",
            color=q,
            markersize=5,
            label="KL[q ‖ posterior]",
        )
        (self._limit,) = kl.semilogy(
            at,
            at**0,
            color=exact,
            linewidth=1,
            label="½γ Var δ₁",
        )
        kl.set(
            ylim=(TINY, 1e3),
            xticks=at[::4],
            xticklabels=[],
        )
        kl.set_xlabel("nine points x, from left to right")
        dress(kl, "nats", "lower right")
        line = spectrum.axhline(1, color=COLORS["prior"], linestyle="--", linewidth=1)
        line.set_label("the prior's variance")
        (self._lambda,) = spectrum.semilogy(j, j**0, "o", color=q, label="λ of Σ_z, middle x")
        limits = (0.5, MAX_LATENT_DIM + 0.5)
        spectrum.set(
            ylim=(1e-7, 1e2),
            xlim=limits,
            xlabel="index j",
            xticks=j,
        )
        dress(spectrum, legend="lower right")
        return [self._limit, self._kl, self._lambda]

    def _draw(self) -> None:
        self._show_encoder()
        note = self._show_density()
        self.said.value = f"γ = {self.gamma:.3g}{note}. {self._masses()}"
        self.image.value = self._plot.png()

    def _show_encoder(self) -> None:
        """KL and eigenvalues at this t and κ."""
        t = self.t.value
        kappa = self.latent_dim.value
        wide = theory.optimal_vae(self.truth, kappa, seed=0)
        middle = self._x[len(SCORES) // 2][None]
        eigenvalues = torch.linalg.eigvalsh(wide.covariance(middle, t))[0]
        log_p = theory.log_p_theta(self._vae, self._x, t, HERMITE_NODES)
        kl = log_p + theory.loss(self._vae, self._x, t, HERMITE_NODES)
        limit = self._rate / t
        self.values |= {"nll": -log_p.mean().item(), "kl": kl, "kl_limit": limit}
        self.values["eigenvalues"] = eigenvalues
        self._kl.set_ydata(kl.clamp(min=TINY))
        self._limit.set_ydata(limit.clamp(min=TINY))
        self._lambda.set_data(np.arange(1, kappa + 1), eigenvalues)

    def _masses(self) -> str:
        """p_θt(A) and μ_gt(A)."""
        if self._region is None:
            self.values["mass"] = 0.0
            return "A is a point: no mass"
        masses = self._region.gaussian_mass(self._nodes, self.gamma)
        model = (self._weights * masses).sum().item()
        self.values["mass"] = model
        data = self.values["mass_limit"]
        return f"mass of A: {model:.5f} under the model, {data:.5f} under the data"


class TheoremOneView(_TheoremView):
    """Theorem 1 on the line, r = d = 1: as t = 1/γ grows, p_θt tends to p_gt and the encoder to the
    true posterior.

    Source: Dai & Wipf (2019), Theorem 1 and Appendix E.

    Args:
        density: where to start; one of `theorems.LINE`.
        t: where to start, from 1 to 1e5.
        latent_dim: κ to start with, from 1 to 6.

    Attributes:
        density: `Dropdown`. t: `FloatLogSlider`. latent_dim: `IntSlider`.
        region: `FloatRangeSlider`, the interval A.
        image: p_θt and p_gt, the KL, the eigenvalues of Σ_z; a picture.
        said: `HTML`, the masses of A.
        values: what is shown: "x", "p_gt", "p_theta" (on a grid), "kl", "kl_limit" (½γ Var δ₁,
            claim N5), "eigenvalues" (ascending), "nll" (mean over the nine points), "mass",
            "mass_limit".

    Raises:
        ValueError: an unknown density, t or latent_dim out of range.
    """

    mass_nodes = 2**15
    t_max = 1e5
    width = 860
    densities = LINE

    @door
    def __init__(self, density: str = "bimodal", t: float = 10.0, latent_dim: int = 2) -> None:
        super().__init__(density, t, latent_dim)
        self.region = range_slider("set A", (-1, 1), 5)
        edges = (0.05, 0.19, 0.99, 0.9)
        figure, axes = panels((self.width / 100, 2.5), [1.4, 1, 1], edges, gap=0.22)
        self._ax, *shared = axes
        self._area = Rectangle((0, 0), 1, 1, color=COLORS["fixed"], alpha=0.25, linewidth=0)
        self._ax.add_patch(self._area)
        wide = {"color": COLORS["other"], "linewidth": 2.5}
        (self._model,) = self._ax.plot([], [], **wide, label="p_θt")
        (self._data,) = self._ax.plot(
            [],
            [],
            "--",
            color=COLORS["data"],
            linewidth=1,
            label="p_gt",
        )
        self._ax.set_xlabel("x")
        dress(self._ax, "density, and the set A")
        self._ax.legend(
            fontsize=8,
            frameon=False,
            loc="upper right",
        )
        moving = [self._area, self._model, self._data, *self._shared_panels(*shared)]
        self._plot = Plot(figure, moving)
        self._begin([self.density], [self.region])

    def _manifold(self) -> manifolds.Manifold:
        return manifolds.manifold("flat", self.density.value, r=1)

    def _fit_axes(self) -> None:
        low, high = self._coordinates(_even(-2.6, 2.6, 2)).flatten().tolist()
        room = 0.15 * (high - low)
        self._grid = _even(low - room, high + room, 241)
        p = self._p_gt(self._grid)
        self.values = {"x": self._grid, "p_gt": p}
        self._data.set_data(self._grid, p)
        self._ax.set_xlim(low - room, high + room)
        self._ax.set_ylim(0, 1.15 * p.max().item())

    def _p_gt(self, x: Tensor) -> Tensor:
        """p_gt at the points x, shape (n,) to (n,)."""
        return self.truth.density.log_prob(x[:, None]).exp()

    def _p_theta(self, t: float) -> Tensor:
        """p_θt on the grid: p_gt * N(0, γ I) (Eq. 21)."""
        if isinstance(self.truth.density, manifolds.Mixture):
            return theory.log_p_theta(self._vae, self._grid[:, None], t).exp()
        w = _even(-7, 7, 141)
        x = self._grid[:, None] + w / t**0.5
        p = self._p_gt(x.flatten())
        return p.reshape(x.shape) @ _shares(w)

    def _show_density(self) -> str:
        self.values["p_theta"] = self._p_theta(self.t.value)
        self._model.set_data(self._grid, self.values["p_theta"])
        return ""

    def _show_region(self) -> manifolds.Region | None:
        low, high = self.region.value
        self._area.set_bounds(low, 0, high - low, self._ax.get_ylim()[1])
        return manifolds.Box([low], [high]) if low < high else None


class TheoremTwoView(_TheoremView):
    """Theorem 2 on a curve in the plane, r = 1 < d = 2: −log p_θt falls without end on the curve,
    and masses are right.

    Source: Dai & Wipf (2019), Theorem 2, Eq. 6 and Appendix F.

    Args:
        density: of the coordinate, where to start; "bimodal", "skewed", "narrow" or "gaussian".
        chart: the curve, "arc" or "sine_curve".
        t: where to start, from 1 to 1e4.
        latent_dim: κ to start with, from 1 to 6.

    Attributes:
        density, chart: `Dropdown`s. t: `FloatLogSlider`. latent_dim: `IntSlider`.
        place, radius: `FloatSlider`s, the disc A: its centre, by its normal score along the curve;
            its radius.
        image: p_θt in the plane, the cost, the KL and the eigenvalues of Σ_z; a picture.
        said: `HTML`, the masses of A.
        values: what is shown: "p_theta" (n, n), rows upwards, "nll" and "nll_limit" (means over
            nine points), "kl", "kl_limit", "eigenvalues" (ascending), "mass", "mass_limit".

    Raises:
        ValueError: an unknown density or chart, t or latent_dim out of range.
    """

    @door
    def __init__(
        self,
        density: str = "bimodal",
        chart: str = "arc",
        t: float = 30.0,
        latent_dim: int = 3,
        n_pixels: int = 64,
    ) -> None:
        check_choice("chart", chart, PLANE)
        super().__init__(density, t, latent_dim)
        self.chart = dropdown("curve", PLANE, chart)
        self.place = slider("A's place", 0.0, -2.0, 2.0)
        self.radius = slider("A's radius", 0.5, 0.05, 1.5)
        self._n_pixels = n_pixels
        edges = (0.045, 0.17, 0.99, 0.9)
        figure, axes = panels((self.width / 100, 2.5), [1, 1, 1, 1], edges, gap=0.27)
        plane, cost, *shared = axes
        moving = [*self._map_panel(plane), *self._cost_panel(cost), *self._shared_panels(*shared)]
        self._plot = Plot(figure, moving)
        self._begin([self.chart, self.density], [self.place, self.radius])

    def _map_panel(self, ax: Axes) -> list[Artist]:
        blank = np.zeros((self._n_pixels, self._n_pixels))
        self._map = ax.imshow(
            blank,
            "Blues",
            vmin=0,
            vmax=1,
            origin="lower",
        )
        self._map.set_interpolation("bilinear")
        (self._curve,) = ax.plot([], [], color=COLORS["data"], linewidth=0.8)
        self._disc = Circle((0, 0), 1, fill=False, color=COLORS["fixed"], linewidth=2)
        ax.add_patch(self._disc)
        dress(ax, "p_θt, the curve, the set A")
        frame = ax.spines.values()  # It moves since the map would cover it.
        return [self._map, *frame, self._curve, self._disc]

    def _cost_panel(self, ax: Axes) -> list[Artist]:
        (self._line,) = ax.semilogx(1 / T_SHOWN, T_SHOWN, color=COLORS["exact"], linewidth=1)
        self._line.set_label("½(d−r) log 2πγ − log p̃")
        (self._dot,) = ax.plot([1], [0], "o", color=COLORS["q"], label="−log p_θt")
        ax.invert_xaxis()
        ax.set_xlabel("γ")
        dress(ax, "mean over nine x, nats", "upper right")
        self._cost = ax
        return [self._line, self._dot]

    def _manifold(self) -> manifolds.Manifold:
        return manifolds.manifold(self.chart.value, self.density.value)

    def _fit_axes(self) -> None:
        scores = _even(-4, 4, 480)
        self._means = self._vae.decode(scores[:, None]).float()
        self._shares = _shares(scores).float()
        low, high = self._coordinates(_even(-3.2, 3.2, 2)).flatten().tolist()
        curve = self.truth.embed(_even(low, high, 200)[:, None])  # It is smooth between modes, too.
        self._curve.set_data(*curve.T)
        self._fit_map(curve)
        limits = [self._nll_limit(t) for t in T_SHOWN]
        self._line.set_ydata(limits)
        self._cost.set_ylim(min(limits) - 0.5, max(limits) + 2.5)

    def _fit_map(self, curve: Tensor) -> None:
        """A square round the curve, and its pixels: rows upwards, columns to the right."""
        low = curve.min(0).values - 0.4
        high = curve.max(0).values + 0.4
        middle = (low + high) / 2
        half = (high - low).max() / 2
        x, y = torch.stack([middle - half, middle + half], 1).tolist()
        columns, rows = [
            torch.linspace(low, high, self._n_pixels, dtype=torch.float32) for low, high in (x, y)
        ]
        self._grid = torch.cartesian_prod(rows, columns).flip(1)
        self._thin = (half.item() / self._n_pixels) ** 2  # It is half a pixel, squared.
        self._map.set_extent((*x, *y))

    def _nll_limit(self, t: float) -> float:
        return theory.nll_limit(self.truth, self._x, t).mean().item()

    def _p_theta(self, gamma: float) -> Tensor:
        """p_θt on the grid: N(f(z), γ I) summed over z, √γ no thinner than half a pixel."""
        gamma = max(gamma, self._thin)
        squares = torch.cdist(self._grid, self._means).square_()
        kernel = squares.mul_(-0.5 / gamma).clamp_(min=FAR).exp_()
        p = kernel @ self._shares / (2 * torch.pi * gamma)
        return p.reshape(self._n_pixels, self._n_pixels)

    def _show_density(self) -> str:
        p = self._p_theta(self.gamma)
        self.values |= {"p_theta": p, "nll_limit": self._nll_limit(self.t.value)}
        self._map.set_data((p / p.max()).numpy())
        self._dot.set_data([self.gamma], [self.values["nll"]])
        return f", highest density {p.max().item():.3g}"

    def _show_region(self) -> manifolds.Region | None:
        score = torch.full((1, 1), self.place.value, dtype=torch.float64)
        centre = self._vae.decode(score)[0]
        self._disc.set(center=centre.tolist(), radius=self.radius.value)
        return manifolds.Ball(centre, self.radius.value)

"""The optima of Theorems 1 and 2 under a slider for t = 1/γ: nothing here is trained."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from vaelab import manifolds, theory
from vaelab._inputs import check_choice, check_positive, check_positive_int
from vaelab.plots import COLORS
from vaelab.widgets._view import Plot, View, dropdown, log_slider, picture, slider

LINE = ("skewed", "bimodal", "valley", "narrow", "half_line", "gaussian", "student_t")
PLANE = ("arc", "sine_curve")
MAX_LATENT_DIM = 6
SCORES = torch.linspace(-1.5, 1.5, 9, dtype=torch.float64)  # of the points x where the KL is shown
HERMITE_NODES = 60
# exp below it is taken as e^-80: numbers too small for a normal float cost a hundred times as much
FAR = -80.0


class _TheoremView(View):
    """What both views share: t, κ, the density, and the panels of KL and eigenvalues.

    Masses are sums over `mass_nodes` nodes: enough while √γ is above some 18 / mass_nodes times the
    map's slope.

    The KL of κ codes is that of r codes to rounding (claim D5), and is computed with r.
    """

    mass_nodes = 2**13

    def __init__(
        self, names: Sequence[str], density: str, t: float, t_max: float, latent_dim: int
    ) -> None:
        check_choice("density", density, names)
        check_positive("t = 1/γ", t), check_positive_int("latent_dim", latent_dim)
        if not 1 <= t <= t_max or latent_dim > MAX_LATENT_DIM:
            raise ValueError(
                f"expected 1 ≤ t ≤ {t_max:g} and latent_dim ≤ {MAX_LATENT_DIM}, got t = {t}, "
                f"latent_dim = {latent_dim}"
            )
        super().__init__()
        self.density = dropdown("density", names)
        self.density.value = density
        self.t = log_slider("t = 1/γ", t, 1, t_max)
        self.latent_dim = ipywidgets.IntSlider(latent_dim, 1, MAX_LATENT_DIM, description="codes κ")
        self.image, self.said = picture(), ipywidgets.HTML()
        self.values: dict = {}

    @property
    def gamma(self) -> float:
        """γ = 1/t."""
        return 1 / self.t.value

    def _set_truth(self, truth: manifolds.Manifold) -> None:
        self.truth, self._vae = truth, theory.optimal_vae(truth)
        self._x = truth.embed(theory.from_noise(truth.density, SCORES[:, None]))
        self._rate = theory.kl_rate_exact(self._vae, self._x)
        u, self._weights = truth.density.nodes(
            self.mass_nodes
        )  # those of `theory.mass_of_set`, for all t
        self._nodes, self._mass = truth.embed(u), (None, 0.0)

    def _static(self, kl: Axes, spectrum: Axes) -> list:
        at = np.arange(len(SCORES)) - len(SCORES) // 2
        self._kl = kl.semilogy(
            at, np.ones(len(at)), "o", color=COLORS["q"], markersize=5, label="KL[q ‖ posterior]"
        )[0]
        self._limit = kl.semilogy(
            at, np.ones(len(at)), color=COLORS["exact"], linewidth=1, label="½γ Var δ₁"
        )[0]
        kl.set(
            ylim=(1e-9, 1e3),
            xlabel="nine points x, from left to right",
            xticks=at[::4],
            xticklabels=[],
        )
        kl.legend(fontsize=7, frameon=False, loc="lower right")
        kl.set_title("nats", fontsize=9)
        j = np.arange(1, MAX_LATENT_DIM + 1)
        spectrum.axhline(
            1, color=COLORS["prior"], linestyle="--", linewidth=1, label="the prior's variance"
        )
        self._lambda = spectrum.semilogy(
            j, np.ones(len(j)), "o", color=COLORS["q"], label="λ of Σ_z, middle x"
        )[0]
        spectrum.set(ylim=(1e-7, 1e2), xlim=(0.5, MAX_LATENT_DIM + 0.5), xlabel="index j", xticks=j)
        spectrum.legend(fontsize=7, frameon=False, loc="lower right")
        for ax in (kl, spectrum):
            ax.tick_params(labelsize=8)
        return [self._limit, self._kl, self._lambda]

    def _show_encoder(self) -> None:
        """KL and eigenvalues at this t and κ."""
        t, kappa, middle = self.t.value, self.latent_dim.value, self._x[len(SCORES) // 2][None]
        wide = theory.optimal_vae(self.truth, kappa, seed=0)
        eigenvalues = torch.linalg.eigvalsh(wide.covariance(middle, t))[0]
        log_p = theory.log_p_theta(self._vae, self._x, t, HERMITE_NODES)
        kl = log_p + theory.loss(self._vae, self._x, t, HERMITE_NODES)
        self.values |= {
            "nll": -log_p.mean().item(),
            "kl": kl,
            "kl_limit": self._rate / t,
            "eigenvalues": eigenvalues,
        }
        (
            self._kl.set_ydata(kl.clamp(min=1e-9)),
            self._limit.set_ydata((self._rate / t).clamp(min=1e-9)),
        )
        self._lambda.set_data(np.arange(1, kappa + 1), eigenvalues)

    def _masses(self, region: manifolds.Region, known_by: tuple) -> str:
        """p_θt(A) and μ_gt(A); the latter does not depend on t and is kept for the set that
        `known_by` names.
        """
        model = (self._weights * region.gaussian_mass(self._nodes, self.gamma)).sum().item()
        if self._mass[0] != known_by:
            self._mass = (known_by, self.truth.mass(region))
        self.values |= {"mass": model, "mass_limit": self._mass[1]}
        return f"mass of A: {model:.5f} under the model, {self._mass[1]:.5f} under the data"


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

    def __init__(self, density: str = "bimodal", t: float = 10.0, latent_dim: int = 2) -> None:
        super().__init__(LINE, density, t, 1e5, latent_dim)
        self.region = ipywidgets.FloatRangeSlider(
            value=(-1, 1),
            min=-5,
            max=5,
            step=0.05,
            description="set A",
            readout_format=".2f",
            layout={"width": "380px"},
        )
        figure = Figure(figsize=(8.6, 2.5), dpi=100, layout="none")  # whatever the style
        self._ax, kl, spectrum = figure.subplots(1, 3, width_ratios=[1.4, 1, 1])
        figure.subplots_adjust(left=0.05, right=0.99, bottom=0.19, top=0.9, wspace=0.22)
        self._area = self._ax.add_patch(
            Rectangle((0, 0), 1, 1, color=COLORS["fixed"], alpha=0.25, linewidth=0)
        )
        self._model = self._ax.plot([], [], color=COLORS["other"], linewidth=2.5, label="p_θt")[0]
        self._data = self._ax.plot(
            [], [], color=COLORS["data"], linewidth=1, linestyle="--", label="p_gt"
        )[0]
        self._ax.set(xlabel="x")
        self._ax.set_title("density, and the set A", fontsize=9)
        self._ax.tick_params(labelsize=8)
        self._ax.legend(fontsize=8, frameon=False, loc="upper right")
        self._plot = Plot(
            figure, [self._area, self._model, self._data, *self._static(kl, spectrum)]
        )
        controls = ipywidgets.HBox([self.density, self.t, self.latent_dim])
        self.children = (controls, self.region, self.said, self.image)
        self._listen(self.density, self._chosen)
        for each in (self.t, self.latent_dim, self.region):
            self._listen(each, self.redraw)
        self._chosen()

    def _chosen(self, change: object = None) -> None:
        truth = manifolds.manifold("flat", self.density.value, r=1)
        self._set_truth(truth)
        ends = theory.from_noise(truth.density, torch.tensor([[-2.6], [2.6]], dtype=torch.float64))[
            :, 0
        ]
        room = 0.15 * (ends[1] - ends[0])
        self._grid = torch.linspace(
            (ends[0] - room).item(), (ends[1] + room).item(), 241, dtype=torch.float64
        )
        p = self._p_gt(self._grid)
        self.values = {"x": self._grid, "p_gt": p}
        self._data.set_data(self._grid, p)
        self._ax.set(
            xlim=(self._grid[0].item(), self._grid[-1].item()), ylim=(0, 1.15 * p.max().item())
        )
        self._plot.refresh()
        self.redraw()

    def _density(self, t: float) -> Tensor:
        """p_θt on the grid: p_gt * N(0, γ I) (Eq. 21)."""
        if isinstance(self.truth.density, manifolds.Mixture):
            return theory.log_p_theta(self._vae, self._grid[:, None], t).exp()
        w = torch.linspace(-7, 7, 141, dtype=torch.float64)
        weights = torch.exp(-0.5 * w.square())
        there = self._p_gt((self._grid[:, None] + w / t**0.5).flatten()).reshape(-1, len(w))
        return there @ (weights / weights.sum())

    def _p_gt(self, x: Tensor) -> Tensor:
        """p_gt at the points x, shape (n,) to (n,)."""
        inside = self.truth.density.contains(x[:, None])
        p = torch.zeros_like(x)
        p[inside] = self.truth.density.log_prob(x[inside][:, None]).exp()
        return p

    def _draw(self) -> None:
        low, high = self.region.value
        self.values["p_theta"] = self._density(self.t.value)
        self._model.set_data(self._grid, self.values["p_theta"])
        self._area.set_bounds(low, 0, high - low, self._ax.get_ylim()[1])
        self._show_encoder()
        if low < high:
            told = self._masses(manifolds.Box([low], [high]), (low, high))
        else:
            self.values |= {"mass": 0.0, "mass_limit": 0.0}
            told = "A is a point: no mass"
        self.said.value = f"γ = {self.gamma:.3g}. {told}"
        self.image.value = self._plot.png()


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

    def __init__(
        self,
        density: str = "bimodal",
        chart: str = "arc",
        t: float = 30.0,
        latent_dim: int = 3,
        n_pixels: int = 64,
    ) -> None:
        check_choice("chart", chart, PLANE), check_positive_int("n_pixels", n_pixels)
        super().__init__(("bimodal", "skewed", "narrow", "gaussian"), density, t, 1e4, latent_dim)
        self.chart = dropdown("curve", PLANE)
        self.chart.value = chart
        self.place, self.radius = (
            slider("A's place", 0.0, -2.0, 2.0),
            slider("A's radius", 0.5, 0.05, 1.5),
        )
        self._n_pixels = n_pixels
        figure = Figure(figsize=(9.6, 2.5), dpi=100, layout="none")  # whatever the style
        self._ax, self._cost, kl, spectrum = figure.subplots(1, 4)
        figure.subplots_adjust(left=0.045, right=0.99, bottom=0.17, top=0.9, wspace=0.27)
        blank = np.zeros((n_pixels, n_pixels))
        self._map = self._ax.imshow(
            blank, origin="lower", cmap="Blues", vmin=0, vmax=1, interpolation="bilinear"
        )
        self._curve = self._ax.plot([], [], color=COLORS["data"], linewidth=0.8)[0]
        self._disc = self._ax.add_patch(
            Circle((0, 0), 1, fill=False, color=COLORS["fixed"], linewidth=2)
        )
        self._ax.set_title("p_θt, the curve, the set A", fontsize=9)
        ts = np.geomspace(1, 1e4, 30)
        name = "½(d−r) log 2πγ − log p̃"
        self._line = self._cost.semilogx(
            1 / ts, ts, color=COLORS["exact"], linewidth=1, label=name
        )[0]
        self._dot = self._cost.plot([1], [0], "o", color=COLORS["q"], label="−log p_θt")[0]
        self._cost.invert_xaxis()
        self._cost.set(xlabel="γ", ylim=(-4.5, 5))
        self._cost.set_title("mean over nine x, nats", fontsize=9)
        self._cost.legend(fontsize=7, frameon=False, loc="upper right")
        for ax in (self._ax, self._cost):
            ax.tick_params(labelsize=8)
        frame = self._ax.spines.values()  # the map would cover it
        moving = [
            self._map,
            *frame,
            self._curve,
            self._disc,
            self._line,
            self._dot,
            *self._static(kl, spectrum),
        ]
        self._plot = Plot(figure, moving)
        tops = ipywidgets.HBox([self.chart, self.density, self.t, self.latent_dim])
        self.children = (tops, ipywidgets.HBox([self.place, self.radius]), self.said, self.image)
        for each in (self.density, self.chart):
            self._listen(each, self._chosen)
        for each in (self.t, self.latent_dim, self.place, self.radius):
            self._listen(each, self.redraw)
        self._chosen()

    def _chosen(self, change: object = None) -> None:
        self._set_truth(manifolds.manifold(self.chart.value, self.density.value))
        self.values = {}
        scores = torch.linspace(-4, 4, 480, dtype=torch.float64)
        self._means = self._vae.decode(scores[:, None]).float()
        self._shares = (
            torch.exp(-0.5 * scores.square()).div(torch.exp(-0.5 * scores.square()).sum()).float()
        )
        ends = theory.from_noise(
            self.truth.density, torch.tensor([[-3.2], [3.2]], dtype=torch.float64)
        )[:, 0].tolist()
        curve = self.truth.embed(
            torch.linspace(*ends, 200, dtype=torch.float64)[:, None]
        )  # smooth between modes, too
        low, high = curve.min(0).values - 0.4, curve.max(0).values + 0.4
        middle, half = (low + high) / 2, (high - low).max() / 2
        low, high = (middle - half).tolist(), (middle + half).tolist()
        sides = [
            torch.linspace(a, b, self._n_pixels, dtype=torch.float32)
            for a, b in zip(low, high, strict=True)
        ]
        self._grid = torch.cartesian_prod(sides[1], sides[0]).flip(
            1
        )  # rows upwards, columns to the right
        self._thin = (float(half) / self._n_pixels) ** 2  # half a pixel, squared
        self._map.set_extent((low[0], high[0], low[1], high[1]))
        self._curve.set_data(*curve.T)
        limits = [
            theory.nll_limit(self.truth, self._x, 1 / g).mean().item()
            for g in self._line.get_xdata()
        ]
        self._line.set_ydata(limits)
        self._cost.set_ylim(min(limits) - 0.5, max(limits) + 2.5)
        self._plot.refresh()
        self.redraw()

    def _density(self, gamma: float) -> Tensor:
        """p_θt on the grid: N(f(z), γ I) summed over z, √γ no thinner than half a pixel."""
        gamma = max(gamma, self._thin)
        squares = torch.cdist(self._grid, self._means).square_()
        p = (
            squares.mul_(-0.5 / gamma).clamp_(min=FAR).exp_()
            @ self._shares
            / (2 * torch.pi * gamma)
        )
        return p.reshape(self._n_pixels, self._n_pixels)

    def _draw(self) -> None:
        t = self.t.value
        p = self._density(self.gamma)
        self._show_encoder()
        limit = theory.nll_limit(self.truth, self._x, t).mean()
        self.values |= {"p_theta": p, "nll_limit": limit.item()}
        self._map.set_data((p / p.max()).numpy())
        self._dot.set_data([self.gamma], [self.values["nll"]])
        centre = self._vae.decode(torch.tensor([[self.place.value]], dtype=torch.float64))[0]
        self._disc.set_center(centre.tolist()), self._disc.set_radius(self.radius.value)
        told = self._masses(
            manifolds.Ball(centre, self.radius.value), (self.place.value, self.radius.value)
        )
        self.said.value = f"γ = {self.gamma:.3g}, highest density {p.max().item():.3g}. {told}"
        self.image.value = self._plot.png()

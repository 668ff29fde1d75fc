"""One image's code, moved: along single directions (`LatentTraversal`), and towards another
(`Interpolator`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from ipywidgets import Button, IntSlider, Label, VBox
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_positive
from vaelab.densities import SecondStage
from vaelab.interpolation import lerp, slerp
from vaelab.plots import pixels_to_png
from vaelab.priors import FlowPrior
from vaelab.widgets._view import View
from vaelab.widgets.controls import (
    STEP,
    beside,
    captioned,
    dropdown,
    named_rows,
    set_range,
    slider,
    toggles,
)
from vaelab.widgets.curves import Curves
from vaelab.widgets.drawing import Picture, Strip, pixel_scale, strip_pixels
from vaelab.widgets.spaces import PRIOR, Space, subject, subjects, subscript


class LatentTraversal(View):
    """An image's code, a slider for its strongest directions and the two weakest, and what the
    decoder makes of it.

    Directions are ordered by λ_j, their variance under the encoder: near 0 the image depends on
    them, near 1 they carry noise. *latent axes*: λ_j is the variance of z_j, averaged over the
    images. *eigenvectors*: those of Σ_z at the code picked. A full encoder's Σ_z is its own. A
    diagonal encoder's Σ_z has the axes for eigenvectors, which says nothing of the decoder; there,
    and at codes that no image has, it is the optimal Σ_z = [I + JᵀJ/γ]⁻¹ of Eq. 83.

    Source: Dai & Wipf (2019), Section 3 and Eq. 83.

    Args:
        model: a `vaelab.models.Autoencoder`, or a fitted `VAE` or `TwoStageVAE`.
        images: (n, c, h, w) or (n, h, w), values in [0, 1]; some hundred are enough.
        density: a fitted density or a dict of them, to draw codes from. With a second stage the
            sliders can be in its u, with z = ẑ(u) (its decoder's mean).
        labels: the class of each image: n numbers or words.
        n_sliders: how many directions: from four on, where there are more than that, the last two
            by λ are among them; the others are the first.
        n_strip: pictures in the strip, which shows the whole way of the direction last touched.
        limit: the sliders run from −limit to limit; 3, or as far as the images' codes reach, unless
            told.
        size: screen pixels of the live image's height, about.
        seed: of the draws; each press of `draw` takes the next one.

    Attributes:
        sliders: one `FloatSlider` a direction, by λ ascending.
        image, original, strip: pictures (PNG bytes in `.value`): the code decoded, the image
            picked, the whole way.
        index: `IntSlider`, the image picked.
        directions, space: `ToggleButtons` "latent axes" or "eigenvectors"; "z" or "u".
        source, draw: what to draw a code from, and the button that does.
        reset, mean: buttons: back to the code of the image picked; to the mean code.
        code: the code shown, shape (κ,), in `space`.
        eigenvalues: λ of the directions on the sliders.

    Raises:
        TypeError, ValueError: parts that do not fit together; see `spaces.subject`.
    """

    @door
    def __init__(
        self,
        model: Any,
        images: Any,
        *,
        density: Any = None,
        labels: Any = None,
        n_sliders: int = 8,
        n_strip: int = 11,
        limit: float | None = None,
        size: int = 224,
        seed: int = 0,
    ) -> None:
        self.subject = subject(model, images, density, labels)
        if limit is not None:
            check_positive("limit", limit)
        super().__init__()
        height = self.subject.x.shape[-2]
        self._scale = pixel_scale(height, size)
        self._limit = limit
        self._seed = seed
        self.strip = Strip("the whole way along a direction", pixel_scale(height, 68), n_strip)
        self._build(min(n_sliders, self.subject.spaces["z"].latent_dim))
        self._pick()
        self._listen(self._pick, self.index, self.space)
        self._listen(self._turn, self.directions)
        for j, each in enumerate(self.sliders):
            self._listen(functools.partial(self._move, j), each)
        self._press(self._draw_code, self.draw)
        self._press(self._pick, self.reset)
        self._press(lambda: self._start_at(self._space.q.mean.mean(0)), self.mean)

    def _build(self, n_sliders: int) -> None:
        spaces = self.subject.spaces
        self.index = IntSlider(0, 0, len(self.subject.x) - 1, description="image")
        self.directions = toggles("directions", ["latent axes", "eigenvectors"])
        # The directions of a flow's noise have no Σ of their own.
        spaces = [name for name in spaces if name != "z0"]
        self.space = toggles("space", spaces)
        self.space.layout.display = "" if len(spaces) > 1 else "none"
        self.source = dropdown("draw from", list(self.subject.densities))
        self.draw, self.reset, self.mean = [
            Button(description=name, layout={"min_width": "96px"})
            for name in ("draw", "reset", "mean code")
        ]
        self.sliders = tuple(slider("", 0.0, -1.0, 1.0) for _ in range(n_sliders))
        self.image = Picture("the code, decoded")
        self.original = Picture("the image picked")
        self._caption = Label()
        self._way = Label()
        left = VBox([self.index, self.directions, self.space, *self.sliders])
        right = [captioned(self.image, "decoded"), VBox([self._caption, self.original])]
        buttons = beside(self.reset, self.mean, self.source, self.draw)
        self.children = (beside(left, beside(*right)), buttons, self._way, self.strip)

    @property
    def _space(self) -> Space:
        return self.subject.spaces[self.space.value]

    @property
    def code(self) -> Tensor:
        """The code that the picture shows, shape (κ,)."""
        return self._basis @ self._at

    def _pick(self) -> None:
        self._start_at(self._space.q.mean[self.index.value], self.index.value)

    def _draw_code(self) -> None:
        space = self._space
        prior = self.subject.densities[PRIOR]
        density = self.subject.densities[self.source.value]
        if space.name == "u" and isinstance(density, SecondStage):
            density = prior  # A second stage draws its u from N(0, I).
        code = density.sample(1, self._seed).to(space.q.mean)
        if space.name == "u" and density is not prior:
            code = space.model.codes(code).mean
        self._seed += 1
        self._start_at(code[0])

    def _start_at(self, code: Tensor, picked: int | None = None) -> None:
        """Put the sliders on a code: that of image `picked`, or one of no image."""
        self._start = code
        self._picked = picked
        labels = self.subject.labels
        caption = "no image has this code"
        self.original.layout.visibility = "hidden"
        self.original.value = b""
        if picked is not None:
            caption = f"image {picked}"
            caption += "" if labels is None else f", class {labels[picked]}"
            self.original.show(self.subject.x[picked][None], self._scale)
            self.original.layout.visibility = "visible"
        self._caption.value = caption
        self._turn()

    def _directions(self) -> tuple[Tensor, Tensor, list[str]]:
        """λ, shape (κ,), the directions as columns, shape (κ, κ), and their names: those on the
        sliders come first.
        """
        values, basis, names = self._ascending()
        n = len(values)
        weak = 2 if 4 <= len(self.sliders) < n else 0
        strong = len(self.sliders) - weak
        order = [*range(strong), *range(n - weak, n), *range(strong, n - weak)]
        return values[order], basis[:, order], [names[j] for j in order]

    def _ascending(self) -> tuple[Tensor, Tensor, list[str]]:
        """The same by λ ascending."""
        space = self._space
        if self.directions.value == "latent axes":
            values, order = space.mean_variances().sort()
            names = [subscript(space.name, j) for j in order.tolist()]
            return values, torch.eye(len(order)).to(values)[:, order], names
        values, basis = torch.linalg.eigh(space.covariance(self._picked, self._start))
        # v and −v are one direction: the largest coordinate is to be positive.
        largest = basis.abs().argmax(0, keepdim=True)
        signs = basis.gather(0, largest).sign()
        names = [subscript("v", j) for j in range(len(values))]
        return values, basis * signs, names

    def _turn(self) -> None:
        """Choose the basis of directions, and set the sliders to the code's coordinates in it."""
        values, self._basis, names = self._directions()
        self.eigenvalues = values[: len(self.sliders)].clamp(min=0)
        self._at = self._basis.T @ self._start
        self._touched = 0
        self._others = None
        reach = (self._space.q.mean @ self._basis).abs().amax(0).tolist()
        for j, (each, at) in enumerate(zip(self.sliders, self._at.tolist(), strict=False)):
            limit = self._limit or max(3.0, _half_up(reach[j]))
            limit = max(limit, _half_up(abs(at)))
            set_range(each, -limit, limit, at)
            value = self.eigenvalues[j]
            each.description = f"{names[j]}   λ = {value:.2g}"
        self.redraw()

    def _move(self, j: int) -> None:
        value = self.sliders[j].value
        if abs(value - self._at[j].item()) <= 0.5001 * STEP:
            # The front end rounds a code that it was given to its steps, and sends it back.
            return
        self._at = self._at.clone()
        self._at[j] = value
        self._touched = j
        self.redraw()

    def _draw(self) -> None:
        self.image.show(self._space.images(self.code[None]), self._scale)
        touched = self.sliders[self._touched]
        others = self._at.clone()
        others[self._touched] = torch.inf  # No way along another direction is equal to it.
        places = torch.linspace(touched.min, touched.max, self.strip.columns).to(others)
        if self._others is None or not torch.equal(self._others, others):
            way = others.repeat(len(places), 1)
            way[:, self._touched] = places
            self.strip.lay(self._space.images(way @ self._basis.T))
            self._others = others
            ends = f"from {touched.min:g} to {touched.max:g}"
            self._way.value = f"{touched.description}: the whole way, {ends}"
        away = places - self._at[self._touched]
        self.strip.frame(int(away.abs().argmin()))


def _half_up(value: float) -> float:
    """The multiple of ½ at or above a value."""
    return math.ceil(2 * value) / 2


class Interpolator(View):
    """Two images, and the ways between their codes: straight and along the sphere, in every latent
    space of a model, or of several side by side.

    Args:
        model: a `vaelab.models.Autoencoder`, or a fitted `VAE` or `TwoStageVAE`; or a dict of
            several by name, each a model or (model, density).
        images: (n, c, h, w) or (n, h, w), values in [0, 1], the same for all models.
        density: a fitted `SecondStage` (or a dict with one) adds the ways through its u, a `Flow`
            those through its noise z0, as a flow for a prior does. Several models bring their own.
        judge: a classifier of pictures, as `features.load_classifier` gives; how sure it is stands
            under the strip as a curve. The log-density by the flow stands beside it.
        n_strip: pictures in a row.
        size: screen pixels of a picture's height, about.

    Attributes:
        first, second: `IntSlider`s, the two images.
        position: `FloatSlider` t from 0 to 1.
        strip: a row of pictures for each of `ways`, the column nearest to t framed.
        image: the pictures at t, to the right of the strip, a row each.
        curves: what is known along the ways, as curves with a line at t; None where it is nothing.
        ways: names of the rows, such as "z straight" and "u arc", after the name of the model
            where there are several.

    Raises:
        TypeError, ValueError: parts that do not fit together; see `spaces.subject`.
    """

    @door
    def __init__(
        self,
        model: Any,
        images: Any,
        density: Any = None,
        *,
        judge: Callable[[Tensor], Tensor] | None = None,
        n_strip: int = 11,
        size: int = 56,
    ) -> None:
        self.subjects = subjects(model, images, density)
        self.judge = judge
        super().__init__()
        x = next(iter(self.subjects.values())).x
        height = x.shape[-2]
        scale = pixel_scale(height, size)
        last = len(x) - 1
        self.first = IntSlider(0, 0, last, description="first image")
        self.second = IntSlider(min(1, last), 0, last, description="second image")
        for each in (self.first, self.second):
            each.style.description_width = "initial"
        self.position = slider("position t", 0.5, 0.0, 1.0, 0.01)
        self.strip = Strip("the ways between the two images, a row each", scale, n_strip)
        self.image = Picture("the pictures at t, a row each")
        self.ways = tuple(self.codes(torch.zeros(0)))
        rows = named_rows(self.ways, self.strip, self.image)
        ends = beside(self.first, self.second)
        known = judge or any(each.flow for each in self.subjects.values())
        self.curves = Curves(self.ways) if known else None
        below = () if self.curves is None else (beside(self.curves),)
        self.children = (ends, self.position, rows, *below)
        self._listen(self._pick, self.first, self.second)
        self._listen(self.redraw, self.position)
        self._pick()

    def codes(self, t: Tensor) -> dict[str, Tensor]:
        """The codes on each way at the values t, shape (T,): (T, κ) by name, in the way's own
        space.
        """
        codes = {}
        for title, parts in self.subjects.items():
            for name, space in parts.spaces.items():
                a, b = space.q.mean[[self.first.value, self.second.value]]
                for way, between in (("straight", lerp), ("arc", slerp)):
                    codes[f"{title} {name} {way}".lstrip()] = between(a, b, t.to(a))
        return codes

    def _decode(self, t: Tensor) -> Tensor:
        """The pictures at t on all ways, one way after the other: a model's in one batch, which
        costs little more than a part.
        """
        decoders = [parts.spaces["z"].decode for parts in self.subjects.values()]
        codes = self._codes_z(t)
        return torch.cat([decode(z) for decode, z in zip(decoders, codes, strict=True)])

    def _codes_z(self, t: Tensor) -> list[Tensor]:
        """The codes z at t on all ways of each model, one way after the other."""
        ways = iter(self.codes(t).values())
        return [
            torch.cat([s.to_z(torch.cat([next(ways), next(ways)])) for s in parts.spaces.values()])
            for parts in self.subjects.values()
        ]

    def _pick(self) -> None:
        self.strip.lay(self._decode(torch.linspace(0, 1, self.strip.columns)))
        if self.curves is not None:
            self.curves.lay(self.measures(torch.linspace(0, 1, 41)))
        self.redraw()

    @torch.no_grad()
    def measures(self, t: Tensor) -> dict[str, Tensor]:
        """What is known along the ways at the values t, shape (T,): by name, (ways, T) each."""
        found = {}
        flows = [parts.flow for parts in self.subjects.values()]
        if any(flows):
            nats = [_log_prob(f, z) for f, z in zip(flows, self._codes_z(t), strict=True)]
            found["log p(z), nats"] = torch.cat(nats).reshape(len(self.ways), len(t))
        if self.judge is not None:
            sure = self.judge(self._decode(t)).softmax(-1).amax(-1)
            found["classifier's confidence"] = sure.reshape(len(self.ways), len(t))
        return found

    def _draw(self) -> None:
        t = self.position.value
        pictures = self._decode(torch.tensor([t]))
        self.image.value = pixels_to_png(strip_pixels(pictures, self.strip.scale, 1))
        self.strip.frame(round(t * (self.strip.columns - 1)))
        if self.curves is not None:
            self.curves.mark(t)


def _log_prob(flow: FlowPrior | None, z: Tensor) -> Tensor:
    """log p(z), shape (n,): NaN, which no curve shows, where no flow knows it."""
    if flow is None:
        return z.new_full((len(z),), math.nan)
    return flow.log_prob(z.to(next(flow.parameters()))).to(z)

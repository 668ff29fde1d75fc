"""One image's code, moved: along single directions (`LatentTraversal`), and towards another
(`Interpolator`).
"""

from __future__ import annotations

from typing import Any

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from vaelab._inputs import check_positive, check_positive_int, check_seed
from vaelab.densities import SecondStage
from vaelab.plots import COLORS, image_grid, to_png
from vaelab.widgets._view import (
    View,
    captioned,
    dropdown,
    picture,
    pixels_to_png,
    row_names,
    slider,
)
from vaelab.widgets.spaces import PRIOR, Space, Subject, lerp, slerp, subject

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
MARK = tuple(int(COLORS["q"][i : i + 2], 16) for i in (1, 3, 5))
PAD = 3  # white pixels round each picture of a strip, where the mark is drawn


def subscript(name: str, j: int) -> str:
    """The j-th coordinate's name, as in z₃; indices start at 1, as in the papers."""
    return f"{name}{str(j + 1).translate(SUBSCRIPTS)}"


def strip_pixels(images: Tensor, scale: int, columns: int | None = None) -> np.ndarray:
    """Images in rows, every pixel `scale` wide, `PAD` white pixels round each: bytes (H, W, 3)."""
    x = images if images.ndim == 4 else images[:, None]
    x = (
        (x.clamp(0, 1) * 255)
        .round()
        .to(torch.uint8)
        .repeat_interleave(scale, 2)
        .repeat_interleave(scale, 3)
    )
    rows = torch.nn.functional.pad(x, (PAD, PAD, PAD, PAD), value=255).split(columns or len(x))
    picture = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    return picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()


def marked(strip: np.ndarray, column: int, columns: int) -> np.ndarray:
    """A copy of a strip with a frame round one of its columns."""
    width, out = strip.shape[1] // columns, strip.copy()
    frame = out[:, column * width : (column + 1) * width]
    frame[:PAD], frame[-PAD:], frame[:, :PAD], frame[:, -PAD:] = MARK, MARK, MARK, MARK
    return out


def pixel_scale(side: int, pixels: int) -> int:
    """How many screen pixels an image pixel gets for a picture of about `pixels`."""
    return max(1, round(pixels / side))


class LatentTraversal(View):
    """An image's code, a slider for each of its strongest directions, and what the decoder makes of
    it.

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
        labels: the class of each image.
        n_sliders: how many directions, the first by λ.
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
        self.subject: Subject = subject(model, images, density, labels)
        (
            check_positive_int("n_sliders", n_sliders),
            check_positive_int("n_strip", n_strip),
            check_seed(seed),
        )
        if limit is not None:
            check_positive("limit", limit)
        super().__init__()
        height = self.subject.x.shape[-2]
        self._scale, self._strip_scale = pixel_scale(height, size), pixel_scale(height, 68)
        self._limit, self._n_strip, self._seed = limit, n_strip, int(seed)
        self._build(min(n_sliders, self.subject.spaces["z"].latent_dim))
        self._pick()

    def _build(self, n_sliders: int) -> None:
        self.index = ipywidgets.IntSlider(0, 0, len(self.subject.x) - 1, description="image")
        self.directions = ipywidgets.ToggleButtons(
            options=["latent axes", "eigenvectors"], description="directions"
        )
        self.space = ipywidgets.ToggleButtons(
            options=list(self.subject.spaces), description="space"
        )
        self.space.layout.display = "" if len(self.subject.spaces) > 1 else "none"
        self.source = dropdown("draw from", list(self.subject.densities))
        self.draw, self.reset, self.mean = (
            ipywidgets.Button(description=n) for n in ("draw", "reset", "mean code")
        )
        self.sliders = tuple(slider("", 0.0, -1.0, 1.0) for _ in range(n_sliders))
        self.image, self.original, self.strip = picture(), picture(), picture()
        self._caption, self._way = ipywidgets.Label(), ipywidgets.Label()
        buttons = ipywidgets.HBox([self.reset, self.mean, self.source, self.draw])
        pictures = ipywidgets.HBox(
            [captioned(self.image, "decoded"), ipywidgets.VBox([self._caption, self.original])]
        )
        left = ipywidgets.VBox([self.index, self.directions, self.space, *self.sliders])
        self.children = (ipywidgets.HBox([left, pictures]), buttons, self._way, self.strip)
        self._listen(self.index, self._pick), self._listen(self.directions, self._turn)
        self._listen(self.space, self._pick)
        for j, each in enumerate(self.sliders):
            self._listen(each, lambda change, j=j: self._moved(j, change.new))
        self.draw.on_click(self._drawn), self.reset.on_click(self._pick)
        self.mean.on_click(lambda _: self._start_at(self._space.q.mean.mean(0), None))

    @property
    def _space(self) -> Space:
        return self.subject.spaces[self.space.value]

    @property
    def code(self) -> Tensor:
        """The code that the picture shows, shape (κ,)."""
        return self._basis @ self._at

    def _pick(self, change: Any = None) -> None:
        i = self.index.value
        self._start_at(self._space.q.mean[i], i)

    def _drawn(self, button: Any) -> None:
        chosen, space = self.subject.densities[self.source.value], self._space
        code = chosen.sample(1, self._seed).to(space.q.mean)
        if space.name == "u" and self.source.value != PRIOR and not isinstance(chosen, SecondStage):
            code = space.model.codes(code).mean
        elif space.name == "u":
            code = self.subject.densities[PRIOR].sample(1, self._seed).to(space.q.mean)
        self._seed += 1
        self._start_at(code[0], None)

    def _start_at(self, code: Tensor, picked: int | None) -> None:
        """Put the sliders on a code: that of image `picked`, or one of no image."""
        self._start, self._picked, self._touched = code, picked, 0
        shown = "no image has this code"
        if picked is not None:
            label = (
                ""
                if self.subject.labels is None
                else f", class {self.subject.labels[picked].item()}"
            )
            shown = f"image {picked}{label}"
        x = (
            torch.ones_like(self.subject.x[:1])
            if picked is None
            else self.subject.x[picked : picked + 1]
        )
        self._caption.value, self.original.value = shown, to_png(image_grid(x), self._scale)
        self._turn()

    def _turn(self, change: Any = None) -> None:
        """Choose the basis of directions, λ ascending, and set the sliders to the code's
        coordinates in it.
        """
        space = self._space
        if self.directions.value == "latent axes":
            values, order = space.mean_variances().sort()
            basis = torch.eye(len(order)).to(values)[:, order]
            names = [subscript(space.name, j) for j in order.tolist()]
        else:
            values, basis = torch.linalg.eigh(space.covariance(self._picked, self._start))
            basis = (
                basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
            )  # v and −v are one: choose
            names = [subscript("v", j) for j in range(len(values))]
        self._basis, self._at = basis, basis.T @ self._start
        self.eigenvalues = values[: len(self.sliders)].clamp(min=0)
        reach = (space.q.mean @ basis).abs().amax(0).tolist()
        with self.one_frame():
            for j, each in enumerate(self.sliders):
                limit = self._limit or max(3.0, np.ceil(2 * reach[j]) / 2)
                limit = float(max(limit, np.ceil(2 * abs(self._at[j].item())) / 2))
                each.min, each.max = (
                    min(each.min, -limit),
                    max(each.max, limit),
                )  # never with min > max on the way
                each.value = self._at[j].item()
                each.min, each.max = -limit, limit
                each.description = f"{names[j]}   λ = {self.eigenvalues[j].item():.2g}"
            self._at = (
                self._basis.T @ self._start
            )  # sliders hold float64: the code keeps the encoder's own numbers
            self._touched, self._known = 0, None
            self.redraw()

    def _moved(self, j: int, value: float) -> None:
        if abs(value - self._at[j].item()) <= 0.5001 * self.sliders[j].step:
            # the front end, which rounds a code that it was given to its steps, and sends it back
            return
        self._at = self._at.clone()
        self._at[j] = value
        self._touched = j
        self.redraw()

    def _draw(self) -> None:
        self.image.value = to_png(image_grid(self._space.images(self.code[None])), self._scale)
        j = self._touched
        others = self._at.clone()
        others[j] = 0
        places = torch.linspace(self.sliders[j].min, self.sliders[j].max, self._n_strip).to(others)
        if self._known is None or self._known[0] != j or not torch.equal(self._known[1], others):
            way = others.repeat(len(places), 1)
            way[:, j] = places
            pixels = strip_pixels(self._space.images(way @ self._basis.T), self._strip_scale)
            self._known = (j, others, pixels, None)
            low, high = self.sliders[j].min, self.sliders[j].max
            self._way.value = (
                f"{self.sliders[j].description}: the whole way, from {low:g} to {high:g}"
            )
        nearest = int((places - self._at[j]).abs().argmin())
        if self._known[3] != nearest:
            self.strip.value = pixels_to_png(marked(self._known[2], nearest, self._n_strip))
            self._known = (*self._known[:3], nearest)


class Interpolator(View):
    """Two images, and the ways between their codes: straight and along the sphere, in every latent
    space of the model.

    Args:
        model: a `vaelab.models.Autoencoder`, or a fitted `VAE` or `TwoStageVAE`.
        images: (n, c, h, w) or (n, h, w), values in [0, 1].
        density: a fitted `SecondStage` (or a dict with one) adds the ways through its u.
        n_strip: pictures in a row.
        size: screen pixels of a picture's height, about.

    Attributes:
        first, second: `IntSlider`s, the two images.
        position: `FloatSlider` t from 0 to 1.
        strip: a row of pictures for each of `ways`, the column nearest to t framed.
        image: the pictures at t, to the right of the strip, a row each.
        ways: names of the rows, such as "z straight" and "u arc".

    Raises:
        TypeError, ValueError: parts that do not fit together; see `spaces.subject`.
    """

    def __init__(
        self, model: Any, images: Any, density: Any = None, *, n_strip: int = 11, size: int = 56
    ) -> None:
        self.subject: Subject = subject(model, images, density)
        check_positive_int("n_strip", n_strip)
        super().__init__()
        self._scale, self._n_strip = pixel_scale(self.subject.x.shape[-2], size), n_strip
        last = len(self.subject.x) - 1
        wide = {"description_width": "initial"}
        self.first = ipywidgets.IntSlider(0, 0, last, description="first image", style=wide)
        self.second = ipywidgets.IntSlider(
            min(1, last), 0, last, description="second image", style=wide
        )
        self.position = slider("position t", 0.5, 0.0, 1.0, 0.01)
        self.strip, self.image = picture(), picture()
        self.ways = tuple(
            f"{name} {way}" for name in self.subject.spaces for way in ("straight", "arc")
        )
        height = self.subject.x.shape[-2] * self._scale + 2 * PAD
        rows = ipywidgets.HBox([row_names(self.ways, height), self.strip, self.image])
        self.children = (ipywidgets.HBox([self.first, self.second]), self.position, rows)
        for each in (self.first, self.second):
            self._listen(each, self._picked)
        self._listen(self.position, self.redraw)
        self._picked()

    def codes(self, t: Tensor) -> dict[str, Tensor]:
        """The codes on each way at the values t, shape (T,): (T, κ) by name, in the way's own
        space.
        """
        out = {}
        for name, space in self.subject.spaces.items():
            a, b = space.q.mean[self.first.value], space.q.mean[self.second.value]
            out |= {f"{name} straight": lerp(a, b, t.to(a)), f"{name} arc": slerp(a, b, t.to(a))}
        return out

    def _decode(self, t: Tensor) -> Tensor:
        """The pictures at t on all ways, one way after the other: in one batch, which costs little
        more than a part.
        """
        codes, spaces = self.codes(t), self.subject.spaces.values()
        both = [
            s.to_z(torch.cat([codes[f"{s.name} straight"], codes[f"{s.name} arc"]])) for s in spaces
        ]
        return self.subject.spaces["z"].decode(torch.cat(both))

    def _picked(self, change: Any = None) -> None:
        self._pixels = strip_pixels(
            self._decode(torch.linspace(0, 1, self._n_strip)), self._scale, self._n_strip
        )
        self._column = None
        self.redraw()

    def _draw(self) -> None:
        t = self.position.value
        self.image.value = pixels_to_png(
            strip_pixels(self._decode(torch.tensor([t])), self._scale, 1)
        )
        column = round(t * (self._n_strip - 1))
        if column != self._column:
            self.strip.value, self._column = (
                pixels_to_png(marked(self._pixels, column, self._n_strip)),
                column,
            )

"""Coloured shapes drawn by code: pictures on a manifold whose every factor is known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from vaelab._inputs import check_choice, check_positive_int, check_seed
from vaelab.data.images import Images

SHAPES = ("disc", "square", "triangle", "cross")
# The range of each factor: the number of the shape; the hue, 0 red to 0.8 violet; radius and centre
# in pixels from the middle; slant, by which a row moves for each row below it; grey of the ground.
RANGES = {
    "shape": (0, len(SHAPES)),
    "hue": (0.0, 0.8),
    "size": (4.0, 6.5),
    "x": (-5.0, 5.0),
    "y": (-5.0, 5.0),
    "slant": (-0.5, 0.5),
    "background": (0.0, 0.5),
}
FACTORS = tuple(RANGES)
SIDE = 32
_BLOCK = 1000  # pictures that are drawn at a time


def shapes(
    n_train: int = 5000, n_test: int = 1000, vary: Iterable[str] = FACTORS, seed: int = 0
) -> Images:
    """Pictures of one coloured shape each, 32×32 RGB, with the factors that made them.

    The factors of `vary` are drawn uniformly from `RANGES`, independently; the others keep the
    middle of theirs, and the shape is a disc. So the pictures lie on a manifold of dimension r, the
    number of varied factors (without "shape", which has no dimension), in d = 3072. Nothing but
    sums, products and square roots is computed, so each machine paints the same bytes.

    Args:
        n_train, n_test: how many pictures.
        vary: names among `FACTORS`.
        seed: of the factors; another one gives other pictures.

    Returns:
        The pictures; `labels` number the shapes, `train_factors` and `test_factors` are float64,
        shape (n, 7), with columns `factors`.

    Raises:
        ValueError: an unknown factor, or n < 1.

    >>> images = shapes(100, 10, vary=("x", "y"))
    >>> images.train_pixels.shape, images.train_factors[:, 1].unique().tolist()
    (torch.Size([100, 3, 32, 32]), [0.4])
    """
    varied = set(vary)
    for name in varied:
        check_choice("vary", name, FACTORS)
    n = check_positive_int("n_train", n_train) + check_positive_int("n_test", n_test)
    values = torch.from_numpy(_draw(n, varied, seed))
    pixels, labels = paint(values), values[:, 0].long()
    return Images(
        "shapes",
        pixels[:n_train],
        pixels[n_train:],
        labels[:n_train],
        labels[n_train:],
        SHAPES,
        f"Shapes drawn by code, seed {seed}; varied: {', '.join(sorted(varied)) or 'nothing'}.",
        train_factors=values[:n_train],
        test_factors=values[n_train:],
        factors=FACTORS,
    )


def _draw(n: int, varied: set[str], seed: int) -> np.ndarray:
    """Factors, shape (n, 7)."""
    columns = np.random.default_rng(check_seed(seed)).random((len(FACTORS), n))
    for column, (name, (low, high)) in zip(columns, RANGES.items(), strict=True):
        share = column.copy() if name in varied else 0.5
        column[:] = low + (high - low) * share
    columns[0] = np.floor(columns[0]) if "shape" in varied else 0
    return np.ascontiguousarray(columns.T)


def paint(factors: Tensor) -> Tensor:
    """The pictures of factors (n, 7), in the order of `FACTORS`: bytes, shape (n, 3, 32, 32).

    >>> paint(torch.tensor([[0, 0.0, 6, 0, 0, 0, 0.2]]))[0, :, 16, [0, 16]].tolist()
    [[51, 255], [51, 38], [51, 38]]
    """
    return torch.cat([_paint(rows.double()) for rows in factors.split(_BLOCK)])


def _paint(factors: Tensor) -> Tensor:
    shape, hue, size, x, y, slant, background = factors[:, :, None, None].unbind(1)
    place = torch.arange(SIDE, dtype=torch.float64) - (SIDE - 1) / 2
    v = (place[:, None] - y) / size
    u = (place - x) / size - slant * v
    distances = torch.stack(_distances(u, v))
    distance = distances.gather(0, shape.long().expand_as(u)[None])[0] * size
    cover = (0.5 - distance).clamp(0, 1)[:, None]  # The edge is a pixel wide.
    mixed = cover * _colour(hue) + (1 - cover) * background[:, None]
    return (255 * mixed).round().byte()


def _distances(u: Tensor, v: Tensor) -> list[Tensor]:
    """How far a point lies outside of each shape; all have the area π."""
    across, down = u.abs(), v.abs()
    disc = (u * u + v * v).sqrt() - 1
    square = torch.maximum(across, down) - 0.886
    triangle = torch.maximum(v, 0.866 * across - 0.5 * v) - 0.778
    beam = torch.maximum(across - 1.189, down - 0.396)
    post = torch.maximum(across - 0.396, down - 1.189)
    return [disc, square, triangle, torch.minimum(beam, post)]


def _colour(hue: Tensor) -> Tensor:
    """A bright colour of hues (n, 1, 1): shape (n, 3, 1, 1), as HSV's with a saturation of 0.85."""
    phase = 6 * hue[:, None] + torch.tensor([0.0, 4.0, 2.0], dtype=hue.dtype)[:, None, None]
    ramp = ((phase % 6 - 3).abs() - 1).clamp(0, 1)
    return 0.15 + 0.85 * ramp

"""Figures: one style, a colour-blind safe palette, one colour one meaning through the whole course.

Functions draw on axes that they are given and return nothing; `image_grid` and `to_png` make
pictures of arrays.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from vaelab._arrays import as_array, as_numbers, as_tensor
from vaelab._inputs import check_positive_int

# Okabe & Ito (2008): distinguishable with every common colour vision.
COLORS = {
    "data": "#000000",
    "prior": "#0072B2",
    "q": "#D55E00",
    "second": "#009E73",
    "exact": "#CC79A7",
    "fixed": "#E69F00",
    "other": "#56B4E9",
}
GAMMA = "decoder variance γ"
LAMBDA = "eigenvalue λ of Σ_z"


def use_style() -> None:
    """Set the course's figure style for this session."""
    plt.rcParams.update(
        {
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "legend.frameon": False,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
        }
    )


def _numbers(values: Any) -> np.ndarray:
    return as_array(as_tensor(values).double())


def image_grid(images: Any, columns: int | None = None, pad: int = 1) -> np.ndarray:
    """Tile images into one picture.

    Args:
        images: (n, h, w), (n, 1, h, w) or (n, 3, h, w), values in [0, 1]; what lies outside is cut.
        columns: images a row; the square root of n unless given.
        pad: white pixels between two images.

    Returns:
        (H, W) or (H, W, 3), values in [0, 1].

    Raises:
        ValueError: another shape, or no image.
    """
    x = _numbers(images)
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
        expected = "(n, h, w), (n, 1, h, w) or (n, 3, h, w), n ≥ 1"
        raise ValueError(f"images: expected shape {expected}, got {np.shape(images)}")
    n, channels, h, w = x.shape
    pad = check_positive_int("pad", pad, 0)
    wanted = math.ceil(math.sqrt(n)) if columns is None else columns
    columns = check_positive_int("columns", wanted)
    rows = math.ceil(n / columns)
    tiles = np.ones((rows * columns, channels, h + pad, w + pad))
    tiles[:n, :, :h, :w] = x.clip(0, 1)
    tiles = tiles.reshape(rows, columns, *tiles.shape[1:]).transpose(0, 3, 1, 4, 2)
    picture = tiles.reshape(rows * (h + pad), columns * (w + pad), channels)
    end = -pad or None
    picture = picture[:end, :end]
    return picture[..., 0] if channels == 1 else picture


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as the bytes nearest to them."""
    return np.round(np.asarray(picture) * 255).astype(np.uint8)


def to_png(picture: np.ndarray, scale: int = 1) -> bytes:
    """A picture of `image_grid` as the bytes of a PNG file, every pixel `scale` × `scale`."""
    pixels = as_bytes(picture)
    scale = check_positive_int("scale", scale)
    return pixels_to_png(pixels.repeat(scale, 0).repeat(scale, 1))


def pixels_to_png(pixels: np.ndarray, palette: np.ndarray | None = None) -> bytes:
    """Bytes as a PNG file, compressed little and fast.

    Args:
        pixels: (H, W) or (H, W, 3); with a palette (H, W), its entries' numbers.
        palette: bytes (256, 3).
    """
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def rgb(color: str) -> tuple[int, ...]:
    """The three bytes of "#rrggbb"."""
    return tuple(bytes.fromhex(color[1:]))


def show_images(
    ax: Axes,
    images: Any,
    title: str = "",
    columns: int | None = None,
) -> None:
    """Draw a grid of images, as for `image_grid`, without axes."""
    ax.imshow(image_grid(images, columns), vmin=0, vmax=1)
    ax.set_title(title)
    ax.set_axis_off()


def show_rows(ax: Axes, rows: Mapping[str, Any], title: str = "") -> None:
    """Draw a row of images under each other for each name, which stands to its left.

    Args:
        ax: where to draw.
        rows: images as for `image_grid`, equally many under each name.
        title: of the whole.
    """
    images = [_numbers(row) for row in rows.values()]
    show_images(ax, np.concatenate(images), title, columns=len(images[0]))
    height = images[0].shape[-2] + 1
    for k, name in enumerate(rows):
        ax.text(-2, (k + 0.5) * height, name, ha="right", va="center", fontsize=9)


def _counted(values: Sequence[float]) -> np.ndarray:
    """1, 2, … as long as the values."""
    return np.arange(1, len(values) + 1)


def gamma_curve(
    ax: Axes, curves: Mapping[str, Sequence[float]], colors: Mapping[str, str] | None = None
) -> None:
    """γ against epochs, on a logarithmic axis, a line for each name."""
    for name, gamma in curves.items():
        (line,) = ax.semilogy(_counted(gamma), gamma, label=name, color=(colors or {}).get(name))
        line.set_linestyle("--" if len(set(gamma)) == 1 else "-")
    ax.set(xlabel="epoch", ylabel=GAMMA)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()


def eigenvalue_histogram(
    ax: Axes,
    eigenvalues: Any,
    color: str = COLORS["q"],
    label: str | None = None,
) -> None:
    """How often each λ_j in [0, 1] occurs, over images and latent directions (Dai & Wipf 2019, Fig.
    11).
    """
    values = as_array(as_numbers("eigenvalues", eigenvalues)).clip(0, 1.2).ravel()
    share = np.full_like(values, 1 / len(values))
    edges = np.linspace(0, 1.2, 37).tolist()
    ax.hist(
        values,
        edges,
        weights=share,
        color=color,
        label=label,
    )
    ax.axvline(0.5, color="0.5", linestyle=":")
    ax.set(xlabel=LAMBDA, ylabel="share of directions")


def eigenvalue_split(
    ax: Axes,
    gammas: Sequence[float],
    eigenvalues: Any,
    color: str = COLORS["q"],
) -> None:
    """λ_j against γ, falling to the right: a point for each γ and index at the median over x, a bar
    from 5 % to 95 %.

    Args:
        ax: where to draw.
        gammas: T decoder variances.
        eigenvalues: λ_j of Σ_z at n points, ascending, shape (T, n, κ).
    """
    quantiles = np.quantile(_numbers(eigenvalues), (0.05, 0.5, 0.95), axis=1)
    style = {"fmt": "o", "markersize": 4, "linewidth": 1, "color": color}
    for low, middle, high in quantiles.transpose(2, 0, 1):
        ax.errorbar(gammas, middle, [middle - low, high - middle], **style)
    ax.set(
        xscale="log",
        xlabel=GAMMA,
        ylabel=LAMBDA,
        ylim=(-0.03, 1.1),
    )
    if not ax.xaxis_inverted():
        ax.invert_xaxis()


def split_gif(
    gammas: Sequence[float],
    eigenvalues: Any,
    r: int,
    milliseconds: int = 350,
) -> bytes:
    """The split as a film, the bytes of a GIF: each λ_j of each point x as γ falls, one frame a γ.

    Args:
        gammas: T decoder variances, falling.
        eigenvalues: shape (T, n, κ), as for `eigenvalue_split`; 100 points are enough.
        r: dimension of the manifold, for the title.
        milliseconds: that a frame stands; the last stands ten times as long.
    """
    values = _numbers(eigenvalues)
    frames = [_split_frame(*step, r) for step in zip(gammas, values, strict=True)]
    times = [milliseconds] * (len(frames) - 1) + [10 * milliseconds]
    film = io.BytesIO()
    options = {"save_all": True, "loop": 0, "optimize": True}
    frames[0].save(film, "GIF", append_images=frames[1:], duration=times, **options)
    return film.getvalue()


def _split_frame(gamma: float, eigenvalues: np.ndarray, r: int) -> Image.Image:
    figure = Figure(figsize=(4.2, 2.8), dpi=90, layout="constrained")
    ax = figure.subplots()
    shift = np.linspace(-0.3, 0.3, len(eigenvalues))
    for j, column in enumerate(eigenvalues.T, 1):
        ax.plot(j + shift, column, ".", markersize=3, color=COLORS["q" if j <= r else "prior"])
    ax.axhline(0.5, color="0.6", linestyle=":")
    ax.set(
        xlabel="index j", ylabel=LAMBDA, ylim=(-0.03, 1.1), xticks=range(1, len(eigenvalues.T) + 1)
    )
    ax.set_title(f"γ = {gamma:.3g},  r = {r}", loc="left")
    picture = Image.open(io.BytesIO(figure_png(figure)))
    return picture.convert("RGB").quantize(16)


def figure_png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def search_curve(ax: Axes, found: Any, label: str = "search", color: str = COLORS["q"]) -> None:
    """The lowest score so far of a search (`lines.Found`) over the lines scored, and each score.

    Args:
        ax: where it is drawn.
        found: what the search gave.
        label: of the curve.
        color: of curve and points.
    """
    places = np.arange(1, len(found.scores) + 1)
    ax.plot(places, found.scores, ".", color=color, alpha=0.25, markersize=4)
    ax.step(places, found.curve, where="post", color=color, label=label)
    ax.axhline(found.data_best, color=COLORS["data"], linestyle="--", label="best line given")
    ax.set(xlabel="lines scored", ylabel="score")
    ax.legend(fontsize=8)


def spectra(
    ax: Axes,
    values: Mapping[str, Any],
    colors: Mapping[str, str] | None = None,
    n: int | None = None,
) -> None:
    """Singular values of codes, descending, beside those of N(0, I) (Dai & Wipf 2019, Fig. 2).

    Args:
        ax: where to draw.
        values: singular values over √n, by name.
        colors: by the same names.
        n: how many codes they are of. Even n codes from N(0, I) spread, between 1 − √(κ/n) and 1 +
            √(κ/n) (Marchenko & Pastur 1967); with n that band is drawn.
    """
    for name, s in values.items():
        ax.plot(_counted(s), s, ".-", label=name, color=(colors or {}).get(name))
    prior = COLORS["prior"]
    ax.axhline(
        1.0,
        color=prior,
        linestyle="--",
        label="N(0, I)",
    )
    if n is not None:
        spread = math.sqrt(max(len(s) for s in values.values()) / n)
        band = ax.axhspan(1 - spread, 1 + spread, label=f"{n} draws of it")
        band.set(
            color=prior,
            alpha=0.12,
            linewidth=0,
        )
    ax.set(
        xlabel="index",
        ylabel="singular value / √n",
        ylim=(0, None),
    )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()


def report_curves(report: Mapping[str, Any]) -> dict[str, Any]:
    """What the lower half of `report_figure` draws, read from the report of `experiments.demo`."""
    stages = {"stage 1": "stage 1 latents z", "stage 2": "stage 2 latents u"}
    first = report["gamma_curves"]
    return {
        "gamma_curves": {
            "γ learned": first["γ learned"],
            "second stage": report["second_gamma_curve"],
            "γ fixed": first["γ fixed"],
        },
        "spectra": {stages[name]: values for name, values in report["spectra"].items()},
        "eigenvalues": report["eigenvalues"],
        "n_codes": report["n_codes"],
    }


def report_figure(report: Mapping[str, Any], pictures: Mapping[str, Any]) -> Figure:
    """The one figure of a two-stage run: pictures above, what the theory speaks of below.

    Args:
        report: "gamma_curves" and "spectra" by name, "eigenvalues" and "n_codes"; see
            `report_curves`.
        pictures: from title to images (n, c, h, w); up to six.
    """
    n = len(pictures)
    figure = plt.figure(figsize=(13, 8.2))
    ratios = [1.5 if n > 3 else 1.0, 1.0]
    (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=ratios)
    columns = min(n, 3)
    axes = top.subplots(math.ceil(n / columns), columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for ax, (name, images) in zip(axes.flat, pictures.items(), strict=False):
        show_images(ax, images, name, columns=10)
    left, middle, right = bottom.subplots(1, 3)
    q, second = COLORS["q"], COLORS["second"]
    colors = {"γ fixed": COLORS["fixed"], "γ learned": q, "second stage": second}
    gamma_curve(left, report["gamma_curves"], colors)
    left.set_title("γ falls until it meets the error it can reach")
    eigenvalue_histogram(middle, report["eigenvalues"])
    middle.set_title("λ near 0 carries the image, near 1 noise")
    colors = {"stage 1 latents z": q, "stage 2 latents u": second}
    spectra(right, report["spectra"], colors, report["n_codes"])
    right.set_title("the second stage's latents come nearer to N(0, I)")
    return figure


def drawn_figure(drawn: Any) -> Figure:
    """A figure of `experiments.FIGURES`: rows of images with a label each, or panels of curves.

    Args:
        drawn: what it draws, an `experiments.Drawn`.
    """
    if drawn.curves:
        return _curves_figure(drawn)
    columns = max(map(len, drawn.strips.values()))
    size = (2.2 + 0.5 * columns, 0.5 + 0.5 * len(drawn.strips))
    figure, ax = plt.subplots(figsize=size)
    show_rows(ax, drawn.strips)
    for i, head in enumerate(drawn.heads):
        middle = (i + 0.5) / len(drawn.heads)
        ax.text(middle, 1.01, head, transform=ax.transAxes, ha="center")
    figure.supxlabel(drawn.note, fontsize=8)
    return figure


def _curves_figure(drawn: Any) -> Figure:
    figure, axes = plt.subplots(1, len(drawn.curves), figsize=(4.5 * len(drawn.curves), 3.2))
    palette = ("data", "prior", "other", "q")
    for ax, (title, panel) in zip(np.atleast_1d(axes), drawn.curves.items(), strict=True):
        curves = [(label, values) for label, values in panel.items() if label != "x"]
        for (label, values), color in zip(curves, palette, strict=False):
            ax.plot(panel["x"], values, "o-", color=COLORS[color], label=label)
        values = np.concatenate([each for _, each in curves])
        ax.set(xscale="log", xlabel=title, ylabel="Fréchet distance")
        ax.set_yscale("log" if values.max() > 10 * values.min() else "linear")
        ax.set_xticks(panel["x"], [f"{x:g}" for x in panel["x"]])
        ax.set_xticks([], minor=True)
        ax.legend(fontsize=8)
    figure.supxlabel(drawn.note, fontsize=8)
    return figure


def table_figure(filled: Any) -> Figure:
    """A table with its figures: a column of panels a data set, measured here above, published
    below.

    Args:
        filled: from `experiments.fill`.
    """
    labels = filled.labels
    columns = filled.columns
    entries = {column: [filled.entries[row, column] for row in labels] for column in columns}
    printed = [c for c in columns if any(entry.paper is not None for entry in entries[c])]
    n_rows = 2 if printed else 1
    quantity = {"frechet": "Fréchet distance", "mmd2": "MMD²"}[filled.table.rows[0].measure[0]]
    figure = plt.figure(figsize=(2.2 + 2.6 * len(columns), 1.3 + 0.32 * (n_rows * len(labels))))
    axes = figure.subplots(n_rows, len(columns), squeeze=False, sharey=True)
    for ax, column in zip(axes[0], columns, strict=True):
        _table_panel(ax, labels, [(e.mean, e.sd) for e in entries[column]], COLORS["q"])
        ax.set(title=column if ", " in column else f"{column}, here", xlabel=quantity)
    for ax, column in zip(axes[1:].flat, columns, strict=False):
        _table_panel(ax, labels, [(e.paper, e.paper_sd) for e in entries[column]], COLORS["data"])
        ax.set_title(f"{column.partition(', ')[0]}, paper ({filled.table.published})")
        ax.set_visible(column in printed)
        ax.tick_params(labelleft=column == printed[0])
    return figure


def _table_panel(
    ax: Axes,
    labels: Sequence[str],
    values: Sequence[tuple[float | None, float | None]],
    color: str,
) -> None:
    """A point and a bar for each label whose (mean, standard deviation) is known."""
    known = [(i, mean, sd or 0.0) for i, (mean, sd) in enumerate(values) if mean is not None]
    rows, means, bars = np.array(known).reshape(-1, 3).T
    ax.errorbar(
        means,
        rows,
        xerr=bars,
        fmt="o",
        color=color,
        capsize=3,
        markersize=5,
    )
    ax.set(
        yticks=range(len(labels)),
        yticklabels=labels,
        xlim=(0, None),
    )
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.grid(axis="y", color="0.9")
    ax.tick_params(axis="y", length=0)

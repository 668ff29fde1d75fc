"""Pictures are the images they are made of; figures say what they show."""

import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from vaelab import metrics, plots


@pytest.fixture(autouse=True)
def one_style(monkeypatch):
    monkeypatch.setattr(plt, "rcParams", mpl.rcParams.copy())
    before = mpl.rcParams.copy()
    mpl.use("agg")
    yield
    plt.close("all")
    mpl.rcParams.update(before)


def images(n=5, channels=1, h=3, w=4):
    return torch.rand(n, channels, h, w, generator=torch.Generator().manual_seed(0))


# ---- grids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_stands_in_its_place(channels):
    x = images(5, channels)
    grid = plots.image_grid(x, columns=2, pad=1)
    assert grid.shape == ((3 * 3 + 2, 2 * 4 + 1) if channels == 1 else (3 * 3 + 2, 2 * 4 + 1, 3))
    for i, image in enumerate(x.numpy()):
        top, left = 4 * (i // 2), 5 * (i % 2)
        expected = image[0] if channels == 1 else image.transpose(1, 2, 0)
        np.testing.assert_allclose(grid[top : top + 3, left : left + 4], expected)
    assert (grid[3] == 1).all() and (grid[:, 4] == 1).all() and (grid[8:, 5:] == 1).all()


def test_grids_are_square_unless_told():
    assert plots.image_grid(images(9)).shape == (11, 14)
    assert plots.image_grid(images(1)[:, 0]).shape == (3, 4)
    np.testing.assert_array_equal(
        plots.image_grid(images(4)[:, 0].numpy()), plots.image_grid(images(4))
    )


def test_values_outside_the_range_are_cut():
    grid = plots.image_grid(np.array([[[-1.0, 2.0]]]))
    np.testing.assert_array_equal(grid, [[0, 1]])


@pytest.mark.parametrize("shape", [(0, 1, 3, 4), (2, 2, 3, 4), (3, 4), (1, 2, 3, 4, 5)])
def test_other_shapes_are_answered(shape):
    with pytest.raises(ValueError, match=r"images: expected shape \(n, h, w\), .* n ≥ 1, got \("):
        plots.image_grid(np.zeros(shape))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels):
    grid = plots.image_grid(images(4, channels))
    picture = np.asarray(Image.open(io.BytesIO(plots.to_png(grid, scale=3))), dtype=float)
    assert picture.shape[:2] == (3 * grid.shape[0], 3 * grid.shape[1])
    np.testing.assert_allclose(picture[1::3, 1::3] / 255, grid, atol=0.5 / 255 + 1e-9)


# ---- figures -------------------------------------------------------------------------------------


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_gamma_curves_are_logarithmic_lines():
    _, ax = plt.subplots()
    plots.gamma_curve(ax, {"a": [1.0, 0.1, 0.01], "b": [1.0, 1.0, 1.0]}, {"a": "#D55E00"})
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "decoder variance γ"
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [1.0, 0.1, 0.01])
    assert legend(ax) == ["a", "b"]
    assert ax.lines[0].get_color() == "#D55E00"
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"]  # what stays is dashed


def test_histogram_is_of_shares():
    _, ax = plt.subplots()
    plots.eigenvalue_histogram(ax, torch.tensor([[0.01, 0.99], [0.02, 5.0]]))
    heights = np.array([patch.get_height() for patch in ax.patches])
    assert heights.sum() == pytest.approx(1) and heights[0] == pytest.approx(0.5)
    assert heights[-1] == pytest.approx(0.25)  # what lies beyond the axis stands at its end


def test_rows_of_pictures_have_their_names_beside_them():
    _, ax = plt.subplots()
    plots.show_rows(ax, {"ours": images(3), "theirs": images(3)})
    assert [text.get_text() for text in ax.texts] == ["ours", "theirs"]
    assert ax.images[0].get_array().shape == plots.image_grid(images(6), columns=3).shape
    heights = [text.get_position()[1] for text in ax.texts]
    assert heights[1] - heights[0] == images(1).shape[-2] + 1


def test_spectra_stand_beside_the_one_of_the_prior():
    _, ax = plt.subplots()
    plots.spectra(ax, {"z": [2.0, 1.0, 0.5]})
    assert legend(ax) == ["z", "N(0, I)"]
    assert ax.get_ylim()[0] == 0


def test_the_band_of_the_spectra_holds_those_of_normal_draws():
    _, ax = plt.subplots()
    z = torch.randn(1000, 40, generator=torch.Generator().manual_seed(0))
    plots.spectra(ax, {"z": metrics.singular_values(z)}, n=len(z))
    low, high = ax.patches[0].get_y(), ax.patches[0].get_y() + ax.patches[0].get_height()
    values = ax.lines[0].get_ydata()
    assert low - 0.02 < values.min() < low + 0.05 and high - 0.05 < values.max() < high + 0.02


def report():
    return {
        "gamma_curves": {"γ fixed": [1.0, 1.0], "γ learned": [1.0, 0.1]},
        "second_gamma_curve": [1.0, 0.5],
        "spectra": {"stage 1": [1.2, 0.8], "stage 2": [1.0, 1.0]},
        "eigenvalues": [0.01, 0.99],
        "n_codes": 100,
    }


@pytest.mark.parametrize("n", [1, 3, 5])
def test_the_report_has_a_panel_for_everything(n, tmp_path):
    plots.use_style()
    pictures = {f"kind {i}": images(60) for i in range(n)}
    figure = plots.report_figure(plots.report_curves(report()), pictures)
    titles = [ax.get_title() for ax in figure.get_axes()]
    assert set(pictures) <= set(titles) and len([t for t in titles if t]) == n + 3
    figure.savefig(tmp_path / "figure.png")
    pixels = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    assert pixels.shape == (820, 1300) and pixels.std() > 20
    assert (tmp_path / "figure.png").stat().st_size < 250_000


def luminance(color):
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_colours_differ_and_stand_out_from_white():
    assert len(set(plots.COLORS.values())) == len(plots.COLORS)
    contrast = {name: 1.05 / (luminance(color) + 0.05) for name, color in plots.COLORS.items()}
    assert min(contrast.values()) > 2, contrast

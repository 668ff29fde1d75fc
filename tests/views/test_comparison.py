"""q(z) beside what stands in for it: panels, brush and cursor."""

import numpy as np
import pytest
import torch
from pictures import as_bytes, pixels

from vaelab import densities, metrics, widgets


@pytest.fixture(scope="module")
def comparison(vae, full, second, digits):
    x, labels = digits.train[:300], digits.train_labels[:300]
    gaussian, mixture = densities.Gaussian().fit(vae, x), densities.GaussianMixture(2).fit(full, x)
    entries = {"one": (vae, {"Gaussian": gaussian, "second": second}), "two": (full, mixture)}
    return widgets.PosteriorComparison(entries, x, labels, n_codes=200)


@pytest.fixture
def rows(comparison):
    for row in comparison.rows.values():
        row.x.index, row.y.index, row.density.index = 0, 1, 1
        row.canvas.box = []
    comparison.classes.index = 0
    return comparison.rows


def test_the_panels_show_q_the_density_and_the_prior(rows, vae, digits):
    row = rows["one"]
    assert [p.shape for p in row.points] == [(200, 2)] * 3
    strongest = (
        vae.codes(digits.train[:300]).covariance().diagonal(dim1=1, dim2=2).mean(0).argsort()
    )
    prior = densities.StandardNormal().fit_codes(vae.codes(digits.train[:1])).sample(200, 1)
    assert np.allclose(row.points[2], prior[:, strongest[:2]])
    own = densities.draw(vae.codes(digits.train[:300]), 0)[:, strongest[:2]].numpy()
    assert {tuple(p) for p in np.float32(row.points[0])} <= {tuple(p) for p in own}
    for panel, points in enumerate(row.points):
        colors = pixels(row.canvas)  # palette numbers: the axes are grey, below 200
        x, y = np.round(row._scatter.pixels(panel, points)).astype(int).T
        assert (colors[y, x] >= 200).mean() > 0.95  # all but those that touch the frame


def test_the_distances_are_those_of_the_samples_shown(rows):
    row = rows["one"]
    assert row.distances["density"] == (
        metrics.mmd2(row._q, row._drawn),
        metrics.sliced_wasserstein(row._q, row._drawn),
    )
    before = row.distances["density"]
    row.density.value = "second"
    assert row.distances["density"] != before and "200 codes each" in row.figures.value


def test_a_class_dims_the_others_in_every_panel_of_every_model(comparison, rows):
    comparison.classes.value = "3"
    for row in rows.values():
        bright = row.colors[0] >= 0
        assert (
            bright.any()
            and (comparison._classes[bright] == 3).all()
            and (comparison._classes[~bright] != 3).all()
        )
        for panel, codes in ((1, row._drawn), (2, row._normal)):
            nearest = np.array([int((row._q - z).square().sum(1).argmin()) for z in codes])
            assert ((row.colors[panel] >= 0) == bright[nearest]).all()


def test_a_rectangle_dragged_in_one_panel_chooses_images_in_all_models(comparison, rows):
    one, two = rows["one"], rows["two"]
    ends = np.quantile(one.points[0], (0.2, 0.8), axis=0)
    corners = one._scatter.pixels(1, ends)
    one.canvas.box = [*corners[0].tolist(), *corners[1].tolist()]
    assert np.allclose([one.range_x.value, one.range_y.value], ends.T)
    inside = ((one.points[0] >= ends[0]) & (one.points[0] <= ends[1])).all(1)
    assert 0 < inside.sum() < 200
    for row in (one, two):
        assert ((row.colors[0] >= 0) == inside).all()
    palette = pixels(two.canvas)
    assert (palette == 210).any()  # the dim colour
    one.canvas.box = []
    assert comparison.bright.all() and not (pixels(two.canvas) == 210).any()


def test_the_sliders_brush_as_the_mouse_does(comparison, rows):
    rows["two"].range_y.value = (0.0, rows["two"].range_y.max)
    assert (comparison.bright == (rows["two"].points[0][:, 1] >= 0)).all()


def test_the_cursor_decodes_its_place_in_the_plane(rows, vae):
    row = rows["one"]
    row.canvas.pointer = row._scatter.pixels(0, np.array([[0.7, -0.4]]))[0].tolist()
    first, other = (row._axes[row.x.value], row._axes[row.y.value])
    assert row.code @ first == pytest.approx(0.7, abs=1e-5) and row.code @ other == pytest.approx(
        -0.4, abs=1e-5
    )
    rest = torch.ones(5) - first - other
    assert torch.allclose(row.code * rest, row._mean * rest)
    assert (pixels(row.decoded)[::14, ::14] == as_bytes(vae.images(row.code[None])[0, 0])).all()
    assert np.allclose(
        row.canvas.marks, [row._scatter.pixels(k, np.array([[0.7, -0.4]]))[0] for k in range(3)]
    )
    row.cursor_x.value = -1.0
    assert row.code @ first == pytest.approx(-1.0, abs=1e-5)


def test_a_point_under_the_mouse_shows_its_image(rows, vae, digits):
    row = rows["one"]
    row.canvas.pointer = row._scatter.pixels(0, row.points[0][17:18])[0].tolist()
    assert row.closest == (0, 17)
    assert (pixels(row.nearest)[::14, ::14] == as_bytes(digits.train[row._rows[17], 0])).all()
    row.canvas.pointer = row._scatter.pixels(1, row.points[1][23:24])[0].tolist()
    assert row.closest == (1, 23)
    assert (pixels(row.nearest)[::14, ::14] == as_bytes(vae.images(row._drawn[23:24])[0, 0])).all()


def test_the_cursor_lies_in_a_plane_of_components_too(rows):
    row = rows["one"]
    row.x.value, row.y.value = "component 1", row.y.options[0]
    row.cursor_x.value, row.cursor_y.value = 0.5, -0.5
    at = [float(row.code @ row._axes[name]) for name in (row.x.value, row.y.value)]
    assert at == pytest.approx([0.5, -0.5], abs=1e-5)
    row.y.value = "component 1"
    row.cursor_x.value = row.cursor_y.value = 0.25
    assert float(row.code @ row._axes["component 1"]) == pytest.approx(0.25, abs=1e-5)

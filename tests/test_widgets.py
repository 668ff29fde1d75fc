import copy
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab import (
    densities,
    estimators,
    load_images,
    manifolds,
    metrics,
    models,
    networks,
    posteriors,
    theory,
    training,
    widgets,
)


def decode(z):
    return torch.sigmoid(z[:, :1, None, None] + torch.arange(12.0).reshape(1, 1, 3, 4))


def test_the_image_follows_every_slider():
    box = widgets.latent_explorer(lambda z: decode(z + z.flip(1)), latent_dim=3, scale=5)
    *sliders, image = box.children
    assert len(sliders) == 3
    seen = {image.value}
    for value, slider in enumerate((sliders[0], sliders[2]), 1):
        slider.value = value
        seen.add(image.value)
    assert len(seen) == 3
    assert Image.open(io.BytesIO(image.value)).size == (20, 15)


def test_two_explorers_do_not_drive_each_other():
    first, second = (widgets.latent_explorer(decode, 1) for _ in range(2))
    before = second.children[-1].value
    first.children[0].value = 2.0
    assert second.children[-1].value == before


def test_latent_dim_must_be_a_positive_number():
    with pytest.raises(ValueError, match="latent_dim"):
        widgets.latent_explorer(decode, 0)


def test_gamma_drives_the_images():
    box = widgets.gamma_explorer(lambda gamma: torch.full((3, 1, 2, 2), gamma), low=1e-4, scale=2)
    slider, image = box.children
    assert (slider.value, slider.min, slider.max) == (1.0, -4.0, 0.0)
    bright = Image.open(io.BytesIO(image.value))
    slider.value = 0.1
    dark = Image.open(io.BytesIO(image.value))
    assert bright.size == dark.size == (16, 4)
    assert bright.getpixel((0, 0)) == 255 and dark.getpixel((0, 0)) == 26


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1), (-1.0, 1.0)])
def test_gamma_runs_between_two_positive_ends(ends):
    with pytest.raises(ValueError, match="low < high"):
        widgets.gamma_explorer(decode, *ends)


def test_a_number_drives_the_figure():
    seen = []
    box = widgets.figure_explorer(
        lambda ax, t: seen.append((ax.plot([0, t])[0], t)), low=1.0, high=1e4, name="t"
    )
    slider, image = box.children
    before = image.value
    slider.value = 100.0
    assert (slider.description, slider.min, slider.max) == ("t", 0.0, 4.0)
    assert [t for _, t in seen] == [1.0, 100.0]
    assert image.value != before and Image.open(io.BytesIO(image.value)).size[0] > 300


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1)])
def test_a_figure_runs_between_two_positive_ends(ends):
    with pytest.raises(ValueError, match="low < high"):
        widgets.figure_explorer(lambda ax, t: None, *ends)


# ---- views of a model
# ----------------------------------------------------------------------------------------------


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture.value)))


def as_bytes(images):
    return np.round(np.asarray(images, dtype=float).clip(0, 1) * 255)


@pytest.fixture(scope="module")
def digits():
    return load_images("digits")


def trained(head="diagonal", latent_dim=5, **settings):
    with networks.seeded(0):
        nets = networks.mlp((1, 8, 8), latent_dim, (32,), output="sigmoid")
        model = (
            models.ae(nets)
            if head == "point"
            else models.vae(nets, gamma=0.02, full=head == "full")
        )
    x = load_images("digits").train[:600]
    training.fit(model, x, epochs=8, lr=3e-3, device="cpu", progress=False)
    return model


@pytest.fixture(scope="module")
def vae():
    return trained()


@pytest.fixture(scope="module")
def full():
    return trained("full")


@pytest.fixture(scope="module")
def second(vae, digits):
    stage = densities.SecondStage((16,), epochs=3, lr=1e-3, device="cpu")
    return stage.fit(vae, digits.train[:600])


@pytest.fixture
def traversal(vae, digits):
    view = widgets.LatentTraversal(vae, digits.test[:40], n_strip=5, labels=digits.test_labels[:40])
    yield view
    view.close()


def test_the_picture_is_what_the_decoder_makes_of_the_code(traversal, vae):
    before = traversal.image.value
    traversal.sliders[0].value = 1.0
    assert traversal.image.value != before
    shown = pixels(traversal.image)
    assert (shown[::28, ::28] == as_bytes(vae.images(traversal.code[None])[0, 0])).all()
    assert shown.shape == (224, 224) and (shown[:28, :28] == shown[0, 0]).all()


def test_a_slider_moves_its_own_direction_alone(traversal, vae, digits):
    variances = vae.codes(digits.test[:40]).covariance().diagonal(dim1=1, dim2=2).mean(0)
    order = variances.argsort().tolist()
    start = vae.codes(digits.test[:40]).mean[0]
    assert torch.allclose(traversal.code, start, atol=1e-6)
    for j, axis in enumerate(order):
        traversal.sliders[j].value = 0.25 * j - 1
        start[axis] = 0.25 * j - 1
    assert torch.allclose(traversal.code, start, atol=1e-6)
    assert torch.allclose(traversal.eigenvalues, variances.sort().values)
    names = [each.description for each in traversal.sliders]
    assert (
        names[0].startswith(f"z{'₁₂₃₄₅'[order[0]]} ") and f"λ = {variances.min():.2g}" in names[0]
    )


def test_the_strip_is_the_whole_way_of_the_direction_last_touched(traversal, vae):
    traversal.sliders[2].value = 1.0
    axis = (traversal.code == 1.0).int().argmax()
    codes = traversal.code.repeat(5, 1)
    codes[:, axis] = torch.linspace(-3, 3, 5)
    strip, side = pixels(traversal.strip), 64 + 2 * 3
    assert strip.shape == (side, 5 * side, 3)
    for k, image in enumerate(vae.images(codes)[:, 0]):
        inner = strip[3:-3, k * side + 3 : (k + 1) * side - 3]
        assert (inner[::8, ::8, 1] == as_bytes(image)).all()
    framed = [k for k in range(5) if (strip[0, k * side] != 255).any()]
    assert framed == [3]  # −3, −1.5, 0, 1.5, 3: the one next to 1.0 is 1.5


def test_eigenvectors_are_those_of_the_encoder_where_it_can_turn(full, digits):
    view = widgets.LatentTraversal(full, digits.test[:10])
    view.index.value, view.directions.value = 3, "eigenvectors"
    sigma = full.codes(digits.test[3:4]).covariance()[0]
    start, step = view.code.clone(), 0.5
    view.sliders[1].value += step
    moved = view.code - start
    assert torch.allclose(sigma @ moved, view.eigenvalues[1] * moved, atol=1e-5)
    assert moved.norm().item() == pytest.approx(step, rel=1e-4)
    assert torch.allclose(
        view.eigenvalues, full.codes(digits.test[3:4]).eigenvalues()[0], atol=1e-6
    )


@pytest.mark.parametrize("head", ["diagonal", "point"])
def test_eigenvectors_are_those_of_equation_83_where_the_encoder_cannot_turn(head, vae, digits):
    model = vae if head == "diagonal" else trained("point")
    view = widgets.LatentTraversal(model, digits.test[:10])
    view.directions.value = "eigenvectors"
    model.double()
    try:
        z = model.codes(digits.test[:1].double()).mean
        J = theory.decoder_jacobian(model.decode, z)[0].detach()
        expected = torch.linalg.inv(torch.eye(5) + J.T @ J / model.gamma)
    finally:
        model.float()
    assert torch.allclose(
        view.eigenvalues.double(), torch.linalg.eigvalsh(expected), rtol=1e-3, atol=1e-5
    )
    assert len({each.description for each in view.sliders}) == 5


def test_cross_entropy_has_no_gamma_and_its_curvature_in_its_place(digits):
    with networks.seeded(0):
        model = models.ce_vae(networks.mlp((1, 8, 8), 3, (16,), output="sigmoid")).double()
    view = widgets.LatentTraversal(model, digits.test[:10])
    view.directions.value = "eigenvectors"
    z = view.code[None]
    x = model.images(
        z
    )  # where the image is the decoder's mean, the second derivative of x̂ drops out
    curvature = torch.func.hessian(lambda row: model.likelihood.nll(x, model.decode(row[None]))[0])(
        z[0]
    )
    expected = torch.linalg.inv(torch.eye(3) + curvature)
    assert torch.allclose(view.eigenvalues, torch.linalg.eigvalsh(expected).detach(), rtol=1e-6)


def test_buttons_reset_draw_and_go_to_the_mean_code(vae, second, digits):
    x = digits.test[:20]
    mixture = densities.GaussianMixture(2).fit(vae, x)
    view = widgets.LatentTraversal(vae, x, density={"mixture": mixture, "second": second}, seed=4)
    start = view.code.clone()
    view.sliders[0].value = 2.5
    view.reset.click()
    assert torch.allclose(view.code, start, atol=1e-6)
    view.draw.click()
    expected = torch.randn(1, 5, generator=torch.Generator().manual_seed(4))[0]
    assert torch.allclose(view.code, expected, atol=1e-6)
    view.source.value = "mixture"
    view.draw.click()
    assert torch.allclose(view.code, mixture.sample(1, seed=5)[0], atol=1e-6)
    view.mean.click()
    assert torch.allclose(view.code, vae.codes(x).mean.mean(0), atol=1e-6)


def test_a_second_stage_gives_sliders_in_u(vae, second, digits):
    view = widgets.LatentTraversal(vae, digits.test[:20], density=second)
    assert view.space.options == ("z", "u")
    view.space.value = "u"
    u = second.vae.codes(vae.codes(digits.test[:1]).mean).mean[0]
    assert torch.allclose(view.code, u, atol=1e-6)
    view.sliders[0].value = -1.5
    expected = vae.images(second.vae.images(view.code[None]))
    assert (pixels(view.image)[::28, ::28] == as_bytes(expected[0, 0])).all()
    assert all(each.description.startswith("u") for each in view.sliders)
    view.source.value = "SecondStage"
    view.draw.click()
    assert torch.allclose(
        view.code, torch.randn(1, 5, generator=torch.Generator().manual_seed(0))[0], atol=1e-6
    )


def test_codes_beyond_the_sliders_widen_them(vae, digits):
    far = densities.Gaussian().fit_codes(posteriors.Point(50 + torch.randn(30, 5)))
    view = widgets.LatentTraversal(vae, digits.test[:20], density={"far": far})
    view.source.value = "far"
    view.draw.click()
    assert torch.allclose(view.code, far.sample(1)[0], atol=1e-4)
    assert all(each.min <= each.value <= each.max for each in view.sliders)
    view.reset.click()
    assert max(each.max for each in view.sliders) < 20


def test_an_estimator_is_decoded_in_the_datas_own_units(digits):
    rows = digits.train[:300]
    estimator = estimators.TwoStageVAE(
        3, hidden=(16,), epochs=3, second_hidden=(8,), second_epochs=2, random_state=0
    )
    estimator.fit(rows)
    view = widgets.LatentTraversal(estimator, digits.test[:10])
    assert view.space.options == ("z", "u")
    view.sliders[0].value = 0.75
    expected = estimator.inverse_transform(view.code[None])
    assert (np.abs(pixels(view.image)[::28, ::28] - as_bytes(expected[0, 0])) <= 1).all()


def test_colour_images_keep_their_colours():
    with networks.seeded(0):
        model = models.vae(networks.infogan(3, 8, 4))
    x = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    view = widgets.LatentTraversal(model, x)
    view.sliders[1].value = -0.5
    expected = as_bytes(model.images(view.code[None])[0].permute(1, 2, 0))
    assert (pixels(view.image)[::28, ::28] == expected).all()
    assert (pixels(view.original)[::28, ::28] == as_bytes(x[0].permute(1, 2, 0))).all()


def test_many_changes_are_one_frame_of_the_newest_values(traversal, vae):
    drawn = traversal.frames
    with traversal.one_frame():
        for value in np.linspace(-2, 2, 50):
            for each in traversal.sliders:
                each.value = value
        assert traversal.frames == drawn
    assert traversal.frames == drawn + 1
    assert (
        pixels(traversal.image)[::28, ::28] == as_bytes(vae.images(traversal.code[None])[0, 0])
    ).all()
    assert torch.allclose(traversal.code, torch.full((5,), 2.0))
    traversal.sliders[0].value = 1.0
    assert traversal.frames == drawn + 2  # drawn before the next event is read


def test_every_frame_sent_while_dragging_is_that_of_the_newest_value(traversal, vae, monkeypatch):
    sent = []
    monkeypatch.setattr(
        traversal.image, "_send", lambda message, buffers=None: sent.append(bytes(buffers[0]))
    )
    codes = []
    for value in np.linspace(-2, 2, 41):
        traversal.sliders[2].set_state({"value": value})  # as it comes from a browser
        codes.append(traversal.code)
        assert len(sent) == len(codes)  # before the next one is read
    shown = np.stack([np.asarray(Image.open(io.BytesIO(png)))[::28, ::28] for png in sent])
    assert (shown == as_bytes(vae.images(torch.stack(codes))[:, 0])).all()


def test_a_value_that_a_browser_rounds_to_its_steps_leaves_the_code_alone(traversal):
    code, drawn = traversal.code, traversal.frames
    for each in traversal.sliders:
        each.set_state({"value": round(each.value / each.step) * each.step})
    assert torch.equal(traversal.code, code) and traversal.frames == drawn
    first = traversal.sliders[0]
    first.set_state({"value": first.value + first.step})
    assert not torch.equal(traversal.code, code)


def test_a_picked_image_draws_one_frame(traversal):
    drawn = traversal.frames
    traversal.index.value = 7
    assert traversal.frames == drawn + 1


# ---- the interpolator
# ----------------------------------------------------------------------------------------------


def test_slerp_turns_at_a_constant_rate_and_keeps_the_length():
    a, b = torch.tensor([3.0, 0.0, 0.0]).double(), torch.tensor([-1.0, 2.0, 2.0]).double()
    t = torch.linspace(0, 1, 7).double()
    arc = widgets.slerp(a, b, t)
    assert torch.allclose(arc[0], a) and torch.allclose(arc[-1], b)
    assert torch.allclose(arc.norm(dim=1), torch.full((7,), 3.0).double())
    steps = torch.nn.functional.cosine_similarity(arc[1:], arc[:-1]).arccos()
    assert torch.allclose(steps, steps[:1].expand(6))


@pytest.mark.parametrize(
    ("a", "b"), [([1.0, 2.0], [2.0, 4.0]), ([1.0, 2.0], [-1.0, -2.0]), ([0.0, 0.0], [1.0, 0.0])]
)
def test_where_there_is_no_arc_slerp_is_straight(a, b):
    a, b, t = torch.tensor(a), torch.tensor(b), torch.tensor([0.0, 0.25, 1.0])
    assert torch.equal(widgets.slerp(a, b, t), widgets.lerp(a, b, t))
    assert torch.allclose(widgets.lerp(a, b, t)[1], 0.75 * a + 0.25 * b)


def test_the_interpolator_decodes_every_way(vae, second, digits):
    view = widgets.Interpolator(vae, digits.test[:10], second, n_strip=4)
    assert view.ways == ("z straight", "z arc", "u straight", "u arc")
    view.first.value, view.second.value, view.position.value = 2, 5, 0.25
    z = vae.codes(digits.test[[2, 5]]).mean
    u = second.vae.codes(z).mean
    t = torch.tensor([0.25])
    through_u = second.vae.images(torch.cat([widgets.lerp(*u, t), widgets.slerp(*u, t)]))
    codes = torch.cat([widgets.lerp(*z, t), widgets.slerp(*z, t), through_u])
    side = 56 + 2 * 3
    shown = pixels(view.image)
    assert shown.shape == (4 * side, side, 3)
    for k, image in enumerate(vae.images(codes)[:, 0]):
        inner = shown[k * side + 3 : (k + 1) * side - 3, 3:-3, 0]
        assert (
            np.abs(inner[::7, ::7] - as_bytes(image)) <= 1
        ).all()  # a batch of another size may round otherwise
    strip = pixels(view.strip)
    ends = vae.images(z)[:, 0]
    for column, image in ((0, ends[0]), (3, ends[1])):
        inner = strip[3 : side - 3, column * side + 3 : (column + 1) * side - 3, 1]
        assert (np.abs(inner[::7, ::7] - as_bytes(image)) <= 1).all()
    assert [k for k in range(4) if (strip[0, k * side] != 255).any()] == [1]


# ---- the comparison
# ------------------------------------------------------------------------------------------------


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


# ---- the path of gamma
# ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(digits):
    with networks.seeded(0):
        model = models.vae(networks.mlp((1, 8, 8), 4, (16,)), full=True)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run = widgets.gamma_path(
        model, digits.train[:300], [0.1, 0.01], epochs=4, lr=3e-3, device="cpu", progress=False
    )
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    return run


def test_each_step_of_the_path_starts_from_the_one_before(path, digits):
    assert [gamma for gamma, _ in path] == [0.1, 0.01]
    assert [model.gamma for _, model in path] == pytest.approx([0.1, 0.01])
    again = copy.deepcopy(path[0][1])
    training.fit(
        again,
        digits.train[:300],
        epochs=4,
        lr=3e-3,
        seed=1,
        device="cpu",
        progress=False,
        gamma_schedule=training.Hold(0.01, until=2.0),
    )
    assert all(torch.equal(v, path[1][1].state_dict()[k]) for k, v in again.state_dict().items())


def test_the_path_shows_what_each_model_does(path, digits):
    x = digits.test[:30]
    view = widgets.GammaPath(path, x, n_columns=3, n_points=4)
    view.step.value = 1
    model, side = path[1][1], 64 + 2 * 3
    u = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    shown = pixels(view.image)
    for row, images in enumerate((x[:3], model.reconstruct(x[:3]), model.images(u))):
        for k in range(3):
            inner = shown[
                row * side + 3 : (row + 1) * side - 3, k * side + 3 : (k + 1) * side - 3, 0
            ]
            assert (inner[::8, ::8] == as_bytes(images[k, 0])).all()
    z = model.codes(x[:4])
    J = theory.decoder_jacobian(model.decode, z.mean).detach().double()
    assert np.allclose(view.predicted[1], theory.optimal_eigenvalues(J, 0.01).mean(0), rtol=1e-3)
    assert (
        np.allclose(view.eigenvalues[1], z.eigenvalues().mean(0), rtol=1e-5)
        and view.predicted_diagonal is None
    )
    with torch.no_grad():
        nll, latent = (
            term.mean().item() for term in model.loss_terms(x, torch.Generator().manual_seed(0))
        )
    assert (view.nll[1], view.latent[1]) == pytest.approx((nll, latent), rel=1e-5)
    assert f"{nll + latent:.1f} nats" in view.said.value
    assert view.plot.value != view._frames[0][1]


def test_a_training_run_is_a_path_of_what_it_kept(digits):
    with networks.seeded(0):
        model = models.vae(networks.mlp((1, 8, 8), 3, (8,)))
    run = training.fit(
        model,
        digits.train[:200],
        epochs=5,
        batch_size=50,
        gamma_lr=50.0,
        device="cpu",
        keep_every=2,
        progress=False,
    )
    view = widgets.GammaPath(run, digits.test[:6], n_points=2)
    assert view.gammas.tolist() == [run.history["gamma"][epoch] for epoch in (1, 3, 4)]
    assert view.gammas[0] > view.gammas[1] > view.gammas[2]
    last = run.saved[-1][1]
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in last.state_dict().items())
    assert not torch.equal(last.decoder[1].weight, run.saved[0][1].decoder[1].weight)
    silent = training.fit(model, digits.train[:200], epochs=1, device="cpu", progress=False)
    with pytest.raises(ValueError, match=r"run: expected at least one .* keep_every"):
        widgets.GammaPath(silent, digits.test[:6])


def test_a_diagonal_encoder_is_held_against_the_diagonal_nearest_to_equation_83(vae, digits):
    view = widgets.GammaPath([(vae.gamma, vae)], digits.test[:6], n_points=3)
    J = theory.decoder_jacobian(vae.decode, vae.codes(digits.test[:3]).mean).detach().double()
    precision = torch.eye(5) + J.mT @ J / vae.gamma
    expected = precision.diagonal(dim1=1, dim2=2).reciprocal().sort(1).values.mean(0)
    assert np.allclose(view.predicted_diagonal[0], expected, rtol=1e-3)


# ---- the theorems
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", ["skewed", "half_line"])
def test_theorem_one_shows_the_construction(density):
    view = widgets.TheoremOneView(density, latent_dim=3)
    view.t.value = 300.0
    optimum = theory.optimal_vae(manifolds.manifold("flat", density, r=1))
    x = view.values["x"][60:180:10, None]
    expected = theory.log_p_theta_lattice(optimum, x, 300.0, 2**17).exp()
    assert torch.allclose(view.values["p_theta"][60:180:10], expected, atol=1e-3)
    scores = torch.linspace(-1.5, 1.5, 9, dtype=torch.float64)[:, None]
    points = theory.from_noise(optimum.truth.density, scores)
    expected = theory.kl_q_to_posterior(optimum, points, 300.0, 150)
    assert torch.allclose(view.values["kl"], expected, rtol=1e-3, atol=1e-7)
    assert torch.allclose(view.values["eigenvalues"][1:], torch.ones(2).double())
    assert view.values["eigenvalues"][0].item() == pytest.approx(
        1 / 300 / optimum.jacobian(points[4:5]).item() ** 2
    )
    view.region.value = (0.0, 1.5)
    region = manifolds.Box([0.0], [1.5])
    assert view.values["mass"] == pytest.approx(
        theory.mass_of_set(optimum, region, 300.0), abs=1e-4
    )
    assert view.values["mass_limit"] == pytest.approx(optimum.truth.mass(region), abs=1e-9)
    before = view.image.value
    view.density.value = "gaussian"
    assert view.image.value != before and view.values["mass_limit"] == pytest.approx(
        0.4331927987, abs=1e-8
    )


@pytest.mark.parametrize("chart", ["arc", "sine_curve"])
def test_theorem_two_shows_the_construction(chart):
    view = widgets.TheoremTwoView("skewed", chart, t=50.0, latent_dim=2)
    optimum = theory.optimal_vae(manifolds.manifold(chart, "skewed"))
    rows = torch.randint(len(view._grid), (40,), generator=torch.Generator().manual_seed(0))
    expected = theory.log_p_theta_lattice(optimum, view._grid[rows].double(), 50.0).exp()
    assert torch.allclose(view.values["p_theta"].flatten()[rows].double(), expected, atol=2e-3)
    points = optimum.decode(torch.linspace(-1.5, 1.5, 9, dtype=torch.float64)[:, None])
    nll = -theory.log_p_theta_lattice(optimum, points, 50.0).mean().item()
    assert view.values["nll"] == pytest.approx(nll, abs=1e-3)
    view.place.value, view.radius.value = 0.5, 0.4
    centre = optimum.decode(torch.tensor([[0.5]], dtype=torch.float64))[0]
    region = manifolds.Ball(centre, 0.4)
    assert view.values["mass"] == pytest.approx(theory.mass_of_set(optimum, region, 50.0), abs=1e-4)
    assert view.values["mass_limit"] == pytest.approx(optimum.truth.mass(region), abs=1e-9)
    assert torch.allclose(view.values["eigenvalues"][-1:], torch.ones(1).double())


@pytest.mark.parametrize("make", [widgets.TheoremOneView, widgets.TheoremTwoView])
def test_a_theorem_view_is_the_same_whatever_the_default_type(make):
    pictures = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            view = make()
        finally:
            torch.set_default_dtype(torch.float32)
        pictures.append(np.asarray(Image.open(io.BytesIO(view.image.value))).astype(int))
        view.close()
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"density": "skwed"}, "skewed"), ({"t": 0.5}, "t = 0.5"), ({"latent_dim": 9}, "latent_dim")],
)
def test_a_theorem_view_names_a_bad_setting(settings, word):
    with pytest.raises(ValueError, match=word):
        widgets.TheoremOneView(**settings)
    with pytest.raises(ValueError, match=word):
        widgets.TheoremTwoView(**settings)


# ---- bad input -----------------------------------------------------------------------------------
# ------------------


def broken(model):
    out = copy.deepcopy(model)
    with torch.no_grad():
        out.posterior.parameters_of_q.weight[0] = torch.nan
    return out


def views(model, images, density=None):
    yield lambda: widgets.LatentTraversal(model, images, density=density)
    yield lambda: widgets.Interpolator(model, images, density)
    yield lambda: widgets.PosteriorComparison({"it": (model, density)}, images)


def test_one_clear_error_for_parts_that_do_not_fit(vae, digits):
    x = digits.test[:8]
    other = densities.Gaussian().fit_codes(posteriors.Point(torch.randn(9, 3)))
    with networks.seeded(0):
        vectors = models.vae(networks.mlp(12, 5))
    cases = [
        (vae, torch.rand(8, 1, 28, 28), None, ValueError, r"\(n, 1, 8, 8\).*got \(8, 1, 28, 28\)"),
        (vae, 16 * x, None, ValueError, r"\[0, 1\].*rescale"),
        (vae, x.clone().fill_(torch.nan), None, ValueError, "NaN"),
        (vae, x, other, ValueError, "expected codes of 5 numbers.*got 3"),
        (vae, x, densities.Gaussian(), ValueError, "not fitted yet"),
        (vae, x, {"it": "Gaussian"}, TypeError, "density 'it'"),
        (broken(vae), x, None, ValueError, "codes: 8 of 8.*diverged"),
        (estimators.VAE(), x, None, ValueError, r"VAE is not fitted yet; call fit\(images\)"),
        ("vae", x, None, TypeError, "expected a vaelab Autoencoder"),
        (vectors, torch.rand(8, 12), None, ValueError, "expected one of images"),
    ]
    for model, images, density, kind, words in cases:
        for make in views(model, images, density):
            with pytest.raises(kind, match=words):
                make()


def test_other_bad_settings_are_named(vae, digits):
    x = digits.test[:8]
    with pytest.raises(ValueError, match="labels: expected one for each of 8"):
        widgets.LatentTraversal(vae, x, labels=[1, 2])
    with pytest.raises(ValueError, match="limit"):
        widgets.LatentTraversal(vae, x, limit=-1)
    with pytest.raises(ValueError, match="entries"):
        widgets.PosteriorComparison({}, x)
    with pytest.raises(ValueError, match=r"entries\['it'\]"):
        widgets.PosteriorComparison({"it": vae}, x)
    with pytest.raises(ValueError, match="gammas"):
        widgets.gamma_path(vae, x, [])
    with pytest.raises(ValueError, match="gammas, each"):
        widgets.gamma_path(vae, x, [0.1, -1.0])
    with pytest.raises(ValueError, match="run: expected at least one"):
        widgets.GammaPath([], x)
    with pytest.raises(ValueError, match="likelihood has no γ"):
        widgets.GammaPath([(0.1, models.ce_vae(networks.mlp((1, 8, 8), 2, output="sigmoid")))], x)


# ---- memory --------------------------------------------------------------------------------------
# ------------------

MEMORY = """
import gc, psutil, torch, ipywidgets
from vaelab import densities, models, networks, widgets
torch.set_num_threads(1)
model = models.vae(networks.mlp((1, 28, 28), 6, (32,)))
x = torch.rand(60, 1, 28, 28)
gaussian = densities.Gaussian().fit(model, x)
makers = [
    lambda: widgets.LatentTraversal(model, x, density=gaussian),
    lambda: widgets.Interpolator(model, x),
    lambda: widgets.latent_explorer(model.images, 6),
    lambda: widgets.gamma_explorer(lambda gamma: gamma * x[:3]),
]
heavy = [
    lambda: widgets.PosteriorComparison({"it": (model, gaussian)}, x),
    lambda: widgets.TheoremOneView(),
    lambda: widgets.GammaPath([(1.0, model)], x, n_points=1),
]
def rounds(n):
    for k in range(n):
        (heavy[k // 20 % 3] if k % 20 == 0 else makers[k % 4])().close()
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20, len(ipywidgets.widgets.widget._instances)
for make in heavy:
    make().close()
before, alive = rounds(10)
after, still = rounds(100)
print(after - before, still - alive)
"""


def test_a_hundred_views_made_and_closed_leave_nothing_behind():
    pytest.importorskip("psutil")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True, timeout=300
    )
    megabytes, widgets_left = map(float, done.stdout.split())
    assert widgets_left == 0
    assert megabytes < 20


def test_a_closed_view_hears_no_more(vae, digits):
    view = widgets.LatentTraversal(vae, digits.test[:8])
    slider, drawn = view.sliders[0], view.frames
    view.close()
    slider.value = 1.25
    assert view.frames == drawn and view.children == ()

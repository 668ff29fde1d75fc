"""One image's code under sliders: what they move, and what is shown."""

import io

import numpy as np
import pytest
import torch
from pictures import as_bytes, pixels
from PIL import Image

from vaelab import densities, estimators, models, networks, posteriors, theory, widgets


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
def test_eigenvectors_are_those_of_equation_83_where_the_encoder_cannot_turn(
    head, vae, point, digits
):
    model = vae if head == "diagonal" else point
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


def test_the_two_weakest_directions_are_among_the_sliders(vae, digits):
    x = digits.test[:10]
    every = widgets.LatentTraversal(vae, x, n_sliders=5)
    view = widgets.LatentTraversal(vae, x, n_sliders=4)
    shown = [0, 1, 3, 4]
    assert torch.equal(view.eigenvalues, every.eigenvalues[shown])
    names = [each.description for each in every.sliders]
    assert [each.description for each in view.sliders] == [names[j] for j in shown]
    view.sliders[3].value = 1.25
    axis = every.subject.spaces["z"].mean_variances().argmax()
    assert view.code[axis].item() == pytest.approx(1.25, abs=1e-6)

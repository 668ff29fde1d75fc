"""What falling γ does: the run, and the view of it."""

import copy

import numpy as np
import pytest
import torch
from pictures import as_bytes, pixels

from vaelab import models, networks, theory, training, widgets


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
            term.mean().item()
            for term in model.loss_terms(x, torch.Generator().manual_seed(0)).values()
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

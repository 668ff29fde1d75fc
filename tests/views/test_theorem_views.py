"""The theorems' optima under a slider, held against quadrature."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab import manifolds, theory, widgets


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

"""Saved estimators in the data's own units: sampled, exported as a page, shown on a dashboard."""

import math

import numpy as np
import pytest
import torch

import vaelab
from vaelab import checkpoints, dashboards
from vaelab.apps.opening import in_data_units, opened
from vaelab.cli import main
from vaelab.data import load_images
from vaelab.estimators import VAE, Generative, TwoStageVAE

SHORT = {"latent_dim": 3, "hidden": (16,), "epochs": 3, "random_state": 0, "device": "cpu"}
TWO = {**SHORT, "second_hidden": (8,), "second_epochs": 3}


def digits_as(kind):
    """Digits as [0, 1] images, or shifted and scaled: images or rows, in either precision."""
    x = load_images("digits").train[:300]
    if kind == "unit":
        return x
    x = 3 * x + 100
    return x.double().flatten(1) if kind == "rows" else x


@pytest.fixture(scope="module", params=["unit", "images", "rows"])
def fitted(request, tmp_path_factory):
    """The data, an estimator fitted to it, and its folder."""
    x = digits_as(request.param)
    estimator = TwoStageVAE(**TWO).fit(x)
    folder = vaelab.save(tmp_path_factory.mktemp("fitted") / "it", estimator, run={"words": "ours"})
    return x, estimator, folder


def relative(value, expected, scale):
    return (value - expected).abs().max().item() / scale


def test_the_model_takes_and_gives_the_datas_own_units(fitted):
    x, estimator, folder = fitted
    saved = opened(folder)
    tolerance = 1e-5 if x.dtype == torch.float32 else 1e-12
    z = estimator.transform(x)
    assert relative(saved.model.codes(x).mean, z, z.abs().max()) < 1e3 * tolerance
    rows = estimator.inverse_transform(z)
    assert relative(saved.model.images(z), rows, estimator.scale_) < 1e2 * tolerance
    assert math.isclose(saved.model.gamma, estimator.gamma_, rel_tol=1e-5)
    assert saved.run["words"] == "ours" and not saved.model.training


def test_its_cost_is_the_one_of_scaled_rows_in_the_new_unit(fitted):
    """A density of x is that of x/scale, less log scale a pixel; KL does not change."""
    x, estimator, folder = fitted
    model = opened(folder).model
    terms = model.loss_terms(x[:50], torch.Generator().manual_seed(0))
    scaled = (x[:50] - estimator.mean_) / estimator.scale_
    expected = estimator.model_.eval().loss_terms(scaled, torch.Generator().manual_seed(0))
    shift = x[0].numel() * math.log(estimator.scale_)
    torch.testing.assert_close(terms["nll"], expected["nll"] + shift, rtol=1e-3, atol=0.05)
    torch.testing.assert_close(terms["kl"], expected["kl"], rtol=1e-3, atol=1e-3)


def test_sample_draws_in_the_datas_own_units(fitted, tmp_path):
    x, estimator, folder = fitted
    out = tmp_path / "a.npy"
    assert main(["sample", str(folder), "-n", "20", "--seed", "3", "--out", str(out)]) == 0
    array = torch.from_numpy(np.load(out))
    expected = estimator.sample(20, random_state=3)
    assert array.shape == (20, *x.shape[1:])
    assert relative(array, expected, estimator.scale_) < 1e-3
    assert array.min() >= x.min() and array.max() <= x.max()


def test_opening_leaves_the_estimator_as_it_is(fitted):
    x, estimator, folder = fitted
    before = {name: value.clone() for name, value in estimator.model_.state_dict().items()}
    in_data_units(estimator.model_, estimator.mean_, 7.0)
    for name, value in estimator.model_.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(vaelab.load(folder).transform(x), estimator.transform(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("images", [["--images", "digits"], ["--without-images"]])
def test_an_estimator_of_images_becomes_a_page(tmp_path, capsys, dtype, images):
    """`page.build` itself compares the pixels of the page's plan with the model's."""
    x = load_images("digits").train[:300].to(dtype)
    folder = vaelab.save(tmp_path / "it", TwoStageVAE(**TWO).fit(x))
    out = tmp_path / "page.html"
    assert main(["export-page", str(folder), *images, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "decoder: " in printed and "second stage: " in printed and out.is_file()


def test_an_estimator_knows_what_it_was_trained_on_if_its_folder_says_so(tmp_path, capsys):
    digits = load_images("digits")
    record = {"data": {"name": "digits", "fingerprint": digits.fingerprint()}}
    folder = vaelab.save(tmp_path / "it", TwoStageVAE(**TWO).fit(digits.train), run=record)
    assert main(["export-page", str(folder)]) == 0 and "note" not in capsys.readouterr().out
    shown = dashboards.open_model(folder)
    assert set(shown.densities) == {"second stage", "Gaussian", "mixture of 10"}
    traversal = dashboards.traversal(folder)
    decoded = traversal.subject.spaces["z"].images(traversal.code[None])
    assert relative(decoded, opened(folder).model.images(traversal.code[None]), 1) < 1e-6
    traversal.close()


def test_a_decoder_that_does_not_end_in_a_dense_layer_is_scaled_behind_it():
    x = digits_as("images").flatten(1)
    estimator = VAE(**SHORT).fit(x)
    wrapped = torch.nn.Sequential(estimator.model_.decoder, torch.nn.ReLU())
    estimator.model_.decoder = wrapped
    model = in_data_units(estimator.model_, estimator.mean_, estimator.scale_)
    z = torch.ones(4, 3)
    rows = estimator.inverse_transform(z)
    assert relative(model.images(z), rows, estimator.scale_) < 1e-4


def test_a_model_without_gamma_or_of_unit_images_keeps_its_scale(tmp_path):
    x = digits_as("unit")
    estimator = Generative("ae", latent_dim=3, epochs=2, random_state=0).fit(x)
    saved = opened(vaelab.save(tmp_path / "it", estimator))
    torch.testing.assert_close(
        saved.model.images(torch.zeros(1, 3)).mean(), x.mean(), atol=0.3, rtol=0
    )


def test_a_plain_model_is_opened_as_it_was_saved(tmp_path):
    saved = opened("tests/saved/vae")
    plain = vaelab.load("tests/saved/vae")
    assert torch.equal(saved.sample(3), plain.sample(3))


class Doubled(VAE):
    """A subclass of a reader's own."""


def test_an_estimator_of_ones_own_is_opened_with_its_class(tmp_path):
    x = digits_as("images").flatten(1)
    folder = vaelab.save(tmp_path / "it", Doubled(**SHORT).fit(x))
    with pytest.raises(checkpoints.CheckpointError, match=r"parts=\[Doubled\]"):
        opened(folder)
    assert opened(folder, [Doubled]).sample(4).mean() > 90

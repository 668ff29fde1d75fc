"""Parts that do not fit together are refused in one clear line."""

import copy

import ipywidgets
import numpy as np
import pandas as pd
import pytest
import torch

from vaelab import densities, estimators, models, networks, posteriors, widgets


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
    with pytest.raises(ValueError, match="models: expected at least one"):
        widgets.PosteriorComparison({}, x)
    with pytest.raises(ValueError, match="models: expected at least one"):
        widgets.PosteriorComparison({"VAE": (vae, None, None)}, x)
    with pytest.raises(TypeError, match="entries: expected a dictionary"):
        widgets.PosteriorComparison(vae, x)
    with pytest.raises(ValueError, match="gammas"):
        widgets.gamma_path(vae, x, [])
    with pytest.raises(ValueError, match="gammas, each"):
        widgets.gamma_path(vae, x, [0.1, -1.0])
    with pytest.raises(ValueError, match="run: expected at least one"):
        widgets.GammaPath([], x)
    with pytest.raises(ValueError, match="likelihood has no γ"):
        widgets.GammaPath([(0.1, models.ce_vae(networks.mlp((1, 8, 8), 2, output="sigmoid")))], x)


# ---- labels --------------------------------------------------------------------------------------

WORDS = ["cat", "dog", "cat", "emu", "dog", "cat", "emu", "cat"]


@pytest.mark.parametrize(
    "labels",
    [
        WORDS,
        tuple(WORDS),
        np.array(WORDS),
        np.array(WORDS, dtype=object),
        np.array(WORDS)[:, None],
        pd.Series(WORDS, index=range(10, 18)),
        pd.DataFrame({"animal": WORDS}),
        pd.Series(WORDS, dtype="category"),
        pd.Series(WORDS, dtype="string"),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_words_in_any_column_are_classes(labels, vae, digits):
    view = widgets.PosteriorComparison({"it": (vae, None)}, digits.test[:8], labels)
    assert view.classes.options == ("all classes", "cat", "dog", "emu")
    assert all(name in view.legend.value for name in WORDS)
    view.classes.value = "emu"
    assert view.bright.tolist() == [word == "emu" for word in WORDS]
    traversal = widgets.LatentTraversal(vae, digits.test[:8], labels=labels)
    traversal.index.value = 3
    assert "image 3, class emu" in [each.value for each in labels_of(traversal)]


def labels_of(box):
    """Every line of text in a view."""
    for child in box.children:
        if isinstance(child, ipywidgets.Label):
            yield child
        yield from labels_of(child) if isinstance(child, ipywidgets.Box) else ()


@pytest.mark.parametrize(
    "labels",
    [
        list(range(8)),
        torch.arange(8),
        np.arange(8, dtype=np.uint8),
        pd.Series(range(8), dtype="Int64"),
        [torch.tensor(k) for k in range(8)],
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_numbers_in_any_column_are_classes_in_their_order(labels, vae, digits):
    view = widgets.PosteriorComparison({"it": (vae, None)}, digits.test[:8], labels)
    assert view.classes.options == ("all classes", *map(str, range(8)))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (WORDS[:3], r"expected one for each of 8 images, got list of shape \(3,\)"),
        ("cats", r"expected one for each of 8 images, got str of shape \(\)"),
        (np.eye(8), r"expected one for each of 8 images, got ndarray of shape \(8, 8\)"),
        (pd.DataFrame({"a": WORDS, "b": WORDS}), r"got DataFrame of shape \(8, 2\)"),
        ([*WORDS[:7], None], "1 of 8 that are neither, the first is number 7: None"),
        ([0.0, np.nan, *range(6)], "1 of 8 that are neither, the first is number 1: nan"),
        (pd.Series([*range(7), pd.NA]), "the first is number 7: <NA>"),
        ([[1, 2], *WORDS[1:]], r"the first is number 0: \[1, 2\]"),
    ],
    ids=str,
)
def test_what_is_no_label_is_refused(labels, words, vae, digits):
    for make in (
        lambda: widgets.LatentTraversal(vae, digits.test[:8], labels=labels),
        lambda: widgets.PosteriorComparison({"it": (vae, None)}, digits.test[:8], labels),
    ):
        with pytest.raises(ValueError, match=f"^labels: .*{words}"):
            make()

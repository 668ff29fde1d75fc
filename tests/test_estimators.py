"""scikit-learn's own suite is the judge; the rest is what it does not ask: tensors, images, units,
pictures' shapes.
"""

import doctest
import json
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaelab import VAE, TwoStageVAE, _files, densities, estimators, load, models, networks, save

SMALL = {
    "latent_dim": 2,
    "hidden": (8,),
    "epochs": 3,
    "batch_size": 32,
    "device": "cpu",
    "random_state": 0,
}
TINY = {**SMALL, "second_hidden": (8,), "second_epochs": 3}


RAE = {name: value for name, value in SMALL.items() if name != "hidden"} | {
    "network_options": {"hidden": (8,)}
}


@parametrize_with_checks(
    [
        VAE(**SMALL),
        TwoStageVAE(**TINY),
        estimators.Generative("rae_gp", density="gaussian", **RAE),
        estimators.Generative("cv_vae", density="empirical", **RAE),
    ]
)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def rows(n=60, d=5, dtype=np.float64):
    return np.random.default_rng(0).normal(2.0, 3.0, (n, d)).astype(dtype)


def images(n=40, side=8, channels=1):
    return torch.rand(n, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[VAE(**SMALL), TwoStageVAE(**TINY)], ids=["one", "two"])
def fitted(request):
    return clone(request.param).fit(rows())


def test_doctests():
    assert doctest.testmod(estimators).failed == 0


# ---- as scikit-learn uses it


def test_in_a_pipeline():
    x, y = rows(), np.arange(60) % 2
    pipeline = make_pipeline(StandardScaler(), VAE(**SMALL), LogisticRegression())
    assert pipeline.fit(x, y).predict(x).shape == (60,)
    assert list(pipeline[:-1].get_feature_names_out()) == ["vae0", "vae1"]


def test_in_a_grid_search():
    search = GridSearchCV(
        VAE(**SMALL), {"latent_dim": np.array([1, 2]), "gamma": [0.1, "optimal"]}, cv=2
    )
    search.fit(rows())
    assert np.isfinite(search.best_score_) and search.best_estimator_.model_.latent_dim in (1, 2)


def test_clone_and_parameters(fitted):
    again = clone(fitted).set_params(latent_dim=3)
    assert again.get_params() == {**fitted.get_params(), "latent_dim": 3} and not hasattr(
        again, "model_"
    )


def test_codes_as_a_data_frame(fitted):
    frame = clone(fitted).set_output(transform="pandas").fit(rows()).transform(rows())
    assert isinstance(frame, pd.DataFrame) and frame.shape == (60, 2)


def test_pickles_give_the_same_numbers(fitted):
    before = torch.get_rng_state()
    again = pickle.loads(pickle.dumps(fitted))
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(again.transform(rows()), fitted.transform(rows()))
    np.testing.assert_array_equal(again.sample(5, random_state=1), fitted.sample(5, random_state=1))


def test_same_random_state_same_numbers(fitted):
    again, other = clone(fitted).fit(rows()), clone(fitted).set_params(random_state=1).fit(rows())
    np.testing.assert_array_equal(again.transform(rows()), fitted.transform(rows()))
    assert not np.array_equal(other.transform(rows()), fitted.transform(rows()))
    assert not np.array_equal(fitted.sample(3, random_state=0), fitted.sample(3, random_state=1))


def test_the_global_random_states_stay(fitted):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    clone(fitted).fit(rows()).sample(3, random_state=0)
    assert (
        torch.equal(before[0], torch.get_rng_state())
        and (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    )


def test_score_is_the_mean_of_score_samples(fitted):
    scores = fitted.score_samples(rows())
    assert scores.shape == (60,) and fitted.score(rows()) == pytest.approx(scores.mean())
    far = fitted.score_samples(rows() + 100)
    assert (far < scores.min()).all()


# ---- units


def test_gamma_and_scores_are_in_the_units_of_the_data():
    """Rows a thousand times as large: the same model, γ a million times as large, log p lower by d
    log 1000.
    """
    small, large = (VAE(**{**SMALL, "epochs": 30}).fit(s * rows()) for s in (1, 1000))
    assert large.gamma_ == pytest.approx(1e6 * small.gamma_, rel=1e-3)
    shift = large.score_samples(1000 * rows()) - small.score_samples(rows())
    np.testing.assert_allclose(shift, -5 * np.log(1000), rtol=1e-4)
    told = VAE(**SMALL, gamma=0.7).fit(rows())
    assert told.gamma_ == pytest.approx(0.7)


def test_what_the_theory_speaks_of():
    """Two strong directions and four of noise: two λ near 0, and γ at the noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6)) * 5 + 0.3 * rng.normal(size=(400, 6))
    model = VAE(
        latent_dim=4, hidden=(16,), epochs=150, batch_size=50, lr=3e-3, device="cpu", random_state=0
    ).fit(x)
    assert model.active_dims_ == 2 and (np.diff(model.eigenvalues_) >= 0).all()
    assert (model.eigenvalues_[:2] < 0.1).all() and (model.eigenvalues_[2:] > 0.9).all()
    assert model.gamma_ == pytest.approx(0.09, rel=0.5)
    back = model.inverse_transform(model.transform(x))
    assert ((back - x) ** 2).mean() < 0.15


def test_samples_stay_in_the_range_of_the_data(fitted):
    x = fitted.sample(500, random_state=0)
    assert x.shape == (500, 5) and x.min() >= rows().min() and x.max() <= rows().max()


def test_codes_come_back_as_rows(fitted):
    assert fitted.inverse_transform(np.zeros((3, 2))).shape == (3, 5)
    with pytest.raises(ValueError, match=r"codes: expected shape \(n, 2\), got \(3, 4\)"):
        fitted.inverse_transform(np.zeros((3, 4)))


# ---- containers and shapes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_stays(dtype):
    model = TwoStageVAE(**TINY).fit(rows(dtype=dtype))
    z = model.transform(rows(dtype=dtype))
    outputs = (
        z,
        model.inverse_transform(z),
        model.score_samples(rows(dtype=dtype)),
        model.sample(2),
    )
    assert [a.dtype for a in outputs] == [dtype] * 4
    assert next(model.model_.parameters()).dtype == torch.from_numpy(z).dtype


def test_tensors_in_tensors_out():
    x = torch.from_numpy(rows(dtype=np.float32))
    model = TwoStageVAE(**TINY).fit(x)
    z = model.transform(x)
    outputs = (z, model.inverse_transform(z), model.score_samples(x), model.sample(2))
    assert all(isinstance(t, torch.Tensor) and t.dtype == torch.float32 for t in outputs)
    assert isinstance(model.transform(rows()), np.ndarray)
    whole = model.transform(torch.ones(4, 5, dtype=torch.int64))
    assert whole.is_floating_point()  # codes of whole numbers are not whole numbers


@pytest.mark.parametrize("network", ["mlp", "small_conv", "infogan"])
@pytest.mark.parametrize(("side", "channels"), [(8, 1), (12, 3)])
def test_images_keep_their_shape(network, side, channels):
    x = images(side=side, channels=channels)
    model = TwoStageVAE(**{**TINY, "epochs": 1, "second_epochs": 1}, network=network).fit(x)
    z = model.transform(x)
    assert z.shape == (40, 2) and model.inverse_transform(z).shape == x.shape
    assert model.sample(3).shape == (3, channels, side, side) and model.score_samples(x).shape == (
        40,
    )
    flat = model.transform(x.flatten(1).numpy())
    np.testing.assert_allclose(flat, z, rtol=1e-5, atol=1e-6)
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again.sample(3, random_state=0), model.sample(3, random_state=0))


def test_shapes_are_compared_with_those_of_fit():
    model = VAE(**SMALL).fit(images().numpy())
    with pytest.raises(
        ValueError, match=r"expected images of shape \(1, 8, 8\), as in fit, got \(8, 8, 1\)"
    ):
        model.transform(images().numpy().transpose(0, 2, 3, 1))
    with pytest.raises(ValueError, match="X has 63 features, but VAE is expecting 64"):
        model.transform(np.zeros((2, 63)))


def test_nothing_of_an_earlier_fit_is_left():
    x = rows().astype(np.float64)
    model = VAE(**SMALL).fit(pd.DataFrame(x[:, :3], columns=list("abc"))).fit(x)
    assert set(vars(model)) == set(vars(VAE(**SMALL).fit(x)))
    assert model.transform(x).shape == (len(x), 2)


def test_two_stages_have_two_gammas():
    model = TwoStageVAE(**TINY).fit(rows())
    assert model.second_gamma_ == model.density_.gamma and model.density_.latent_dim == 2


def test_a_bar_on_demand(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    TwoStageVAE(**TINY, verbose=True).fit(rows())
    assert "second stage" in capsys.readouterr().err
    TwoStageVAE(**TINY).fit(rows())
    assert capsys.readouterr().err == ""


# ---- doors


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"latent_dim": 0}, ValueError, "latent_dim: expected a whole number ≥ 1, got 0"),
        (
            {"latent_dim": 2.0},
            TypeError,
            r"latent_dim: expected a whole number ≥ 1, got 2.0 \(float\)",
        ),
        ({"gamma": 0}, ValueError, "gamma: expected a finite number > 0, got 0"),
        ({"gamma": -1.0}, ValueError, "gamma: expected a finite number > 0, got -1.0"),
        ({"gamma": "learnt"}, ValueError, "gamma: expected one of .*; did you mean 'learned'"),
        (
            {"network": "infogans"},
            ValueError,
            "network: expected one of .*; did you mean 'infogan'",
        ),
        (
            {"network": "infogan"},
            ValueError,
            r"infogan takes square images .*, got \(5,\)",
        ),
        ({"beta": -1}, ValueError, "beta: expected a finite number ≥ 0, got -1"),
        ({"epochs": 0}, ValueError, "epochs: expected a whole number ≥ 1, got 0"),
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number ≥ 1, got 0"),
        ({"lr": -1}, ValueError, "lr: expected a finite number > 0, got -1"),
        (
            {"device": "gpu"},
            ValueError,
            "device: expected one of 'auto', 'cpu', 'cuda', 'mps', 'xpu', got 'gpu'",
        ),
    ],
)
def test_parameters_are_checked(parameters, error, message):
    with pytest.raises(error, match=message):
        VAE(**{**SMALL, **parameters}).fit(rows())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((5, 3), np.nan), "contains NaN"),
        (np.full((5, 3), np.inf), "contains infinity"),
        (np.zeros((0, 3)), "Found array with 0 sample"),
        (np.zeros((1, 3)), "Found array with 1 sample"),
        (np.zeros(3), "Expected 2D array, got 1D array instead"),
        (np.zeros((3, 4, 5)), r"add a channel axis, X\[:, None\]"),
    ],
)
def test_rows_are_checked(x, message):
    with pytest.raises(ValueError, match=message):
        VAE(**SMALL).fit(x)


def test_infogan_wants_values_in_the_unit_interval():
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], as cross-entropy .* got"):
        VAE(**SMALL, network="infogan").fit(images() + 1)
    with pytest.raises(ValueError, match="expected a multiple of 4, got 6"):
        VAE(**SMALL, network="infogan").fit(images(side=6))


def test_constant_rows_do_not_break_it():
    model = VAE(**SMALL).fit(np.full((20, 3), 7.0))
    np.testing.assert_allclose(model.sample(4), 7.0)


# ---- in a folder


ANY = {name: value for name, value in SMALL.items() if name != "hidden"}
WHOLE = {
    "one": lambda: VAE(**SMALL).fit(rows()),
    "two, of tensors": lambda: TwoStageVAE(**TINY).fit(images()),
    "a data frame": lambda: VAE(**SMALL).fit(pd.DataFrame(rows(), columns=list("abcde"))),
    "precision of a half": lambda: VAE(**SMALL).fit(rows(dtype=np.float32)),
    "a generator": lambda: VAE(**{**SMALL, "random_state": np.random.RandomState(3)}).fit(rows()),
    "any model": lambda: estimators.Generative(
        "wae_mmd", {"weight": 5.0}, density="gaussian", network_options={"hidden": (8,)}, **ANY
    ).fit(rows()),
    "functions and parts": lambda: estimators.Generative(
        models.vae, density=densities.GaussianMixture(2), network=networks.mlp, **ANY
    ).fit(rows()),
    "a flow": lambda: estimators.Generative(
        density=densities.Flow(2, (4,), epochs=2, lr=0.01, schedule=None), **ANY
    ).fit(rows()),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_folder_holds_an_estimator_whole(name, tmp_path):
    first = WHOLE[name]()
    again = load(save(tmp_path / "run", first))
    assert type(again) is type(first)
    x = images() if first.image_shape_ != (5,) else rows()
    if hasattr(first, "feature_names_in_"):
        x = pd.DataFrame(x, columns=list("abcde"))
    assert {key: type(value) for key, value in vars(again).items()} == {
        key: type(value) for key, value in vars(first).items() if key != "random_state"
    } | {"random_state": type(again.random_state)}
    np.testing.assert_array_equal(again.transform(x), first.transform(x))
    np.testing.assert_array_equal(again.sample(4, random_state=1), first.sample(4, random_state=1))
    if name != "any model":  # Its codes are points, without a density.
        np.testing.assert_array_equal(again.score_samples(x), first.score_samples(x))
    np.testing.assert_array_equal(again.history_["loss"], first.history_["loss"])
    assert again.gamma_ == first.gamma_ and torch.equal(again.range_, first.range_)
    anew, wanted = (clone(each).set_params(random_state=0).fit(x) for each in (again, first))
    np.testing.assert_array_equal(anew.sample(2, random_state=1), wanted.sample(2, random_state=1))


def test_an_estimator_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        save(tmp_path / "run", VAE(**SMALL))
    assert not (tmp_path / "run").exists()


def test_what_a_file_cannot_hold_is_named_by_its_place(tmp_path, fitted):
    odd = clone(fitted).fit(rows())
    odd.notes_ = {"first": [1, object()]}
    with pytest.raises(TypeError, match=r"the estimator\['notes_'\].*\[1\]: expected plain data"):
        save(tmp_path / "run", odd)
    ours = estimators.Generative(lambda nets: models.vae(nets), **ANY).fit(rows())
    with pytest.raises(
        TypeError, match=r"model of estimators\.Generative: a file cannot hold func"
    ):
        save(tmp_path / "run", ours)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learned": {"fit": 3}}, "expected something learned, got 'fit'"),
        ({"learned": {"__class__": 3}}, "expected something learned, got '__class__'"),
        ({"learned": {"lr": 3}}, "expected something learned, got 'lr'"),
        ({"learned": {"mean_": {"array": "vampire"}}}, "vampire"),
        ({"made": {"part": "priors.StandardNormal", "with": {}}}, "the account of a Estimator"),
        ({"made": {"part": "estimators.Vampire", "with": {}}}, r"has no estimators\.Vampire"),
    ],
)
def test_a_forged_estimator_is_refused(change, message, fitted, tmp_path):
    folder = save(tmp_path / "run", fitted)
    record = json.loads((folder / "run.json").read_text())
    record["estimator"] |= change
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    record["sha256"] = _files.digest(tensors, {k: v for k, v in record.items() if k != "sha256"})
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(_files.CheckpointError, match=message):
        load(folder)

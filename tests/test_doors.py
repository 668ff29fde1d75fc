"""The doors where data or a fit may go wrong without a word: what comes back is right, or an error
says what was wrong.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError

import vaelab
from vaelab import (
    cli,
    data,
    densities,
    estimators,
    features,
    flows,
    grammar,
    likelihoods,
    manifolds,
    metrics,
    models,
    networks,
    plots,
    posteriors,
    terms,
    theory,
    training,
)
from vaelab._door import door
from vaelab.apps.opening import opened
from vaelab.training import Plan, Session

SESSION = Session(device="cpu", progress=False)
MADE = {
    "VAE": lambda **more: estimators.VAE(2, hidden=(8,), epochs=3, device="cpu", **more),
    "TwoStageVAE": lambda **more: estimators.TwoStageVAE(
        2, hidden=(8,), epochs=3, second_hidden=(8,), second_epochs=3, device="cpu", **more
    ),
    "Generative": lambda **more: estimators.Generative(
        "wae_mmd", latent_dim=2, epochs=3, density="mixture", device="cpu", **more
    ),
}
every_estimator = pytest.mark.parametrize("name", MADE)


def table(n=60, seed=0):
    """Rows of three columns, far from the origin."""
    return np.random.default_rng(seed).normal(100.0, 3.0, (n, 3)).astype(np.float32)


def unit_network():
    """Networks whose outputs lie in [0, 1]."""
    return networks.mlp((1, 8, 8), latent_dim=2, hidden=(8,), output="sigmoid")


@pytest.fixture(scope="module")
def digits():
    """Training and test images of the digits."""
    images = vaelab.load_images("digits")
    return images.train, images.test


# ---- units are saved with the model


@every_estimator
def test_an_estimator_comes_back_in_its_own_units(name, tmp_path):
    rows = table()
    fitted = MADE[name](random_state=0).fit(rows)
    vaelab.save(tmp_path / "run", fitted)
    loaded = vaelab.load(tmp_path / "run")
    assert type(loaded) is type(fitted)
    samples = loaded.sample(500, random_state=1)
    np.testing.assert_array_equal(samples, fitted.sample(500, random_state=1))
    np.testing.assert_array_equal(loaded.transform(rows), fitted.transform(rows))
    if name != "Generative":  # Its codes are points, which have no density.
        np.testing.assert_array_equal(loaded.score_samples(rows), fitted.score_samples(rows))
    codes = fitted.transform(rows)
    rebuilt = loaded.inverse_transform(codes)
    np.testing.assert_array_equal(rebuilt, fitted.inverse_transform(codes))
    assert abs(samples.mean() - 100) < 2 and abs(rebuilt.mean() - 100) < 2
    assert loaded.gamma_ == fitted.gamma_
    assert loaded.get_params() == fitted.get_params()


@every_estimator
def test_the_command_line_draws_from_a_saved_estimator(name, tmp_path, capsys):
    fitted = MADE[name](random_state=0).fit(table())
    folder = vaelab.save(tmp_path / "run", fitted)
    out = tmp_path / "rows.npy"
    assert cli.main(["sample", str(folder), "-n", "50", "--seed", "1", "--out", str(out)]) == 0
    assert "50 images of shape (3,), seed 1" in capsys.readouterr().out
    np.testing.assert_allclose(np.load(out), fitted.sample(50, random_state=1), rtol=1e-4)
    assert cli.main(["sample", str(folder)]) == 2
    assert "images: expected shape (n, h, w)" in capsys.readouterr().err
    assert cli.main(["show", str(folder)]) == 0
    assert f"{type(fitted).__name__}: saved by hand" in capsys.readouterr().out


def test_a_page_is_made_of_an_estimator_that_speaks_in_pixels(digits, tmp_path, capsys):
    made = estimators.VAE(2, network="infogan", epochs=1, random_state=0, device="cpu")
    folder = vaelab.save(tmp_path / "pixels", made.fit(digits[0][:100]))
    assert cli.main(["export-page", str(folder), "--images", "digits"]) == 0
    assert cli.main(["export-page", str(folder), "--without-images"]) == 0
    assert (folder / "page.html").stat().st_size > 10_000
    folder = vaelab.save(tmp_path / "scaled", MADE["VAE"]().fit(digits[0][:100]))
    capsys.readouterr()
    assert cli.main(["export-page", str(folder), "--images", "digits"]) == 0
    assert (folder / "page.html").stat().st_size > 10_000


# ---- numbers are finite, or say that there is none


@pytest.mark.parametrize("factor", [16, 30, 1e3])
def test_rows_far_from_the_data_have_a_low_score_and_never_none(factor, digits):
    train, test = (x.flatten(1).numpy() for x in digits)
    model = estimators.VAE(8, epochs=40, random_state=0, device="cpu").fit(train)
    usual = model.score_samples(test)
    far = model.score_samples(np.float32(factor) * test)
    assert np.isfinite(usual).all()
    assert not np.isnan(far).any() and not (far == np.inf).any()
    assert far.max() < usual.min()
    assert model.score(test) == pytest.approx(usual.mean())


@pytest.mark.parametrize(
    "density",
    ["prior", "gmm-2", densities.SecondStage((8,), epochs=1), densities.Flow(2, (8,), epochs=1)],
    ids=["prior", "mixture", "second stage", "flow"],
)
def test_a_row_beyond_every_code_has_the_score_of_none(density):
    options = {"network_options": {"hidden": (8,)}, "epochs": 2, "latent_dim": 2}
    made = estimators.Generative("vae", density=density, random_state=0, device="cpu", **options)
    rows = (table(40) - 100) / 3
    model = made.fit(rows)
    far = model.score_samples(np.float32(1e20) * rows)
    assert (far < model.score_samples(rows).min()).all()


# ---- a decoder that ends in a sigmoid


def wrong_ranges(x):
    return {"255 x": 255 * x, "2 x - 1": 2 * x - 1}


@pytest.mark.parametrize("name", ["255 x", "2 x - 1"])
def test_a_sigmoid_takes_the_unit_interval_at_every_door_to_training(name, digits):
    x = wrong_ranges(digits[0][:64])[name]
    for make in (models.vae, models.ce_vae):
        with networks.seeded(0):
            model, other = make(unit_network()), make(unit_network())
        with pytest.raises(ValueError, match=r"images: expected values in \[0, 1\]"):
            training.fit(model, x, epochs=1, device="cpu", progress=False)
        with pytest.raises(ValueError, match=r"images: expected values in \[0, 1\]"):
            training.fit_together([model, other], x, Plan(1), SESSION, seeds=[0, 1])
    options = {"network_options": {"hidden": (8,), "output": "sigmoid"}, "epochs": 1}
    for made in (
        estimators.VAE(2, network="infogan", epochs=1),
        estimators.TwoStageVAE(2, network="infogan", epochs=1, second_epochs=1),
        estimators.Generative("ce_vae", latent_dim=2, **options),
    ):
        with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
            made.fit(x.numpy())


def test_bytes_and_their_floats_are_the_same_images_to_a_sigmoid(digits):
    x = (digits[0][:64] * 255).round().byte()
    with networks.seeded(0):
        model = models.ce_vae(unit_network())
    one = model.codes(x)
    other = model.codes(x.float() / 255)
    assert torch.equal(one.mean, other.mean)


def test_one_row_a_batch_is_too_few_for_batch_normalisation():
    x = torch.rand(4, 1, 28, 28)
    with pytest.raises(ValueError, match=r"batch_size: expected at least 2 rows, .* got 1"):
        vaelab.VAE(2, network="infogan", batch_size=1, epochs=1, scaling="all").fit(x)


# ---- a seed decides everything


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32])
def test_a_seed_may_be_of_any_whole_kind(kind):
    q = posteriors.Point(torch.from_numpy(table()[:, :2]))
    x, y = torch.from_numpy(table()), torch.from_numpy(table(seed=1))

    def draws(seed):
        yield densities.Gaussian().fit_codes(q, seed).sample(3, seed)
        yield densities.GaussianMixture(2).fit_codes(q, seed).sample(3, seed)
        yield densities.SecondStage((4,), epochs=1).fit_codes(q, seed).sample(3, seed)
        yield metrics.kernel_distance(x, y, subset_size=20, seed=seed)[0]
        yield metrics.precision_recall(x, y, n_clusters=3, seed=seed)[0]

    for found, expected in zip(draws(kind(3)), draws(3), strict=True):
        assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected))


@pytest.mark.parametrize("seed", [-1, 2.0, True, "3", None])
def test_what_is_no_seed_is_refused(seed):
    q = posteriors.Point(torch.from_numpy(table()[:, :2]))
    with pytest.raises(ValueError, match="seed: expected a whole number"):
        densities.Gaussian().fit_codes(q).sample(3, seed)


@every_estimator
def test_fits_in_threads_equal_fits_in_turn(name, one_thread):
    def fit(seed):
        fitted = MADE[name](random_state=seed).fit(table())
        arrays = [fitted.transform(table()), fitted.sample(5, random_state=0)]
        return [array.tobytes() for array in arrays]

    in_turn = [fit(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fit, range(8))) == in_turn
    assert len({codes for codes, _ in in_turn}) == 8


# ---- a fit that fails leaves nothing


METHODS = {
    "transform": lambda m: m.transform(table()),
    "inverse_transform": lambda m: m.inverse_transform(np.zeros((1, 2), np.float32)),
    "sample": lambda m: m.sample(),
    "score_samples": lambda m: m.score_samples(table()),
    "score": lambda m: m.score(table()),
}
FAULTS = {
    "device": ({"device": "nonsense"}, table()),
    "lr": ({"lr": -1.0}, table()),
    "diverging": ({"lr": 1e30}, table()),
    "NaN": ({}, np.full((10, 3), np.nan, np.float32)),
    "one row": ({}, table(1)),
}


@every_estimator
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fit_that_failed_has_not_been(name, fault, tmp_path):
    options, rows = FAULTS[fault]
    model = MADE[name](random_state=0).set_params(**options)
    parameters = dict(vars(model))
    with pytest.raises((ValueError, training.TrainingDiverged)):
        model.fit(rows)
    assert vars(model) == parameters
    for method in METHODS.values():
        with pytest.raises(NotFittedError):
            method(model)
    with pytest.raises(NotFittedError):
        vaelab.save(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()


@every_estimator
def test_a_second_fit_that_failed_leaves_the_first(name):
    model = MADE[name](random_state=0).fit(table())
    before = model.transform(table())
    with pytest.raises(ValueError, match="device"):
        model.set_params(device="nonsense").fit(table(seed=1))
    np.testing.assert_array_equal(model.transform(table()), before)


# ---- the range of every column


@every_estimator
def test_a_sample_is_cut_to_the_range_of_each_column_and_its_documentation_says_so(name):
    rows = table() * np.array([1.0, 0.01, 1.0], np.float32)  # The second column lies in 0.9 to 1.1.
    model = MADE[name](random_state=0).fit(rows)
    samples = model.sample(200, random_state=0)
    assert (rows.min(0) <= samples.min(0)).all() and (samples.max(0) <= rows.max(0)).all()
    words = " ".join(type(model).sample.__doc__.split())
    assert "rows (n, d) cut to the range of each column" in words


# ---- what was measured here is not what was shipped


def test_shipped_figures_are_not_taken_for_measured_ones(tmp_path, capsys):
    places = ("--out", str(tmp_path / "results"), "--runs", str(tmp_path / "runs"))
    show = ("table", "dai-wipf-1", "--data-set", "digits", "--show", *places)
    assert cli.main(show) == 0
    printed = capsys.readouterr().out
    assert "shipped" in printed
    assert not list(tmp_path.rglob("*.json"))


# ---- what an estimator can be asked for


def test_columns_of_several_units_are_each_scaled_and_cut_by_their_own():
    rng = np.random.default_rng(0)
    spread = np.array([1000.0, 1.0, 1e-3])
    rows = rng.normal(size=(200, 3)) * spread + [5e4, 0, 1]
    fitted = estimators.VAE(2, scaling="columns", epochs=30, hidden=(16,), random_state=0).fit(rows)
    samples = fitted.sample(500, random_state=0)
    assert (samples >= rows.min(0) - 1e-9).all() and (samples <= rows.max(0) + 1e-9).all()
    assert np.allclose(fitted.scale_, rows.std(0, ddof=1)) and fitted.gamma_.shape == (3,)
    whole = estimators.VAE(2, epochs=2, hidden=(16,), random_state=0).fit(rows).sample(500)
    assert (whole >= rows.min(0) - 1e-6).all() and (whole <= rows.max(0) + 1e-6).all()
    # The density of scaled rows, and the Jacobian of the scaling.
    log_p = densities.log_prob_mc(
        fitted.model_, torch.from_numpy((rows - rows.mean(0)) / rows.std(0, ddof=1)), n_samples=16
    )
    expected = log_p.numpy() - np.log(rows.std(0, ddof=1)).sum()
    np.testing.assert_allclose(fitted.score_samples(rows), expected, rtol=1e-6)


def test_columns_come_back_from_a_folder_in_their_units(tmp_path):
    rows = table() * np.float32([1, 10, 100])
    fitted = MADE["VAE"](random_state=0, scaling="columns").fit(rows)
    folder = vaelab.save(tmp_path / "run", fitted)
    drawn = fitted.sample(20, random_state=3)
    np.testing.assert_array_equal(vaelab.load(folder).sample(20, random_state=3), drawn)
    np.testing.assert_allclose(opened(folder).sample(20, 3).numpy(), drawn, rtol=1e-5)


def test_more_draws_tighten_the_bound():
    rows = table()
    fitted = MADE["VAE"](random_state=0).fit(rows)
    few, many = (fitted.score_samples(rows, n_draws=n).mean() for n in (1, 64))
    assert few < many
    assert (fitted.score_samples(rows, 4, 1) != fitted.score_samples(rows, 4, 2)).any()
    with pytest.raises(ValueError, match="n_draws"):
        fitted.score_samples(rows, n_draws=0)


def test_a_warm_start_goes_on_and_a_cold_one_begins_anew():
    rows = table()
    warm = MADE["VAE"](random_state=0, warm_start=True, lr=1e-9).fit(rows)
    first = warm.transform(rows)
    np.testing.assert_allclose(
        warm.set_params(random_state=5).fit(rows).transform(rows), first, 1e-3
    )
    cold = warm.set_params(warm_start=False).fit(rows).transform(rows)
    assert abs(cold - first).max() > 0.01
    with pytest.raises(ValueError, match="warm_start: expected rows of shape"):
        warm.set_params(warm_start=True, latent_dim=3).fit(rows)


def test_schedule_and_weight_decay_reach_the_training():
    rows = table()
    fitted = MADE["VAE"](random_state=0, schedule=None).fit(rows)
    assert (fitted.history_["lr"] == fitted.lr).all()
    halved = MADE["VAE"](random_state=0, schedule=training.HalveEvery(1)).fit(rows)
    assert halved.history_["lr"][-1] == fitted.lr / 4
    heavy, light = (
        MADE["VAE"](random_state=0, weight_decay=w).fit(rows).model_.encoder for w in (1e3, 0.0)
    )
    sizes = [sum(p.detach().abs().sum().item() for p in e.parameters()) for e in (heavy, light)]
    assert sizes[0] < sizes[1]
    for wrong in ({"schedule": "linear"}, {"weight_decay": -1.0}, {"scaling": "rows"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MADE["VAE"](**wrong).fit(rows)


def test_any_likelihood_and_any_network_makes_an_estimator(digits):
    rows = table()
    laplace = {"likelihood": likelihoods.Gaussian("optimal")}
    one, two = (
        estimators.Generative(models.Autoencoder, laplace, latent_dim=2, epochs=2, random_state=0)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.fit(rows).transform(rows), two.fit(rows).transform(rows))
    images = digits[0][:40]
    for network in ("small_conv", "infogan"):
        fitted = estimators.VAE(2, network=network, epochs=1, random_state=0).fit(images)
        assert fitted.sample(2).shape == (2, 1, 8, 8)


def test_rows_of_any_container_are_the_same_rows():
    rows = table()
    expected = MADE["VAE"](random_state=0).fit(rows).transform(rows)
    kinds = [
        torch.utils.data.TensorDataset(torch.from_numpy(rows)), rows[::-1][::-1],
        np.asfortranarray(rows), rows.astype(">f4"), torch.from_numpy(rows),
    ]  # fmt: skip
    for kind in kinds:
        codes = MADE["VAE"](random_state=0).fit(kind).transform(kind)
        np.testing.assert_allclose(np.asarray(codes), expected, atol=1e-3, err_msg=str(type(kind)))
    with pytest.raises(TypeError, match=r"pass its images\.train"):
        MADE["VAE"]().fit(vaelab.load_images("digits"))


def test_metrics_and_answers_take_what_images_take():
    x = np.random.default_rng(0).normal(size=(30, 2))
    expected = metrics.frechet_distance(x, x[::-1] + 1)
    for kind in (x.astype(">f8"), x[::-1][::-1], x.tolist(), list(map(torch.tensor, x))):
        assert metrics.frechet_distance(kind, x[::-1] + 1) == pytest.approx(expected)
    with pytest.raises((TypeError, ValueError), match=r"^sample: expected"):
        metrics.mmd2([["a"]], x)
    codes = models.vae(networks.mlp(3, latent_dim=2)).images(np.zeros((4, 2))[::-1])
    assert codes.shape == (4, 3)


class Trained(densities.Gaussian):
    """A density that trains, so that a session reaches it."""

    seen = None

    def fit_in(self, session, q, seed=0):
        Trained.seen = session
        return self.fit_codes(q, seed)


def test_a_density_that_trains_is_given_the_session():
    estimators.Generative(density=Trained(), epochs=1, device="cpu").fit(table())
    assert Trained.seen.device == "cpu" and not Trained.seen.progress


# ---- networks of one's own, and what an estimator is made of


def own_pair(encoder=None, decoder=None, n_features=64):
    def pair(image_shape, latent_dim):
        wide = torch.nn.Linear(latent_dim, 64)
        shaped = torch.nn.Sequential(wide, torch.nn.Unflatten(1, image_shape))
        parts = encoder or torch.nn.Flatten(), decoder or shaped
        return networks.Networks(*parts, image_shape, latent_dim, n_features)

    return pair((1, 8, 8), 2)


class Two(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1), x


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"n_features": 5}, r"encoder: expected features of shape \(60, 5\), .* got \(60, 64\)"),
        ({"encoder": Two()}, r"encoder: expected features of shape \(60, 64\), .* got tuple"),
        ({"decoder": torch.nn.Linear(2, 64)}, r"decoder: expected outputs of .* \(1, 8, 8\), got"),
        # A row for a picture, which torch would stretch to it.
        (
            {
                "decoder": torch.nn.Sequential(
                    torch.nn.Linear(2, 8), torch.nn.Unflatten(1, (1, 1, 8))
                )
            },
            r"decoder: expected outputs of the images' shape \(1, 8, 8\), got \(1, 1, 8\)",
        ),
    ],
)
def test_networks_of_ones_own_that_do_not_fit_are_told_apart(parts, message, digits):
    with pytest.raises(ValueError, match=message):
        training.fit(models.vae(own_pair(**parts)), digits[0][:60], epochs=1, progress=False)
    model = models.vae(own_pair())
    assert training.fit(model, digits[0][:60], epochs=1, progress=False).history["loss"][0] > 0


@pytest.mark.parametrize("name", models.CATALOGUE)
@pytest.mark.parametrize("wrong", [None, "mlp", torch.nn.Linear(2, 2), 3])
def test_a_model_of_what_is_no_pair_of_networks_is_refused(name, wrong):
    with pytest.raises(TypeError, match="networks: expected a Networks, got"):
        models.CATALOGUE[name](wrong)


@pytest.mark.parametrize("name", ["model", "options", "network", "network_options", "density"])
@pytest.mark.parametrize("wrong", [3, ["a"], object()])
def test_what_no_estimator_is_made_of_is_refused_by_name(name, wrong):
    with pytest.raises(TypeError, match=f"^{name}: expected a"):
        estimators.Generative(**{"epochs": 1, name: wrong}).fit(table())


def test_a_density_that_there_is_not_is_told_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(training, "fit_plan", lambda *_: pytest.fail("trained"))
    for wrong in ("gausian", "gmm-0"):
        with pytest.raises(ValueError, match=r"^density: expected one of .*; did you mean"):
            estimators.Generative(density=wrong).fit(table())


NO_ROWS = [None, "abc", 3, [], [[]], [["a"]], {}, object(), [[1, 2], [3]], table()[0]]
NO_ROWS += [table() + 1j, table() * np.nan, table()[:0], torch.zeros(3)]


@every_estimator
@pytest.mark.parametrize("wrong", NO_ROWS, ids=range(len(NO_ROWS)))
def test_what_is_no_rows_is_refused_in_a_line(name, wrong):
    fitted = MADE[name]().fit(table())
    for method in (MADE[name]().fit, fitted.transform, fitted.inverse_transform):
        with pytest.raises((ValueError, TypeError), match=r"^X: expected finite rows") as error:
            method(wrong)
        assert "\n" not in str(error.value)


# ---- numbers that an estimator would read in another way than they are meant


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ma.masked_greater(np.random.default_rng(0).random((9, 3)), 0.8), "are masked"),
        (np.full((9, 3), np.datetime64("2026-01-01")), "datetime64.* is no kind of number"),
        (np.array([["1", "2"]] * 9), "<U1 is no kind of number"),
        (torch.zeros(9, 3, device="meta"), "on the device meta"),
    ],
)
def test_what_hides_behind_numbers_is_refused_by_every_method(x, message):
    fitted = vaelab.estimators.VAE(2, epochs=1, hidden=(4,)).fit(np.eye(9, 3))
    fits = vaelab.estimators.VAE(2, epochs=1).fit, fitted.transform, fitted.score_samples
    for call in (*fits, fitted.inverse_transform):
        with pytest.raises((ValueError, TypeError), match=message):
            call(x)


def test_whole_numbers_that_float32_would_round_are_kept_apart():
    x = 2**40 + np.arange(60).reshape(20, 3) % 7
    low, high = vaelab.estimators.VAE(2, epochs=1, hidden=(4,)).fit(x).range_
    assert low.tolist() == x.min(0).tolist() and high.tolist() == x.max(0).tolist()


def test_short_floats_are_taken_as_what_they_are():
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    made = {"epochs": 1, "hidden": (4,), "random_state": 0}
    model = vaelab.estimators.VAE(2, **made).fit(x)
    assert torch.equal(model.range_, vaelab.estimators.VAE(2, **made).fit(x.float()).range_)
    assert model.transform(x).dtype == torch.bfloat16


@pytest.mark.parametrize("model", [None, vaelab.models.vae, torch.nn.Linear(3, 3)])
def test_what_cannot_be_trained_is_named(model):
    with pytest.raises(TypeError, match=r"model: expected one of vaelab\.models, or a module with"):
        vaelab.training.fit(model, torch.rand(9, 3), epochs=1)
    with pytest.raises(TypeError, match=r"model: expected one of vaelab\.models, or a module with"):
        vaelab.training.fit_together([model], torch.rand(9, 3), Plan(1), seeds=[0])


@pytest.mark.parametrize("path", ["", "folder"])
def test_a_checkpoint_is_a_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    model = vaelab.models.vae(vaelab.networks.mlp(3, latent_dim=2, hidden=(4,)))
    with pytest.raises(IsADirectoryError, match="checkpoint: expected a file, got the folder"):
        vaelab.training.fit(model, torch.rand(9, 3), epochs=1, checkpoint=path, progress=False)


# ---- what is a user's own


def tiny_vae():
    with networks.seeded(0):
        return models.vae(networks.mlp((1, 4, 4), 2, (8,)))


def test_whole_numbers_as_codes_are_the_numbers_that_they_are():
    model = tiny_vae()
    whole = torch.tensor([[3, 1], [0, 255]], dtype=torch.uint8)
    for codes in (whole, whole.long(), whole.int()):
        assert torch.equal(model.images(codes), model.images(whole.float()))


@pytest.mark.parametrize(
    "density", [densities.Flow(1, (8,), epochs=1), densities.SecondStage((8,))]
)
def test_an_error_of_a_callback_stays_what_it_is(density):
    def full(*_):
        raise RuntimeError("the disk is full")

    session = Session(device="cpu", progress=False, callback=full)
    x = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(RuntimeError, match="the disk is full"):
        density.fit(tiny_vae(), x, session=session)


def test_a_schedule_of_ones_own_may_have_fields_of_its_own():
    @dataclass(frozen=True)
    class Late(training.Cosine):
        note: "Unknown | None" = None  # noqa: F821 (as a type that is imported for checkers alone)
        offset: int = -3

    assert Late(offset=-5).offset == -5 and Late()(1.0, 4) == training.Cosine()(1.0, 4)


def test_memory_of_a_device_is_told_in_its_own_words():
    @door
    def full(x: torch.Tensor):
        raise torch.OutOfMemoryError("CUDA out of memory. GPU 0 has 79 GiB\nand a trace")

    with pytest.raises(ValueError, match=r"full: out of memory \(CUDA .* 79 GiB\); give less"):
        full([1.0])


def test_a_list_of_parts_is_no_generator():
    with pytest.raises(TypeError, match="latent_term: expected a list"):
        models.Autoencoder(networks.mlp(16, 2, (8,)), latent_term=(t for t in [terms.KL()]))


def test_a_short_float_of_numpy_is_a_python_number():
    truth = manifolds.manifold("circle")
    x = truth.sample(5, seed=0)
    short = np.float32(3.3)
    assert torch.equal(theory.nll_limit(truth, x, short), theory.nll_limit(truth, x, float(short)))


# ---- another kind of the same value


MODEL = tiny_vae()
IMAGES = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
TABLE = table(20)
JUDGE = features.Classifier((1, 4, 4), 2)
CODES = densities.GaussianMixture(2).fit_codes(posteriors.Point(torch.rand(9, 2)))
SAME = {
    "widths": (lambda hidden: networks.mlp(3, 2, hidden).n_features, [4, 8], torch.tensor),
    "a flag": (lambda flag: flows.Couplings(2, 1, (4,), scaled=flag).log_scale, True, np.bool_),
    "rows of codes at once": (lambda n: MODEL.codes(IMAGES, batch_size=n).mean, 5, np.int64),
    "codes at once": (lambda n: MODEL.images(IMAGES[:, 0, 0, :2], batch_size=n), 5, np.int64),
    "codes": (lambda z: CODES.log_prob(z), [[0.5, 1.0]], np.array),
    "bytes": (data.unit, torch.tensor([[0, 255]], dtype=torch.uint8), torch.Tensor.numpy),
    "white pixels": (lambda n: plots.image_grid(IMAGES, pad=n).shape, 1, np.uint8),
    "pictures": (lambda x: plots.image_grid(x).sum(), IMAGES, torch.nn.Parameter),
    "rules": (grammar.expressions().decode, [grammar.expressions().parse("1 + x")], np.array),
    "images at once": (lambda n: features.accuracy(JUDGE, IMAGES, [0] * 12, n), 5, np.int64),
    "images of a judge": (
        lambda x: features.accuracy(JUDGE, x, [0] * 12),
        IMAGES,
        torch.Tensor.numpy,
    ),
    "subsets": (lambda n: metrics.kernel_distance(TABLE, 2 * TABLE, n, 5), 3, np.int64),
    "rows of a subset": (lambda n: metrics.kernel_distance(TABLE, 2 * TABLE, 3, n), 5, np.uint8),
    "a power": (lambda p: metrics.sliced_wasserstein(TABLE, 2 * TABLE, p=p), 2, np.int64),
    "whole numbers": (metrics.singular_values, [[1, 2], [3, 5]], np.ulonglong),
}


@pytest.mark.parametrize("name", SAME)
def test_a_value_of_another_kind_is_the_same_value(name):
    f, value, kind = SAME[name]
    assert str(f(kind(value))) == str(f(value))

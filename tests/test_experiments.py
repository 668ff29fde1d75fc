"""The table runner: what a cell is, that nothing is run twice or lost, that what fails says so;
protocols; print.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import forked
import joblib
import numpy as np
import pytest
import scipy.stats
import torch
from PIL import Image

from vaelab import _files, densities, experiments, metrics, models, networks, plots, posteriors
from vaelab.__main__ import main
from vaelab.data import Images, load_images
from vaelab.experiments import (
    DIGITS,
    PROFILES,
    TABLES,
    Cell,
    Entry,
    Outcome,
    Place,
    Profile,
    Row,
    Settings,
    Table,
    cells,
    cells_of,
    ordering,
    protocols,
    read_cell,
    read_table,
    records,
    run_table,
    runner,
    searching,
)
from vaelab.experiments.places import SHIPPED, folder_of, folders_of
from vaelab.experiments.stages import train_firsts
from vaelab.features import features_for
from vaelab.training import Hold, Ramp, Session, TrainingDiverged

TINY = Profile(
    "tiny",
    2,
    "classifier",
    ("digits",),
    n_train=300,
    n_samples=200,
    on={"digits": {"epochs": 3, "second_epochs": 4, "latent_dim": 4}},
)
QUIET = Session(device="cpu", progress=False)
ONE = TABLES["dai-wipf-1"]


def place(folder, **more):
    session = dataclasses.replace(QUIET, checkpoint_every=0.0)
    return Place(folder / "results", folder / "runs", session=session, **more)


def run(folder, *models, table=ONE, trials=1, say=lambda _: None, **more):
    chosen = cells_of(table, more.pop("profile", TINY), ("digits",), models, trials)
    return run_table(chosen, place(folder, **more), 1, say)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Cells that were run without a break: their outcomes and their folder."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, "ce", "learned", "two-stage"), folder


# ---- tables as data


@pytest.mark.parametrize("name", TABLES)
def test_every_published_figure_has_its_place(name):
    table, printed = TABLES[name], experiments.published(name)
    columns = table.elsewhere or table.columns
    places = {(row.key, data_set) for row in table.rows for data_set in columns}
    assert set(printed) <= places
    # README.md beside them says which are missing.
    at_hand = {"ghosh-1": 51, "ghosh-2": 4, "learned-priors-3": 0}
    assert len(printed) == at_hand.get(name, len(places))
    assert all(math.isfinite(value) and value >= 0 for value, _ in printed.values())


@pytest.mark.parametrize("name", TABLES)
def test_the_order_of_published_figures_decides_nothing(name, tmp_path, monkeypatch):
    printed = experiments.published(name)
    first, *rows = (experiments.PUBLISHED / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / f"{name}.csv").write_text("\n".join([first, *rows[::-1]]), encoding="utf-8")
    monkeypatch.setattr(experiments.tables, "PUBLISHED", tmp_path)
    assert experiments.published(name) == printed
    filled = experiments.fill(TABLES[name], [])
    monkeypatch.undo()
    assert experiments.as_text(filled) == experiments.as_text(experiments.fill(TABLES[name], []))


def test_the_settings_of_ghosh_are_the_papers():
    paper = {d: {} for d in ("mnist", "cifar10", "celeba")}
    for data_set, found in paper.items():
        for key in ("vae", "rae", "rae-l2", "rae-sn", "wae"):
            one = TABLES["ghosh-1"]
            how = experiments.settings_for(one, one.row(key), data_set, PROFILES["paper"], 0)
            found[key] = dict(how.arguments)
        assert how.network == "rae" and how.weight_decay == 0
        found["sizes"] = how.latent_dim, how.epochs, dict(how.network_arguments)
    assert paper["mnist"] == {
        "vae": {"gamma": 0.156},
        "rae": {"beta": 0.064},
        "rae-l2": {"beta": 0.0128, "weight": 0.0001024},
        "rae-sn": {"beta": 1.152},
        "wae": {"weight": 30.7},
        "sizes": (16, 100, {}),
    }
    assert paper["cifar10"]["rae"] == {"beta": 0.48} and paper["cifar10"]["vae"] == {"gamma": 0.036}
    assert paper["celeba"]["wae"] == {"weight": 2000.0}
    assert paper["celeba"]["sizes"] == (64, 70, {"kernel": 5, "doublings": 3})


def test_one_cell_holds_both_tables_of_ghosh(tmp_path):
    outcomes = run(tmp_path, "rae-gp gmm", "2svae n", table=TABLES["ghosh-1"])
    assert [outcome.failed for outcome in outcomes] == ["", ""]
    record = next(o.record for o in outcomes if o.cell.model == "rae-gp")
    measured = record["measured"]
    kinds = {"N(0, I)", "Gaussian", "mixture of 10", "midpoints"}
    assert kinds <= set(measured["frechet"]) and set(measured["precision"]) == kinds
    for name in ("ghosh-1", "ghosh-2"):
        rows = [row for row in TABLES[name].rows if row.cell == "rae-gp"]
        assert len(rows) == 4 and all(row.value(record) > 0 for row in rows)
        text = experiments.as_text(experiments.fill(TABLES[name], outcomes))
        assert "learns no γ: no two-stage VAE" in text and "MMD² with a sum" not in text
    assert "images half way on an arc" in text


def test_the_papers_settings_are_the_papers():
    def lengths(data_set, profile="paper", table=ONE):
        s = experiments.settings_for(
            table, table.row("two-stage"), data_set, PROFILES[profile], trial=3
        )
        return s.epochs, s.halve_every, s.second_epochs, s.second_halve_every, s.network, s.seed

    assert (
        lengths("mnist") == (400, 150, 800, None, "infogan", 3)
        and experiments.Settings().batch_size == 100
    )
    assert lengths("cifar10") == (1000, 300, 2000, None, "infogan", 3)
    assert lengths("celeba") == (120, 48, 300, 120, "infogan", 3)
    assert lengths("celeba", table=TABLES["dai-wipf-2"]) == (70, 30, 70, 30, "wae", 3)
    assert lengths("mnist", "full") == (100, 38, 200, None, "infogan", 3)
    assert {PROFILES["paper"].trials, PROFILES["paper"].n_samples} == {10, 10_000}
    assert lengths("digits") == lengths("digits", "quick")


def decay_hold_and_step(settings):
    """Weight decay, step size of γ and what holds it, of both stages."""
    first, second = settings.plan(), experiments.second_stage(settings).plan
    stages = [(p.weight_decay, p.gamma_lr, p.gamma_schedule) for p in (first, second)]
    assert first.gamma_schedule is None
    return stages


@pytest.mark.parametrize("data_set", ["mnist", "fashion", "cifar10", "celeba"])
@pytest.mark.parametrize("table", [ONE, TABLES["dai-wipf-2"]])
def test_gamma_is_learned_as_the_papers_text_says(table, data_set):
    """From the first step of both stages, with the step size of the weights."""
    how = experiments.settings_for(table, table.row("two-stage"), data_set, PROFILES["paper"], 0)
    assert decay_hold_and_step(how) == [(5e-4, 1.0, None)] * 2


def test_gamma_of_the_papers_second_stage_moves_in_the_first_step():
    paper = dataclasses.replace(Settings(), second_epochs=1, second_hidden=2)
    q = posteriors.DiagonalNormal(torch.zeros(100, 2), torch.ones(100, 2), torch.zeros(100, 2))
    stage = experiments.second_stage(paper).fit_codes(q, session=QUIET)
    assert abs(math.log(stage.gamma)) == pytest.approx(paper.second_lr, rel=1e-3)


def test_shorter_profiles_tell_how_they_depart_from_the_text():
    def told(name, data_set):
        cell = Cell(ONE, data_set, "two-stage", 0, PROFILES[name])
        names = ("gamma_lr", "second_gamma_lr", "second_hold")
        return [dataclasses.asdict(cell.settings)[name] for name in names]

    assert told("quick", "mnist") == [50.0, 10.0, 0.5]
    assert told("full", "mnist") == [10.0, 10.0, 0.5]
    assert told("quick", "digits") == [10.0, 10.0, 0.7]
    full = Cell(ONE, "mnist", "two-stage", 0, PROFILES["full"]).settings
    held = Hold(1.0, 0.5)
    assert decay_hold_and_step(full) == [(5e-4, 10.0, None), (5e-4, 10.0, held)]
    assert decay_hold_and_step(DIGITS) == [(0.0, 10.0, None), (0.0, 10.0, Hold(1.0, 0.7))]


def test_files_of_older_cells_say_how_their_second_stage_was_held():
    for network, share in (("mlp", 0.7), ("infogan", 0.5)):
        stored = dataclasses.asdict(Settings(network, gamma_lr=50.0))
        for name in ("second_gamma_lr", "second_hold"):
            del stored[name]
        again = experiments.settings_from(stored)
        assert (again.gamma_lr, again.second_gamma_lr, again.second_hold) == (50.0, 10.0, share)


# ---- the order of the rows


def test_agreement_is_spearmans_with_what_chance_would_give():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 6))
    y[0] = y[3]  # a tie
    found = ordering.agreement(x, y)
    assert found.rho == pytest.approx(metrics.rank_correlation(x, y))
    assert found.low == found.high == pytest.approx(found.rho)
    by_hand = [metrics.rank_correlation(list(order), y) for order in itertools.permutations(x)]
    assert found.chance == pytest.approx(np.mean([rho >= found.rho - 1e-9 for rho in by_hand]))
    assert ordering.agreement([1, 2, 3], [2, 4, 9]).chance == pytest.approx(1 / 6)


def test_agreement_of_many_rows_draws_orders_instead_of_all():
    x = np.random.default_rng(1).normal(size=33)  # All their orders fill no memory there is.
    found = ordering.agreement(x, x + 1.5 * np.random.default_rng(2).normal(size=33))
    exact = scipy.stats.spearmanr(x, x + 1.5 * np.random.default_rng(2).normal(size=33))
    assert found.rho == pytest.approx(exact.statistic)
    assert found.chance == pytest.approx(exact.pvalue / 2, abs=0.01)  # One side, and by a t.


def test_agreement_widens_with_the_spread_of_trials():
    x, y = [1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]
    tight, wide = (ordering.agreement(x, y, [sd] * 4, [0.0] * 4) for sd in (1e-3, 1.0))
    assert (tight.low, tight.high, wide.high) == pytest.approx((1, 1, 1)) and wide.low < 0.7
    rng = np.random.default_rng(1)
    draws = [metrics.rank_correlation(rng.normal(x, 1.0), y) for _ in range(500)]
    assert wide.low == pytest.approx(np.quantile(draws, 0.05), abs=0.25)
    assert ordering.agreement(x, y, None, [10.0] * 4).low < 0.7  # the paper's spread counts too


# ---- the profile laptop


@pytest.mark.parametrize("data_set", ["mnist", "fashion", "cifar10"])
def test_the_laptop_trains_the_small_network_on_all_images(data_set):
    profile = PROFILES["laptop"]
    assert profile.trials == 3 and profile.n_train is None and profile.features == "classifier"
    for row in ONE.rows:
        settings = experiments.settings_for(ONE, row, data_set, profile, 2)
        assert settings.network == "small_conv" and settings.seed == 2
        assert settings.latent_dim == (64 if data_set == "cifar10" else 16)
        assert bool(settings.search) == (row.key == "wae-mmd")
    names = {"digits", "fashion-small", "mnist", "fashion", "cifar10"}
    assert {cell.data_set for cell in cells_of(ONE, profile)} == names


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_every_table_builds_on_a_laptop(name):
    """The small network with the row's model, where the data set is one to train it on."""
    laptop = PROFILES["laptop"]
    chosen = cells_of(TABLES[name], laptop, trials=1)
    assert {"digits", "fashion-small"} <= {cell.data_set for cell in chosen}
    shapes = {"mnist": (1, 28, 28), "fashion": (1, 28, 28), "cifar10": (3, 32, 32)}
    for cell in chosen:
        settings = dataclasses.replace(cell.settings, search={})
        if cell.data_set in shapes and "flow" not in str(settings.model):
            assert settings.network == "small_conv" and settings.epochs == 12
            model = experiments.build(shapes[cell.data_set], settings)
            assert model.image_shape == shapes[cell.data_set]


def test_results_of_two_machines_merge_by_copying_folders(whole, tmp_path):
    outcomes, folder = whole
    machines = [tmp_path / "a", tmp_path / "b", tmp_path / "b"]
    for outcome, machine in zip(outcomes, machines, strict=True):
        (machine / outcome.cell.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "results" / outcome.cell.path, machine / outcome.cell.path)
    for machine in sorted(set(machines)):
        shutil.copytree(machine, tmp_path / "merged", dirs_exist_ok=True)
    merged = read_table([o.cell for o in outcomes], Place(out=tmp_path / "merged", shipped=None))
    assert [o.record for o in merged] == [o.record for o in outcomes]


SEARCHING = dataclasses.replace(TINY, searches=True)


def test_a_search_takes_the_best_and_the_cell_tells_it(tmp_path):
    """The choice once more, by hand; test images have no say."""
    (outcome,) = run(tmp_path, "wae-mmd", profile=SEARCHING)
    found, cell = outcome.record["search"], outcome.cell
    weights = [each["arguments"]["weight"] for each in found["tried"]]
    assert weights == [10.0, 30.0, 100.0, 300.0] and (found["n_train"], found["epochs"]) == (225, 1)
    best = min(found["tried"], key=lambda each: each["frechet"])
    assert found["chosen"] == best["arguments"]
    images, judge = cells.load_shared(cell, place(tmp_path))
    moved = dataclasses.replace(
        images, train_pixels=images.train_pixels.flip(0), test_pixels=images.test_pixels.flip(3)
    )
    settings, again = experiments.searched(moved, cell.settings, judge, QUIET)
    assert again["chosen"] == found["chosen"] and settings.arguments == again["chosen"]
    assert not settings.search
    for mine, theirs in zip(again["tried"], found["tried"], strict=True):
        assert mine["frechet"] == pytest.approx(theirs["frechet"], rel=1e-4)
    chosen = dataclasses.replace(cell.settings, search={}, arguments=found["chosen"])
    model, _ = train_firsts(images, [chosen], QUIET)[0]
    assert outcome.record["measured"]["active_dims"] == metrics.active_dims(
        model.codes(images.test).eigenvalues()
    )


def test_a_search_passes_by_what_diverges(monkeypatch, tmp_path):
    cell = Cell(ONE, "digits", "wae-mmd", 0, SEARCHING)
    images, judge = cells.load_shared(cell, place(tmp_path))
    usual, calls = searching.training.fit_plan, []

    def fit_plan(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise TrainingDiverged("at step 3")
        return usual(*arguments)

    monkeypatch.setattr(searching.training, "fit_plan", fit_plan)
    _, found = experiments.searched(images, cell.settings, judge, QUIET)
    assert [each["frechet"] is None for each in found["tried"]] == [True, False, False, False]


def test_a_search_is_not_passed_over_in_silence():
    with pytest.raises(ValueError, match=r"search: expected none left, .*; call `searched` first"):
        experiments.build((1, 8, 8), dataclasses.replace(DIGITS, search={"gamma": (1.0, 2.0)}))


def test_rows_differ_where_they_should():
    by_key = {row.key: Cell(ONE, "digits", row.key, 0, TINY).settings for row in ONE.rows}
    assert by_key["learned"] == by_key["two-stage"]
    assert by_key["fixed"].arguments == {"gamma": 1.0}
    assert len(set(by_key.values())) == len(by_key) - 1
    sharing = Cell(ONE, "digits", "learned", 0, TINY).sharing()
    assert [cell.model for cell in sharing] == ["learned", "two-stage"]
    celeba = Cell(ONE, "celeba", "wae-mmd", 0, PROFILES["quick"]).settings
    assert (
        celeba.arguments == {"weight": 2000.0}
        and celeba.epochs == PROFILES["quick"].images["epochs"]
    )


@pytest.mark.parametrize("row", ONE.rows + TABLES["dai-wipf-2"].rows, ids=lambda row: row.label)
def test_every_row_builds_on_digits(row):
    model = experiments.build((1, 8, 8), experiments.settings_for(ONE, row, "digits", TINY, 0))
    assert model.images(torch.zeros(2, 4)).shape == (2, 1, 8, 8)
    settings = experiments.settings_for(ONE, row, "cifar10", PROFILES["quick"], 0)
    assert (settings.arguments == {"weight": 18.4}) is (row.model is models.wae_mmd)


def test_a_row_is_a_function_of_the_catalogue_and_its_arguments(monkeypatch):
    """A model that is added to the catalogue needs a row, and nothing else."""

    calls = []

    def vae_of_tomorrow(networks, weight=1.0):
        calls.append(weight)
        return models.vae(networks, beta=weight)

    monkeypatch.setitem(models.CATALOGUE, "vae_of_tomorrow", vae_of_tomorrow)
    row = Row(
        "new", "VAE of tomorrow", vae_of_tomorrow, {"weight": 3.0}, {"mnist": {"weight": 4.0}}
    )
    table = Table("new", "A table", (row,), "nothing")
    how = {d: experiments.settings_for(table, row, d, TINY, 0) for d in ("digits", "mnist")}
    assert {d: s.arguments["weight"] for d, s in how.items()} == {"digits": 3.0, "mnist": 4.0}
    assert experiments.build((1, 8, 8), how["digits"]).latent_dim == 4 and calls == [3.0]
    assert Cell(table, "digits", "new", 0, TINY).settings.model == "vae_of_tomorrow"


def test_models_and_networks_go_by_function_or_name():
    for name in ("wae-mmd", "wae_mmd", models.wae_mmd):
        assert Settings(model=name).model == "wae_mmd"
    assert Settings(model="ce").model == "ce_vae" and Settings(model="flow").model == "vae_flow"
    assert Settings(network=networks.wae) == Settings(network="wae")
    wide = Settings("mlp", 2, network_arguments={"hidden": (7,)})
    weights = experiments.build((1, 8, 8), wide).parameters()
    assert (7, 64) in {tuple(weight.shape) for weight in weights}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": "wea-mmd"}, "model: expected one of .* did you mean 'wae_mmd'"),
        ({"model": len}, "model: expected one of"),
        ({"network": "mpl"}, "network: expected one of .* did you mean 'mlp'"),
        (
            {"model": "wae-mmd", "arguments": {"wieght": 1.0}},
            "wae_mmd: expected options among weight, gamma, got wieght",
        ),
        ({"arguments": {"networks": 1}}, "vae: expected options among gamma, beta"),
        ({"model": "ae", "arguments": {"beta": 1}}, "ae: expected options among none, got beta"),
        (
            {"network": "wae", "network_arguments": {"hidden": 4}},
            "wae: expected options among channels, side, latent_dim, .*, got hidden",
        ),
    ],
)
def test_what_a_function_does_not_take_is_refused(wrong, message):
    with pytest.raises((TypeError, ValueError), match=message):
        experiments.build((1, 8, 8), Settings(**wrong))
    with pytest.raises(TypeError, match=r"^arguments: expected names, each with .*, got 3"):
        Settings(arguments=3)
    with pytest.raises(TypeError, match=r"^network_arguments: expected names, each with numbers"):
        Settings(network_arguments={"hidden": torch.ones(1)})
    with pytest.raises(ValueError, match=r"^bn_momentum: expected a number in \(0, 1\], got nan"):
        Settings("mlp", bn_momentum=math.nan)


def test_settings_of_a_file_are_those_that_were_written():
    for settings in (DIGITS, Cell(ONE, "celeba", "wae-mmd", 0, PROFILES["quick"]).settings):
        stored = json.loads(json.dumps(dataclasses.asdict(settings)))
        again = dataclasses.asdict(experiments.settings_from(stored))
        assert json.loads(json.dumps(again)) == stored


def test_cells_of_asks_for_what_is_there():
    assert len(cells_of(ONE, PROFILES["quick"])) == 3 * 3 * 6
    assert [c.model for c in cells_of(TABLES["dai-wipf-3"], TINY)] == ["two-stage", "two-stage"]
    assert {c.data_set for c in cells_of(TABLES["dai-wipf-2"], PROFILES["quick"])} == {"digits"}
    for wrong, message in (
        ({"data_sets": ("mnits",)}, "did you mean 'mnist'"),
        ({"models": ("twostage",)}, "did you mean 'two-stage'"),
        ({"trials": 0}, "trials: expected a whole number ≥ 1"),
    ):
        with pytest.raises(ValueError, match=message):
            cells_of(ONE, TINY, **wrong)


# ---- protocols


def test_the_authors_protocol_stretches_every_sample_by_itself():
    x = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    stretched = protocols.samples(x, "dai-wipf")
    for image, out in zip(x.numpy(), stretched.numpy(), strict=True):
        np.testing.assert_allclose(
            out, (image - image.min()) / (image.max() - image.min()), rtol=1e-5
        )
    assert torch.isfinite(protocols.samples(torch.full((1, 1, 2, 2), 0.3), "dai-wipf")).all()


def test_the_clean_protocol_is_what_a_file_would_hold(tmp_path):
    x = torch.rand(3, 5, 5, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    bytes_ = np.clip(np.rint(x.numpy() * 255), 0, 255).astype(np.uint8)
    Image.fromarray(bytes_.transpose(1, 2, 0)).save(tmp_path / "a.png")
    read = torch.from_numpy(np.array(Image.open(tmp_path / "a.png"))).permute(2, 0, 1) / 255
    torch.testing.assert_close(protocols.samples(x[None], "clean")[0], read)
    with pytest.raises(
        ValueError, match="protocol: expected one of 'clean', 'dai-wipf', got 'dirty'"
    ):
        protocols.samples(x[None], "dirty")


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_a_round_trip_through_a_file(channels, tmp_path):
    x = (
        torch.rand(2, channels, 16, 16, generator=torch.Generator().manual_seed(0)) * 255
    ).round() / 255
    out = protocols.jpeg(x)
    pixels = (x[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(tmp_path / "a.jpg")
    read = np.atleast_3d(np.array(Image.open(tmp_path / "a.jpg"))).transpose(2, 0, 1)
    np.testing.assert_allclose(out[0].numpy() * 255, read, atol=1e-3)
    assert 0.001 < (out - x).abs().mean() < 0.2


def test_only_cifar10_goes_through_jpeg():
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = Images("cifar10", x[:2], x[2:], None, None, (), "Made up.")
    there = protocols.prepare(images, "dai-wipf")
    assert torch.equal(there.train, protocols.jpeg(x[:2])) and torch.equal(
        there.test, protocols.jpeg(x[2:])
    )
    assert "JPEG" in there.source and protocols.prepare(images, "clean") is images
    other = dataclasses.replace(images, name="mnist")
    assert protocols.prepare(other, "dai-wipf") is other


# ---- a cell


def test_a_cell_tells_all_that_repeats_it(whole):
    outcomes, folder = whole
    assert not any(outcome.failed for outcome in outcomes)
    cell = outcomes[-1].cell
    told = json.loads((folder / "results" / cell.path).read_text())
    assert told["cell"]["model"] == "two-stage" and told["cell"]["protocol"] == "clean"
    assert told["settings"] == json.loads(json.dumps(dataclasses.asdict(cell.settings))) | {
        "second_stage": True
    }
    assert (
        told["cell"]["features"].startswith("digits classifier")
        and told["versions"]["torch"] == torch.__version__
    )
    assert (
        told["machine"]["device"] == "cpu"
        and told["machine"]["threads"] == 1
        and told["machine"]["device_name"]
    )
    assert (
        told["data"]["n_train"] == 300
        and told["data"]["n_test"] == 500
        and len(told["data"]["fingerprint"]) == 64
    )
    assert told["seconds"]["whole"] > 0 and told["seconds"]["resumed"] is False
    assert (told["commit"] is None) or len(told["commit"].rstrip("+")) == 40
    assert (
        len(told["gamma_curves"]["first stage"]) == 3
        and len(told["gamma_curves"]["second stage"]) == 4
    )


def test_a_cell_measures_what_the_measures_say(whole):
    """The figures of a cell once more, by hand, from its settings."""
    outcomes, _ = whole
    images = load_images("digits")
    chosen = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))[:300]
    images = dataclasses.replace(images, train_pixels=images.train_pixels[chosen])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, second, _ = experiments.train(images, outcomes[-1].cell.settings, session=QUIET)
    torch.set_num_threads(threads)
    space, measured = features_for(images), outcomes[-1].record["measured"]
    fake = (model.images(second.sample(200, 0)).clamp(0, 1) * 255).round() / 255
    expected = metrics.frechet_distance(space(fake), space(images.test))
    distances = measured["frechet"]
    assert distances["second stage"] == pytest.approx(expected, rel=1e-4)
    assert measured["gamma"] == pytest.approx(model.gamma) and measured[
        "second_gamma"
    ] == pytest.approx(second.gamma)
    assert measured["n_samples"] == measured["n_codes"] == 200
    few = metrics.frechet_distance(space(images.train[:200]), space(images.test))
    assert distances["floor"] == pytest.approx(few, rel=0.3)
    assert distances["floor"] < distances["second stage"] < distances["reconstructions"]
    learned = outcomes[1].record["measured"]
    assert (
        learned["gamma"] == measured["gamma"]
        and learned["spectra"]["stage 1"] == measured["spectra"]["stage 1"]
    )
    assert set(learned["frechet"]) == {"N(0, I)", "reconstructions", "floor"}
    assert learned["frechet"]["floor"] == distances["floor"] and "second_gamma" not in learned
    assert sum(measured["histogram"]) == pytest.approx(1)
    q, noise = model.codes(images.test[:500]), measured["noise"]
    axes = q.covariance().diagonal(dim1=1, dim2=2).mean(0).sort()  # of a diagonal Σ_z
    np.testing.assert_allclose(noise["eigenvalues"], axes.values, rtol=1e-4)
    one = metrics.direction_variance(
        model.images, q.mean[:16], torch.eye(4)[axes.indices], n_draws=4, seed=0
    )
    np.testing.assert_allclose(noise["variance"], one, rtol=1e-3)
    assert noise["rank_correlation"] == pytest.approx(metrics.rank_correlation(axes.values, one))


def test_codes_of_a_second_stage_are_compared_with_its_own_prior():
    images = load_images("digits")
    model = models.flow_prior_vae(networks.mlp((1, 8, 8), 2, (8,)))
    model.prior.flow.shift.data += 5
    second = densities.SecondStage((8,), epochs=1).fit(model, images.train)
    found = experiments.measuring.measure_stages(images, model, second, n=500)["mmd2"]
    z = densities.draw(model.codes(images.train[:500]), 0)
    normal = torch.randn(500, 2, generator=torch.Generator().manual_seed(2))
    assert found["stage 2"] == metrics.mmd2(second.codes(z, 1), normal)
    assert found["stage 1"] == metrics.mmd2(z, model.prior.sample(500, 2, 2))


def test_what_has_run_is_not_run_again(whole, monkeypatch):
    outcomes, folder = whole
    monkeypatch.setattr(cells, "train_firsts", None)  # nothing may be trained
    said = []
    again = run(folder, "ce", "learned", "two-stage", say=said.append)
    assert [o.record for o in again] == [o.record for o in outcomes] and said == [
        "3 cells: 3 have run, 0 to go"
    ]
    assert not list((folder / "runs").rglob("*.safetensors"))
    third = run(folder, table=TABLES["dai-wipf-3"])
    assert third[0].record == outcomes[-1].record


def test_a_first_stage_is_trained_once_for_all_that_share_it(tmp_path, monkeypatch, whole):
    calls, real = [], cells.train_firsts
    monkeypatch.setattr(cells, "train_firsts", lambda *a: calls.append(a[1][0].model) or real(*a))
    run(tmp_path, "learned", "two-stage")
    assert calls == ["vae"]
    run(tmp_path, "learned", trials=2)  # trial 1 alone: its first stage is kept for the other
    assert list((tmp_path / "runs").rglob("stage1.state.safetensors"))
    said = []
    outcome = run(tmp_path, "two-stage", trials=2, say=said.append)[1]
    assert outcome.record["seconds"]["resumed"] and calls == ["vae"] * 3
    assert not list((tmp_path / "runs").rglob("*"))
    assert (
        outcome.record["measured"]["frechet"] != whole[0][2].record["measured"]["frechet"]
    )  # another seed


def test_rows_that_differ_in_a_weight_have_folders_of_their_own(tmp_path):
    rows = [Row(f"λ = {w:g}", "WAE-MMD", models.wae_mmd, {"weight": w}) for w in (1.0, 2.0)]
    table = Table("weights", "Two weights", tuple(rows), "nothing")
    one, two = cells_of(table, TINY, ("digits",), trials=1)
    assert one.sharing() == [one] and two.sharing() == [two]
    where = place(tmp_path)
    folders = {folder_of(cell, where, (0,)) for cell in (one, two)}
    assert len(folders) == 2 and all(f.name.startswith("wae-mmd-") for f in folders)
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "stage1.state.safetensors").touch()
    assert set(folders_of(one, where).values()) | set(folders_of(two, where).values()) == folders
    assert len(folders_of(one, where)) == 1
    other = dataclasses.replace(where, session=Session(precision="bfloat16"))
    fewer = dataclasses.replace(one, profile=dataclasses.replace(TINY, n_train=200))
    assert len(folders | {folder_of(one, other, (0,)), folder_of(fewer, where, (0,))}) == 4
    later = dataclasses.replace(one, trial=1)
    assert folder_of(later, where, (1,)).name == folder_of(one, where, (1,)).name


# ---- what goes wrong


def test_one_cell_out_of_memory_does_not_stop_the_others(tmp_path, monkeypatch, whole):
    real = cells.train_firsts

    def short_of_memory(images, several, *more):
        if several[0].model == "ce_vae":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")
        return real(images, several, *more)

    monkeypatch.setattr(cells, "train_firsts", short_of_memory)
    outcomes = run(tmp_path, "ce", "learned")
    assert outcomes[1].record["measured"] == whole[0][1].record["measured"]
    said = experiments.failures(outcomes)
    assert said.startswith(
        "1 failed (digits, ce, trial 0): out of memory (CUDA out of memory. Tried to allocate 2.00"
    )
    assert "fewer --jobs, --device cpu" in said
    monkeypatch.undo()
    assert experiments.failures(run(tmp_path, "ce", "learned")) == ""


def test_a_full_disk_loses_nothing_that_was_trained(tmp_path, monkeypatch, whole):
    def full(path, content):
        raise OSError(
            errno.ENOSPC,
            f"could not write {path} (No space left on device); nothing that was there is lost",
        )

    monkeypatch.setattr(records, "write_atomic", full)
    outcomes = run(tmp_path, "two-stage")
    assert "No space left on device" in outcomes[0].failed
    monkeypatch.undo()
    again = run(tmp_path, "two-stage")[0]
    assert (
        again.record["seconds"]["resumed"]
        and again.record["measured"] == whole[0][2].record["measured"]
    )


def test_a_data_set_that_is_not_there_is_said_once(tmp_path, monkeypatch):
    def load(name, root=None):
        if name == "mnist":
            raise FileNotFoundError("mnist: not found, and the download failed; point --data to it")
        return load_images(name)

    cells._load.cache_clear()
    monkeypatch.setattr(cells, "load_images", load)
    said = []
    chosen = cells_of(ONE, TINY, ("mnist", "digits"), ("ce", "learned"), 1)
    outcomes = run_table(chosen, place(tmp_path), 1, said.append)
    assert [bool(o.failed) for o in outcomes] == [True, True, False, False]
    assert sum("point --data to it" in line for line in said) == 1
    assert experiments.failures(outcomes).startswith(
        "2 failed (mnist, ce, trial 0; mnist, learned, trial 0): mnist:"
    )


def test_a_fault_of_our_own_says_where(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "measure", lambda *_: 1 / 0)
    failed = run(tmp_path, "learned")[0].failed
    assert (
        failed.startswith("ZeroDivisionError at test_experiments.py:")
        and "please report it" in failed
    )


def test_a_file_of_another_run_is_not_taken_for_this_one(whole, tmp_path):
    outcomes, folder = whole
    cell = outcomes[0].cell
    path = place(tmp_path).out / cell.path
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "results" / cell.path).read_bytes())
    other = dataclasses.replace(TINY, on={"digits": {**TINY.on["digits"], "epochs": 5}})
    said = run(tmp_path, "ce", profile=other)[0].failed
    assert (
        "measured in another way (epochs: 3 there, 5 here); delete it or give another --out" in said
    )
    fewer = run(tmp_path, "ce", profile=dataclasses.replace(TINY, n_samples=100))[0].failed
    assert "n_samples: 200 there, 100 here" in fewer
    assert (
        "space: 'classifier' there, 'inception' here"
        in run(tmp_path, "ce", features="inception")[0].failed
    )
    path.write_text("{")
    assert "is damaged" in run(tmp_path, "ce")[0].failed
    path.write_text("[]")
    assert "is damaged (another format)" in run(tmp_path, "ce")[0].failed


def edited(path, edit, sum_again=False):
    """A cell's file after `edit` of its record, perhaps with the checksum of that."""
    record = json.loads(path.read_text())
    edit(record)
    if sum_again:
        del record["checksum"]
        record["checksum"] = records._checksum(record)
    path.write_text(json.dumps(record))


def set_frechet(value):
    def edit(record):
        record["measured"]["frechet"]["N(0, I)"] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "sum_again", "message"),
    [
        (set_frechet(1.0), False, "it does not match its checksum"),
        (lambda r: r["machine"].update(cores=64), False, "it does not match its checksum"),
        (lambda r: r.pop("checksum"), False, "it lacks 'checksum'"),
        (set_frechet(-1.0), True, r"frechet of N\(0, I\): expected a finite number ≥ 0, got -1.0"),
        (set_frechet(float("nan")), True, "expected a finite number ≥ 0, got nan"),
        (set_frechet("1.0"), True, "expected a finite number ≥ 0, got '1.0'"),
        (lambda r: r["measured"]["mmd2"].update({"stage 1": None}), True, "mmd2 of stage 1"),
        (lambda r: r["measured"].pop("mmd2"), True, "it lacks 'measured.mmd2'"),
        (lambda r: r["measured"]["frechet"].clear(), True, "it lacks 'N"),
        (lambda r: r.pop("data"), True, "it lacks 'data'"),
        (lambda r: r.update(data=3), True, "is damaged"),
        (lambda r: r.pop("settings"), True, "it lacks 'settings'"),
        (lambda r: r["settings"].update(model="vea"), True, "did you mean 'vae'"),
        (lambda r: r["settings"].update(more=1), True, "unexpected keyword argument 'more'"),
    ],
)
def test_a_file_that_no_measurement_wrote_is_not_printed(edit, sum_again, message, whole, tmp_path):
    outcomes, folder = whole
    cell, where = outcomes[0].cell, place(tmp_path)
    path = where.out / cell.path
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "results" / cell.path).read_bytes())
    edited(path, edit, sum_again)
    with pytest.raises(ValueError, match=message):
        read_cell(cell, where)
    [outcome] = read_table([cell], where)
    assert outcome.record is None and "delete it" in outcome.failed
    assert "–" in experiments.as_text(experiments.fill(ONE, [outcome]))
    assert experiments.failures([outcome]).startswith("1 failed (digits, ce, trial 0)")


def test_a_truncated_file_and_one_of_the_days_before_are_read_with_care(whole, tmp_path):
    outcomes, folder = whole
    cell, where = outcomes[0].cell, place(tmp_path)
    path = where.out / cell.path
    path.parent.mkdir(parents=True)
    path.write_bytes((folder / "results" / cell.path).read_bytes()[:500])
    with pytest.raises(ValueError, match=r"is damaged .* delete it"):
        read_cell(cell, where)
    old = cells_of(ONE, PROFILES["quick"], ("digits",), ("fixed",), 1)[0]
    content = (SHIPPED / old.path).read_text()
    path = where.out / old.path
    path.parent.mkdir(parents=True)
    for edit in (
        lambda r: r["measured"].update(frechet=float("nan")),
        lambda r: r["measured"].update(frechet=-0.5),
        lambda r: r["measured"].pop("n_fake"),
        lambda r: r["settings"].pop("gamma"),
    ):
        path.write_text(content)
        edited(path, edit)
        with pytest.raises(ValueError, match="is damaged"):
            read_cell(old, where)
    path.write_text(content)
    assert read_cell(old, where)["settings"]["arguments"] == {"gamma": 1.0}


def test_a_figure_that_cannot_be_is_not_written(tmp_path, monkeypatch):
    real = cells.measure

    def broken(*arguments):
        measured = real(*arguments)
        measured["frechet"]["N(0, I)"] = float("nan")
        return measured

    monkeypatch.setattr(cells, "measure", broken)
    [outcome] = run(tmp_path, "learned")
    assert "frechet of N(0, I): expected a finite number" in outcome.failed
    assert not list((tmp_path / "results").rglob("*.json"))


# ---- what came with the package


STORED = {
    ("dai-wipf-1", "digits"): [
        "17.5 ± 1.4 (3)",
        "244.0 ± 1.3 (3)",
        "27.7 ± 1.3 (3)",
        "28.0 ± 0.7 (3)",
        "68.8 ± 6.4 (3)",
        "10.5 ± 0.9 (3)",
        "2.27 (1)",
    ],
    ("dai-wipf-1", "mnist"): [
        "231.0 ± 2.2 (2)",
        "691.6 ± 23.1 (3)",
        "165.9 ± 5.3 (3)",
        "145.2 (1)",
        "284.2 (1)",
        "54.6 ± 1.3 (3)",
        "0.7015 (1)",
    ],
    ("dai-wipf-1", "fashion"): [
        "108.4 (1)",
        "130.4 ± 5.6 (3)",
        "122.3 ± 6.0 (3)",
        "–",
        "–",
        "45.9 ± 0.4 (3)",
        "0.2261 (1)",
    ],
    ("dai-wipf-1", "cifar10"): [
        "–",
        "171.7 ± 2.0 (3)",
        "154.7 ± 7.1 (3)",
        "–",
        "–",
        "126.7 ± 1.9 (3)",
        "0.3135 (1)",
    ],
    ("dai-wipf-3", "digits"): ["0.005469 ± 0.000569 (3)", "0.000378 ± 0.000607 (3)"],
    ("dai-wipf-3", "mnist"): ["0.0178 ± 0.0006 (3)", "0.000095 ± 0.000027 (3)"],
    ("dai-wipf-3", "fashion"): ["0.0140 ± 0.0012 (3)", "0.000110 ± 0.000039 (3)"],
}


@pytest.mark.parametrize(("name", "data_set"), STORED)
def test_the_stored_cells_print_the_stored_table(name, data_set, tmp_path):
    table = TABLES[name]
    chosen = cells_of(table, PROFILES["quick"], (data_set,))
    filled = experiments.fill(table, read_table(chosen, place(tmp_path)))
    column = f"{data_set}, shipped"
    assert filled.columns == (column,)
    printed = [filled.entries[label, column].measured for label in filled.labels]
    assert printed == STORED[name, data_set]
    text = experiments.as_text(filled)
    assert all(figure in text for figure in printed) and "here  " not in text
    assert "was not measured here, but on x86_64 (cores: 2), " in text


def test_what_came_with_the_package_has_not_run(tmp_path):
    cell = cells_of(ONE, PROFILES["quick"], ("digits",), ("fixed",), 1)[0]
    where = place(tmp_path)
    assert read_cell(cell, where)["shipped"] and not (where.out / cell.path).exists()
    assert read_cell(cell, where, shipped=False) is None
    assert read_cell(cell, dataclasses.replace(where, shipped=None)) is None
    assert read_cell(cell, dataclasses.replace(where, out=SHIPPED))["shipped"]


def test_shipped_figures_stand_in_columns_of_their_own():
    outcomes = made_up({"ce": [3.0], "learned": [60.0]}) + made_up({"ce": [5.0]}, shipped=True)
    filled = experiments.fill(ONE, outcomes)
    assert filled.columns == ("mnist", "mnist, shipped")
    wide, narrow = experiments.as_text(filled), experiments.as_text(filled, width=60)
    assert max(map(len, narrow.splitlines())) <= 60 < max(map(len, wide.splitlines()))
    assert sorted(narrow.split()) == sorted(f"{wide} {' '.join(filled.labels)}".split())
    assert filled.entries["VAE, cross-entropy", "mnist"] == Entry((3.0,), 16.6, 0.4)
    assert filled.entries["VAE, cross-entropy", "mnist, shipped"] == Entry((5.0,), 16.6, 0.4)
    assert filled.entries["VAE, γ learned", "mnist, shipped"].values == ()
    lines = experiments.as_text(filled).splitlines()
    assert lines[2].split() == ["mnist", "mnist"]
    assert lines[3].split() == ["here", "paper", "shipped", "paper"]
    assert sum("on an abacus (cores: 1), 2026-01-02" in line for line in lines) == 1
    assert "| | mnist, here | mnist, paper | mnist, shipped | mnist, paper |" in (
        experiments.as_markdown(filled)
    )
    assert "shipped" not in experiments.as_text(experiments.fill(ONE, made_up({"ce": [3.0]})))


def test_a_file_without_a_day_has_that_of_its_code(tmp_path):
    day = records.commit_date
    assert day("8786011624a66e99c4cbae10347137eac6513d25+") in ("2026-11-21", None)
    assert day("--output=somewhere") is None and day("0" * 40) is None


def test_a_worker_that_dies_leaves_what_was_written(tmp_path, monkeypatch, whole):
    class Pool:
        def __init__(self, **_):
            pass

        def __call__(self, tasks):
            function, arguments, named = next(iter(tasks))
            yield function(*arguments, **named)
            raise RuntimeError(
                "A worker process managed by the executor\nwas unexpectedly terminated"
            )

    monkeypatch.setattr(joblib, "Parallel", Pool)
    outcomes = run(tmp_path, "ce", "learned")
    assert outcomes[0].record["measured"] == whole[0][0].record["measured"]
    assert "a worker was lost (RuntimeError: A worker process managed" in outcomes[1].failed


LONGER = dataclasses.replace(  # Some 26 writes.
    TINY, on={"digits": {**TINY.on["digits"], "epochs": 12, "second_epochs": 12}}
)
CHOSEN = cells_of(ONE, LONGER, ("digits",), ("learned", "two-stage"), 1)


def run_and_die(folder, last, moment):
    """Run two cells in a process that is killed before, during or after its write number `last`."""
    real, numbers = _files.write_atomic, itertools.count(1)

    def write(path, content):
        is_last = next(numbers) == last
        if is_last and moment == "during":
            partial = path.with_name(f".{path.name}.{os.getpid()}.vaelab-partial")
            partial.write_bytes(content[: len(content) // 2])
        if not is_last or moment == "after":
            real(path, content)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)

    _files.write_atomic = records.write_atomic = write
    run_table(CHOSEN, place(folder), 1, lambda _: None)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_cell_killed_ten_times_gives_the_same_numbers(tmp_path):
    """Ten processes are killed before, during or after a write, in both stages; this one goes on to
    the end.
    """
    rng = random.Random(0)
    for _ in range(10):
        moment = (rng.randint(1, 2), rng.choice(["before", "during", "after"]))
        process = forked.FORKS.Process(target=run_and_die, args=(tmp_path, *moment))
        process.start()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
    resumed, whole = (
        [outcome.record for outcome in run_table(CHOSEN, place(folder), 1, lambda _: None)]
        for folder in (tmp_path, tmp_path / "whole")
    )
    assert resumed[1]["seconds"]["resumed"] and not whole[1]["seconds"]["resumed"]
    for name in ("measured", "gamma_curves", "settings", "data"):
        assert [cell[name] for cell in resumed] == [cell[name] for cell in whole]
    assert not list((tmp_path / "runs").rglob("*")) and not list(tmp_path.rglob("*partial"))


@contextlib.contextmanager
def dask_backend(workers):
    """A cluster of workers of one core each, to which joblib sends its tasks."""
    distributed = pytest.importorskip("distributed")
    how = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**how) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask", n_jobs=-1),
    ):
        yield cluster


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_dask_worker_is_killed_and_nothing_is_lost(tmp_path):
    """A real cluster of two workers; one is killed once the first cell is written, so that the
    other, of one core, has the rest.
    """
    longer = {"epochs": 30, "second_epochs": 30, "latent_dim": 4}
    profile = dataclasses.replace(TINY, on={"digits": longer})
    chosen = cells_of(ONE, profile, ("digits",), ("ce", "learned", "two-stage"), 2)
    killed = []

    def kill(cluster):
        while not list((tmp_path / "results").rglob("*.json")):
            time.sleep(0.05)
        worker = next(iter(cluster.workers.values()))
        killed.append(worker.pid)
        os.kill(worker.pid, 9)

    with dask_backend(2) as cluster:
        killer = threading.Thread(target=kill, args=(cluster,))
        killer.start()
        outcomes = run_table(chosen, place(tmp_path), None, lambda _: None)
        killer.join()
    assert killed and experiments.failures(outcomes) == "" and len(outcomes) == 6
    alone = run_table(chosen[:3], place(tmp_path / "alone"), 1, lambda _: None)
    assert [o.record["measured"] for o in alone] == [o.record["measured"] for o in outcomes[:3]]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_of_one_core_runs_the_cells(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "the client")
    chosen = cells_of(ONE, TINY, ("digits",), ("ce",), 1)
    with dask_backend(1):
        (outcome,) = run_table(chosen, place(tmp_path), None, lambda _: None)
    told = json.loads((tmp_path / "results" / outcome.cell.path).read_text())
    assert told["machine"]["host"] == socket.gethostname() != "the client"


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_a_worker_with_other_code_trains_nothing(tmp_path, monkeypatch):
    """A worker whose copy of the package has another step size."""
    distributed = pytest.importorskip("distributed")
    root = Path(experiments.__file__).parents[2]
    for name in ("vaelab", "data/published"):
        shutil.copytree(root / name, tmp_path / "other" / name)
    settings = tmp_path / "other" / "vaelab/experiments/settings.py"
    was = settings.read_text()
    settings.write_text(was.replace("lr: float = 1e-4", "lr: float = 5e-3"))
    assert settings.read_text() != was
    chosen = cells_of(ONE, TINY, ("digits",), ("ce",), 1)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        places = os.pathsep.join([str(tmp_path / "other"), str(Path(__file__).parent)])
        worker = subprocess.Popen(
            [*command, "--nthreads", "1", "--no-nanny", "--no-dashboard"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": places},
        )
        try:
            with (
                distributed.Client(cluster) as client,
                joblib.parallel_config(backend="dask", n_jobs=-1),
            ):
                client.wait_for_workers(1)
                (outcome,) = run_table(chosen, place(tmp_path), None, lambda _: None)
        finally:
            worker.terminate()
            worker.wait()
    assert "runs other code of vaelab" in outcome.failed
    assert not list((tmp_path / "results").rglob("*.json"))


@pytest.mark.parametrize(
    ("part", "edit", "message"),
    [
        ("settings", lambda settings: settings | {"lr": 5e-3}, "lr: 0.005 there, 0.002 here"),
        ("code", lambda code: code[::-1], "runs other code of vaelab"),
        ("cell", lambda cell: cell | {"trial": 1}, "trial: 1 there, 0 here"),
    ],
)
def test_a_worker_that_measured_another_thing_is_not_believed(
    part, edit, message, tmp_path, monkeypatch
):
    def work(*group):
        (outcome,) = run_cells(*group)
        record = outcome.record | {part: edit(outcome.record[part])}
        return [dataclasses.replace(outcome, record=record)]

    run_cells = runner.run_cells
    monkeypatch.setattr(runner, "run_cells", work)
    chosen = cells_of(ONE, TINY, ("digits",), ("ce",), 1)
    (outcome,) = run_table(chosen, place(tmp_path), 1, lambda _: None)
    assert outcome.record is None and "the worker is not believed" in outcome.failed
    assert message in outcome.failed
    monkeypatch.undo()
    (again,) = run_table(chosen, place(tmp_path), 1, lambda _: None)
    assert again.record and len(list((tmp_path / "results").rglob("*.refused"))) == 1


# ---- in print


def made_up(values, table=ONE, data_set="mnist", shipped=False):
    """Outcomes of a table as if measured: by model, one value a trial."""

    def told(cell, value):
        measured = {
            "frechet": {"N(0, I)": value, "second stage": value, "floor": 1.5},
            "n_samples": 100,
            "mmd2": {"stage 1": value, "stage 2": value / 10},
        }
        named = {**records.identity(cell, Place()), "features": "made-up features"}
        data = {"name": cell.data_set, "n_train": 300, "source": "Made up.", "fingerprint": "0"}
        machine = {"device_name": "an abacus", "cores": 1}
        record = {"measured": measured, "cell": named, "data": data, "machine": machine}
        return record | {"shipped": shipped, "date": "2026-01-02"}

    made = []
    for model, some in values.items():
        for trial, value in enumerate(some):
            cell = Cell(table, data_set, model, trial, TINY)
            made.append(Outcome(cell, record=told(cell, value)))
    return made


def test_entries_are_mean_and_spread():
    entry = Entry((1.0, 2.0, 6.0), 12.6, 1.5)
    assert entry.mean == 3.0 and entry.sd == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert entry.measured == "3.00 ± 2.65 (3)" and entry.published == "12.6 ± 1.5"
    assert (
        Entry((2e-4, 4e-4)).measured == "0.000300 ± 0.000141 (2)"
        and Entry((0.7015,)).measured == "0.7015 (1)"
    )
    assert Entry((12.34,)).measured == "12.3 (1)" and Entry().measured == Entry().published == "–"


def test_the_printed_table_holds_both_figures():
    filled = experiments.fill(
        ONE, made_up({"ce": [3.0, 5.0], "learned": [60.0], "two-stage": [1.0]})
    )
    told = experiments.as_text(filled)
    row = next(line for line in told.splitlines() if line.startswith("VAE, cross-entropy"))
    assert row.split()[2:] == ["4.00", "±", "1.41", "(2)", "16.6", "±", "0.4"]
    assert "12.6 ± 1.5" in told and "training images (floor)" in told and "1.50 (1)" in told
    assert "profile tiny, protocol clean." in told
    assert "100 samples to the test images in the features of made-up" in told
    assert (
        "no FID" in told and "mnist: rank correlation of the 3 rows with the paper's +1.00." in told
    )
    assert "WAE-MMD" not in told  # it was not asked for
    for letter in ("γ: ", "Fréchet: "):
        assert letter in told
    assert "lower is better" in told and "A collapsed model" not in told  # of Table 3 alone
    assert "mnist: 300 training images. Made up." in told and "CAUTION" not in told
    lines = experiments.as_markdown(filled).splitlines()
    assert (
        lines[2] == "| | mnist, here | mnist, paper |"
        and "| VAE, γ learned | 60.0 (1) | 54.5 ± 1.0 |" in lines
    )
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


@pytest.mark.parametrize("where", [("cell", "features"), ("data", "fingerprint")])
def test_cells_that_do_not_compare_are_told_of(where):
    outcomes = made_up({"ce": [3.0, 5.0]}) + made_up({"ce": [9.0]}, data_set="digits")
    outcomes[0].record[where[0]][where[1]] = "another"
    told = experiments.as_text(experiments.fill(ONE, outcomes))
    assert (
        "mnist: CAUTION, its cells are of different images or features" in told
        and told.count("CAUTION") == 1
    )


def test_table_3_reads_the_codes():
    filled = experiments.fill(
        TABLES["dai-wipf-3"], made_up({"two-stage": [0.5]}, TABLES["dai-wipf-3"])
    )
    assert filled.entries["codes of stage 1", "mnist"] == Entry((0.5,), 2.85)
    assert filled.entries["codes of stage 2", "mnist"] == Entry((0.05,), 0.43)
    assert "ratio" in experiments.as_text(filled) and "(floor)" not in experiments.as_text(filled)


def test_the_figure_draws_both_figures():
    outcomes = made_up({"ce": [3.0, 5.0], "two-stage": [1.0]}) + made_up(
        {"ce": [9.0]}, data_set="digits"
    )
    figure = plots.table_figure(experiments.fill(ONE, outcomes))
    here, digits, paper, none = figure.axes
    assert (
        here.get_title() == "mnist, here"
        and paper.get_title() == "mnist, paper (FID)"
        and not none.get_visible()
    )
    assert sorted(here.lines[0].get_xdata()) == [1.0, 1.5, 4.0] and sorted(
        paper.lines[0].get_xdata()
    ) == [12.6, 16.6]
    assert list(digits.lines[0].get_xdata()) == [9.0, 1.5]
    plots.plt.close(figure)


# ---- the command


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(PROFILES, "tiny", TINY)


def test_the_command_runs_prints_and_draws(tiny, tmp_path, capsys, whole):
    where = [
        "--out",
        str(whole[1] / "results"),
        "--runs",
        str(tmp_path / "runs"),
        "--device",
        "cpu",
    ]
    wanted = ["--profile", "tiny", "--trials", "1", "--model", "two-stage", "--model", "ce"]
    drawn, written = tmp_path / "a" / "table.png", tmp_path / "b" / "table.md"
    command = [
        "table",
        "dai-wipf-1",
        *wanted,
        *where,
        "--figure",
        str(drawn),
        "--markdown",
        str(written),
    ]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "2 cells: 2 have run, 0 to go" in told
    value = whole[0][2].record["measured"]["frechet"]["second stage"]
    assert Entry((value,)).measured in told and written.read_text().startswith(
        "### Dai & Wipf (2019), Table 1"
    )
    with Image.open(drawn) as picture:
        assert picture.size[0] > 300 and np.asarray(picture.convert("L")).std() > 10
    assert main(["table", "dai-wipf-1", *wanted, "--show", "--out", str(tmp_path / "nothing")]) == 0
    assert "–" in capsys.readouterr().out


def test_more_jobs_than_cells_are_no_more_workers(whole, monkeypatch):
    asked, parallel = [], joblib.Parallel

    def counted(n_jobs, **how):
        asked.append(n_jobs)
        return parallel(1, **how)

    monkeypatch.setattr(joblib, "Parallel", counted)
    cells = [outcome.cell for outcome in whole[0]]
    experiments.run_table(cells, place(whole[1]), jobs=10**12, say=lambda _: None)
    assert asked == [1]


def test_cells_that_failed_are_summed_up_and_the_status_says_so(tiny, tmp_path, capsys):
    where = [
        "--out",
        str(tmp_path / "results"),
        "--runs",
        str(tmp_path / "runs"),
        "--device",
        "cpu",
    ]
    wanted = [
        "--profile",
        "tiny",
        "--trials",
        "1",
        "--features",
        "inception",
        "--weights",
        str(tmp_path / "none.pth"),
    ]
    assert main(["table", "dai-wipf-1", *wanted, *where]) == 1
    said = capsys.readouterr()
    assert (
        "6 failed (digits, ce, trial 0; digits, fixed, trial 0; digits, learned, trial 0; and 3 "
        "more)"
    ) in said.err
    assert "none.pth, which is not there" in said.err or "need torch-fidelity" in said.err
    assert "the same command goes on with what is missing" in said.err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--profile", "quik"], "did you mean 'quick'"),
        (["--protocol", "dirty"], "--protocol: expected one of"),
        (["--features", "vgg"], "--features: expected one of"),
        (["--figure", "a.pdf"], "--figure: expected a file that ends in .png"),
        (["--jobs", "0"], "jobs: expected a whole number ≥ 1"),
        (["--trials", "1000000000"], "--trials: expected at most 1000, got 1000000000"),
        (["--device", "gpu"], "device: expected one of"),
        (["--out", "/proc/nothing"], "choose another folder"),
    ],
)
def test_bad_arguments_are_refused(more, message, tiny, tmp_path, capsys):
    where = ["--out", str(tmp_path / "results"), "--runs", str(tmp_path / "runs")]
    assert main(["table", "dai-wipf-1", "--profile", "tiny", *where, *more]) == 2
    assert message in capsys.readouterr().err


# ---- machines


def test_the_help_names_every_table(capsys):
    with pytest.raises(SystemExit):
        main(["table", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{name} (" in told.replace("- ", "-") for name in TABLES)


def test_the_machine_names_the_device(monkeypatch):
    assert experiments.machine("cpu")["device"] == "cpu"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Imagined {device}")
    monkeypatch.setattr("vaelab.experiments.records.pick_device", torch.device)
    told = experiments.machine(torch.device("cuda:1"))
    assert told["device"] == "cuda" and told["device_name"] == "Imagined cuda:1"


def test_the_commit_is_that_of_the_checkout(monkeypatch, tmp_path):
    asked = {
        "cwd": Path(experiments.__file__).parent,
        "capture_output": True,
        "text": True,
        "check": False,
    }
    head = subprocess.run(["git", "rev-parse", "HEAD"], **asked).stdout.strip()
    experiments.commit.cache_clear()
    assert (experiments.commit() or "").rstrip("+") == head
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (experiments.commit() or "").rstrip("+") == head  # asked once
    experiments.commit.cache_clear()
    assert experiments.commit() is None
    experiments.commit.cache_clear()


def test_the_sweep_of_beta_has_each_point_once_and_a_mixture_on_its_codes():
    table = TABLES["learned-priors-3"]
    points = [row for row in table.rows if not row.reads]
    assert len({(r.model, *r.arguments.values()) for r in points}) == len(points) == 24
    assert {row.reads for row in table.rows if row.reads} == {row.key for row in points}
    found = {table.rows[0].density: 5.0, "mixture of 10": 3.0}
    values = [row.value({"measured": {"frechet": found}}) for row in table.rows[:2]]
    assert values == [5.0, 3.0]
    swept = experiments.settings_for(table, points[0], "mnist", PROFILES["quick"], 0)
    assert swept.latent_dim == 8 and swept.arguments == {"gamma": 1.0, "beta": 1.0}
    assert swept.plan().beta_schedule == Ramp(0.25)
    assert experiments.Settings().plan().beta_schedule is None


@pytest.mark.parametrize(
    ("name", "row"),
    [("dai-wipf-2", "wae-gan"), ("learned-priors-1", "flow-prior"), ("ghosh-2", "rae")]
    + [("learned-priors-3", f"{prior}-gamma-learned-beta-0.1") for prior in ("flow", "n")],
)
def test_every_row_that_reads_a_cell_finds_its_figure(name, row, tmp_path):
    table = TABLES[name]
    outcomes = run(tmp_path, row, table=table)
    assert outcomes == read_table([outcome.cell for outcome in outcomes], place(tmp_path))
    filled = experiments.fill(table, outcomes)
    readers = [each.label for each in table.rows if each.cell == row]
    assert readers and all(filled.entries[label, "digits"].values for label in readers)


def test_a_row_without_a_figure_in_an_older_cell_is_a_dash(tmp_path):
    table = TABLES["learned-priors-3"]
    (outcome,) = run(tmp_path, "n-gamma-1.0-beta-1", table=table)
    del outcome.record["measured"]["frechet"]["mixture of 10"]
    filled = experiments.fill(table, [outcome])
    own, mixture = (r.label for r in table.rows if r.cell == outcome.cell.model)
    assert filled.entries[own, "digits"].values and not filled.entries[mixture, "digits"].values


def test_the_table_of_completions_measures_both_priors_beside_the_papers_column(tmp_path):
    pytest.importorskip("torchmetrics")
    table = TABLES["learned-priors-2"]
    outcomes = run(tmp_path, table=table)
    assert [outcome.failed for outcome in outcomes] == ["", ""]
    assert [outcome.cell.model for outcome in outcomes] == ["gaussian", "flow"]
    for outcome in outcomes:
        found = outcome.record["measured"]
        assert found["n_samples"] == 3000 and 1 <= found["inception_score"] <= 10
        assert 0 < found["diversity"] < 2 and 0 < found["best"] < 1
    filled = experiments.fill(table, outcomes)
    assert filled.columns == ("digits", "deepfashion")
    text = experiments.as_text(filled)
    assert "0.236" in text and "cannot be had here" in text
    cells = cells_of(table, TINY, ("digits",), trials=1)
    again = experiments.fill(table, experiments.read_table(cells, place(tmp_path)))
    assert experiments.as_text(again) == text


def test_a_model_that_completes_is_for_tables_alone(capsys):
    assert main(["train", "digits", "--model", "half-given"]) != 0
    assert "half_given completes pictures and draws none by itself" in capsys.readouterr().err

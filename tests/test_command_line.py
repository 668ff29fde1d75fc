"""The command line: what it makes, what it says when it cannot, and that killing it costs
nothing.
"""

import contextlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import forked
import numpy as np
import pytest
import safetensors
from forked import progress
from PIL import Image

import vaelab
from vaelab import _memory as memory
from vaelab import cli, data, experiments, models, networks, plots, training
from vaelab.cli import cost, history, main, parser, train
from vaelab.cli.train import settings_for

SHORT = (
    "--network",
    "mlp",
    "--latent-dim",
    "3",
    "--epochs",
    "20",
    "--second-epochs",
    "30",
    "--device",
    "cpu",
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def command(folder, *more):
    return ["train", "digits", *SHORT, "--out", str(folder), *more]


def call(*arguments, **settings):
    """Run in a process of its own."""
    return subprocess.run(
        arguments,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=ENVIRONMENT,
        **settings,
    )


def refused(capsys, *arguments):
    """What the command line says to something it cannot do: one line, exit status 2."""
    assert main([str(a) for a in arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("vaelab: error: ") and "Traceback" not in said
    return said.removeprefix("vaelab: error: ")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An uninterrupted run, in a process of its own, and what it said."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = forked.run(forked.commands, *command(folder))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def same_bytes(one, other):
    names = ["history.csv", "model.safetensors", "run.json"]
    assert sorted(p.name for p in other.iterdir()) == [*names, "stage1.state.safetensors"]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


# ---- what it makes


def test_a_run_is_a_folder_that_loads(trained):
    folder, said = trained
    saved = vaelab.load(folder)
    assert saved.sample(4).shape == (4, 1, 8, 8) and same_bytes(folder, folder)
    run = saved.run
    assert (
        run["settings"]["epochs"] == 20
        and run["settings"]["latent_dim"] == 3
        and run["data"]["name"] == "digits"
    )
    assert run["results"]["gamma"] == saved.model.gamma and run["results"]["features"] in said
    assert (
        f"{run['results']['frechet']['second stage']:.2f}" in said
        and f"vaelab sample {folder}" in said
    )
    assert "million parameters" in said and "MB of disk" in said
    assert said.count("it will take less than a minute on this machine") == 1
    assert f"kept  {folder / 'stage1.state.safetensors'} (2." in said


def test_the_history_lies_beside_the_run(trained):
    folder, _ = trained
    saved = vaelab.load(folder)
    assert saved.run["history"] == "history.csv"
    lines = (folder / "history.csv").read_text().splitlines()
    assert lines[0] == "stage,epoch,nll,kl,loss,gamma,lr" and len(lines) == 1 + 20 + 30
    stages = history.read_history(folder / "history.csv")
    assert list(stages) == ["first", "second"]
    assert stages["first"]["gamma"][-1] == saved.model.gamma
    assert stages["second"]["gamma"][-1] == saved.density.gamma
    for values in stages.values():
        np.testing.assert_allclose(np.add(values["nll"], values["kl"]), values["loss"], rtol=1e-6)
    assert stages["first"]["loss"][-1] < stages["first"]["loss"][0]


def test_a_history_of_stages_with_other_terms_has_empty_cells(tmp_path):
    first = {"nll": [2.0], "mmd": [1.0], "loss": [3.0], "gamma": [float("nan")]}
    second = {"nll": [0.1, 0.2], "kl": [1.0, 1.0], "loss": [1.1, 1.2], "gamma": [1.0, 0.5]}
    history.write_history(tmp_path, {"first": first, "second": second})
    text = (tmp_path / "history.csv").read_text()
    assert text.splitlines() == [
        "stage,epoch,nll,mmd,loss,gamma,kl",
        "first,1,2.0,1.0,3.0,,",
        "second,1,0.1,,1.1,1.0,1.0",
        "second,2,0.2,,1.2,0.5,1.0",
    ]
    stages = history.read_history(tmp_path / "history.csv")
    assert stages["second"]["gamma"] == [1.0, 0.5] and np.isnan(stages["second"]["mmd"]).all()
    (tmp_path / "history.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"stage, epoch, loss, gamma, …, got \['a', 'b'\]"):
        history.read_history(tmp_path / "history.csv")


def test_a_run_is_shown(trained, tmp_path, capsys):
    folder, _ = trained
    out = tmp_path / "curve.png"
    assert main(["show", str(folder), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    results = vaelab.load(folder).run["results"]
    assert "epochs 20  second_epochs 30" in shown and "latent_dim 3" in shown
    assert f"γ {results['gamma']:.5f}" in shown
    assert f"{results['frechet']['second stage']:.2f}" in shown
    assert "first stage, epoch 20: nll " in shown and "second stage, epoch 30: nll " in shown
    assert shown.endswith(f"curve  {out}\n")
    pixels = np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3)
    for color in ("q", "second"):
        assert (pixels == plots.rgb(plots.COLORS[color])).all(1).sum() > 50


def test_a_curve_that_was_changed_is_not_drawn(trained, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(trained[0], folder)
    content = bytearray((folder / "history.csv").read_bytes())
    content[-20] ^= 1
    (folder / "history.csv").write_bytes(content)
    assert "do not match the checksum in run.json; delete it" in refused(capsys, "show", folder)
    assert not (folder / "history.png").exists()


def test_a_run_without_a_history_is_shown_all_the_same(tmp_path, capsys):
    model = vaelab.models.vae(vaelab.networks.mlp(3, latent_dim=2))
    vaelab.save(tmp_path / "mine", model)
    assert main(["show", str(tmp_path / "mine")]) == 0
    shown = capsys.readouterr().out
    assert "saved by hand, not by `vaelab train`" in shown and "no history.csv" in shown
    assert not (tmp_path / "mine" / "history.png").exists()
    out = ("--out", str(tmp_path / "mine"))
    assert "holds a model of another origin" in refused(capsys, "train", "digits", *out)


# ---- models by name, folders and how they are read


@pytest.mark.parametrize("name", ["wae-mmd", "ae", "vae-flow", "ce-vae"])
def test_a_first_stage_is_trained_by_its_name(name, tmp_path, capsys):
    short = ("--epochs", "1", "--second-epochs", "1", "--device", "cpu")
    assert main(["train", "digits", "--model", name, *short, "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    saved = vaelab.load(tmp_path / "run")
    assert saved.run["settings"]["model"] == name.replace("-", "_")
    assert ("γ –    second stage's γ" in printed) == (saved.model.gamma is None)
    assert (name == "ce-vae") == (saved.model.gamma is None)
    stages = history.read_history(tmp_path / "run" / "history.csv")
    assert np.isnan(stages["first"]["gamma"]).all() == (saved.model.gamma is None)
    assert ("mmd" in stages["first"]) == (name == "wae-mmd")
    assert main(["show", str(tmp_path / "run")]) == 0


def test_a_model_s_name_and_its_gamma_are_checked(tmp_path, capsys):
    wrong = refused(capsys, "train", "digits", "--model", "wae-mdm")
    assert wrong.startswith("--model: expected one of ") and "did you mean 'wae_mmd'?" in wrong
    for name in ("ae", "ce-vae"):
        wrong = refused(capsys, "train", "digits", "--model", name, "--gamma", "1")
        assert wrong.startswith(f"--gamma: the model {name.replace('-', '_')} has no γ to set; ")
        assert "(cv_vae, flow_prior_vae, fused_vae, gmmn_ae, joint_vae, " in wrong


def pictures(folder, n=24, mode="RGBA"):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for i in range(n):
        pixels = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").convert(mode).save(folder / f"{i}.png")
    return folder


TINY = (
    *("--network", "mlp", "--epochs", "1", "--second-epochs", "1"),
    *("--latent-dim", "2", "--device", "cpu"),
)


def test_a_folder_is_read_as_the_options_say(tmp_path, capsys):
    folder = pictures(tmp_path / "pictures")
    prints = {}
    for ground in ("white", "black", "0.5"):
        out = tmp_path / ground
        train = ("train", str(folder), *TINY, "--background", ground, "--out", str(out))
        assert main(train) == 0
        printed = capsys.readouterr().out
        assert printed.count("transparent") == 1  # Said once a load.
        prints[ground] = vaelab.load(out).run["data"]["fingerprint"]
    assert len(set(prints.values())) == 3
    page = ("export-page", str(tmp_path / "black"), "--images", str(folder))
    assert main([*page, "--background", "black"]) == 0
    assert "is not what the model was trained on" not in capsys.readouterr().out
    assert main(page) == 0
    assert "is not what the model was trained on" in capsys.readouterr().out
    (folder / "0.png").write_bytes(b"\x89PNG nothing")
    out = ("--out", str(tmp_path / "skipped"))
    assert "0.png" in refused(capsys, "train", folder, *TINY, *out)
    assert main(["train", str(folder), *TINY, "--skip-bad", *out]) == 0
    assert "0.png" in capsys.readouterr().out


def test_twelve_bits_are_read_with_white(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = rng.integers(0, 4096, (8, 8)).astype(np.uint16)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    out = ("--out", str(tmp_path / "run"))
    assert "--white" in refused(capsys, "train", folder, *TINY, *out)
    assert main(["train", str(folder), *TINY, "--white", "4095", *out]) == 0
    images = vaelab.load_images(folder, white=4095)
    assert vaelab.load(tmp_path / "run").run["data"]["fingerprint"] == images.fingerprint()


def test_reading_options_are_for_folders(capsys):
    for option in (("--background", "red"), ("--white", "9"), ("--skip-bad",), ("--stream",)):
        wrong = refused(capsys, "train", "digits", *option)
        assert wrong == (
            "--background, --white, --skip-bad and --stream are for folders of pictures; leave "
            "them out for 'digits'"
        )


# ---- more epochs


def test_a_finished_run_goes_on_as_if_it_had_never_ended(tmp_path, capsys):
    def train(out, epochs, second_epochs=1):
        options = ("--network", "infogan", "--latent-dim", "2", "--device", "cpu")
        epochs = ("--epochs", str(epochs), "--second-epochs", str(second_epochs))
        assert main(["train", str(folder), *options, *epochs, "--out", str(out)]) == 0
        return capsys.readouterr().out

    folder = pictures(tmp_path / "pictures", mode="L")
    train(tmp_path / "short", 1)
    assert "stage 1 goes on from epoch 1" in train(tmp_path / "short", 3)
    assert "goes on from epoch" not in train(tmp_path / "long", 3)
    assert same_bytes(tmp_path / "long", tmp_path / "short")
    before = (tmp_path / "short" / "stage1.state.safetensors").read_bytes()
    train(tmp_path / "short", 3, 2)  # The second stage alone is trained, anew.
    train(tmp_path / "other", 3, 2)
    assert same_bytes(tmp_path / "other", tmp_path / "short")
    assert (tmp_path / "short" / "stage1.state.safetensors").read_bytes() == before
    (tmp_path / "short" / "stage1.state.safetensors").unlink()
    again = ("--epochs", "4", "--second-epochs", "2", "--out", tmp_path / "short")
    options = ("--network", "infogan", "--latent-dim", "2", "--device", "cpu")
    wrong = refused(capsys, "train", folder, *options, *again)
    assert "a finished run of fewer epochs, but not stage1.state.safetensors" in wrong
    assert vaelab.load(tmp_path / "short").run["settings"]["epochs"] == 3


# ---- what it will cost


@pytest.mark.parametrize("network", ["mlp", "small_conv", "infogan"])
def test_a_run_of_over_an_hour_is_told_a_shorter_one(network):
    settings = replace(experiments.Settings(), network=network)  # 400 and 800 epochs
    text = cost.as_text(cost.Cost(20.0, 10.0), settings, steps=100)
    assert text.startswith("it will take about 4 h 27 min on this machine")
    shorter = text.splitlines()[1]
    assert "with --epochs 45 --second-epochs 90" in shorter and "about 30 min" in shorter
    assert ("--bn-momentum 0.0011" in shorter) == (network == "infogan")
    assert "faster" not in shorter
    assert "about 2 h 13 min" in cost.as_text(cost.Cost(20.0, 0.0), settings, 100)
    assert "about 66 min" not in cost.as_text(cost.Cost(20.0, 0.0), settings, 100, trained=200)
    assert cost.as_text(cost.Cost(20.0, 0.0), settings, 100, trained=300).count("\n") == 0
    huge = cost.as_text(cost.Cost(4000.0, 10.0), settings, 1000)
    assert "--epochs 1 --second-epochs" in huge and "(--network mlp) or pictures" in huge


def test_the_steps_that_are_timed_change_nothing(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cost, "cost_of", lambda *_: None)
    assert main(command(tmp_path / "run")) == 0
    assert "it will take" not in capsys.readouterr().out
    assert same_bytes(trained[0], tmp_path / "run")


def test_the_estimate_is_of_the_size_of_the_time(one_thread):
    images = vaelab.load_images("digits")
    settings = replace(experiments.DIGITS, epochs=20, second_epochs=20)
    session = training.Session(device="cpu", progress=False)
    estimate = cost.cost_of(images, settings, session).seconds(settings)
    _, _, runs = experiments.train(images, settings, None, session)
    assert 0.2 < estimate / sum(run.seconds for run in runs.values()) < 5


@pytest.mark.parametrize("held_up", [0, 1, 2, 3, 4])
def test_steps_that_other_work_holds_up_are_not_the_estimate(held_up):
    waits = iter([100.0 * (i == held_up) for i in range(5)])

    def train(n):
        return types.SimpleNamespace(seconds=0.01 + 0.1 * n + next(waits))

    assert cost._seconds_a_step(train) == pytest.approx(0.1)


def test_the_cost_of_a_table_counts_each_training_once(monkeypatch):
    """Two rows share a first stage, one searches a quarter of the epochs for each of four weights,
    and every trial costs the same.
    """
    timed = []

    def cost_of(images, settings, session):
        timed.append(settings)
        return cost.Cost(1.0, 10.0)

    monkeypatch.setattr(cost, "cost_of", cost_of)
    table = experiments.TABLES["dai-wipf-1"]
    laptop = experiments.PROFILES["laptop"]
    cells = experiments.cells_of(table, laptop, ("digits",), ("learned", "two-stage", "wae-mmd"), 2)
    images = vaelab.load_images("digits")
    found = cost.cost_of_cells(cells, images, training.Session(device="cpu"))
    one, _, wae = (cell.settings for cell in cells[:3])
    candidates = math.prod(len(values) for values in wae.search.values())
    searching = candidates * wae.epochs / 4
    trial = one.epochs + 10 * one.second_epochs + wae.epochs + searching
    assert candidates > 1 and found == 2 * trial
    assert len(timed) == 2 and {settings.seed for settings in timed} == {0}


def test_the_help_names_every_model(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = re.findall(r"[a-z0-9-]+", re.sub(r"-\n +", "-", capsys.readouterr().out))
    assert {name.replace("_", "-") for name in models.CATALOGUE} <= set(words)


def test_a_collapsed_run_is_called_one(trained):
    folder, _ = trained
    results = vaelab.load(folder).run["results"]
    assert "collapsed" not in train.as_text(results)
    assert "has collapsed" in train.as_text(results | {"active_dims": 0.2})


@pytest.mark.parametrize("name", experiments.TABLES)
def test_every_table_says_its_cost(name, monkeypatch, one_thread):
    """Rows that search, second stages and half-given pictures among them."""
    monkeypatch.setattr(cost, "_seconds_a_step", lambda train: train(1).seconds)
    table, laptop = experiments.TABLES[name], experiments.PROFILES["laptop"]
    cells = experiments.cells_of(table, laptop, ("digits",), (), 1)
    images = vaelab.load_images("digits")
    assert cost.cost_of_cells(cells, images, training.Session(device="cpu")) > 0


def test_a_finished_run_is_recognised(trained, capsys):
    folder, _ = trained
    before = (folder / "run.json").stat().st_mtime_ns
    (folder / "stage2.state.safetensors").touch()  # killed after it had saved, before it cleared up
    assert main(command(folder)) == 0
    assert "holds this very run, finished; nothing to do" in capsys.readouterr().out
    assert (folder / "run.json").stat().st_mtime_ns == before and same_bytes(folder, folder)


def test_another_run_in_its_folder_is_refused(trained, capsys):
    folder, _ = trained
    said = refused(capsys, *command(folder, "--seed", "1"))
    assert "holds a run of other settings or other data; give another --out, or delete it" in said
    assert said.endswith("What differs (there → here): --seed: 0 → 1")
    changes = ("--gamma", "2", "--lr", "0.1", "--epochs", "30")
    said = refused(capsys, *command(folder, *changes))
    assert "--epochs: 20 → 30; --lr: 0.002 → 0.1; second_lr: 0.004 → 0.1" in said
    assert said.endswith("--gamma: default → 2.0")
    fewer = refused(capsys, *command(folder, "--epochs", "19", "--second-epochs", "31"))
    assert fewer.endswith("--epochs: 20 → 19; --second-epochs: 30 → 31")


def test_a_sample_may_come_from_a_density_fitted_on_the_spot(trained, tmp_path, capsys):
    folder, _ = trained
    drawn = {}
    for name in ("gmm-3", "empirical", "prior"):
        out = tmp_path / f"{name}.npy"
        assert main(["sample", str(folder), "-n", "5", "--density", name, "--out", str(out)]) == 0
        drawn[name] = np.load(out)
    model, x = vaelab.load(folder).model, vaelab.load_images("digits").train
    rebuilt = model.images(vaelab.densities.draw(model.codes(x), 0)).numpy()
    gaps = [np.abs(rebuilt - image).max(axis=(1, 2, 3)).min() for image in drawn["empirical"]]
    assert max(gaps) < 1e-5
    assert not np.allclose(drawn["gmm-3"], drawn["prior"])
    said = refused(capsys, "sample", folder, "--density", "gm-3")
    assert "--density: expected one of 'prior', 'gaussian'" in said and "mean 'gmm-10'" in said


def test_samples_as_a_picture_and_as_an_array(trained, tmp_path, capsys):
    folder, _ = trained
    assert (
        main(["sample", str(folder), "-n", "9", "--seed", "3", "--out", str(tmp_path / "a.npy")])
        == 0
    )
    assert (
        main(["sample", str(folder), "-n", "9", "--seed", "3", "--out", str(tmp_path / "a.png")])
        == 0
    )
    assert "9 images of shape (1, 8, 8), seed 3" in capsys.readouterr().out
    assert main(["sample", str(folder), "--out", str(tmp_path / "B.PNG")]) == 0
    assert (tmp_path / "B.PNG").exists()
    array = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(array, vaelab.load(folder).sample(9, seed=3).numpy())
    assert np.asarray(Image.open(tmp_path / "a.png")).shape == (2 * 26, 2 * 26)


def test_a_folder_of_pictures_can_be_trained_on(tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(
            tmp_path / "pictures" / f"{i}.png"
        )
    assert "too few pictures" in refused(
        capsys, "train", tmp_path / "pictures", "--out", tmp_path / "run"
    )
    for i in range(24):
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture.save(tmp_path / "pictures" / f"{i}.png")
    settings = (
        "--epochs",
        "1",
        "--second-epochs",
        "1",
        "--latent-dim",
        "2",
        "--bn-momentum",
        "0.1",
        "--device",
        "cpu",
    )
    out = ("--out", str(tmp_path / "run"))
    assert main(["train", str(tmp_path / "pictures"), "--network", "infogan", *settings, *out]) == 0
    assert vaelab.load(tmp_path / "run").sample(2).shape == (2, 3, 8, 8)


def test_claims_are_printed(capsys):
    assert main(["claims"]) == 0 and "D15" in capsys.readouterr().out
    assert main(["claims", "D15", "--json"]) == 0 and "D15" in json.dumps(
        json.loads(capsys.readouterr().out)
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    said = capsys.readouterr().out
    assert stopped.value.code == 0 and len(said) > 250 and "None" not in said
    options = next(a for a in parser()._actions if a.choices).choices[name]._actions
    assert all(option.help for option in options)


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [
        ("table", "profile", experiments.PROFILES),
        ("figure", "profile", experiments.PROFILES),
        ("table", "name", experiments.TABLES),
        ("figure", "name", experiments.FIGURES),
        ("table", "protocol", experiments.PROTOCOLS),
        ("train", "data_set", data.NAMES),
        ("train", "network", [maker for maker in networks.MAKERS if maker != "sequence"]),
        ("train", "precision", training.PRECISIONS),
        ("table", "precision", training.PRECISIONS),
    ],
)
def test_help_names_all_that_is_taken(name, option, known):
    options = next(a for a in parser()._actions if a.choices).choices[name]._actions
    words = re.findall(r"[\w-]+", next(a.help for a in options if a.dest == option))
    assert set(known) <= set(words)


def test_what_is_no_address_of_a_cluster_is_refused_by_name(capsys, tmp_path, monkeypatch):
    pytest.importorskip("dask.distributed")
    monkeypatch.chdir(tmp_path)
    words = refused(capsys, "table", "dai-wipf-1", "--data-set", "digits", "--dask", "here")
    assert "--dask: expected the address of a scheduler that runs, such as tcp" in words


@pytest.mark.parametrize("name", ["demo", "train", "table"])
def test_what_prints_letters_explains_them(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert all(letter in words for letter in ("γ is the variance", "λ", "κ", "r̂"))
    assert "lower" in words and "better" in words and "collapsed model" in words


def test_letters_that_a_terminal_lacks_do_not_stop_a_command():
    code = "import sys; from vaelab.__main__ import main; sys.exit(main(['train', '--help']))"
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    assert "? is the variance of the decoder's noise" in " ".join(done.stdout.split())


def test_no_command_prints_the_help(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out == parser().format_help()


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"vaelab {vaelab.__version__}\n"


def test_options_are_put_over_the_defaults_of_the_network():
    def settings(*arguments):
        return settings_for(parser().parse_args(["train", *arguments]))

    assert settings("digits") == experiments.DIGITS
    given = settings("digits", "--epochs", "3", "--lr", "0.1", "--gamma", "2", "--seed", "5")
    changes = {"epochs": 3, "lr": 0.1, "second_lr": 0.1, "arguments": {"gamma": 2.0}, "seed": 5}
    assert given == replace(experiments.DIGITS, **changes)
    assert settings("mnist", "--gamma", "optimal") == experiments.Settings(
        arguments={"gamma": "optimal"}
    )
    assert settings("fashion-small") == experiments.FASHION_SMALL
    assert settings("fashion-small", "--network", "infogan") == experiments.Settings()
    assert settings("./digits") == experiments.Settings()  # A folder that is called digits.
    short = settings("mnist", "--epochs", "3")
    assert short == replace(experiments.Settings(), epochs=3, **experiments.SOONER)


def test_the_program_is_installed_and_known_by_two_names():
    assert call(sys.executable, "-m", "vaelab", "--help").stdout.startswith("usage: vaelab")
    script = Path(sys.executable).with_name("vaelab")
    assert not script.exists() or call(script, "--help").stdout.startswith("usage: vaelab")


# ---- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digitz"], "did you mean 'digits'"),
        (["digits", "--network", "infogam"], "got 'infogam'; did you mean 'infogan'"),
        (["digits", "--device", "cuba"], "got 'cuba'; did you mean 'cuda'"),
        (["digits", "--latent-dim", 0], "--latent-dim: expected a whole number ≥ 1, got 0"),
        (
            ["digits", "--gamma", 0],
            "--gamma, the decoder variance: expected a finite number > 0, got 0.0",
        ),
        (
            ["digits", "--gamma", "-1"],
            "--gamma, the decoder variance: expected a finite number > 0, got -1.0",
        ),
        (
            ["digits", "--gamma", "nan"],
            "--gamma, the decoder variance: expected a finite number > 0, got nan",
        ),
        (
            ["digits", "--gamma", "learnt"],
            '--gamma: expected "learned", "optimal" or a number > 0, got \'learnt\'',
        ),
        (["digits", "--epochs", 0], "--epochs: expected a whole number ≥ 1, got 0"),
        (["digits", "--epochs", 10**20], "--epochs: expected a whole number below 2⁶³, got 1000"),
        (["digits", "--second-epochs", 10**400], "--second-epochs: expected a whole number below"),
        (["digits", "--second-epochs", -3], "--second-epochs: expected a whole number ≥ 1, got -3"),
        (["digits", "--batch-size", 0], "--batch-size: expected a whole number ≥ 1, got 0"),
        (["digits", "--lr", 0], "--lr: expected a finite number > 0, got 0.0"),
        (["digits", "--seed", -1], "--seed: expected a whole number from 0 to"),
        (
            ["digits", "--checkpoint-every", -1],
            "--checkpoint-every: expected a finite number ≥ 0, got -1.0",
        ),
        (
            ["digits", "--network", "infogan", "--bn-momentum", 2],
            "--bn-momentum: expected a number in (0, 1], got 2.0",
        ),
        (["."], "expected pictures (.png, .jpg, .tif and all else that Pillow reads), found none"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_bad_settings_are_answered_before_anything_is_made(
    arguments, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "train", *arguments, "--out", tmp_path / "run")
    assert not list(tmp_path.glob("run/*.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "got 'trian'; did you mean 'train'? (see vaelab --help)"),
        (
            ["zzz"],
            "COMMAND: expected one of doctor, demo, course, lab, train, search, show, sample, ",
        ),
        (["--verson"], "unexpected '--verson'; did you mean '--version'? (see vaelab --help)"),
        (["train", "digits", "--latent_dim", 3], "'--latent_dim'; did you mean '--latent-dim'?"),
        (["table", "dai-wipf-1", "--profil=quick", "--triasl=3"], "did you mean '--trials'?"),
        (["sample", "run", "--zzz"], "unexpected '--zzz' (see vaelab sample --help)"),
        (["demo", "digits"], "unexpected 'digits' (see vaelab demo --help)"),
        (["notebooks", "biuld"], "got 'biuld'; did you mean 'build'? (see vaelab notebooks"),
        (["train"], "the following arguments are required: DATA (see vaelab train --help)"),
        (["train", "digits", "--epochs"], "--epochs: expected one argument"),
        (["train", "digits", "--epochs", "1.5"], "--epochs: expected a whole number, got '1.5'"),
        (["train", "digits", "--lr", "fast"], "--lr: expected a number, got 'fast'"),
        (["train", ""], "DATA: expected a value, got an empty word"),
        (["train", "digits", "--out", ""], "--out: expected a value, got an empty word"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_words_that_no_command_knows_are_one_line(arguments, message, capsys):
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert captured.err.startswith("vaelab: error: ") and message in captured.err


def test_a_misspelt_command_does_not_wait_for_torch():
    code = "import sys; from vaelab.cli import main; main(['trian']); print('torch' in sys.modules)"
    done = call(sys.executable, "-c", code)
    assert done.stdout == "False\n" and "did you mean 'train'" in done.stderr


def test_errors_of_the_package_speak_of_options(tmp_path, capsys):
    for i, size in enumerate(((8, 8), (8, 9))):
        Image.fromarray(np.zeros(size, np.uint8)).save(tmp_path / f"{i}.png")
    assert "pass --side to crop and resize" in refused(capsys, "train", tmp_path)
    wrong = refused(capsys, "train", "mnist", "--data", tmp_path / "nowhere")
    assert wrong.startswith("--data: expected an existing folder, got ")
    wrong = refused(capsys, "table", "dai-wipf-1", "--data-set", "digitz")
    assert wrong.startswith("--data-set: expected one of ") and "did you mean 'digits'" in wrong
    wrong = refused(capsys, "table", "dai-wipf-1", "--trials", 0)
    assert wrong == "--trials: expected a whole number ≥ 1, got 0"
    wrong = refused(capsys, "table", "dai-wipf-9")
    assert wrong.startswith("table: expected one of 'dai-wipf-1'")


def test_a_table_that_cannot_be_written_is_refused_before_it_is_run(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    for option, name in (("--markdown", "a.md"), ("--figure", "a.png")):
        wrong = refused(capsys, "table", "dai-wipf-1", option, tmp_path / "file" / name)
        assert f"cannot write to {tmp_path / 'file'} (" in wrong
    assert refused(capsys, "table", "dai-wipf-1", "--figure", "a.pdf").startswith("--figure: ")


def test_what_does_not_fit_into_memory_is_refused_at_once(trained, tmp_path, capsys):
    train = ("train", "digits", "--out", tmp_path / "run")
    folder, _ = trained
    said = refused(capsys, "sample", folder, "-n", 10**12)
    assert said.startswith(f"-n {10**12}: needs 3,072,000 GB of memory, and there are ")
    assert not (folder / "samples.png").exists()
    said = refused(capsys, *train, "--latent-dim", 10**8)
    assert said.startswith("--latent-dim 100000000: needs 2,400,000,000 GB of memory, and ")
    said = refused(capsys, "train", "digits", "--second-hidden", 10_000_000)
    assert said.startswith("--second-hidden 10000000: needs 6,400,000 GB of memory, and ")
    said = refused(capsys, *train, "--side", 10**7)
    assert said.startswith("--side 10000000: needs 800,000 GB of memory, and ")
    said = refused(capsys, *train, "--side", 10**5)
    assert "GB of memory" in said and said.endswith(("give less", "smaller images"))
    said = refused(capsys, *train, "--latent-dim", 10**400)
    assert "expected a whole number below 2⁶³" in said and not (tmp_path / "run").exists()


def test_memory_is_that_of_the_machine_or_of_its_container(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_LIMIT", tmp_path / "memory.max")
    machine = memory.memory()
    assert 1e8 < machine < 1e15
    memory.check_memory("-n 2", int(machine))
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.memory() == machine
    (tmp_path / "memory.max").write_text("2000000000\n")
    memory.check_memory("-n 2", 2 * 10**9)
    with pytest.raises(ValueError, match=r"^-n 3: needs 3 GB of memory, and there are 2; give"):
        memory.check_memory("-n 3", 3 * 10**9)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory; ask for less"),
        (MemoryError("Unable to allocate 9 TiB"), "out of memory (Unable to allocate 9 TiB); ask"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried\nat frame 0"),
            "out of memory (DefaultCPUAllocator: can't allocate memory: you tried); ask for less",
        ),
        (RuntimeError("CUDA out of memory. Tried to"), "out of memory (CUDA out of memory. Tried"),
        (training.OutOfMemory("batch_size=8 fits"), "--batch-size=8 fits"),
        (training.TrainingDiverged("at step 3"), "at step 3"),
        (OSError(28, "no room left for x"), "no room left for x"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:20],
)
def test_errors_that_a_user_can_mend_are_one_line(error, message, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr(cli.train, "run", fail)
    assert refused(capsys, "train", "digits").startswith(message)


def test_a_fault_of_the_package_keeps_its_traceback(monkeypatch):
    def fail(args):
        raise RuntimeError("a shape is wrong")

    monkeypatch.setattr(cli.train, "run", fail)
    with pytest.raises(RuntimeError, match="a shape is wrong"):
        main(["train", "digits"])


def test_notebooks_are_built_in_a_checkout(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "no notebook source in notebooks/src" in refused(capsys, "notebooks", "build")


def test_a_broken_picture_is_named(tmp_path, capsys):
    (tmp_path / "pictures").mkdir()
    for i in range(3):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "pictures" / f"{i}.png")
    (tmp_path / "pictures" / "1.png").write_bytes(b"\x89PNG nothing")
    assert "1.png" in refused(capsys, "train", tmp_path / "pictures", "--out", tmp_path / "run")


def test_sample_says_what_it_expected(trained, tmp_path, capsys):
    folder, _ = trained
    assert "no such folder; expected one that `vaelab train`" in refused(
        capsys, "sample", tmp_path / "nowhere"
    )
    assert "holds no run.json (not a saved model)" in refused(capsys, "sample", tmp_path)
    assert "-n: expected a whole number ≥ 1, got 0" in refused(capsys, "sample", folder, "-n", 0)
    assert "ends in .png or .npy, got a.gif" in refused(capsys, "sample", folder, "--out", "a.gif")
    away = tmp_path / "no" / "a.png"
    assert f"could not write {away} (No such file or directory)" in refused(
        capsys, "sample", folder, "--out", away
    )


@pytest.mark.parametrize("place", ["a file", "a folder in a file", "/proc"])
def test_a_folder_that_cannot_be_written_is_named_before_training(place, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    places = {
        "a file": tmp_path / "file",
        "a folder in a file": tmp_path / "file" / "run",
        "/proc": Path("/proc/run"),
    }
    out = places[place]
    said = refused(capsys, *command(out))
    assert f"cannot write to {out} (" in said and said.endswith("choose another folder")
    assert (tmp_path / "file").read_text() == "mine"


def test_divergence_is_one_line(tmp_path, capsys):
    said = refused(capsys, *command(tmp_path / "run", "--lr", "1e30"))
    assert "the loss is no longer finite at step" in said and "no checkpoint was saved" in said


def test_the_state_of_another_run_is_refused(tmp_path, capsys):
    (tmp_path / "stage1.state.safetensors").write_bytes(b"\x80\x04a pickle, perhaps")
    said = refused(capsys, *command(tmp_path))
    assert (
        "stage1.state.safetensors is damaged or no safetensors file" in said
        and "delete it to start anew" in said
    )


# ---- killed, interrupted, out of room


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_killed_ten_times_ends_in_the_same_bytes(number, trained, tmp_path):
    """Five times in each stage. SIGTERM in the midst of a stage ends it as Ctrl-C does."""
    statuses = []
    rng, folder = random.Random(0), tmp_path / "run"
    points = sorted(
        [rng.uniform(0, 0.8) for _ in range(5)] + [1 + rng.uniform(0, 0.6) for _ in range(5)]
    )
    for point in points:
        before = progress(folder)
        beyond = max(before, point) if before < 2 else -1  # At 2 it measures what it trained.
        end = forked.Signal(number, folder, beyond, rng.uniform(0, 0.03))
        done = forked.run(forked.commands, *command(folder, "--checkpoint-every", "0"), before=end)
        statuses.append(done.returncode)
        assert not (folder / "run.json").exists()
    assert set(statuses) <= {-number, 130}
    assert (130 in statuses) == (number == signal.SIGTERM)
    done = forked.run(forked.commands, *command(folder))
    assert done.returncode == 0, done.stderr
    assert same_bytes(trained[0], folder)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_saves_and_says_how_to_go_on(number, trained, tmp_path):
    folder = tmp_path / "run"
    end = forked.Signal(number, folder, 0.2)
    done = forked.run(forked.commands, *command(folder, "--checkpoint-every", "0"), before=end)
    assert done.returncode == 130 and "Traceback" not in done.stderr
    assert "stopped after step " in done.stderr
    assert "the same call goes on from there" in done.stderr
    assert forked.run(forked.commands, *command(folder)).returncode == 0 and same_bytes(
        trained[0], folder
    )


WORKERS = (
    *("table", "dai-wipf-1", "--data-set", "digits", "--model", "two-stage"),
    *("--trials", "2", "--jobs", "2", "--device", "cpu", "--checkpoint-every", "0"),
)


def children(pid):
    """The processes that a process has started and that are there, by /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = stat.read_text().rpartition(")")[2].split()
            if int(words[1]) == pid and words[0] != "Z":
                found.append(stat.parent)
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_the_workers_of_a_table_end_with_their_parent(tmp_path):
    places = ("--out", str(tmp_path / "results"), "--runs", str(tmp_path / "runs"))
    process = subprocess.Popen(
        [sys.executable, "-m", "vaelab", *WORKERS, *places],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    while len(list((tmp_path / "runs").rglob("*.state.safetensors"))) < 2:
        assert process.poll() is None
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait(60)
    time.sleep(3)
    states = list((tmp_path / "runs").rglob("*.state.safetensors"))
    written = [state.stat().st_mtime_ns for state in states]
    time.sleep(1)
    assert written == [state.stat().st_mtime_ns for state in states]  # Nobody trains any more.
    assert len(states) >= 2 and not list((tmp_path / "results").rglob("*.json"))
    end = time.monotonic() + 60
    while any(worker.exists() for worker in workers):
        assert time.monotonic() < end
        time.sleep(0.1)


INTERRUPTED = """
import os, signal, sys

class Swallower:
    def find_spec(self, name, *rest):
        if name == "{name}":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:  # As torch and numpy do here and there.
                print("swallowed")

sys.meta_path.insert(0, Swallower())
from vaelab.__main__ import main
sys.exit(main(["demo"]))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT")
@pytest.mark.parametrize("name", ["vaelab.cli.train", "torch", "vaelab.plots"])
def test_an_interrupt_while_importing_ends_in_one_line(name, tmp_path):
    done = call(sys.executable, "-c", INTERRUPTED.format(name=name), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\nstopped\n")
    assert not list(tmp_path.iterdir())


def test_an_interrupt_elsewhere_says_that_it_stopped(capsys, monkeypatch):
    def stop(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.claims, "run", stop)
    assert main(["claims"]) == 130
    assert capsys.readouterr().err == "\nstopped\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tmpfs")
def test_a_folder_removed_during_a_run_is_made_again(tmp_path, monkeypatch):
    folder, measure = tmp_path / "run", vaelab.experiments.measure

    def removed_first(*args, **options):
        shutil.rmtree(folder)
        return measure(*args, **options)

    monkeypatch.setattr(vaelab.experiments, "measure", removed_first)
    line = ["train", "digits", "--epochs", "1", "--second-epochs", "1", "--out", str(folder)]
    assert main(line) == 0
    assert {file.name for file in folder.iterdir()} == {
        "history.csv",
        "model.safetensors",
        "run.json",
    }
    vaelab.load(folder)


def test_a_full_disk_loses_nothing(trained, tmp_path):
    """A real file system with room for one checkpoint and a half: the second cannot be written
    beside the first.
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    size = 12 * sum(
        v.numel() for v in safetensors.torch.load_file(trained[0] / "model.safetensors").values()
    )
    mount = call("mount", "-t", "tmpfs", "-o", f"size={int(0.8 * size)}", "tmpfs", disk)
    if mount.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mount.stderr.strip()}")
    try:
        done = forked.run(forked.commands, *command(disk / "run", "--checkpoint-every", "0"))
        assert done.returncode == 2 and "Traceback" not in done.stderr
        said = done.stderr.strip().splitlines()[-1]
        assert (
            said.startswith("vaelab: error: could not save the state of step")
            and "No space left on device" in said
        )
        assert (
            "is saved in" in said
            and "Make room or choose another folder, then give the same command again" in said
        )
        assert progress(disk / "run") > 0 and len(list((disk / "run").iterdir())) == 1
        call("mount", "-o", "remount,size=64m", disk)  # make room, then give the same command again
        assert forked.run(forked.commands, *command(disk / "run")).returncode == 0
        assert same_bytes(trained[0], disk / "run")
        call("mount", "-o", "remount,ro", disk)
        done = forked.run(forked.commands, *command(disk / "another"))
        assert (
            done.returncode == 2
            and "Read-only file system" in done.stderr
            and "choose another" in done.stderr
        )
    finally:
        call("umount", disk)


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE")
def test_a_file_that_may_not_grow_is_a_clear_error(tmp_path):
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (50_000, 50_000))
    done = forked.run(forked.commands, *command(tmp_path / "run"), before=limit)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "could not save the state of step" in done.stderr and "(File too large)" in done.stderr
    assert "no checkpoint was saved" in done.stderr and not list((tmp_path / "run").iterdir())

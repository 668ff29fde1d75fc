"""The commands beside training: doctor, course, encode, reconstruct, and weights to start from."""

import csv
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import vaelab
from vaelab import _files, cli
from vaelab.cli import course, doctor

ROOT = Path(__file__).parents[1]
SHORT = ["--network", "mlp", "--latent-dim", "3", "--epochs", "2", "--second-epochs", "2"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 40 grey pictures in two classes."""
    image = pytest.importorskip("PIL.Image")
    root = tmp_path_factory.mktemp("pictures") / "set"
    rng = np.random.default_rng(0)
    for i in range(40):
        place = root / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{i:02}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory, pictures):
    """A model of these pictures."""
    out = tmp_path_factory.mktemp("run") / "run"
    assert call("train", pictures, *SHORT, "--batch-size", 9, "--device", "cpu", "--out", out) == 0
    return out


# ---- where there is no make


def test_lab_and_test_start_what_make_starts(monkeypatch, tmp_path, capsys):
    lines = []
    monkeypatch.setattr("subprocess.call", lambda line, **more: lines.append(line) or 3)
    assert call("lab", "--no-browser") == 3 and call("test", "tests/test_terms.py") == 3
    assert lines[0][1:4] == ["-m", "jupyterlab", str(ROOT / "notebooks")]
    assert lines[0][-1] == "--no-browser" and "not long" in lines[1]
    assert lines[1][-1] == "tests/test_terms.py"
    assert call("lab", tmp_path / "nowhere") == 2
    assert "no such folder; `vaelab course" in capsys.readouterr().err


def test_lab_of_an_installed_package_opens_a_copy(monkeypatch, tmp_path):
    lines = []
    monkeypatch.setattr("subprocess.call", lambda line, **more: lines.append(line) or 0)
    (tmp_path / "lessons").mkdir()
    (tmp_path / "lessons" / "01_a.ipynb").write_text("{}")
    monkeypatch.setattr(course, "notebooks", lambda: tmp_path / "lessons")
    monkeypatch.chdir(tmp_path)
    for content in ("{}", "mine"):  # What is there is the student's own work, and stays.
        assert call("lab") == 0 and lines[-1][3] == "course"
        assert (tmp_path / "course" / "01_a.ipynb").read_text() == content
        (tmp_path / "course" / "01_a.ipynb").write_text("mine")


@pytest.mark.long
def test_nothing_but_the_grader_wants_what_windows_lacks():
    code = """
import os, sys
for name in ("resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
del os.fork, os.killpg
import vaelab
for room in (*vaelab._ROOMS, *vaelab._INSIDE):
    getattr(vaelab, room)
from vaelab import _files, cli
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# ---- doctor


def test_doctor_finds_nothing_wrong_here(capsys):
    assert call("doctor", "--seconds", 0.1, "--json") == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["torch"]["found"] == torch.__version__.partition("+")[0]
    assert "images of 8×8 a second" in found["cpu"]["found"]
    assert {"vaelab", "Python", "threads", "data"} <= set(found)
    assert all(each["advice"] for each in found.values() if each["state"] != "ok")


def test_doctor_says_what_is_wrong_and_what_to_do(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: name)
    monkeypatch.setattr("torch.get_num_threads", lambda: 10_000)
    monkeypatch.setattr("torch.accelerator.current_accelerator", lambda check_available: None)
    monkeypatch.setattr(
        doctor.importlib.metadata, "requires", lambda name: ["torch>=99.1", "nonesuch"]
    )
    assert call("doctor", "--seconds", 0.1, "--data", tmp_path / "nowhere") == 1
    out = capsys.readouterr().out
    for words in (
        "torch is 2",
        "99.1 or newer is needed; nonesuch is not installed",
        "pip install --upgrade 'vaelab'",
        "set OMP_NUM_THREADS=",
        "cannot use it",
        "expected an existing folder",
        "4 wrong",
    ):
        assert words in out


# ---- course


def test_the_course_is_copied_and_nothing_of_the_readers_is_lost(tmp_path, capsys):
    folder = tmp_path / "class"
    assert call("course", folder, "--without-solutions") == 0
    assert (folder / "01_gaussian_vae.ipynb").is_file() and not (folder / "solutions").exists()
    assert call("course", folder) == 0
    names = {path.name for path in folder.glob("*.ipynb")}
    assert names == {path.name for path in (folder / "solutions").glob("*.ipynb")}
    (folder / "01_gaussian_vae.ipynb").write_text("my own work")
    assert call("course", folder) == 2
    assert "01_gaussian_vae.ipynb" in capsys.readouterr().err
    assert (folder / "01_gaussian_vae.ipynb").read_text() == "my own work"


def test_an_installed_package_has_what_lessons_read_beside_its_modules(tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    monkeypatch.setattr(_files, "__file__", str(tmp_path / "site" / "vaelab" / "_files.py"))
    for name in ("results", "published"):
        assert f"data/{name}" in wheel["only-include"]
        assert wheel["sources"][f"data/{name}"] == f"vaelab/{name}"
        assert _files.came_with(name) == tmp_path / "site" / "data" / name
        (tmp_path / "site" / "vaelab" / name).mkdir(parents=True)
        assert _files.came_with(name) == tmp_path / "site" / "vaelab" / name
    for source in (ROOT / "notebooks" / "src").glob("*.py"):
        assert "Path.cwd()" not in source.read_text(encoding="utf-8"), source


def test_an_installed_package_has_the_course_beside_its_modules(tmp_path, monkeypatch):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert (
        "notebooks" in wheel["only-include"] and wheel["sources"]["notebooks"] == "vaelab/lessons"
    )
    package = tmp_path / "site" / "vaelab"
    (package / "lessons").mkdir(parents=True)
    monkeypatch.setattr(course.vaelab, "__file__", str(package / "__init__.py"))
    with pytest.raises(FileNotFoundError, match="without the course's notebooks"):
        course.notebooks()
    (package / "lessons" / "01_gaussian_vae.ipynb").write_text("{}")
    assert course.notebooks() == package / "lessons"


# ---- encode and reconstruct


def test_codes_as_a_table_and_as_an_array_are_the_models(trained, pictures, tmp_path):
    model = vaelab.load(trained).model
    images = vaelab.load_images(pictures)
    expected = model.codes(images.train_pixels).mean.numpy()
    out = tmp_path / "codes.npy"
    assert call("encode", trained, pictures, "--part", "train", "--out", out) == 0
    np.testing.assert_array_equal(np.load(out), expected)
    assert call("encode", trained, pictures, "--out", tmp_path / "codes.csv") == 0
    rows = list(csv.DictReader((tmp_path / "codes.csv").read_text().splitlines()))
    assert len(rows) == 40 and [row["part"] for row in rows].count("test") == 4
    assert all(row["file"].startswith(f"{row['class']}/") for row in rows)
    assert len({row["file"] for row in rows}) == 40
    numbers = np.array([[float(row[f"z{j}"]) for j in (1, 2, 3)] for row in rows[:36]], np.float32)
    np.testing.assert_array_equal(numbers, expected)


def test_reconstructions_are_the_models(trained, pictures, tmp_path, capsys):
    model = vaelab.load(trained).model
    test = vaelab.load_images(pictures).test
    out = tmp_path / "again.npy"
    assert call("reconstruct", trained, pictures, "--out", out) == 0
    np.testing.assert_array_equal(np.load(out), model.reconstruct(test).numpy())
    assert call("reconstruct", trained, pictures, "-n", 3) == 0
    assert "3 test images of set" in capsys.readouterr().out
    assert (trained / "reconstructions.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("encode", "--part", "half"), "--part: expected one of 'train', 'test', 'all'"),
        (("encode", "--out", "codes.txt"), "--out: expected a file that ends in .csv or .npy"),
        (("reconstruct", "--out", "x.gif"), "--out: expected a file that ends in .png or .npy"),
        (("encode",), "name a data set or the folder of pictures with IMAGES"),
    ],
)
def test_what_cannot_be_encoded_is_refused(trained, arguments, words, capsys):
    assert call(arguments[0], trained, *arguments[1:]) == 2
    assert words in capsys.readouterr().err


# ---- from trained weights


def test_a_run_starts_from_trained_weights(trained, pictures, tmp_path, capsys):
    more = ["--batch-size", 9, "--device", "cpu", "--from", trained, "--lr", 1e-9]
    out = tmp_path / "next"
    assert call("train", pictures, *SHORT, *more, "--out", out) == 0
    old, new = (vaelab.load(folder).model for folder in (trained, out))
    for name, value in old.state_dict().items():
        torch.testing.assert_close(new.state_dict()[name], value, rtol=0, atol=1e-5)
    assert vaelab.load(out).run["settings"]["start"]
    assert call("train", pictures, *SHORT, *more[:4], "--out", out) == 2
    assert "start" in capsys.readouterr().err
    wide = [*SHORT[:2], "--latent-dim", "4", *SHORT[4:]]
    assert call("train", pictures, *wide, *more, "--out", tmp_path / "wide") == 2
    assert "expected weights of the model that is to be trained" in capsys.readouterr().err


def test_what_is_read_is_told_before_codes_are_written(tmp_path, capsys):
    for name in ("encode", "reconstruct"):
        out = tmp_path / "made.npy"
        assert call(name, "digits-laptop", "shapes", "--out", out) == 2  # In colour.
        capsys.readouterr()
        assert call(name, "digits-laptop", "fashion-small", "--out", out) == 0
        said = capsys.readouterr().out
        assert "Cropped and resized from 28×28 pixels to 8×8." in said
        assert "note: fashion-small is not what the model was trained on" in said
        assert call(name, "digits-laptop", "--out", out) == 0
        assert "note" not in capsys.readouterr().out

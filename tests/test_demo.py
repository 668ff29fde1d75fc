"""The demonstration, at full size: the table, the figure, and what they are held to."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vaelab import experiments
from vaelab.cli import parser

pytestmark = pytest.mark.xdist_group("demo")  # What is built once serves all.


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [
        sys.executable,
        "-m",
        "vaelab",
        "demo",
        "--out",
        folder,
        "--json",
        folder / "report.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return (
        done.stdout,
        json.loads((folder / "report.json").read_text()),
        folder / "two-stage-vae.png",
    )


@pytest.mark.longest
def test_two_stages_come_nearer_to_the_data_than_one(shown):
    _, report, _ = shown
    frechet = report["frechet"]
    assert frechet["second stage"] <= 0.45 * frechet["N(0, I)"]
    assert frechet["floor"] < frechet["mixture of 10"] < frechet["N(0, I)"]


@pytest.mark.longest
def test_gamma_of_one_keeps_few_directions_and_a_learned_one_keeps_most(shown):
    _, report, _ = shown
    fixed = report["fixed"]
    assert 1 <= fixed["active_dims"] <= fixed["linear_dims"]
    assert 18 <= report["active_dims"] <= report["settings"]["latent_dim"]
    assert report["gamma"] < 0.02 < report["second_gamma"]
    assert report["reconstruction_error"] < 0.6 * fixed["reconstruction_error"]


@pytest.mark.longest
def test_only_the_second_stage_has_normal_codes(shown):
    _, report, _ = shown
    assert report["mmd2"]["stage 2"] < 0.5 * report["mmd2"]["stage 1"]


@pytest.mark.longest
def test_the_table_says_what_the_json_says(shown):
    told, report, _ = shown
    rows = {
        line[:27].strip(): line[27:].split()
        for line in told.splitlines()
        if re.search(r"\d\.\d{4}", line[27:])
    }
    assert set(rows) >= {"γ fixed at 1", "γ learned", "two stages", "γ learned + mixture of 10"}
    assert rows["two stages"][-1] == f"{report['frechet']['second stage']:.1f}"
    assert report["features"] in told and "not an FID" in told


@pytest.mark.longest
def test_the_figure_shows_something_in_every_panel(shown):
    pixels = np.asarray(Image.open(shown[2]).convert("L"), dtype=float)
    height, width = pixels.shape
    thirds = [(i, j) for i in range(3) for j in range(3)]
    panels = [
        pixels[i * height // 3 : (i + 1) * height // 3, j * width // 3 : (j + 1) * width // 3]
        for i, j in thirds
    ]
    assert all(panel.std() > 10 for panel in panels)


def test_the_help_of_train_tells_the_defaults_there_are():
    told = next(a for a in parser()._actions if a.choices).choices["train"].format_help()
    told = " ".join(told.split())
    for name in ("latent_dim", "epochs", "second_epochs", "batch_size", "lr"):
        mlp, other = getattr(experiments.DIGITS, name), getattr(experiments.Settings(), name)
        assert f"(default {mlp:g} for mlp, {other:g} otherwise)" in told, name
    small = experiments.FASHION_SMALL
    passes = f"stage 1 takes {small.epochs} passes, stage 2 {small.second_epochs}"
    assert f"small and shapes {passes}" in told

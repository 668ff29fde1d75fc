"""What comes with the package beside its code: small trained models, the links of its page at an
index, and all that an installed wheel can do.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import torch

from vaelab import cli, load, load_images, metrics
from vaelab.checkpoints import SHIPPED
from vaelab.cli.train import settings_for
from vaelab.experiments.settings import settings_from

pytestmark = pytest.mark.xdist_group("wheel")  # What is built once serves all.

ROOT = Path(__file__).parents[1]
README = (SHIPPED / "README.md").read_text()
COMMANDS = dict(re.findall(r"\| `([\w-]+)` \| `vaelab (train .*)` \|", README))


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- models


@pytest.mark.parametrize("name", ["digits-laptop", "fashion-laptop"])
def test_a_shipped_model_is_what_its_command_makes(name, here):
    args = cli.parser().parse_args(shlex.split(COMMANDS[name]))
    run = json.loads((SHIPPED / name / "run.json").read_text())
    assert settings_from(run["settings"]) == settings_for(args)
    images = load_images(args.data_set)
    assert run["data"]["name"] == args.data_set
    assert run["data"]["fingerprint"] == images.fingerprint()
    assert (SHIPPED / name / "model.safetensors").stat().st_size <= 2_000_000
    model = load(name).model
    far = metrics.mean_squared_error(images.test, images.train.mean(0).expand_as(images.test))
    error = metrics.mean_squared_error(images.test, model.reconstruct(images.test))
    assert error < far / 5 and abs(error - run["results"]["reconstruction_error"]) < 1e-5


def test_the_path_goes_down_in_gamma():
    models = [load(SHIPPED / "digits-path" / str(i)).model for i in range(6)]
    gammas = [model.gamma for model in models]
    assert gammas == sorted(gammas, reverse=True) and len(set(gammas)) == 6
    assert sum(f.stat().st_size for f in (SHIPPED / "digits-path").rglob("*")) <= 2_000_000


def test_commands_take_its_name_and_write_here(here, capsys):
    files = {"sample": "samples.png", "encode": "codes.csv", "show": "history.png"}
    for command, file in files.items():
        assert call(command, "digits-laptop") == 0
        assert (here / f"digits-laptop-{file}").stat().st_size > 1000
    assert call("export-page", "digits-laptop", "--out", here / "page.html") == 0
    assert call("sample", "digits-laptpo") == 2
    assert "or digits-laptop or fashion-laptop, which come with" in capsys.readouterr().err


def test_a_folder_of_its_name_goes_before(here):
    (here / "digits-laptop").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load("digits-laptop")
    assert torch.equal(
        load(SHIPPED / "digits-laptop").sample(2), load(str(SHIPPED / "digits-laptop")).sample(2)
    )
    with pytest.raises(FileNotFoundError):
        load("../weights")


# ---- the page at an index


def test_every_relative_link_of_readme_leads_to_a_file():
    pattern = re.search(r'LINK = re.compile\(r"(.*)"\)', (ROOT / "hatch_build.py").read_text())
    links = re.findall(pattern[1], (ROOT / "README.md").read_text())
    assert len(links) > 15 and all((ROOT / path).exists() for _, _, path in links)


def test_what_is_by_others_has_its_licence():
    text = (ROOT / "LICENSES.md").read_text()
    for path in re.findall(r"`((?:vaelab|docs|data)/[^`]*)`", text):
        assert list(ROOT.glob(f"{path.rstrip('/')}*")), path
    weights = {path.stem for path in (ROOT / "vaelab/weights").glob("*.safetensors")}
    assert all(f"`vaelab/weights/{name}`" in text for name in weights)
    vendored = {path.name for path in (ROOT / "docs/vendor").iterdir()}
    assert all((ROOT / "docs/vendor" / name / "LICENSE").exists() for name in vendored)
    assert all(f"`docs/vendor/{name}/`" in text for name in vendored)


# ---- an installed wheel


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A wheel, built and installed outside the checkout, beside the packages that are here; gives
    the folder and a function that runs its `vaelab`.
    """
    root = tmp_path_factory.mktemp("wheel")
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "OMP_NUM_THREADS": "1"}
    pip = [sys.executable, "-m", "pip"]
    build = [*pip, "wheel", "-q", "--no-deps", "-w", str(root), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, env=os.environ, check=False)
    if built.returncode:
        pytest.skip(f"no wheel can be built, for want of a network: {built.stderr[-300:]}")
    (wheel,) = root.glob("*.whl")
    venv.create(root / "venv", symlinks=True)
    (site,) = (root / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(site)
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "others.pth").write_text(f"{others}\n")

    def vaelab(*arguments):
        line = [str(root / "venv/bin/python"), "-m", "vaelab", *arguments]
        done = subprocess.run(
            line, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return root, vaelab


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="paths of a virtual environment")
def test_an_installed_wheel_does_all_that_needs_no_checkout(installed):
    root, vaelab = installed
    assert str(root / "venv") in vaelab("doctor", "--seconds", "0.1")
    shipped = len(list((ROOT / "notebooks").glob("*.ipynb")))
    course = vaelab("course", "mine", "--without-solutions")
    assert course.startswith(f"{shipped} notebooks")
    assert "claims:" in vaelab("claims") and vaelab("table", "dai-wipf-1", "--show")
    assert {"sweeps.json", "expressions.json", "dai-wipf-1"} <= {
        path.name for path in root.glob("venv/lib/python*/site-packages/vaelab/results/*")
    }
    vaelab("train", "digits", "--epochs", "2", "--second-epochs", "2")
    vaelab("export-page", "runs/digits-mlp-seed0")
    vaelab("sample", "fashion-laptop")
    assert (root / "runs/digits-mlp-seed0/page.html").exists()
    assert (root / "fashion-laptop-samples.png").exists()
    (metadata,) = root.glob("venv/lib/python*/site-packages/vaelab-*/METADATA")
    text = metadata.read_text()
    assert "License-File: LICENSES.md" in text and "Project-URL: " in text
    assert not re.search(r"\]\((?!https?://|#)", text)  # A relative link leads nowhere there.

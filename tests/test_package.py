"""The house as drawn: who imports whom, what an import costs, and that everything public has a
docstring.
"""

import ast
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import vaelab

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "vaelab"
MODULES = sorted(
    ".".join(("vaelab", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
)

# From the ground up: a room may import those of the floors below it, and of its own floor none.
# In these wings, every door is a room.
WINGS = ("apps", "course")
FLOORS = (
    {"_arrays", "_memory", "_words"},
    {"_signals", "_inputs", "_files", "_processes", "_formats", "_bars"},
    {"parts", "_door"},
    {"manifolds", "data", "grammar", "networks", "metrics", "interpolation"},
    {"flows", "features"},
    {"posteriors", "likelihoods", "theory"},
    {"priors"},
    {"terms"},
    {"models"},
    {"training"},
    {"densities", "toys"},
    {"estimators", "lines"},
    {"checkpoints"},
    {"experiments"},
    {"plots"},
    {"widgets"},
    {"apps", "course"},
    {"apps.images", "apps.opening", "course.claims", "course.exercises"},
    {"apps.dashboards", "apps.page", "course.grading", "course.notebooks"},
    {"cli"},
    {"__main__"},
)


def rooms_imported(path, deep):
    """The rooms of vaelab that a file imports: at its top, or (deep) anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if deep else tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        inside = (name.split(".")[1:] for name in names if name.startswith("vaelab."))
        yield from (
            room_of(vaelab._INSIDE.get(first, first).split(".") + rest) for first, *rest in inside
        )


def room_of(parts):
    return ".".join(parts[: 2 if parts[0] in WINGS else 1]).removesuffix(".__init__")


def room(path):
    return room_of(path.relative_to(PACKAGE).with_suffix("").parts)


def steps_up(path):
    """What is wrong with the imports of a file: each that does not go down."""
    if path == PACKAGE / "__init__.py":
        return [f"the package imports {other}" for other in rooms_imported(path, deep=True)]
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    if room(path) not in floor:
        return [f"{room(path)} stands on no floor of this test; add it to the drawing"]
    others = set(rooms_imported(path, deep=True)) - {room(path), "__version__"}
    return [f"{path} imports {other}" for other in others if floor[other] >= floor[room(path)]]


def test_imports_go_down():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 50
    assert not [fault for path in paths for fault in steps_up(path)]


def test_every_room_is_found_from_the_package():
    tops = {room(path).split(".")[0] for path in PACKAGE.rglob("*.py")}
    public = {name for name in tops if not name.startswith("_")}
    assert public <= set(vaelab._ROOMS) and set(vaelab._ROOMS) <= public
    for name in vaelab.__all__:
        assert getattr(vaelab, name) is not None and name in dir(vaelab)
    with pytest.raises(AttributeError, match="module 'vaelab' has no attribute 'vea'"):
        _ = vaelab.vea


HEAVY = (
    "torch",
    "torchvision",
    "sklearn",
    "matplotlib",
    "seaborn",
    "tqdm",
    "safetensors",
    "scipy",
    "PIL",
    "numpy",
)


def imported_by(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return ast.literal_eval(done.stdout)


def test_importing_the_package_imports_nothing_heavy():
    assert imported_by("import vaelab") == []


def test_help_waits_for_nothing_heavy():
    assert imported_by("from vaelab import cli; cli.parser().format_help()") == []


def test_models_do_without_the_course():
    heavy = imported_by("from vaelab import models, training, densities, checkpoints")
    assert set(heavy) <= {"torch", "numpy", "safetensors", "tqdm"}  # torch brings the last


def undocumented(name):
    """The public things of a module, itself among them, that have no docstring."""
    module = importlib.import_module(name)
    things = [
        t for t in vars(module).values() if getattr(t, "__module__", None) == name and callable(t)
    ]
    bare = [
        f"{name}.{t.__qualname__}"
        for t in things
        if not t.__name__.startswith("_") and not (t.__doc__ or "").strip()
    ]
    return bare if module.__doc__ else [name, *bare]


def test_every_public_thing_is_documented():
    names = [name for name in MODULES if name != "vaelab.__main__"]
    assert not [thing for name in names for thing in undocumented(name)]


# ---- what the package asks for


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirement(text):
    name, bound = re.fullmatch(r"([\w.-]+)(?:\[\w+\])?([>=]=[\d.]+.*)", text).groups()
    return {"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(name, name), bound


def test_environment_and_pyproject_name_the_same_packages():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    extras = [text for group in PROJECT["optional-dependencies"].values() for text in group]
    packages = [text for text in environment["dependencies"] if isinstance(text, str)]
    (by_pip,) = (part["pip"] for part in environment["dependencies"] if isinstance(part, dict))
    assert by_pip[0] == "-e ."
    packages.remove("pip")
    conda = dict(map(requirement, [*packages, *by_pip[1:]]))
    assert conda.pop("python") == PROJECT["requires-python"]
    assert conda == dict(map(requirement, [*PROJECT["dependencies"], *extras]))
    assert environment["channels"] == ["conda-forge", "nodefaults"]


def test_the_version_stands_in_one_place():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert "version" not in PROJECT and "version" in PROJECT["dynamic"]
    assert citation["version"] == vaelab.__version__
    assert citation["license"] == "MIT" and citation["authors"] == PROJECT["authors"]


def test_the_changelog_dates_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    released = headings[1:] if headings[0] == "Unreleased" else headings
    assert re.fullmatch(rf"{re.escape(vaelab.__version__)} \(\d{{4}}-\d\d-\d\d\)", released[0])


# ---- what its tools say


@pytest.mark.parametrize(
    "command", [["check", "--output-format", "concise"], ["format", "--check"]]
)
def test_ruff_has_nothing_to_say(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", str(ROOT)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def type_errors():
    spec = importlib.util.spec_from_file_location(
        "type_errors", ROOT / ".ci" / "count_type_errors.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_number_of_type_errors_may_only_fall(monkeypatch, tmp_path, capsys):
    types = type_errors()
    (tmp_path / "ceiling").write_text("2\n", encoding="utf-8")
    monkeypatch.setattr(types, "CEILING", tmp_path / "ceiling")
    monkeypatch.setattr(types, "ROOT", tmp_path)
    for count, status, words in ((1, 0, "write 1"), (2, 0, "as before"), (3, 1, "mend")):
        monkeypatch.setattr(types, "errors", lambda count=count: ["file.py:1: wrong"] * count)
        assert types.main() == status
        printed = capsys.readouterr().out
        assert words in printed and ("file.py:1: wrong" in printed) == bool(status)


def test_the_count_runs_as_a_script(tmp_path):
    (tmp_path / "pyright.py").write_text("print('this is no report')", encoding="utf-8")
    command = [sys.executable, str(ROOT / ".ci" / "count_type_errors.py")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 1
    assert "pyright gave no report: this is no report" in done.stderr


def test_a_type_checker_without_a_report_is_no_success(monkeypatch):
    types = type_errors()
    answers = {
        "pyright: no such module": "no such module",
        '{"summary": {"filesAnalyzed": 0}}': "no file",
    }
    for answer, words in answers.items():
        done = subprocess.CompletedProcess([], 1, answer, "")
        monkeypatch.setattr(types.subprocess, "run", lambda *_, done=done, **__: done)
        with pytest.raises(RuntimeError, match=words):
            types.errors()

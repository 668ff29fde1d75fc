"""The house as drawn: who imports whom, what an import costs, and that everything public has a
docstring.
"""

import ast
import importlib
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
    {"_imports", "_inputs", "_files", "_processes", "_formats"},
    {"parts"},
    {"manifolds", "data", "networks", "metrics", "interpolation"},
    {"posteriors", "likelihoods", "features", "theory"},
    {"priors"},
    {"terms"},
    {"models"},
    {"training"},
    {"densities", "toys"},
    {"estimators"},
    {"checkpoints"},
    {"experiments"},
    {"plots"},
    {"widgets"},
    {"apps", "course"},
    {"apps.images", "course.claims", "course.exercises", "course.notebooks"},
    {"apps.dashboards", "apps.page"},
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
# -------------------------------------------------------------------------------------


def requirement(text):
    name, bound = re.fullmatch(r"([\w.-]+)>=([\d.]+)", text).groups()
    return {"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(name, name), bound


def test_environment_and_pyproject_name_the_same_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    named = [
        *project["dependencies"],
        *(r for group in project["optional-dependencies"].values() for r in group),
    ]
    packages = [
        line for line in environment["dependencies"] if isinstance(line, str) and line != "pip"
    ]
    conda = dict(map(requirement, packages))
    assert conda.pop("python") == project["requires-python"].removeprefix(">=")
    assert conda == dict(map(requirement, named))
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert {"pip": ["-e ."]} in environment["dependencies"]


def test_the_version_is_said_once():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == vaelab.__version__


def test_ruff_has_nothing_to_say():
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "concise",
        str(ROOT),
    ]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""README, CHANGELOG and CONTRIBUTING are true: their links, commands and examples, the drawing of
the house, and the places where something new must be written down.
"""

import ast
import builtins
import importlib
import inspect
import pkgutil
import re
import shlex
import symtable
from pathlib import Path

import pytest
import test_package
import torch

import vaelab
from vaelab import cli, densities, models, networks, posteriors, training
from vaelab.course.notebooks.building import read, tags
from vaelab.models import catalogue

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/guide.md",
    "docs/hosting.md",
    "docs/paths.md",
    "data/results/README.md",
    "data/published/README.md",
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
EXAMPLES = [text for language, text in BLOCKS if language == "python"]


def commands():
    """Every command of `vaelab` in a block of README, or in the table of what was measured."""
    blocks = [text for language, text in BLOCKS if not language]
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
    table = (ROOT / "data/results/README.md").read_text(encoding="utf-8")
    lines += re.findall(r"^\|.*`(vaelab [^`]*)` \|$", table, re.MULTILINE)
    return [line.strip() for line in lines if line.startswith("vaelab ")]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_in_the_repository(page):
    path = ROOT / page
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_the_lessons_of_the_table_are_those_that_exist():
    listed = re.findall(r"\(notebooks/(\w+)\.ipynb\)", README)
    assert listed == sorted(path.stem for path in ROOT.glob("notebooks/src/*.py"))


def test_there_are_commands_and_examples_to_check():
    assert len(commands()) > 10 and len(EXAMPLES) == 4


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command):
    _, unknown = cli.parser().parse_known_args(shlex.split(command)[1:])
    assert not unknown


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_use_names_that_exist(example):
    nodes = list(ast.walk(ast.parse(example)))
    rooms = [
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "vaelab"
        for alias in node.names
    ]
    assert rooms
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            room = node.value.id
            assert room not in rooms or hasattr(getattr(vaelab, room), node.attr), node.attr


def test_a_part_of_a_reader_s_own_is_saved_and_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = (text for text in EXAMPLES if "parts=[" in text)
    names = {"__name__": "reader"}
    exec(example.replace("epochs=20", "epochs=1, progress=False, device='cpu'"), names)
    assert names["images"].shape == (64, 1, 8, 8) and names["images"].isfinite().all()


def test_a_laplace_likelihood_is_that_of_torch():
    (example,) = (text for text in EXAMPLES if "class Laplace" in text)
    kind = ast.unparse(ast.parse(example).body[2])
    names = {"torch": torch, "likelihoods": vaelab.likelihoods}
    exec(kind, names)
    x, x_hat = torch.rand(2, 5, 1, 3, 3, dtype=torch.float64)
    law = torch.distributions.Laplace(x_hat, torch.tensor(0.3, dtype=torch.float64))
    nats = names["Laplace"](0.3).double().nll(x, x_hat)
    assert torch.allclose(nats, -law.log_prob(x).flatten(1).sum(1), rtol=1e-6)


def test_the_catalogue_s_line_of_readme_is_the_model_that_it_names():
    text = " ".join(README.split())
    line = re.search(r"`models\.wae_mmd\(nets, weight=5\.0\)` is `(Autoencoder\(.*?\)\))`", text)[1]
    nets = networks.mlp(3, latent_dim=2)
    names = {
        **vars(posteriors),
        **vars(vaelab.likelihoods),
        **vars(vaelab.terms),
        "Autoencoder": models.Autoencoder,
        "nets": nets,
    }
    account = vaelab.parts.account
    assert account(eval(line, names)) == account(models.wae_mmd(nets, weight=5.0))


# ---- where something goes


def drawing():
    """The lines of the drawing in CONTRIBUTING.md from the ground up, each as its rooms."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = re.search(r"## The house\n\n```\n(.*?)```", text, re.DOTALL)[1]
    beside = r"beside (?:it|them) (.*)$"
    floors = []
    for line in block.splitlines()[::-1]:
        rooms = re.split(r"   +|[┐│┘]", line.strip())[0].split()
        for extra in re.findall(beside, line):
            rooms += extra.replace(",", " ").replace(" and ", " ").split()
        floors.append({room.rstrip("/") for room in rooms})
    return floors


def test_the_modules_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {name for name in re.findall(r"`([\w/.-]+)`", text) if re.search(r"\.py$|/$", name)}
    patterns = {name for name in named if re.search(r"NN_|_slug", name)}
    assert len(named) > 20
    for name in named - patterns:
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "vaelab")), name


def test_the_house_is_drawn_as_it_stands():
    tops = {name.split(".")[0] for floor in test_package.FLOORS for name in floor}
    floors = drawing()
    assert set().union(*floors) == tops - {"__main__"}
    for number, floor in enumerate(test_package.FLOORS):
        for name in {room for room in floor if "." not in room} - {"__main__"}:
            (level,) = (i for i, rooms in enumerate(floors) if name in rooms)
            below = set().union(*test_package.FLOORS[:number]) & tops
            assert all(lower not in rooms for lower in below for rooms in floors[level + 1 :]), name


def defined_in(module):
    """What a module defines itself and shows."""
    return [
        (name, thing)
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


def modules_of(room):
    return [
        importlib.import_module(f"{room.__name__}.{each.name}")
        for each in pkgutil.iter_modules(room.__path__)
    ]


def test_every_model_of_the_catalogue_can_be_named():
    names = {name for name, thing in defined_in(catalogue) if inspect.isfunction(thing)}
    assert names - {"build"} == set(models.CATALOGUE) and names <= set(models.__all__)


@pytest.mark.parametrize("room", [posteriors, densities, networks, models, training])
def test_what_a_file_may_name_is_exported(room):
    for module in modules_of(room):
        for name, thing in defined_in(module):
            if inspect.isclass(thing) and issubclass(thing, vaelab.parts.Part):
                assert name in room.__all__, f"{module.__name__}.{name} cannot be loaded"


def test_every_command_has_its_line():
    listed = {command.__name__ for command in cli.COMMANDS.values()}
    assert listed == {module.__name__ for module in modules_of(cli) if hasattr(module, "run")}


# ---- the path of ninety minutes -----------------------------------------------------------------

SHORT_PATH = (ROOT / "docs/paths.md").read_text(encoding="utf-8").partition("\n## A day")[0]
STOPS = re.findall(r"^\|.*\(\.\./notebooks/(\w+)\.ipynb\).*\|(.*)\|$", SHORT_PATH, re.MULTILINE)


def cells_on_the_path(lesson, left_out):
    """The code of a lesson without the sections that are left out, a cell at a time."""
    section, seen = "", set()
    for cell in read(ROOT / f"notebooks/src/{lesson}.py"):
        if cell.cell_type == "markdown":
            headings = re.findall(r"^## +(.*?)\s*$", cell.source, re.MULTILINE)
            section = headings[-1] if headings else section
            seen.update(headings)
        elif section not in left_out and "solution" not in tags(cell):
            yield re.sub(r"^%.*", "", cell.source, flags=re.MULTILINE)
    assert set(left_out) <= seen, f"{lesson} has no section {set(left_out) - seen}"


def tables(table):
    yield table
    for inner in table.get_children():
        yield from tables(inner)


def names_of(source):
    """The names that a cell defines, and those that it, or a function in it, uses."""
    module = symtable.symtable(source, "cell", "exec")
    symbols = module.get_symbols()
    defined = {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}
    used = {s.get_name() for s in symbols if s.is_referenced()}
    for table in list(tables(module))[1:]:
        used |= {s.get_name() for s in table.get_symbols() if s.is_global() and s.is_referenced()}
    return defined, used


def test_the_path_of_ninety_minutes_has_three_lessons_and_ninety_minutes():
    assert [lesson[:2] for lesson, _ in STOPS] == ["00", "01", "06"]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", SHORT_PATH, re.MULTILINE))) == 90


@pytest.mark.parametrize(("lesson", "left_out"), STOPS, ids=lambda value: value.strip()[:2])
def test_a_section_that_the_path_of_ninety_minutes_leaves_out_says_so(lesson, left_out):
    text = (ROOT / f"notebooks/src/{lesson}.py").read_text(encoding="utf-8")
    mark = r"\n#\n# \*Not on the path of ninety minutes\.\*$"
    marked = re.findall(r"^# ## +(.*?)\s*" + mark, text, re.MULTILINE)
    assert marked == re.findall(r"\*([^*]+)\*", left_out)


@pytest.mark.parametrize(("lesson", "left_out"), STOPS, ids=lambda value: value.strip()[:2])
def test_no_cell_of_the_path_of_ninety_minutes_needs_one_that_is_left_out(lesson, left_out):
    known = set(dir(builtins))
    for source in cells_on_the_path(lesson, re.findall(r"\*([^*]+)\*", left_out)):
        defined, used = names_of(source)
        known |= defined
        assert used <= known, f"{lesson}: {used - known} in the cell\n{source[:200]}"


@pytest.mark.parametrize("source", sorted(ROOT.glob("notebooks/src/*.py")), ids=lambda p: p.stem)
def test_a_lesson_takes_as_long_as_the_paths_say(source):
    paths = (ROOT / "docs/paths.md").read_text(encoding="utf-8")
    minutes = dict(
        re.findall(r"^\| (\w+) \| (\d+) \|", paths.partition("## Core")[2], re.MULTILINE)
    )
    stated = re.search(r"\| Time \| (\d+) minutes with its exercises;", source.read_text())
    assert stated[1] == minutes[source.stem.partition("_")[0]]

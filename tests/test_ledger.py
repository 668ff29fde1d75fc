"""Each verdict of the ledger can fall: a slip in the package, or in the theory that a notebook
writes out, turns the check of its row red.

A notebook's cells that lead to a check are run once, without figures. A check's cell, or what its
section computes in little time, is then run again under mutants of the functions it has entered and
of its own lines, until the check falls. What a check compares with stays as it is.

The notebooks that train for long are run as if training changed nothing: the weights stay as drawn.
What then still stands rests on no training, and is hunted as above.
"""

import ast
import contextlib
import io
import itertools
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any

import matplotlib as mpl
import nbformat
import pytest
import torch
from mutants import Mutant, changes, code_of, mutated, mutated_tree, sites_of

import vaelab
from vaelab import claims
from vaelab.training import loop

ROOT = Path(__file__).parents[1]
PACKAGE = Path(vaelab.__file__).parent
# What draws, judges, explains or reads in is no theory.
APART = ("_", "plots.py", "course/", "widgets/", "data/")
# The theory, whose cells run in a minute or less once figures are left out.
NOTEBOOKS = (
    "01_gaussian_vae",
    "02_theorem_1",
    "03_theorem_2",
    "04_eigenvalue_split",
    "14_further_claims",
    "A_notation",
)
# Those that train for long.
TRAINED = (
    "05_gallery",
    "06_two_stages",
    "07_images",
    "08_bake_off",
    "09_without_noise",
    "10_learned_priors",
    "10b_one_half_given",
    "11_traversal",
    "12_aggregated_posterior",
    "13_expressions",
)
TRIES = 12  # Mutants of each kind for a check.
LONGEST = 12.0  # Seconds of a processor that a cell may take to be run again,
PATIENCE = 12.0  # and all mutants of one kind for one check, a sixth where many train.
TESTS = (
    "tests/test_priors.py::test_the_annealed_weight_ends_at_beta",
    "tests/test_priors.py::test_two_slips_of_the_paper",
)
VERDICTS = [c for c in claims.ledger() if c.status in claims.SETTLED and c.status != "reading note"]


@dataclass
class Cell:
    """A cell that leads to a check: its tree, its section, and what its run has shown."""

    tree: ast.Module
    section: int
    before: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    entered: set[CodeType] = field(default_factory=set)
    verdicts: dict[str, bool] = field(default_factory=dict)


def is_check(node: ast.AST) -> bool:
    match node:
        case ast.Call(ast.Attribute(ast.Name("claims"))):
            return True
    return False


class Unasserted(ast.NodeTransformer):
    """Leaves out asserts, which are no rows of the ledger and would end a cell."""

    def visit_Assert(self, node: ast.Assert) -> ast.Pass:
        return ast.copy_location(ast.Pass(), node)


def bounds_in(call: ast.Call) -> set[ast.AST]:
    """What a check compares with, and what it says: all of it but what was measured."""
    decisive = call.args[1:2]
    measured = [n.left for a in decisive for n in ast.walk(a) if isinstance(n, ast.Compare)]
    free = {n for each in measured or decisive for n in ast.walk(each)}
    return set(ast.walk(call)) - free


def names_of(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names that a cell reads, and those that it binds or changes."""
    reads, writes = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(name, ast.Load()):
                reads.add(name)
            case ast.Name(name) | ast.FunctionDef(name) | ast.ClassDef(name):
                writes.add(name)
            case ast.Subscript(ast.Name(name), _, ast.Store()):
                writes.add(name)
            case ast.Expr(ast.Call(ast.Attribute(ast.Name(name)))):
                writes.add(name)
    return reads, writes


def cells_of(name: str) -> list[Cell]:
    """The cells of a notebook, with its answers, that lead to a check."""
    notebook = nbformat.read(ROOT / "notebooks" / "solutions" / f"{name}.ipynb", as_version=4)
    cells, section = [], 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            section += cell.source.startswith("## ") or "\n## " in cell.source
        elif "widget" not in cell.metadata.get("tags", []):
            lines = [line for line in cell.source.splitlines() if not line.startswith("%")]
            cells.append(Cell(Unasserted().visit(ast.parse("\n".join(lines))), section))
    first, *others = cells
    imported = {a.asname or a.name for n in ast.walk(first.tree) for a in getattr(n, "names", [])}
    wanted, kept = set(), []
    for cell in reversed(others):
        reads, writes = names_of(cell.tree)
        if any(map(is_check, ast.walk(cell.tree))) or (writes - imported) & wanted:
            kept.append(cell)
            wanted |= reads - imported
    return [first, *reversed(kept)]


def cell_of_test(place: str) -> list[Cell]:
    """A test as a cell."""
    file, _, name = place.partition("::")
    module = Path(file).stem
    return [Cell(ast.parse(f"import {module}\n{module}.{name}()"), 0)]


@contextlib.contextmanager
def judging(verdicts: dict[str, bool]) -> Iterator[None]:
    """Inside, a check stops nothing and says whether it stands."""

    def settle(claim_id: str, stands: Any, *_: str) -> None:
        verdicts[claim_id] = verdicts.get(claim_id, True) and bool(stands)

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(claims, "_settle", settle)
        yield


def run(trees: list[ast.Module], space: dict[str, Any]) -> dict[str, bool]:
    """Run cells in a namespace, up to the first that breaks: whether each claim stands."""
    verdicts: dict[str, bool] = {}
    with judging(verdicts), contextlib.suppress(Exception):
        for tree in trees:
            exec(compile(tree, "<a cell>", "exec"), space)
    return verdicts


@contextlib.contextmanager
def without_learning() -> Iterator[None]:
    """Inside, a step of training counts as one and leaves every weight as it is."""
    nats: dict[int, Any] = {}

    def step(state: Any, x: Any) -> None:
        state.set_rates()
        if id(state) not in nats:
            terms = state.loss_terms(x, state.batches.generator)
            state.names = list(terms)
            nats[id(state)] = torch.stack([t.detach() for t in terms.values()]).mean(-1)
        state.terms.append(nats[id(state)])
        state.step += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "step", step)
        yield


def run_through(cells: list[Cell], *forgiven: type[Exception]) -> None:
    """Run the cells of a notebook once and note of each what it is."""
    space: dict[str, Any] = {"__name__": "notebook"}
    for cell in cells:
        cell.before = dict(space)

        def note(frame: Any, event: str, _: Any, cell: Cell = cell) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)):
                cell.entered.add(frame.f_code)

        begun = time.process_time()
        with judging(cell.verdicts), contextlib.suppress(*forgiven):
            sys.setprofile(note)
            try:
                exec(compile(cell.tree, "<a cell>", "exec"), space)
            finally:
                sys.setprofile(None)
        cell.seconds = time.process_time() - begun


@cache
def sites_in(path: str) -> dict[CodeType, list[tuple[Any, ...]]]:
    """All that can be changed in a module of the package, by function."""
    parts = Path(path).relative_to(PACKAGE.parent).with_suffix("").parts
    sites = defaultdict(list)
    if parts[-1] != "__init__":
        for site in sites_of(".".join(parts)):
            sites[site[5].__code__].append(site)
    return sites


def package_mutants(cells: list[Cell], chance: random.Random) -> Iterator[Mutant]:
    """Mutants of the functions that cells have entered, in random order."""
    entered = set.union(*(cell.entered for cell in cells))
    codes = sorted(entered, key=lambda c: (c.co_filename, c.co_firstlineno))
    short = {c: str(Path(c.co_filename).relative_to(PACKAGE)) for c in codes}
    codes = [c for c in codes if not short[c].startswith(APART)]
    sites = [site for c in codes for site in sites_in(c.co_filename).get(c, [])]
    for path, tree, number, which, kind, function, node in chance.sample(sites, len(sites)):
        code, after = mutated(tree, number, which, str(path))
        code = code_of(code, function.__code__.co_qualname)
        place = f"{path.parent.name}/{path.name}:{node.lineno}"
        yield Mutant(function, code, place, kind, ast.unparse(node), after)


def cell_mutants(cells: list[Cell], chance: random.Random) -> Iterator[tuple[int, ast.Module, str]]:
    """Mutants of what cells compute themselves, bounds apart: which cell, and its tree."""
    found = []
    for place, cell in enumerate(cells):
        parents = {c: p for p in ast.walk(cell.tree) for c in ast.iter_child_nodes(p)}
        judged = {n for call in filter(is_check, ast.walk(cell.tree)) for n in bounds_in(call)}
        for number, node in enumerate(ast.walk(cell.tree)):
            if node in parents and node not in judged:
                for which, (kind, _) in enumerate(changes(node, parents[node])):
                    found.append((place, number, which, kind, ast.unparse(node)))
    for place, number, which, kind, before in chance.sample(found, len(found)):
        tree, after = mutated_tree(cells[place].tree, number, which)
        yield place, tree, f"a line of the cell: {kind}, {before}  →  {after}"


def felled(
    cells: list[Cell], ids: set[str], chance: random.Random, patience: float
) -> dict[str, str]:
    """Of the claims that the last of some cells checks, those that a mutant brings down, by it."""
    trees = [cell.tree for cell in cells]
    control = run(trees, dict(cells[0].before))
    ids = {i for i in ids if control.get(i)}
    found: dict[str, str] = {}

    def note(verdicts: dict[str, bool], mutant: Any) -> None:
        for claim_id in ids - set(found):
            if verdicts.get(claim_id) is False:
                found[claim_id] = str(mutant)

    for mutant in in_patience(package_mutants(cells, chance), patience):
        if ids - set(found):
            with mutant.in_place():
                note(run(trees, dict(cells[0].before)), mutant)
    for place, tree, words in in_patience(cell_mutants(cells, chance), patience):
        if ids - set(found):
            note(run([*trees[:place], tree, *trees[place + 1 :]], dict(cells[0].before)), words)
    return found


def in_patience(mutants: Iterator[Any], patience: float) -> Iterator[Any]:
    """So many mutants, and so long."""
    begun = time.process_time()
    for mutant in itertools.islice(mutants, TRIES):
        if time.process_time() - begun < patience:
            yield mutant


def hunted(cells: list[Cell], open_rows: set[str], chance: random.Random) -> dict[str, str]:
    """Of the open rows those that fall in a notebook, each by its mutant."""
    run_through(cells)
    return hunted_again(cells, open_rows, chance, PATIENCE)


def hunted_again(
    cells: list[Cell], open_rows: set[str], chance: random.Random, patience: float
) -> dict[str, str]:
    """The same of cells that have been run."""
    found: dict[str, str] = {}
    for place, cell in enumerate(cells):
        ids = set(cell.verdicts) & open_rows - set(found)
        section = [c for c in cells[1:place] if c.section == cell.section and c.seconds < LONGEST]
        for group in ([cell], [*section, cell]):
            if ids - set(found) and cell.seconds < LONGEST:
                found |= felled(group, ids - set(found), chance, patience)
    return found


@pytest.fixture
def as_a_notebook():
    """What a notebook changes for all is put back."""
    before, threads, backend = torch.get_default_dtype(), torch.get_num_threads(), mpl.get_backend()
    mpl.use("agg")
    yield
    mpl.use(backend)
    torch.set_num_threads(threads)
    torch.set_default_dtype(before)


@pytest.mark.longest
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TRAINED)
def test_without_learning_the_check_of_each_row_turns_red(name, as_a_notebook):
    cells = cells_of(name)
    with without_learning():
        run_through(cells, Exception)
        tried = {claim_id for cell in cells for claim_id in cell.verdicts}
        fallen = {i for cell in cells for i, stands in cell.verdicts.items() if not stands}
        found = hunted_again(cells, tried - fallen, random.Random(0), PATIENCE / 6)
    print(
        f"{name}: {len(fallen)} of {len(tried)} rows fall without learning, {len(found)} by a slip"
    )
    for claim_id in sorted(tried):
        words = "without learning" if claim_id in fallen else "by no mutant tried"
        print(f"  {claim_id}: {found.get(claim_id, words)}")
    assert tried and len(fallen) + len(found) >= 0.5 * len(tried)


@pytest.mark.longest
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*NOTEBOOKS, *TESTS])
def test_a_slip_turns_the_check_of_each_row_red(name, as_a_notebook):
    """Of most: a check of what was trained for long has nothing left to slip in, and a slow machine
    tries fewer mutants in the time.
    """
    cells = cell_of_test(name) if name in TESTS else cells_of(name)
    found = hunted(cells, {claim.id for claim in VERDICTS}, random.Random(0))
    tried = sorted({claim_id for cell in cells for claim_id in cell.verdicts})
    print(f"{name}: {len(found)} of {len(tried)} rows turn red")
    for claim_id in tried:
        print(f"  {claim_id}: {found.get(claim_id, 'by no mutant tried')}")
    assert tried and len(found) >= 0.6 * len(tried)


def test_the_rows_that_are_not_hunted_are_known():
    """They rest on long tests."""
    hunts = (*NOTEBOOKS, *TRAINED, *TESTS)
    left = [c.id for c in VERDICTS if not any(w.startswith(hunts) for w in c.where)]
    print(f"{len(VERDICTS) - len(left)} of {len(VERDICTS)} rows are hunted; not:", *left)
    assert len(left) <= 0.1 * len(VERDICTS)

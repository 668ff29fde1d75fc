"""Mutants drawn at random from the package's syntax trees, and the tests that should kill them.

A mutant is one function with one node replaced: an operator, a constant, a sign, a comparison, an
index, or a term dropped. It is put in place by exchanging the function's code object, so that
whoever has imported the function meets the mutant. `Hunt` is a plugin of pytest: it runs the tests
once, to see which of them enter the functions concerned, and then against each mutant those tests
alone, the fastest first, until one fails.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import inspect
import pkgutil
import random
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import _lru_cache_wrapper, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from _pytest.tmpdir import tmppath_result_key

SWAPPED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
FLIPPED = {ast.Lt: ast.Gt, ast.LtE: ast.Gt, ast.Gt: ast.Lt, ast.GtE: ast.Lt}
RENEWED = {"tmp_path", "monkeypatch"}
USED_UP = {"capsys", "capfd", "caplog", "recwarn"}
FLIPPED |= {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}


@dataclass(frozen=True)
class Mutant:
    """One function with one node replaced.

    Args:
        function: the function or method it stands for.
        code: its code object with the node replaced.
        place: file and line.
        kind: operator, constant, sign, comparison, index or dropped term.
        before: the node as it was.
        after: the node as it is.
    """

    function: FunctionType
    code: CodeType
    place: str
    kind: str
    before: str
    after: str

    def __str__(self) -> str:
        where = f"{self.place} {self.function.__qualname__}"
        return f"{where}: {self.kind}, {self.before}  →  {self.after}"

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the function runs the mutant's code."""
        right = self.function.__code__
        self.function.__code__ = self.code
        forget()
        try:
            yield
        finally:
            self.function.__code__ = right
            forget()


def forget() -> None:
    """Empty the package's caches, which may hold what the other code has computed."""
    for name, module in list(sys.modules.items()):
        if name.startswith("vaelab"):
            for thing in vars(module).values():
                if isinstance(thing, _lru_cache_wrapper):
                    thing.cache_clear()


def changes(node: ast.AST, inside: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The kinds of change that a node allows, each with the new node."""
    match node:
        case ast.BinOp(left, op, right) if type(op) in SWAPPED:
            yield "operator", ast.BinOp(left, SWAPPED[type(op)](), right)
            if isinstance(op, ast.Add | ast.Sub):
                yield "dropped term", left
        case ast.Constant(value) if type(value) in (int, float):
            kind = "index" if isinstance(inside, ast.Subscript) else "constant"
            yield kind, ast.Constant(value + 1)
        case ast.UnaryOp(ast.USub(), operand):
            yield "sign", operand
        case ast.Compare(left, [op], rest) if type(op) in FLIPPED:
            yield "comparison", ast.Compare(left, [FLIPPED[type(op)]()], rest)


def nodes_of(function: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Every node of the body with its parent, without docstrings, errors, annotations, defaults."""
    left: list[tuple[ast.AST, ast.AST]] = [(statement, function) for statement in function.body]
    while left:
        node, parent = left.pop()
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.arguments | ast.AnnAssign):
            continue
        if isinstance(node, ast.If) and all(isinstance(s, ast.Raise) for s in node.body):
            continue
        yield node, parent
        left += [(child, node) for child in ast.iter_child_nodes(node)]


def functions_of(module: ModuleType, tree: ast.Module) -> Iterator[tuple[ast.AST, FunctionType]]:
    """The functions and methods that a module defines: syntax tree and object."""
    for node in tree.body:
        owner = getattr(module, getattr(node, "name", ""), None)
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        for member in members:
            if isinstance(member, ast.FunctionDef):
                thing = vars(owner)[member.name] if isinstance(node, ast.ClassDef) else owner
                for name in ("fget", "__func__"):
                    thing = getattr(thing, name, thing)
                thing = inspect.unwrap(thing)
                if isinstance(thing, FunctionType):
                    yield member, thing


def code_of(module_code: CodeType, qualname: str) -> CodeType:
    """The code object of a function in that of its module."""
    codes = [module_code]
    while codes:
        code = codes.pop()
        if code.co_qualname == qualname:
            return code
        codes += [c for c in code.co_consts if isinstance(c, CodeType)]
    raise LookupError(qualname)


def mutated_tree(tree: ast.Module, number: int, which: int) -> tuple[ast.Module, str]:
    """A tree in which the `number`th node has undergone its `which`th change, and that node."""
    tree = copy.deepcopy(tree)
    nodes = list(ast.walk(tree))
    node = nodes[number]
    parents = {child: parent for parent in nodes for child in ast.iter_child_nodes(parent)}
    _, new = list(changes(node, parents[node]))[which]
    for name, value in ast.iter_fields(parents[node]):
        if value is node:
            setattr(parents[node], name, new)
        elif isinstance(value, list):
            setattr(parents[node], name, [new if item is node else item for item in value])
    return ast.fix_missing_locations(tree), ast.unparse(new)


def mutated(tree: ast.Module, number: int, which: int, path: str) -> tuple[CodeType, str]:
    """The code of a module in which the `number`th node has undergone its `which`th change."""
    tree, after = mutated_tree(tree, number, which)
    return compile(tree, path, "exec"), after


def modules_of(room: str) -> list[ModuleType]:
    """A module, or all of a package."""
    module = importlib.import_module(room)
    names = [
        each.name for each in pkgutil.walk_packages(getattr(module, "__path__", []), f"{room}.")
    ]
    return [module, *map(importlib.import_module, names)]


def sites_of(room: str) -> Iterator[tuple[Any, ...]]:
    """Everything that can be changed in a room: what `drawn` chooses from."""
    for module in modules_of(room):
        path = Path(module.__file__)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        number = {id(node): i for i, node in enumerate(ast.walk(tree))}
        for definition, function in functions_of(module, tree):
            for node, parent in nodes_of(definition):
                for which, (kind, _) in enumerate(changes(node, parent)):
                    yield path, tree, number[id(node)], which, kind, function, node


def drawn(rooms: list[str], each: int, seed: int) -> list[Mutant]:
    """`each` mutants of every room, drawn without replacement."""
    chance = random.Random(seed)
    mutants = []
    for room in rooms:
        for path, tree, number, which, kind, function, node in chance.sample(
            [*sites_of(room)], each
        ):
            code, after = mutated(tree, number, which, str(path))
            code = code_of(code, function.__code__.co_qualname)
            place = f"{path.parent.name}/{path.name}:{node.lineno}"
            mutants.append(Mutant(function, code, place, kind, ast.unparse(node), after))
    return mutants


@dataclass
class Hunt:
    """A plugin of pytest that runs the collected tests against each mutant.

    Each test is set up once, with its fixtures, and then called as often as there are mutants in
    its way, each time with a new folder and new patches. One that captures is left out, and so is
    one whose fixtures patch: what they have been given is used up.

    Args:
        mutants: to be killed.
        slowest: seconds that a test may take to be used.
        killers: of each mutant killed, the test that did it.
    """

    mutants: list[Mutant]
    slowest: float = 4.0
    killers: dict[Mutant, str] = field(default_factory=dict)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        calls, enters, seconds = self.watch(session)
        for mutant in self.mutants:
            chosen = [t for t in enters[mutant.function.__code__] if seconds[t] <= self.slowest]
            with mutant.in_place():
                for test in sorted(chosen, key=seconds.get):
                    if failed(calls[test]):
                        self.killers[mutant] = test
                        break
        return True

    def watch(self, session: pytest.Session) -> tuple[Any, ...]:
        """The tests as functions, those that enter each function, and how long each takes."""
        wanted = {mutant.function.__code__ for mutant in self.mutants}
        calls, enters, seconds = {}, defaultdict(list), {}
        tests = [t for t in session.items if isinstance(t, pytest.Function)]
        tests = [t for t in tests if not used_up(t)]
        for test, following in zip(tests, [*tests[1:], None], strict=True):
            test.stash[tmppath_result_key] = {}  # Else its folder would ask how the test ended.
            session._setupstate.setup(test)
            given = {name: test.funcargs[name] for name in test._fixtureinfo.argnames}
            calls[test.nodeid] = partial(call, test.obj, given)
            entered: set[CodeType] = set()

            def note(frame: Any, event: str, _: Any, entered: set[CodeType] = entered) -> None:
                if event == "call" and frame.f_code in wanted:
                    entered.add(frame.f_code)

            begun = time.process_time()
            sys.setprofile(note)
            broken = failed(calls[test.nodeid])
            sys.setprofile(None)
            seconds[test.nodeid] = time.process_time() - begun
            session._setupstate.teardown_exact(following)
            for code in () if broken else entered:
                enters[code].append(test.nodeid)
        return calls, enters, seconds


def used_up(test: pytest.Function) -> bool:
    """Whether a test cannot be called again with what its fixtures gave."""
    ours = set(test._fixtureinfo.argnames)
    return bool(set(test.fixturenames) & (USED_UP | (RENEWED - ours)))


def call(test: Callable[..., None], given: dict[str, Any]) -> None:
    """Call a test with what it was given, and a folder and patches of its own."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        new = {"tmp_path": Path(folder), "monkeypatch": patch}
        test(**{name: new.get(name, value) for name, value in given.items()})


def failed(call: Callable[[], None]) -> bool:
    """Whether a test fails now."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            return True
    return False

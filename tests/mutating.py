"""Slips put into the code, so that a check can be seen to turn red.

A slip is made by behaviour (`wrapped`: a wrong function that is given the right one) or by syntax
(`rewritten`: a change of the function's syntax tree). Neither quotes a line of the code, so both
survive a rewording. Where there is nothing to change, a slip raises an error.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

Change = Callable[[ast.AST], ast.AST | None]


@dataclass(frozen=True)
class Slip:
    """Wrong versions of one function, each to be noticed.

    Args:
        owner: the module or class that the function is an attribute of.
        name: of that attribute.
        versions_of: the wrong versions, given the right one.
    """

    owner: Any
    name: str
    versions_of: Callable[[Any], Iterator[Any]]

    @property
    def right(self) -> Any:
        return inspect.getattr_static(self.owner, self.name)

    def versions(self) -> Iterator[Any]:
        return self.versions_of(self.right)

    @contextlib.contextmanager
    def in_place(self, wrong: Any) -> Iterator[None]:
        """Inside, the wrong version stands wherever the right one did: a function of a module is
        also an attribute of each module that imports it.
        """
        right = self.right
        places = [self.owner]
        if not inspect.isclass(self.owner):
            places = [m for m in list(sys.modules.values()) if _shows(m, self.name, right)]
        with pytest.MonkeyPatch.context() as patch:
            for place in places:
                patch.setattr(place, self.name, wrong)
            yield


def _shows(module: Any, name: str, thing: Any) -> bool:
    return getattr(module, "__dict__", {}).get(name) is thing


def wrapped(owner: Any, name: str, wrong: Callable[..., Any]) -> Slip:
    """A slip by behaviour: `wrong(right, *arguments)` is called for `right(*arguments)`."""

    def versions(right: Any) -> Iterator[Any]:
        if isinstance(right, property):
            yield property(partial(wrong, right.fget), right.fset)
        else:
            yield lambda *arguments, **named: wrong(right, *arguments, **named)

    return Slip(owner, name, versions)


def rewritten(owner: Any, name: str, change: Change) -> Slip:
    """A slip by syntax: one version for each node of the function that `change` replaces."""

    def versions(right: Any) -> Iterator[Any]:
        tree = ast.parse(textwrap.dedent(inspect.getsource(right)))
        sites = [i for i, node in enumerate(ast.walk(tree)) if change(copy.deepcopy(node))]
        if not sites:
            raise LookupError(f"{name} has nothing that this slip could change")
        for site in sites:
            yield _compiled(tree, site, change, right)

    return Slip(owner, name, versions)


def _compiled(tree: ast.Module, site: int, change: Change, right: Any) -> Any:
    """The function of a tree, with the node of that number replaced."""
    tree = copy.deepcopy(tree)
    node = list(ast.walk(tree))[site]
    new = change(node)
    tree = ast.fix_missing_locations(_Replacement(node, new).visit(tree))
    code = compile(tree, f"<a slip in {right.__name__}>", "exec")
    scope: dict[str, Any] = {}
    exec(code, vars(sys.modules[right.__module__]), scope)
    wrong = scope[right.__name__]
    wrong.__qualname__ += f" with {ast.unparse(new)}"
    return wrong


class _Replacement(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old = old
        self.new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def red(check: Callable[[], None], errors: Any = AssertionError) -> bool:
    """Whether a check fails, with one of these errors."""
    try:
        check()
    except errors:
        return True
    return False


# ---- changes of a syntax tree: the node that replaces a node, or None


def without_factor(factor: float) -> Change:
    """`factor * a` becomes `a`."""

    def change(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.BinOp(ast.Constant(value), ast.Mult(), other) if value == factor:
                return other
            case ast.BinOp(other, ast.Mult(), ast.Constant(value)) if value == factor:
                return other
        return None

    return change


def other_constant(old: float, new: float) -> Change:
    """The number `old` becomes `new`."""

    def change(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Constant(value) if value == old:
                return ast.Constant(new)
        return None

    return change


def plus_for_minus(node: ast.AST) -> ast.AST | None:
    """`a - b` becomes `a + b`."""
    match node:
        case ast.BinOp(left, ast.Sub(), right):
            return ast.BinOp(left, ast.Add(), right)
    return None


def minus_for_plus(node: ast.AST) -> ast.AST | None:
    """`a + b` becomes `a - b`."""
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return ast.BinOp(left, ast.Sub(), right)
    return None


def greater_for_less(node: ast.AST) -> ast.AST | None:
    """`a < b` becomes `a > b`; a chain of comparisons stays."""
    match node:
        case ast.Compare(left, [ast.Lt()], right):
            return ast.Compare(left, [ast.Gt()], right)
    return None


def without_method(method: str) -> Change:
    """`a.method(…)` becomes `a`."""

    def change(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Call(ast.Attribute(value, name)) if name == method:
                return value
        return None

    return change


def without_call(function: str) -> Change:
    """`module.function(a)` becomes `a`."""

    def change(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.Call(ast.Attribute(_, name), [argument]) if name == function:
                return argument
        return None

    return change


def untransposed(node: ast.AST) -> ast.AST | None:
    """`a.mT` becomes `a`."""
    match node:
        case ast.Attribute(value, "mT"):
            return value
    return None

"""The template of the course as a linter: what every notebook has in common, so that readers know
their way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from vaelab.course.notebooks.building import copies, read, tags

HEADER = ("You will be able to", "You need", "Time", "Source")
ENDING = ("Takeaways", "Where it breaks", "Next", "References")
TAGS = {"stub", "solution", "widget", "nbval-ignore-output", "nbval-skip", "raises-exception"}
BANNED = re.compile(r"\b(obviously|simply|just)\b", re.IGNORECASE)
MAX_BYTES = 250_000


def rules(source: str | Path) -> list[str]:
    """What a notebook's source breaks of the template, one line each.

    - 25 to 45 cells, 1,200 to 2,200 words of prose; code cells of at most 8 lines in the median,
    never four in a row
    - a title and the header table first; the sections Takeaways, Where it breaks, Next, References
    last
    - the first code cell begins with `%matplotlib inline`; no line ends in `;`; no word like
    "obviously"
    - a cell that draws ends in `plt.show()`, has alternative text (`# %% alt="..."`) and is
    followed by a paragraph
    - a widget cell is one line, tagged "widget" and "nbval-ignore-output", and followed by a
    question
    - every stub has its solution, returns `...`, and is checked by `exercises.check("NN.k", ...)`
    - no function is defined in two notebooks; each built copy has at most 250 KB

    Args:
        source: a file of `notebooks/src/`.

    Raises:
        NotebookError: it cannot be read.
    """
    source = Path(source)
    cells = read(source)
    student = [cell for cell in cells if "solution" not in tags(cell)]
    solution = [cell for cell in cells if "stub" not in tags(cell)]
    problems = [
        *_sizes(student),
        *_prose(student),
        *_tags(cells),
        *_code(cells),
        *_exercises(cells, source.stem[:2]),
    ]
    for copy in (student, solution):
        problems += [*_rows(copy), *_figures(copy), *_widgets(copy)]
    problems += [*_shared_names(source, cells), *_bytes(source)]
    return [f"{source.stem}: {words}" for words in dict.fromkeys(problems)]


def _sizes(cells: Sequence[Any]) -> Iterator[str]:
    if not 25 <= len(cells) <= 45:
        yield f"{len(cells)} cells; expected 25 to 45"
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lengths = [sum(bool(line.strip()) for line in source.splitlines()) for source in code]
    if lengths and median(lengths) > 8:
        yield f"code cells have a median of {median(lengths):g} lines; expected at most 8"
    words = sum(word_count(cell.source) for cell in cells if cell.cell_type == "markdown")
    if not 1200 <= words <= 2200:
        yield f"{words} words of prose; expected 1,200 to 2,200"


def word_count(markdown: str) -> int:
    """How many words a reader reads: formulas, tags, links' addresses and table rules do not count.

    >>> word_count("**Two** words <br> $a + b$ | --- |")
    2
    """
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$|<[^>]*>|\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    return sum(any(c.isalpha() for c in word) for word in text.split())


def _prose(cells: Sequence[Any]) -> Iterator[str]:
    first = cells[0].source
    missing = [
        label
        for label in HEADER
        if not re.search(rf"^\|\s*\**{label}\b", first, re.MULTILINE | re.IGNORECASE)
    ]
    if cells[0].cell_type != "markdown" or not first.startswith("# ") or missing:
        yield (
            f"the first cell needs a title and a table with the rows {', '.join(missing or HEADER)}"
        )
    markdown = [cell.source for cell in cells if cell.cell_type == "markdown"]
    sections = re.findall(r"^## +(.*?)\s*$", "\n".join(markdown), re.MULTILINE)
    if tuple(sections[-4:]) != ENDING:
        yield f"the last sections are {', '.join(sections[-4:])}; expected {', '.join(ENDING)}"
    for text in markdown:
        for word in BANNED.findall(text):
            yield f'the word "{word}" in: {text.splitlines()[0][:60]}'


def _tags(cells: Sequence[Any]) -> Iterator[str]:
    for cell in cells:
        for tag in tags(cell):
            if tag not in TAGS:
                yield f"unknown tag {tag!r}; known are {', '.join(sorted(TAGS))}"


def _code(cells: Sequence[Any]) -> Iterator[str]:
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    if not code or not code[0].startswith("%matplotlib inline"):
        yield "the first code cell must begin with %matplotlib inline"
    for line in "\n".join(code).splitlines():
        if line.rstrip().endswith(";"):
            yield f"a line ends in a semicolon: {line.strip()}"


def _rows(cells: Sequence[Any]) -> Iterator[str]:
    kinds = "".join(cell.cell_type[0] for cell in cells)
    if "cccc" in kinds:
        yield f"four code cells in a row, from {_head(cells[kinds.index('cccc')])}"


def _figures(cells: Sequence[Any]) -> Iterator[str]:
    for cell, after in pairwise([*cells, None]):
        if cell.cell_type != "code" or not _draws(cell.source):
            continue
        if cell.source.rstrip().splitlines()[-1] != "plt.show()":
            yield f"{_head(cell)} draws but does not end in plt.show()"
        if word_count(cell.metadata.get("alt", "")) < 4:
            yield (
                f'{_head(cell)} draws without alternative text; write # %% alt="What is to be seen"'
            )
        if after is None or after.cell_type != "markdown" or word_count(after.source) < 10:
            yield f"{_head(cell)} draws and is not followed by a paragraph on what is seen"


def _draws(source: str) -> bool:
    """Whether the cell itself, not a function it defines, calls pyplot."""
    return any(
        name.startswith("plt.")
        for name in _calls(source, lambda node: not isinstance(node, ast.FunctionDef))
    )


def _widgets(cells: Sequence[Any]) -> Iterator[str]:
    for cell, after in pairwise([*cells, None]):
        is_widget = "widget" in tags(cell)
        if not is_widget and any(
            name.startswith("widgets.") for name in _calls(cell.source, lambda _: True)
        ):
            yield f"{_head(cell)} shows a widget and needs the tag widget"
        if is_widget and "nbval-ignore-output" not in tags(cell):
            yield f"{_head(cell)} is a widget and needs the tag nbval-ignore-output"
        if is_widget and len(cell.source.strip().splitlines()) != 1:
            yield f"{_head(cell)} is a widget of several lines; expected one"
        if is_widget and (
            after is None or after.cell_type != "markdown" or "?" not in after.source
        ):
            yield f"{_head(cell)} is a widget and is not followed by a question"


def _exercises(cells: Sequence[Any], number: str) -> Iterator[str]:
    stubs = {
        name: cell for cell in cells if "stub" in tags(cell) for name in _definitions(cell.source)
    }
    solutions = {
        name for cell in cells if "solution" in tags(cell) for name in _definitions(cell.source)
    }
    checks = "\n".join(
        cell.source
        for cell in cells
        if cell.cell_type == "code" and "exercises.check(" in cell.source
    )
    for name in sorted(stubs.keys() ^ solutions):
        yield f"{name} has a stub but no solution, or a solution but no stub"
    for name, cell in stubs.items():
        if "return ..." not in cell.source:
            yield f"the stub {name} must return ..."
        if not re.search(rf'exercises\.check\("{number}\.\d+", {name}\)', checks):
            yield f'{name} is not checked by exercises.check("{number}.k", {name})'


def _shared_names(source: Path, cells: Sequence[Any]) -> Iterator[str]:
    mine = {name for cell in cells for name in _definitions(cell.source)}
    for other in sorted(source.parent.glob("[0-9][0-9]_*.py")):
        if other.stem != source.stem:
            theirs = {name for cell in read(other) for name in _definitions(cell.source)}
            yield from (
                f"{name} is defined in {other.stem} too; put it in vaelab"
                for name in sorted(mine & theirs)
            )


def _bytes(source: Path) -> Iterator[str]:
    for target, _ in copies(source):
        size = target.stat().st_size if target.exists() else 0
        if size > MAX_BYTES:
            yield (
                f"{target.parent.name}/{target.name} has {size:,} bytes; expected {MAX_BYTES:,} "
                "at most"
            )


def _definitions(source: str) -> list[str]:
    return [
        node.name
        for node in _parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]


def _calls(source: str, enter: Callable[[ast.stmt], bool]) -> list[str]:
    """The dotted names called in the top-level statements that `enter` lets in."""
    nodes = (
        node
        for statement in _parse(source).body
        if enter(statement)
        for node in ast.walk(statement)
    )
    return [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]


def _parse(source: str) -> ast.Module:
    """The cell without its magics; a cell that is not Python has nothing to find."""
    try:
        return ast.parse(
            "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
        )
    except SyntaxError:
        return ast.Module([], [])


def _head(cell: Any) -> str:
    return (
        f"the cell {cell.source.strip().splitlines()[0][:50]!r}"
        if cell.source.strip()
        else "an empty cell"
    )

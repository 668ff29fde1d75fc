"""The template of the course as a linter: what every notebook has in common, so that readers know
their way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from vaelab.course.exercises import EXERCISES
from vaelab.course.notebooks.building import copies, number, read, tags

Cells = Sequence[Any]
Problems = Iterator[str]
HEADER = ("You will be able to", "You need", "Time", "Source")
ENDING = ("Takeaways", "Where it breaks", "Next", "References")
TAGS = {"stub", "solution", "widget", "nbval-ignore-output", "nbval-skip", "raises-exception"}
BANNED = re.compile(r"\b(obviously|simply|just)\b", re.IGNORECASE)
DRAWS = re.compile(r"^(?=[^\s#]).*\bplt\.\w+\(", re.MULTILINE)  # Not inside a function.
SHOWS = re.compile(r"\bwidgets\.\w+\(")
PLANTED = {exercise.id for exercise in EXERCISES.values() if exercise.planted}
MAX_BYTES = 250_000
MAX_COLUMNS = 100


def rules(source: str | Path) -> list[str]:
    """What a notebook's source breaks of the template, one line each.

    - 25 to 45 cells, 1,200 to 2,200 words of prose; code cells of at most 8 statements in the
      median, never four in a row, no line wider than 100 columns
    - a title and the header table first; the sections Takeaways, Where it breaks, Next, References
      last
    - the first code cell begins with `%matplotlib inline`; no line ends in `;`; no word like
      "obviously"
    - a cell that draws ends in `plt.show()`, has alternative text (`# %% alt="..."`) and is
      followed by a paragraph
    - a widget cell is one line, tagged "widget" and "nbval-ignore-output", and followed by a
      question
    - every stub has its solution, returns `...` or holds a planted fault, and is checked by
      `exercises.check("NN.k", ...)`
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
        *_exercises(cells, number(source)),
    ]
    for copy in (student, solution):
        problems += [*_rows(copy), *_figures(copy), *_widgets(copy)]
    problems += [*_shared_names(source, cells), *_bytes(source)]
    return [f"{source.stem}: {words}" for words in dict.fromkeys(problems)]


def _sizes(cells: Cells) -> Problems:
    if not 25 <= len(cells) <= 45:
        yield f"{len(cells)} cells; expected 25 to 45"
    trees = [_parsed(source) for source in _sources(cells, "code")]
    lengths = [sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) for tree in trees]
    if lengths and median(lengths) > 8:
        yield f"code cells have a median of {median(lengths):g} statements; expected at most 8"
    words = sum(word_count(text) for text in _sources(cells, "markdown"))
    if not 1200 <= words <= 2200:
        yield f"{words} words of prose; expected 1,200 to 2,200"


def word_count(markdown: str) -> int:
    """How many words a reader reads: formulas, tags, links' addresses and table rules do not count.

    >>> word_count("**Two** words <br> $a + b$ | --- |")
    2
    """
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$|<[^>]*>|\]\([^)]*\)", " ", markdown, flags=re.DOTALL)
    return sum(any(c.isalpha() for c in word) for word in text.split())


def _prose(cells: Cells) -> Problems:
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
    markdown = _sources(cells, "markdown")
    sections = re.findall(r"^## +(.*?)\s*$", "\n".join(markdown), re.MULTILINE)
    if tuple(sections[-4:]) != ENDING:
        yield f"the last sections are {', '.join(sections[-4:])}; expected {', '.join(ENDING)}"
    for text in markdown:
        for word in BANNED.findall(text):
            yield f'the word "{word}" in: {text.splitlines()[0][:60]}'


def _tags(cells: Cells) -> Problems:
    for tag in sorted({tag for cell in cells for tag in tags(cell)} - TAGS):
        yield f"unknown tag {tag!r}; known are {', '.join(sorted(TAGS))}"


def _code(cells: Cells) -> Problems:
    code = _sources(cells, "code")
    if not code or not code[0].startswith("%matplotlib inline"):
        yield "the first code cell must begin with %matplotlib inline"
    for line in "\n".join(code).splitlines():
        if line.rstrip().endswith(";"):
            yield f"a line ends in a semicolon: {line.strip()}"
        if len(line) > MAX_COLUMNS:
            yield f"a line has {len(line)} columns; expected at most {MAX_COLUMNS}: {line.strip()}"


def _rows(cells: Cells) -> Problems:
    kinds = "".join(cell.cell_type[0] for cell in cells)
    if "cccc" in kinds:
        yield f"four code cells in a row, from {_head(cells[kinds.index('cccc')])}"


def _figures(cells: Cells) -> Problems:
    for cell, after in _with_next(cells):
        if cell.cell_type != "code" or not DRAWS.search(cell.source):
            continue
        if cell.source.rstrip().splitlines()[-1] != "plt.show()":
            yield f"{_head(cell)} draws but does not end in plt.show()"
        if word_count(cell.metadata.get("alt", "")) < 4:
            yield (
                f'{_head(cell)} draws without alternative text; write # %% alt="What is to be seen"'
            )
        if after is None or after.cell_type != "markdown" or word_count(after.source) < 10:
            yield f"{_head(cell)} draws and is not followed by a paragraph on what is seen"


def _widgets(cells: Cells) -> Problems:
    for cell, after in _with_next(cells):
        if "widget" not in tags(cell):
            if cell.cell_type == "code" and SHOWS.search(cell.source):
                yield f"{_head(cell)} shows a widget and needs the tag widget"
            continue
        if "nbval-ignore-output" not in tags(cell):
            yield f"{_head(cell)} is a widget and needs the tag nbval-ignore-output"
        if len(cell.source.strip().splitlines()) != 1:
            yield f"{_head(cell)} is a widget of several lines; expected one"
        asks = "exercises.quiz" in cell.source or (after is not None and "?" in after.source)
        if not asks:
            yield f"{_head(cell)} is a widget and is not followed by a question"


def _exercises(cells: Cells, lesson: str) -> Problems:
    stubs = _definitions(cell for cell in cells if "stub" in tags(cell))
    solutions = _definitions(cell for cell in cells if "solution" in tags(cell))
    code = "\n".join(_sources(cells, "code"))
    for name in sorted(stubs.keys() ^ solutions.keys()):
        yield f"{name} has a stub but no solution, or a solution but no stub"
    for name, cell in stubs.items():
        checked = re.search(rf'exercises\.check\("({lesson}\.\d+)", {name}\)', code)
        if not checked:
            yield f'{name} is not checked by exercises.check("{lesson}.k", {name})'
        elif "return ..." not in cell.source and checked[1] not in PLANTED:
            yield f"the stub {name} must return ..., or hold the fault that its exercise names"


def _shared_names(source: Path, cells: Cells) -> Problems:
    names = _definitions(cells).keys()
    for other in sorted(source.parent.glob("*.py")):
        if other.stem != source.stem:
            for name in sorted(names & _definitions(read(other)).keys()):
                yield f"{name} is defined in {other.stem} too; put it in vaelab"


def _bytes(source: Path) -> Problems:
    for target, _ in copies(source):
        size = target.stat().st_size if target.exists() else 0
        if size > MAX_BYTES:
            yield (
                f"{target.parent.name}/{target.name} has {size:,} bytes; expected {MAX_BYTES:,} "
                "at most"
            )


def _with_next(cells: Cells) -> zip[tuple[Any, Any]]:
    """Every cell with the one after it, None after the last."""
    return zip(cells, [*cells[1:], None], strict=True)


def _sources(cells: Iterable[Any], kind: str) -> list[str]:
    return [cell.source for cell in cells if cell.cell_type == kind]


def _definitions(cells: Iterable[Any]) -> dict[str, Any]:
    """The names of functions and classes, each with the cell that defines it."""
    return {
        node.name: cell
        for cell in cells
        for node in _parsed(cell.source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def _parsed(source: str) -> ast.Module:
    """A cell without its magics; nothing for one that is not Python."""
    try:
        return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.MULTILINE))
    except SyntaxError:
        return ast.parse("")


def _head(cell: Any) -> str:
    lines = cell.source.strip().splitlines()
    return f"the cell {lines[0][:50]!r}" if lines else "an empty cell"

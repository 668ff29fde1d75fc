"""A submission taken apart: which lesson it is a copy of, its answers, and whether its checks are
the lesson's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECK = re.compile(r'exercises\.check\("(\w+\.\d+)", (\w+)\)')


class PaperError(ValueError):
    """A file is no notebook of the course."""


@dataclass(frozen=True)
class Task:
    """One exercise of a lesson.

    Args:
        id: of the exercise, "01.1".
        function: the name of the reader's function.
        changed: whether the submission's check is another than the lesson's, or gone.
    """

    id: str
    function: str
    changed: bool


@dataclass(frozen=True)
class Paper:
    """What of a submission is run.

    Args:
        lesson: its lesson's name, "01_gaussian_vae".
        setup: the lesson's first code cell.
        cells: the submission's answers, and what it added, in its order.
        tasks: the lesson's exercises.
    """

    lesson: str
    setup: str
    cells: tuple[str, ...]
    tasks: tuple[Task, ...]


def read_paper(path: Path, lessons: Iterable[Path]) -> Paper:
    """Take a submission apart.

    Args:
        path: of the submission.
        lessons: students' copies of the course's notebooks, as they were handed out.

    Raises:
        PaperError: not a notebook, or none of the course's.
    """
    cells = _cells(path)
    ids = {cell.get("id") for cell in cells}
    originals = {lesson: _cells(lesson) for lesson in lessons}
    shared = {
        lesson: sum(cell.get("id") in ids for cell in original)
        for lesson, original in originals.items()
    }
    lesson = max(shared, key=lambda key: shared[key], default=None)
    if lesson is None or not shared[lesson]:
        raise PaperError(f"{path}: no cell of it is one of the course's")
    return _paper(lesson.stem, originals[lesson], cells)


def _paper(lesson: str, original: list[Any], cells: list[Any]) -> Paper:
    fixed = {cell["id"] for cell in original if "stub" not in cell.metadata.get("tags", [])}
    kept = {cell["id"]: cell.source for cell in cells if "id" in cell}
    answers = [
        plain(cell.source)
        for cell in cells
        if cell.cell_type == "code" and cell.get("id") not in fixed
    ]
    code = [cell for cell in original if cell.cell_type == "code"]
    tasks = [
        Task(*found, changed=kept.get(cell["id"]) != cell.source)
        for cell in code
        for found in CHECK.findall(cell.source)
    ]
    return Paper(lesson, plain(code[0].source), tuple(answers), tuple(tasks))


def plain(source: str) -> str:
    """A cell without its magics.

    >>> plain("%matplotlib inline\\nx = 1")
    '\\nx = 1'
    """
    return re.sub(r"^[%!].*", "", source, flags=re.MULTILINE)


def _cells(path: Path) -> list[Any]:
    import nbformat

    try:
        return list(nbformat.read(path, as_version=4).cells)
    except OSError:
        raise
    except Exception as error:  # nbformat meets a damaged file with errors of any kind.
        raise PaperError(f"{path}: not a notebook ({type(error).__name__})") from error

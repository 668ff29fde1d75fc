"""From files to sheets, and from sheets to a table and a mark book."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vaelab._files import as_csv
from vaelab._inputs import check_positive
from vaelab.course import exercises
from vaelab.course.grading.examinee import MAX_BYTES
from vaelab.course.grading.jail import Jail, JailError, find_jail, run
from vaelab.course.grading.papers import PaperError, read_paper


@dataclass(frozen=True)
class Sheet:
    """What one file earned.

    Args:
        path: of the file.
        lesson: the notebook it is a copy of; empty where it is none.
        verdicts: of each exercise: "ok", "todo", what slipped; "changed check; …" where the check
            under it is not the course's.
        problem: why there are no verdicts.
    """

    path: Path
    lesson: str = ""
    verdicts: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def right(self) -> int:
        """How many exercises are ok."""
        return sum(words == "ok" for words in self.verdicts.values())


def grade(
    files: Sequence[str | Path],
    course: str | Path = "notebooks",
    *,
    seconds: float = 20.0,
    memory: float = 4.0,
    trusted: bool = False,
    echo: Callable[[Sheet], Any] = lambda sheet: None,
) -> list[Sheet]:
    """Grade students' notebooks, each in a process of its own.

    Args:
        files: the notebooks; what they are called does not matter.
        course: the folder of the notebooks as they were handed out.
        seconds: that an exercise may take.
        memory: that an exercise may take, in GiB.
        trusted: whether to run them also where nothing keeps them from the network and from files.
        echo: told of each sheet.

    Raises:
        JailError: no jail on this machine, and not `trusted`.
        FileNotFoundError: no such file, or no notebook in `course`.
    """
    check_positive("seconds", seconds)
    check_positive("memory", memory)
    paths = [Path(path) for path in files]
    lessons = sorted(Path(course).glob("*.ipynb"))
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)}: no such file; give the path of a student's notebook"
        )
    if not lessons:
        raise FileNotFoundError(f"no notebook of the course in {course}")
    jail = find_jail()
    if jail is None and not trusted:
        raise JailError(
            "nothing on this machine keeps a student's code from the network and from files: "
            "neither bubblewrap nor user namespaces work. Install bubblewrap, or, for code that "
            "you trust, say trusted=True"
        )
    sheets = []
    for path in paths:
        sheets.append(_sheet(path, lessons, jail, seconds, memory))
        echo(sheets[-1])
    return sheets


def _sheet(
    path: Path, lessons: Sequence[Path], jail: Jail | None, seconds: float, memory: float
) -> Sheet:
    try:
        paper = read_paper(path, lessons)
    except PaperError as error:
        return Sheet(path, problem=str(error))
    with tempfile.TemporaryDirectory(prefix="vaelab-grade-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        job = {
            "setup": paper.setup,
            "cells": paper.cells,
            "tasks": [(task.id, task.function) for task in paper.tasks],
            "seconds": seconds,
            "memory": int(memory * 2**30),
            "jailed": jail is not None,
        }
        (folder / "job.json").write_text(json.dumps(job), "utf-8")
        hidden = [path.resolve().parent, Path.home()]
        stopped = run(jail, folder, hidden, 60 + seconds * (len(paper.tasks) + 1))
        verdicts = {}
        for task in paper.tasks:
            words = _judged(exercises.find(task.id), folder / f"{task.id}.json", stopped)
            verdicts[task.id] = f"changed check; {words}" if task.changed else words
    return Sheet(path, paper.lesson, verdicts)


def _judged(exercise: exercises.Exercise, path: Path, stopped: str) -> str:
    """The verdict on what an answer left, which a student's code may have written: it is only
    numbers, and no more than is right.
    """
    if not path.is_file() or path.is_symlink() or path.stat().st_size > MAX_BYTES:
        return stopped or "the process ended before there was an answer"
    try:
        written = json.loads(path.read_text("utf-8"))
        if "problem" in written:
            return str(written["problem"])[:200]
        results = [torch.tensor(value, dtype=torch.float64) for value in written["results"]]
        return exercises.judge(exercise, results)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        return f"what it left cannot be read ({type(error).__name__})"


def table(sheets: Sequence[Sheet]) -> str:
    """The verdicts as text, a line an exercise."""
    lines = []
    for sheet in sheets:
        count = f"{sheet.right} of {len(sheet.verdicts)}" if sheet.verdicts else sheet.problem
        lines.append(f"{sheet.path.name}  {sheet.lesson}  {count}".replace("    ", "  "))
        lines += [f"  {exercise_id}  {words}" for exercise_id, words in sheet.verdicts.items()]
    return "\n".join(lines)


def mark_book(sheets: Sequence[Sheet]) -> str:
    """The verdicts as CSV: a row a file, a column an exercise, and how many are ok."""
    columns = sorted({exercise_id for sheet in sheets for exercise_id in sheet.verdicts})
    rows: list[list[Any]] = [["file", "lesson", "ok", "of", *columns, "problem"]]
    for sheet in sheets:
        words = [sheet.verdicts.get(exercise_id, "") for exercise_id in columns]
        counts = [sheet.right, len(sheet.verdicts)]
        rows.append([sheet.path, sheet.lesson, *counts, *words, sheet.problem])
    return as_csv(rows).decode()

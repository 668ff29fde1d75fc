"""Grading: students' notebooks in, a table of exercises out.

    sheets = grading.grade(["anna.ipynb", "ben.ipynb"])
    sheets[0].verdicts["01.1"]         # "ok", "todo", what slipped, or "changed check; …"

Of a submission only the answers are run: the cells of exercises, and cells that the student added.
They run in a process of their own, in a jail (`jail`), one fork an exercise (`examinee`). What an
answer returns comes back as numbers, and is judged here, where no student's code has run.
"""

from __future__ import annotations

from vaelab.course.grading.grading import Sheet, grade, mark_book, table
from vaelab.course.grading.jail import Jail, JailError, find_jail
from vaelab.course.grading.papers import PaperError

__all__ = [
    "Jail",
    "JailError",
    "PaperError",
    "Sheet",
    "find_jail",
    "grade",
    "mark_book",
    "table",
]

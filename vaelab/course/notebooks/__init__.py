"""The course's notebooks: built from one source each, and executed.

The source of truth is `notebooks/src/NN_slug.py`, also `10b_slug.py` and `A_slug.py`, in jupytext's
percent format; a source of another name is an error. `build` makes two copies of it, both executed
with their outputs stored:

    notebooks/NN_slug.ipynb             what a student opens: without the cells tagged "solution"
    notebooks/solutions/NN_slug.ipynb   without the cells tagged "stub"

A cell that draws carries its alternative text in its header, `# %% alt="Samples of both stages"`;
the builder puts it beside the stored image. Of a cell tagged "widget" a still of the view is
stored.
"""

from __future__ import annotations

import os
from typing import TypeVar

from vaelab._inputs import check_choice
from vaelab.course.notebooks.building import NotebookError, build

__all__ = ["NotebookError", "build", "choose", "profile"]

T = TypeVar("T")


def profile() -> str:
    """ "quick" (two CPU cores, no network) or "full" (a GPU, the real data), from the variable
    VAELAB_PROFILE.

    Raises:
        ValueError: the variable holds another word.
    """
    name = os.environ.get("VAELAB_PROFILE", "quick")
    check_choice("VAELAB_PROFILE", name, ("quick", "full"))
    return name


def choose(quick: T, full: T) -> T:
    """The value for the profile the notebook runs in.

    >>> choose(quick=40, full=400)
    40
    """
    return full if profile() == "full" else quick

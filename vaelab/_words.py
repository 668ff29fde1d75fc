"""Words in errors' messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of an error's message: the nearest known word, or nothing where none is near.

    >>> nearest("--verson", ["--version", "--help"])
    "; did you mean '--version'?"
    """
    words = {name.lstrip("-"): name for name in known}
    near = difflib.get_close_matches(str(word).lstrip("-"), words, 1, 0.5)
    return f"; did you mean {words[near[0]]!r}?" if near else ""

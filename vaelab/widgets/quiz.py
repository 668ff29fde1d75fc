"""A question of a few choices that answers back."""

from __future__ import annotations

import html
import random
from collections.abc import Mapping

import ipywidgets

from vaelab._door import door
from vaelab.widgets._view import View
from vaelab.widgets.controls import words


class Quiz(View):
    """A question, a few choices, and, once one is picked, whether and why it is right.

    Args:
        question: what is asked.
        choices: each choice with what is to be said of it; the first is right. They are shown in an
            order that follows from the question.

    Raises:
        ValueError: fewer than two choices.

    >>> view = Quiz("2 + 2?", {"4": "Count.", "5": "That is one more."})
    >>> view.choice.value = "5"
    >>> view.reply.value
    '<b>Not this.</b> That is one more.'
    """

    @door
    def __init__(self, question: str, choices: Mapping[str, str]) -> None:
        if len(choices) < 2:
            raise ValueError(f"choices: expected two or more, got {len(choices)}")
        super().__init__()
        self.right = next(iter(choices))
        self._why = dict(choices)
        shuffled = random.Random(question).sample(list(choices), len(choices))
        layout = ipywidgets.Layout(width="auto")
        self.choice = ipywidgets.RadioButtons(options=shuffled, value=None, layout=layout)
        self.reply = words()
        title = ipywidgets.HTML(f"<b>{html.escape(question)}</b>")
        self.children = (title, self.choice, self.reply)
        self._listen(self.redraw, self.choice)

    def _draw(self) -> None:
        picked = self.choice.value
        word = "Yes." if picked == self.right else "Not this."
        self.reply.value = f"<b>{word}</b> {html.escape(self._why[str(picked)])}"

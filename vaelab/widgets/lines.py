"""Two lines of a grammar, and what lies between their codes: tree, formula and curve."""

from __future__ import annotations

import html

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure

from vaelab._door import door
from vaelab.grammar import Formula
from vaelab.grammar.formulas import POINTS
from vaelab.interpolation import lerp
from vaelab.lines.fitting import grammar_of
from vaelab.models import Autoencoder
from vaelab.plots import COLORS
from vaelab.widgets._view import View
from vaelab.widgets.controls import beside, slider, words
from vaelab.widgets.drawing import Drawing, Plot

_BOX = {"width": "auto", "max_width": "560px"}  # As wide as the cell, less the margins.
_LIMIT = 12.0  # Of the curves' axis.


class LineInterpolator(View):
    """Type two expressions, move between their codes, and see what is decoded: the line, its tree
    and its curve.

    Args:
        model: a model of lines, of a grammar whose lines are formulas in x.
        first, second: the lines to begin with.

    Attributes:
        first, second: `Text`s; a line is read when Enter is pressed or the box is left.
        position: `FloatSlider` t from 0 to 1.
        line: what is decoded at t, or None where it is unfinished.
        formula, tree: `HTML`s, the line and its derivation.
        image: the curves of both ends and of the line.

    Raises:
        TypeError: a model that is not of lines.
        ValueError: a line outside the grammar, no formula in x, or longer than the model's; while
            the view is used, it stands in its last line, and the view goes on.
    """

    @door
    def __init__(self, model: Autoencoder, first: str, second: str) -> None:
        self.model = model
        self.grammar = grammar_of(model)
        self.codes = self._encoded([first, second])
        super().__init__()
        self.first = self._text("first", first)
        self.second = self._text("second", second)
        self.position = slider("position t", 0.5, 0.0, 1.0, 0.01, width="auto")
        self.position.layout.max_width = "560px"
        self.formula, self.tree = words(), ipywidgets.HTML()
        self.image = Drawing("the curves of both lines and of what lies between", 560)
        self.line: str | None = None
        self._plot = self._curves()
        self.children = (
            self.first,
            self.second,
            self.position,
            self.formula,
            beside(self.image),
            self.tree,
        )
        self._listen(self._read, self.first, self.second)
        self._listen(self.redraw, self.position)
        self._draw_ends()
        self.redraw()

    @staticmethod
    def _text(name: str, value: str) -> ipywidgets.Text:
        text = ipywidgets.Text(value, description=name, continuous_update=False, layout=_BOX)
        text.style.description_width = "110px"
        return text

    def _encoded(self, lines: list[str]) -> torch.Tensor:
        x = self.grammar.encode(lines, self.model.image_shape[0])
        return self.model.codes(x).mean

    def _read(self) -> None:
        codes = self._encoded([self.first.value, self.second.value])
        self._draw_ends()
        self.codes = codes
        self.redraw()

    def _curves(self) -> Plot:
        figure = Figure(figsize=(5.6, 2.6), dpi=100, layout="none")  # pyright: ignore[reportArgumentType]
        ax = figure.add_axes((0.09, 0.12, 0.87, 0.84))
        styles = ((COLORS["data"], 1), (COLORS["prior"], 1), (COLORS["q"], 2))
        self._lines = [ax.plot(POINTS, 0 * POINTS, color=c, linewidth=w)[0] for c, w in styles]
        ax.set(xlim=(-10, 10), ylim=(-_LIMIT, _LIMIT))
        ax.legend(self._lines, ("first", "second", "at t"), loc="upper left", fontsize=8)
        return Plot(figure, self._lines)

    def _draw_ends(self) -> None:
        try:
            values = [Formula(text)(POINTS) for text in (self.first.value, self.second.value)]
        except ValueError as error:
            raise ValueError(f"expected a model of formulas in x: {error}") from error
        for curve, y in zip(self._lines, values, strict=False):
            curve.set_ydata(y)

    def _draw(self) -> None:
        t = torch.tensor([self.position.value])
        start, end = self.codes
        x = self.model.images(lerp(start, end, t))
        (self.line,) = self.grammar.decode(x)
        curve = self._lines[2]
        curve.set_ydata(np.full_like(POINTS, np.nan))
        shown, tree = "unfinished: the stack is not empty after the last rule", ""
        if self.line is not None:
            curve.set_ydata(Formula(self.line)(POINTS))
            shown, tree = self.line, self.grammar.tree(self.grammar.parse(self.line))
        self.formula.value = f'<code style="font-size: 115%">{html.escape(shown)}</code>'
        self.tree.value = f'<pre style="line-height: 1.15">{html.escape(tree)}</pre>'
        self.image.value = self._plot.png()

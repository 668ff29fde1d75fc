"""A picture that answers the mouse and the arrow keys."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets


class Pointer(anywidget.AnyWidget):
    """A PNG with a pointer on it. Positions are pixels of the PNG, from its upper left corner.

    Attributes:
        value: the PNG.
        pointer: [x, y] under the mouse or moved with the arrow keys; [] before.
        box: [x0, y0, x1, y1], the corners of the rectangle last dragged; [] after a click or
            Escape.
        marks: [[x, y], ...], where crosses are drawn on it.
        description: what a screen reader says.
    """

    _esm = Path(__file__).parent / "pointer.js"

    value = traitlets.Bytes(b"").tag(sync=True)
    pointer = traitlets.List(traitlets.Float()).tag(sync=True)
    box = traitlets.List(traitlets.Float()).tag(sync=True)
    marks = traitlets.List().tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)

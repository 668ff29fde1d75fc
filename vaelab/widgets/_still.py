"""A still of a view: its pictures as the page lays them, and the names of their rows."""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import ipywidgets
import matplotlib
from PIL import Image, ImageDraw, ImageFont

PAGE = 900  # Pixels across; what is wider goes below.
GAP = 8  # Pixels between what stands side by side.
_PNG = b"\x89PNG"


def sheet(widget: ipywidgets.Widget) -> Image.Image | None:
    """The pictures of a widget in one, or None where it has none.

    Those of an `HBox` stand side by side while there is room, all others one below the other; to
    the left of rows that `named_rows` made stand their names.
    """
    value = getattr(widget, "value", None)
    if isinstance(value, bytes | memoryview) and bytes(value[:4]) == _PNG:
        return Image.open(io.BytesIO(value)).convert("RGB")
    children: tuple[Any, ...] = getattr(widget, "children", ())
    parts = [part for part in map(sheet, children) if part is not None]
    if not parts:
        return None
    if "vaelab-rows" in getattr(widget, "_dom_classes", ()):
        names = [label.value for label in children[0].children]
        parts = [_names(names, parts[0].height), *parts]
    wide = sum(part.width for part in parts)
    return _laid(parts, across=isinstance(widget, ipywidgets.HBox) and wide <= PAGE)


def _laid(parts: Iterable[Image.Image], across: bool) -> Image.Image:
    """Pictures side by side, or one below the other."""
    places, x, y = [], 0, 0
    for part in parts:
        places.append((part, (x, y)))
        x, y = (x + part.width + GAP, y) if across else (x, y + part.height)
    width = max(left + part.width for part, (left, _) in places)
    height = max(top + part.height for part, (_, top) in places)
    whole = Image.new("RGB", (width, height), "white")
    for part, place in places:
        whole.paste(part, place)
    return whole


def _names(names: list[str], height: int) -> Image.Image:
    """Names one below the other, each in the middle of its share of the height."""
    font, share = _font(), height / len(names)
    width = max(int(font.getlength(name)) for name in names) + GAP
    column = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(column)
    for row, name in enumerate(names):
        draw.text((GAP, (row + 0.5) * share), name, "black", font, anchor="lm")
    return column


@cache
def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf"), 15)

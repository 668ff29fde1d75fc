"""The controls that views are built of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets
import numpy as np

MIN_WIDTH = "270px"  # Of a slider: what a phone has room for.
STEP = 0.05  # Of sliders in the plane of codes.


def captioned(widget: ipywidgets.Widget, caption: str) -> ipywidgets.VBox:
    """A widget under a line of text."""
    return ipywidgets.VBox([ipywidgets.Label(caption), widget], layout={"flex": "0 0 auto"})


def beside(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side; where the screen is narrow, one below the other."""
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap"})


def named_rows(names: Iterable[str], *pictures: ipywidgets.Widget) -> ipywidgets.HBox:
    """Pictures side by side, with a name to the left of each of their rows; above them, where the
    screen is narrow.
    """
    labels = [ipywidgets.Label(name, layout={"margin": "0"}) for name in names]
    left = ipywidgets.VBox(labels, layout={"flex": "0 0 auto", "margin": "0 8px 0 0"})
    rows = ipywidgets.HBox([left, ipywidgets.HBox(pictures)])
    return rows.add_class("vaelab-rows")


def words(text: str = "") -> ipywidgets.HTML:
    """What a view says in words, as HTML; a screen reader says it when it changes."""
    return ipywidgets.HTML(text).add_class("vaelab-words")


def slider(
    name: str,
    value: float,
    low: float,
    high: float,
    step: float = STEP,
    width: str = "380px",
    name_width: str = "110px",
) -> ipywidgets.FloatSlider:
    """A labelled slider for a number between `low` and `high`."""
    return ipywidgets.FloatSlider(
        value,
        min=low,
        max=high,
        step=step,
        description=name,
        readout_format=".2f",
        style={"description_width": name_width},
        layout={"width": width, "min_width": MIN_WIDTH},
    )


def range_slider(
    name: str,
    value: tuple[float, float],
    end: float,
    width: str = "380px",
    name_width: str = "",
    decimals: int = 2,
) -> ipywidgets.FloatRangeSlider:
    """A labelled slider for an interval between −`end` and `end`."""
    return ipywidgets.FloatRangeSlider(
        value=value,
        min=-end,
        max=end,
        step=STEP,
        description=name,
        readout_format=f".{decimals}f",
        style={"description_width": name_width},
        layout={"width": width, "min_width": MIN_WIDTH},
    )


def log_slider(
    name: str,
    value: float,
    low: float,
    high: float,
    step: float = 0.05,
) -> ipywidgets.FloatLogSlider:
    """A labelled slider for a positive number, on a logarithmic axis between `low` and `high`."""
    return ipywidgets.FloatLogSlider(
        value=value,
        base=10,
        min=float(np.log10(low)),
        max=float(np.log10(high)),
        step=step,
        description=name,
        readout_format=".3g",
    )


def stepped(each: Any, value: float) -> float:
    """The place of a slider nearest to a value. A page rounds to it whatever a slider is given and
    sends that back, at times after the next value has come.
    """
    return each.min + each.step * round((value - each.min) / each.step)


def set_range(
    each: Any,
    low: float,
    high: float,
    value: Any,
) -> None:
    """Give a slider new ends and a new value, without min > max on the way."""
    each.min = min(low, each.min)
    each.max = max(high, each.max)
    each.value = value
    each.min = low
    each.max = high


def dropdown(
    name: str,
    options: Sequence[str],
    value: str | None = None,
    width: str = "220px",
) -> Any:
    """A labelled choice, a `Dropdown`; the first option is taken unless another is given."""
    return ipywidgets.Dropdown(
        options=options,
        value=options[0] if value is None else value,
        description=name,
        style={"description_width": "initial"},
        layout={"width": width, "min_width": MIN_WIDTH},
    )


def toggles(name: str, options: Sequence[str]) -> Any:
    """A labelled choice in sight, `ToggleButtons`; the first option is taken."""
    return ipywidgets.ToggleButtons(options=options, description=name)

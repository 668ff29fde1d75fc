"""What every view shares: one frame a change, pictures as PNG, and a `close` that leaves nothing
behind.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as PILImage

try:
    import ipywidgets
except ImportError as error:
    raise ImportError(
        "vaelab.widgets needs ipywidgets; install the course: pip install 'vaelab[course]'"
    ) from error


class View(ipywidgets.VBox):
    """A box of controls and pictures. A subclass draws in `_draw`, from what its controls say at
    that moment.

    Every event is drawn before the next one is read, so the front end, which holds back all but the
    newest value while the kernel is busy, never lets frames pile up; and several changes made
    inside `one_frame` are drawn once.

    Attributes:
        frames: how many frames were drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self._depth, self._stale, self._heard = 0, False, []

    def _draw(self) -> None:
        raise NotImplementedError

    def _listen(
        self, widget: ipywidgets.Widget, handler: Callable[[Any], None], name: str = "value"
    ) -> None:
        widget.observe(handler, names=name)
        self._heard.append((widget, handler, name))

    def redraw(self, change: Any = None) -> None:
        """Draw a frame now, or at the end of `one_frame`."""
        if self._depth:
            self._stale = True
        else:
            self._stale, self.frames = False, self.frames + 1
            self._draw()

    @contextlib.contextmanager
    def one_frame(self) -> Iterator[None]:
        """However many controls change inside, one frame is drawn at the end, from their newest
        values.
        """
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
        if self._stale and not self._depth:
            self.redraw()

    def close(self) -> None:
        """Stop listening, and close every control and picture: nothing of the view stays in the
        kernel.
        """
        if "_heard" not in vars(self):  # refused before it was built
            return super().close()
        for widget, handler, name in self._heard:
            widget.unobserve(handler, names=name)
        self._heard = []
        _close_children(self)
        self.children = ()
        _close_one(self, super().close)


def _close_children(box: ipywidgets.Box) -> None:
    for child in box.children:
        if isinstance(child, View):
            child.close()
            continue
        if isinstance(child, ipywidgets.Box):
            _close_children(child)
            child.children = ()
        if isinstance(child, ipywidgets.Button):
            child._click_handlers.callbacks.clear()
        _close_one(child, child.close)


def _close_one(widget: ipywidgets.Widget, close: Callable[[], None]) -> None:
    for name in ("layout", "style"):  # models of their own, which closing a widget leaves open
        part = getattr(widget, name, None)
        if isinstance(part, ipywidgets.Widget):
            part.close()
    close()


def picture(**layout: str) -> ipywidgets.Image:
    """An empty picture; give it a PNG as its `value`."""
    return ipywidgets.Image(
        format="png", layout={"align_self": "flex-start", "flex": "0 0 auto", **layout}
    )


def captioned(widget: ipywidgets.Widget, caption: str) -> ipywidgets.VBox:
    """A widget under a line of text."""
    return ipywidgets.VBox([ipywidgets.Label(caption), widget], layout={"flex": "0 0 auto"})


def row_names(names: Sequence[str], height: int) -> ipywidgets.VBox:
    """Labels one below the other, as far apart as the rows of a strip are high."""
    labels = [
        ipywidgets.Label(name, layout={"height": f"{height}px", "margin": "0px"}) for name in names
    ]
    return ipywidgets.VBox(labels, layout={"flex": "0 0 auto", "margin": "0 8px 0 0"})


def slider(
    name: str, value: float, low: float, high: float, step: float = 0.05, **more: Any
) -> ipywidgets.FloatSlider:
    """A labelled slider for a number between `low` and `high`."""
    return ipywidgets.FloatSlider(
        value,
        min=low,
        max=high,
        step=step,
        description=name,
        readout_format=".2f",
        style={"description_width": "110px"},
        layout={"width": "380px"},
        **more,
    )


def dropdown(name: str, options: Sequence[Any], width: str = "220px") -> ipywidgets.Dropdown:
    """A labelled choice; the first one is taken."""
    return ipywidgets.Dropdown(
        options=options,
        description=name,
        style={"description_width": "initial"},
        layout={"width": width},
    )


def log_slider(
    name: str, value: float, low: float, high: float, step: float = 0.05
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


def pixels_to_png(pixels: np.ndarray) -> bytes:
    """Bytes (H, W) or (H, W, 3) as a PNG file, compressed little and fast."""
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class Plot:
    """A matplotlib figure of which only the moving artists are drawn again: a frame costs
    milliseconds.

    Args:
        figure: outside pyplot, with everything on it.
        moving: the artists that will change. They are drawn on top of the rest.
    """

    def __init__(self, figure: Figure, moving: Sequence[Artist] = ()) -> None:
        self.figure, self.moving = figure, list(moving)
        self.canvas = FigureCanvasAgg(figure)
        for artist in self.moving:
            artist.set_animated(True)
        self.refresh()

    def refresh(self) -> None:
        """Draw what stands still again, after a change of limits or labels."""
        self.canvas.draw()
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)

    def png(self) -> bytes:
        """The figure as it is now."""
        self.canvas.restore_region(self.background)
        for artist in self.moving:
            self.figure.draw_artist(artist)
        return pixels_to_png(np.ascontiguousarray(np.asarray(self.canvas.buffer_rgba())[..., :3]))

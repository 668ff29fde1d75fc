"""What every view shares: one frame a change, a line for an error, and a `close` that leaves
nothing behind.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

try:
    import anywidget
    import ipywidgets
    import traitlets
except ImportError as error:
    raise ImportError(
        f"vaelab.widgets needs {error.name}; install the course: pip install 'vaelab[course]'"
    ) from error

from vaelab.widgets._still import sheet

_STILL = (520, 640)  # The most pixels of a still, across and down.


class Foot(anywidget.AnyWidget):
    """The line at a view's foot. It brings the views' style into the page, and names for screen
    readers.

    Attributes:
        error: what it says; nothing unless an event failed.
        pictures: what each picture above it shows, from top to bottom.
    """

    _esm = Path(__file__).parent / "foot.js"
    _css = Path(__file__).parent / "views.css"

    error = traitlets.Unicode("").tag(sync=True)
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)


class View(ipywidgets.VBox):
    """A box of controls and pictures. A subclass draws in `_draw`, from what its controls say at
    that moment.

    Every event is drawn before the next one is read, so the front end, which holds back all but the
    newest value while the kernel is busy, never lets frames pile up; and several changes made
    inside `one_frame` are drawn once. An error while an event is answered stands in a line at the
    view's foot, its last child, until the next event; the view stays usable.

    Attributes:
        frames: how many frames were drawn.
        error: what the last event raised, or None. `raise view.error` shows where.
    """

    def __init__(self) -> None:
        super().__init__()
        self.frames = 0
        self.error: Exception | None = None
        self._depth = 0  # It counts `one_frame`s, one inside the other.
        self._answering = False
        self._stale = False
        self._listening = contextlib.ExitStack()
        self._foot = Foot()
        self.add_class("vaelab-view")

    @traitlets.validate("children")
    def _with_foot(self, proposal: Any) -> tuple[ipywidgets.Widget, ...]:
        if not proposal.value:
            return ()
        above = [child for child in proposal.value if child is not self._foot]
        inside = [each for child in above for each in _inside(child)]
        images = [each for each in inside if isinstance(each, ipywidgets.Image)]
        self._foot.pictures = [getattr(image, "alt", "") for image in images]
        return (*above, self._foot)

    def _draw(self) -> None:
        raise NotImplementedError

    def _listen(
        self, handler: Callable[[], None], *widgets: ipywidgets.Widget, name: str = "value"
    ) -> None:
        """Call `handler` at every change of a trait of the widgets, until `close`.

        What a handler changes itself is no event: it draws that, too.
        """
        answer = functools.partial(self._answer, handler)
        for widget in widgets:
            widget.observe(answer, names=name)
            self._listening.callback(widget.unobserve, answer, names=name)

    def _press(self, handler: Callable[[], None], button: ipywidgets.Button) -> None:
        """Call `handler` when the button is pressed, until `close`."""
        answer = functools.partial(self._answer, handler)
        button.on_click(answer)
        self._listening.callback(button.on_click, answer, remove=True)

    def _answer(self, handler: Callable[[], None], event: Any) -> None:
        if self._answering:
            return
        self._answering = True
        self._report(None)
        try:
            handler()
        except Exception as error:
            self._report(error)
        finally:
            self._answering = False

    def _report(self, error: Exception | None) -> None:
        """Show an error's first line at the foot; None takes it away."""
        text = "" if error is None else f"{type(error).__name__}: {error}".splitlines()[0]
        self._foot.error = text
        self.error = error

    def still(self) -> bytes | None:
        """Its pictures in one, as a PNG file: what stands in a stored notebook."""
        whole = sheet(self)
        if whole is None:
            return None
        whole.thumbnail(_STILL)
        buffer = io.BytesIO()
        whole.save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The view, and its still for whoever has no kernel."""
        data = cast(dict[str, Any], super()._repr_mimebundle_(**options))
        still = self.still()
        if still is not None:
            data["image/png"] = base64.b64encode(still).decode()
        return data

    def redraw(self) -> None:
        """Draw a frame now, or at the end of `one_frame`."""
        if self._depth:
            self._stale = True
            return
        self._stale = False
        self.frames += 1
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
        if "_listening" in vars(self):  # A view whose arguments were refused has none.
            self._listening.close()
            self.error = None
            for child in {*self.children, self._foot}:
                _close(child)
            self.children = ()
            _close_parts(self)
        super().close()


def _inside(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """A widget and all inside it, from top to bottom."""
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _inside(child)


def _close(widget: ipywidgets.Widget) -> None:
    if not isinstance(widget, View):
        for child in getattr(widget, "children", ()):
            _close(child)
        _close_parts(widget)
    widget.close()


def _close_parts(widget: ipywidgets.Widget) -> None:
    """Close its layout and style: widgets too, which closing a widget leaves open."""
    for name in ("layout", "style"):
        part = getattr(widget, name, None)
        if isinstance(part, ipywidgets.Widget):
            part.close()

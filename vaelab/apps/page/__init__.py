"""A page for readers who have nothing installed: a trained decoder in one HTML file, which runs in
the browser.

The file holds weights, codes and program. It loads nothing else, and its policy forbids it to; it
opens from a disk or from a web server, on a phone or on a desk.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass
from pathlib import Path

from vaelab._inputs import check_seed
from vaelab.apps.page.contents import Contents, name_of_data
from vaelab.apps.page.steps import Plan, UnknownLayerError, plan, run
from vaelab.checkpoints import Saved
from vaelab.data import Images

__all__ = ["LARGE", "Page", "Plan", "UnknownLayerError", "build", "plan", "run"]

LARGE = 60e6  # bytes; beyond, a phone may not open it
SCRIPTS = ("decoder.js", "drawing.js", "code.js", "plane.js", "page.js")  # one after the other
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """A page, ready to be written.

    Args:
        html: all of it.
        notes: what was measured and left out, a sentence each.
    """

    html: str
    notes: list[str]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.html.encode())


def build(
    saved: Saved,
    images: Images | None = None,
    title: str | None = None,
    seed: int = 0,
) -> Page:
    """Make the page of a trained model.

    Args:
        saved: the model, from `vaelab.load`; from `vaelab.apps.opening.opened`, an estimator's.
        images: what it was trained on: the sliders' order, λ, the codes and the images to start
            from are read off them. None leaves these out.
        title: at the top of the page.
        seed: of every draw, those in the page included.

    Returns:
        The page; its `html` is the file.

    Raises:
        UnknownLayerError: the decoder holds a layer that the page cannot run.
        ValueError: no model of images, weights that are not finite, images of another shape.
    """
    seed = check_seed(seed)
    contents = Contents(saved, images, seed)
    record = contents.read() | {"seed": seed}
    data = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    css = _read("page.css")
    js = "\n".join(_read(name) for name in SCRIPTS)
    name = name_of_data(saved, images)
    policy = (
        f"default-src 'none'; img-src data:; script-src {_hash(js)}; style-src {_hash(css)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "title": html.escape(title or "Inside an autoencoder" + (f" of {name}" if name else "")),
        "policy": policy,
        "css": css,
        "js": js,
        "data": data.replace("<", "\\u003c"),
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("page.html"))
    return Page(page, contents.notes)


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """The name of an inline script or style in a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

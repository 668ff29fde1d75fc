"""Headless Chromium for the tests: where it is, how it is launched, when a test is skipped, and
what a page shows.
"""

import base64
import contextlib
import io
import os
import shutil
import socket
import time

import numpy as np
import pytest
from PIL import Image

CHROMIUM = (
    os.environ.get("VAELAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]

FRAME = "() => new Promise(requestAnimationFrame)"
BYTES = """async e => { const b = new Uint8Array(await (await fetch(e.src)).arrayBuffer());
  let s = ''; for (const x of b) s += String.fromCharCode(x); return btoa(s) }"""


def marks(purpose):
    """For `pytestmark`, or above one test."""
    return [
        pytest.mark.browser,
        pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium here: install it {purpose}"),
    ]


@contextlib.contextmanager
def launched():
    """A browser that is closed at the end."""
    playwright = pytest.importorskip("playwright.sync_api", reason="install vaelab[browser]")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def free_port():
    """A port of this machine that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def png_of(image):
    """The bytes that an <img> shows."""
    return base64.b64decode(image.evaluate(BYTES))


def pixels_of(image, side=8):
    """The grey picture of an <img> that shows every image pixel enlarged: one value each, (side,
    side), 0 to 255.
    """
    shown = np.asarray(Image.open(io.BytesIO(png_of(image))).convert("L")).astype(int)
    scale = len(shown) // side
    return shown[scale // 2 :: scale, scale // 2 :: scale][:side, :side]


def readout(slider):
    """The number beside a `.widget-slider`."""
    return float(slider.locator(".widget-readout").inner_text().replace("−", "-"))


def drag(page, slider, pixels, steps=12):
    """Drag a slider's handle to the right with the mouse, in steps that all send an event."""
    handle = slider.locator(".noUi-handle")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, steps + 1):
        page.mouse.move(x + pixels * step / steps, y)
    page.mouse.up()


def until(page, condition, words, seconds=60):
    """Look again after every frame until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, words
        page.evaluate(FRAME)

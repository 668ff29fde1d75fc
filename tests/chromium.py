"""Headless Chromium for the tests: where it is, how it is launched, and when a test of it is skipped."""

import contextlib
import os
import shutil
import socket

import pytest

CHROMIUM = os.environ.get("VAELAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]


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

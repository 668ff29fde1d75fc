"""The notebooks in a real JupyterLab in headless Chromium: they run to their end, and a slider moves its picture."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from chromium import free_port, launched, marks

ROOT = Path(__file__).parents[1]
SHOTS = os.environ.get("VAELAB_SHOTS")  # a folder: then every notebook is opened, and its picture kept there
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))[: None if SHOTS else 1]

pytestmark = marks("to open the notebooks in JupyterLab")

CONFIG = """
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.ServerApp.port_retries = 0
c.IdentityProvider.token = "tok"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
c.LabApp.expose_app_in_browser = True
"""
IDLE = """() => { const a = window.jupyterapp, w = a && a.shell.currentWidget;
  return w && w.sessionContext && w.sessionContext.isReady && w.sessionContext.kernelDisplayStatus === 'idle' }"""
RUN_ALL = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells') }"
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === 'code')
  .map(c => c.model.sharedModel.toJSON().outputs).flat()"""
BYTES = """async e => { const b = new Uint8Array(await (await fetch(e.src)).arrayBuffer());
  let s = ''; for (const x of b) s += String.fromCharCode(x); return btoa(s) }"""


def wait_until_it_answers(url, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(url, timeout=2).status
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab of its own on a copy of the notebooks; gives the address of one by name."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "work", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    (tmp_path / "lab.py").write_text(CONFIG)
    news = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime",
    }
    environment = {**os.environ, **{name: str(tmp_path / place) for name, place in places.items()}}
    port = free_port()
    command = [
        sys.executable, "-m", "jupyter", "lab", f"--config={tmp_path / 'lab.py'}", f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={tmp_path / 'work'}",
    ]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/api")
        yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}.ipynb?token=tok&reset"
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # its own process group: the kernels go with it
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_jupyterlab(lab, name, tmp_path):
    with launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 12_000})  # tall: JupyterLab draws what is in view
        page.goto(lab(name), wait_until="domcontentloaded", timeout=90_000)
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate(RUN_ALL)
        page.wait_for_function(IDLE, timeout=300_000)
        outputs = page.evaluate(OUTPUTS)
        assert outputs
        assert [o for o in outputs if o["output_type"] == "error"] == []
        images = page.locator("img.widget-image")
        if images.count():
            _move_a_slider(page, images.first)
        page.screenshot(path=str(tmp_path / f"{name}.png"))
        if SHOTS:
            shutil.copy(tmp_path / f"{name}.png", SHOTS)


def _move_a_slider(page, image):
    image.wait_for(state="visible", timeout=60_000)
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_function("e => e.ariaValueNow === e.ariaValueMin", arg=handle.element_handle(), timeout=30_000)
    page.wait_for_function(IDLE, timeout=30_000)
    before, source = _digest(image), image.get_attribute("src")
    page.keyboard.press("End")
    page.wait_for_function("([e, s]) => e.src !== s", arg=[image.element_handle(), source], timeout=30_000)
    assert _digest(image) != before


def _digest(image):
    return hashlib.md5(base64.b64decode(image.evaluate(BYTES))).hexdigest()

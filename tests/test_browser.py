"""The notebooks in a real JupyterLab in headless Chromium: they run to their end, and a hand moves
their pictures.
"""

import ast
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from chromium import drag, free_port, launched, marks, pixels_of, png_of, readout, until

ROOT = Path(__file__).parents[1]
SHOTS = os.environ.get(
    "VAELAB_SHOTS"
)  # a folder: then every notebook is opened, and its picture kept there
VIEWS = (
    "11_traversal",
    "12_aggregated_posterior",
)  # round the views: their pictures are held against the decoder
NOTEBOOKS = (
    [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    if SHOTS
    else ["00_from_scratch", *VIEWS]
)

pytestmark = [  # One server serves all.
    *marks("to open the notebooks in JupyterLab"),
    pytest.mark.xdist_group("lab"),
]

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
  const c = w && w.sessionContext;
  return c && c.isReady && c.kernelDisplayStatus === 'idle' }"""
RUN_ALL = "async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells') }"
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter(c => c.model.type === 'code')
  .map(c => c.model.sharedModel.toJSON().outputs).flat()"""
ASK = """async ([code, expression]) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const asked = { code, silent: true, store_history: false, user_expressions: { it: expression } };
  const reply = await kernel.requestExecute(asked).done;
  const { status, evalue, user_expressions } = reply.content;
  return status === "ok" ? user_expressions.it.data["text/plain"] : evalue }"""
NOW = """
def _now():
    import gc
    from vaelab.widgets import LatentTraversal, PosteriorComparison
    from vaelab.widgets.comparison import PosteriorRow
    kinds = (LatentTraversal, PosteriorComparison)
    view = next(each for each in gc.get_objects() if type(each) in kinds)
    if type(view) is PosteriorComparison:
        view = next(iter(view.rows.values()))
    slider = view.sliders[0] if type(view) is LatentTraversal else view.cursor_x
    images = [view.subject.spaces["z"].model.images(view.code[None])[0, 0]]
    if type(view) is PosteriorRow and view.closest[0] == 0:
        images.append(view.subject.x[view._rows[view.closest[1]], 0])
    pixels = [(255 * x.clamp(0, 1)).round().int().tolist() for x in images]
    return slider.description, slider.value, pixels
"""
READOUT = ".widget-readout"
COUNT = """e => { e.seen = 0;
  const all = { childList: true, characterData: true, subtree: true };
  new MutationObserver(() => e.seen++).observe(e, all) }"""
SLOW = """
def _slowly():
    import gc, time
    from vaelab.widgets import LatentTraversal
    view = next(each for each in gc.get_objects() if type(each) is LatentTraversal)
    if "_draw" not in vars(view):
        view._draw = lambda: (time.sleep(1), LatentTraversal._draw(view))
    return view.frames
"""


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


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on a copy of the notebooks; gives its folder, and the address of one by name."""
    tmp_path = tmp_path_factory.mktemp("lab")
    shutil.copytree(
        ROOT / "notebooks", tmp_path / "work", ignore=shutil.ignore_patterns(".ipynb_checkpoints")
    )
    (tmp_path / "lab.py").write_text(CONFIG)
    news = tmp_path / "settings" / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    places = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
    }
    environment = {**os.environ, **{name: str(tmp_path / place) for name, place in places.items()}}
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "lab",
        f"--config={tmp_path / 'lab.py'}",
        f"--ServerApp.port={port}",
        f"--ServerApp.root_dir={tmp_path / 'work'}",
        # as make lab
        "--ServerApp.kernel_websocket_connection_class=vaelab.apps.dashboards.connection.NoDelayConnection",
    ]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/api")
        address = f"http://127.0.0.1:{port}/lab/tree/{{name}}.ipynb?token=tok&reset"
        yield tmp_path / "work", lambda name: address.format(name=name)
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # its own process group: the kernels go with it
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.long
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_in_jupyterlab(lab, name):
    errors = []
    with launched() as browser:
        page = browser.new_page(
            viewport={"width": 1280, "height": 12_000}
        )  # tall: JupyterLab draws what is in view
        page.on(
            "console",
            lambda m: errors.append(f"{m.text} {m.location}") if m.type == "error" else None,
        )
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto(lab[1](name), wait_until="domcontentloaded", timeout=90_000)
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate(RUN_ALL)
        page.wait_for_function(IDLE, timeout=300_000)
        outputs = page.evaluate(OUTPUTS)
        assert outputs
        assert [o for o in outputs if o["output_type"] == "error"] == []
        images = page.locator("img.widget-image")
        if name in VIEWS:
            _hold_against_the_decoder(page, images)
        elif images.count():
            _move_a_slider(page, images.first)
        if SHOTS:
            page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))
    assert errors == []


def _move_a_slider(page, image):
    image.wait_for(state="visible", timeout=60_000)
    handle = page.locator(".widget-slider .noUi-handle").first
    handle.focus()
    page.keyboard.press("Home")
    page.wait_for_function(
        "e => e.ariaValueNow === e.ariaValueMin", arg=handle.element_handle(), timeout=30_000
    )
    page.wait_for_function(IDLE, timeout=30_000)
    before, source = png_of(image), image.get_attribute("src")
    page.keyboard.press("End")
    page.wait_for_function(
        "([e, s]) => e.src !== s", arg=[image.element_handle(), source], timeout=30_000
    )
    assert png_of(image) != before


def _hold_against_the_decoder(page, images):
    """The view's first slider by mouse and by keyboard; then the mouse over its plane, or, without
    one, a fast drag.
    """
    images.first.wait_for(state="visible", timeout=60_000)

    def asked():
        return ast.literal_eval(page.evaluate(ASK, [NOW, "_now()"]))

    name = asked()[0].split()
    slider = page.locator(".widget-slider").filter(has_text=name[0]).first
    handle = slider.locator(".noUi-handle")

    def settled():
        """The kernel has heard of what the slider says, and the page shows what its decoder makes
        of the code.
        """
        _, value, expected = asked()
        if abs(value - readout(slider)) > 0.026:  # the slider's step is 0.05
            return False
        return all(
            np.abs(pixels_of(images.nth(i), len(x)) - x).max() <= 1 for i, x in enumerate(expected)
        )

    until(page, settled, "not the decoder's image at first")
    for way in ("mouse", "End", "ArrowLeft"):
        at, before = readout(slider), pixels_of(images.first)
        if way == "mouse":
            drag(page, slider, 40)
        else:
            handle.focus()
            page.keyboard.press(way)
        until(
            page,
            lambda at=at: abs(readout(slider) - at) > 0.026 and settled(),
            f"{way}: not the decoder's image",
        )
        assert np.abs(pixels_of(images.first) - before).max() > 0
    canvas = page.locator("canvas.vaelab-pointer").first
    if not canvas.count():  # a kernel too slow for the hand skips values, and ends on the newest
        frames, at, number = (
            int(page.evaluate(ASK, [SLOW, "_slowly()"])),
            readout(slider),
            slider.locator(READOUT),
        )
        number.evaluate(COUNT)
        drag(page, slider, -90, steps=60)
        until(
            page,
            lambda: abs(readout(slider) - at) > 1 and settled(),
            "dragged fast: not the newest image",
        )
        assert (
            1
            <= int(page.evaluate(ASK, [SLOW, "_slowly()"])) - frames
            < number.evaluate("e => e.seen") / 2
        )
        return
    for share in (0.16, 0.22):  # both in the panel of q(z), the first of three
        at, box = readout(slider), canvas.bounding_box()
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
        until(
            page,
            lambda at=at: abs(readout(slider) - at) > 0.026 and settled(),
            "hovered: not the image there",
        )


LINES = """
from vaelab import grammar, lines, widgets
from vaelab.training import Session
words = grammar.draw_lines(grammar.expressions(), 300, 6, seed=0)
plan = lines.LinePlan(epochs=2, latent_dim=4, network_options={"channels": (8,), "width": 16})
fitted = lines.fit(words, plan=plan, session=Session(device="cpu", progress=False))
view = widgets.LineInterpolator(fitted.model, "x", "sin( 3 )")
view
"""
STATE = "(view.position.value, view.first.value, str(view.line), str(view.error))"
WIDE = """() => { const view = document.querySelector('.jp-OutputArea-output .widget-vbox');
  const edge = view.parentElement.getBoundingClientRect().right + 1;
  return [...view.querySelectorAll('*')].filter(e => e.offsetWidth && !e.closest('pre')
    && e.getBoundingClientRect().right > edge).map(e => e.className || e.tagName) }"""


def test_the_view_of_lines_by_keyboard_on_a_narrow_screen(lab):
    """A line is typed and read with Enter, the slider moved with its keys, and nothing stands out
    beyond the cell of a telephone's width; a slip is said in the view's last line.
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LINES)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    folder, address_of = lab
    nbformat.write(notebook, folder / "lines.ipynb")
    with launched() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 1600})
        address = address_of("lines").replace("/lab/tree/", "/doc/tree/")
        page.goto(address, wait_until="domcontentloaded", timeout=90_000)
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate(RUN_ALL)
        box = page.locator(".widget-text input").first
        box.wait_for(state="visible", timeout=300_000)

        def asked():
            return ast.literal_eval(page.evaluate(ASK, ["", STATE]))

        assert page.evaluate(WIDE) == []
        box.fill("x / 2")
        box.press("Enter")
        until(page, lambda: asked()[1] == "x / 2", "the typed line was not read")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("End")
        until(page, lambda: asked()[0] == 1.0, "the slider is not two tabs away, or deaf to End")
        page.keyboard.press("ArrowLeft")
        until(page, lambda: asked()[0] == 0.99, "the slider is deaf to ArrowLeft")
        code = page.locator(".jp-OutputArea-output code")
        until(page, lambda: asked()[2] in (code.inner_text(), "None"), "the line is not shown")
        box.fill("x + ) 3")
        box.press("Enter")
        alert = page.locator("[role=alert]")
        alert.wait_for(state="visible", timeout=30_000)
        assert "at character 5" in alert.inner_text() and page.evaluate(WIDE) == []

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
    else ["00_from_scratch", VIEWS[0], pytest.param(VIEWS[1], marks=pytest.mark.longest)]
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
  return [...view.querySelectorAll('*')].filter(e => e.offsetWidth
    && !e.closest('pre, .vaelab-drawing') && e.getBoundingClientRect().right > edge)
  .map(e => e.className || e.tagName) }"""


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


MADE = """
import torch
from vaelab import densities, load_images, models, networks, widgets
digits = load_images("digits")
x, labels = digits.test[:40], digits.test_labels[:40]
with networks.seeded(0):
    one, two = [models.vae(networks.mlp((1, 8, 8), 6, (8,)), g).eval() for g in (0.1, 0.01)]
gaussian = densities.Gaussian().fit(one, x)
def judge(images):
    return images.flatten(1)[:, :10]
def line(ax, t):
    ax.plot([0, 1], [0, t])
def only_small(z):
    if z.max() > 1:
        raise ValueError("the first coordinate of this code is larger than 1, and so it is refused")
    return z[:, :1, None, None] * torch.ones(1, 1, 4, 4)
refused = widgets.latent_explorer(only_small, 2)
refused.sliders[0].value = 2.0
"""
EACH = (
    "refused",
    "widgets.gamma_explorer(lambda gamma: gamma * x[:8])",
    "widgets.figure_explorer(line, 1e-3, 1.0)",
    "widgets.LatentTraversal(one, x, density=gaussian, labels=labels)",
    'widgets.Interpolator({"one": one, "the other model": two}, x, judge=judge)',
    'widgets.PosteriorComparison({"one": (one, gaussian), "two": two}, x, labels)',
    "widgets.GammaPath([(0.1, one), (0.01, two)], x, n_points=1)",
    'widgets.ModelComparison({"one": one, "the other model": two}, x)',
    'widgets.Quiz("2 + 2?", {"4": "Count.", "5, in more words than one line can hold": "No."})',
    "widgets.TheoremOneView()",
    "widgets.TheoremTwoView(n_pixels=8)",
    LINES,
)
THEME = "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })"
# The page is dressed, and the plane of codes, which turns itself, has its ground.
IS_THEME = """([name, ground]) => document.body.dataset.jpThemeName === name
  && !document.getElementById("jupyterlab-splash") && document.querySelector(".vaelab-pointer")
    .getContext("2d").getImageData(1, 1, 1, 1).data[0] === ground"""
OUTER = ".vaelab-view:not(.vaelab-view .vaelab-view)"
# What is cut, stands out of its cell, is too short to drag, or too pale to read (WCAG 2.2, 1.4.3).
FAULTS = """() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    const color = parts(getComputedStyle(e).backgroundColor);
    return color[3] === 0 && e.parentElement ? behind(e.parentElement) : color };
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    0.05 + 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const contrast = e => {
    const back = behind(e), [r, g, b, a = 1] = parts(getComputedStyle(e).color);
    const front = [r, g, b].map((v, i) => a * v + (1 - a) * back[i]);
    const [low, high] = [light(front), light(back)].sort((x, y) => x - y);
    return high / low };
  const faults = [];
  for (const view of document.querySelectorAll(".vaelab-view")) {
    const edge = view.parentElement.getBoundingClientRect().right + 1;
    for (const e of view.querySelectorAll(":not(option, .vaelab-dot)")) {
      if (!e.getClientRects().length || e.closest("pre")) continue;
      const say = (fault, number) => faults.push([fault, e.className, e.textContent, number]);
      const right = e.getBoundingClientRect().right, isHandle = !!e.closest(".noUi-target");
      const words = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
      const control = e.matches("button, select, input, label, .widget-slider, .widget-readout");
      if ((words || control || isHandle) && right > edge) say("out of the cell", right - edge);
      if ((words || control) && e.clientWidth && e.scrollWidth > e.clientWidth + 1)
        say("cut", e.clientWidth);
      if (e.matches(".noUi-target") && e.clientWidth < 48) say("short", e.clientWidth);
      if (words && contrast(e) < 4.5) say("pale", contrast(e)) } }
  return faults }"""
# Puts the focus on a view's first control; gives the names of all that Tab is to reach.
CONTROLS = """view => {
  const all = view.querySelectorAll("select, input, button, .noUi-handle, .widget-readout, canvas");
  const isFirst = e => e.type !== "radio" || e === view.querySelector("[type=radio]");
  window.wanted = [...all].filter(e => e.getClientRects().length && isFirst(e));
  window.wanted[0].focus();
  return window.wanted.map(e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent) }"""
FOCUS = "() => window.wanted.indexOf(document.activeElement)"


@pytest.mark.long
def test_every_view_in_both_themes_on_a_narrow_screen_and_by_tab(lab):
    """On a telephone's width nothing is cut or out of its cell, words contrast with what is behind
    them, and Tab reaches every control in order, each with a name.
    """
    cells = [nbformat.v4.new_code_cell(code) for code in (MADE, *EACH)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    folder, address_of = lab
    nbformat.write(notebook, folder / "views.ipynb")
    with launched() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 12_000}, has_touch=True)
        address = address_of("views").replace("/lab/tree/", "/doc/tree/")
        page.goto(address, wait_until="domcontentloaded", timeout=90_000)
        page.wait_for_function(IDLE, timeout=120_000)
        page.evaluate(RUN_ALL)
        page.wait_for_function(IDLE, timeout=300_000)
        views = page.locator(OUTER)
        until(page, lambda: views.count() == len(EACH), "not every view is shown")
        alert = page.locator("[role=alert]").first
        until(page, lambda: "ValueError: the first" in alert.inner_text(), "the error is not shown")
        assert all(image.get_attribute("alt") for image in views.locator("img").all())
        for theme in (("JupyterLab Light", 255), ("JupyterLab Dark", 17)):
            page.evaluate(THEME, theme[0])
            page.wait_for_function(IS_THEME, arg=theme, timeout=30_000)
            assert page.evaluate(FAULTS) == []
            if SHOTS:
                page.screenshot(path=str(Path(SHOTS) / f"views in {theme[0]}.png"))
        for view in views.all():
            _walk_by_tab(page, view)
        _touch_the_plane(page)


def _walk_by_tab(page, view):
    names = view.evaluate(CONTROLS)
    assert all(names), names
    reached = [page.evaluate(FOCUS)]
    while reached[-1] < len(names) - 1 and len(reached) < 2 * len(names) + 5:
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUS))
    assert [i for i in reached if i >= 0] == list(range(len(names))), (names, reached)


def _touch_the_plane(page):
    box = page.locator("canvas.vaelab-pointer").first.bounding_box()
    cursor = page.locator(".widget-slider", has_text="cursor x").first
    at = readout(cursor)
    page.touchscreen.tap(box["x"] + 0.12 * box["width"], box["y"] + 0.5 * box["height"])
    until(page, lambda: readout(cursor) != at, "a finger on the plane moved nothing")

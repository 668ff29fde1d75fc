"""The pages without code: what they refuse, and, in headless Chromium, what a hand on them gets
from the decoder.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin, urlparse

import nbformat
import numpy as np
import pytest
import torch
from chromium import drag, free_port, launched, marks, pixels_of, png_of, readout, until
from PIL import Image

from vaelab import checkpoints, dashboards, data, densities, models, networks
from vaelab.apps.dashboards.serving import command
from vaelab.cli import dashboards as serving
from vaelab.cli import main
from vaelab.widgets.latent import pixel_scale

SIZE = 1280, 720
ASK = """([url, messages]) => new Promise((resolve, reject) => {
  const socket = new WebSocket(url);
  socket.onopen = () => messages.forEach(m => socket.send(m));
  socket.onerror = () => reject("no connection");
  socket.onmessage = e => {
    const m = JSON.parse(e.data);
    if (m.parent_header.session === "v" && m.channel === "shell") {
      socket.close(); resolve(m.header.msg_type) } } })"""
HARMLESS = re.compile(r"favicon\.ico")


def seeded_model(seed, gamma=0.1):
    with networks.seeded(seed):
        model = models.vae(networks.mlp((1, 8, 8), 5, (16,)), gamma)
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.mul_(4)  # images that differ clearly from code to code
    return model.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Model folders with seeded weights: what the pages show is known without training."""
    root, digits = tmp_path_factory.mktemp("dashboards"), data.load_images("digits")
    record = {"data": {"name": "digits"}}
    model = seeded_model(0)
    checkpoints.save(root / "model", model, densities.Gaussian().fit(model, digits.train), record)
    for i, gamma in enumerate((1.0, 0.3, 0.1)):
        model = seeded_model(i, gamma)
        checkpoints.save(
            root / "path" / str(i),
            model,
            densities.StandardNormal().fit(model, digits.train),
            record,
        )
    dashboards.write_pages(root / "pages", root / "model", root / "path")
    return root


# ---- without a browser --------------------------------------------------------------------------


def test_a_page_is_two_cells_without_outputs(folder):
    for path in (folder / "pages").glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code"]
        assert notebook.cells[1].outputs == []
    assert len(list((folder / "pages").glob("*.ipynb"))) == len(dashboards.PAGES) == 3


def test_what_a_model_folder_lacks_is_said_before_anything_is_trained(folder, tmp_path, capsys):
    model = seeded_model(0)
    normal = densities.StandardNormal().fit(model, data.load_images("digits").train)
    checkpoints.save(tmp_path / "silent", model, normal)
    checkpoints.save(tmp_path / "own", model, normal, {"data": {"name": "my pictures"}})
    (tmp_path / "empty").mkdir()
    cases = {
        "nowhere": "no such folder",
        "empty": "no run.json",
        "silent": "names no data set",
        "own": "'my pictures'",
    }
    for name, words in cases.items():
        assert main(["dashboards", str(tmp_path / name)]) == 2
        printed = capsys.readouterr()
        assert (
            words in printed.err and printed.err.count("\n") == 1 and "training" not in printed.out
        )


@pytest.mark.parametrize("port", ["0", "99999", "-1"])
def test_a_port_that_is_none_is_refused(port, capsys):
    assert main(["dashboards", "--port", port]) == 2
    assert f"--port: expected 1 to 65535, got {port}" in capsys.readouterr().err


def test_images_of_another_shape_are_named(folder, tmp_path):
    for i in range(4):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 60 * i, np.uint8)).save(
            tmp_path / "pictures" / f"{i}.png"
        )
    with pytest.raises(ValueError, match=r"expected images of shape \(1, 8, 8\).*got \(3, 8, 8\)"):
        dashboards.open_model(folder / "model", str(tmp_path / "pictures"))


def pictures(folder, height, width, n=40):
    """A folder of grey noise."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for i in range(n):
        pixels = generator.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return data.load_images(folder)


def saved_with(images, folder, name=None):
    with networks.seeded(0):
        model = models.vae(networks.mlp(images.shape, 2, (8,))).eval()
    record = {"name": name or images.name, "fingerprint": images.fingerprint()}
    density = densities.StandardNormal().fit(model, images.train)
    return checkpoints.save(folder, model, density, {"data": record})


def test_a_folder_with_the_name_of_a_data_set_is_not_taken_for_it(tmp_path):
    cats = pictures(tmp_path / "digits", 8, 8)
    saved = saved_with(cats, tmp_path / "model", "digits")  # As earlier versions called it.
    with pytest.raises(
        ValueError, match=r"trained on other images of this name, 'digits'.*images="
    ):
        dashboards.open_model(saved)
    opened = dashboards.open_model(saved, str(tmp_path / "digits"))
    assert {tuple(x.flatten().tolist()) for x in opened.x} == {
        tuple(x.flatten().tolist()) for x in cats.train
    }


def test_pictures_that_are_not_square_are_opened_as_they_are(tmp_path):
    images = pictures(tmp_path / "wide", 6, 20)
    saved = saved_with(images, tmp_path / "model")
    opened = dashboards.open_model(saved, str(tmp_path / "wide"))
    assert opened.x.shape[1:] == (1, 6, 20)
    assert dashboards.traversal(saved, str(tmp_path / "wide")).code.shape == (2,)


def test_pages_find_a_folder_of_pictures_from_anywhere(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for images, written in (("cats", repr(str(tmp_path / "cats"))), ("mnist", "'mnist'")):
        pages = dashboards.write_pages(tmp_path / "pages", folder / "model", folder, images)
        cells = [nbformat.read(path, as_version=4).cells[1].source for path in pages]
        assert [f", {written})" in cell for cell in cells] == [True, True, False]


def test_an_opened_model_brings_its_own_density_and_the_quick_ones(folder):
    opened = dashboards.open_model(folder / "model")
    assert set(opened.densities) == {"Gaussian", "mixture of 10"}
    assert opened.x.shape[1:] == (1, 8, 8) and len(opened.labels) == len(opened.x)
    assert opened.name == "digits, κ = 5"


def test_the_server_answers_on_this_machine_alone_and_asks_for_a_token(tmp_path):
    line = command(tmp_path, 8866, token=True, browser=True)
    assert "--Voila.ip=127.0.0.1" in line and "--Voila.auto_token=True" in line
    assert not any("traceback" in part or "execute" in part for part in line)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ip", "everywhere"), "--ip: expected an address"),
        (("--ip", "0.0.0.0", "--no-token"), "--no-token: would let in whoever reaches 0.0.0.0"),
    ],
)
def test_what_would_let_strangers_in_is_refused(options, words, capsys):
    assert main(["dashboards", *options]) == 2
    assert words in capsys.readouterr().err


def test_a_hub_and_its_proxy_are_served_under_their_path(tmp_path, monkeypatch, capsys):
    lines = []
    monkeypatch.setattr(
        "vaelab.apps.dashboards.serving.serve", lambda line: lines.append(line) or 0
    )
    monkeypatch.setattr("vaelab.apps.dashboards.write_pages", lambda *a, **k: None)
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: name)
    assert main(["dashboards", "--ip", "0.0.0.0", "--base-url", "user/ann/vaelab"]) == 0
    assert "--Voila.base_url=/user/ann/vaelab/" in lines[0] and "--Voila.ip=0.0.0.0" in lines[0]
    assert "travels unencrypted" in capsys.readouterr().err
    proxy = serving.server_proxy()
    filled = [part.format(port=9999, base_url="/user/ann/") for part in proxy["command"]]
    assert main(filled[3:]) == 0 and proxy["absolute_url"]
    assert {"--Voila.base_url=/user/ann/vaelab/", "--Voila.port=9999"} <= set(lines[1])


# ---- in a browser -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address(folder):
    """Voilà as `make dashboards` starts it, on a free port; gives the address with the token."""
    pytest.importorskip("voila", reason="install vaelab[app]")
    log = folder / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            command(folder / "pages", free_port(), token=True, browser=False),
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 120
        while not (match := re.search(r"http://127\.0\.0\.1:\d+/\?token=\w+", log.read_text())):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield match.group()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture
def opened(address, tmp_path):
    """Opens a page from the index; afterwards there must be no error on its console and no
    traceback in it.
    """
    errors = []
    with launched() as browser:
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.on(
            "console",
            lambda m: errors.append(f"{m.text} {m.location}") if m.type == "error" else None,
        )
        page.on("pageerror", lambda e: errors.append(str(e)))

        page.on("websocket", lambda socket: go.sockets.append(socket.url))

        def go(name):
            page.goto(address, wait_until="domcontentloaded", timeout=60_000)
            assert page.locator("a[href*='.ipynb']").count() == 3
            link = page.locator(f"a[href*='{name}']").get_attribute(
                "href"
            )  # a click would open it in another tab
            page.goto(urljoin(address, link), wait_until="commit", timeout=120_000)
            page.locator("img.widget-image").first.wait_for(state="visible", timeout=240_000)
            return page

        go.sockets = []
        yield go
        page.screenshot(path=str(tmp_path / "page.png"))
        assert "Traceback" not in page.inner_text("body")
    assert [e for e in errors if not HARMLESS.search(e)] == []


def decoded(model, code):
    return np.round(255 * model.images(code[None]).clamp(0, 1)[0, 0].numpy()).astype(int)


pytest_browser = marks("to open the pages without code")


def browser_test(function):
    for mark in pytest_browser:
        function = mark(function)
    return function


def answer_of(url, **headers):
    """Status and text of what the server answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as a:
            return a.status, a.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_name_of_another_machine_is_refused(address):
    """A page elsewhere whose name was made to lead here (DNS rebinding) sends its own name."""
    port = urlparse(address).port
    for host in ("evil.example", f"evil.example:{port}", "192.0.2.1", "127.0.0.1.evil.example"):
        status, text = answer_of(address, Host=host)
        assert status == 403 and ".ipynb" not in text
    for host in ("localhost", f"127.0.0.1:{port}", "[::1]"):
        status, text = answer_of(address, Host=host)
        assert status == 200 and text.count(".ipynb") >= 3


def test_pages_name_no_other_server_and_logging_out_answers(address):
    elsewhere = re.compile(r"""(?:src|href|import\(|url\(|fetch\()[\s=("']*https?://""")
    token = address.partition("?")[2]
    page = urljoin(address, f"voila/render/1-latent-traversal.ipynb?{token}")
    for url in (address, page):
        status, text = answer_of(url)
        assert status == 200 and not elsewhere.search(text) and "cdn" not in text
    status, text = answer_of(urljoin(address, f"logout?{token}"))
    assert status == 200 and "Successfully logged out" in text


@browser_test
def test_the_pages_are_closed_without_the_token(address):
    with urllib.request.urlopen(
        address.split("?")[0] + "voila/render/1-latent-traversal.ipynb", timeout=20
    ) as answer:
        assert "/login" in answer.url and b"widget" not in answer.read()


@browser_test
def test_a_slider_gives_the_image_that_the_decoder_makes(opened, folder):
    view = dashboards.traversal(folder / "model")
    model = view.subject.spaces["z"].model
    page = opened("latent-traversal")
    image = page.locator("img.widget-image").first
    sliders = page.locator(".widget-slider")
    first = view.sliders[0].description.split()[0]
    slider = sliders.filter(has_text=first).first
    handle = slider.locator(".noUi-handle")
    j = int(view._basis[:, 0].argmax())

    def expected():
        code = view.code.clone()
        code[j] = readout(slider)
        return decoded(model, code)

    def settled():
        return np.abs(pixels_of(image) - expected()).max() <= 1

    assert (
        np.abs(pixels_of(image) - decoded(model, view.code)).max() <= 1
    )  # the code as the encoder gives it
    start, at = pixels_of(image), readout(slider)
    drag(page, slider, 60)
    until(
        page, lambda: readout(slider) > at + 0.5 and settled(), "dragged: not the decoder's image"
    )
    dragged = pixels_of(image)
    assert np.abs(dragged - start).max() > 10
    handle.focus()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        before = readout(slider)
        page.keyboard.press(key)
        until(
            page,
            lambda before=before: readout(slider) != before and settled(),
            f"{key}: not the decoder's image",
        )
    assert np.abs(pixels_of(image) - dragged).max() > 10


PLACE = """c => { const f = c.getBoundingClientRect();
  return [f.left, f.top, c.width / f.width] }"""


@pytest.mark.long
@browser_test
def test_hovering_over_the_plane_shows_the_image_there(opened, folder):
    row = next(iter(dashboards.posteriors(folder / "model").rows.values()))
    model = row.subject.spaces["z"].model
    page = opened("aggregated-posterior")
    canvas = page.locator("canvas.vaelab-pointer")
    canvas.wait_for(state="visible", timeout=60_000)
    until(page, lambda: canvas.evaluate("c => c.width > 400"), "the panels were not drawn")
    image, nearest = (
        page.locator("img.widget-image").nth(0),
        page.locator("img.widget-image").nth(1),
    )
    points = row.points[0]
    apart = np.sort(np.linalg.norm(points[:, None] - points, axis=2), 1)[:, 1]
    seen = []
    for k in np.argsort(apart)[-3:]:  # the points with most room round them
        x, y = row._scatter.pixels(0, points[k : k + 1])[0]
        of_point = np.round(255 * row.subject.x[row._rows[k], 0].numpy()).astype(int)
        assert pixel_scale(8, 112) > 1

        def right(x=x, y=y, k=k, of_point=of_point):
            """Where the canvas lies may change while the page loads: it is asked each time."""
            left, top, scale = canvas.evaluate(PLACE)
            mouse = [round(left + x / scale), round(top + y / scale)]
            page.mouse.move(mouse[0] + 1, mouse[1])  # A mouse that stands still tells nothing.
            page.mouse.move(*mouse)
            row.canvas.pointer = [(mouse[0] - left) * scale, (mouse[1] - top) * scale]
            assert row.closest == (0, k)
            a = np.abs(pixels_of(image) - decoded(model, row.code)).max()
            b = np.abs(pixels_of(nearest) - of_point).max()
            return a <= 1 and b <= 1

        until(page, right, "not the image of that place")
        seen.append(decoded(model, row.code))
    assert np.abs(seen[0] - seen[1]).max() > 24 or np.abs(seen[1] - seen[2]).max() > 24


@pytest.mark.long
@browser_test
def test_code_that_a_visitor_sends_is_not_run(opened, tmp_path):
    page = opened("latent-traversal")
    kernel = urlparse(opened.sockets[0])
    marker = tmp_path / "marker"
    messages = []
    for kind, content in (
        ("execute_request", {"code": f"open({str(marker)!r}, 'w')"}),
        ("kernel_info_request", {}),
    ):
        header = {
            "msg_id": kind,
            "username": "v",
            "session": "v",
            "msg_type": kind,
            "version": "5.3",
        }
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "channel": "shell",
        }
        messages.append(json.dumps(message | {"buffers": []}))
    reply = page.evaluate(ASK, [kernel._replace(query="session_id=v").geturl(), messages])
    assert (
        reply == "kernel_info_reply"
    )  # the second message was answered; the first, sent before it, was dropped
    assert not marker.exists()


@pytest.mark.long
@browser_test
def test_the_path_goes_to_its_end(opened, folder):
    view = dashboards.gamma_path(folder / "path")
    page = opened("gamma-path")
    handle = page.locator(".widget-slider .noUi-handle").first
    image = page.locator("img.widget-image").first
    before = png_of(image)
    assert before == view.image.value
    handle.focus()
    page.keyboard.press("End")
    view.step.value = 2
    until(page, lambda: png_of(image) == view.image.value, "not the last model's images")
    until(
        page, lambda: view.said.value in page.inner_text("body"), "not the last model's cost"
    )  # a message of its own
    assert view.image.value != before


@pytest.mark.long
@browser_test
def test_it_starts_and_stops_by_one_command(folder, tmp_path):
    """As a user: train, serve, Ctrl-C; no server and no folder is left."""
    pytest.importorskip("voila", reason="install vaelab[app]")
    log = tmp_path / "log"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "vaelab", "dashboards", str(folder / "model"), "--no-browser"]
    line += ["--port", str(free_port())]
    with log.open("w") as out:
        server = subprocess.Popen(
            line, stdout=out, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        end = time.monotonic() + 240
        while not (match := re.search(r"http://127\.0\.0\.1:\d+/\?token=\w+", log.read_text())):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        with pytest.raises(OSError):
            urllib.request.urlopen(match.group(), timeout=2)
        assert not list(tmp_path.glob("vaelab-dashboards-*"))
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)

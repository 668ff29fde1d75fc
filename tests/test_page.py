"""The page: its steps equal the decoder's, its program equals them in a real browser, and it asks
for nothing.
"""

import functools
import html
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import launched, marks
from PIL import Image
from torch import nn
from torch.nn import functional as F

import vaelab
from vaelab import checkpoints, densities, load_images, models, networks, page, posteriors
from vaelab.__main__ import main
from vaelab.apps.images import images_for as images_of
from vaelab.apps.images import was_trained_on
from vaelab.apps.page.directions import directions
from vaelab.data import Images


class Odd(nn.Module):
    """A decoder of every layer and function that the page knows and no network of the package has
    at once.
    """

    def __init__(self, latent_dim=3):
        super().__init__()
        self.dense, self.shift = nn.Linear(latent_dim, 4 * 9), nn.BatchNorm1d(36)
        self.norm, self.conv = nn.BatchNorm2d(4), nn.Conv2d(4, 4, (1, 3), padding="same")
        self.up, self.pad = nn.Upsample(scale_factor=2), nn.ZeroPad2d((1, 0, -1, 2))
        self.last = nn.utils.parametrizations.spectral_norm(
            nn.ConvTranspose2d(8, 1, 5, 2, 2, output_padding=1)
        )

    def forward(self, z):
        x = self.norm(torch.tanh(self.shift(self.dense(z))).view(-1, 4, 3, 3))
        x = F.leaky_relu(x + self.conv(F.silu(x)), 0.1)
        x = F.pad(self.pad(self.up(x)), (0, 1, 1, 0))
        x = F.pad(torch.cat((x, torch.relu(x)), 1), (0, -4, -1, -3))
        x = F.interpolate(self.last(x), scale_factor=2)
        return torch.sigmoid(x).reshape(z.shape[0], 1, 16, 16)


def with_statistics(module):
    """Give batch normalisation running statistics that matter, as after training; evaluation
    mode.
    """
    generator = torch.Generator().manual_seed(5)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.02, generator=generator)
            layer.running_var.uniform_(0.01, 0.02, generator=generator)
            layer.weight.data.uniform_(0.5, 1.5, generator=generator)
            layer.bias.data.normal_(0, 0.5, generator=generator)
    return module.eval()


def odd():
    return networks.Networks(nn.Flatten(), Odd(), (1, 16, 16), 3, 256, nn.Linear)


PAIRS = {
    "mlp": lambda: networks.mlp((1, 8, 8), 4, (20, 16)),
    "mlp, colour": lambda: networks.mlp((3, 8, 6), 2, (20,), "tanh", "sigmoid"),
    "mlp, relu": lambda: networks.mlp((8, 8), 1, (20,), "relu"),
    "infogan": lambda: networks.infogan(1, 8, 5),
    "infogan, colour": lambda: networks.infogan(3, 12, 5),
    "small_conv": lambda: networks.small_conv(3, (9, 6), 5, width=4, hidden=8),
    "resnet": lambda: networks.resnet(1, 12, 4, base=4),
    "wae": lambda: networks.wae(3, 16, 4, base=4),
    "odd": odd,
}


def pair(name):
    with networks.seeded(3):
        nets = PAIRS[name]()
        with_statistics(nets.decoder)
        return nets


def model_of(name):
    nets = pair(name)
    with networks.seeded(4):
        return models.vae(nets).eval()


def images_for(shape, n=60):
    """Noise that stands in for a data set, with two classes, one of them named to do harm."""
    x = torch.rand(2 * n, *shape, generator=torch.Generator().manual_seed(6))
    y = torch.arange(2 * n) % 2
    return Images(
        "noise", x[:n], x[n:], y[:n], y[n:], ("<img src=x onerror=alert(1)>", "b"), "Noise."
    )


def second_stage(model, images):
    second = densities.SecondStage((12,), epochs=1, batch_size=30)
    return second.fit(model, images.train)


@functools.cache
def saved_of(name):
    model = model_of(name)
    images = images_for(model.image_shape)
    return checkpoints.Saved(model, second_stage(model, images), {}), images


@functools.cache
def page_of(name, with_images=True):
    saved, images = saved_of(name)
    return page.build(saved, images if with_images else None)


def near(x, y, tolerance=1 / 255):
    x, y = (np.clip(np.asarray(a, dtype=float), 0, 1).ravel() for a in (x, y))
    return x.shape == y.shape and np.abs(x - y).max() <= tolerance


# ---- steps --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
def test_steps_equal_the_decoder(name):
    nets = pair(name)
    z = 2 * torch.randn(7, nets.latent_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = nets.decoder(z)
    steps = page.plan(nets.decoder, nets.latent_dim)
    assert torch.allclose(
        page.run(steps, z), expected, atol=2e-6 * max(1, expected.abs().max().item())
    )
    assert expected.flatten(1).std(0).max() > 1e-3  # the pixels depend on the code


class Branches(nn.Module):
    def forward(self, z):
        return z if z.sum() > 0 else -z


UNKNOWN = {
    r"1 \(GroupNorm\)": nn.Sequential(nn.Linear(2, 4), nn.GroupNorm(2, 4)),
    r"body\.1 \(Softplus\)": nn.Sequential(),
    r"1 \(Conv2d\) with groups": nn.Sequential(
        nn.Unflatten(1, (2, 1, 1)), nn.Conv2d(2, 2, 1, groups=2)
    ),
    "cannot be followed": nn.Sequential(nn.Linear(2, 2), Branches()),
}
UNKNOWN[r"body\.1 \(Softplus\)"].add_module("body", nn.Sequential(nn.Linear(2, 2), nn.Softplus()))


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_layer_the_page_cannot_run_is_named(text):
    with pytest.raises(page.UnknownLayerError, match=text):
        page.plan(UNKNOWN[text], 2)


# ---- contents -----------------------------------------------------------------------------------


def test_directions_are_axes_in_the_order_of_lambda():
    sigma = torch.tensor([[0.9, 0.1, 0.5], [0.7, 0.3, 0.5]])
    result = directions(posteriors.DiagonalNormal(torch.zeros(2, 3), sigma, 2 * sigma.log()))
    assert result.names == ["z[1]", "z[2]", "z[0]"] and result.kind == "lambda"
    assert torch.allclose(result.values, torch.tensor([0.05, 0.25, 0.65]))
    assert torch.equal(result.matrix, torch.eye(3)[[1, 2, 0]])


def test_directions_of_a_full_covariance_are_its_eigenvectors():
    s = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(2)).tril()
    q = posteriors.FullNormal(torch.zeros(5, 3), s)
    result = directions(q)
    along = result.matrix @ q.covariance().mean(0) @ result.matrix.T
    assert torch.allclose(
        along, torch.diag(result.values), atol=1e-5
    ) and result.values.tolist() == sorted(result.values)
    assert result.names[0] == "e[0]"


def test_a_flow_posterior_has_directions_too():
    with networks.seeded(0):
        nets = networks.mlp((1, 8, 8), 3, (16,))
        head = posteriors.FlowGaussian(nets)
        with torch.no_grad():
            for weight in head.parameters():  # Untrained, the flow turns nothing.
                weight.add_(0.3 * torch.randn(weight.shape))
    q = head(nets.encoder(images_for((1, 8, 8)).test))
    result = directions(q)
    assert result.kind == "lambda" and result.names[0] == "e[0]"
    along = result.matrix @ q.covariance().mean(0) @ result.matrix.T
    assert torch.allclose(
        along.diagonal(), result.values, rtol=1e-4
    ) and result.values.tolist() == sorted(result.values)


def test_directions_without_lambda_are_the_principal_ones():
    mean = torch.randn(500, 2, generator=torch.Generator().manual_seed(3)) @ torch.tensor(
        [[3.0, 3.0], [-0.5, 0.5]]
    )
    for q in (
        posteriors.Point(mean),
        posteriors.DiagonalNormal(mean, torch.full_like(mean, 0.7), mean),
    ):
        result = directions(q)
        assert result.kind == "sd" and result.names == ["pc[0]", "pc[1]"]
        assert torch.allclose(
            result.values, (mean @ result.matrix.T).std(0, correction=0), atol=1e-4
        )
        assert torch.allclose(result.matrix[0].abs(), torch.full((2,), math.sqrt(0.5)), atol=0.05)


def contents_of(made):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', made.html, re.S)[1]
    )


def test_the_page_tells_what_the_model_is():
    saved, images = saved_of("mlp")
    made = page.build(saved, images, seed=2)
    record = contents_of(made)
    q = saved.model.codes(images.test)
    assert record["directions"]["values"] == sorted(record["directions"]["values"])
    assert np.allclose(
        record["directions"]["values"], q.sigma.square().mean(0).sort().values, atol=1e-6
    )
    assert [d["name"] for d in record["densities"]] == [
        "N(0, I)",
        "second stage",
        "Gaussian",
        "mixture of 10",
    ]
    assert (
        page.build(saved, images, seed=2).html
        == made.html
        != page.build(saved, images, seed=3).html
    )


def test_nothing_that_is_named_becomes_markup():
    saved, images = saved_of("mlp")
    harm = "</title><script>alert('&')</script>"
    made = page.build(saved, images, title=harm)
    assert html.escape(harm) in made.html and harm not in made.html
    assert "<img" not in made.html and contents_of(made)["labels"]["classes"] == list(
        images.classes
    )


# ---- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved model of digits, untrained."""
    with networks.seeded(0):
        model = models.vae(networks.mlp((1, 8, 8), 3, (16,)))
    digits = load_images("digits")
    record = {"data": {"name": "digits", "fingerprint": digits.fingerprint()}}
    return vaelab.save(
        tmp_path_factory.mktemp("saved") / "model", model, second_stage(model, digits), record
    )


def refused(capsys, *arguments):
    assert main(["export-page", *map(str, arguments)]) == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("vaelab: error: ") and "Traceback" not in printed
    return printed


def test_export_page_writes_one_file(folder, tmp_path, capsys):
    out = tmp_path / "new" / "page.html"
    assert main(["export-page", str(folder), "--out", str(out), "--title", "Ours"]) == 0
    printed = capsys.readouterr().out
    assert (
        "decoder: pixels within " in printed
        and f"{out.stat().st_size / 1e6:.2f} MB" in printed
        and "note" not in printed
    )
    assert [p.name for p in out.parent.iterdir()] == [
        "page.html"
    ] and "<h1>Ours</h1>" in out.read_text("utf-8")
    assert (
        main(["export-page", str(folder), "--out", str(out), "--without-images"]) == 0
    )  # replaces it
    record = contents_of(page.Page(out.read_text("utf-8"), []))
    assert (
        record["directions"]["kind"] == "none"
        and record["starts"]["pixels"] is None
        and not record["has_images"]
    )


def test_export_page_says_what_it_cannot_do(folder, tmp_path, capsys):
    out = tmp_path / "page.html"
    out.write_text("old")
    assert "no such folder" in refused(capsys, tmp_path / "nowhere", "--out", out)
    assert "holds no run.json" in refused(capsys, tmp_path, "--out", out)
    assert "expected a file that ends in .html" in refused(capsys, folder, "--out", tmp_path)
    assert "whole number" in refused(capsys, folder, "--out", out, "--seed", -1)
    assert "cannot write to" in refused(capsys, folder, "--out", out / "page.html")
    assert "cannot write to" in refused(capsys, folder, "--out", "/proc/page.html")
    assert "is no folder here" in refused(
        capsys, folder, "--out", out, "--images", tmp_path / "pictures"
    )
    assert out.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_export_page_asks_for_images_it_cannot_find(folder, tmp_path, capsys):
    saved = vaelab.load(folder)
    cats = vaelab.save(
        tmp_path / "cats",
        saved.model,
        saved.density,
        {"data": {"name": "cats", "source": "Pictures."}},
    )
    printed = refused(capsys, cats)
    assert "'cats'" in printed and "--images" in printed and "--without-images" in printed
    bare = vaelab.save(tmp_path / "bare", saved.model, saved.density)
    assert "names no data set" in refused(capsys, bare)
    assert (
        main(["export-page", str(cats), "--images", "digits"]) == 0
        and (cats / "page.html").is_file()
    )
    other = {"data": {"name": "digits", "fingerprint": "0"}}
    changed = vaelab.save(tmp_path / "other", saved.model, saved.density, other)
    assert main(["export-page", str(changed), "--images", "digits"]) == 0
    assert "not what the model was trained on" in capsys.readouterr().out


def test_a_page_of_pictures_that_are_not_square(tmp_path):
    generator = np.random.default_rng(0)
    for i in range(60):
        pixels = generator.integers(0, 256, (6, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    with networks.seeded(0):
        model = models.vae(networks.mlp((1, 6, 20), 2, (8,))).eval()
    saved = checkpoints.Saved(model, densities.StandardNormal(), {})
    images = images_of(saved, name=str(tmp_path))
    assert images.shape == (1, 6, 20)
    record = contents_of(page.build(saved, images))
    assert record["shape"] == [1, 6, 20] and record["has_images"]


def test_images_come_in_the_shape_of_the_model(folder):
    saved = vaelab.load(folder)
    with networks.seeded(0):
        twelve = models.vae(networks.mlp((1, 12, 12), 2, (8,)))
        wide = models.vae(networks.mlp((1, 6, 20), 2, (8,)))
    digits = {"data": {"name": "digits"}}
    resized = images_of(checkpoints.Saved(twelve, saved.density, digits))
    assert torch.equal(resized.test, load_images("digits", side=12).test)
    with pytest.raises(ValueError, match=r"expected images of shape \(1, 6, 20\).*got \(1, 8, 8\)"):
        images_of(checkpoints.Saved(wide, saved.density, digits))


def test_images_of_a_run_are_known_by_their_fingerprint(folder):
    saved = vaelab.load(folder)
    assert was_trained_on(saved, images_of(saved))
    other = {"data": {"name": "digits", "fingerprint": "0", "source": "Pictures."}}
    changed = checkpoints.Saved(saved.model, saved.density, other)
    with pytest.raises(ValueError, match=r"other images of this name, 'digits' \(Pictures\.\)"):
        images_of(changed)
    assert not was_trained_on(changed, images_of(changed, name="digits"))


def test_broken_and_foreign_models_are_refused():
    saved, images = saved_of.__wrapped__("mlp")
    with torch.no_grad():
        saved.model.decoder[1].weight[0, 0] = math.nan
    with pytest.raises(ValueError, match=r"NaN or infinite values, first in decoder\.1\.weight"):
        page.build(saved, images)
    with networks.seeded(0):
        vector = models.vae(networks.mlp(5, 2))
    flat = checkpoints.Saved(vector.eval(), densities.StandardNormal().load_state({}, 2), {})
    with pytest.raises(ValueError, match=r"expected a model of images, grey or RGB, .* got \[5\]"):
        page.build(flat)
    with pytest.raises(ValueError, match=r"images: expected shape"):
        page.build(saved_of("mlp")[0], images_for((3, 8, 8)))


# ---- in a browser -------------------------------------------------------------------------------

browser_only = marks("to open the page")


def in_browser(test):
    for mark in browser_only:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def browser():
    with launched() as chromium:
        yield chromium


@pytest.fixture
def opened(browser, tmp_path):
    """Opens the page of a named model from the disk; at the end, nothing went wrong in it and
    nothing left it.
    """
    pages, messages = [], []

    def open_page(made, size=(1280, 720), **settings):
        path = tmp_path / "page.html"
        path.write_text(made.html, encoding="utf-8")
        tab = browser.new_page(viewport={"width": size[0], "height": size[1]}, **settings)
        tab.on("console", lambda message: messages.append(message.text))
        tab.on("pageerror", lambda error: messages.append(str(error)))
        tab.on(
            "request",
            lambda request: messages.append(request.url) if request.url != path.as_uri() else None,
        )
        tab.goto(path.as_uri())
        tab.evaluate("vaelab.idle()")
        pages.append(tab)
        return tab

    yield open_page
    for tab in pages:
        tab.screenshot(path=str(tmp_path / "page.png"), full_page=True)
        tab.close()
    assert messages == []


PIXELS = """id => { const c = document.getElementById(id);
  const rgba = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  return [c.width, c.height, Array.from(rgba)] }"""


def canvas(tab, name, channels=1):
    """A canvas's pixels (channels, height, width) in [0, 1], once nothing waits to be drawn."""
    tab.evaluate("vaelab.idle()")
    width, height, values = tab.evaluate(PIXELS, name)
    rgba = np.array(values).reshape(height, width, 4) / 255
    assert (rgba[..., 3] == 1).all() and (channels == 3 or (rgba[..., :1] == rgba[..., :3]).all())
    return rgba[..., :channels].transpose(2, 0, 1)


def decoded(model, z):
    return model.images(torch.tensor([z]))[0]


@in_browser
@pytest.mark.parametrize("name", PAIRS)
def test_pixels_equal_pytorchs(opened, name):
    tab, model = opened(page_of(name, with_images=False)), saved_of(name)[0].model
    channels = 3 if model.image_shape[0] == 3 else 1
    assert near(canvas(tab, "image", channels), decoded(model, tab.evaluate("vaelab.code()")))
    codes = 1.5 * torch.randn(6, model.latent_dim, generator=torch.Generator().manual_seed(8))
    for z in codes.tolist():
        assert near(tab.evaluate("z => vaelab.decode(z)", z), decoded(model, z))
    assert not near(decoded(model, codes[0].tolist()), decoded(model, codes[1].tolist()), 4 / 255)


@in_browser
def test_a_slider_moves_the_picture(opened):
    tab, model = opened(page_of("mlp")), saved_of("mlp")[0].model
    order = model.codes(images_for((1, 8, 8)).test).sigma.square().mean(0).argsort().tolist()
    before, first = tab.evaluate("vaelab.code()"), canvas(tab, "image")
    box = tab.locator("#slider-0").bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] / 2, y)
    tab.mouse.down()
    for share in (0.6, 0.8, 0.95):
        tab.mouse.move(box["x"] + share * box["width"], y)
    tab.mouse.up()
    dragged = tab.evaluate("vaelab.code()")
    changed = [j for j in range(4) if abs(dragged[j] - before[j]) > 1e-6]
    assert changed == order[:1] and dragged[order[0]] > 0.8 * float(
        tab.locator("#slider-0").get_attribute("max")
    )
    assert near(canvas(tab, "image"), decoded(model, dragged)) and not near(
        first, decoded(model, dragged)
    )

    tab.locator("#slider-2").focus()
    was = float(tab.locator("#slider-2").input_value())
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    typed = tab.evaluate("vaelab.code()")
    assert (
        typed[order[2]] == pytest.approx(was + 0.2, abs=1e-4)
        and typed[order[0]] == dragged[order[0]]
    )
    assert near(canvas(tab, "image"), decoded(model, typed))
    assert tab.locator("#slider-2").get_attribute("aria-valuetext").startswith(f"z[{order[2]}] ")
    strip = tab.locator("#strip canvas").evaluate_all(
        "all => all.map(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data[0])"
    )
    limit = float(tab.locator("#slider-2").get_attribute("max"))
    along = torch.tensor([typed] * 9)
    along[:, order[2]] = torch.linspace(-limit, limit, 9)
    assert near(np.array(strip) / 255, model.images(along)[:, 0, 0, 0])

    tab.get_by_role("button", name="Back to start").click()
    assert tab.evaluate("vaelab.code()") == before and near(canvas(tab, "image"), first, 0)


@in_browser
def test_a_drag_leaves_no_queue_behind(opened):
    tab = opened(page_of("mlp"))
    waiting = tab.evaluate("""() => { const s = document.getElementById('slider-1');
      for (let i = 0; i < 300; i++) { s.value = i % 3; s.dispatchEvent(new Event('input')); }
      return vaelab.waiting() }""")
    assert 1 <= waiting <= 11  # the picture, the plane and the nine pictures of the strip


@in_browser
def test_the_plane_shows_the_point_under_the_cursor(opened):
    tab, model = opened(page_of("mlp")), saved_of("mlp")[0].model
    codes = model.codes(images_for((1, 8, 8)).test).mean
    tab.locator("#map").scroll_into_view_if_needed()
    box = tab.locator("#map").bounding_box()
    shown = set()
    for i in (0, 7, 31):
        at = tab.evaluate("i => vaelab.point(i)", i)
        tab.mouse.move(box["x"] + 1 + at["x"], box["y"] + 1 + at["y"])
        cursor = tab.evaluate("vaelab.cursor()")
        assert np.allclose(cursor["z"], codes[cursor["point"]], atol=1e-6)
        assert near(canvas(tab, "preview"), decoded(model, cursor["z"]))
        assert tab.locator("#here").inner_text().startswith(f"Test image {cursor['point']}, class ")
        shown.add(cursor["point"])
    assert len(shown) == 3
    tab.mouse.click(box["x"] + 1 + at["x"], box["y"] + 1 + at["y"])
    assert tab.evaluate("vaelab.code()") == pytest.approx(cursor["z"]) and near(
        canvas(tab, "image"), canvas(tab, "preview"), 0
    )


@in_browser
def test_the_plane_decodes_a_place_without_a_point(opened):
    tab, model = opened(page_of("mlp")), saved_of("mlp")[0].model
    tab.locator("#plane-x").select_option(index=2 + 1)
    tab.locator("#plane-y").select_option(index=2 + 0)
    order = model.codes(images_for((1, 8, 8)).test).sigma.square().mean(0).argsort().tolist()
    box = tab.locator("#map").bounding_box()
    tab.mouse.move(box["x"] + 4, box["y"] + 4)  # a corner
    cursor, code = tab.evaluate("vaelab.cursor()"), tab.evaluate("vaelab.code()")
    assert "point" not in cursor
    changed = [j for j in range(4) if abs(cursor["z"][j] - code[j]) > 1e-6]
    assert sorted(changed) == sorted(order[:2])
    printed = re.findall(r"[−\d.]+", tab.locator("#here").inner_text())
    assert [float(s.replace("−", "-")) for s in printed] == pytest.approx(
        [cursor["z"][order[1]], cursor["z"][order[0]]], abs=0.006
    )
    assert near(canvas(tab, "preview"), decoded(model, cursor["z"]))
    tab.locator("#map").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    moved = tab.evaluate("vaelab.code()")
    assert moved[order[0]] < cursor["z"][order[0]] and near(
        canvas(tab, "image"), decoded(model, moved)
    )


@in_browser
def test_draws_follow_their_densities(opened):
    saved, images = saved_of("mlp")
    tab = opened(page_of("mlp"))
    u = torch.randn(5, 4, generator=torch.Generator().manual_seed(9))
    mean = [tab.evaluate("u => vaelab.seconds['second stage'](u)", row) for row in u.tolist()]
    assert np.allclose(mean, saved.density.vae.images(u), atol=1e-5)
    q = saved.model.codes(images.train)
    n = 4000
    expected = {
        "N(0, I)": densities.StandardNormal().fit_codes(q),
        "second stage": saved.density,
        "Gaussian": densities.Gaussian().fit_codes(q),
        "mixture of 10": densities.GaussianMixture(10).fit_codes(q),
    }
    for name, density in expected.items():
        z = np.array(
            tab.evaluate(
                f"name => Array.from({{length: {n}}}, () => Array.from(vaelab.densities[name]()))",
                name,
            )
        )
        expected = density.sample(50_000).double().numpy()
        scale = expected.std(0)
        assert np.abs((z.mean(0) - expected.mean(0)) / scale).max() < 5 * math.sqrt(
            1 / n + 1 / 50_000
        )
        moments = [
            np.einsum("ni,nj->nij", w / scale, w / scale)
            for w in (z - z.mean(0), expected - expected.mean(0))
        ]
        error = np.sqrt(moments[1].var(0) * (1 / n + 1 / 50_000))
        assert (np.abs(moments[0].mean(0) - moments[1].mean(0)) < 5 * error).all()
    tab.get_by_role("button", name="draw from Gaussian", exact=True).click()
    assert tab.locator("#status").inner_text() == "Draw from Gaussian"
    assert near(canvas(tab, "image"), decoded(saved.model, tab.evaluate("vaelab.code()")))


NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas')].filter(e => !(
  (e.labels && e.labels.length) || e.getAttribute('aria-label') ||
  e.textContent.trim() || e.closest('button')))
  .map(e => e.outerHTML)"""


@in_browser
def test_a_phone_shows_it_all_and_its_taps_count(opened):
    tab, model = (
        opened(page_of("mlp"), size=(390, 844), has_touch=True, is_mobile=True),
        saved_of("mlp")[0].model,
    )
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate(NAMELESS) == []
    active = int((model.codes(images_for((1, 8, 8)).test).sigma.square().mean(0) < 0.5).sum())
    assert f"Here {active} of 4 directions" in tab.locator("#intro").inner_text()
    tab.locator("#map").scroll_into_view_if_needed()
    at = tab.evaluate("vaelab.point(5)")
    tab.locator("#map").tap(position={"x": at["x"] + 1, "y": at["y"] + 1})
    taken = tab.evaluate("vaelab.cursor()")
    assert tab.evaluate("vaelab.code()") == taken["z"] and near(
        canvas(tab, "image"), decoded(model, taken["z"])
    )


@in_browser
def test_a_model_without_lambda_says_so(opened):
    with networks.seeded(0):
        model = models.ae(networks.mlp((1, 8, 8), 3, (16,))).eval()
    images = images_for((1, 8, 8))
    saved = checkpoints.Saved(model, densities.Gaussian().fit(model, images.train), {})
    tab = opened(page.build(saved, images))
    assert "no λ" in tab.locator("#intro").inner_text() and tab.locator("#points").is_hidden()
    assert tab.locator(".row label").first.inner_text().startswith("pc[0] sd = ")
    assert near(canvas(tab, "image"), decoded(model, tab.evaluate("vaelab.code()")))


@in_browser
def test_without_images_it_starts_from_draws(opened):
    saved, _ = saved_of("mlp")
    tab, model = opened(page_of("mlp", with_images=False)), saved.model
    assert tab.locator("#chart-box").is_hidden() and tab.locator("#original-box").is_hidden()
    assert tab.evaluate("vaelab.code()") == pytest.approx(saved.density.sample(500)[0].tolist())
    assert near(canvas(tab, "image"), decoded(model, tab.evaluate("vaelab.code()")))


@in_browser
def test_the_page_may_not_ask_for_anything(browser, tmp_path):
    path = Path(tmp_path / "page.html")
    path.write_text(page_of("mlp").html, encoding="utf-8")
    tab = browser.new_page()
    printed = []
    tab.on("console", lambda message: printed.append(message.text))
    tab.goto(path.as_uri())
    ask = "async url => { try { await fetch(url); return 'done' } catch { return 'refused' } }"
    assert [tab.evaluate(ask, url) for url in ("http://127.0.0.1:9/", "data:,x")] == [
        "refused",
        "refused",
    ]
    tab.evaluate(
        "() => { const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; "
        "document.body.append(i) }"
    )
    tab.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hurt = 1'; "
        "document.body.append(s) }"
    )
    assert tab.evaluate("window.hurt") is None and any(
        "Content Security Policy" in text for text in printed
    )
    tab.close()


def test_a_page_of_bytes_is_that_of_their_values():
    pixels = torch.randint(0, 256, (60, 1, 6, 8), generator=torch.Generator().manual_seed(0))
    with networks.seeded(0):
        model = models.vae(networks.mlp((1, 6, 8), 3, (8,), output="sigmoid")).eval()
    saved = checkpoints.Saved(model, densities.StandardNormal().fit(model, pixels / 255), {})
    pages = [
        page.build(saved, Images("made", x[:40], x[40:], None, None, (), "Made up.")).html
        for x in (pixels.byte(), pixels / 255)
    ]
    assert pages[0] == pages[1]

"""What every view does: it closes without a rest, and hears no more."""

import subprocess
import sys

import ipywidgets
import pytest
import torch

from vaelab import widgets
from vaelab.widgets._view import Foot

MEMORY = """
import gc, psutil, torch, ipywidgets
from vaelab import densities, models, networks, widgets
torch.set_num_threads(1)
model = models.vae(networks.mlp((1, 28, 28), 6, (32,)))
x = torch.rand(60, 1, 28, 28)
gaussian = densities.Gaussian().fit(model, x)
makers = [
    lambda: widgets.LatentTraversal(model, x, density=gaussian),
    lambda: widgets.Interpolator(model, x),
    lambda: widgets.latent_explorer(model.images, 6),
    lambda: widgets.gamma_explorer(lambda gamma: gamma * x[:3]),
]
heavy = [
    lambda: widgets.PosteriorComparison({"it": (model, gaussian)}, x),
    lambda: widgets.TheoremOneView(),
    lambda: widgets.GammaPath([(1.0, model)], x, n_points=1),
]
def rounds(n):
    for k in range(n):
        (heavy[k // 20 % 3] if k % 20 == 0 else makers[k % 4])().close()
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20, len(ipywidgets.widgets.widget._instances)
for make in heavy:
    make().close()
before, alive = rounds(10)
after, still = rounds(100)
print(after - before, still - alive)
"""


@pytest.mark.long
def test_a_hundred_views_made_and_closed_leave_nothing_behind():
    pytest.importorskip("psutil")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], check=True, capture_output=True, text=True, timeout=300
    )
    megabytes, widgets_left = map(float, done.stdout.split())
    assert widgets_left == 0
    assert megabytes < 20


def test_a_closed_view_hears_no_more(vae, digits):
    view = widgets.LatentTraversal(vae, digits.test[:8])
    slider, drawn = view.sliders[0], view.frames
    view.close()
    slider.value = 1.25
    assert view.frames == drawn and view.children == ()


# ---- an error while an event is answered -----------------------------------------------------


def fragile(z):
    if z.max() > 1:
        raise ValueError("z[0] is beyond <1>\nand there is more")
    return z[:, :1, None, None] * torch.ones(1, 1, 2, 2)


def test_an_error_stands_in_the_view_until_the_next_event():
    view = widgets.latent_explorer(fragile, 1)
    (slider,), image, foot = view.sliders, view.image, view.children[-1]
    assert view.error is None and foot.error == ""
    before = image.value
    slider.value = 2.0
    assert isinstance(view.error, ValueError) and image.value == before
    assert foot.error == "ValueError: z[0] is beyond <1>"
    slider.value = 0.5
    assert view.error is None and foot.error == "" and image.value != before


def test_a_view_stands_on_one_foot_whatever_it_is_given():
    view = widgets.latent_explorer(fragile, 1)
    view.children = (*view.children, ipywidgets.Label("more"))
    assert view.children.count(view.children[-1]) == 1 and hasattr(view.children[-1], "error")


def test_a_view_that_cannot_be_drawn_at_first_is_refused():
    with pytest.raises(ValueError, match="beyond"):
        widgets.latent_explorer(lambda z: fragile(z + 2), 1)


@pytest.fixture
def every_view(vae, second, digits):
    x = digits.test[:8]
    made = [
        widgets.LatentTraversal(vae, x, density=second),
        widgets.Interpolator(vae, x, second),
        widgets.PosteriorComparison({"it": (vae, second)}, x),
        widgets.GammaPath([(0.1, vae), (0.02, vae)], x, n_points=1),
        widgets.TheoremOneView(),
        widgets.TheoremTwoView(n_pixels=8),
    ]
    yield made
    for view in made:
        view.close()


SHOWS = (ipywidgets.Image, ipywidgets.HTML, ipywidgets.Label, Foot)


def controls(view):
    """Every slider, choice and button of a view; of the rows in it, the brush, which it answers."""
    boxes = [view]
    while boxes:
        for child in boxes.pop().children:
            if isinstance(child, ipywidgets.Box) and not isinstance(child, widgets.View):
                boxes.append(child)
            elif not isinstance(child, SHOWS):
                yield child.range_x if isinstance(child, widgets.PosteriorRow) else child


def touch(control):
    """One event, as a hand on the control makes it."""
    if isinstance(control, ipywidgets.Button):
        control.click()
    elif hasattr(control, "options"):
        control.index = (control.index + 1) % len(control.options)
    elif isinstance(control, ipywidgets.FloatRangeSlider):
        low, high = control.min, control.max
        control.value = (low, high) if control.value == (low, low) else (low, low)
    else:
        ends = [control.min, control.max]
        if isinstance(control, ipywidgets.FloatLogSlider):
            ends = [control.base**end for end in ends]
        control.value = ends[1] if control.value == ends[0] else ends[0]


def test_every_control_of_every_view_shows_an_error_and_the_next_event_clears_it(
    every_view, monkeypatch
):
    def broken(self):
        raise RuntimeError("out of paper")

    for view in every_view:
        every = [each for each in controls(view) if len(getattr(each, "options", "ab")) > 1]
        every = [each for each in every if each.description != "draw from"]  # the button draws
        assert every
        for control in every:
            with monkeypatch.context() as patch:
                patch.setattr(type(view), "_draw", broken)
                touch(control)
            assert str(view.error) == "out of paper", (type(view), control)
            assert view.children[-1].error == "RuntimeError: out of paper"
            touch(control)
            assert view.error is None and view.children[-1].error == ""

"""Sliders for a function of the caller's own."""

import io

import pytest
import torch
from PIL import Image

from vaelab import widgets


def decode(z):
    return torch.sigmoid(z[:, :1, None, None] + torch.arange(12.0).reshape(1, 1, 3, 4))


def test_the_image_follows_every_slider():
    box = widgets.latent_explorer(lambda z: decode(z + z.flip(1)), latent_dim=3, scale=5)
    *sliders, image = *box.sliders, box.image
    assert len(sliders) == 3
    seen = {image.value}
    for value, slider in enumerate((sliders[0], sliders[2]), 1):
        slider.value = value
        seen.add(image.value)
    assert len(seen) == 3
    assert Image.open(io.BytesIO(image.value)).size == (20, 15)


def test_two_explorers_do_not_drive_each_other():
    first, second = (widgets.latent_explorer(decode, 1) for _ in range(2))
    before = second.image.value
    first.sliders[0].value = 2.0
    assert second.image.value == before


def test_latent_dim_must_be_a_positive_number():
    with pytest.raises(ValueError, match="latent_dim"):
        widgets.latent_explorer(decode, 0)


def test_gamma_drives_the_images():
    box = widgets.gamma_explorer(lambda gamma: torch.full((3, 1, 2, 2), gamma), low=1e-4, scale=2)
    (slider,), image = box.sliders, box.image
    assert (slider.value, slider.min, slider.max) == (1.0, -4.0, 0.0)
    bright = Image.open(io.BytesIO(image.value))
    slider.value = 0.1
    dark = Image.open(io.BytesIO(image.value))
    assert bright.size == dark.size == (16, 4)
    assert bright.getpixel((0, 0)) == 255 and dark.getpixel((0, 0)) == 26


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1), (-1.0, 1.0)])
def test_gamma_runs_between_two_positive_ends(ends):
    with pytest.raises(ValueError, match="low < high"):
        widgets.gamma_explorer(decode, *ends)


def test_a_number_drives_the_figure():
    seen = []
    box = widgets.figure_explorer(
        lambda ax, t: seen.append((ax.plot([0, t])[0], t)), low=1.0, high=1e4, name="t"
    )
    (slider,), image = box.sliders, box.image
    before = image.value
    slider.value = 100.0
    assert (slider.description, slider.min, slider.max) == ("t", 0.0, 4.0)
    assert [t for _, t in seen] == [1.0, 100.0]
    assert image.value != before and Image.open(io.BytesIO(image.value)).size[0] > 300


@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.1)])
def test_a_figure_runs_between_two_positive_ends(ends):
    with pytest.raises(ValueError, match="low < high"):
        widgets.figure_explorer(lambda ax, t: None, *ends)

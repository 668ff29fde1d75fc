import io

import pytest
import torch
from PIL import Image

from vaelab import widgets


def decode(z):
    return torch.sigmoid(z[:, :1, None, None] + torch.arange(12.0).reshape(1, 1, 3, 4))


def test_the_image_follows_every_slider():
    box = widgets.latent_explorer(lambda z: decode(z + z.flip(1)), latent_dim=3, scale=5)
    *sliders, image = box.children
    assert len(sliders) == 3
    seen = {image.value}
    for value, slider in enumerate((sliders[0], sliders[2]), 1):
        slider.value = value
        seen.add(image.value)
    assert len(seen) == 3
    assert Image.open(io.BytesIO(image.value)).size == (20, 15)


def test_two_explorers_do_not_drive_each_other():
    first, second = (widgets.latent_explorer(decode, 1) for _ in range(2))
    before = second.children[-1].value
    first.children[0].value = 2.0
    assert second.children[-1].value == before


def test_latent_dim_must_be_a_positive_number():
    with pytest.raises(ValueError, match="latent_dim"):
        widgets.latent_explorer(decode, 0)

"""Several models under one hand."""

import pytest
import torch

from vaelab import models, networks, widgets


def several(shape=(1, 8, 8)):
    with networks.seeded(0):
        return {name: models.vae(networks.mlp(shape, 3), 0.1) for name in ("first", "second")}


def test_every_model_copies_the_picture_and_decodes_the_same_draw():
    pair, images = several(), torch.rand(4, 1, 8, 8)
    view = widgets.ModelComparison(pair, images)
    first = bytes(view.image.value)
    view.seed.value = 3
    view.index.value = 2
    assert view.frames == 3 and view.error is None and bytes(view.image.value) != first
    latents = [view._latents(model) for model in pair.values()]
    assert torch.equal(*latents) and view.still() is not None
    view.close()


@pytest.mark.parametrize("count", [1, 2])
def test_one_model_or_others_images_are_refused(count):
    pair = dict(list(several().items())[:count])
    with pytest.raises(ValueError, match="models: expected two or more, of images of shape"):
        widgets.ModelComparison(pair, torch.rand(4, 1, 9, 9))

"""Two images, and the ways between their codes."""

import numpy as np
import torch
from pictures import as_bytes, pixels

from vaelab import widgets
from vaelab.interpolation import lerp, slerp


def test_the_interpolator_decodes_every_way(vae, second, digits):
    view = widgets.Interpolator(vae, digits.test[:10], second, n_strip=4)
    assert view.ways == ("z straight", "z arc", "u straight", "u arc")
    view.first.value, view.second.value, view.position.value = 2, 5, 0.25
    z = vae.codes(digits.test[[2, 5]]).mean
    u = second.vae.codes(z).mean
    t = torch.tensor([0.25])
    through_u = second.vae.images(torch.cat([lerp(*u, t), slerp(*u, t)]))
    codes = torch.cat([lerp(*z, t), slerp(*z, t), through_u])
    side = 56 + 2 * 3
    shown = pixels(view.image)
    assert shown.shape == (4 * side, side, 3)
    for k, image in enumerate(vae.images(codes)[:, 0]):
        inner = shown[k * side + 3 : (k + 1) * side - 3, 3:-3, 0]
        assert (
            np.abs(inner[::7, ::7] - as_bytes(image)) <= 1
        ).all()  # a batch of another size may round otherwise
    strip = pixels(view.strip)
    ends = vae.images(z)[:, 0]
    for column, image in ((0, ends[0]), (3, ends[1])):
        inner = strip[3 : side - 3, column * side + 3 : (column + 1) * side - 3, 1]
        assert (np.abs(inner[::7, ::7] - as_bytes(image)) <= 1).all()
    assert [k for k in range(4) if (strip[0, k * side] != 255).any()] == [1]

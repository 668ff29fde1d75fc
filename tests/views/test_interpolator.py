"""Two images, and the ways between their codes."""

import io

import numpy as np
import pytest
import torch
from pictures import as_bytes, pixels
from PIL import Image

from vaelab import densities, features, models, networks, widgets
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


def test_a_flow_opens_the_space_of_its_noise(digits):
    with networks.seeded(0):
        nets = networks.mlp((1, 8, 8), 4, (16,), output="sigmoid")
        model = models.flow_prior_vae(nets, transforms=2, hidden=(8,))
        [torch.nn.init.normal_(w, std=0.3) for w in model.prior.parameters()]
    judge = features.load_classifier("digits")
    view = widgets.Interpolator(model, digits.test[:10], judge=judge)
    assert view.ways == ("z straight", "z arc", "z0 straight", "z0 arc")
    view.first.value, view.second.value = 2, 5
    t = torch.tensor([0.0, 0.3, 1.0])
    flow, z = model.prior.flow, model.codes(digits.test[[2, 5]]).mean
    with torch.no_grad():
        noise, _ = flow(z)
        arc = flow.inverse(slerp(*noise, t))
        found = view.measures(t)
        torch.testing.assert_close(found["log p(z), nats"][3], flow.log_prob(arc))
        sure = judge(model.images(lerp(*z, t))).softmax(-1).amax(-1)
        torch.testing.assert_close(found["classifier's confidence"][0], sure)
    ends = found["log p(z), nats"][:, [0, 2]]
    torch.testing.assert_close(ends, ends[:1].expand(4, 2), rtol=1e-4, atol=1e-3)
    before = view.curves.value
    view.position.value = 0.9
    assert view.curves.value != before and view.error is None


def test_without_a_flow_there_are_no_curves(vae, digits):
    assert widgets.Interpolator(vae, digits.test[:4]).curves is None
    fitted = densities.Flow(1, (8,), epochs=1).fit(vae, digits.test[:100])
    view = widgets.Interpolator(vae, digits.test[:4], fitted)
    assert view.ways[2:] == ("z0 straight", "z0 arc")
    assert "z0" not in widgets.LatentTraversal(vae, digits.test[:4], density=fitted).space.options


def test_several_models_stand_side_by_side(vae, second, digits):
    with networks.seeded(1):
        nets = networks.mlp((1, 8, 8), 3, (16,), output="sigmoid")
        flow = models.flow_prior_vae(nets, transforms=2, hidden=(8,))
    entries = {"two stages": (vae, second), "a flow": flow}
    view = widgets.Interpolator(entries, digits.test[:10], n_strip=4)
    spaces = ("two stages z", "two stages u", "a flow z", "a flow z0")
    assert view.ways == tuple(f"{space} {way}" for space in spaces for way in ("straight", "arc"))
    t = torch.tensor([0.0, 0.5])
    alone = [
        widgets.Interpolator(vae, digits.test[:10], second),
        widgets.Interpolator(flow, digits.test[:10]),
    ]
    for one in (view, *alone):
        one.second.value = 7
    both = torch.cat([one._decode(t) for one in alone])
    torch.testing.assert_close(view._decode(t), both)
    nats = view.measures(t)["log p(z), nats"]
    assert nats[:4].isnan().all() and view.error is None
    torch.testing.assert_close(nats[4:], alone[1].measures(t)["log p(z), nats"])


@pytest.mark.parametrize("density", [None, "theirs"])
def test_several_models_bring_their_own_densities(vae, second, digits, density):
    with pytest.raises(ValueError, match="at least one, as"):
        widgets.Interpolator({"VAE": vae} if density else {}, digits.test[:4], density and second)


def test_a_still_lays_pictures_as_the_page_does_and_names_the_rows(vae, digits):
    view = widgets.Interpolator(vae, digits.test[:10], n_strip=4)
    still = np.asarray(Image.open(io.BytesIO(view.still())).convert("RGB"))
    strip, image = pixels(view.strip), pixels(view.image)
    assert len(still) == len(strip) == len(image)
    gap = 8
    names = still.shape[1] - strip.shape[1] - image.shape[1] - gap
    assert (still[:, names:][:, : strip.shape[1]] == strip).all()
    assert (still[:, -image.shape[1] :] == image).all()
    assert all((part < 255).any() for part in np.split(still[:, :names], len(view.ways)))

"""The models that the views' tests look at, each trained once."""

import pytest

from vaelab import densities, load_images, models, networks, training


@pytest.fixture(scope="session")
def digits():
    return load_images("digits")


def trained(digits, build):
    with networks.seeded(0):
        model = build(networks.mlp((1, 8, 8), 5, (32,), output="sigmoid"))
    x = digits.train[:600]
    training.fit(model, x, epochs=8, lr=3e-3, device="cpu", progress=False)
    return model


@pytest.fixture(scope="session")
def vae(digits):
    return trained(digits, lambda nets: models.vae(nets, gamma=0.02))


@pytest.fixture(scope="session")
def full(digits):
    return trained(digits, lambda nets: models.vae(nets, gamma=0.02, full=True))


@pytest.fixture(scope="session")
def point(digits):
    return trained(digits, models.ae)


@pytest.fixture(scope="session")
def second(vae, digits):
    stage = densities.SecondStage((16,), epochs=3, lr=1e-3)
    return stage.fit(vae, digits.train[:600])

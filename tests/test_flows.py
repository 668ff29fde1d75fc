"""A flow of couplings: what it computes backwards, its log-determinant, and zuko's beside it."""

import copy
import pickle

import pytest
import torch

from vaelab import checkpoints, flows, models, networks
from vaelab.training import Plan, Session, fit, fit_together

SHAPES = [(4, 3, 0), (5, 4, 0), (1, 2, 0), (1, 3, 2), (3, 0, 2), (2, 6, 3)]


def bent(latent_dim=4, transforms=3, n_context=0, seed=0):
    """A flow in float64 whose weights are those of no special case, and a batch of codes."""
    with networks.seeded(seed):
        flow = flows.Couplings(latent_dim, transforms, (8, 8), n_context).double()
        for weight in flow.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        z = 2 * torch.randn(7, latent_dim, dtype=torch.float64)
        context = torch.randn(7, n_context, dtype=torch.float64) if n_context else None
    return flow, z, context


@pytest.mark.parametrize("shape", SHAPES)
def test_a_flow_is_undone_by_its_inverse(shape):
    flow, z, context = bent(*shape)
    u, _ = flow(z, context)
    assert (u - z).abs().max() > 0.1
    torch.testing.assert_close(flow.inverse(u, context), z, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_det_is_that_of_the_jacobian(shape):
    flow, z, context = bent(*shape)
    _, log_det = flow(z, context)
    for i, row in enumerate(z):
        c = None if context is None else context[i : i + 1]
        jacobian = torch.autograd.functional.jacobian(
            lambda one, c=c: flow(one[None], c)[0][0], row
        )
        assert abs(log_det[i] - torch.linalg.slogdet(jacobian)[1]) < 1e-10


def test_every_coordinate_is_moved_and_moves_others():
    flow, z, _ = bent(5, 3)
    jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], z[0])
    assert (jacobian.abs() > 1e-8).all()


def test_a_flow_is_a_density():
    flow, _, _ = bent(1, 3)
    z = torch.linspace(-60, 60, 40_001, dtype=torch.float64)[:, None]
    assert torch.trapezoid(flow.log_prob(z).exp(), z[:, 0]).item() == pytest.approx(1, abs=1e-6)
    plane, _, _ = bent(2, 4)
    axis = torch.linspace(-20, 20, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    mass = plane.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=1e-3)


def test_a_flow_starts_as_the_identity():
    flow = flows.Couplings(4)
    z = torch.randn(6, 4)
    u, log_det = flow(z)
    assert torch.equal(u.sort().values, z.sort().values) and not log_det.any()


@pytest.mark.parametrize("n_context", [0, 3])
def test_a_context_of_another_kind_is_refused(n_context):
    flow, z, _ = bent(4, 2, n_context)
    wrong = torch.zeros(7, 3, dtype=torch.float64) if not n_context else None
    with pytest.raises(ValueError, match=f"context: expected n_context={n_context} columns, got"):
        flow(z, wrong)


def test_a_flow_is_copied_and_pickled():
    flow, z, _ = bent()
    for twin in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        assert torch.equal(twin.log_prob(z), flow.log_prob(z))


@pytest.mark.long
def test_zukos_couplings_learn_the_same_density():
    """Two libraries' couplings, fitted to one distribution, agree with its entropy and with each
    other.
    """
    zuko = pytest.importorskip("zuko")
    with networks.seeded(0):
        first = torch.randn(4000, 1)
        z = torch.cat([first, first.square() + 0.3 * torch.randn(4000, 1)], 1)
        ours = flows.Couplings(2, 4, (32, 32))
        theirs = zuko.flows.MAF(2, transforms=4, passes=2, hidden_features=(32, 32))

    def cost(log_prob, weights):
        adam = torch.optim.Adam(weights, 5e-3)
        for _ in range(400):
            adam.zero_grad()
            (-log_prob(z[:2000]).mean()).backward()
            adam.step()
        return -log_prob(z[2000:]).mean().item()

    exact = 1 + torch.log(torch.tensor(2 * torch.pi * 0.3)).item()
    found = cost(ours.log_prob, ours.parameters())
    assert abs(found - cost(lambda x: theirs().log_prob(x), theirs.parameters())) < 0.1
    assert abs(found - exact) < 0.1


def test_an_old_flow_is_saved_again_and_copied(tmp_path):
    from test_checkpoints import SAVED

    pytest.importorskip("zuko")
    old = checkpoints.load(SAVED / "flow").model
    checkpoints.save(tmp_path / "again", old)
    x = torch.rand(4, 1, 8, 8)
    twins = [checkpoints.load(tmp_path / "again").model, pickle.loads(pickle.dumps(old))]
    for twin in [*twins, copy.deepcopy(old)]:
        assert torch.equal(twin.codes(x).mean, old.codes(x).mean)


def test_an_old_flow_without_zuko_says_what_to_install(monkeypatch):
    from test_checkpoints import SAVED

    monkeypatch.setitem(__import__("sys").modules, "zuko.flows", None)
    with pytest.raises(ModuleNotFoundError, match=r"to load it, pip install 'vaelab\[flows\]'"):
        checkpoints.load(SAVED / "flow")


def test_flow_posteriors_train_together_as_alone():
    def made(seed):
        with networks.seeded(seed):
            nets = networks.mlp(6, 3, (8,))
            return models.vae_flow(nets, transforms=2, hidden=(8,), n_context=4).double()

    x = torch.rand(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plan = Plan(epochs=3, batch_size=10)
    runs = fit_together([made(1), made(2)], x, plan, Session(progress=False), seeds=[1, 2])
    for seed, run in zip((1, 2), runs, strict=True):
        alone = fit(made(seed), x, epochs=3, batch_size=10, seed=seed, progress=False)
        assert abs(run.history["loss"] - alone.history["loss"]).max() < 1e-6

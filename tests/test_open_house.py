"""Parts of a user's own, written from the docstrings of the package alone, do all that its own do.

Each is at most fifteen lines; each model trains, is saved, loaded, copied and pickled, trains
together with a second seed, and becomes a page.
"""

import copy
import math
import pickle

import pytest
import torch
from torch import Tensor, nn

from vaelab import (
    densities,
    likelihoods,
    load,
    models,
    networks,
    page,
    posteriors,
    priors,
    save,
    terms,
    training,
)


class StudentT(likelihoods.Likelihood):
    def __init__(self, degrees: float = 3.0) -> None:
        super().__init__()
        self.degrees = degrees
        self.log_scale = nn.Parameter(torch.tensor(0.0))

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        t = torch.distributions.StudentT(self.degrees, x_hat, self.log_scale.exp(), False)
        return -t.log_prob(x).flatten(1).sum(1)


class Slope(terms.Term):
    """weight · ‖∂x̂/∂z‖², by one random projection."""

    name = "slope"

    def __init__(self, weight: float = 1e-3) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, p: terms.Pass) -> Tensor:
        return self.weight * p.pull_back(p.noise(p.x)).square().sum(-1)


class Shear(priors.Prior):
    """One coupling: z₂ = ε₂ + f(ε₁), with a step size of its own."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.half = latent_dim // 2
        self.f = nn.Linear(self.half, latent_dim - self.half)

    def at(self, eps: Tensor) -> Tensor:
        first, second = eps.split([self.half, eps.shape[-1] - self.half], -1)
        return torch.cat([first, second + self.f(first)], -1)

    def log_prob(self, z: Tensor) -> Tensor:
        first, second = z.split([self.half, z.shape[-1] - self.half], -1)
        eps = torch.cat([first, second - self.f(first)], -1)
        return -0.5 * (eps.square() + priors.LOG_2_PI).sum(-1)

    def step(self, plan):
        return {"lr": 0.1 * plan.lr, "weight_decay": 0.0}


@networks.recorded
def squares(side: int, latent_dim: int, width: int = 6) -> networks.Networks:
    encoder = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.Tanh(), nn.Flatten())
    n_features = width * (-(-side // 2)) ** 2
    decoder = nn.Sequential(
        nn.Linear(latent_dim, side * side), nn.Sigmoid(), nn.Unflatten(1, (1, side, side))
    )
    return networks.Networks(encoder, decoder, (1, side, side), latent_dim, n_features, unit=True)


class Quiet(models.Autoencoder):
    """Shrinks its codes when it encodes."""

    def __init__(self, networks, likelihood=None, shrink: float = 0.5) -> None:
        super().__init__(networks, likelihood=likelihood)
        self.shrink = shrink

    def encode(self, x: Tensor) -> posteriors.Distribution:
        q = super().encode(x)
        return posteriors.DiagonalNormal(self.shrink * q.mean, q.sigma, q.log_var)


class Cube(densities.Density):
    def fit_codes(self, q, seed: int = 0):
        self.latent_dim = q.mean.shape[1]
        self.low, self.high = q.mean.amin(0), q.mean.amax(0)
        return self

    def sample(self, n: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        share = torch.rand(self.check(n), self.latent_dim, generator=generator)
        return torch.lerp(self.low, self.high, share)

    def state_dict(self) -> dict[str, Tensor]:
        return {"low": self.low, "high": self.high}


def mlp():
    return networks.mlp((1, 8, 8), latent_dim=4, hidden=(8,))


OWN = {
    "likelihood": (lambda: models.Autoencoder(mlp(), likelihood=StudentT(4.0)), StudentT),
    "decoder term": (lambda: models.Autoencoder(mlp(), decoder_term=Slope(0.01)), Slope),
    "decoder term, batch norm": (
        lambda: models.Autoencoder(networks.infogan(1, 8, 4, 0.1), decoder_term=Slope(0.01)),
        Slope,
    ),
    "prior": (lambda: models.Autoencoder(mlp(), prior=Shear(4)), Shear),
    "networks": (lambda: models.vae(squares(8, 4)), squares),
    "subclass": (lambda: Quiet(mlp(), shrink=0.25), Quiet),
}
each = pytest.mark.parametrize("name", OWN)


def made(name, seed=0):
    with networks.seeded(seed):
        return OWN[name][0]()


def images(n=24):
    pixels = torch.randint(0, 256, (n, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return pixels.float() / 255


PLAN = training.Plan(epochs=2, batch_size=8, lr=2e-3, weight_decay=1e-3, keep_every=1)
QUIET = training.Session(device="cpu", progress=False)


@pytest.fixture(scope="module")
def trained():
    runs = {name: training.fit_plan(made(name), images(), PLAN, QUIET) for name in OWN}
    return {name: run.model for name, run in runs.items()}


@each
def test_it_trains_and_copies_of_it_are_kept_on_the_way(name):
    model = made(name)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run = training.fit_plan(model, images(), PLAN, QUIET)
    assert all(math.isfinite(loss) for loss in run.history["loss"])
    assert all((run.history[term] != 0).all() for term in model.terms)
    assert len(run.saved) == 2 and type(run.saved[0][1]) is type(model)
    for part, parameter in model.named_parameters():
        assert not torch.equal(parameter, before[part]), f"{part} has not moved"


@each
def test_it_resumes_to_the_same_bytes(name, tmp_path, monkeypatch):
    plan = training.Plan(epochs=3, batch_size=8)
    whole = training.fit_plan(made(name), images(), plan, QUIET).model.state_dict()
    session = training.Session(
        device="cpu", progress=False, checkpoint=tmp_path / "a", checkpoint_every=0
    )
    model = made(name)
    usual = model.loss_terms

    def stops(x, generator):
        if len(seen) == 4:
            raise KeyboardInterrupt
        seen.append(len(x))
        return usual(x, generator)

    seen = []
    monkeypatch.setattr(model, "loss_terms", stops)
    with pytest.raises(KeyboardInterrupt):
        training.fit_plan(model, images(), plan, session)
    again = training.fit_plan(made(name), images(), plan, session).model.state_dict()
    assert all(torch.equal(again[key], value) for key, value in whole.items())


@each
def test_it_is_saved_and_loaded_and_without_the_class_the_error_names_it(name, trained, tmp_path):
    model, part = trained[name], OWN[name][1]
    q_z = Cube().fit(model, images())
    save(tmp_path / "run", model, q_z)
    again = load(tmp_path / "run", parts=[part, Cube])
    assert type(again.model) is type(model)
    assert torch.equal(again.sample(5), model.images(q_z.sample(5)))
    x = images()
    nats, expected = (
        m.eval().loss_terms(x, torch.Generator().manual_seed(1)) for m in (again.model, model)
    )
    assert list(nats) == list(expected)
    assert all(torch.equal(nats[term], expected[term]) for term in nats)
    for missing in (part, Cube):
        rest = [other for other in (part, Cube) if other is not missing]
        with pytest.raises(ValueError, match=rf"parts=\[{missing.__name__}\]"):
            load(tmp_path / "run", parts=rest)


@each
@pytest.mark.parametrize("move", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_it_is_copied_and_pickled(name, move, trained):
    model = trained[name]
    again = move(model)
    assert type(again) is type(model)
    x = images()
    first, second = (
        m.loss_terms(x, torch.Generator().manual_seed(0)) for m in (again.eval(), model.eval())
    )
    assert all(torch.equal(first[term], second[term]) for term in second)


@each
def test_it_trains_together_with_a_second_seed(name):
    plan = training.Plan(epochs=2, batch_size=8, lr=2e-3)
    several = [made(name, seed).double() for seed in (0, 1)]
    x = images().double()
    runs = training.fit_together(several, x, plan, QUIET, seeds=[5, 6])
    for seed, run in zip((0, 1), runs, strict=True):
        alone = training.fit_plan(made(name, seed).double(), x, plan.with_seed(5 + seed), QUIET)
        for term, values in alone.history.items():
            assert run.history[term] == pytest.approx(values, rel=1e-6, nan_ok=True), term


@each
def test_it_becomes_a_page(name, trained, tmp_path):
    save(tmp_path / "run", trained[name])
    made_page = page.build(load(tmp_path / "run", parts=[OWN[name][1]]), None)
    assert "<html" in made_page.html and made_page.size > 1000


def test_a_prior_steps_at_its_own_size():
    model = made("prior")
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plan = training.Plan(epochs=1, batch_size=24, lr=1e-3)
    training.fit_plan(model, images(), plan, QUIET)
    moved = {k: (v - before[k]).abs().max().item() for k, v in model.state_dict().items()}
    assert moved["prior.f.weight"] == pytest.approx(1e-4, rel=1e-2)
    assert moved["decoder.1.weight"] == pytest.approx(1e-3, rel=1e-2)


def test_the_samples_of_a_model_come_from_its_own_prior(trained, tmp_path):
    model = trained["prior"]
    save(tmp_path / "run", model)
    again = load(tmp_path / "run", parts=[Shear])
    eps = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = model.images(model.prior.at(eps))
    assert torch.equal(again.sample(5, seed=3), expected)


def test_a_file_that_names_something_else_runs_nothing(tmp_path):
    import json
    import os

    from vaelab import _files

    save(tmp_path / "run", made("subclass"))
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    victim = tmp_path / "owned"
    record["model"] = {"part": "os.system", "with": {"command": f"touch {victim}"}}
    import safetensors.torch

    tensors = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    record["sha256"] = _files.digest(tensors, {k: v for k, v in record.items() if k != "sha256"})
    path.write_text(json.dumps(record))
    for parts in ([], [Quiet]):
        with pytest.raises(ValueError, match=r"no os\.system"):
            load(tmp_path / "run", parts=parts)
    assert os.system and not victim.exists()


def test_a_slope_is_the_squared_jacobian_in_the_mean():
    model = made("networks").double()
    z = torch.randn(1, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda row: model.decode(row).flatten(), z)
    generator = torch.Generator().manual_seed(0)
    p = terms.Pass(
        images(1).double().expand(4000, 1, 8, 8),
        None,
        z.expand(4000, 4),
        model.decode,
        model.decoder,
        model.prior,
        generator,
    )
    mean = Slope(1.0)(p).mean().item()
    assert mean == pytest.approx(jacobian.square().sum().item(), rel=5 * math.sqrt(2 / 4000) * 2)

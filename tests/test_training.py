"""The loop is Adam on the mean of two terms, nothing else; it repeats, resumes and fails as it
says.
"""

import copy
import errno
import math
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from vaelab import _files, likelihoods, metrics, models, networks, training
from vaelab._inputs import pick_device
from vaelab.posteriors import DiagonalNormal
from vaelab.training import (
    Anneal,
    Cosine,
    HalveEvery,
    Hold,
    Plan,
    Ramp,
    Session,
    TrainingDiverged,
    acceleration,
    batches,
)

N, D, BATCH, EPOCHS = 50, 4, 8, 6  # six steps an epoch, and two rows left over


def data(dtype=torch.float32):
    return torch.randn(N, D, generator=torch.Generator().manual_seed(0), dtype=dtype)


def make(gamma="learned", seed=0, **arguments):
    with networks.seeded(seed):
        return models.vae(networks.mlp(D, latent_dim=2, hidden=(8,)), gamma, **arguments)


def fit(model=None, x=None, **arguments):
    settings = {
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "device": "cpu",
        "progress": False,
        **arguments,
    }
    return training.fit(make() if model is None else model, data() if x is None else x, **settings)


def content(run):
    """Everything that a run leaves, as bytes."""
    weights = _files.digest(run.model.state_dict())
    return weights, {k: v.tobytes() for k, v in run.history.items()}


# ---- the loop


def by_hand(gamma_lr=10.0, weight_decay=0.0):
    """The same training as a bare loop."""
    model, x = make(), data()
    noise, losses = torch.Generator().manual_seed(0), []
    rest = [p for n, p in model.named_parameters() if n != "likelihood.log_gamma"]
    adam = torch.optim.Adam(
        [
            {"params": rest, "lr": 1e-3, "weight_decay": weight_decay},
            {"params": [model.likelihood.log_gamma], "lr": 1e-3 * gamma_lr},
        ],
        fused=True,
    )
    for epoch in range(EPOCHS):
        order = torch.randperm(N, generator=torch.Generator().manual_seed(epoch))
        for step in range(N // BATCH):
            rows = x[order[step * BATCH : (step + 1) * BATCH]]
            q = model.encode(rows)
            z = q.mean + q.sigma * torch.randn(BATCH, 2, generator=noise)
            nll = model.likelihood.nll(rows, model.decode(z)).mean()
            kl = q.kl_to_standard_normal().mean()
            adam.zero_grad()
            (nll + kl).backward()
            adam.step()
            losses.append((nll + kl).item())
    return model, np.array(losses).reshape(EPOCHS, -1).mean(1)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_fit_is_the_bare_loop(weight_decay):
    model, losses = by_hand(weight_decay=weight_decay)
    run = fit(weight_decay=weight_decay)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-5)
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_adam_steps_as_torch_does_to_the_bytes(dtype):
    """With a gradient that is missing in one step, and on a state that has been loaded."""
    start = [
        torch.randn(4, 3, dtype=dtype),
        torch.randn(5, dtype=dtype),
        torch.randn((), dtype=dtype),
    ]

    def trained(kind, go):
        weights = [torch.nn.Parameter(w.clone()) for w in start]
        settings = [
            {"params": weights[:2], "weight_decay": 0.1},
            {"params": weights[2:], "lr": 0.3},
        ]
        adam, noise = (
            kind(settings, 1e-2, (0.8, 0.95), fused=True),
            torch.Generator().manual_seed(0),
        )
        for step in range(9):
            for w in weights:
                w.grad = torch.randn(w.shape, generator=noise, dtype=dtype)
            weights[1].grad = None if step == 4 else weights[1].grad
            if step == 6:
                adam.load_state_dict(copy.deepcopy(adam.state_dict()))
            adam.param_groups[0]["lr"] *= 0.9
            go(adam)
        return weights, adam.state_dict()

    ours = trained(training.adam.Adam, training.adam.Adam.advance)
    torch.testing.assert_close(
        ours, trained(torch.optim.Adam, torch.optim.Adam.step), rtol=0, atol=0
    )


def test_history_has_one_value_an_epoch():
    run = fit()
    assert list(run.history) == ["nll", "kl", "loss", "gamma", "lr"]
    assert all(v.shape == (EPOCHS,) for v in run.history.values())
    np.testing.assert_allclose(run.history["loss"], run.history["nll"] + run.history["kl"])
    assert (
        run.history["gamma"][-1] == run.model.gamma and not run.model.training and run.seconds > 0
    )
    assert run.settings["n"] == N and run.settings["epochs"] == EPOCHS


def test_the_loss_falls_and_gamma_finds_the_error():
    x = data() @ torch.diag(torch.tensor([3.0, 2.0, 0.1, 0.1]))
    run = fit(x=x, epochs=200, lr=3e-3, schedule=Cosine())
    assert run.history["loss"][-1] < run.history["loss"][0] - 3
    q = run.model.codes(x)
    z = q.at(torch.randn(N, 2, generator=torch.Generator().manual_seed(1)))
    error = (x - run.model.images(z)).square().mean().item()
    assert run.model.gamma == pytest.approx(error, rel=0.5)


def test_fewer_rows_than_a_batch_are_one_batch():
    run = fit(x=data()[:5], batch_size=128, epochs=2)
    assert run.settings["batch_size"] == 5


def test_models_without_gamma_train():
    with networks.seeded(0):
        model = models.ce_vae(networks.mlp(D, 2, (8,), output="sigmoid"))
    run = fit(model, torch.rand(N, D), epochs=2)
    assert np.isnan(run.history["gamma"]).all() and np.isfinite(run.history["loss"]).all()


def test_precision_follows_the_model():
    run = fit(make().double(), data(torch.float64), epochs=1)
    assert {p.dtype for p in run.model.parameters()} == {torch.float64}


def test_the_bar_can_be_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(epochs=1, progress=True, label="a label")
    assert "a label" in capsys.readouterr().err


# ---- seeds


def test_same_seed_same_bytes():
    assert content(fit(seed=3)) == content(fit(seed=3))


def test_different_seed_different_bytes():
    assert content(fit(seed=3))[0] != content(fit(seed=4))[0]


def test_the_callers_random_state_neither_matters_nor_moves():
    torch.manual_seed(1)
    first = content(fit())
    torch.manual_seed(2), np.random.seed(2), random.seed(2)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    assert content(fit()) == first
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all() and random.getstate() == before[2]  # noqa: NPY002


# ---- schedules


def test_halve_every():
    factors = [HalveEvery(150)(epoch, 400) for epoch in (0, 149.99, 150, 299, 300, 399)]
    assert factors == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_cosine():
    assert [Cosine()(e, 10) for e in (0, 5, 10)] == pytest.approx([1, 0.5, 0])


def test_anneal_and_hold():
    anneal = Anneal(1.0, 1e-4, over=0.5)
    assert [anneal(p) for p in (0, 0.125, 0.25, 0.5, 1)] == pytest.approx(
        [1, 0.1, 1e-2, 1e-4, 1e-4]
    )
    assert [Hold(2.0, until=0.5)(p) for p in (0, 0.49, 0.5, 1)] == [2.0, 2.0, None, None]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: HalveEvery(0),
        lambda: Anneal(0, 1),
        lambda: Anneal(1, -1),
        lambda: Anneal(1, 1, over=0),
        lambda: Anneal(1, 0.1, over=5),
        lambda: Anneal(1, math.inf),
        lambda: Ramp(1.5),
        lambda: Ramp(math.nan),
        lambda: Hold(0),
        lambda: Hold(1, math.nan),
        lambda: Hold(1, -0.5),
        lambda: fit(schedule=lambda epoch, epochs: -1.0),
        lambda: fit(schedule=lambda epoch, epochs: math.nan),
        lambda: fit(beta_schedule=lambda progress: -1.0),
        lambda: fit(gamma_schedule=lambda progress: -1.0),
    ],
)
def test_schedules_are_checked(wrong):
    with pytest.raises(ValueError, match=r"expected a (whole |finite )?number"):
        wrong()


def test_the_step_size_follows_its_schedule():
    assert fit(lr=0.01, schedule=HalveEvery(2)).history["lr"] == pytest.approx(
        np.repeat([0.01, 0.005, 0.0025], 2)
    )
    assert (fit(lr=0.01).history["lr"] == 0.01).all()


def test_gamma_follows_its_schedule():
    gamma = fit(gamma_schedule=Anneal(1.0, 0.01, over=1.0)).history["gamma"]
    np.testing.assert_allclose(np.diff(np.log(gamma)), math.log(0.01) / EPOCHS, rtol=1e-5)
    held = fit(gamma_schedule=Hold(2.0)).history["gamma"]
    assert held[: EPOCHS // 2] == pytest.approx(2.0, rel=1e-6) and held[-1] != pytest.approx(
        2.0, rel=0.05
    )


@pytest.mark.parametrize("gamma_lr", [1.0, 7.0])
def test_log_gamma_has_a_step_size_of_its_own(gamma_lr):
    run = fit(
        x=data()[:BATCH], epochs=1, lr=1e-3, gamma_lr=gamma_lr
    )  # Adam's first step is lr × the sign
    assert abs(run.model.likelihood.log_gamma.item()) == pytest.approx(1e-3 * gamma_lr, rel=1e-3)


def test_weight_decay_does_not_touch_gamma():
    one = {"x": data()[:BATCH], "epochs": 1}
    plain, decayed = (fit(make(), weight_decay=w, **one).model for w in (0.0, 1e6))
    assert torch.equal(plain.likelihood.log_gamma, decayed.likelihood.log_gamma)
    assert not torch.equal(plain.decoder[1].weight, decayed.decoder[1].weight)
    model = make()
    model.likelihood.gamma = (
        10.0  # The error is larger: log γ grows, and a decay would pull it to 0.
    )
    fit(model, 10 * data()[:BATCH], epochs=1, weight_decay=1e5)
    assert model.gamma > 10


def test_an_adversary_has_a_step_size_of_its_own_and_no_weight_decay():
    with networks.seeded(0):
        model = models.wae_gan(networks.mlp(D, 2, (8,)), hidden=(6,), rate=0.25)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fit(
        model, data()[:BATCH], epochs=1, lr=1e-3, weight_decay=1e3
    )  # Adam's first step is lr × the sign
    for name, value in model.named_parameters():
        moved = (value - before[name]).abs().max().item()
        assert moved == pytest.approx(2.5e-4 if "discriminator" in name else 1e-3, rel=1e-2), name


def test_both_gammas_of_a_joint_pair_have_gammas_step_size():
    model, _ = VARIANTS["joint"]()
    run = fit(model, data()[:BATCH], epochs=1, lr=1e-3, gamma_lr=7.0)
    for likelihood, start in (
        (run.model.likelihood, 0.0),
        (run.model.terms["second_stage"].vae.likelihood, math.log(0.1)),
    ):
        assert abs(likelihood.log_gamma.item() - start) == pytest.approx(7e-3, rel=1e-3)


WASSERSTEIN = {
    "mmd": lambda nets: models.wae_mmd(nets, weight=20.0),
    "adversary": lambda nets: models.wae_gan(nets, weight=20.0, hidden=(64, 64)),
}


@pytest.mark.parametrize("build", WASSERSTEIN.values(), ids=WASSERSTEIN)
def test_wasserstein_autoencoders_bring_q_z_to_the_prior(build):
    x = 3 + torch.randn(600, 3, generator=torch.Generator().manual_seed(0)) @ torch.diag(
        torch.tensor([2.0, 0.5, 0.1])
    )
    with networks.seeded(0):
        model = build(networks.mlp(3, 2, (16,)))
    normal = torch.randn(600, 2, generator=torch.Generator().manual_seed(1))
    before = metrics.mmd2(model.codes(x).mean, normal)
    fit(model, x, epochs=100, batch_size=100, lr=3e-3, schedule=Cosine())
    after = metrics.mmd2(model.codes(x).mean, normal)
    assert after < 0.1 * before and metrics.mean_squared_error(x, model.reconstruct(x)) < 0.2


# ---- posteriors as data


def test_posteriors_are_drawn_afresh_at_every_step():
    q = DiagonalNormal(torch.zeros(6, D), torch.ones(6, D), torch.zeros(6, D))
    model, seen = make(), []
    usual = model.loss_terms
    model.loss_terms = lambda x, generator: seen.append(x) or usual(x, generator)
    fit(model, q, epochs=40, batch_size=6)
    assert len({x.sum().item() for x in seen}) == 40
    every = torch.cat(seen)
    assert abs(every.mean()) < 5 / every.numel() ** 0.5 and every.std() == pytest.approx(1, abs=0.1)


# ---- resuming


def catalogue(build):
    with networks.seeded(0):
        return build(networks.mlp(D, 2, (8,))), {}


VARIANTS = {
    "mmd": lambda: catalogue(models.wae_mmd),
    "adversary": lambda: catalogue(lambda nets: models.wae_gan(nets, hidden=(6, 6), rate=0.5)),
    "joint": lambda: catalogue(lambda nets: models.joint_vae(nets, hidden=(6,))),
    "flow": lambda: catalogue(
        lambda nets: models.vae_flow(nets, transforms=2, hidden=(6,), n_context=3)
    ),
    "plain": lambda: (make(), {}),
    "cosine": lambda: (make(), {"schedule": Cosine()}),
    "optimal": lambda: (make("optimal"), {"weight_decay": 1e-3}),
    "hold": lambda: (make(full=True), {"gamma_schedule": Hold(0.5)}),
}


def interrupt_at(step, model):
    """Press Ctrl-C in the middle of a step."""
    usual = model.loss_terms

    def loss_terms(x, generator):
        loss_terms.step += 1
        terms = usual(x, generator)
        if loss_terms.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return terms

    loss_terms.step = 0
    model.loss_terms = loss_terms


@pytest.mark.parametrize("step", [1, 6, 15])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_interrupted_run_ends_in_the_same_bytes(variant, step, tmp_path):
    model, settings = VARIANTS[variant]()
    expected = content(fit(model, **settings))
    path = tmp_path / "run.state.safetensors"
    model, settings = VARIANTS[variant]()
    interrupt_at(step, model)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model, checkpoint=path, **settings)
    assert (
        f"stopped after step {step} of 36; step {step} is saved in {path}"
        in caught.value.__notes__[0]
    )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    model, settings = VARIANTS[variant]()
    with torch.no_grad():
        [
            p.add_(1) for p in model.parameters()
        ]  # what it starts from does not matter: the checkpoint does
    assert content(fit(model, checkpoint=path, **settings)) == expected


def test_batch_statistics_resume_too(tmp_path):
    x = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def run(interrupted=None, **arguments):
        with networks.seeded(0):
            model = models.vae(networks.infogan(1, 8, 2))
        if interrupted:
            interrupt_at(interrupted, model)
        return fit(model, x, epochs=2, batch_size=5, **arguments)

    with pytest.raises(KeyboardInterrupt):
        run(3, checkpoint=tmp_path / "a")
    assert content(run(checkpoint=tmp_path / "a")) == content(run())


def test_an_interrupt_without_a_checkpoint_says_so():
    model = make()
    interrupt_at(4, model)
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(model)
    assert caught.value.__notes__ == ["stopped after step 4 of 36; no checkpoint was saved"]


def test_numbers_of_numpy_are_as_good(tmp_path):
    numbers = {"epochs": np.int64(2), "batch_size": np.int64(20), "lr": np.float64(1e-3)}
    plain = {name: value.item() for name, value in numbers.items()}
    runs = [fit(checkpoint=tmp_path / "a", **settings) for settings in (numbers, plain)]
    assert content(runs[0]) == content(runs[1]) and runs[0].settings == runs[1].settings


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = content(fit(checkpoint=tmp_path / "a"))
    before = (tmp_path / "a").read_bytes()
    model = make(seed=9)
    model.loss_terms = None
    assert content(fit(model, checkpoint=tmp_path / "a")) == first
    assert (tmp_path / "a").read_bytes() == before


def test_checkpoints_come_as_often_as_asked(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        _files, "write_state", lambda path, tensors, record: saved.append(record["step"])
    )
    fit(checkpoint=tmp_path / "a", checkpoint_every=0)
    assert saved == [6, 12, 18, 24, 30, 36]
    fit(checkpoint=tmp_path / "a")
    assert saved[6:] == [36]


def halved(epoch, epochs):
    return 0.5**epoch


def test_a_function_is_a_schedule_that_resumes(tmp_path):
    first = fit(schedule=halved, checkpoint=tmp_path / "a")
    assert first.settings["schedule"] == f"{__name__}.halved"
    assert content(fit(schedule=halved, checkpoint=tmp_path / "a")) == content(first)


@pytest.mark.parametrize("name", ["schedule", "gamma_schedule", "beta_schedule"])
def test_a_schedule_without_a_name_is_refused_before_training(name, tmp_path):
    schedule = {name: lambda *moment: 1.0}
    with pytest.raises(ValueError, match=f"^{name}: expected what a checkpoint can name, a func"):
        fit(checkpoint=tmp_path / "a", **schedule)
    assert np.isfinite(fit(epochs=1, **schedule).history["loss"]).all()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"lr": 0.5}, "lr: 0.001 there, 0.5 here"),
        ({"epochs": 7}, "epochs: 6 there, 7 here"),
        ({"schedule": Cosine()}, r"schedule: 'None' there, 'Cosine\(\)' here"),
        ({"x": 2 * data()}, "data: "),
        ({"model": make("optimal")}, "model: "),
    ],
    ids=["seed", "lr", "epochs", "schedule", "data", "model"],
)
def test_the_checkpoint_of_another_run_is_refused(other, named, tmp_path):
    fit(checkpoint=tmp_path / "a")
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(
        ValueError,
        match=f"belongs to another run .*{named}.*; use another folder, or delete the file",
    ):
        fit(checkpoint=tmp_path / "a", **other)
    assert (tmp_path / "a").read_bytes() == before


@pytest.mark.parametrize(
    "schedule", [{}, {"gamma_schedule": Hold(0.5)}, {"beta_schedule": Ramp(0.5)}], ids=str
)
def test_a_run_grows_unless_its_length_decides_what_it_minimises(schedule, tmp_path):
    session = Session("cpu", progress=False, checkpoint=tmp_path / "a", extends=True)

    def run(epochs):
        return training.fit_plan(make(), data(), Plan(epochs, BATCH, **schedule), session)

    run(2)
    if schedule:
        with pytest.raises(ValueError, match=r"belongs to another run .*epochs: 2 there, 4 here"):
            run(4)
    else:
        assert content(run(4)) == content(fit(epochs=4))


# ---- what can go wrong


class Breaking(likelihoods.Gaussian):
    """Turns NaN at a step."""

    calls, at = 0, 0

    def nll(self, x, x_hat):
        self.calls += 1
        return super().nll(x, x_hat) + (math.nan if self.calls >= self.at else 0)


def breaking(at):
    model = make()
    model.likelihood = Breaking()
    model.likelihood.at = at
    return model


def test_nan_names_the_step_and_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "a"
    with pytest.raises(
        TrainingDiverged, match=r"no longer finite at step 15 \(epoch 3\)"
    ) as caught:
        fit(breaking(15), checkpoint=path, checkpoint_every=0)
    said = str(caught.value)
    assert f"step 12 is saved in {path}" in said and "smaller lr" in said
    tensors, record = _files.read_state(path)
    assert record["step"] == 12 and all(torch.isfinite(v).all() for v in tensors.values())


def test_nan_without_a_checkpoint():
    with pytest.raises(
        TrainingDiverged, match=r"step 2 \(epoch 1\); no checkpoint was saved\. Try"
    ):
        fit(breaking(2))


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = make()
    model.decoder[1].weight.register_hook(lambda g: g * (math.nan if len(seen) >= 12 else 1))
    usual, seen = model.loss_terms, []
    model.loss_terms = lambda x, generator: seen.append(0) or usual(x, generator)
    with pytest.raises(
        TrainingDiverged, match=r"step 12.*step 6 is saved"
    ):  # its loss was finite, its weights are not
        fit(model, checkpoint=tmp_path / "a", checkpoint_every=0)
    assert _files.read_state(tmp_path / "a")[1]["step"] == 6


@pytest.mark.parametrize("validation", [None, 0.5])
@pytest.mark.parametrize("build", [models.vae, models.ce_vae])
def test_an_exploding_step_size_is_noticed(build, validation):
    model = build(networks.mlp(D, latent_dim=2, hidden=(8,), output="sigmoid"))
    with pytest.raises(TrainingDiverged, match="no longer finite"):
        fit(model, torch.rand(N, D), lr=1e30, validation=validation)


@pytest.mark.parametrize("validation", [None, 0.8])
def test_a_layer_that_refuses_nan_hides_no_divergence(validation):
    """In the step after the one that broke the weights, or on the rows held out."""

    class Strict(likelihoods.Gaussian):
        def nll(self, x, x_hat):
            if x_hat.isnan().any():
                raise RuntimeError("expected numbers")
            return super().nll(x, x_hat)

    model = make()
    model.likelihood = Strict()
    model.decoder[1].weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(TrainingDiverged, match="no longer finite at step 1 "):
        fit(model, validation=validation)


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a"
    usual = os.fsync

    def full(handle):
        full.calls += 1
        if full.calls > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(handle)

    full.calls = 0
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match="could not save the state of step 24: could not write"
    ) as caught:
        fit(checkpoint=path, checkpoint_every=0)
    assert "No space left on device" in str(caught.value) and caught.value.errno == errno.ENOSPC
    said = str(caught.value)
    assert "step 18 is saved" in said and "Make room or choose another folder" in said
    assert [p.name for p in tmp_path.iterdir()] == ["a"] and _files.read_state(path)[1][
        "step"
    ] == 18
    monkeypatch.undo()
    assert content(fit(checkpoint=path)) == content(fit())


def test_a_file_in_place_of_the_folder_is_noticed_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write to .*file \(.*\); choose another folder"):
        fit(checkpoint=tmp_path / "file" / "a")


NAN, INF = data(), data()
NAN[7, 2], INF[3, 0] = math.nan, -math.inf


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            NAN,
            ValueError,
            (
                "images: 1 of 50 hold NaN or infinite values, the first is number 7; remove or "
                "repair them"
            ),
        ),
        (INF, ValueError, "images: 1 of 50 hold NaN or infinite values, the first is number 3"),
        (
            data()[0],
            ValueError,
            r"images: expected shape \(n, \.\.\.\) with at least 2 axes, got \(4,\)",
        ),
        (
            data()[None],
            ValueError,
            r"expected shape \(n, 4\), as the network was built for, got \(1, 50, 4\)",
        ),
        (
            data()[:, :3],
            ValueError,
            r"expected shape \(n, 4\), as the network was built for, got \(50, 3\)",
        ),
        (data()[:0], ValueError, "images: expected at least 2 of them, got 0; pass more rows"),
        (data()[:1], ValueError, "images: expected at least 2 of them, got 1; pass more rows"),
        (np.zeros((5, 4), int), TypeError, r"expected floating-point values, got torch\.int64"),
        (
            [["a"] * 4] * 3,
            TypeError,
            "images: expected a tensor or an array of numbers, got list of",
        ),
        (
            None,
            TypeError,
            "images: expected a tensor or an array of numbers, got NoneType of object",
        ),
    ],
)
def test_bad_images_are_answered(x, error, message):
    with pytest.raises(error, match=message):
        training.fit(make(), x, epochs=1, device="cpu", progress=False)


def test_cross_entropy_needs_the_unit_interval():
    with networks.seeded(0):
        model = models.ce_vae(networks.mlp(D, 2, (8,), output="sigmoid"))
    with pytest.raises(
        ValueError,
        match=r"expected values in \[0, 1\], as cross-entropy .* got \[-.*\]; rescale them",
    ):
        fit(model)


def test_a_folder_that_is_removed_during_a_run_is_made_again(tmp_path):
    path = tmp_path / "run" / "state.safetensors"
    path.parent.mkdir()

    def remove(run, epoch, values):
        if epoch == 2:
            shutil.rmtree(path.parent)

    run = fit(checkpoint=path, checkpoint_every=0, callback=remove)
    assert len(run.history["loss"]) == EPOCHS and path.exists()


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected a whole number ≥ 1, got 0"),
        ({"epochs": 1.5}, TypeError, r"epochs: expected a whole number ≥ 1, got 1.5 \(float\)"),
        ({"batch_size": 0}, ValueError, "batch_size: expected a whole number ≥ 1, got 0"),
        ({"lr": 0}, ValueError, "lr: expected a finite number > 0, got 0"),
        ({"lr": math.nan}, ValueError, "lr: expected a finite number > 0, got nan"),
        ({"gamma_lr": -1}, ValueError, "gamma_lr: expected a finite number > 0, got -1"),
        ({"weight_decay": -1}, ValueError, "weight_decay: expected a finite number ≥ 0, got -1"),
        (
            {"checkpoint_every": math.nan},
            ValueError,
            "checkpoint_every: expected a finite number, got nan",
        ),
        ({"seed": -1}, ValueError, "seed: expected a whole number from 0"),
        ({"schedule": "cosine"}, TypeError, "schedule: expected a function, got 'cosine'"),
        ({"beta_schedule": 3}, TypeError, "beta_schedule: expected a function, got 3"),
        ({"flip": "no"}, TypeError, "flip: expected True or False, got 'no'"),
        ({"betas": ("a", 0.9)}, ValueError, "betas: expected a finite number, got 'a'"),
        ({"weight_decay": math.inf}, ValueError, "weight_decay: expected a finite number ≥ 0"),
        (
            {"device": "cuba"},
            ValueError,
            "device: expected one of .* got 'cuba'; did you mean 'cuda'",
        ),
        ({"device": 3}, TypeError, "device: expected a word or a device, got 3"),
        (
            {"device": "cuda:x"},
            ValueError,
            "device 'cuda:x' is not available here .*; use \"auto\"",
        ),
    ],
)
def test_bad_settings_are_answered(setting, error, message):
    with pytest.raises(error, match=message):
        fit(**setting)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", torch.device("cuda")])
def test_a_missing_device_is_named(device):
    with pytest.raises(
        ValueError, match=r"device 'cuda' is not available here \(.*\); use \"auto\""
    ):
        fit(device=device)


def test_auto_leaves_float64_to_a_device_that_knows_it(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("mps"))
    assert pick_device("auto").type == "mps" and pick_device("auto", torch.float64).type == "cpu"


# ---- bytes, mirrors and faster arithmetic


def pictures(n=20, dtype=torch.float32):
    """Bytes 0..255 as values in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (n, 1, 8, 8), generator=generator).to(dtype) / 255


def small_infogan():
    with networks.seeded(0):
        return models.vae(networks.infogan(1, 8, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bytes_come_back_to_the_last_bit_and_nothing_else_is_made_bytes(dtype):
    x = torch.arange(256, dtype=dtype) / 255
    packed = batches.to_bytes(x)
    assert packed.dtype == torch.uint8 and torch.equal(packed.to(dtype) / 255, x)
    for other in (x * 0.999, x - 1, torch.nextafter(x, x + 1), data(dtype), 2 * x):
        assert batches.to_bytes(other) is None


def test_bytes_live_on_the_device_and_train_as_their_values_do(monkeypatch):
    model, x = small_infogan(), pictures()
    rows = batches.feed(model, x, torch.device("cpu"))
    assert rows.rows.dtype == torch.uint8
    index = torch.tensor([3, 0, 7])
    assert torch.equal(rows.batch(index, torch.Generator()), x[index])
    packed = content(fit(model, x, epochs=2))
    monkeypatch.setattr(batches, "to_bytes", lambda x: None)
    assert content(fit(small_infogan(), x, epochs=2)) == packed


def test_bytes_become_the_models_precision():
    model, x = small_infogan().double(), pictures(dtype=torch.float32)
    rows = batches.feed(model, x, torch.device("cpu"))
    assert torch.equal(rows.batch(torch.arange(5), torch.Generator()), x[:5].double())


def test_bytes_themselves_train_as_their_values_do():
    x = pictures()
    assert content(fit(small_infogan(), (x * 255).round().byte(), epochs=2)) == content(
        fit(small_infogan(), x, epochs=2)
    )


@pytest.mark.parametrize("wrong", [lambda x: 255 * x, lambda x: 2 * x - 1])
def test_what_a_sigmoid_cannot_reach_is_refused(wrong):
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        fit(small_infogan(), wrong(pictures()))


def test_half_of_the_images_are_mirrored_each_time():
    model, x = small_infogan(), pictures(400)
    rows = batches.feed(model, x, torch.device("cpu"), flip=True)
    generator, index = torch.Generator().manual_seed(0), torch.arange(400)
    first, second = rows.batch(index, generator), rows.batch(index, generator)
    mirrored = [(batch == x.flip(-1)).flatten(1).all(1) for batch in (first, second)]
    for batch, flags in zip((first, second), mirrored, strict=True):
        assert torch.equal(batch[~flags], x[~flags])
        assert abs(flags.float().mean() - 0.5) < 5 * 0.5 / 400**0.5
    assert not torch.equal(*mirrored)


def test_a_mirrored_run_resumes_to_the_same_bytes(tmp_path):
    x = pictures()
    whole = content(fit(small_infogan(), x, epochs=3, flip=True))
    assert whole != content(fit(small_infogan(), x, epochs=3))
    model = small_infogan()
    interrupt_at(4, model)
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, epochs=3, flip=True, checkpoint=tmp_path / "a")
    assert content(fit(small_infogan(), x, epochs=3, flip=True, checkpoint=tmp_path / "a")) == whole


def test_only_images_are_mirrored():
    with pytest.raises(
        ValueError, match=r"flip: expected images of shape \(channels, height, width\), got \(4,\)"
    ):
        fit(flip=True)
    q = DiagonalNormal(torch.zeros(6, D), torch.ones(6, D), torch.zeros(6, D))
    with pytest.raises(ValueError, match="flip: codes cannot be mirrored"):
        fit(x=q, flip=True)


def test_bfloat16_is_for_the_networks_alone():
    plain = fit(small_infogan(), pictures(), epochs=2)
    model, seen = small_infogan(), []
    layer = next(m for m in model.encoder.modules() if isinstance(m, torch.nn.Conv2d))
    layer.register_forward_hook(lambda *parts: seen.append(parts[2].dtype))
    usual = model.likelihood.nll
    model.likelihood.nll = lambda x, x_hat: seen.append(x_hat.dtype) or usual(x, x_hat)
    run = fit(model, pictures(), epochs=2, precision="bfloat16")
    assert set(seen[::2]) == {torch.bfloat16} and set(seen[1::2]) == {torch.float32}
    assert {p.dtype for p in run.model.parameters()} == {torch.float32} and model.autocast is None
    np.testing.assert_allclose(run.history["loss"], plain.history["loss"], rtol=0.02)
    assert (run.history["loss"] != plain.history["loss"]).all()


def test_tf32_on_another_device_says_that_it_is_float32():
    with pytest.warns(
        UserWarning, match="tf32 is arithmetic of NVIDIA's GPUs; on cpu this run is float32"
    ):
        run = fit(epochs=2, precision="tf32")
    assert content(run) == content(fit(epochs=2))
    assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(ValueError, match=r"precision: expected one of .* got 'bf16'"):
        fit(precision="bf16")


@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf"
)  # torch's own look at it
def test_compiled_networks_train_as_plain_ones_do(monkeypatch):
    usual, asked = torch.compile, []
    monkeypatch.setattr(
        torch, "compile", lambda f, mode: asked.append(mode) or usual(f, backend="eager")
    )
    compiled = fit(epochs=2, lr=0.05, keep_every=1, compile=True)
    assert asked == ["default"] * 2
    assert compiled.model.encoder._compiled_call_impl is None
    plain = fit(epochs=2, lr=0.05, keep_every=1)
    np.testing.assert_allclose(compiled.history["loss"], plain.history["loss"], rtol=1e-5)
    for (_, copy_of_compiled), (_, copy_of_plain) in zip(compiled.saved, plain.saved, strict=True):
        images = [model.reconstruct(data()) for model in (copy_of_compiled, copy_of_plain)]
        torch.testing.assert_close(*images, rtol=1e-3, atol=1e-4)
    for name, value in plain.model.state_dict().items():
        torch.testing.assert_close(
            value, compiled.model.state_dict()[name], rtol=1e-3, atol=1e-5, msg=name
        )


def test_a_copy_of_a_compiled_part_runs_its_own_code():
    part = likelihoods.Gaussian(0.1)
    part.compile(backend="eager")
    assert copy.deepcopy(part)._compiled_call_impl is None
    assert pickle.loads(pickle.dumps(part))._compiled_call_impl is None


@pytest.mark.parametrize(
    "build",
    [
        lambda: networks.infogan(1, 8, 2),
        lambda: networks.small_conv(1, 8, 2, width=2),
        lambda: networks.resnet(1, 8, 2, 2, base=2),
        lambda: networks.wae(1, 8, 2, base=2),
    ],
    ids=["infogan", "small_conv", "resnet", "wae"],
)
def test_what_cuda_would_be_given(build, monkeypatch):
    with networks.seeded(0):
        model = models.vae(build())
    terms, asked = model.eval().loss_terms(pictures(), torch.Generator().manual_seed(0)), []
    monkeypatch.setattr(torch, "compile", lambda f, mode: asked.append(mode) or f)
    for precision in ("float32", "bfloat16"):
        with acceleration.accelerated(model, torch.device("cuda"), precision, compile=False):
            assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    with acceleration.accelerated(model, torch.device("cuda"), "tf32", compile=True):
        assert torch.backends.cudnn.allow_tf32
        assert asked == ["reduce-overhead"] * 2 and torch.get_float32_matmul_precision() == "high"
        images = [p for p in model.parameters() if p.ndim == 4]
        assert images and all(p.is_contiguous(memory_format=torch.channels_last) for p in images)
        again = model.loss_terms(pictures(), torch.Generator().manual_seed(0))
        torch.testing.assert_close(again, terms, rtol=1e-4, atol=1e-3)
        sum(model.train().loss_terms(pictures()).values()).mean().backward()
        torch.optim.Adam(model.parameters(), fused=True).step()
    assert torch.get_float32_matmul_precision() == "highest"
    assert model.decoder._compiled_call_impl is None
    assert np.isfinite(fit(model, pictures(), epochs=1).history["loss"]).all()


# ---- too little memory


def short_of_memory(most, error=torch.OutOfMemoryError):
    """A model whose steps fail for batches of more than `most` rows."""
    model = make()
    usual = model.loss_terms

    def loss_terms(x, generator=None):
        if len(x) > most:
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB\nand more of torch's words")
        return usual(x, generator)

    model.loss_terms = loss_terms
    return model


@pytest.mark.parametrize(
    ("batch_size", "most", "fits"), [(32, 31, 16), (40, 11, 10), (50, 3, 3), (50, 2, None)]
)
def test_too_little_memory_names_a_batch_that_fits(batch_size, most, fits):
    advice = f"batch_size={fits} fits" if fits else "not even two rows fit: choose smaller networks"
    pattern = (
        rf"cpu has too little memory for a batch of {batch_size} at step 1 \(CUDA out .* "
        rf"2.00 GiB\); {advice}"
    )
    with pytest.raises(training.OutOfMemory, match=pattern):
        fit(short_of_memory(most), batch_size=batch_size)
    if fits:
        assert np.isfinite(fit(short_of_memory(most), batch_size=fits).history["loss"]).all()


def test_memory_of_the_machine_is_meant_too_and_other_errors_are_not():
    def words(_):
        return RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"
        )

    with pytest.raises(training.OutOfMemory, match="batch_size=25 fits"):
        fit(short_of_memory(30, words), batch_size=50)
    with pytest.raises(RuntimeError, match="shapes") as caught:
        fit(short_of_memory(30, lambda _: RuntimeError("shapes do not match")), batch_size=50)
    assert not isinstance(caught.value, training.OutOfMemory)


def test_data_that_do_not_fit_are_told_from_steps_that_do_not(monkeypatch):
    def no_room(self, *args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(batches, "to_bytes", lambda x: no_room(x))
    with pytest.raises(training.OutOfMemory, match="the data do not fit into the memory of cpu"):
        fit()


# ---- precision -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "network, fast, device, expected",
    [
        ("small_conv", True, "cpu", "bfloat16"),
        ("small_conv", False, "cpu", "float32"),  # A processor without AMX.
        ("small_conv", True, "cuda", "float32"),  # Nothing is measured there.
        ("mlp", True, "cpu", "float32"),
    ],
)
def test_auto_takes_bfloat16_where_it_pays(network, fast, device, expected, monkeypatch):
    monkeypatch.setattr(acceleration, "_multiplies_bfloat16", lambda: fast)
    model = models.vae(networks.for_shape(network, (1, 28, 28), 4, {}))
    assert acceleration.chosen("auto", model, torch.device(device)) == expected
    assert acceleration.chosen("tf32", model, torch.device(device)) == "tf32"
    assert acceleration.chosen("auto", model.double(), torch.device(device)) == "float32"


def test_a_run_says_which_precision_auto_was(monkeypatch):
    monkeypatch.setattr(acceleration, "_multiplies_bfloat16", lambda: True)
    x = torch.rand(20, 1, 12, 12)
    settings = {}
    for precision in ("auto", "bfloat16", "float32"):
        with networks.seeded(0):
            model = models.vae(networks.small_conv(1, 12, 2))
        how = {"epochs": 1, "batch_size": 10, "device": "cpu", "progress": False}
        run = training.fit(model, x, precision=precision, **how)
        settings[precision] = (run.settings["precision"], model.state_dict())
    assert [kind for kind, _ in settings.values()] == ["bfloat16", "bfloat16", "float32"]
    torch.testing.assert_close(settings["auto"][1], settings["bfloat16"][1], rtol=0, atol=0)


FAULTS = """
import resource, torch
from vaelab import models, networks, training
model = models.vae(networks.small_conv(1, 28, 16))
x = torch.rand(1000, 1, 28, 28)

def faults(epochs):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    training.fit(model, x, epochs=epochs, device="cpu", progress=False)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(1)
one, three = faults(1), faults(3)
print((three - one) / 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_a_step_takes_the_memory_of_the_last_one():
    """A batch, what the network makes of it and the gradients are some thousand pages."""
    line = [sys.executable, "-c", FAULTS]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 300

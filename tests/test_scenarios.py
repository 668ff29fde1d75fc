"""What happens at every door of the package that trains: the same seed again, Ctrl-C, a full disk,
the state of another run; and, at those that take images, wrong ones.
"""

import errno
import functools
import hashlib
import math
import os
import random
import signal

import numpy as np
import pytest
import torch

from vaelab import VAE, TwoStageVAE, data, densities, features, models, networks, training
from vaelab.posteriors import DiagonalNormal
from vaelab.training import Cosine, Hold, Plan, Session
from vaelab.training.adam import Adam

EPOCHS, STEPS = 6, 6  # epochs of a run, and steps of an epoch
PLAN = {"epochs": EPOCHS, "batch_size": 8, "device": "cpu", "progress": False}
QUIET = Session(device="cpu", progress=False)
SEEDS = {0: (3, 0, 8), 1: (3, 1, 8)}  # of three models that are trained together


def rows():
    return torch.randn(50, 4, generator=torch.Generator().manual_seed(0))


def pictures():
    bytes_ = torch.randint(0, 256, (50, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return bytes_.float() / 255


def mlp():
    return networks.mlp(4, 2, (8,))


def built(build, seed):
    with networks.seeded(seed):
        return build()


def digests(**values):
    return {
        name: hashlib.sha256(np.asarray(value).tobytes()).hexdigest()[:12]
        for name, value in values.items()
    }


def content(run):
    """Everything that a run leaves, byte by byte."""
    return digests(**run.model.state_dict(), **run.history)


# ---- the doors
# A door is a function of the seed, the seed of the weights to start from, and where to save.


def alone(build, x=rows, **settings):
    """`training.fit` of one model."""

    def door(seed=0, start=0, **place):
        run = training.fit(built(build, start), x(), seed=seed, **PLAN, **settings, **place)
        return content(run)

    return door


def together(build, x=rows):
    """`training.fit_together` of three models."""

    def door(seed=0, start=0, **place):
        several = [built(build, start + i) for i in range(3)]
        plan = Plan(epochs=EPOCHS, batch_size=8)
        session = Session(device="cpu", progress=False, **place)
        runs = training.fit_together(several, x(), plan, session, seeds=SEEDS[seed])
        return [content(run) for run in runs]

    return door


def second_stage(seed=0, start=0, **place):
    """Its weights follow from its seed, so there is no other start."""
    mean = rows()[:, :2]
    q = DiagonalNormal(mean, torch.full_like(mean, 0.1), torch.full_like(mean, 0.1).log() * 2)
    stage = densities.SecondStage((8,), epochs=EPOCHS, batch_size=8)
    session = Session(device="cpu", progress=False, **place)
    return content(stage.fit_codes(q, seed, session).run)


def flow():
    return models.vae_flow(mlp(), transforms=2, hidden=(6,), n_context=3)


def wae():
    return networks.wae(1, 8, 2, base=2)


def infogan():
    return models.vae(networks.infogan(1, 8, 2))


RESUMABLE = {
    "plain": alone(lambda: models.vae(mlp())),
    "cosine": alone(lambda: models.vae(mlp()), schedule=Cosine()),
    "optimal": alone(lambda: models.vae(mlp(), "optimal"), weight_decay=1e-3),
    "hold": alone(lambda: models.vae(mlp(), full=True), gamma_schedule=Hold(0.5)),
    "mmd": alone(lambda: models.wae_mmd(mlp())),
    "adversary": alone(lambda: models.wae_gan(mlp(), hidden=(6, 6), rate=0.5)),
    "joint": alone(lambda: models.joint_vae(mlp(), hidden=(6,))),
    "weight norm": alone(lambda: models.rae_l2(mlp())),
    "gradient penalty, batch statistics": alone(lambda: models.rae_gp(wae()), pictures),
    "spectral, three draws": alone(lambda: models.Autoencoder(networks.spectral(mlp()), draws=3)),
    "flow": alone(flow),
    "batch statistics, mirrored": alone(infogan, pictures, flip=True),
    "together": together(lambda: models.vae(mlp())),
    "together, gradient penalty": together(lambda: models.rae_gp(mlp())),
    "together, batch statistics": together(lambda: models.ae(wae()), pictures),
    "second stage": second_stage,
}


def estimator(kind, **settings):
    """`fit` of a scikit-learn estimator."""

    def door(seed=0):
        plan = {"latent_dim": 2, "hidden": (8,), "epochs": 3, "device": "cpu", "random_state": seed}
        model = kind(**plan, **settings).fit(rows().numpy())
        codes = model.transform(rows().numpy())
        return digests(codes=codes, images=model.sample(5, random_state=1))

    return door


def classifier(seed=0):
    digits = data.load_images("digits")
    plan = {"epochs": 1, "shift": 1, "noise": 0.1}
    return digests(**features.train_classifier(digits, seed=seed, **plan).state_dict())


SEEDED = {
    **RESUMABLE,
    "estimator": estimator(VAE),
    "estimator of two stages": estimator(TwoStageVAE, second_hidden=(8,), second_epochs=3),
    "classifier": classifier,
}

# ---- what happens


def each_of(doors):
    return pytest.mark.parametrize("door", doors.values(), ids=doors)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.state.safetensors"


@functools.cache
def undisturbed(door):
    """What a run through this door leaves when nothing happens to it."""
    return door()


def random_states():
    numpys = np.random.get_state()[1].tolist()  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpys, random.getstate()


@each_of(SEEDED)
def test_same_seed_same_bytes_whatever_the_callers_random_state(door):
    first = door()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(2)
    before = random_states()
    assert door() == first
    assert door(seed=1) != first
    assert random_states() == before


def interrupt_after(monkeypatch, steps):
    """Press Ctrl-C in the middle of a step."""
    usual = Adam.advance
    done = []

    def step(adam, *given):
        usual(adam, *given)
        done.append(1)
        if len(done) == steps:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Adam, "advance", step)


@each_of(RESUMABLE)
def test_an_interrupted_run_ends_in_the_same_bytes(door, path):
    """Interrupted at its first step, at the end of an epoch and in the middle of one."""
    done = 0
    for step in (1, STEPS, 2 * STEPS + 3):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught:
            interrupt_after(patch, step - done)
            door(checkpoint=path, start=done)  # once there is a checkpoint, this does not matter
        done = step
        note = f"stopped after step {step} of {STEPS * EPOCHS}; step {step} is saved in {path}"
        assert note in caught.value.__notes__[0]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert door(checkpoint=path, start=9) == undisturbed(door)


@each_of(RESUMABLE)
def test_a_full_disk_loses_nothing(door, path, monkeypatch):
    usual = os.fsync
    calls = []

    def full(handle):
        calls.append(1)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        usual(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not save the state of step 24: could not") as caught:
        door(checkpoint=path, checkpoint_every=0)
    monkeypatch.undo()
    said = str(caught.value)
    assert "No space left on device" in said and "step 18 is saved in" in said
    assert "Make room or choose another folder" in said
    assert caught.value.errno == errno.ENOSPC
    assert list(path.parent.iterdir()) == [path]
    assert door(checkpoint=path) == undisturbed(door)


@each_of(RESUMABLE)
def test_a_finished_run_is_not_trained_again_and_another_one_is_refused(door, path, monkeypatch):
    first = door(checkpoint=path)
    saved = path.read_bytes()
    monkeypatch.setattr(Adam, "advance", None)
    assert door(checkpoint=path, start=9) == first
    other = r"belongs to another run \(.*seed: .*\); use another folder, or delete the file"
    with pytest.raises(ValueError, match=other):
        door(checkpoint=path, seed=1)
    assert path.read_bytes() == saved


# ---- wrong images


def with_value(row, value):
    x = rows()
    x[row, 2] = value
    return x


WRONG = {
    "NaN": (
        with_value(7, math.nan),
        ValueError,
        "images: 1 of 50 hold NaN or infinite values, the first is number 7; remove or repair them",
    ),
    "infinity": (
        with_value(3, -math.inf),
        ValueError,
        "images: 1 of 50 hold NaN or infinite values, the first is number 3",
    ),
    "one row": (
        rows()[0],
        ValueError,
        r"images: expected shape \(n, \.\.\.\) with at least 2 axes, got \(4,\)",
    ),
    "an axis too many": (
        rows()[None],
        ValueError,
        r"expected shape \(n, 4\), as the network was built for, got \(1, 50, 4\)",
    ),
    "other images": (
        rows()[:, :3],
        ValueError,
        r"expected shape \(n, 4\), as the network was built for, got \(50, 3\)",
    ),
    "whole numbers": (
        np.zeros((5, 4), int),
        TypeError,
        r"expected floating-point values, got torch\.int64",
    ),
    "letters": (
        [["a"] * 4] * 3,
        TypeError,
        "images: expected a tensor or an array of numbers, got list of",
    ),
    "nothing": (
        None,
        TypeError,
        "images: expected a tensor or an array of numbers, got NoneType of object",
    ),
}
TOO_FEW = {
    f"{n} rows": (
        rows()[:n],
        ValueError,
        f"images: expected at least 2 of them, got {n}; pass more rows",
    )
    for n in (0, 1)
}


def vae():
    return built(lambda: models.vae(mlp()), 0)


TRAINING_DOORS = {
    "fit": lambda x: training.fit(vae(), x, **PLAN),
    "fit_together": lambda x: training.fit_together([vae()], [x], Plan(epochs=1), QUIET, seeds=[0]),
}
LOOKING_DOORS = {
    "codes": lambda x: vae().codes(x),
    "reconstruct": lambda x: vae().reconstruct(x),
    "log_prob_mc": lambda x: densities.log_prob_mc(vae(), x),
    "density": lambda x: densities.Gaussian().fit(vae(), x),
}


@pytest.mark.parametrize(("x", "error", "message"), WRONG.values(), ids=WRONG)
@each_of(TRAINING_DOORS | LOOKING_DOORS)
def test_wrong_images_are_answered(door, x, error, message):
    with pytest.raises(error, match=message):
        door(x)


@pytest.mark.parametrize(("x", "error", "message"), TOO_FEW.values(), ids=TOO_FEW)
@each_of(TRAINING_DOORS)
def test_too_few_images_are_answered(door, x, error, message):
    with pytest.raises(error, match=message):
        door(x)

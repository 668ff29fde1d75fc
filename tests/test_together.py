"""Models trained in one pass: each is what it would have been alone, up to rounding; it resumes,
and fails clearly.
"""

import gc
import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from vaelab import _files, densities, models, networks, training
from vaelab.models import Autoencoder
from vaelab.training import Cosine, Hold, Plan, Session, ensemble, fit_together, loop

SEEDS = (3, 0, 8)
PLAN = {"epochs": 2, "batch_size": 10, "lr": 2e-3, "device": "cpu", "progress": False}


def together(models, x, seeds=SEEDS, **settings):
    """`fit_together`, with the arguments of `fit`."""
    names = set(Session.__dataclass_fields__)
    session = Session(**{k: v for k, v in settings.items() if k in names})
    plan = Plan(**{k: v for k, v in settings.items() if k not in names})
    return fit_together(models, x, plan, session, seeds=seeds)


def flat(seed=0):
    return torch.randn(43, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pictures():
    bytes_ = torch.randint(0, 256, (24, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    return bytes_.double() / 255


def perceptrons(build=models.vae, **more):
    return lambda: build(networks.mlp(5, latent_dim=3, hidden=(7,)), **more)


def convolutions(build):
    return lambda: build(networks.infogan(1, 8, 3, bn_momentum=0.1))


KINDS = {
    "learned": perceptrons(),
    "fixed": perceptrons(gamma=0.1),
    "optimal": perceptrons(gamma="optimal"),
    "full": perceptrons(full=True),
    "joint": perceptrons(models.joint_vae, hidden=(6,)),
    "ae": perceptrons(models.ae),
    "wae-mmd": perceptrons(models.wae_mmd),
    "wae-gan": perceptrons(models.wae_gan),
    "rae-l2": perceptrons(models.rae_l2),
    "rae-gp": perceptrons(models.rae_gp),
    "rae-sn": perceptrons(models.rae_sn),
    "three draws": perceptrons(draws=3),
    "infogan": convolutions(models.vae),
    "infogan rae-gp": convolutions(models.rae_gp),
    "infogan ce": convolutions(models.ce_vae),
    "infogan flow": convolutions(models.vae_flow),
    "resnet": lambda: models.vae(networks.resnet(1, 8, 3, bn_momentum=0.1)),
}


def built(kind, dtype=torch.float64):
    out = []
    for seed in SEEDS:
        with networks.seeded(seed):
            out.append(KINDS[kind]().to(dtype))
    return out


def data(kind):
    return flat() if len(KINDS[kind]().image_shape) == 1 else pictures()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind,
            marks=[pytest.mark.long] if kind in ("infogan ce", "infogan flow", "resnet") else [],
        )
        for kind in KINDS
    ],
)
def test_each_is_what_it_would_have_been_alone(kind):
    x = data(kind)
    plan = {**PLAN, "schedule": Cosine(), "weight_decay": 1e-3, "flip": x.ndim == 4}
    runs = together(built(kind), x, **plan)
    # rounding alone moves weights without a gradient, such as biases before batch normalisation:
    # costs are compared
    for seed, model, run in zip(SEEDS, built(kind), runs, strict=True):
        alone = training.fit(model, x, seed=seed, **plan)
        assert run.settings == {**alone.settings, "together": 3}
        for name, values in alone.history.items():
            np.testing.assert_allclose(run.history[name], values, rtol=1e-6, err_msg=name)
        assert not run.model.training
        np.testing.assert_allclose(
            run.model.reconstruct(x[:4]), model.reconstruct(x[:4]), atol=1e-3
        )
    assert len({float(run.history["loss"][-1]) for run in runs}) == 3


def test_a_single_model_may_be_an_ensemble_of_one():
    [run] = together(built("learned")[:1], flat(), seeds=[5], **PLAN)
    alone = training.fit(built("learned")[0], flat(), seed=5, **PLAN)
    np.testing.assert_allclose(run.history["loss"], alone.history["loss"], rtol=1e-9)


@pytest.mark.parametrize("own", [False, True])
def test_second_stages_of_several_first_ones(own):
    plan = {"epochs": 3, "batch_size": 10, "gamma_schedule": Hold(1.0)}
    posteriors = [model.codes(flat(i if own else 0)) for i, model in enumerate(built("learned"))]
    stages = [densities.SecondStage((6,), **plan) for _ in SEEDS]
    densities.fit_second_stages(stages, posteriors, SEEDS)
    for stage, q, seed in zip(stages, posteriors, SEEDS, strict=True):
        alone = densities.SecondStage((6,), **plan).fit_codes(q, seed)
        np.testing.assert_allclose(stage.run.history["loss"], alone.run.history["loss"], rtol=1e-4)
        torch.testing.assert_close(stage.sample(5, 1), alone.sample(5, 1), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r"for each \(at least one\), got 3 stages, 2 and 3"):
        densities.fit_second_stages(stages, posteriors[:2], SEEDS)
    stages[1].plan = replace(stages[1].plan, epochs=4)
    with pytest.raises(ValueError, match="expected all to be trained alike"):
        densities.fit_second_stages(stages, posteriors, SEEDS)


@pytest.mark.parametrize(
    ("kind", "step"),
    [("learned", 2), ("learned", 3), pytest.param("infogan", 3, marks=pytest.mark.long)],
)
def test_an_interrupted_run_ends_in_the_same_bytes(kind, step, tmp_path, monkeypatch):
    def content(runs):
        return [
            (_files.digest(run.model.state_dict()), run.history["loss"].tobytes()) for run in runs
        ]

    expected, usual, count = (
        content(together(built(kind), data(kind), **PLAN)),
        loop.step,
        [],
    )

    def stop(state, x):
        usual(state, x)
        count.append(1)
        if len(count) == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(loop, "step", stop)
    path = tmp_path / "together.safetensors"
    with pytest.raises(KeyboardInterrupt) as caught:
        together(built(kind), data(kind), checkpoint=path, **PLAN)
    assert f"stopped after step {step}" in caught.value.__notes__[0]
    assert content(together(built(kind), data(kind), checkpoint=path, **PLAN)) == expected
    assert len(count) > step
    with pytest.raises(ValueError, match="belongs to another run"):
        together(built(kind)[:2], data(kind), seeds=SEEDS[:2], checkpoint=path, **PLAN)


def test_spectral_norms_are_those_of_torch():
    """The power iterations of three layers at once leave the vectors that each layer's own
    would.
    """
    alone = built("infogan")
    together = ensemble.Ensemble(built("infogan"))
    for _ in range(3):
        together._normalise_spectra()
        for model in alone:
            model.train()
            _ = model.encoder[2].weight, model.encoder[6].weight  # looking at them takes the step
    for model, state in zip(alone, together.member_states(), strict=True):
        for name, value in model.state_dict().items():
            if name.startswith(("encoder.2", "encoder.6")):
                torch.testing.assert_close(state[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.long
def test_compiled_they_train_as_plain_ones_do():
    plain = together(built("learned"), flat(), **PLAN)
    compiled = together(built("learned"), flat(), **PLAN, compile=True)
    for a, b in zip(plain, compiled, strict=True):
        np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-6)


def test_bfloat16_is_for_the_networks_alone():
    x = pictures().float()
    runs = together(built("infogan", torch.float32), x, **PLAN, precision="bfloat16")
    for seed, model, run in zip(SEEDS, built("infogan", torch.float32), runs, strict=True):
        alone = training.fit(model, x, seed=seed, **PLAN, precision="bfloat16")
        np.testing.assert_allclose(run.history["loss"], alone.history["loss"], rtol=0.02)
        assert next(run.model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"seeds": (1, 2)},
            ValueError,
            r"expected one for each of 3 models \(at least one\), got 2",
        ),
        ({"seeds": (1, 2, -1)}, ValueError, "seed: expected a whole number"),
        ({"models": []}, ValueError, "seeds: expected one for each of 0 models"),
        (
            {"data": [flat(), flat()]},
            ValueError,
            "expected one set for all models or one for each of 3, got 2",
        ),
        (
            {"data": [flat(), flat(), flat()[:20]]},
            ValueError,
            "as many rows for each model, got from 20 to 43",
        ),
        (
            {"models": [built("learned")[0]] * 3},
            ValueError,
            "expected different ones, got one of them twice",
        ),
        (
            {"models": [*built("learned")[:2], built("learned", torch.float32)[2]]},
            ValueError,
            "one precision and",
        ),
        ({"keep_every": 1}, ValueError, "keep_every: expected nothing for models trained together"),
        ({"epochs": 0}, ValueError, "epochs: expected"),
        ({"speed": 2}, TypeError, "unexpected keyword argument 'speed'"),
    ],
)
def test_bad_calls_are_answered(change, error, message):
    call = {"models": built("learned"), "data": flat(), "seeds": SEEDS, **PLAN, **change}
    with pytest.raises(error, match=message):
        together(call.pop("models"), call.pop("data"), **call)


def test_models_of_several_kinds_are_refused():
    with pytest.raises(
        ValueError, match=r"expected all of one kind, but 0 is .* and 2 is .*'gamma': 0\.1"
    ):
        together([*built("learned")[:2], built("fixed")[0]], flat(), **PLAN)
    nets = networks.Networks(
        torch.nn.Linear(5, 4), torch.nn.Linear(2, 5), (5,), 2, 4, torch.nn.Linear
    )
    other = Autoencoder(nets).double()
    with pytest.raises(ValueError, match="expected all of one kind"):
        together([other, built("learned")[0]], flat(), seeds=[0, 1], **PLAN)


def test_models_made_by_hand_train_together_too():
    def by_hand(seed):
        with networks.seeded(seed):
            layers = torch.nn.Linear(5, 4), torch.nn.Linear(2, 5)
            nets = networks.Networks(*layers, (5,), 2, 4)
            return Autoencoder(nets).double()

    runs = together([by_hand(seed) for seed in SEEDS], flat(), **PLAN)
    for seed, run in zip(SEEDS, runs, strict=True):
        alone = training.fit(by_hand(seed), flat(), seed=seed, **PLAN)
        np.testing.assert_allclose(run.history["loss"], alone.history["loss"], rtol=1e-9)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr("vaelab._processes.place", lambda: (0, 2))
    with pytest.raises(ValueError, match="models trained together: expected one process"):
        together(built("learned"), flat(), **PLAN)


def test_one_that_diverges_stops_all():
    far = [flat(), flat() * 1e200, flat()]
    with pytest.raises(
        training.TrainingDiverged, match=r"of model 1 \(seed 0\) is no longer finite at step 1 "
    ):
        together(built("learned"), far, **PLAN)


def test_too_little_memory_says_how_many_might_fit(monkeypatch):
    def short(self, x, generator):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(ensemble.Ensemble, "loss_terms", short)
    with pytest.raises(
        training.OutOfMemory, match=r"a batch of 10 at step 1 .*; or train fewer models together"
    ):
        together(built("learned"), flat(), **PLAN)


def test_too_little_memory_names_a_batch_that_fits_all(monkeypatch):
    usual = ensemble.Ensemble.loss_terms

    def short(self, x, generator):
        nats = usual(self, x, generator)
        if x.shape[1] > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return nats

    monkeypatch.setattr(ensemble.Ensemble, "loss_terms", short)
    with pytest.raises(training.OutOfMemory, match="batch_size=5 fits"):
        together(built("learned"), flat(), **PLAN)


def test_nothing_of_an_ensemble_outlives_its_training():
    gone = []

    class Watched(ensemble.Ensemble):
        def __del__(self):
            gone.append(True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vaelab.training.together.Ensemble", Watched)
        gc.disable()
        together(built("infogan"), pictures(), **PLAN)
        gc.enable()
    assert gone == [True]


def test_frozen_weights_stay_as_they_are():
    mine = built("learned")
    for model in mine:
        model.decoder.requires_grad_(False)
    before = [model.decoder[1].weight.clone() for model in mine]
    together(mine, flat(), **PLAN)
    assert all(
        torch.equal(model.decoder[1].weight, was) for model, was in zip(mine, before, strict=True)
    )
    heads = [model.posterior.parameters_of_q.weight for model in (mine[0], built("learned")[0])]
    assert not torch.equal(*heads)


@pytest.mark.parametrize("kind", ["learned", "full", "joint", "wae-mmd", "wae-gan", "infogan"])
def test_everything_is_on_the_device_of_the_data(kind):
    """On a GPU that is not there: torch's fake tensors know their device and do no arithmetic."""

    def moved(module):
        for part in module.modules():
            for name, p in part._parameters.items():
                part._parameters[name] = (
                    p if p is None else torch.nn.Parameter(torch.empty(p.shape, device="cuda"))
                )
            for name, b in part._buffers.items():
                part._buffers[name] = (
                    b if b is None else torch.empty(b.shape, dtype=b.dtype, device="cuda")
                )
        return module

    whole, spare = (
        ensemble.Ensemble(built(kind, torch.float32)),
        built(kind, torch.float32)[0],
    )
    generators = ensemble.Seeds(torch.device("cpu"), SEEDS)
    generators.each = [None] * 3  # there are none of a GPU either
    with FakeTensorMode(allow_non_fake_inputs=True):
        moved(whole)
        moved(whole._one[0])
        whole._probe = (spare,)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Autoencoder, "to", lambda self, device: moved(self))
            x = torch.empty(3, 4, *spare.image_shape, device="cuda")
            nats = whole.loss_terms(x, generators)
        assert {(n.shape, n.device.type) for n in nats.values()} == {((3, 4), "cuda")}


# ---- in a table


def test_a_table_of_trials_trained_together(tmp_path):
    from test_experiments import run

    alone = run(tmp_path / "alone", "learned", "two-stage", trials=3)
    said = []
    outcomes = run(tmp_path / "both", "learned", "two-stage", trials=3, together=2, say=said.append)
    for one, other in zip(alone, outcomes, strict=True):
        a, b = one.record, other.record
        assert (a["cell"], a["settings"]) == (b["cell"], b["settings"])
        assert b["measured"]["frechet"] == pytest.approx(a["measured"]["frechet"], rel=0.02)
        assert b["arithmetic"]["together"] == (1 if other.cell.trial == 2 else 2)
    assert not list((tmp_path / "both" / "runs").rglob("*"))


def test_trials_together_go_on_where_they_were_killed(tmp_path, monkeypatch):
    from test_experiments import cells, run

    monkeypatch.setattr(cells, "measure", lambda *_: 1 / 0)
    failed = run(tmp_path, "learned", "two-stage", trials=2, together=2)
    assert all("ZeroDivisionError" in outcome.failed for outcome in failed)
    folders = sorted(path.name for path in (tmp_path / "runs").rglob("vae-*"))
    assert len(folders) == 1 and re.fullmatch(r"vae-[0-9a-f]{8}-0\.\.1", folders[0])
    monkeypatch.undo()
    run(tmp_path, "learned", trials=1)  # asked for alone: it too goes on from what is there
    outcomes = run(tmp_path, "learned", "two-stage", trials=3, together=3)
    assert [o.record["seconds"]["resumed"] for o in outcomes] == [
        True,
        True,
        True,
        True,
        False,
        False,
    ]
    assert [o.record["arithmetic"]["together"] for o in outcomes] == [2, 2, 2, 2, 1, 1]
    assert not list((tmp_path / "runs").rglob("*"))


def test_the_folders_of_trials():
    from test_experiments import ONE, TINY, cells_of, folder_of, place

    cell, where = cells_of(ONE, TINY, ("digits",), ("fixed",), 1)[0], place(Path("there"))
    for trials, name in (
        ((0,), "0"),
        ((0, 1, 2, 5), "0..2+5"),
        ((3, 7), "3+7"),
        (tuple(range(200)), "0..199"),
    ):
        assert re.fullmatch(r"vae-[0-9a-f]{8}-(.*)", folder_of(cell, where, trials).name)[1] == name


def test_folders_are_found_by_their_trials(tmp_path):
    from test_experiments import ONE, TINY, cells_of, folder_of, folders_of, place

    learned, fixed = cells_of(ONE, TINY, ("digits",), ("learned", "fixed"), 1)
    expected = {(0,), (1, 2, 3, 9), (4, 6)}
    for cell in (learned, fixed):
        for trials in expected:
            folder = folder_of(cell, place(tmp_path), trials)
            folder.mkdir(parents=True)
            (folder / "stage1.state.safetensors").touch()
    assert (
        set(folders_of(learned, place(tmp_path)))
        == set(folders_of(fixed, place(tmp_path)))
        == expected
    )


def test_a_trial_that_diverges_does_not_take_the_others_with_it(tmp_path, monkeypatch):
    from test_experiments import cells, run

    real = cells.train_firsts

    def diverging(images, several, *more):
        if any(settings.seed == 1 for settings in several):
            raise training.TrainingDiverged("the loss is no longer finite at step 3")
        return real(images, several, *more)

    monkeypatch.setattr(cells, "train_firsts", diverging)
    outcomes = run(tmp_path, "learned", trials=3, together=3)
    assert [bool(outcome.failed) for outcome in outcomes] == [False, True, False]
    assert (
        json.loads((tmp_path / "results" / outcomes[2].cell.path).read_text())["arithmetic"][
            "together"
        ]
        == 1
    )


def test_nor_does_one_that_diverges_in_its_second_stage(tmp_path, monkeypatch):
    from test_experiments import run

    real = densities.SecondStage.fit_codes

    def together(*_):
        raise training.OutOfMemory("cuda has too little memory")

    def alone(self, q, seed, *more):
        if seed == 1:
            raise training.TrainingDiverged("the loss is no longer finite at step 3")
        return real(self, q, seed, *more)

    monkeypatch.setattr(densities, "fit_second_stages", together)
    monkeypatch.setattr(densities.SecondStage, "fit_codes", alone)
    outcomes = run(tmp_path, "learned", "two-stage", trials=3, together=3)
    failed = [(o.cell.model, o.cell.trial) for o in outcomes if o.failed]
    assert failed == [("two-stage", 1)] and "no longer finite" in outcomes[3].failed
    monkeypatch.undo()
    assert not any(o.failed for o in run(tmp_path, "learned", "two-stage", trials=3, together=3))
    assert not list((tmp_path / "runs").rglob("*"))

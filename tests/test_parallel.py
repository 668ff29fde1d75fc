"""Several processes on one model: the curve of one process, up to rounding; what cannot be shared
is refused.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from vaelab import _processes, models, networks, training
from vaelab.data import load_images
from vaelab.training.parallel import check_shared, parallel

LAUNCH = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

SCRIPT = """
import json, sys
from pathlib import Path
import torch
from torch import distributed
from vaelab import densities, likelihoods, models, networks, training
from vaelab.data import load_images

def losses(folder):
    x, out = load_images("digits").train[:480], {}
    for name, gamma in (("learned", "learned"), ("optimal", "optimal"), ("fixed", 0.1)):
        with networks.seeded(0):
            model = models.vae(networks.mlp(x.shape[1:], 6, (32,)), gamma)
        plan = dict(batch_size=48, lr=3e-3, seed=1, flip=name == "fixed")
        plan |= dict(device="cpu", progress=False)
        run = training.fit(model, x, epochs=4, **plan, checkpoint=folder / f"{name}.safetensors")
        out[name] = {k: v.tolist() for k, v in run.history.items()}
        out[name]["weights"] = sum(p.square().sum().item() for p in model.parameters())
    for name, build in (("gp", models.rae_gp), ("sn", models.rae_sn)):
        with networks.seeded(0):
            penalised = build(networks.mlp(x.shape[1:], 6, (32,)))
        plan = dict(batch_size=48, lr=3e-3, seed=1, device="cpu", progress=False)
        run = training.fit(penalised, x, epochs=2, **plan)
        out[name] = {k: v.tolist() for k, v in run.history.items()}
    quiet = training.Session(device="cpu", progress=False)
    stage = densities.SecondStage((16,), epochs=3, batch_size=48).fit(model, x, session=quiet)
    out["second stage"] = {k: v.tolist() for k, v in stage.run.history.items()}
    return out

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        distributed.init_process_group("gloo")
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    folder.mkdir(exist_ok=True)
    (folder / f"{rank}.json").write_text(json.dumps(losses(folder)))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Losses of one process, and those that each of two processes saw."""
    root = tmp_path_factory.mktemp("parallel")
    (root / "script.py").write_text(SCRIPT)
    lines = {
        "one": [sys.executable, root / "script.py", root / "one"],
        "two": [*LAUNCH, root / "script.py", root / "two", "grouped"],
    }
    for line in lines.values():
        done = subprocess.run(
            line, check=False, capture_output=True, text=True, env=ENVIRONMENT, timeout=240
        )
        assert done.returncode == 0, done.stderr
    return {
        "root": root,
        **{
            f"{name} {rank}": json.loads((root / name / f"{rank}.json").read_text())
            for name, rank in (("one", 0), ("two", 0), ("two", 1))
        },
    }


@pytest.mark.long
@pytest.mark.parametrize("run", ["learned", "optimal", "fixed", "gp", "sn", "second stage"])
def test_two_processes_have_the_curve_of_one(both, run):
    one, two, other = (both[name][run] for name in ("one 0", "two 0", "two 1"))
    assert two == other  # both hold the same model and the same history
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=2e-5, err_msg=f"{run}, {name}")
    assert one["loss"][-1] < one["loss"][0]


@pytest.mark.long
def test_one_process_goes_on_from_what_two_saved(both):
    x = load_images("digits").train[:480]
    with networks.seeded(0):
        model = models.vae(networks.mlp(x.shape[1:], 6, (32,)))
    states = sorted((both["root"] / "two").glob("*.safetensors"))
    assert len(states) == 3
    run = training.fit(
        model,
        x,
        epochs=4,
        batch_size=48,
        lr=3e-3,
        seed=1,
        device="cpu",
        progress=False,
        checkpoint=both["root"] / "two" / "learned.safetensors",
    )
    assert run.history["loss"].tolist() == both["two 0"]["learned"]["loss"]


@pytest.mark.long
def test_the_command_line_trains_in_two_processes(tmp_path):
    told = [
        "-m",
        "vaelab",
        "train",
        "digits",
        "--epochs",
        "2",
        "--second-epochs",
        "2",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(
        [*LAUNCH, *told, "--device", "cpu"],
        check=False,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved") == 1
    assert {p.name for p in (tmp_path / "run").iterdir()} >= {"model.safetensors", "run.json"}


@pytest.fixture
def of_three(monkeypatch):
    monkeypatch.setattr(_processes, "place", lambda: (1, 3))


def test_what_cannot_be_shared_is_refused(of_three):
    cpu = torch.device("cpu")
    nets = networks.mlp((1, 8, 8), 4, (8,))
    check_shared(models.vae(nets), 99, cpu)
    with pytest.raises(
        ValueError, match=r"expected a multiple of the number of processes, 3, got 100; try 99"
    ):
        check_shared(models.vae(nets), 100, cpu)
    with pytest.raises(ValueError, match=r"MMD compares the codes of a whole batch"):
        check_shared(models.wae_mmd(nets), 99, cpu)
    with pytest.raises(ValueError, match=r"Adversary compares the codes"):
        check_shared(models.wae_gan(nets), 99, cpu)
    with pytest.raises(
        ValueError,
        match=r"batch normalisation over several processes works on CUDA alone, not on cpu",
    ):
        check_shared(models.vae(networks.infogan(1, 28)), 99, cpu)


def test_layers_are_the_model_s_own_again_afterwards(of_three, monkeypatch):
    model = models.vae(networks.infogan(1, 28, 4))
    before = dict(model.named_modules())
    norms = [
        name
        for name, m in before.items()
        if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
    ]
    monkeypatch.setattr(
        training.parallel, "DistributedDataParallel", lambda model, device_ids: model
    )
    with parallel(model, torch.device("cpu")):
        inside = dict(model.named_modules())
        assert norms and all(isinstance(inside[name], torch.nn.SyncBatchNorm) for name in norms)
        assert all(inside[name].running_mean is before[name].running_mean for name in norms)
        assert all(inside[name].weight is before[name].weight for name in norms)
    assert dict(model.named_modules()) == before

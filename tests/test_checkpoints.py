"""A saved model comes back as it was; a file is whole or not there; what is damaged or foreign is
refused.
"""

import copy
import errno
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

import vaelab
from vaelab import _files, checkpoints, densities, models, networks
from vaelab._files import CheckpointError, read_state, write_atomic, write_state
from vaelab.posteriors import DiagonalNormal


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes")
@pytest.mark.parametrize("name", ["model.safetensors", "run.json"])
@pytest.mark.parametrize("put", [lambda path: os.mkfifo(path), os.mkdir, lambda path: None])
def test_a_pipe_or_a_folder_in_a_files_place_is_refused(name, put, tmp_path):
    folder = checkpoints.save(tmp_path / "saved", make())
    (folder / name).unlink()
    put(folder / name)
    with pytest.raises((CheckpointError, FileNotFoundError)):
        checkpoints.load(folder)


def make(gamma="learned"):
    with networks.seeded(0):
        return models.vae(networks.mlp((1, 4, 4), latent_dim=3, hidden=(8,)), gamma).eval()


def test_what_was_changed_of_a_part_is_pickled_and_never_saved_as_it_was(tmp_path):
    model = make()
    model.terms["kl"].beta = 4.0
    model.encoder[0].note = "mine"
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.terms["kl"].beta == 4.0 and twin.encoder[0].note == "mine"
    with pytest.raises(ValueError, match=r"terms\.kl\.beta is 4\.0, and was 1\.0 when it was made"):
        checkpoints.save(tmp_path / "run", model)
    assert not (tmp_path / "run").exists()
    model.terms["kl"].beta = 1.0
    model.train().decoder.eval().requires_grad_(False)
    twin = pickle.loads(pickle.dumps(model))
    assert twin.encoder[0].training and not twin.decoder[0].training
    checkpoints.save(tmp_path / "run", twin)
    model.draws = 3
    with pytest.raises(ValueError, match="draws is 3, and was 1"):
        checkpoints.save(tmp_path / "other", model)


def posterior(n=40, k=3):
    mean = torch.randn(n, k, generator=torch.Generator().manual_seed(0))
    return DiagonalNormal(mean, torch.full_like(mean, 0.5), torch.full_like(mean, 0.25).log())


def second_stage():
    return densities.SecondStage((8, 8), epochs=2, batch_size=10).fit_codes(posterior())


DENSITIES = {
    "normal": lambda: densities.StandardNormal().fit_codes(posterior()),
    "gaussian": lambda: densities.Gaussian().fit_codes(posterior()),
    "mixture": lambda: densities.GaussianMixture(3).fit_codes(posterior()),
    "second stage": second_stage,
    "flow": lambda: densities.Flow(2, (8,), epochs=2, batch_size=10).fit_codes(posterior()),
}


@pytest.fixture
def folder(tmp_path):
    return checkpoints.save(
        tmp_path / "run", make(), second_stage(), {"note": "a run", "results": {"gamma": 0.1}}
    )


# ---- there and back


@pytest.mark.parametrize("density", DENSITIES)
def test_a_saved_model_draws_the_same_images(density, tmp_path):
    model, density = make(), DENSITIES[density]()
    vaelab.save(tmp_path / "run", model, density)
    before = torch.get_rng_state()
    saved = vaelab.load(str(tmp_path / "run"))
    assert torch.equal(before, torch.get_rng_state()), "the caller's random state moved"
    assert torch.equal(saved.sample(5, seed=3), model.images(density.sample(5, seed=3)))
    assert type(saved.density) is type(density) and not saved.model.training
    z = posterior().mean
    torch.testing.assert_close(saved.density.log_prob(z), density.log_prob(z))
    assert saved.model.gamma == model.gamma


def test_infogan_comes_back(tmp_path):
    with networks.seeded(0):
        model = models.vae(networks.infogan(1, 8, 3), full=True).eval()
    checkpoints.save(tmp_path, model, DENSITIES["normal"]())
    x = torch.rand(3, 1, 8, 8)
    assert torch.equal(checkpoints.load(tmp_path).model.reconstruct(x), model.reconstruct(x))


def test_the_run_travels_with_the_weights(folder):
    run = checkpoints.load(folder).run
    assert run["note"] == "a run" and run["results"] == {"gamma": 0.1}
    assert (
        run["versions"]["torch"] == torch.__version__
        and run["versions"]["vaelab"] == vaelab.__version__
    )
    assert sorted(p.name for p in folder.iterdir()) == ["model.safetensors", "run.json"]


def test_the_same_model_is_the_same_bytes(folder, tmp_path):
    again = checkpoints.save(
        tmp_path / "b", make(), second_stage(), {"note": "a run", "results": {"gamma": 0.1}}
    )
    for name in ("model.safetensors", "run.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_nothing_is_overwritten(folder):
    with pytest.raises(
        FileExistsError, match="already holds a saved model; choose another folder or delete it"
    ):
        checkpoints.save(folder, make(), second_stage())


def test_a_model_that_could_not_be_loaded_is_not_saved(tmp_path):
    model = models.vae(networks.Networks(nn.Linear(6, 4), nn.Linear(3, 6), (6,), 3, 4, nn.Linear))
    with pytest.raises(TypeError, match="a file cannot hold networks made by hand"):
        checkpoints.save(tmp_path / "run", model, DENSITIES["normal"]())
    assert not (tmp_path / "run").exists()


def test_a_density_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="not fitted yet"):
        checkpoints.save(tmp_path, make(), densities.GaussianMixture())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"density": "prior"}, TypeError, "density: expected a Density, got str"),
        (
            {"density": densities.Gaussian().fit_codes(posterior(k=4))},
            ValueError,
            "density: expected codes of the model's latent_dim=3, got 4",
        ),
        ({"run": {"model": 3}}, ValueError, "run: expected names other than model; rename them"),
        ({"run": {"sha256": 3}}, ValueError, "run: expected names other than sha256"),
        ({"run": {"a": [object()]}}, TypeError, r"run\['a'\]\[0\]: expected plain data"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        checkpoints.save(tmp_path / "run", make(), **arguments)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_get_the_usual_permissions(folder):
    usual = folder / "usual"
    usual.touch()
    assert {p.stat().st_mode for p in folder.iterdir()} == {usual.stat().st_mode}


# ---- damaged and foreign


def flips(content, n, seed=0):
    """The content with one bit flipped, n times over."""
    rng = random.Random(seed)
    for _ in range(n):
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        yield content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.mark.parametrize("name", ["model.safetensors", "run.json"])
def test_every_flipped_bit_of_a_model_is_noticed(folder, name):
    path = folder / name
    header = path.read_bytes()[:2500]
    whole = path.read_bytes()
    damaged = [
        *flips(whole, 60),
        *(part + whole[len(header) :] for part in flips(header, 60, seed=1)),
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            checkpoints.load(folder)
    path.write_bytes(whole)
    checkpoints.load(folder)


def test_every_flipped_bit_of_a_state_is_noticed(tmp_path):
    path = tmp_path / "a.state.safetensors"
    write_state(
        path,
        {"w": torch.arange(6.0), "step": torch.tensor(3)},
        {"step": 3, "history": {"nll": [1.5, 0.25]}},
    )
    whole = path.read_bytes()
    for content in flips(whole, 300):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.state\.safetensors"):
            read_state(path)


@pytest.mark.parametrize("name", ["model.safetensors", "run.json"])
@pytest.mark.parametrize("keep", [0, 1, 8, 100, -2])
def test_a_truncated_file_is_refused(folder, name, keep):
    path = folder / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        checkpoints.load(folder)


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_state_is_refused(tmp_path, keep):
    path = tmp_path / "a"
    write_state(path, {"w": torch.arange(600.0)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CheckpointError, match=r"damaged or no safetensors file .*; delete it to start anew"
    ):
        read_state(path)


class Bomb:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("as_torch", [False, True])
def test_a_pickle_in_disguise_is_refused_and_not_run(folder, tmp_path, as_torch):
    bomb = Bomb(tmp_path / "exploded")
    for path in (folder / "model.safetensors", tmp_path / "a"):
        torch.save(bomb, path) if as_torch else path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or missing"):
        checkpoints.load(folder)
    with pytest.raises(CheckpointError, match="damaged or no safetensors file"):
        read_state(tmp_path / "a")
    assert not bomb.path.exists()


def test_the_package_never_unpickles_files():
    for path in Path(vaelab.__file__).parent.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        unsafe = (
            r"import pickle|(?<!safetensors\.)torch\.load\((?!.*weights_only=True)"
            r"|allow_pickle=True|pickle\.load"
        )
        found = re.search(unsafe, source)
        assert not found, f"{path.name}: {found}"


def test_foreign_files_are_refused(folder, tmp_path):
    safetensors.torch.save_file({"w": torch.zeros(3)}, tmp_path / "a")
    with pytest.raises(
        CheckpointError,
        match="expected the format 'vaelab training state 2', found \"none of vaelab",
    ):
        read_state(tmp_path / "a")
    shutil.copy(tmp_path / "a", folder / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors and run\.json do not match their checksum"
    ):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({"format": "vaelab model 9"}, "'vaelab model 9'"),
        ({}, "None"),
        ([1], "'list'"),
        (3, "'int'"),
    ],
)
def test_another_format_is_named(folder, told, found):
    (folder / "run.json").write_text(json.dumps(told))
    with pytest.raises(
        CheckpointError, match=f"expected the format 'vaelab model 2', found {found}"
    ):
        checkpoints.load(folder)


def test_parts_of_another_version_are_named(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    told = json.loads((folder / "run.json").read_text())
    told["model"]["with"]["posterior"] = {"part": "posteriors.Vampire", "with": {}}
    told["sha256"] = _files.digest(tensors, {k: v for k, v in told.items() if k != "sha256"})
    (folder / "run.json").write_text(json.dumps(told))
    with pytest.raises(
        CheckpointError,
        match=r"this version of vaelab has no posteriors\.Vampire",
    ):
        checkpoints.load(folder)


def test_missing_folders_and_files_are_named(folder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match="no such folder; expected one that `vaelab train` or"
    ):
        checkpoints.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"holds no run\.json \(not a saved model\)"):
        checkpoints.load(tmp_path)
    write_state(tmp_path / "stage1.state.safetensors", {}, {})
    with pytest.raises(
        FileNotFoundError, match="training has not finished: give the same `vaelab train` command"
    ):
        checkpoints.load(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged or missing"):
        checkpoints.load(folder)


# ---- whole or not there

KILLED = """
import os, signal, sys
from pathlib import Path
from vaelab import _files
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{how}
_files.write_atomic(Path(sys.argv[1]), b"new" * 1000)
"""
MOMENTS = {
    "before the disk has it": "os.fsync = die",
    "before the new name": "Path.replace = die",
}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_writer_killed_leaves_the_old_file(moment, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    script = KILLED.format(how=MOMENTS[moment])
    done = subprocess.run([sys.executable, "-c", script, path], check=False, timeout=120)
    assert done.returncode == -9
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2
    _files.check_writable(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(call, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), fail)
    with pytest.raises(
        OSError, match=r"could not write .*a \(No space left on device\); nothing that was there is"
    ):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/vaelab")):
        with pytest.raises(
            OSError, match=r"cannot write to .* \(.*\); choose another folder"
        ) as caught:
            checkpoints.save(folder, make(), second_stage())
        assert caught.value.errno


def test_clearing_up_leaves_other_files_alone(tmp_path):
    for name in (".hidden", "a.safetensors", ".a.safetensors.bak", f"visible{_files._PARTIAL}"):
        (tmp_path / name).touch()
    _files.check_writable(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_the_digest_knows_names_types_shapes_and_what_is_told():
    x = torch.arange(4.0)
    others = (
        {"y": x},
        {"x": x.double()},
        {"x": x.reshape(2, 2)},
        {"x": x + 1},
        {"x": x, "y": x[:0]},
    )
    digests = {_files.digest(t) for t in ({"x": x}, *others)} | {_files.digest({"x": x}, {"a": 1})}
    assert len(digests) == 7 and _files.digest({"x": x}) == _files.digest({"x": x.clone()})


# ---- files that somebody has written by hand


def forged(folder, change, tensors=None):
    """The folder with its record changed, and perhaps other tensors, under a checksum that fits."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path) if tensors is None else tensors
    safetensors.torch.save_file(tensors, path)
    record = json.loads((folder / "run.json").read_text())
    change(record)
    record["sha256"] = _files.digest(tensors, {k: v for k, v in record.items() if k != "sha256"})
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def put(*path):
    """A change of a record: the last item in the place that the others name."""
    *route, last, value = path

    def change(record):
        for key in route:
            record = record[key]
        record[last] = value

    return change


def nested(depth):
    value = "deep"
    for _ in range(depth):
        value = {"dict": {"a": value}}
    return value


def model_of(networks):
    return {"part": "models.Autoencoder", "with": {"networks": networks}}


MODEL = ("model", "with")
HUGE = {"image_shape": [1, 4, 4], "latent_dim": 3, "hidden": [30_000, 30_000]}
TRAINING = {
    "part": "training.fit",
    "with": {
        "model": {"same": 1},
        "data": [[0.5]],
        "epochs": 1,
        "checkpoint": "written.safetensors",
    },
}
FORGERIES = {
    "a part that comes later": (put(*MODEL, "posterior", {"same": 99}), "stands before it, got 99"),
    "a negative number": (put(*MODEL, "posterior", {"same": -1}), "stands before it, got -1"),
    "a number that is none": (put(*MODEL, "posterior", {"same": True}), "it, got True"),
    "the part itself": (put(*MODEL, "posterior", {"same": 0}), "stands before it, got 0"),
    "no account": (put("model", "vae"), "expected the account of a part, got vae"),
    "no model": (lambda record: record.pop("model"), "model"),
    "arguments without names": (put("model", "with", [1]), "do not fit"),
    "a density as a model": (
        put("model", {"part": "densities.StandardNormal", "with": {}}),
        "expected the account of a Autoencoder, got a StandardNormal",
    ),
    "a model as a density": (
        lambda record: record.update(density=record["model"]),
        "expected the account of a Density, got a Autoencoder",
    ),
    "a model as networks": (
        lambda record: record.update(model=model_of(model_of(record["model"]["with"]["networks"]))),
        r"networks: expected a Networks, got Autoencoder",
    ),
    "the loop": (put(*MODEL, "prior", TRAINING), r"has no training\.fit"),
    "the loop as an argument": (
        put(*MODEL, "prior", {"maker": "training.fit"}),
        r"has no training\.fit",
    ),
    "a class for a part": (
        put(*MODEL, "prior", {"maker": "priors.StandardNormal"}),
        "expected a Prior, got .*StandardNormal",
    ),
    "an argument too many": (put(*MODEL, "vampires", 3), "vampires"),
    "another latent dimension": (put("latent_dim", 4), "latent_dim: 4 and 3"),
    "huge layers": (
        put(*MODEL, "networks", {"part": "networks.mlp", "with": HUGE}),
        "far more than the file holds",
    ),
    "a huge second stage": (
        put("density", "with", "hidden", [30_000, 30_000]),
        "far more than the file holds",
    ),
    "more blocks than anyone can build": (
        put(
            *MODEL,
            "networks",
            {
                "part": "networks.resnet",
                "with": {"channels": 1, "side": 2, "n_scales": 1, "base": 1, "blocks": 10**9},
            },
        ),
        "far more than the file holds",
    ),
    "a number beyond all sizes": (
        put(*MODEL, "networks", {"part": "networks.mlp", "with": {**HUGE, "hidden": [10**30]}}),
        "do not fit",
    ),
    "deep nesting": (put("model", nested(200)), "expected the account of a part"),
    "deeper nesting": (put(*MODEL, "prior", nested(400)), "do not fit"),
    "the first format": (put("format", "vaelab model 1"), "do not fit"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_record_is_refused_with_its_reason(name, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    change, message = FORGERIES[name]
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(forged(folder, change))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_nesting_beyond_every_limit_is_refused(folder):
    text = (folder / "run.json").read_text()
    for deep in ("[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, "1" * 5000):
        (folder / "run.json").write_text(text.replace('"note": "a run"', f'"note": {deep}'))
        with pytest.raises(CheckpointError):
            checkpoints.load(folder)


@pytest.mark.skipif(os.name != "posix", reason="resource")
def test_a_refused_giant_takes_no_memory(folder):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name in ("huge layers", "a huge second stage"):
        with pytest.raises(CheckpointError):
            checkpoints.load(forged(folder, FORGERIES[name][0]))
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert taken < 2**20, f"{taken} KiB"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model.likelihood.log_gamma", torch.tensor(float("nan")), "NaN or infinite"),
        ("model.likelihood.log_gamma", torch.zeros(3), "size mismatch"),
        ("model.likelihood.vampire", torch.zeros(3), "vampire"),
        ("density.vampire", torch.zeros(3), "vampire"),
        ("vampire.weight", torch.zeros(3), "do not fit"),
    ],
)
def test_forged_tensors_are_refused(folder, name, value, message):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        checkpoints.load(forged(folder, lambda record: None, {**tensors, name: value}))


def test_a_missing_tensor_is_refused(folder):
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors.pop("model.likelihood.log_gamma")
    with pytest.raises(CheckpointError, match="Missing key"):
        checkpoints.load(forged(folder, lambda record: None, tensors))


@pytest.mark.parametrize("name", ["density.sample", "density.weights", "density.__class__"])
def test_tensors_of_a_mixture_are_those_of_one(name, tmp_path):
    run = checkpoints.save(tmp_path / "run", make(), DENSITIES["mixture"]())
    tensors = safetensors.torch.load_file(run / "model.safetensors")
    with pytest.raises(CheckpointError, match="a mixture: expected tensors of shapes"):
        checkpoints.load(forged(run, lambda record: None, {**tensors, name: torch.ones(9)}))


class Cube(densities.Density):
    def fit_codes(self, q, seed=0):
        self.latent_dim = q.mean.shape[1]
        self.low = q.mean.amin(0)
        return self

    def sample(self, n, seed=0):
        return self.low.expand(n, -1)

    def state_dict(self):
        return {"low": self.low}


def test_a_tensor_never_takes_the_place_of_a_method(tmp_path):
    run = checkpoints.save(tmp_path / "run", make(), Cube().fit_codes(posterior()))
    tensors = safetensors.torch.load_file(run / "model.safetensors")
    forged(run, lambda record: None, {**tensors, "density.sample": torch.ones(3)})
    with pytest.raises(CheckpointError, match="expected something learned, got 'sample'"):
        checkpoints.load(run, parts=[Cube])


class Counted(models.Autoencoder):
    def __init__(self, networks):
        super().__init__(networks)
        self.register_buffer("seen", torch.tensor([True, False]))
        self.register_buffer("steps", torch.tensor(2**40 + 1))


def test_types_of_tensors_are_kept(tmp_path):
    with networks.seeded(0):
        model = Counted(networks.mlp(3, latent_dim=2)).double().eval()
    again = checkpoints.load(checkpoints.save(tmp_path / "run", model), parts=[Counted])
    for name, value in model.state_dict().items():
        other = again.model.state_dict()[name]
        assert other.dtype == value.dtype and torch.equal(other, value), name
    assert {value.dtype for value in model.state_dict().values()} == {
        torch.float64,
        torch.bool,
        torch.int64,
    }


def test_parts_are_classes_and_functions_of_different_names(folder):
    class Counted(models.Autoencoder):
        pass

    with pytest.raises(ValueError, match="two of them are called 'Counted'"):
        checkpoints.load(folder, parts=[Counted, globals()["Counted"]])
    with pytest.raises(TypeError, match="parts: expected classes and functions, got"):
        checkpoints.load(folder, parts=[make()])


def test_a_part_that_shadows_a_name_of_the_package_is_another(tmp_path):
    class Gaussian(densities.Density):
        fit_codes, sample, state_dict = Cube.fit_codes, Cube.sample, Cube.state_dict

    theirs = checkpoints.save(tmp_path / "theirs", make(), DENSITIES["gaussian"]())
    ours = checkpoints.save(tmp_path / "ours", make(), Gaussian().fit_codes(posterior()))
    loaded = checkpoints.load(theirs, parts=[Gaussian])
    assert type(loaded.density) is densities.Gaussian
    assert type(checkpoints.load(ours, parts=[Gaussian]).density) is Gaussian
    with pytest.raises(CheckpointError, match=r"parts=\[Gaussian\]"):
        checkpoints.load(ours)


# ---- files of earlier versions

SAVED = Path(__file__).parent / "saved"


@pytest.mark.parametrize("name", sorted(path.name for path in SAVED.iterdir()))
def test_what_the_first_format_holds_comes_back(name):
    saved = checkpoints.load(SAVED / name)
    golden = saved.run["golden"]
    image = torch.rand(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))[:4]
    mean = saved.model.codes(image).mean
    torch.testing.assert_close(mean, torch.tensor(golden["codes"]))
    assert saved.model.images(mean).sum().item() == pytest.approx(golden["images"], rel=1e-5)
    torch.testing.assert_close(saved.density.sample(3, 7), torch.tensor(golden["density"]))


def test_earlier_folders_are_of_the_first_format():
    formats = {json.loads((path / "run.json").read_text())["format"] for path in SAVED.iterdir()}
    assert formats == {"vaelab model 1"}

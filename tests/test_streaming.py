"""Data larger than memory, rows held out, patience, and what is called once an epoch."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from vaelab import cli, estimators, models, networks, training
from vaelab._arrays import Rows, as_rows, as_tensor
from vaelab.data import load_images
from vaelab.training import Plan

N = 60
PIXELS = torch.randint(0, 256, (N, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator())


class Pictures(Dataset):
    def __init__(self, make=lambda i: (PIXELS[i], i)):
        self.make = make

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.make(i)


def mapped(folder, array=None):
    array = PIXELS.numpy() if array is None else array
    path = folder / "pixels.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def make(gamma="learned", seed=0):
    with networks.seeded(seed):
        return models.vae(networks.mlp((1, 4, 4), latent_dim=2, hidden=(8,)), gamma)


def fit(data, **settings):
    settings = {"epochs": 2, "batch_size": 20, "progress": False} | settings
    return training.fit(make(), data, **settings)


def weights(run):
    return {name: value.clone() for name, value in run.model.state_dict().items()}


def same(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


SOURCES = {
    "memmap": mapped,
    "memmap of float32": lambda f: mapped(f, PIXELS.numpy().astype(np.float32) / np.float32(255)),
    "fortran memmap": lambda f: mapped(f, np.asfortranarray(PIXELS.numpy())),
    "Dataset of pairs": lambda f: Pictures(),
    "Dataset of arrays": lambda f: Pictures(lambda i: PIXELS[i].numpy()),
    "Dataset of lists": lambda f: Pictures(lambda i: [PIXELS[i], "a word"]),
    "DataLoader": lambda f: DataLoader(Pictures(), batch_size=20, shuffle=True),
    "DataLoader of tensors": lambda f: DataLoader(TensorDataset(PIXELS), batch_size=20),
    "TensorDataset": lambda f: TensorDataset(PIXELS, torch.arange(N)),
    "Subset": lambda f: Subset(Pictures(), range(N)),
    "array": lambda f: PIXELS.numpy(),
    "reversed twice": lambda f: PIXELS.numpy()[::-1].copy()[::-1],
}


@pytest.mark.parametrize("source", SOURCES)
def test_rows_read_as_they_are_asked_for_train_to_the_same_weights(source, tmp_path):
    data = SOURCES[source](tmp_path)
    run = fit(data)
    assert same(weights(run), weights(fit(PIXELS)))
    assert torch.equal(run.model.codes(data).mean, run.model.codes(PIXELS).mean)


def test_bytes_stay_bytes_and_a_file_is_not_read_whole(tmp_path):
    rows = as_rows(mapped(tmp_path))
    assert isinstance(rows, Rows) and rows.dtype == torch.uint8 and rows.shape == PIXELS.shape
    read = []
    rows.read, inner = (lambda numbers: (read.append(len(numbers)), inner(numbers))[1]), rows.read
    assert torch.equal(rows[3:5], PIXELS[3:5]) and torch.equal(rows[[7, 2]], PIXELS[[7, 2]])
    assert read == [2, 2]
    assert torch.equal(torch.cat(list(rows.split(25))), PIXELS) and max(read) == 25


def test_a_loaders_batch_size_is_the_runs_unless_given():
    loader = DataLoader(Pictures(), batch_size=12)
    settings = {"epochs": 1, "progress": False}
    assert training.fit(make(), loader, **settings).settings["batch_size"] == 12
    assert training.fit(make(), loader, batch_size=30, **settings).settings["batch_size"] == 30


def test_a_stopped_run_on_a_file_ends_in_the_same_bytes(tmp_path):
    data = mapped(tmp_path)
    settings = {"validation": 0.25, "epochs": 4}
    whole = fit(data, **settings)

    def stop(run, epoch, values):
        if epoch == 2:
            raise RuntimeError("stop")

    path = tmp_path / "state"
    with pytest.raises(RuntimeError, match="stop"):
        fit(data, checkpoint=path, checkpoint_every=0, callback=stop, **settings)
    resumed = fit(data, checkpoint=path, **settings)
    assert same(weights(resumed), weights(whole))
    assert {k: v.tolist() for k, v in resumed.history.items() if k != "lr"} == {
        k: v.tolist() for k, v in whole.history.items() if k != "lr"
    }
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(data, checkpoint=path, epochs=4, validation=0.3)


REFUSED = {
    "an iterable": (type("Stream", (IterableDataset,), {"__iter__": iter})(), "map-style Dataset"),
    "no items": (Subset(Pictures(), []), "with items"),
    "dictionaries": (Pictures(lambda i: {"image": PIXELS[i]}), "begin with one, got dict"),
    "several shapes": (Pictures(lambda i: torch.zeros(1, 4, 4 + i // 30)), "items alike"),
    "another shape": (Pictures(lambda i: torch.zeros(4, 4)), "add a channel axis, x\\[:, None\\]"),
    "not finite": (Pictures(lambda i: torch.full((1, 4, 4), float("nan"))), "NaN"),
    "words": (Pictures(lambda i: "a word"), "array of numbers"),
    "an order of its own": (
        DataLoader(Pictures(), sampler=torch.utils.data.WeightedRandomSampler([1.0] * N, N)),
        "visits every row once",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_refused(kind):
    data, message = REFUSED[kind]
    with pytest.raises((ValueError, TypeError), match=message):
        fit(data)


def test_streamed_values_are_checked_as_those_in_memory():
    ce = models.ce_vae(networks.mlp((1, 4, 4), latent_dim=2, hidden=(8,), output="sigmoid"))
    data = Pictures(lambda i: torch.full((1, 4, 4), 2.0))
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\]"):
        training.fit(ce, data, epochs=1, progress=False)


def test_pictures_of_a_data_set_are_taken():
    image = pytest.importorskip("PIL.Image")
    grey = Pictures(lambda i: (image.fromarray(PIXELS[i, 0].numpy()), i))
    assert torch.equal(as_rows(grey)[:], PIXELS)
    colour = image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
    rows = as_rows(Pictures(lambda i: colour))[:2]
    assert rows.shape == (2, 3, 4, 4) and rows[0, :, 0, 1].tolist() == [3, 4, 5]
    with pytest.raises(ValueError, match="grey \\(L\\) or RGB, got RGBA"):
        as_rows(Pictures(lambda i: colour.convert("RGBA")))


def test_held_out_rows_are_not_trained_on(tmp_path):
    """Whatever the held-out rows hold, the weights are the same; their loss is not."""
    rows = training.batches.feed(make(), PIXELS, torch.device("cpu"))
    kept, out = (part.numbers for part in training.validation.split(rows, 0.2, 0))
    assert sorted(torch.cat([kept, out]).tolist()) == list(range(N)) and len(out) == 12
    other = PIXELS.clone()
    other[out] = 255 - other[out]
    one, two = (fit(x, validation=0.2, epochs=3) for x in (PIXELS, other))
    assert same(weights(one), weights(two))
    assert (one.history["loss"] == two.history["loss"]).all()
    assert (one.history["validation"] != two.history["validation"]).all()


def test_the_validation_loss_is_the_mean_of_the_terms_on_these_rows():
    held = torch.rand(50, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    run = fit(PIXELS, validation=held, seed=3)
    plain = fit(PIXELS, seed=3)
    assert same(weights(run), weights(plain))  # It draws from no generator of the run.
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        parts = [run.model.loss_terms(x, generator) for x in held.tensor_split(3)]
    brute = sum(float(v.sum()) for terms in parts for v in terms.values()) / len(held)
    assert run.history["validation"][-1] == pytest.approx(brute, rel=1e-5)
    assert "validation" not in plain.history


def test_patience_stops_so_many_epochs_after_the_lowest_loss(tmp_path):
    held = torch.rand(N, 1, 4, 4, generator=torch.Generator().manual_seed(2))
    settings = {"validation": held, "patience": 3, "epochs": 400, "lr": 3e-2}
    path = tmp_path / "state"
    run = fit(PIXELS.float() / 255, checkpoint=path, **settings)
    losses = run.history["validation"]
    assert len(losses) < 400 and len(losses) - 1 - losses.argmin() == 3
    again = fit(PIXELS.float() / 255, checkpoint=path, **settings)
    assert len(again.history["loss"]) == len(losses) and same(weights(again), weights(run))


def test_a_callback_sees_every_epoch_and_changes_nothing():
    seen = []

    def look(run, epoch, values):
        run.model.eval()
        torch.randn(3)
        seen.append((epoch, values["loss"], len(run.history["loss"])))

    run = fit(PIXELS, callback=look, epochs=3)
    assert seen == [(i + 1, run.history["loss"][i], i + 1) for i in range(3)]
    assert same(weights(run), weights(fit(PIXELS, epochs=3)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_callback_has_the_model_as_it_is_afterwards(precision):
    """What it measures trains nothing, and what it copies is the model of that epoch."""
    held, seen = PIXELS[:20] / 255, []

    def objective(model):
        with torch.no_grad():
            return model.loss_terms(held, torch.Generator().manual_seed(0))

    def look(run, epoch, values):
        seen.append((objective(run.model), objective(copy.deepcopy(run.model).eval())))

    settings = {"precision": precision, "beta_schedule": training.Ramp(1.0), "keep_every": 1}
    runs = [
        training.fit(model, PIXELS, epochs=3, batch_size=20, progress=False, **settings, **more)
        for model, more in ((make("optimal"), {"callback": look}), (make("optimal"), {}))
    ]
    assert same(*map(weights, runs))
    for (inside, copied), (_, twin) in zip(seen, runs[1].saved, strict=True):
        assert same(inside, objective(twin)) and same(copied, objective(twin))


def test_patience_weighs_the_whole_kl_while_beta_rises():
    held = PIXELS[:20] / 255
    run = fit(PIXELS, validation=held, beta_schedule=training.Ramp(1.0), keep_every=1, epochs=4)
    rows = training.batches.feed(run.model, held, torch.device("cpu"))
    measured = training.validation.HeldOut(rows, torch.device("cpu"), 0, 20)
    expected = [measured.loss(model) for _, model in run.saved]
    assert run.history["validation"].tolist() == pytest.approx(expected, rel=1e-6)


def test_no_held_out_row_is_measured_alone():
    with networks.seeded(0):
        model = models.wae_mmd(networks.mlp((1, 4, 4), latent_dim=2, hidden=(8,)))
    run = training.fit(model, PIXELS, epochs=1, batch_size=2, validation=5 / N, progress=False)
    assert np.isfinite(run.history["validation"]).all()


@pytest.mark.parametrize(
    "settings",
    [
        {"validation": 1.0},
        {"validation": 0.001},
        {"validation": True},
        {"validation": "some"},
        {"validation": torch.zeros(5, 1, 3, 3)},
        {"patience": 2},
        {"validation": 0.2, "patience": 0},
        {"callback": 3},
    ],
)
def test_settings_that_mean_nothing_are_refused(settings):
    *_, name = settings
    with pytest.raises((ValueError, TypeError), match=f"{name}|images|share"):
        fit(PIXELS, **settings)


@pytest.mark.parametrize("settings", [{"validation": 0.1}, {"patience": 1}])
def test_models_trained_together_hold_nothing_out(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}: expected nothing for models trained"):
        training.fit_together([make(), make()], PIXELS, Plan(1, **settings), seeds=[0, 1])


def test_arrays_of_every_kind_are_one():
    x = np.arange(24, dtype=np.float32).reshape(6, 4) / 24
    expected = torch.from_numpy(x.copy())
    kinds = [
        x, x[::-1][::-1], np.asfortranarray(x), x.astype(">f4"), x.astype(np.longdouble),
        list(x), x.tolist(), [torch.from_numpy(row) for row in x], x.astype(object),
        np.ma.array(x), np.broadcast_to(x, (6, 4)), memoryview(x),
    ]  # fmt: skip
    for kind in kinds:
        assert torch.allclose(as_tensor(kind).float(), expected), type(kind)
    frozen = x.copy()
    frozen.flags.writeable = False
    assert torch.equal(as_tensor(frozen), expected)


@pytest.mark.parametrize(
    "x",
    [
        "words",
        [["a", "b"]],
        [[1.0], [1.0, 2.0]],
        np.array([1 + 1j]),
        np.array(["2020-01-01"], dtype="datetime64"),
        np.ma.array([1.0, 2.0], mask=[True, False]),
        torch.eye(2).to_sparse(),
        [torch.zeros(2), torch.zeros(3)],
        None,
        {"a": 1},
        object(),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_holds_no_numbers_is_refused_in_our_words(x):
    with pytest.raises((TypeError, ValueError), match=r"^images: (expected|1 values are masked)"):
        as_tensor(x)


def folder_of_pictures(root, n=40, classes=("a", "b")):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for i in range(n):
        place = root / classes[i % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{i}.png")
    return root


def test_a_folder_may_stay_on_the_disk(tmp_path, monkeypatch):
    folder = folder_of_pictures(tmp_path / "set")
    whole, streamed = (load_images(folder, stream=stream) for stream in (False, True))
    assert isinstance(streamed.train_pixels, Rows)
    assert torch.equal(streamed.train_pixels[:], whole.train_pixels)
    assert torch.equal(streamed.test_pixels, whole.test_pixels)
    assert torch.equal(streamed.train_labels, whole.train_labels)
    assert torch.equal(streamed.train, whole.train)
    assert streamed.fingerprint() == whole.fingerprint()
    monkeypatch.setattr("vaelab.data.stacks._HELD", 3)
    fewer = load_images(folder, stream=True)
    assert len(fewer.test_pixels) == len(fewer.test_labels) == 3
    assert "3 of 4 test pictures are used." in fewer.notes[-1]
    (folder / "a" / "0.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="cannot be read again"):
        streamed.train_pixels[:]
    with pytest.raises(ValueError, match="for folders of pictures"):
        load_images("digits", stream=True)


def test_train_on_a_folder_that_stays_on_the_disk_ends_in_the_same_weights(tmp_path, capsys):
    folder = folder_of_pictures(tmp_path / "set")
    command = ["train", str(folder), "--network", "mlp", "--latent-dim", "2", "--batch-size", "9"]
    command += ["--epochs", "2", "--second-epochs", "2", "--validation", "0.25", "--device", "cpu"]
    for out, more in (("one", []), ("two", ["--stream"])):
        assert cli.main([*command, "--out", str(tmp_path / out), *more]) == 0
    capsys.readouterr()
    one, two = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("one", "two"))
    assert one == two
    history = (tmp_path / "two" / "history.csv").read_text().splitlines()
    assert "validation" in history[0] and len(history) == 5


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module on Windows")
def test_a_set_three_times_as_large_as_what_the_process_grows_by(tmp_path):
    """96 MB of pictures, of which no more than 32 MB are ever in memory."""
    path = tmp_path / "pixels.npy"
    pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (2**15, 3, 32, 32))
    pixels[:] = np.arange(32, dtype=np.uint8)
    pixels.flush()
    program = Path(__file__).with_name("memory_of_a_stream.py")
    done = subprocess.run(
        [sys.executable, program, path], check=True, capture_output=True, text=True, timeout=300
    )
    assert pixels.nbytes == 96 * 2**20 and float(done.stdout) < 32


# ---- estimators


def test_an_estimator_takes_a_file_a_data_set_and_a_loader_as_their_pixels(tmp_path):
    made = {"epochs": 2, "hidden": (4,), "random_state": 0}
    expected = estimators.TwoStageVAE(2, second_epochs=2, **made).fit(PIXELS)
    loader = DataLoader(Pictures(), batch_size=7, shuffle=True)
    for source in (mapped(tmp_path), Pictures(), loader):
        fitted = estimators.TwoStageVAE(2, second_epochs=2, **made).fit(source)
        np.testing.assert_allclose(fitted.transform(source), expected.transform(PIXELS), atol=1e-3)
        assert fitted.sample().dtype == np.float32 and fitted.n_features_in_ == 16
    with pytest.raises(ValueError, match=r"images of shape \(1, 4, 4\), as in fit, got"):
        fitted.transform(Pictures(lambda i: PIXELS[i, :, :2]))
    with pytest.raises(ValueError, match="add a channel axis"):
        estimators.VAE(2).fit(Pictures(lambda i: PIXELS[i, 0]))
    with pytest.raises(ValueError, match="X: expected finite rows"):
        estimators.VAE(2).fit(Pictures(lambda i: PIXELS[i] / 0.0))

"""Images come as they were stored, split the same way everywhere, and bad input is answered in
words.
"""

import colorsys
import dataclasses
import doctest
import errno
import gzip
import hashlib
import itertools
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tempfile
import tracemalloc
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vaelab import data
from vaelab.data import __main__ as command
from vaelab.data import drawn, load_images
from vaelab.data.folders import list_folder, split_kind
from vaelab.data.pictures import Reading, colour_of, read_picture

IDX_FILES = data.grey.IDX_FILES


def write_idx(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.astype(np.uint8).tobytes())


def write_set(root, folder, n_train=12, n_test=5):
    """A tiny data set in torchvision's layout; returns its training pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (n_train + n_test, 28, 28))
    pixels[:, 0, :2] = 0, 255
    for prefix, part in (("train", pixels[:n_train]), ("t10k", pixels[n_train:])):
        write_idx(root / folder / "raw" / f"{prefix}-images-idx3-ubyte", part)
        write_idx(root / folder / "raw" / f"{prefix}-labels-idx1-ubyte", np.arange(len(part)) % 10)
    return pixels[:n_train]


def write_pictures(folder, n, size=(6, 6), colour=False, suffix="png", start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        rng = np.random.default_rng(i)
        shape = (size[1], size[0], 3) if colour else (size[1], size[0])
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(
            folder / f"{i:03}.{suffix}"
        )


def everything(images):
    """The bytes of all pictures, those to train on first."""
    return torch.cat([images.train_pixels, images.test_pixels])


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, real_root):  # after real_root, which reads it
    monkeypatch.delenv("VAELAB_DATA", raising=False)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


# ---- the pictures that ship with the package ----------------------------------------------------


def test_the_small_fashion_set_comes_with_the_package(no_network):
    images = load_images("fashion-small", download=False)
    assert images.train_pixels.shape == (5000, 1, 28, 28)
    assert images.train_pixels.dtype == torch.uint8 and images.classes[9] == "Ankle boot"
    assert (images.train_labels.bincount() == 500).all()
    assert (images.test_labels.bincount() == 100).all()
    for pixels in (images.train_pixels, images.test_pixels):
        hashes = [hashlib.sha256(picture.numpy().data).digest() for picture in pixels]
        assert all(a < b for a, b in itertools.pairwise(hashes))  # so none is there twice
    folder = data.shipped.FILE.parent
    assert "MIT License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "Zalando" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_small_fashion_set_is_rebuilt_from_any_copy(real_root, tmp_path, capsys):
    if real_root is None:
        pytest.skip("Fashion-MNIST is not at hand")
    written = tmp_path / "rows.gz"
    command.main(["--data", str(real_root), "--out", str(written)])
    content = gzip.decompress(written.read_bytes())
    assert content == gzip.decompress(data.shipped.FILE.read_bytes())
    assert data.shipped.SHA256 in capsys.readouterr().out
    fashion = load_images("fashion", real_root)
    order = torch.randperm(60_000, generator=torch.Generator().manual_seed(0))
    pixels, labels = fashion.train_pixels[order], fashion.train_labels[order]
    shuffled = dataclasses.replace(fashion, train_pixels=pixels, train_labels=labels)
    assert data.shipped.pack_rows(shuffled) == content


def test_a_torn_or_changed_file_of_the_small_fashion_set_is_refused():
    packed = data.shipped.FILE.read_bytes()
    content = bytearray(gzip.decompress(packed))
    content[12345] ^= 1
    for damaged in (packed[:-9], b"", packed[:2000] + packed[2001:], gzip.compress(content, 1)):
        with pytest.raises(ValueError, match=r"rows\.gz is damaged .*python -m vaelab\.data"):
            data.shipped.read_rows(damaged)


# ---- shapes drawn by code ------------------------------------------------------------------------


def test_shapes_come_with_the_factors_that_made_them():
    images = load_images("shapes", download=False)
    assert images.train_pixels.shape == (5000, 3, 32, 32) and images.classes == drawn.SHAPES
    assert images.factors == tuple(drawn.RANGES) and images.train_factors.shape == (5000, 7)
    assert torch.equal(images.train_labels, images.train_factors[:, 0].long())
    assert torch.equal(drawn.paint(images.test_factors[:50]), images.test_pixels[:50])
    for column, (low, high) in zip(images.train_factors.T, drawn.RANGES.values(), strict=True):
        assert low <= column.min() and column.max() <= high


def test_the_same_seed_paints_the_same_bytes_on_each_machine():
    images = data.shapes(1000, 100)
    sha = hashlib.sha256(everything(images).numpy().data).hexdigest()
    assert sha == "6104dbb121afbfdc068baa97c012af3e8318f929aa5b434614137853919d01e8"
    assert torch.equal(data.shapes(1000, 100).train_pixels, images.train_pixels)
    assert not torch.equal(data.shapes(1000, 100, seed=1).train_pixels, images.train_pixels)


def test_the_factors_are_seen_in_the_pictures():
    """Ground, hue, place, size and slant, each measured on the pixels alone."""
    images = data.shapes(300, 10, seed=2)
    x = images.train.double()
    factors = dict(zip(images.factors, images.train_factors.T, strict=True))
    corner = x[:, :, 0, 0]
    assert (corner - factors["background"][:, None]).abs().max() < 1 / 255
    span = (x - corner[:, :, None, None]).abs().sum(1)
    cover = span / span.amax((1, 2), keepdim=True)
    mass, place = cover.sum((1, 2)), torch.arange(32.0) - 15.5
    assert ((mass / torch.pi).sqrt() / factors["size"] - 1).abs().max() < 0.03
    down = (cover.sum(2) * place).sum(1) / mass
    across = (cover.sum(1) * place).sum(1) / mass
    assert (down - factors["y"]).abs().max() < 0.1 and (across - factors["x"]).abs().max() < 0.1
    v, u = place[:, None] - down[:, None, None], place - across[:, None, None]
    shear = (cover * u * v).sum((1, 2)) / (cover * v * v).sum((1, 2))
    assert (shear - factors["slant"]).abs().max() < 0.05
    top = cover.flatten(1).argmax(1)
    rgb = x.flatten(2).gather(2, top[:, None, None].expand(-1, 3, 1)).squeeze(2)
    hue = torch.tensor([colorsys.rgb_to_hsv(*each)[0] for each in rgb.tolist()])
    assert (hue - factors["hue"]).abs().max() < 0.02


def test_only_what_is_asked_for_varies():
    images = data.shapes(200, 10, vary=("x", "y"))
    spread = dict(zip(images.factors, images.train_factors.std(0), strict=True))
    assert [name for name, sd in spread.items() if sd > 1e-12] == ["x", "y"]
    with pytest.raises(ValueError, match=r"vary: expected one of .* did you mean 'hue'"):
        data.shapes(10, 10, vary=("hues",))
    with pytest.raises(ValueError, match="n_test"):
        data.shapes(10, 0)


# ---- bytes until floats are asked for ------------------------------------------------------------


def test_a_byte_set_stays_bytes_and_gives_floats_when_asked(tmp_path):
    pixels = torch.from_numpy(write_set(tmp_path, "MNIST")).byte().unsqueeze(1)
    images = load_images("mnist", tmp_path, download=False)
    assert torch.equal(images.train_pixels, pixels)
    assert images.test_pixels.dtype == torch.uint8
    assert torch.equal(images.train, pixels.float() / 255)
    subset = dataclasses.replace(images, train_pixels=images.train_pixels[[4, 2]])
    assert subset.train_pixels.dtype == torch.uint8
    assert torch.equal(subset.train, images.train[[4, 2]])
    assert torch.equal(data.unit(images.train_pixels[3:5]), images.train[3:5])


def test_what_came_as_floats_or_was_resized_stays_floats(tmp_path):
    digits = load_images("digits")
    assert digits.train_pixels.dtype == torch.float32 and digits.train is digits.train_pixels
    write_set(tmp_path, "MNIST")
    plain, small = (load_images("mnist", tmp_path, side=side) for side in (None, 14))
    assert small.train_pixels.dtype == torch.float32
    resized = torch.nn.functional.interpolate(
        plain.train, (14, 14), mode="bilinear", antialias=True
    )
    assert torch.equal(small.train, resized.clamp(0, 1))


def test_blocks_change_neither_the_fingerprint_nor_what_is_resized(tmp_path, monkeypatch):
    write_set(tmp_path, "MNIST")
    images, small = (load_images("mnist", tmp_path, side=side) for side in (None, 9))
    monkeypatch.setattr(data.images, "_BLOCK", 5)
    assert load_images("mnist", tmp_path).fingerprint() == images.fingerprint()
    assert images.fingerprint() == hashlib.sha256(images.train.numpy()).hexdigest()
    assert torch.equal(load_images("mnist", tmp_path, side=9).train_pixels, small.train_pixels)


MEMORY = """
import resource, sys
import torch
from vaelab.data import load_images, unit

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

small, root, name = sys.argv[1:]
load_images(small)
before = peak()
images = load_images(name, root=root or None)
batch = unit(images.train_pixels[torch.arange(0, len(images.train_pixels), 2000)])
size = images.train_pixels.numel() + images.test_pixels.numel()
print((peak() - before) / size, size)
"""


@pytest.mark.long
def test_a_byte_set_takes_its_own_size_and_no_floats_of_it(tmp_path):
    write_set(tmp_path, "MNIST")
    raw = tmp_path / "MNIST" / "raw"
    n = 100_000  # 78 MB of bytes
    pixels = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    write_idx(raw / "train-images-idx3-ubyte", pixels)
    write_idx(raw / "train-labels-idx1-ubyte", np.zeros(n))
    write_pictures(tmp_path / "large", 12, (3000, 2000), suffix="bmp")
    write_pictures(tmp_path / "small", 3)
    for name, root in (("mnist", tmp_path), (tmp_path / "large", "")):
        arguments = [sys.executable, "-c", MEMORY, tmp_path / "small", root, name]
        out = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        times, size = map(float, out.split())
        assert size > 7e7 and times < 2.5


def test_data_that_are_constant_or_nearly_are_refused_by_name(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((4, 4), 100 + i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match=rf"{tmp_path.name}: expected images that differ, got the"):
        load_images(tmp_path)
    write_set(tmp_path, "MNIST")
    for prefix, n in (("train", 12), ("t10k", 5)):
        path = tmp_path / "MNIST" / "raw" / f"{prefix}-images-idx3-ubyte"
        write_idx(path, np.zeros((n, 28, 28)))
    with pytest.raises(ValueError, match="mnist: expected images that differ"):
        load_images("mnist", tmp_path)


# ---- digits --------------------------------------------------------------------------------------


def test_digits_are_scikit_learns_over_16_in_one_fixed_split():
    from sklearn.datasets import load_digits

    bunch, digits = load_digits(), load_images("digits")
    order = np.random.default_rng(0).permutation(1797)
    together = torch.cat([digits.train, digits.test])
    assert torch.equal(together[:, 0].double(), torch.from_numpy(bunch.images[order] / 16))
    assert torch.equal(
        torch.cat([digits.train_labels, digits.test_labels]), torch.from_numpy(bunch.target[order])
    )
    assert (len(digits.train), len(digits.test), digits.shape) == (1297, 500, (1, 8, 8))
    assert digits.train.dtype == torch.float32 and digits.train_labels.dtype == torch.int64
    assert digits.train.min() == 0 and digits.train.max() == 1


def test_fingerprint_is_pinned_and_sees_one_pixel():
    digits = load_images("digits")
    assert (
        digits.fingerprint() == "cf10d6d920898745ef92dab16aba3f76a55a1b9bb5eb078c757def5375f09520"
    )
    other = digits.train.clone()
    other[700, 0, 3, 3] += 1 / 16
    assert dataclasses.replace(digits, train_pixels=other).fingerprint() != digits.fingerprint()


def test_images_are_frozen_and_print_in_one_line():
    digits = load_images("digits")
    assert repr(digits) == "Images('digits': 1297 train, 500 test, shape (1, 8, 8), 10 classes)"
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.name = "other"


def test_side_resizes_a_named_set_with_antialiasing():
    small = load_images("digits", side=4)
    assert small.shape == (1, 4, 4)
    assert small.train.min() >= 0 and small.train.max() <= 1
    digits = load_images("digits")
    pooled = torch.nn.functional.avg_pool2d(digits.train, 2)
    assert (
        small.train - pooled
    ).abs().mean() < 0.1  # close to the average of each 2×2 block, not a pick of one pixel
    assert (digits.train[..., ::2, ::2] - pooled).abs().mean() > 0.15


def test_loading_touches_no_global_generator():
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    load_images("digits")
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_nothing_heavy_is_imported_for_the_digits():
    code = (
        "import sys, vaelab.data as d; assert not {'sklearn', 'PIL', 'torchvision'} & "
        "set(sys.modules); d.load_images('digits'); assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- MNIST and Fashion-MNIST ---------------------------------------------------------------------


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion", "FashionMNIST")])
def test_idx_sets_are_read_as_torchvision_reads_them(tmp_path, name, folder):
    from torchvision import datasets

    pixels = write_set(tmp_path, folder)
    images = load_images(name, tmp_path, download=False)
    theirs = getattr(datasets, folder)(tmp_path, train=False)
    assert torch.equal(images.test[:, 0], theirs.data.float() / 255)
    assert torch.equal(images.test_labels, theirs.targets)
    assert torch.equal(images.train[:, 0], torch.from_numpy(pixels).float() / 255)
    assert images.train.min() == 0 and images.train.max() == 1
    assert images.shape == (1, 28, 28) and len(images.classes) == 10
    assert images.train_labels.tolist() == [i % 10 for i in range(12)]


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_the_real_sets_have_their_known_sums(real_root, tmp_path, name):
    if real_root is None:  # the same code path on a stand-in
        write_set(tmp_path, data.grey.IDX_SETS[name][0])
        assert load_images(name, tmp_path, download=False).shape == (1, 28, 28)
        return
    images = load_images(name, real_root, download=False)
    mean, std = {"mnist": (0.1307, 0.3081), "fashion": (0.2860, 0.3530)}[name]
    assert (len(images.train), len(images.test)) == (60_000, 10_000)
    assert images.train.mean().item() == pytest.approx(mean, abs=5e-5)
    assert images.train.std().item() == pytest.approx(std, abs=5e-5)
    assert (
        images.test_labels.bincount(minlength=10).sum() == 10_000 and images.test_labels.max() == 9
    )


def test_packed_files_are_read_too(tmp_path):
    write_set(tmp_path, "MNIST")
    plain = load_images("mnist", tmp_path, download=False)
    for file in IDX_FILES:
        path = tmp_path / "MNIST" / "raw" / file
        path.with_name(f"{file}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert load_images("mnist", tmp_path, download=False).fingerprint() == plain.fingerprint()


def test_root_comes_from_the_argument_then_the_environment_then_the_checkout(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for root in (first, second):
        root.mkdir()
    monkeypatch.setenv("VAELAB_DATA", str(second))
    assert data.data_root(first) == first and data.data_root() == second
    monkeypatch.setenv("VAELAB_DATA", "")
    assert data.data_root().name in ("data", "vaelab")
    write_set(second, "MNIST")
    monkeypatch.setenv("VAELAB_DATA", str(second))
    assert len(load_images("mnist").train) == 12


def test_absent_data_names_every_file_and_the_way_out(tmp_path):
    with pytest.raises(FileNotFoundError, match="download=False") as caught:
        load_images("mnist", tmp_path, download=False)
    said = str(caught.value)
    for file in IDX_FILES:
        assert str(tmp_path / "MNIST" / "raw" / file) in said
    assert "VAELAB_DATA" in said and "root=" in said and "load_images('mnist'" in said


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_no_network_is_told_as_such(tmp_path, no_network, name):
    with pytest.raises(FileNotFoundError, match="download failed") as caught:
        load_images(name, tmp_path)
    assert "no route to host" in str(caught.value) and "train-labels-idx1-ubyte" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"<html>404</html>" * 9]
)
def test_a_damaged_file_is_named(tmp_path, spoil):
    write_set(tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte is damaged.*delete it"):
        load_images("mnist", tmp_path)


def test_images_and_labels_that_do_not_match_are_refused(tmp_path):
    write_set(tmp_path, "MNIST")
    write_idx(tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte", np.arange(11) % 10)
    with pytest.raises(ValueError, match=r"\(12, 28, 28\) and \(11,\)"):
        load_images("mnist", tmp_path)


def test_labels_and_sizes_that_do_not_fit_are_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    write_set(tmp_path, "MNIST")
    write_idx(raw / "t10k-labels-idx1-ubyte", np.array([0, 1, 2, 200, 3]))
    with pytest.raises(ValueError, match="expected labels from 0 to 9, got 200; delete"):
        load_images("mnist", tmp_path)
    write_set(tmp_path, "MNIST")
    write_idx(raw / "t10k-images-idx3-ubyte", np.zeros((5, 27, 28)))
    with pytest.raises(ValueError, match="images of one size, got 28×28 and 28×27; delete"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("n", "message"),
    [(12, "expected 9408 bytes after its header, got more"), (2**31, "its header announces")],
)
def test_no_more_is_unpacked_than_the_header_announces(tmp_path, n, message):
    write_set(tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.unlink()
    header = struct.pack(">HBB3I", 0, 8, 3, n, 28, 28)
    with gzip.open(path.with_name(f"{path.name}.gz"), "wb", 1) as file:
        file.write(header)
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"idx3-ubyte.gz is damaged .*{message}"):
        load_images("mnist", tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_file_that_is_cut_off_is_named(tmp_path, ending):
    write_set(tmp_path, "MNIST")
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    content = path.read_bytes()
    path.unlink()
    packed = gzip.compress(content) if ending else content
    path.with_name(path.name + ending).write_bytes(packed[:-100])
    with pytest.raises(ValueError, match=rf"idx3-ubyte{ending} is damaged"):
        load_images("mnist", tmp_path)


def test_both_spellings_of_an_idx_file_are_read_and_others_are_named(tmp_path):
    write_set(tmp_path, "MNIST")
    plain = load_images("mnist", tmp_path, download=False)
    raw = tmp_path / "MNIST" / "raw"
    for file in IDX_FILES:
        (raw / file).rename(raw / file.replace("-idx", ".idx"))
    again = load_images("mnist", tmp_path, download=False)
    assert again.fingerprint() == plain.fingerprint()
    (raw / "train-images.idx3-ubyte").rename(raw / "train-pictures")
    with pytest.raises(FileNotFoundError, match=r"Found in .*raw:\n  .*train-pictures\n"):
        load_images("mnist", tmp_path, download=False)
    raw.rename(tmp_path / "mnist-files")
    (tmp_path / "MNIST").rmdir()
    with pytest.raises(FileNotFoundError, match=r"Found in .*:\n  mnist-files\n"):
        load_images("mnist", tmp_path, download=False)


def test_a_root_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="root: expected an existing folder"):
        load_images("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="environment variable VAELAB_DATA"):
        load_images("mnist")


def test_a_root_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(path, content):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OSError, match=r"cannot be downloaded.*Permission denied"):
        load_images("mnist", tmp_path)


def test_a_file_in_the_way_of_the_download(tmp_path):
    (tmp_path / "MNIST").write_text("in the way")
    with pytest.raises(OSError, match="cannot be downloaded"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize(
    ("wrong", "near"), [("minst", "mnist"), ("digit", "digits"), ("fashion-mnist", "fashion")]
)
def test_an_unknown_name_is_answered_with_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"did you mean {near!r}"):
        load_images(wrong)


# ---- CIFAR-10 ------------------------------------------------------------------------------------


@pytest.fixture
def cifar_root(tmp_path, monkeypatch):
    """A tiny CIFAR-10 in the files that torchvision reads, with their checksums in place of the
    real ones.
    """
    from torchvision.datasets import CIFAR10

    folder, rng = tmp_path / CIFAR10.base_folder, np.random.default_rng(0)
    folder.mkdir()

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    def batch(n):
        return {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "labels": [i % 10 for i in range(n)],
        }

    monkeypatch.setattr(
        CIFAR10, "train_list", [write(f"data_batch_{i}", batch(4)) for i in (1, 2, 3, 4, 5)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [write("test_batch", batch(3))])
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    name, md5 = write("batches.meta", {"label_names": names})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return tmp_path


def test_cifar10_is_read_as_torchvision_reads_it(cifar_root):
    from torchvision.datasets import CIFAR10

    images = load_images("cifar10", cifar_root, download=False)
    assert repr(images) == "Images('cifar10': 20 train, 3 test, shape (3, 32, 32), 10 classes)"
    for ours, labels, theirs in (
        (images.train, images.train_labels, CIFAR10(cifar_root, train=True)),
        (images.test, images.test_labels, CIFAR10(cifar_root, train=False)),
    ):
        pixels = np.stack([np.asarray(picture) for picture, _ in theirs])
        assert np.array_equal(ours.permute(0, 2, 3, 1).numpy(), pixels.astype(np.float32) / 255)
        assert labels.tolist() == theirs.targets
    assert images.classes[3] == "cat" and images.train.dtype == torch.float32
    assert load_images("cifar10", cifar_root, side=16).shape == (3, 16, 16)


@pytest.fixture
def cifar_pictures(tmp_path):
    rng = np.random.default_rng(0)
    for part, n in (("train", 2), ("test", 1)):
        for name in "abcdefghij":
            folder = tmp_path / "cifar10" / part / name
            folder.mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(
                    folder / f"{i}.png"
                )
    (tmp_path / "cifar10" / "train" / "notes.txt").touch()
    return tmp_path


def test_cifar10_may_be_pictures_in_class_folders(cifar_pictures):
    images = load_images("cifar10", cifar_pictures, download=False)
    assert repr(images) == "Images('cifar10': 20 train, 10 test, shape (3, 32, 32), 10 classes)"
    assert (
        images.source
        == "CIFAR-10 (Krizhevsky 2009), from pictures (.png) in the data root's cifar10/."
    )
    first = np.array(Image.open(cifar_pictures / "cifar10" / "train" / "a" / "0.png"))
    assert torch.equal(
        (images.train[0] * 255).round().byte(), torch.from_numpy(first).permute(2, 0, 1)
    )
    assert load_images("cifar10", cifar_pictures, side=16).shape == (3, 16, 16)


def test_other_pictures_are_not_taken_for_cifar10(cifar_pictures):
    shutil.rmtree(cifar_pictures / "cifar10" / "test" / "j")
    shutil.rmtree(cifar_pictures / "cifar10" / "train" / "j")
    with pytest.raises(
        ValueError,
        match=r"expected CIFAR-10's pictures, 32×32 in ten class folders, got .* 9 classes",
    ):
        load_images("cifar10", cifar_pictures, download=False)
    shutil.rmtree(cifar_pictures / "cifar10" / "test")
    with pytest.raises(FileNotFoundError, match=r"expected train/ and test/ .*, got no test/"):
        load_images("cifar10", cifar_pictures, download=False)


def test_the_official_cifar10_comes_before_pictures(cifar_root):
    (cifar_root / "cifar10" / "train").mkdir(parents=True)
    assert (
        load_images("cifar10", cifar_root, download=False).source == "CIFAR-10 (Krizhevsky 2009)."
    )


def test_a_damaged_cifar10_is_not_opened(cifar_root):
    path = cifar_root / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(b"cos\nsystem\n(S'touch bad'\ntR.")  # a pickle that would run a command
    with pytest.raises(
        ValueError, match=r"cifar-10-batches-py is damaged .* delete it and load again"
    ):
        load_images("cifar10", cifar_root, download=False)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "data_batch_5"), ("celeba", "list_eval_partition.txt")]
)
def test_absent_colour_sets_are_answered_like_the_others(tmp_path, no_network, name, file):
    for arguments, reason in (({"download": False}, "download=False"), ({}, "download failed")):
        with pytest.raises(FileNotFoundError, match=f"{name}: not found, and .*{reason}") as caught:
            load_images(name, tmp_path, **arguments)
        assert file in str(caught.value) and "VAELAB_DATA" in str(caught.value)


# ---- CelebA --------------------------------------------------------------------------------------


@pytest.fixture
def faces(tmp_path):
    """A tiny CelebA: seven pictures of 178×218, in the official layout; returns root and pixels."""
    folder, rng, pixels = tmp_path / "celeba" / "img_align_celeba", np.random.default_rng(0), {}
    folder.mkdir(parents=True)
    for i, part in enumerate((0, 0, 1, 0, 2, 0, 2), start=1):
        name = f"{i:06}.jpg"
        coarse = rng.integers(0, 256, (11, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((178, 218), Image.Resampling.BICUBIC).save(
            folder / name, quality=95
        )
        pixels[name] = part, np.asarray(Image.open(folder / name))
    lines = [f"{name} {part}" for name, (part, _) in pixels.items()]
    (tmp_path / "celeba" / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return tmp_path, pixels


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [(None, (45, 173), (25, 153)), ("paper", (45, 173), (25, 153)), ("wae", (39, 179), (19, 159))],
)
def test_celeba_is_split_officially_cropped_and_resized_with_antialiasing(
    faces, crop, rows, columns
):
    root, pixels = faces
    images = load_images("celeba", root, crop=crop, download=False)
    assert repr(images) == "Images('celeba': 4 train, 2 test, shape (3, 64, 64), 0 classes)"
    for ours, which in ((images.train, 0), (images.test, 2)):
        cut = [x[slice(*rows), slice(*columns)] for part, x in pixels.values() if part == which]
        batch = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2).float() / 255
        expected = torch.nn.functional.interpolate(batch, (64, 64), mode="bilinear", antialias=True)
        assert (
            ours - expected
        ).abs().max() < 1.5 / 255  # torch's bilinear filter, which does not round to bytes
    assert f"crop {crop or 'paper'!r}" in images.source and images.train_labels is None


def test_celebas_side_can_be_chosen(faces):
    assert load_images("celeba", faces[0], side=32).shape == (3, 32, 32)


def test_what_is_wrong_with_celeba_is_said(faces):
    root, _ = faces
    with pytest.raises(
        ValueError, match="crop: expected one of 'paper', 'wae', got 'pape'; did you mean 'paper'"
    ):
        load_images("celeba", root, crop="pape")
    with pytest.raises(
        ValueError, match=r"crop: only celeba has crops .*; expected None for 'digits'"
    ):
        load_images("digits", crop="wae")
    folder = root / "celeba" / "img_align_celeba"
    (folder / "000005.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"celeba: 1 of 2 pictures are missing, the first is .*000005.jpg"
    ):
        load_images("celeba", root)
    Image.new("RGB", (64, 64)).save(folder / "000001.jpg")
    with pytest.raises(ValueError, match="expected the aligned pictures of 178×218, got 64×64"):
        load_images("celeba", root)
    partition = root / "celeba" / "list_eval_partition.txt"
    for text, message in (("000001.jpg\n", "is damaged"), ("000001.jpg 0\n", "got 1 and 0")):
        partition.write_text(text)
        with pytest.raises(ValueError, match=message):
            load_images("celeba", root)


def test_celeba_stays_bytes_and_names_what_its_download_needs(faces, tmp_path, monkeypatch):
    images = load_images("celeba", faces[0])
    assert images.train_pixels.dtype == images.test_pixels.dtype == torch.uint8
    shutil.rmtree(tmp_path / "celeba")
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'vaelab\[celeba\]'"):
        load_images("celeba", tmp_path)


# ---- folders of pictures -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp"])
@pytest.mark.parametrize("colour", [False, True])
def test_lossless_pictures_come_back_exactly(tmp_path, suffix, colour):
    write_pictures(tmp_path, 20, (6, 5), colour, suffix)
    images = load_images(tmp_path)
    assert images.shape == (3 if colour else 1, 5, 6)
    assert (len(images.train), len(images.test)) == (18, 2)
    assert images.train_labels is None and images.test_labels is None and images.classes == ()
    expected = sorted(np.asarray(Image.open(path)).tobytes() for path in tmp_path.iterdir())
    ours = everything(images).permute(0, 2, 3, 1)
    assert sorted(picture.numpy().tobytes() for picture in ours) == expected
    assert images.fingerprint() == load_images(str(tmp_path)).fingerprint()


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp", "PNG"])
def test_the_other_suffixes_are_read(tmp_path, suffix):
    write_pictures(tmp_path, 3, suffix=suffix)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._000.png").write_text("what macOS leaves behind")
    assert len(load_images(tmp_path).train) == 2


def test_class_folders_and_a_test_folder(tmp_path):
    for split, n in (("train", 4), ("test", 2)):
        for k, name in enumerate(("cat", "dog")):
            write_pictures(tmp_path / split / name, n, start=100 * k)
    images = load_images(tmp_path)
    assert images.classes == ("cat", "dog") and images.name == tmp_path.name
    assert images.train_labels.tolist() == [0] * 4 + [1] * 4 and images.test_labels.tolist() == [
        0,
        0,
        1,
        1,
    ]
    assert torch.equal(images.train[[0, 1, 4, 5]], images.test)
    expected = np.asarray(Image.open(tmp_path / "train" / "dog" / "101.png"), np.float32) / 255
    assert np.array_equal(images.train[5, 0].numpy(), expected)


def test_held_out_pictures_keep_their_labels(tmp_path):
    for k, name in enumerate("abc"):
        write_pictures(tmp_path / name, 10, start=10 * k)
    images = load_images(tmp_path)
    assert (len(images.train), len(images.test)) == (27, 3)
    for x, y in ((images.train, images.train_labels), (images.test, images.test_labels)):
        for picture, label in zip(x, y, strict=True):
            names = {
                path.parent.name
                for path in tmp_path.rglob("*.png")
                if np.array_equal(
                    np.asarray(Image.open(path), np.float32) / 255, picture[0].numpy()
                )
            }
            assert names == {images.classes[label]}


def test_one_coloured_picture_makes_all_rgb(tmp_path):
    write_pictures(tmp_path, 9)
    write_pictures(tmp_path, 1, colour=True, start=9)
    images = load_images(tmp_path)
    assert images.shape == (3, 6, 6)
    together = torch.cat([images.train, images.test])
    n_grey = (
        ((together[:, 0] == together[:, 1]) & (together[:, 1] == together[:, 2]))
        .flatten(1)
        .all(1)
        .sum()
    )
    assert n_grey == 9


def test_sixteen_bit_grey_transparency_and_rotation(tmp_path):
    grey = np.arange(36, dtype=np.uint8).reshape(6, 6) * 7
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "0.png")
    Image.fromarray(grey).save(tmp_path / "1.png")
    images = load_images(tmp_path)
    assert images.shape == (1, 6, 6)
    assert (everything(images) == torch.from_numpy(grey)).all()
    Image.new("RGBA", (6, 6), (255, 0, 0, 7)).save(tmp_path / "2.png")
    assert load_images(tmp_path).shape == (3, 6, 6)
    turned = Image.new("RGB", (4, 6))
    turned.putpixel((0, 0), (255, 255, 255))
    exif = turned.getexif()
    exif[0x0112] = 6  # "rotate by a quarter turn"
    lying = tmp_path / "lying"
    lying.mkdir()
    for i in range(2):
        turned.save(lying / f"{i}.jpg", exif=exif)
    assert load_images(lying).shape == (3, 4, 6)


def test_side_crops_the_middle_square_and_resizes(tmp_path):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 10:30] = 200, 100, 50  # the middle square alone is bright
    for i in range(2):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    Image.fromarray(picture[:, ::-1].transpose(1, 0, 2)).save(tmp_path / "2.png")
    images = load_images(tmp_path, side=8)
    assert images.shape == (3, 8, 8)
    assert (everything(images) == torch.tensor([200, 100, 50]).view(3, 1, 1)).all()


def test_mixed_sizes_ask_for_side(tmp_path):
    write_pictures(tmp_path, 2)
    write_pictures(tmp_path, 1, (7, 6), start=2)
    with pytest.raises(
        ValueError, match=r"several sizes: .*000.png is 6×6, .*002.png is 7×6; pass side="
    ):
        load_images(tmp_path)
    assert load_images(tmp_path, side=6).shape == (1, 6, 6)


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"no picture at all"]
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_broken_picture_is_named(tmp_path, suffix, spoil):
    write_pictures(tmp_path, 5, (40, 40), suffix=suffix)
    path = tmp_path / f"003.{suffix}"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(
        ValueError, match=rf"1 of 5 files cannot be read as a picture: .*003.{suffix} \(.*skip_bad"
    ):
        load_images(tmp_path)


def test_all_bad_pictures_are_named_at_once_or_left_out(tmp_path):
    write_pictures(tmp_path, 40)
    for i in range(5, 30):
        (tmp_path / f"{i:03}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="25 of 40 files cannot be read as a picture") as caught:
        load_images(tmp_path)
    message = str(caught.value)
    assert "005.png" in message and "024.png" in message and "025.png" not in message
    assert "and 5 more" in message and "skip_bad=True" in message and "\n" not in message
    images = load_images(tmp_path, skip_bad=True)
    assert len(everything(images)) == 15
    assert images.notes[-1].startswith(
        "25 of 40 files cannot be read as a picture and are left out"
    )
    assert all(note in images.source for note in images.notes)
    for path in tmp_path.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match="40 of 40 files"):
        load_images(tmp_path, skip_bad=True)


def test_the_labels_of_what_is_left_stay_right(tmp_path):
    for k, name in enumerate("ab"):
        write_pictures(tmp_path / name, 8, start=100 * k)
    (tmp_path / "a" / "000.png").write_bytes(b"")  # the first of all gives no size
    images = load_images(tmp_path, skip_bad=True)
    labels = torch.cat([images.train_labels, images.test_labels]).tolist()
    for picture, label in zip(everything(images), labels, strict=True):
        numbers = [i for i in (*range(8), *range(100, 108)) if np.array_equal(noise(i), picture[0])]
        assert numbers and numbers[0] // 100 == label


def noise(i):
    """The pixels that `write_pictures` writes under the number i."""
    return np.random.default_rng(i).integers(0, 256, (6, 6), dtype=np.uint8)


@pytest.mark.parametrize(
    "suffix", sorted({"tif", "tiff", "gif", "jfif", "jp2", "ppm", "pgm", "TGA"})
)
def test_every_format_that_pillow_reads_is_read(tmp_path, suffix):
    write_pictures(tmp_path, 5, suffix=suffix)
    images = load_images(tmp_path)
    assert images.shape == (1, 6, 6) and images.notes[1] == "No other files left out."
    if suffix != "jfif":
        expected = sorted(noise(i).tobytes() for i in range(5))
        assert sorted(picture.numpy().tobytes() for picture in everything(images)) == expected


def test_what_no_door_reads_is_counted_and_programs_are_not_run(tmp_path):
    write_pictures(tmp_path, 4)
    for i in range(8):
        (tmp_path / f"{i}.heic").touch()
        (tmp_path / f"{i}.TXT").touch()
    (tmp_path / "README").touch()
    images = load_images(tmp_path)
    left_out = "17 files left out: 8 .heic, 8 .txt, 1 without an ending"
    assert images.notes[1] == f"{left_out}." and left_out in images.source
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n%%EndComments\nshowpage\n"
    (tmp_path / "000.png").write_bytes(script)
    with pytest.raises(ValueError, match=r"000.png \(cannot identify"):
        load_images(tmp_path)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    with pytest.raises(ValueError, match=rf"found none \({left_out}\)"):
        load_images(tmp_path)


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "L", "I;16"])
@pytest.mark.parametrize(("background", "ground"), [(None, 255), ("black", 0), (0.2, 51)])
def test_what_is_seen_is_what_is_loaded(tmp_path, kind, background, ground):
    """A dark picture, of which the upper half is bright and transparent."""
    pixels = np.repeat(np.array([[200], [90]], np.uint8), 2, 0) * np.ones((1, 4), np.uint8)
    picture, options = Image.fromarray(pixels), {}
    if kind in ("RGBA", "LA"):
        picture = picture.convert(kind)
        picture.putalpha(Image.fromarray((pixels == 90).astype(np.uint8) * 255))
    elif kind == "P":
        picture = Image.fromarray((pixels == 90).astype(np.uint8), "P")
        picture.putpalette([200, 200, 200, 90, 90, 90])
        options = {"transparency": 0}
    elif kind == "L":
        options = {"transparency": 200}
    else:
        picture = Image.fromarray(pixels.astype(np.uint16) * 257)
        options = {"transparency": 200 * 257}
    for i in range(2):
        picture.save(tmp_path / f"{i}.png", **options)
    images = load_images(tmp_path, **({} if background is None else {"background": background}))
    assert everything(images).amax((0, 1, 3)).tolist() == [ground, ground, 90, 90]
    name = "white" if background is None else background
    assert f"Laid on {name} where transparent: 2 of 2 pictures." in images.notes


def test_a_coloured_ground_makes_grey_pictures_coloured(tmp_path):
    for i in range(2):
        Image.new("LA", (4, 4), (255 * i, 255 * i)).save(tmp_path / f"{i}.png")
    images = load_images(tmp_path, background="#ff0080")
    assert images.shape == (3, 4, 4)
    assert {tuple(p[:, 0, 0].tolist()) for p in everything(images)} == {(255, 0, 128), (255,) * 3}


@pytest.mark.parametrize("background", ["whit", "#12", 7, -0.1, "#ff000080", None, float("nan")])
def test_a_ground_that_is_no_colour_is_refused(tmp_path, background):
    write_pictures(tmp_path, 3)
    with pytest.raises(ValueError, match="background: expected a colour's name"):
        load_images(tmp_path, background=background)


def write_deep(folder, values, suffix="png"):
    for i, value in enumerate(values):
        Image.fromarray(value).save(folder / f"{i}.{suffix}")


@pytest.mark.parametrize(
    ("top", "dtype", "suffix", "white"),
    [
        (255, np.uint16, "png", 255),
        (4095, np.uint16, "png", 4095),
        (3900, np.uint16, "tif", 4095),
        (16383, np.uint16, "jp2", 16383),
        (70_000, np.int32, "tif", 131071),
        (255, np.float32, "tif", 255),
        (0.125, np.float32, "tif", 0.125),
        (15, np.uint8, "png", 15),
        (1, np.uint8, "bmp", 1),
    ],
)
def test_depth_is_not_guessed_from_the_container(tmp_path, top, dtype, suffix, white):
    steps = np.arange(16).reshape(4, 4) / 15
    values = [(steps * top).astype(dtype), (steps.T * top).astype(dtype)]
    write_deep(tmp_path, values, suffix)
    with pytest.raises(ValueError, match=f"pictures: expected .*such as white={white:.6g}"):
        load_images(tmp_path)
    images = load_images(tmp_path, white=white)
    expected = np.round(values[0].astype(float) / white * 255).astype(np.uint8)
    assert any(np.array_equal(picture[0], expected) for picture in everything(images))
    with pytest.raises(ValueError, match=f"got at most {top:.6g}; say which value is white"):
        load_images(tmp_path, white=white / 4)


def test_deep_and_shallow_pictures_share_one_scale(tmp_path):
    write_deep(tmp_path, [noise(0), noise(1), noise(2).astype(np.uint16) * 16])
    images = load_images(tmp_path, white=255 * 16)
    expected = sorted(noise(i).tobytes() for i in range(3))
    assert sorted(picture.numpy().tobytes() for picture in everything(images)) == expected
    assert "Of 16-bit, with 4080 for white: 1 of 3 pictures." in images.notes


def test_white_does_not_move_the_ground(tmp_path):
    """A mask of zeros and ones, of which the upper half is transparent."""
    pixels = np.array([[255, 255], [255, 255], [0, 1], [1, 0]], np.uint8)
    picture = Image.fromarray(pixels).convert("LA")
    picture.putalpha(Image.fromarray((pixels < 2).astype(np.uint8) * 255))
    for i in range(2):
        picture.save(tmp_path / f"{i}.png")
    for background, ground in (("white", 255), ("black", 0)):
        images = load_images(tmp_path, background=background, white=1)
        assert images.train_pixels[0, 0].tolist() == [[ground] * 2] * 2 + [[0, 255], [255, 0]]


def test_values_that_are_no_grey_are_bad_pictures(tmp_path):
    values = [np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4) for _ in range(9)]
    values[1][0, 0], values[2][0, 0] = np.nan, -1
    write_deep(tmp_path, values, "tif")
    with pytest.raises(ValueError, match=r"2 of 9 files .*expected finite pixel values ≥ 0"):
        load_images(tmp_path)
    assert len(everything(load_images(tmp_path, skip_bad=True))) == 7


def test_dark_colour_of_sixteen_bits_is_not_taken_for_black(tmp_path):
    for i in range(2):
        write_png(tmp_path / f"{i}.png", np.full((4, 4, 3), 3000 + 900 * i, np.uint16))
    for white in (None, 4095):
        with pytest.raises(ValueError, match=r"16-bit colour pictures: .*convert the pictures"):
            load_images(tmp_path, white=white)


def write_png(path, pixels):
    """Colour of 16 bits, which Pillow does not write."""
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


@pytest.mark.parametrize("white", [0, -1, float("nan"), float("inf"), True, "255"])
def test_white_must_be_a_value(tmp_path, white):
    write_pictures(tmp_path, 3)
    with pytest.raises(ValueError, match="white: expected a finite number > 0"):
        load_images(tmp_path, white=white)


@pytest.mark.parametrize("options", [{"background": "red"}, {"white": 9}, {"skip_bad": True}])
def test_options_of_folders_are_refused_for_named_sets(options):
    with pytest.raises(ValueError, match="are for folders of pictures"):
        load_images("digits", **options)


def test_the_first_of_several_frames_is_taken(tmp_path):
    frames = [Image.fromarray(noise(i)) for i in range(4)]
    for name in ("a.tif", "b.gif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    images = load_images(tmp_path)
    assert (everything(images) == torch.from_numpy(noise(0))).all()
    assert "Cut to the first of several frames: 2 of 2 pictures." in images.notes
    assert "All pictures are the same, or nearly." in images.notes


def test_a_folder_named_like_a_data_set_is_not_that_data_set(tmp_path):
    write_pictures(tmp_path / "digits", 3)
    assert load_images(tmp_path / "digits").name == "digits-folder"


def test_names_that_are_no_utf_8_are_written_in_ascii(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    for name in (b"\xff", b"b"):
        write_pictures(folder / os.fsdecode(name), 4)
    images = load_images(folder)
    assert images.name == r"caf\xe9" and images.classes == ("b", r"\xff")
    images.source.encode("utf-8")


# ---- how a folder is split -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAIN", "val"),
        ("Training Set", "test_set"),
        ("train_images", "Validation"),
        ("trainset", "valid"),
    ],
)
def test_one_list_of_split_names_whatever_their_case(tmp_path, train, test):
    write_pictures(tmp_path / train, 6)
    write_pictures(tmp_path / test, 3, start=50)
    images = load_images(tmp_path)
    assert (len(images.train_pixels), len(images.test_pixels)) == (6, 3)
    assert images.notes[0] == f"{train}/ is to train on, {test}/ to test on; no class folders."
    assert torch.equal(images.test_pixels[0, 0], torch.from_numpy(noise(50)))


def test_copies_of_training_pictures_among_those_to_test_are_counted(tmp_path, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4), np.uint8)
    for part, numbers in (("train", range(6)), ("test", (0, 1, 6, 7, 8))):
        (tmp_path / part).mkdir()
        for i in numbers:
            Image.fromarray(pixels[i]).save(tmp_path / part / f"{part}{i}.png")
    notes = load_images(tmp_path).notes
    assert "2 of 5 test pictures are also to train on, pixel by pixel: remove copies." in notes
    (tmp_path / "test" / "test0.png").unlink()
    (tmp_path / "test" / "test1.png").unlink()
    assert not any("pixel by pixel" in note for note in load_images(tmp_path).notes)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="expected one of 'digits'"):
        load_images("")


def test_validation_pictures_are_left_out_beside_test_pictures(tmp_path):
    for start, name in enumerate(("train", "val", "test")):
        write_pictures(tmp_path / name, 3, start=50 * start)
    images = load_images(tmp_path)
    assert (len(images.train_pixels), len(images.test_pixels)) == (3, 3)
    assert images.notes[1] == "3 files left out: 3 .png."


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("Train", "train", "test"),
            "expected one folder for train pictures, got Train/ and train/",
        ),
        (("test", "control"), "test/ names a part of a split, and there is no folder to train on"),
        (("train", "plane", "car"), "train/ names a part of a split, .*car/ beside it"),
        (("cat/train", "cat/test", "dog/train"), r"got a split inside \(cat/test/\)"),
        (
            ("archive/train", "archive/test"),
            r"got a split inside \(archive/test/\); give the folder",
        ),
        (("train/a", "train/test", "test/a"), r"got a split inside \(test/\)"),
    ],
)
def test_a_split_that_can_be_read_in_two_ways_is_refused(tmp_path, folders, message):
    for folder in folders:
        write_pictures(tmp_path / folder, 2)
    with pytest.raises(ValueError, match=message):
        load_images(tmp_path)


def test_hidden_files_and_folders_are_never_classes(tmp_path):
    for name in ("cat", "dog", ".ipynb_checkpoints", ".thumbnails", "__MACOSX", "cat/.cache"):
        write_pictures(tmp_path / name, 3)
    write_pictures(tmp_path / "empty", 0)
    (tmp_path / ".DS_Store").touch()
    images = load_images(tmp_path)
    assert images.classes == ("cat", "dog") and len(everything(images)) == 6
    how = f"Every tenth picture in {tmp_path} is held out to test on; 2 class folders."
    assert images.notes[:2] == (how, "No other files left out.")


NAMES = st.sampled_from(
    ["cat", "dog", "train", "Test", "VAL", "training set", ".hidden", "__MACOSX", "trainer"]
)
FILES = st.sampled_from(["1.png", "2.JPG", "3.txt", ".4.png", "noending", "5.heic", "6.tiff"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(paths=st.sets(st.tuples(st.lists(NAMES, max_size=3), FILES).map(lambda p: (*p[0], p[1]))))
def test_any_folder_is_listed_whole_or_refused_in_words(paths):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in paths:
            (root / Path(*path)).parent.mkdir(parents=True, exist_ok=True)
            (root / Path(*path)).touch()
        try:
            listing = list_folder(root)
        except ValueError as error:
            assert f"{error}".startswith(f"{root}")
            assert "expected" in f"{error}" or "names a part of a split" in f"{error}"
            return
        check_listing(root, listing)
        assert list_folder(root) == listing


def check_listing(root, listing):
    train, test = (
        {path.relative_to(root) for path, _ in part} for part in (listing.train, listing.test)
    )
    assert train and test and not train & test
    assert len(train) == len(listing.train) and len(test) == len(listing.test)
    kinds = [{split_kind(name) for name in path.parts[:-1]} - {None} for path in (*train, *test)]
    aside = {"test", "validation"}
    assert not any(kind & aside for kind in kinds[: len(train)])
    assert all(kind & aside for kind in kinds[len(train) :]) or not any(
        kind & aside for kind in kinds
    )
    for path, label in listing.train + listing.test:
        names = path.relative_to(root).parts
        assert not any(name.startswith(".") or name == "__MACOSX" for name in names)
        assert path.suffix.lower() in (".png", ".jpg", ".tiff")
        assert label == 0 if not listing.classes else listing.classes[label] in names
    visible = [
        path
        for path in root.rglob("*")
        if path.is_file() and not {".hidden", "__MACOSX", ".4.png"} & set(path.parts)
    ]
    n = len(visible) - len(train) - len(test)
    assert listing.notes[1].startswith(f"{n} file" if n else "No other files")


# ---- one picture ---------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "F"]),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    ground=st.sampled_from(["white", "black", "#204060"]),
    grey=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_picture_is_read_as_it_is_seen(mode, size, ground, grey, seed):
    pixels = random_pixels(mode, size, seed)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / ("a.tif" if mode == "F" else "a.png")
        colours, alpha = write_random(path, mode, pixels)
        picture = read_picture(path, Reading(background=ground), grey)
    below = np.array(colour_of(ground))
    opaque = np.ones(colours.shape[:2]) if alpha is None else alpha / 255
    seen = colours * opaque[..., None] + below * (1 - opaque[..., None])
    is_grey = colours.shape[2] == 1 and (alpha is None or len(set(below)) == 1)
    if grey and not is_grey:
        assert picture is None
        return
    assert picture.pixels.shape == (1 if grey else 3, size[1], size[0])
    assert picture.pixels.dtype == np.uint8
    assert np.abs(picture.pixels - np.moveaxis(seen, 2, 0)[: 1 if grey else 3]).max() <= 1
    was_seen_through = alpha is not None and alpha.min() < 255
    assert (f"Laid on {ground} where transparent" in picture.notes) == was_seen_through


def random_pixels(mode, size, seed):
    channels = {"LA": 2, "RGB": 3, "RGBA": 4}.get(mode, 1)
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)


def write_random(path, mode, pixels):
    """Write bytes as a picture of that mode; returns its colours (h, w, 1 or 3) and its alpha."""
    flat = pixels[..., 0]
    if mode == "1":
        Image.fromarray(flat > 127).save(path)
        return (pixels > 127) * 255.0, None
    if mode == "P":
        picture = Image.fromarray(flat % 4, "P")
        palette = np.array([[0, 0, 0], [200, 10, 30], [9, 99, 199], [255, 255, 255]], np.uint8)
        picture.putpalette(palette.tobytes())
        picture.save(path, transparency=bytes([255, 128, 0, 255]))
        return palette[flat % 4].astype(float), np.array([255, 128, 0, 255])[flat % 4]
    if mode in ("I;16", "F"):
        values = flat.astype(np.uint16) * 257 if mode == "I;16" else flat.astype(np.float32) / 255
        Image.fromarray(values).save(path)
        return pixels.astype(float), None
    Image.fromarray(pixels if pixels.shape[2] > 1 else flat).save(path)
    if mode in ("LA", "RGBA"):
        return pixels[..., :-1].astype(float), pixels[..., -1]
    return pixels.astype(float), None


def test_folders_that_make_no_data_set(tmp_path):
    with pytest.raises(ValueError, match="found none"):
        load_images(tmp_path)
    write_pictures(tmp_path, 1)
    with pytest.raises(ValueError, match=r"at least 2 pictures.*got 1"):
        load_images(tmp_path)
    write_pictures(tmp_path / "cat", 2)
    with pytest.raises(ValueError, match="got both"):
        load_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder here"):
        load_images(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="no folder here"):
        load_images(str(tmp_path / "nowhere"))


def test_train_and_test_with_other_classes_are_refused(tmp_path):
    for split, names in (("train", "ab"), ("test", "ac")):
        for name in names:
            write_pictures(tmp_path / split / name, 2)
    with pytest.raises(ValueError, match=r"same class folders.*\['a', 'b'\] and \['a', 'c'\]"):
        load_images(tmp_path)


@pytest.mark.parametrize("side", [0, -3, 2.5])
def test_side_must_be_a_size(side):
    with pytest.raises((ValueError, TypeError), match="side: expected a whole number ≥ 1"):
        load_images("digits", side=side)


@pytest.mark.parametrize("name", ["loading", "images", "pictures", "folders", "roots"])
def test_doctests(name):
    result = doctest.testmod(getattr(data, name))
    assert result.attempted and not result.failed

"""Images come as they were stored, split the same way everywhere, and bad input is answered in
words.
"""

import dataclasses
import doctest
import gzip
import hashlib
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from vaelab import data
from vaelab.data import load_images

IDX_FILES = data.idx.IDX_FILES


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


@pytest.fixture(scope="module")
def real_root():
    """The folder with the real MNIST and Fashion-MNIST, or None where they are not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for root in (os.environ.get("VAELAB_DATA"), beside):
        if root and all(
            (Path(root) / folder / "raw").is_dir() for folder in ("MNIST", "FashionMNIST")
        ):
            return Path(root)
    return None


@pytest.fixture(autouse=True)
def no_environment(monkeypatch, real_root):  # after real_root, which reads it
    monkeypatch.delenv("VAELAB_DATA", raising=False)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


# ---- digits --------------------------------------------------------------------------------------
# ------------------


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
    assert dataclasses.replace(digits, train=other).fingerprint() != digits.fingerprint()


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
        "set(sys.modules); "
        "d.load_images('digits'); assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- MNIST and Fashion-MNIST
# ---------------------------------------------------------------------------------------


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
        write_set(tmp_path, data.idx.IDX_SETS[name][0])
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


def test_a_root_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="root: expected an existing folder"):
        load_images("mnist", tmp_path / "nowhere")
    monkeypatch.setenv("VAELAB_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="environment variable VAELAB_DATA"):
        load_images("mnist")


def test_a_root_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OSError, match=r"cannot be downloaded.*permission denied"):
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
# ------------------


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
    (
        shutil.rmtree(cifar_pictures / "cifar10" / "test" / "j"),
        shutil.rmtree(cifar_pictures / "cifar10" / "train" / "j"),
    )
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
# ------------------


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
    for text, said in (("000001.jpg\n", "is damaged"), ("000001.jpg 0\n", "got 1 and 0")):
        partition.write_text(text)
        with pytest.raises(ValueError, match=said):
            load_images("celeba", root)


# ---- folders of pictures
# -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp"])
@pytest.mark.parametrize("colour", [False, True])
def test_lossless_pictures_come_back_exactly(tmp_path, suffix, colour):
    write_pictures(tmp_path, 20, (6, 5), colour, suffix)
    images = load_images(tmp_path)
    assert images.shape == (3 if colour else 1, 5, 6)
    assert (len(images.train), len(images.test)) == (18, 2)
    assert images.train_labels is None and images.test_labels is None and images.classes == ()
    everything = sorted(
        path.read_bytes() and np.asarray(Image.open(path)).tobytes() for path in tmp_path.iterdir()
    )
    ours = torch.cat([images.train, images.test]).mul(255).round().byte().permute(0, 2, 3, 1)
    assert sorted(picture.numpy().tobytes() for picture in ours) == everything
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
    deep = np.full((6, 6), 32896, np.uint16)  # 128 · 257
    Image.fromarray(deep).save(tmp_path / "0.png")
    Image.fromarray(np.full((6, 6), 128, np.uint8)).save(tmp_path / "1.png")
    images = load_images(tmp_path)
    assert images.shape == (1, 6, 6) and (torch.cat([images.train, images.test]) == 128 / 255).all()
    Image.new("RGBA", (6, 6), (255, 0, 0, 7)).save(tmp_path / "2.png")
    assert load_images(tmp_path).shape == (3, 6, 6)
    turned = Image.new("RGB", (4, 6))
    exif = turned.getexif()
    exif[0x0112] = 6  # "rotate by a quarter turn"
    lying = tmp_path / "lying"
    lying.mkdir()
    for i in range(2):
        turned.save(lying / f"{i}.jpg", exif=exif)
    assert load_images(lying).shape == (3, 4, 6)


def test_side_crops_the_middle_square_and_resizes(tmp_path):
    picture = np.zeros((20, 40, 3), np.uint8)
    picture[:, 10:30] = 200  # the middle square alone is bright
    for i in range(2):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    Image.fromarray(picture[:, ::-1].transpose(1, 0, 2)).save(tmp_path / "2.png")
    images = load_images(tmp_path, side=8)
    assert images.shape == (3, 8, 8)
    assert torch.allclose(torch.cat([images.train, images.test]), torch.tensor(200 / 255))


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
        ValueError, match=f"003.{suffix} cannot be read as a picture .*repair or remove it"
    ):
        load_images(tmp_path)


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


def test_doctests():
    assert doctest.testmod(data.loading).attempted and not doctest.testmod(data.loading).failed

"""Images to learn from: scikit-learn's digits, MNIST, Fashion-MNIST, or a folder of your own pictures.

Everything comes as float32 in [0, 1] and of shape (n, channels, height, width), training and test images apart.
The digits need no download. MNIST and Fashion-MNIST are looked for under a data root, in torchvision's layout, and
downloaded by torchvision if they are absent. The root is the argument `root`, else the environment variable
VAELAB_DATA, else the folder data/ of the checkout this package sits in, else ~/.cache/vaelab.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vaelab._inputs import check_choice, check_positive_int

NAMES = ("digits", "mnist", "fashion")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_SPLIT_SEED = 0
_N_DIGITS_TRAIN = 1297
_WORKERS = 4
_BLOCK = 256
_TIMEOUT = 30.0


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """A set of images, split once and for all into training and test images.

    Args:
        name: "digits", "mnist", "fashion", or the name of the folder.
        train: training images, float32 in [0, 1], shape (n_train, channels, height, width).
        test: test images, shape (n_test, channels, height, width).
        train_labels: class numbers, int64, shape (n_train,); None where the pictures have no classes.
        test_labels: the same for the test images, shape (n_test,).
        classes: the name of each class number; empty where there are none.
        source: a sentence on the origin of the images.
    """

    name: str
    train: Tensor
    test: Tensor
    train_labels: Tensor | None
    test_labels: Tensor | None
    classes: tuple[str, ...]
    source: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's (channels, height, width)."""
        channels, height, width = self.train.shape[1:]
        return channels, height, width

    def fingerprint(self) -> str:
        """The SHA-256 of the training pixels' float32 bytes, 64 hexadecimal digits: equal pixels, equal print."""
        return hashlib.sha256(self.train.cpu().contiguous().numpy()).hexdigest()

    def __repr__(self) -> str:
        n_train, n_test, n_classes = len(self.train), len(self.test), len(self.classes)
        return f"Images({self.name!r}: {n_train} train, {n_test} test, shape {self.shape}, {n_classes} classes)"


def load_images(
    name: str | Path, root: str | Path | None = None, download: bool = True, side: int | None = None
) -> Images:
    """Load a data set by name, or a folder of pictures by its path.

    A folder holds pictures (png, jpg, jpeg, bmp, webp), in sub-folders named after their classes or in none. If it has
    a folder train/ the pictures are looked for there and, for the test images, in test/. Without a test/ every tenth
    picture, drawn with a fixed seed, is held out. Grey pictures stay grey if all are; otherwise all become RGB.
    Transparency is dropped.

    Args:
        name: "digits" (8×8, 1297 + 500), "mnist" or "fashion" (28×28, 60,000 + 10,000), or the path of a folder.
        root: where MNIST and Fashion-MNIST lie, or shall; see the top of this module.
        download: whether to download what is absent.
        side: height and width to resize to, with antialiasing; pictures are first cropped to their central square.

    Returns:
        The images.

    Raises:
        ValueError: an unknown name; a folder with fewer than two pictures, with a broken one or with several sizes.
        FileNotFoundError: the folder, the root or the data is not there and could not be downloaded.
        OSError: the root cannot be written to.

    >>> load_images("digits")
    Images('digits': 1297 train, 500 test, shape (1, 8, 8), 10 classes)
    """
    if side is not None:
        check_positive_int("side", side)
    if name == "digits":
        return _load_digits(side)
    if name in _IDX_SETS:
        return _load_idx(str(name), data_root(root), download, side)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_folder(folder, side)
    if isinstance(name, Path) or len(folder.parts) > 1 or str(name).startswith(".") or str(name).endswith(os.sep):
        raise FileNotFoundError(f"expected a data set ({', '.join(NAMES)}) or a folder of pictures, got {str(name)!r}, "
                                "which is no folder here; check its spelling")
    check_choice("data set (or path of a folder)", name, NAMES)
    raise AssertionError("unreachable: every known name is loaded above")


def data_root(root: str | Path | None = None) -> Path:
    """The folder where downloaded data sets lie: `root`, else VAELAB_DATA, else the checkout's data/, else the cache.

    Raises:
        FileNotFoundError: `root` or VAELAB_DATA names a folder that does not exist.
    """
    chosen = root if root is not None else os.environ.get("VAELAB_DATA") or None
    if chosen is not None:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            origin = "root" if root is not None else "the environment variable VAELAB_DATA"
            raise FileNotFoundError(f"{origin}: expected an existing folder, got {str(chosen)!r}; create it first "
                                    f"(mkdir -p '{folder}') or correct its spelling")
        return folder
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file():
        return checkout / "data"
    return Path.home() / ".cache" / "vaelab"


# ---- scikit-learn's digits -----------------------------------------------------------------------------------------


def _load_digits(side: int | None) -> Images:
    """The split: numpy.random.default_rng(0).permutation(1797), its first 1297 for training, the other 500 for test."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(bunch.images))
    x = torch.from_numpy((bunch.images[order] / 16).astype(np.float32)).unsqueeze(1)
    y = torch.from_numpy(bunch.target[order].astype(np.int64))
    (train, test), (y_train, y_test) = (part.tensor_split([_N_DIGITS_TRAIN]) for part in (_resize(x, side), y))
    source = "Handwritten digits (Alpaydin & Kaynak 1998, UCI repository, the test part), as in scikit-learn."
    return Images("digits", train, test, y_train, y_test, tuple(map(str, range(10))), source)


def _resize(x: Tensor, side: int | None) -> Tensor:
    if side is None or x.shape[-2:] == (side, side):
        return x
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True).clamp_(0, 1)


# ---- MNIST and Fashion-MNIST ---------------------------------------------------------------------------------------

_IDX_SETS = {
    "mnist": ("MNIST", tuple(map(str, range(10))), "MNIST (LeCun, Cortes & Burges 1998)."),
    "fashion": (
        "FashionMNIST",
        ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        "Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, Zalando Research).",
    ),
}
_IDX_FILES = (
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
)


def _load_idx(name: str, root: Path, download: bool, side: int | None) -> Images:
    folder, classes, source = _IDX_SETS[name]
    raw = root / folder / "raw"
    if download and not _all_there(raw):
        _download(name, root)
    if not _all_there(raw):
        problem = "not found" if download else "not found, and download=False"
        raise FileNotFoundError(_what_is_expected(name, raw, problem))
    x, y, x_test, y_test = (_read_idx(raw / file) for file in _IDX_FILES)
    for images, labels in ((x, y), (x_test, y_test)):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise ValueError(f"{raw}: expected images (n, h, w) and labels (n,), got {images.shape} and "
                             f"{labels.shape}; delete this folder and load again")
    train, test = (_resize(_unit(images[:, None]), side) for images in (x, x_test))
    return Images(name, train, test, torch.from_numpy(y).long(), torch.from_numpy(y_test).long(), classes, source)


def _all_there(raw: Path) -> bool:
    return all((raw / file).is_file() or (raw / f"{file}.gz").is_file() for file in _IDX_FILES)


def _read_idx(path: Path) -> np.ndarray:
    """The array of bytes in an idx file, or in the same file packed with gzip."""
    try:
        data = path.read_bytes() if path.is_file() else gzip.decompress(path.with_name(path.name + ".gz").read_bytes())
        zero, kind, rank = struct.unpack(">HBB", data[:4])
        shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
        if (zero, kind) != (0, 8):
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape).copy()
    except (ValueError, EOFError, struct.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it and load again") from error


def _unit(pixels: np.ndarray) -> Tensor:
    """Bytes 0..255 to float32 in [0, 1], same shape."""
    return torch.from_numpy(pixels).float().div_(255)


def _download(name: str, root: Path) -> None:
    from torchvision import datasets

    kind = _IDX_SETS[name][0]
    raw = root / kind / "raw"
    _check_writable(name, raw)
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT)
    try:
        getattr(datasets, kind)(root, download=True)
    except (OSError, RuntimeError, HTTPException, EOFError) as error:
        problem = f"not found, and the download failed ({' '.join(str(error).split()) or type(error).__name__})"
        raise FileNotFoundError(_what_is_expected(name, raw, problem)) from error
    finally:
        socket.setdefaulttimeout(timeout)


def _check_writable(name: str, raw: Path) -> None:
    try:
        raw.mkdir(parents=True, exist_ok=True)
        if not os.access(raw, os.W_OK):
            raise PermissionError("permission denied")
    except OSError as error:
        problem = f"not found, and cannot be downloaded to {raw} ({error.strerror or error})"
        raise OSError(_what_is_expected(name, raw, problem)) from error


def _what_is_expected(name: str, raw: Path, problem: str) -> str:
    files = "\n".join(f"  {raw / file}" for file in _IDX_FILES)
    return (
        f"{name}: {problem}. Expected these four files, as they are or packed (.gz):\n{files}\n"
        f"With a network, this fetches them:  python -c \"import vaelab; vaelab.load_images('{name}', root='.')\"\n"
        f"If you have them, point root= (or --data, or the environment variable VAELAB_DATA) to the folder that holds "
        f"{_IDX_SETS[name][0]}/. Without either, load_images('digits') needs no download."
    )


# ---- a folder of pictures ------------------------------------------------------------------------------------------


def _load_folder(folder: Path, side: int | None) -> Images:
    split = (folder / "train").is_dir()
    train_paths, labels, classes = _list_pictures(folder / "train" if split else folder)
    test_paths: list[Path] = []
    if split and (folder / "test").is_dir():
        test_paths, test_labels, test_classes = _list_pictures(folder / "test")
        if test_classes != classes:
            raise ValueError(f"{folder}: expected the same class folders in train/ and test/, got {list(classes)} and "
                             f"{list(test_classes)}; rename or remove the odd ones")
        labels += test_labels
    paths = train_paths + test_paths
    if len(paths) < 2 or not train_paths:
        raise ValueError(f"{folder}: expected at least 2 pictures, one to train on and one to test, got {len(paths)}")
    pixels, y = _read_pictures(paths, side), torch.tensor(labels)
    train, test = np.split(np.arange(len(paths)), [len(train_paths)]) if test_paths else _hold_out(len(paths))
    source = f"{len(paths)} pictures from the folder {folder.resolve()}."
    return Images(folder.resolve().name, _unit(pixels[train]), _unit(pixels[test]),
                  y[train] if classes else None, y[test] if classes else None, classes, source)


def _hold_out(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers 0..n−1 in two ascending parts, the second a tenth of them drawn by numpy.random.default_rng(0)."""
    order = np.random.default_rng(_SPLIT_SEED).permutation(n)
    n_test = max(1, round(n / 10))
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _list_pictures(folder: Path) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """The pictures of a folder in the order of their names, their class numbers, and the classes' names.

    Two or more sub-folders with pictures make classes; otherwise the class number is 0 and there are no names.
    """
    loose = _pictures(folder.iterdir())
    inside = {sub.name: _pictures(sub.rglob("*")) for sub in sorted(folder.iterdir()) if sub.is_dir()}
    inside = {name: paths for name, paths in inside.items() if paths}
    if loose and inside:
        raise ValueError(f"{folder}: expected pictures either directly in it or in class folders, got both "
                         f"({loose[0].name} and {next(iter(inside))}/); move them to one place")
    if not loose and not inside:
        raise ValueError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none; check the path")
    groups = list(inside.values()) or [loose]
    labels = [label for label, paths in enumerate(groups) for _ in paths]
    return [path for paths in groups for path in paths], labels, tuple(inside) if len(inside) > 1 else ()


def _pictures(paths: Sequence[Path]) -> list[Path]:
    kept = (p for p in paths if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file())
    return sorted(kept, key=lambda path: path.as_posix())


def _read_pictures(paths: list[Path], side: int | None, grey: bool = True) -> np.ndarray:
    """All pictures as bytes, shape (n, channels, height, width): grey if all are, otherwise RGB.

    Decoded by a few threads, in blocks, straight into one array. The first coloured picture starts it over in RGB.
    """
    from tqdm.auto import tqdm

    first = _read_picture(paths[0], side, grey)
    if first is None:
        return _read_pictures(paths, side, grey=False)
    pixels = np.empty((len(paths), *first.shape), np.uint8)

    def read_block(start: int) -> bool:
        for i in range(start, min(start + _BLOCK, len(paths))):
            picture = _read_picture(paths[i], side, grey)
            if picture is None:
                return False
            _check_size(paths[0], first, paths[i], picture)
            pixels[i] = picture
        return True

    blocks = range(0, len(paths), _BLOCK)
    with ThreadPoolExecutor(_WORKERS) as pool:
        bar = tqdm(pool.map(read_block, blocks), "reading pictures", len(blocks), False, delay=2, unit_scale=_BLOCK)
        all_fit = all(bar)
        bar.close()
        pool.shutdown(cancel_futures=True)
    return pixels if all_fit else _read_pictures(paths, side, grey=False)


def _check_size(path: Path, picture: np.ndarray, other_path: Path, other: np.ndarray) -> None:
    if picture.shape != other.shape:
        raise ValueError(f"pictures of several sizes: {path} is {picture.shape[2]}×{picture.shape[1]}, {other_path} is "
                         f"{other.shape[2]}×{other.shape[1]}; pass side= to crop and resize them all")


def _read_picture(path: Path, side: int | None, grey: bool) -> np.ndarray | None:
    """One picture as bytes, shape (channels, height, width); None if grey is wanted and it is coloured."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            if grey and picture.mode not in ("1", "L", "LA", "I", "I;16"):
                return None
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode.startswith("I"):  # 16-bit grey, which convert("L") would clip
                picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
            if picture.mode == "P":
                picture = picture.convert("RGBA")
            picture = picture.convert("L" if grey else "RGB")
            if side is not None:
                edge = min(picture.size)
                left, top = ((length - edge) // 2 for length in picture.size)
                picture = picture.crop((left, top, left + edge, top + edge))
                picture = picture.resize((side, side), Image.Resampling.BILINEAR)
            return np.atleast_3d(np.asarray(picture)).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as a picture ({reason}); repair or remove it") from error

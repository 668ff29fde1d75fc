"""The doors for arrays, pictures, folders and what is handed over to be stored, with any input that
a strategy can think of: the right value comes, or one line that says what was expected.
"""

import json
import math
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from vaelab import load, load_images, models, networks, save
from vaelab._arrays import Rows, as_rows, as_tensor
from vaelab._inputs import check_images

few = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def in_one_line(error):
    """Whether a message says, in a line, what was expected, came, or is to be done."""
    text = str(error)
    return "\n" not in text and any(
        word in text for word in ("expected", "pass ", "remove", "fill")
    )


# ---- arrays

DTYPES = st.one_of(
    hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.boolean_dtypes()
)
SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4)


def framed(x):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x) if x.ndim == 2 else pandas.Series(list(x)) if x.ndim == 1 else x


def frozen(x):
    x = x.copy()
    x.flags.writeable = False
    return x


LAYOUTS = {
    "as it is": lambda x: x,
    "backwards": lambda x: x[::-1],
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "columns first": np.asfortranarray,
    "moved axes": lambda x: np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    "read only": frozen,
}
CONTAINERS = {
    "array": lambda x: x,
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tuple": tuple,
    "frame": framed,
    "tensor": lambda x: torch.from_numpy(x.astype(x.dtype.newbyteorder("=")).copy()),
    "set": lambda x: TensorDataset(CONTAINERS["tensor"](x)),
    "loader": lambda x: DataLoader(CONTAINERS["set"](x), batch_size=2, shuffle=True),
}


def handed(x, layout, container):
    """An array as a caller may hand it over; no tensor holds numbers of more than 64 bits."""
    x = LAYOUTS[layout](x)
    return CONTAINERS["array" if x.dtype.itemsize > 8 else container](x)


@few
@given(
    hnp.arrays(DTYPES, SHAPES),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(CONTAINERS)),
)
@example(np.arange(6, dtype=">i2").reshape(2, 3), "backwards", "array")
@example(np.zeros((2, 3), np.longdouble), "columns first", "list of arrays")
def test_an_array_comes_in_as_it_is_or_is_refused(x, layout, container):
    given_x = handed(x, layout, container)
    expected = LAYOUTS[layout](x)
    try:
        found = as_rows(given_x)
    except (TypeError, ValueError) as error:
        assert in_one_line(error)
        assert expected.dtype.kind not in "fiub"
        return
    found = found[:] if isinstance(found, Rows) else found
    values = expected.astype(np.float64)
    assert found.shape == expected.shape
    assert np.array_equal(found.numpy().astype(np.float64), values, equal_nan=True)


@few
@given(
    hnp.arrays(DTYPES, SHAPES),
    st.sampled_from(sorted(LAYOUTS)),
    st.sampled_from(sorted(CONTAINERS)),
)
def test_images_come_in_whole_and_finite_or_are_refused(x, layout, container):
    try:
        found = check_images(handed(x, layout, container), unit=True)
    except (TypeError, ValueError) as error:
        assert str(error).startswith("images: expected") or "hold NaN" in str(error)
        assert "\n" not in str(error)
        values = x.astype(np.float64)
        outside = not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())
        assert outside or x.ndim < 2 or x.dtype.kind not in "fb"
        return
    assert found.is_floating_point() and found.ndim >= 2
    assert found.min() >= 0 and found.max() <= 1


@few
@given(
    st.recursive(
        st.one_of(
            st.none(), st.text(max_size=3), st.binary(max_size=3), st.floats(), st.booleans()
        ),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    )
)
def test_what_holds_no_numbers_is_refused_in_words(x):
    try:
        found = as_tensor(x)
    except (TypeError, ValueError) as error:
        assert in_one_line(error)
    else:
        assert found.numel() == np.asarray(x, dtype=np.float64).size


# ---- pictures and folders

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "I", "F")
ENDINGS = {"1": ".png", "CMYK": ".tif", "I": ".tif", "F": ".tiff", "I;16": ".PNG"}
NAMES = st.text(
    st.characters(exclude_characters="/\0", max_codepoint=0x2FFF, exclude_categories=["Cs"]),
    min_size=1,
    max_size=6,
)
SIDE = 5


def drawn(mode, seed):
    """A picture of that mode, and what is seen of it on white: RGB from 0 to 255."""
    rng = np.random.default_rng(seed)
    bands = {"LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode, 1)
    x = rng.integers(0, 256, (SIDE, SIDE, bands))
    x[0, 0], x[0, 1] = 255, 0  # The whole range is used.
    grey = np.repeat(x[..., :1], 3, 2).astype(float)
    if mode in ("LA", "RGBA"):
        alpha = x[..., -1:] / 255
        above = grey if mode == "LA" else x[..., :3]
        picture = Image.fromarray(x.astype(np.uint8), mode)
        return picture, alpha * above + (1 - alpha) * 255
    if mode == "1":
        return Image.fromarray(x[..., 0] > 127), 255.0 * (grey > 127)
    if mode in ("I;16", "I"):
        kind = np.uint16 if mode == "I;16" else np.int32
        return Image.fromarray((257 * x[..., 0]).astype(kind)), grey
    if mode == "F":
        return Image.fromarray((x[..., 0] / 255).astype(np.float32)), grey
    if mode == "P":
        colours = rng.integers(0, 256, (256, 3))
        picture = Image.fromarray(x[..., 0].astype(np.uint8)).convert("P")
        picture.putpalette(colours.astype(np.uint8).tobytes())
        return picture, colours[x[..., 0]].astype(float)
    picture = Image.fromarray(
        x.squeeze(-1).astype(np.uint8) if bands == 1 else x.astype(np.uint8), mode
    )
    seen = np.asarray(picture.convert("RGB")).astype(float) if mode == "CMYK" else None
    return picture, (grey if bands == 1 else x.astype(float)) if seen is None else seen


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@settings(few, max_examples=25)
@given(st.lists(st.tuples(NAMES, st.sampled_from(MODES)), min_size=2, max_size=8))
def test_a_folder_is_read_as_it_is_seen(entries):
    with tempfile.TemporaryDirectory() as name:
        folder, seen = Path(name), {}
        for number, (stem, mode) in enumerate(entries):
            picture, rgb = drawn(mode, number)
            file = f"{number}{stem}{ENDINGS.get(mode, '.png')}"
            picture.save(folder / file)
            seen[file] = rgb
        images = load_images(folder)
        files = [*images.train_files, *images.test_files]
        assert sorted(files) == sorted(seen)
        pixels = torch.cat([images.train_pixels, images.test_pixels]).numpy().astype(float)
        for file, found in zip(files, pixels, strict=True):
            expected = seen[file].transpose(2, 0, 1)
            assert np.abs(found - expected[: len(found)]).max() <= 1, (file, found, expected)


@pytest.mark.skipif(os.name != "posix", reason="names are bytes")
@settings(few, max_examples=20)
@given(st.binary(min_size=1, max_size=8).filter(lambda b: not {0, 47} & set(b) and b[0] != 46))
@example(b"\xff\xfe")
def test_a_folder_of_any_name_is_read_trained_on_and_saved(name):
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / os.fsdecode(name)
        if folder.exists():  # Such as "..".
            return
        for number in range(3):
            file = folder / os.fsdecode(name) / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            drawn("L", number)[0].save(file)
        images = load_images(folder)
        with networks.seeded(0):
            model = models.vae(networks.mlp(images.shape, 2, (4,)))
        notes = {"name": images.name, "source": images.source, "files": images.train_files}
        assert load(save(Path(root) / "model", model, run=notes)).run["name"] == images.name


# ---- what is handed over to be stored

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=3),  # of a file
    hnp.arrays(DTYPES, hnp.array_shapes(max_dims=2, max_side=2)),
    hnp.from_dtype(np.dtype(np.int16)),
    hnp.from_dtype(np.dtype(np.float32)),
    st.just(Path("a") / "b"),
    st.just(torch.ones(2)),
    st.sampled_from([object(), {1, 2}, b"bytes", 1j]),
)
NOTES = st.dictionaries(
    st.text(max_size=4).map("note {}".format),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2), max_leaves=4),
    max_size=3,
)


def same(stored, value):
    """Whether what came back is what was handed over."""
    if isinstance(value, (np.ndarray, np.generic, torch.Tensor)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return len(stored) == len(value) and all(map(same, stored, value))
    if isinstance(value, float) and math.isnan(value):
        return math.isnan(stored)
    return stored == (str(value) if isinstance(value, Path) else value)


@few
@given(NOTES)
@example({"note": "\udcff"})
@example({"note": [np.float32(0.5), {"deep": np.int64(3)}]})
def test_notes_come_back_as_they_were_or_nothing_is_written(notes):
    with networks.seeded(0):
        model = models.vae(networks.mlp(2, 1, (2,)))
    with tempfile.TemporaryDirectory() as root:
        try:
            folder = save(Path(root) / "model", model, run=notes)
        except (TypeError, ValueError) as error:
            assert "\n" not in str(error) and "run" in str(error)
            assert not (Path(root) / "model").exists()
            return
        run = load(folder).run
        assert all(same(run[name], value) for name, value in notes.items() if name != "note deep")
        json.loads((folder / "run.json").read_text(encoding="utf-8"))

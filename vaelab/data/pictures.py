"""One picture in a file, as bytes: what is taken, how it is laid on a ground, what is refused."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaelab._inputs import shown

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom
Colour = tuple[int, int, int]  # red, green, blue
BYTE = 255
WHITES = {  # the value that is white, by the kind of number in a file
    "8-bit": BYTE,
    "16-bit colour": BYTE,  # Pillow reads its upper 8 bits
    "16-bit": 2**16 - 1,
    "32-bit": 2**16 - 1,
    "floating-point": 1,
}
_NO_PICTURES = {"BUFR", "EPS", "FPX", "GRIB", "HDF5", "MIC", "MPEG", "WMF"}


class UnreadableError(ValueError):
    """A file that cannot be read as a picture; the message says why."""


@dataclass(frozen=True)
class Reading:
    """How pictures are read.

    Args:
        side: height and width to resize to; None leaves them as they are.
        background: what transparent pictures are laid on; see `colour_of`.
        white: the value that counts as white; None for the largest one that the file's kind of
            number holds (`WHITES`).
        skip_bad: whether pictures that cannot be read are left out.
        box: what to cut out before resizing; the central square unless given.
        stream: whether training pictures are read as they are asked for, not kept.
    """

    side: int | None = None
    background: str | float = "white"
    white: float | None = None
    skip_bad: bool = False
    box: Box | None = None
    stream: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Args:
        pixels: bytes, shape (channels, height, width), 1 channel or 3.
        depth: the kind of number in the file, one of `WHITES`.
        top: the largest value in it, on the file's scale.
        notes: what was done to it that a reader should know, such as "Laid on white where
            transparent"; ": 3 of 10 pictures" is to follow.
    """

    pixels: np.ndarray
    depth: str
    top: float
    notes: list[str]


@cache
def picture_formats() -> list[str]:
    """Pillow's names of the formats that are read, in the order in which it tries them.

    Without formats that hold no pixels and those that Pillow hands to another program (PostScript).
    """
    from PIL import Image

    Image.preinit()  # the usual formats are tried first
    Image.init()
    return [name for name in Image.ID if name not in _NO_PICTURES]


@cache
def picture_endings() -> set[str]:
    """The endings of file names that stand for these formats, in small letters: ".png", ..."""
    from PIL import Image

    formats = picture_formats()
    return {end for end, name in Image.registered_extensions().items() if name in formats}


def colour_of(background: str | float) -> Colour:
    """The colour of a ground as three bytes.

    Args:
        background: a colour's name ("white"), "#rrggbb", or a grey from 0 (black) to 1 (white).

    >>> colour_of("navy"), colour_of(0.2)
    ((0, 0, 128), (51, 51, 51))
    """
    from PIL import ImageColor

    with suppress(TypeError, ValueError, OverflowError):
        grey = float(background)
        if 0 <= grey <= 1:
            level = round(grey * BYTE)
            return level, level, level
    with suppress(AttributeError, TypeError, ValueError):
        colour = ImageColor.getrgb(background)
        if len(colour) == 3:
            return colour
    raise ValueError(
        "background: expected a colour's name, '#rrggbb', or a grey from 0 (black) to 1 (white), "
        f"got {shown(background)}"
    )


def white_of(depth: str, named: float | None) -> float:
    """The value that is white in pictures of that depth, where `Reading.white` is `named`."""
    most = WHITES[depth]
    return min(named or most, most) if most == BYTE else named or most


def read_picture(path: Path, reading: Reading, grey: bool) -> Picture | None:
    """Read the first frame of a picture, upright; None if it is coloured and grey is wanted.

    Transparent pixels are laid on the ground. Values from 0 to white become 0..255, rounded and
    cut; white is `white_of` the picture's depth.

    Args:
        path: of the file.
        reading: how to read it.
        grey: whether grey pictures stay grey.

    Raises:
        UnreadableError: no picture, a damaged or a cut one; negative values, NaN or infinity.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=picture_formats()) as picture:
            return _read(picture, reading, grey)
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        Image.DecompressionBombError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnreadableError(reason) from error


def _read(picture: Image, reading: Reading, grey: bool) -> Picture | None:
    from PIL.Image import fromarray
    from PIL.ImageOps import exif_transpose

    depth = _depth_of(picture)
    white = white_of(depth, reading.white)
    notes = [] if white == BYTE else [f"Of {depth}, with {white:g} for white"]
    if getattr(picture, "n_frames", 1) > 1:
        notes.append("Cut to the first of several frames")
    ground = colour_of(reading.background)
    is_clear = picture.has_transparency_data
    if grey and not (_is_grey(picture) and (len(set(ground)) == 1 or not is_clear)):
        return None  # before anything is decoded
    exif_transpose(picture, in_place=True)
    top = None
    if WHITES[depth] != BYTE:
        picture, top = _shallow(picture, white)
        white = BYTE
    if is_clear:
        picture, is_seen = _lay(picture, [round(value * white / BYTE) for value in ground])
        notes += [f"Laid on {reading.background} where transparent"] if is_seen else []
    picture = picture.convert("L" if grey else "RGB")
    if white != BYTE:
        values = np.asarray(picture)
        top = float(values.max())
        picture = fromarray(_scaled(values, white))
    pixels = np.atleast_3d(np.asarray(_fit(picture, reading))).transpose(2, 0, 1)
    return Picture(pixels, depth, float(pixels.max()) if top is None else top, notes)


def _depth_of(picture: Image) -> str:
    """The kind of number in a picture that was opened and not yet loaded, one of `WHITES`."""
    if picture.mode.startswith(("I", "F")):
        return {"I": "32-bit", "F": "floating-point"}.get(picture.mode, "16-bit")
    return "16-bit colour" if ";16" in str(getattr(picture, "tile", "")) else "8-bit"


def _is_grey(picture: Image) -> bool:
    if picture.mode == "P":
        red, green, blue = np.reshape(picture.getpalette("RGB") or [], (-1, 3)).T
        return np.array_equal(red, green) and np.array_equal(green, blue)
    return picture.mode in ("1", "L", "LA", "F") or picture.mode.startswith("I")


def _scaled(values: np.ndarray, white: float) -> np.ndarray:
    """Values from 0 to white as bytes from 0 to 255."""
    return (values * (BYTE / white)).clip(0, BYTE).round().astype(np.uint8)


def _shallow(picture: Image, white: float) -> tuple[Image, float]:
    """A grey picture of more than 8 bits in 8 bits, and the largest value that it had."""
    from PIL.Image import fromarray

    values = np.asarray(picture)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("expected finite pixel values ≥ 0")
    grey = fromarray(_scaled(values, white))
    if picture.has_transparency_data:
        grey.putalpha(fromarray(_scaled(values != picture.info["transparency"], 1)))
    return grey, float(values.max())


def _lay(picture: Image, ground: Sequence[int]) -> tuple[Image, bool]:
    """The picture on the ground, and whether the ground is seen."""
    from PIL import Image

    above = picture.convert("RGBA")
    below = Image.new("RGBA", picture.size, (*ground, BYTE))
    is_seen = np.asarray(above)[..., 3].min() < BYTE
    return Image.alpha_composite(below, above), bool(is_seen)


def _fit(picture: Image, reading: Reading) -> Image:
    """The picture cut and resized, with antialiasing, if a side is wanted."""
    from PIL.Image import Resampling

    side = reading.side
    if side is None:
        return picture
    cut = picture.crop(reading.box or _middle(picture.size))
    return cut.resize((side, side), Resampling.BILINEAR)


def _middle(size: tuple[int, int]) -> Box:
    """The central square of a picture of that width and height."""
    edge = min(size)
    left, top = ((length - edge) // 2 for length in size)
    return left, top, left + edge, top + edge

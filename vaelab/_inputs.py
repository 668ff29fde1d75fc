"""The checks at the public doors: each says what was expected, what came and what to do."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from vaelab._arrays import Rows, as_numbers, as_rows, as_tensor
from vaelab._memory import check_memory
from vaelab._words import nearest

T = TypeVar("T")


def shown(value: Any) -> str:
    """A value as an error names it: in one line, which may be cut.

    >>> shown(torch.zeros(2, 2)), shown("x" * 99)[-3:]
    ('tensor([[0., 0.], [0., 0.]])', 'xx…')
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:79]}…"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    """Whether it is a number that a float can hold: 10**400 is none."""
    try:
        return _is_number(value) and math.isfinite(value)
    except OverflowError:
        return False


def _fitting(name: str, value: T, expected: str, fits: bool) -> T:
    if not fits:
        raise ValueError(f"{name}: expected {expected}, got {shown(value)}")
    return cast(T, value.item()) if isinstance(value, np.generic) else value


def check_positive_int(name: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int, or raise unless it is a whole number from `least` to 2⁶³ − 1."""
    expected = f"a whole number ≥ {least}"
    if not _is_whole(value):
        raise TypeError(f"{name}: expected {expected}, got {shown(value)} ({type(value).__name__})")
    _fitting(name, value, expected, value >= least)
    return int(_fitting(name, value, "a whole number below 2⁶³", value < 2**63))


def check_draws(name: str, value: Any, size: int) -> int:
    """Return a number of draws, of `size` numbers each, as an int, or raise unless it is a whole
    number ≥ 1 and the draws fit into memory.
    """
    n = check_positive_int(name, value)
    check_memory(f"{name}={n}", 2 * 4 * n * size)
    return n


def as_list(name: str, values: Any, expected: str = "a list") -> list[Any]:
    """Return what holds several things, in their order, as a list of them, or raise."""
    values = as_tensor(values, name) if isinstance(values, Tensor) else values
    plain = values.tolist() if hasattr(values, "tolist") else values
    unordered = isinstance(plain, (str, bytes, Mapping, Set))
    if unordered or not hasattr(plain, "__len__"):
        raise TypeError(f"{name}: expected {expected}, got {shown(values)}")
    return list(plain)


def check_widths(name: str, value: Any) -> tuple[int, ...]:
    """Return widths of layers as a tuple of whole numbers ≥ 1, at least one, or raise."""
    values = as_list(name, value, "widths such as (256, 256) or (256,)")
    widths = tuple(check_positive_int(name, width) for width in values)
    if not widths:
        raise ValueError(f"{name}: expected the width of at least one hidden layer, got none")
    return widths


def check_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return a shape, or one length, as a tuple of whole numbers ≥ 1, at least one, or raise."""
    values = [value] if _is_whole(value) else as_list(name, value, "a shape such as (1, 28, 28)")
    if not values:
        raise ValueError(f"{name}: expected a shape such as (1, 28, 28), got none")
    return tuple(check_positive_int(name, size) for size in values)


def check_scales(name: str, value: Any) -> tuple[float, ...]:
    """Return scales as a tuple of finite numbers > 0, at least one, or raise."""
    values = as_list(name, value, "scales such as (0.5, 1.0)")
    if not values:
        raise ValueError(f"{name}: expected at least one scale, got none")
    return tuple(check_positive(name, scale) for scale in values)


def check_seeds(name: str, value: Any) -> tuple[int, ...]:
    """Return seeds as a tuple of ints, or raise."""
    return tuple(map(check_seed, as_list(name, value, "seeds such as (0, 1)")))


def check_finite(name: str, value: float) -> float:
    """Return `value`, or raise unless it is a finite number."""
    return _fitting(name, value, "a finite number", _is_finite(value))


def check_positive(name: str, value: float) -> float:
    """Return `value`, or raise unless it is a finite number > 0."""
    return _fitting(name, value, "a finite number > 0", _is_finite(value) and value > 0)


def check_weight(name: str, value: float) -> float:
    """Return `value`, or raise unless it is a finite number ≥ 0."""
    return _fitting(name, value, "a finite number ≥ 0", _is_finite(value) and value >= 0)


def check_part(name: str, value: float) -> float:
    """Return `value`, or raise unless it is a number above 0 and at most 1: a part of a whole."""
    return _fitting(name, value, "a number in (0, 1]", _is_number(value) and 0 < value <= 1)


def check_share(name: str, value: float) -> float:
    """Return `value`, or raise unless it is a number between 0 and 1, neither of them."""
    fits = _is_number(value) and 0 < value < 1
    return _fitting(name, value, "a share between 0 and 1, such as 0.1", fits)


def check_flag(name: str, value: bool) -> bool:
    """Return `value` as a bool, or raise unless it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def check_seed(value: Any) -> int:
    """Return `value` as an int, or raise unless every random generator takes it as a seed."""
    fits = _is_whole(value) and 0 <= value < 2**32
    return int(_fitting("seed", value, "a whole number from 0 to 2³² − 1", fits))


def as_seed(value: Any) -> int:
    """A seed, or one that was derived from a seed and may be larger, as an int; or raise."""
    return int(value) if _is_whole(value) and 0 <= value < 2**63 else check_seed(value)


def check_path(name: str, value: Any) -> Path:
    """Return `value` as a path, or raise unless it is one or a word."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name}: expected a path, got {shown(value)}")
    return Path(value)


def check_callable(name: str, value: Any) -> Any:
    """Return `value`, or raise unless it is a function, a class or a module that can be called."""
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {shown(value)}")
    return value


def generator_of(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator on a device, seeded.

    >>> int(torch.randint(100, (1,), generator=generator_of(np.int64(0))))
    44
    """
    return torch.Generator(device).manual_seed(as_seed(seed))


def check_choice(name: str, value: Any, known: Iterable[str], others: str = "") -> str:
    """Return `value`, or raise unless it is one of `known`, naming the nearest of them, and what
    else there is.
    """
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(
            f"{name}: expected one of {', '.join(map(repr, known))}{others}, got "
            f"{shown(value)}{nearest(value, known)}"
        )
    return value


def check_options(maker: Callable[..., Any], options: Iterable[str], taken: Iterable[str]) -> None:
    """Raise unless every option is among those that a class or function takes."""
    known = list(taken)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise TypeError(
            f"{maker.__name__}: expected options among {', '.join(known) or 'none'}, got "
            f"{', '.join(unknown)}"
        )


def check_images(
    x: Any,
    image_shape: tuple[int, ...] | None = None,
    unit: bool = False,
    minimum: int = 1,
    pixels: bool = False,
) -> Tensor:
    """Return `x` as a floating-point tensor (n, *image_shape), or raise.

    Args:
        x: anything that `vaelab._arrays` takes; truth values become 0 and 1.
        image_shape: what one row must look like; None for any shape.
        unit: whether values must lie in [0, 1].
        minimum: the smallest number of rows that makes sense.
        pixels: whether bytes are taken too, as pixels 0 to 255, and given back as bytes.

    Raises:
        TypeError: not numbers, or integers (pixels 0..255 must be divided by 255 first).
        ValueError: wrong rank or shape, too few rows, NaN or infinite values, values outside [0,
            1].
    """
    return cast(Tensor, check_rows(as_tensor(x), image_shape, unit, minimum, pixels))


def check_rows(
    x: Any,
    image_shape: tuple[int, ...] | None = None,
    unit: bool = False,
    minimum: int = 1,
    pixels: bool = True,
) -> Tensor | Rows:
    """`check_images` for pixels that may be read as they are asked for: their values are checked
    then.
    """
    x = as_rows(x)
    takes = x.is_floating_point() or x.dtype == torch.bool or (pixels and x.dtype == torch.uint8)
    if not takes:
        raise TypeError(
            f"images: expected floating-point values, got {x.dtype}; if they are bytes, pass x / "
            "255"
        )
    shape = tuple(x.shape)
    if x.ndim < 2:
        raise ValueError(f"images: expected shape (n, ...) with at least 2 axes, got {shape}")
    if image_shape is not None and shape[1:] != tuple(image_shape):
        expected = ", ".join(map(str, image_shape))
        raise ValueError(
            f"images: expected shape (n, {expected}), as the network was built for, got {shape}"
            f"{_reshaping(shape, tuple(image_shape))}"
        )
    if len(x) < minimum:
        raise ValueError(
            f"images: expected at least {minimum} of them, got {len(x)}; pass more rows"
        )
    checked = functools.partial(_checked_values, unit=unit)
    return x.checked(checked) if isinstance(x, Rows) else checked(x)


def check_codes(z: Any, latent_dim: int) -> Tensor:
    """Return codes as a floating-point tensor (n, latent_dim) without gradients, or raise; bytes
    are numbers here, no pixels.
    """
    z = as_tensor(z, "codes")
    if z.ndim != 2 or z.shape[1] != latent_dim:
        raise ValueError(f"codes: expected shape (n, {latent_dim}), got {tuple(z.shape)}")
    return as_numbers("codes", z, None) if z.numel() else z.float()


def _reshaping(shape: tuple[int, ...], row: tuple[int, ...]) -> str:
    """What to do about rows of another shape, where that is plain."""
    if shape == row:
        return "; for one image add an axis, x[None]"
    if (1, *shape[1:]) == row:
        return "; add a channel axis, x[:, None]"
    if len(shape) == 4 and (shape[3], *shape[1:3]) == row:
        return "; put the channels first, x.transpose(0, 3, 1, 2), or x.permute(0, 3, 1, 2)"
    if math.prod(shape[1:]) == math.prod(row):
        return f"; pass x.reshape(-1, {', '.join(map(str, row))})"
    return ""


def _checked_values(x: Tensor, unit: bool) -> Tensor:
    """Rows whose values are finite and, where they must, in [0, 1]; or raise."""
    if x.dtype == torch.bool:
        return x.float()
    if x.dtype == torch.uint8:
        return x
    low, high = (end.item() for end in x.aminmax()) if x.numel() else (0.0, 1.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = (~torch.isfinite(x)).flatten(1).any(1)
        raise ValueError(
            f"images: {int(bad.sum())} of {len(x)} hold NaN or infinite values, the first is "
            f"number {int(bad.int().argmax())}; remove or repair them"
        )
    if unit and not 0 <= low <= high <= 1:
        raise ValueError(
            "images: expected values in [0, 1], as cross-entropy and decoders that end in a "
            f"sigmoid need, got [{low:.4g}, {high:.4g}]; rescale them"
        )
    return x


def floats(x: Tensor, like: Tensor) -> Tensor:
    """Images in the precision and on the device of `like`: bytes become b / 255."""
    return x.to(like).div_(255) if x.dtype == torch.uint8 else x.to(like)


def pick_device(
    name: str | torch.device = "auto", dtype: torch.dtype = torch.float32
) -> torch.device:
    """The device to compute on: "auto" takes an accelerator that works and knows `dtype`, else the
    CPU.

    Raises:
        ValueError: an unknown device, or one this machine does not have.
    """
    if isinstance(name, str) and name == "auto":
        device = torch.accelerator.current_accelerator(check_available=True)
        if device is None or (device.type == "mps" and dtype == torch.float64):
            return torch.device("cpu")
        return device
    kinds = ("cpu", "cuda", "mps", "xpu")
    if not isinstance(name, torch.device) and str(name).partition(":")[0] not in kinds:
        check_choice("device", name, ("auto", *kinds))
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f'device {str(name)!r} is not available here ({str(error).splitlines()[0]}); use "auto"'
        ) from error
    return device


# What an annotation behind a door (`vaelab._door`) says of an argument: its type, and the check.
Weight = Annotated[float, check_weight]
Positive = Annotated[float, check_positive]
Fraction = Annotated[float, check_part]
Share = Annotated[float, check_share]
Whole = Annotated[int, functools.partial(check_positive_int, least=0)]
Widths = Annotated[Sequence[int], check_widths]
Scales = Annotated[Sequence[float], check_scales]
Seeds = Annotated[Sequence[int], check_seeds]
PathLike = Annotated[str | Path, check_path]

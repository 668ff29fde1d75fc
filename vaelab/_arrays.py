"""The door for arrays: whatever holds numbers becomes a tensor, or rows that are read when they are
asked for.

Taken: tensors; NumPy arrays of any memory layout, byte order or precision; lists of numbers, of
arrays, of tensors or of pictures; data frames and whatever else has `__array__`; the first tensor
of a `TensorDataset`. Whole numbers beyond 2⁵³ are rounded where they become float64, without a
word, as in scikit-learn. Rows that are read when asked for are made of an `np.memmap`, a map-style
`Dataset` (of whose items the first entry is taken) and the data set of a `DataLoader`.

Refused, each with what to do: words and objects ("expected a tensor or an array of numbers"), rows
of several lengths, sparse and quantised tensors, masked values, an `Images` (it has two parts), a
data set that can only be iterated over, a loader with a sampler of its own.
"""

from __future__ import annotations

import copy
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import data as torch_data

_AT_ONCE = 8  # Rows of a file that are read before its pages are given back.
_ORDERS = (torch_data.SequentialSampler, torch_data.RandomSampler)


class Rows:
    """Rows that are read when they are asked for, of a set that need not fit into memory.

    Args:
        shape: of all rows, (n, ...).
        dtype: of what is read.
        read: gives the rows of some numbers, in their order.
    """

    device = torch.device("cpu")

    def __init__(
        self, shape: Sequence[int], dtype: torch.dtype, read: Callable[[np.ndarray], Tensor]
    ) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype
        self.read = read
        self.check: Callable[[Tensor], Tensor] | None = None

    @property
    def ndim(self) -> int:
        """How many axes they have."""
        return len(self.shape)

    def is_floating_point(self) -> bool:
        """Whether they are read as floating-point numbers."""
        return self.dtype.is_floating_point

    def checked(self, check: Callable[[Tensor], Tensor]) -> Self:
        """The same rows, each put through a check when it is read."""
        rows = copy.copy(self)
        rows.check = check
        return rows

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: slice | Tensor | np.ndarray | Sequence[int]) -> Tensor:
        if isinstance(index, slice):
            index = range(*index.indices(len(self)))
        numbers = index.cpu().numpy() if isinstance(index, Tensor) else np.asarray(index, np.int64)
        rows = self.read(numbers)
        return rows if self.check is None else self.check(rows)

    def split(self, size: int) -> Iterator[Tensor]:
        """All rows in their order, `size` at a time."""
        for start in range(0, len(self), size):
            yield self[start : start + size]


def as_rows(x: Any, name: str = "images") -> Tensor | Rows:
    """Numbers as a tensor, or as rows where they lie in a file or in a data set.

    Raises:
        TypeError, ValueError: what is refused; see the top of this module.

    >>> as_rows([[1.0, 2.0]][::-1]).shape
    torch.Size([1, 2])
    """
    if isinstance(x, Rows):
        return x
    if isinstance(x, torch_data.DataLoader):
        x = _set_of(x, name)
    if isinstance(x, torch_data.Dataset) and not isinstance(x, torch_data.TensorDataset):
        return _rows_of_items(x, name)
    if isinstance(x, np.memmap) and x.ndim:
        dtype = as_tensor(x[:0], name).dtype
        return Rows(x.shape, dtype, lambda numbers: _read_mapped(x, numbers))
    return as_tensor(x, name)


def as_tensor(x: Any, name: str = "images") -> Tensor:
    """Numbers as a tensor in memory.

    Raises:
        TypeError, ValueError: what is refused; see the top of this module.

    >>> as_tensor(np.arange(3, dtype=">i2")[::-1])
    tensor([2, 1, 0], dtype=torch.int16)
    """
    if isinstance(x, torch_data.TensorDataset):
        x = x.tensors[0]
    if isinstance(x, Tensor):
        if x.layout != torch.strided or x.is_quantized or x.is_meta:
            kind = f"{x.layout} of {x.dtype} on the device {x.device}"
            raise TypeError(f"{name}: expected a dense tensor, got {kind}; pass x.to_dense()")
        return x
    if hasattr(x, "train_pixels"):
        raise TypeError(
            f"{name}: expected a tensor or an array of numbers, got a set of Images; pass its "
            "images.train or images.test"
        )
    if isinstance(x, (Rows, torch_data.Dataset, torch_data.DataLoader)):
        rows = as_rows(x, name)
        return rows[:] if isinstance(rows, Rows) else rows
    return _from_array(_array(x, name))


def as_numbers(name: str, values: Any, dtype: torch.dtype | None = torch.float64) -> Tensor:
    """The values as a floating-point tensor without gradients, of any shape.

    Args:
        name: what an error calls them.
        values: numbers, an array or a tensor.
        dtype: of the result; None keeps a floating one, and makes whole numbers torch's default.

    Raises:
        TypeError: complex numbers.
        ValueError: no values, or NaN or infinite ones.
    """
    x = as_tensor(values, name).detach()
    if x.is_complex():
        raise TypeError(f"{name}: expected real numbers, got {x.dtype}")
    if dtype is None:
        dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    x = x.to(dtype)
    if not x.numel():
        raise ValueError(f"{name}: expected at least one value, got shape {tuple(x.shape)}")
    bad = int((~x.isfinite()).sum())
    if bad:
        raise ValueError(
            f"{name}: expected finite numbers, but it holds NaN or infinite values ({bad} of "
            f"{x.numel()}); remove or repair them"
        )
    return x


def _array(x: Any, name: str) -> np.ndarray:
    """What NumPy makes of it, if those are numbers."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise ValueError(f"{name}: {np.ma.count_masked(x)} values are masked; fill them first")
    several = isinstance(x, (list, tuple)) and len(x) and isinstance(x[0], Tensor)
    try:
        array = as_array(torch.stack(list(x))) if several else np.asarray(x)
    except (ValueError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"{name}: expected rows of one shape, got what makes no array "
            f"({str(error).partition(chr(10))[0]})"
        ) from error
    if array.dtype == object and array.size and all(isinstance(v, Real) for v in array.flat):
        try:
            array = array.astype(np.float64)  # A data frame of columns of several kinds.
        except OverflowError as error:
            raise ValueError(f"{name}: expected numbers that float64 holds ({error})") from error
    if array.dtype.kind not in "fiub":
        dense = "; pass x.toarray()" if hasattr(x, "toarray") else ""
        raise TypeError(
            f"{name}: expected a tensor or an array of numbers, got {type(x).__name__} of "
            f"{array.dtype}{dense}"
        )
    return array


def as_array(x: Tensor) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy has not, as float32."""
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def _from_array(array: np.ndarray) -> Tensor:
    kind = array.dtype.kind  # `longlong` has the size of int64 and another name.
    dtype = np.dtype(bool if kind == "b" else f"{kind}{min(array.dtype.itemsize, 8)}")
    array = np.ascontiguousarray(array, dtype).reshape(array.shape)
    # NumPy calls an axis of one entry contiguous whatever its stride, which torch does not.
    fits = all(stride >= 0 and stride % array.itemsize == 0 for stride in array.strides)
    return torch.from_numpy(array if fits and array.flags.writeable else array.copy())


def _set_of(loader: torch_data.DataLoader, name: str) -> torch_data.Dataset:
    """The data set of a loader, whose order is not its own."""
    own, batches = loader.sampler, loader.batch_sampler
    plain = batches is None or type(batches) is torch_data.BatchSampler
    if plain and (type(own) in _ORDERS or not hasattr(loader.dataset, "__getitem__")):
        return loader.dataset
    raise TypeError(
        f"{name}: expected a DataLoader that visits every row once, got one with "
        f"{type(own if plain else batches).__name__}; the order follows from the seed, so that a "
        "run can be resumed. Pass a Subset or the data set itself"
    )


def _rows_of_items(items: Any, name: str) -> Rows:
    if not hasattr(items, "__len__") or isinstance(items, torch_data.IterableDataset):
        raise TypeError(
            f"{name}: expected a map-style Dataset, with len() and an item for every number, got "
            f"{type(items).__name__}; collect its items first"
        )
    n = len(items)
    if not n:
        raise ValueError(f"{name}: expected a Dataset with items, got none")
    first = _item(items, 0, name)

    def read(numbers: np.ndarray) -> Tensor:
        rows = torch.empty((len(numbers), *first.shape), dtype=first.dtype)
        for row, number in zip(rows, numbers, strict=True):
            item = _item(items, int(number), name)
            if item.shape != first.shape or item.dtype != first.dtype:
                raise ValueError(
                    f"{name}: expected items alike, got {tuple(first.shape)} of {first.dtype} as "
                    f"item 0 and {tuple(item.shape)} of {item.dtype} as item {number}"
                )
            row.copy_(item)
        return rows

    return Rows((n, *first.shape), first.dtype, read)


def _item(items: Any, number: int, name: str) -> Tensor:
    """The image of an item: the item, or its first entry where it has several."""
    item = items[number]
    if isinstance(item, Mapping):
        raise TypeError(
            f"{name}: expected items that are an image, or that begin with one, got "
            f"{type(item).__name__}; pass a Dataset that gives item['image'] alone"
        )
    if isinstance(item, (tuple, list)) and len(item) and not isinstance(item[0], Real):
        item = item[0]
    if not hasattr(item, "getbands"):
        return as_tensor(item, f"{name}, item {number}").detach()
    item = cast(Any, item)
    if item.mode not in ("L", "RGB"):
        raise ValueError(
            f"{name}: expected pictures in grey (L) or RGB, got {item.mode} as item {number}; "
            "convert them in the data set"
        )
    pixels = np.asarray(item)
    return _from_array(np.moveaxis(pixels.reshape(*pixels.shape[:2], -1), -1, 0))


def _read_mapped(x: np.memmap, numbers: np.ndarray) -> Tensor:
    """Rows of a file, a few at a time; the pages they were read through, many more than the rows,
    are given back, as the system would count them as this process's own.
    """
    pages: Any = getattr(x, "_mmap", None)
    gives_back = hasattr(pages, "madvise") and x.mode != "c" and hasattr(mmap, "MADV_DONTNEED")
    rows = np.empty((len(numbers), *x.shape[1:]), x.dtype)
    for start in range(0, len(numbers), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows[part] = x[numbers[part]]
        if gives_back:
            pages.madvise(mmap.MADV_DONTNEED)
    return _from_array(rows)

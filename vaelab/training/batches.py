"""The data on the device, a batch at a time: bytes where they came from bytes, scaled and mirrored
as they are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Self, cast

import torch
from torch import Tensor, nn

from vaelab import _files
from vaelab._arrays import Rows, as_numbers
from vaelab._inputs import check_images, check_rows
from vaelab._memory import is_out_of_memory
from vaelab._processes import Share, draw, place
from vaelab.posteriors import Distribution
from vaelab.training.acceleration import OutOfMemory

BLOCK = 4096  # Rows that are compared at once.
SPREAD = 256  # Rows that tell a set that is not in memory from others.


def to_bytes(x: Tensor) -> Tensor | None:
    """The bytes b with x = b / 255 to the last bit, a quarter of float32's memory; None where there
    are none.

    >>> to_bytes(torch.tensor([0, 128, 255]) / 255), to_bytes(torch.tensor([0.5]))
    (tensor([  0, 128, 255], dtype=torch.uint8), None)
    """
    out = torch.empty(x.shape, dtype=torch.uint8, device=x.device)
    few = (x[:8], out[:8])  # Of numbers that are no bytes these tell already.
    for part, into in (few, *zip(x.split(BLOCK), out.split(BLOCK), strict=True)):
        into.copy_((part * 255).round_().clamp_(0, 255))
        if not torch.equal(into.to(x.dtype).div_(255), part):
            return None
    return out


class Given(NamedTuple):
    """Images, and what is given with each of them: a label, a part of the picture.

    It goes through the loop as images alone do, and reaches a model's `loss_terms` as it is.

    Args:
        x: images (n, *image_shape).
        context: numbers, shape (n, n_context); a label as zeros and a one.
    """

    x: Tensor
    context: Tensor


@dataclass(frozen=True)
class Feed:
    """Images, or posteriors that a code is drawn from afresh each time, on the device they are
    trained on.

    Args:
        rows: images (n, *image_shape), as bytes where that loses nothing; or posteriors of n
            images; or rows that are read as they are asked for, and then brought to the device.
        given: precision in which the bytes become b / 255, that of the images given.
        dtype: precision of a batch.
        flip: whether each image is mirrored with probability ½ each time it is met.
        numbers: of the rows that count, on the device; all unless given.
        context: what is given with each image, shape (n, n_context), or None.
    """

    rows: Tensor | Distribution | Rows
    given: torch.dtype
    dtype: torch.dtype
    flip: bool = False
    numbers: Tensor | None = None
    context: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows if self.numbers is None else self.numbers)

    def part(self, numbers: Tensor) -> Self:
        """The rows of those numbers alone."""
        return replace(self, numbers=numbers)

    def digest(self) -> str:
        """SHA-256 of all rows; of rows that are not in memory, of their shape and of 256 spread
        over them.
        """
        rows = self.rows
        tensors = rows.tensors() if isinstance(rows, Distribution) else {"x": rows}
        if isinstance(rows, Rows):
            shape = torch.tensor(rows.shape)
            spread = torch.linspace(0, len(rows) - 1, min(SPREAD, len(rows))).long().unique()
            tensors = {"shape": shape, "spread": rows[spread]}
        given = {} if self.context is None else {"context": self.context}
        return _files.digest(cast(dict[str, Tensor], {**tensors, **given}))

    def batch(self, index: Tensor, generator: torch.Generator) -> Any:
        """The rows of those numbers, shape (batch, *image_shape), with their context if any."""
        if self.numbers is not None:
            index = self.numbers[index]
        rows = self._images(self.rows[index], index.device, generator)
        return rows if self.context is None else Given(rows, self.context[index])

    def _images(self, rows: Any, device: torch.device, generator: torch.Generator) -> Tensor:
        if isinstance(self.rows, Rows):
            rows = rows.to(device, non_blocking=True)
        if isinstance(rows, Distribution):
            return rows.rsample(generator).detach()
        if rows.dtype == torch.uint8:
            rows = rows.to(self.given).div_(255)
        rows = rows.to(self.dtype)
        if self.flip:
            mirrored = draw(torch.rand, (len(rows), 1, 1, 1), generator, rows) < 0.5
            rows = torch.where(mirrored, rows.flip(-1), rows)
        return rows


def feed(model: nn.Module, data: Any, device: torch.device, flip: bool = False) -> Feed:
    """Check the data and bring them to the device.

    Raises:
        ValueError, TypeError: data that the model cannot be trained on.
        OutOfMemory: the device's memory is too small for them.
    """
    try:
        return _feed(model, data, device, flip)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"the data do not fit into the memory of {device} ({str(error).splitlines()[0]}); "
            "pass fewer or smaller images, or close what else uses the device"
        ) from error


def _feed(model: nn.Module, data: Any, device: torch.device, flip: bool) -> Feed:
    dtype = next(model.parameters()).dtype
    if isinstance(data, Given):
        rows = _feed(model, data.x, device, flip)
        return replace(rows, context=_context(data.context, rows).to(device, dtype))
    shape = getattr(model, "image_shape", None)
    if isinstance(data, Distribution):
        if flip:
            raise ValueError("flip: codes cannot be mirrored; expected False for posteriors")
        check_images(data.mean, shape, minimum=2)
        return Feed(data.to(device, dtype), dtype, dtype)
    x = check_rows(data, shape, getattr(model, "unit", False), minimum=2)
    if flip and x.ndim != 4:
        raise ValueError(
            f"flip: expected images of shape (channels, height, width), got {tuple(x.shape[1:])}"
        )
    given = x.dtype if x.is_floating_point() else torch.float32
    if isinstance(x, Rows):
        return Feed(x, given, dtype, flip)
    if x.dtype != torch.uint8:
        packed = to_bytes(x.detach())
        x = x.detach().to(dtype) if packed is None else packed
    return Feed(x.to(device), given, dtype, flip)


def _context(context: Any, rows: Feed) -> Tensor:
    if rows.flip:
        raise ValueError("flip: what is given with an image is not mirrored; expected False")
    context = as_numbers("context", context, None)
    if context.ndim != 2 or len(context) != len(rows):
        raise ValueError(
            f"context: expected finite numbers of shape ({len(rows)}, n_context), got shape "
            f"{tuple(context.shape)}"
        )
    return context


def shuffled(n: int, seed: int, epoch: int) -> Tensor:
    """The numbers 0 to n − 1 in the order of an epoch: a function of seed and epoch alone."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def share(device: torch.device, seed: int) -> Share:
    """The generator of this process."""
    generator = Share(device)
    generator.manual_seed(int(seed))
    generator.rank, generator.processes = place()
    return generator


@dataclass
class Batches:
    """The data of one model, batch by batch, and the generator of everything that is drawn.

    Args:
        rows: the data on their device.
        device: where batches are made.
        seed: of order and noise.
        generator: of the noise, see `share`.
    """

    rows: Feed
    device: torch.device
    seed: Any
    generator: Any
    hint: ClassVar = ""  # What else to do about too little memory than taking smaller batches.

    def __len__(self) -> int:
        return len(self.rows)

    def digest(self) -> str:
        """What tells the data from others."""
        return self.rows.digest()

    def order(self, epoch: int) -> Tensor:
        """The order in which an epoch visits the rows, shape (n,)."""
        return shuffled(len(self), int(self.seed), epoch).to(self.device)

    def batch(self, index: Tensor) -> Any:
        """The rows of those numbers, shape (batch, *image_shape), with their context if any."""
        return self.rows.batch(index, self.generator)

    def whose(self, finite: Tensor) -> str:
        """The model whose terms (steps, names, ...) are not all finite, where there are several."""
        return ""

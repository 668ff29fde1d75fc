"""One process of several that train one model: its rows of every batch, its share of the noise, the
mean over all.

`torchrun` starts the processes, and `training.fit` finds that there are several. All of them are
seeded alike and stay in step: each draws the noise of the whole batch and keeps that of its own
rows. So several processes train on the batches and the noise of one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch import distributed as dist


class Share(torch.Generator):
    """The generator of process `rank` of `processes`, by which `draw` takes its rows."""

    rank, processes = 0, 1


class Noise:
    """In place of a generator: gives `draw` noise that was drawn before, or notes in `asked` what
    would be drawn.
    """

    def __init__(self, drawn: Sequence[Tensor] | None = None) -> None:
        self.left = None if drawn is None else list(drawn)
        self.asked: list[tuple[Callable[..., Tensor], tuple[int, ...]]] = []

    def next(self, sample: Callable[..., Tensor], shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What `draw` gives."""
        if self.left is not None:
            return self.left.pop(0)
        self.asked.append((sample, tuple(shape)))
        return like.new_zeros(shape)


Generator = torch.Generator | Noise | None


def place() -> tuple[int, int]:
    """Number of this process and how many there are: (0, 1) outside a process group."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def draw(
    sample: Callable[..., Tensor],
    shape: tuple[int, ...],
    generator: Generator,
    like: Tensor,
) -> Tensor:
    """Noise of a shape (batch, ...) from `torch.randn` or `torch.rand`, in the precision and on the
    device of `like`.

    >>> one, second = torch.Generator().manual_seed(0), Share().manual_seed(0)
    >>> second.rank, second.processes = 1, 2
    >>> whole = draw(torch.randn, (4, 3), one, torch.zeros(()))
    >>> torch.equal(draw(torch.randn, (2, 3), second, torch.zeros(())), whole[2:])
    True
    """
    if isinstance(generator, Noise):
        return generator.next(sample, shape, like)
    rank, processes = 0, 1
    if isinstance(generator, Share):
        rank, processes = generator.rank, generator.processes
    n, *rest = shape
    whole = (processes * n, *rest)
    noise = sample(whole, generator=generator, device=like.device, dtype=like.dtype)
    return noise[rank * n : (rank + 1) * n]


@torch.no_grad()
def mean_of_all(x: Tensor) -> Tensor:
    """The mean of `x` over all processes, the same in each; `x` itself where there is one."""
    _, processes = place()
    if processes == 1:
        return x
    total = x.detach().clone()
    dist.all_reduce(total)
    return total / processes


@contextlib.contextmanager
def process_group(device: str) -> Iterator[int]:
    """Join the processes that `torchrun` started, each on a GPU of its own where there are GPUs;
    gives the rank.

    Nothing happens, and the rank is 0, in a process that was started without `torchrun`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield 0
        return
    on_cuda = torch.cuda.is_available() and not device.startswith("cpu")
    if on_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if on_cuda else "gloo")
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()

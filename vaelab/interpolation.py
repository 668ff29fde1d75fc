"""Ways from one code to another: `lerp`, the straight line, and `slerp`, the arc; the middles of
many.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import check_draws, generator_of

Way = Callable[[Tensor, Tensor, Tensor], Tensor]


@door
def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line from a to b, (1 − t) a + t b.

    Args:
        a, b: codes, shape (κ,).
        t: T numbers, 0 at a and 1 at b.

    Returns:
        Shape (T, κ).
    """
    share = t[:, None]
    start = (1 - share) * a
    return start + share * b


@door
def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc from a to b: its direction turns at a constant rate, its length changes at one.

    With Ω the angle between a and b, â = a/‖a‖ and b̂ = b/‖b‖, it is

        [(1 − t) ‖a‖ + t ‖b‖] · [sin((1 − t)Ω) â + sin(tΩ) b̂] / sin Ω.

    Between codes of one length it keeps that length, as typical draws from N(0, I) all have about
    √κ. Where a and b are parallel, opposite or zero there is no arc, and it is `lerp`.

    Source: Shoemake (1985); White (2016), Section 2.1. Both take codes of one length, where the
    formula is theirs; with [sin((1 − t)Ω) a + sin(tΩ) b] / sin Ω for codes of unequal lengths, the
    middle between nearly opposite ones would be many times as long as either.

    Args:
        a, b: codes, shape (κ,).
        t: T numbers, 0 at a and 1 at b.

    Returns:
        Shape (T, κ), in the type of a.

    >>> a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    >>> round(slerp(a, b, torch.tensor([0.5])).norm().item(), 6)
    3.0
    """
    t = t.double()
    ends = torch.stack([a, b]).double()
    lengths = ends.norm(dim=1, keepdim=True)
    directions = ends / lengths
    total = directions.sum(0).norm()
    difference = directions.diff(dim=0).norm()
    angle = 2 * torch.atan2(difference, total)  # arccos would lose digits at nearly opposite codes
    sine = angle.sin()
    if not sine > 1e-6:  # True for a code of length 0, too: its angle is NaN.
        return lerp(a, b, t.to(a))
    shares = torch.stack([1 - t, t], 1)
    turns = shares * angle
    weights = turns.sin() / sine
    first, second = lengths
    length = lerp(first, second, t)
    way = length * (weights @ directions)
    return way.to(a)


@door
def midpoints(z: Tensor, n: int, way: Way | None = None, seed: int = 0) -> Tensor:
    """The middles of the ways between `n` random pairs of different codes.

    Decoded, they are what the interpolation columns of Ghosh et al. (2020), Table 1, compare with
    images.

    Args:
        z: codes (m, κ), m ≥ 2, such as those of images that were held out.
        n: how many pairs.
        way: `slerp`, the arc, unless given; or `lerp`.
        seed: of the pairs.

    Returns:
        Shape (n, κ).

    >>> midpoints(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 3, lerp).tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    check_draws("n", n, math.prod(z.shape[1:]))
    if len(z) < 2:
        raise ValueError(f"z: expected at least 2 codes, got {len(z)}")
    generator = generator_of(seed)
    first = torch.randint(len(z), (n,), generator=generator)
    step = torch.randint(1, len(z), (n,), generator=generator)
    ends = zip(z[first], z[(first + step) % len(z)], strict=True)
    half = torch.tensor([0.5]).to(z)
    return torch.cat([(way or slerp)(a, b, half) for a, b in ends])

"""The ways between two codes: their ends, their middle, and what is left where there is no arc."""

import doctest

import pytest
import torch

from vaelab import interpolation
from vaelab.interpolation import lerp, midpoints, slerp


def codes(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def random_pairs(n, kappa):
    return torch.randn(n, 2, kappa, generator=torch.Generator().manual_seed(kappa)).double()


def test_doctests():
    assert doctest.testmod(interpolation).failed == 0


def test_slerp_turns_at_a_constant_rate_and_keeps_the_length():
    a, b = codes([3, 0, 0], [-1, 2, 2])
    t = torch.linspace(0, 1, 7).double()
    arc = slerp(a, b, t)
    assert torch.allclose(arc[0], a) and torch.allclose(arc[-1], b)
    assert torch.allclose(arc.norm(dim=1), torch.full((7,), 3.0).double())
    steps = torch.nn.functional.cosine_similarity(arc[1:], arc[:-1]).arccos()
    assert torch.allclose(steps, steps[:1].expand(6))


@pytest.mark.parametrize("kappa", [2, 3, 16])
def test_for_codes_of_one_length_slerp_is_shoemakes_formula(kappa):
    t = torch.linspace(0, 1, 5).double()
    for a, b in random_pairs(50, kappa):
        b = b * a.norm() / b.norm()
        angle = torch.arccos(a @ b / a.norm() ** 2)
        shares = torch.stack([((1 - t) * angle).sin(), (t * angle).sin()], 1) / angle.sin()
        assert torch.allclose(slerp(a, b, t), shares @ torch.stack([a, b]), rtol=1e-6)


@pytest.mark.parametrize("kappa", [2, 3, 16])
def test_the_middle_has_the_mean_length_and_halves_the_angle(kappa):
    for a, b in random_pairs(200, kappa):
        middle = slerp(a, b, torch.tensor([0.5]).double())[0]
        bisector = a / a.norm() + b / b.norm()
        assert torch.allclose(middle.norm(), (a.norm() + b.norm()) / 2, rtol=1e-9)
        assert torch.allclose(middle / middle.norm(), bisector / bisector.norm(), atol=1e-9)


def test_nearly_opposite_codes_keep_their_digits():
    a, b = codes([1e-3, 0], [-5, 1e-4])
    t = torch.linspace(0, 1, 5).double()
    expected = (1 - t) * a.norm() + t * b.norm()
    assert torch.allclose(slerp(a, b, t).norm(dim=1), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 2], [2, 4]), ([1, 2], [-1, -2]), ([1, 2], [-3, -6]), ([0, 0], [1, 0]), ([0, 0], [0, 0])],
)
def test_where_there_is_no_arc_slerp_is_straight(a, b):
    a, b, t = torch.tensor(a).float(), torch.tensor(b).float(), torch.tensor([0.0, 0.25, 1.0])
    assert torch.equal(slerp(a, b, t), lerp(a, b, t)) and slerp(a, b, t).isfinite().all()
    assert torch.allclose(lerp(a, b, t)[1], 0.75 * a + 0.25 * b)
    assert slerp(a, b, t).dtype == a.dtype


def test_midpoints_are_the_middles_of_pairs_of_different_codes():
    z = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    half = torch.tensor([0.5], dtype=torch.float64)
    for way in (lerp, slerp):
        middles = [way(a, b, half)[0] for i, a in enumerate(z) for b in z[i + 1 :]]
        gaps = torch.cdist(midpoints(z, 200, way, seed=1), torch.stack(middles))
        assert gaps.min(1).values.max() < 1e-6
        assert len(gaps.argmin(1).unique()) == 21  # Every pair has come.
    assert torch.equal(midpoints(z, 5), midpoints(z, 5, slerp))
    with pytest.raises(ValueError, match="z: expected at least 2 codes, got 1"):
        midpoints(z[:1], 3)

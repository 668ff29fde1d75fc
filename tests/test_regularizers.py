"""The latent terms carry their weight, row by row."""

import pytest
import torch

from vaelab import models, networks, regularizers
from vaelab.posteriors import DiagonalNormal
from vaelab.regularizers import KL, SquaredNorm


def posterior():
    mean, log_var = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return DiagonalNormal(mean, (0.5 * log_var).exp(), log_var)


@pytest.mark.parametrize("beta", [0, 0.5, 1, 4.0])
def test_kl_carries_its_weight(beta):
    q = posterior()
    torch.testing.assert_close(KL(beta)(q, q.mean), beta * q.kl_to_standard_normal())


@pytest.mark.parametrize("beta", [0, 1, 0.25])
def test_squared_norm_is_half_the_squared_length(beta):
    z = posterior().mean
    expected = torch.tensor([beta * 0.5 * sum(v * v for v in row) for row in z.tolist()], dtype=torch.float64)
    torch.testing.assert_close(SquaredNorm(beta)(posterior(), z), expected)


def test_gradient_of_the_squared_norm_is_the_code():
    z = posterior().mean.requires_grad_()
    SquaredNorm(0.5)(posterior(), z).sum().backward()
    torch.testing.assert_close(z.grad, 0.5 * z.detach())


@pytest.mark.parametrize("beta", [-1, float("nan"), "big"])
@pytest.mark.parametrize("kind", [KL, SquaredNorm])
def test_beta_must_not_be_negative(kind, beta):
    with pytest.raises(ValueError, match="beta: expected a number ≥ 0, got"):
        kind(beta)


@pytest.mark.parametrize("term", [KL(0.5), SquaredNorm(2.0)])
def test_spec_rebuilds_it(term):
    spec = term.spec()
    assert getattr(regularizers, spec.pop("name"))(**spec) == term


def test_a_point_code_has_no_kl():
    model = models.ae(networks.mlp(3, latent_dim=2))
    model.latent_term = KL()
    with pytest.raises(TypeError, match="expected a Gaussian head, or SquaredNorm"):
        model.loss_terms(torch.zeros(2, 3))

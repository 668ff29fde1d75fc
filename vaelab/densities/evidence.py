"""log p(x) of images under a model, with any density of its codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vaelab._arrays import Rows
from vaelab._door import door
from vaelab._inputs import check_draws, check_rows, floats, generator_of
from vaelab.densities.density import Density
from vaelab.models import Autoencoder, evaluating
from vaelab.priors import Prior

_AT_ONCE = 1000  # Rows that are scored together.


@door
@torch.no_grad()
def log_prob_mc(
    model: Autoencoder,
    x: Tensor | Rows,
    density: Density | Prior | None = None,
    n_samples: int = 16,
    seed: int = 0,
) -> Tensor:
    """log p(x) by importance sampling: log mean_k p(x given z_k) p(z_k) / q(z_k given x),
    z_k ~ q(z given x).

    A lower bound in expectation, tight as n_samples grows. The same noise serves every row, so that
    a row's value does not depend on its neighbours.

    Source: Burda et al. (2016), Eq. 8.

    Args:
        model: a VAE, whose posterior is not a point.
        x: images (n, *image_shape), or what `training.fit` reads a batch at a time.
        density: p(z); the model's prior unless given.
        n_samples: draws an image.
        seed: of the draws.

    Returns:
        Nats, shape (n,). −∞ where every draw is so far from the data that its weight is not finite.
    """
    rows = check_rows(x, model.image_shape)
    check_draws("n_samples", n_samples, model.latent_dim + _AT_ONCE)
    prior = model.prior if density is None else density
    eps = torch.randn(n_samples, model.latent_dim, generator=generator_of(seed))
    with evaluating(model):
        log_p = [_log_prob(model, part, prior, eps) for part in rows.split(_AT_ONCE)]
    return torch.cat(log_p)


def _log_prob(model: Autoencoder, images: Tensor, prior: Density | Prior, eps: Tensor) -> Tensor:
    """`log_prob_mc` with the noise of every draw, (n_samples, latent_dim)."""
    x = floats(images, next(model.parameters()))
    q = model.codes(x)
    weights = []
    for noise in eps.to(q.mean):
        z = q.at(noise.expand_as(q.mean))
        is_code = z.isfinite().all(1)
        z = z.where(is_code[:, None], 0.0)
        log_p_x_given_z = -model.likelihood.nll(x, model.outputs(z))
        weight = log_p_x_given_z + prior.log_prob(z) - q.log_prob(z)
        weights.append(torch.where(is_code & weight.isfinite(), weight, -math.inf))
    log_p = torch.stack(weights).logsumexp(0) - math.log(len(eps))
    return log_p.to(images) if images.is_floating_point() else log_p

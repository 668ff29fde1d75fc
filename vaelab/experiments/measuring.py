"""What is measured of a trained two-stage VAE, and on what machine."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch
from torch import Tensor

from vaelab import densities, metrics, models
from vaelab.data import Images
from vaelab.features import FeatureSpace, features_for

N_SAMPLES = 10_000  # images for a Fréchet distance, codes for an MMD


def fit_densities(
    model: models.Autoencoder, second: densities.SecondStage, x: Tensor, seed: int = 0
) -> dict[str, densities.StandardNormal]:
    """Every density of the tables, by name, fitted to the codes of images `x`; the second stage as it is."""
    q = model.codes(x)
    components = min(10, len(q))
    return {
        "N(0, I)": densities.StandardNormal().fit_codes(q),
        "second stage": second,
        "Gaussian": densities.Gaussian().fit_codes(q, seed),
        f"mixture of {components}": densities.GaussianMixture(components).fit_codes(q, seed),
    }


def measure(
    images: Images,
    model: models.Autoencoder,
    second: densities.SecondStage,
    space: FeatureSpace | None = None,
    seed: int = 0,
    fitted: dict[str, densities.StandardNormal] | None = None,
) -> dict[str, Any]:
    """Everything the theory and the tables speak of, for one trained two-stage VAE.

    Args:
        images: the data set.
        model, second: both stages, trained.
        space: the features of the Fréchet distances; `features_for(images)` unless given.
        seed: of every draw.
        fitted: the densities to compare; `fit_densities` of the training images unless given.

    Returns:
        Plain data: "gamma", "second_gamma", "active_dims", "reconstruction_error" (per pixel, test images),
        "mmd2" of both stages' codes to N(0, I), "spectra" of both, "eigenvalues" (means over the test images),
        "frechet" by density with "floor" (training against test images), "features", "n_samples" and "n_codes".
    """
    space = features_for(images) if space is None else space
    x = images.train[:N_SAMPLES]
    q_test, z = model.codes(images.test), densities.draw(model.codes(x), seed)
    u = second.codes(z, seed + 1)
    normal = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed + 2))
    fitted = fit_densities(model, second, images.train, seed) if fitted is None else fitted
    real = space(images.test)
    n = min(N_SAMPLES, max(5_000, len(images.test)))
    frechet = {k: metrics.frechet_distance(space(model.images(d.sample(n, seed))), real) for k, d in fitted.items()}
    return {
        "gamma": model.gamma,
        "second_gamma": second.gamma,
        "active_dims": metrics.active_dims(q_test.eigenvalues()),
        "reconstruction_error": metrics.mean_squared_error(images.test, model.reconstruct(images.test)),
        "mmd2": {"stage 1": metrics.mmd2(z, normal), "stage 2": metrics.mmd2(u, normal)},
        "spectra": {"stage 1": metrics.singular_values(z).tolist(), "stage 2": metrics.singular_values(u).tolist()},
        "eigenvalues": q_test.eigenvalues().mean(0).tolist(),
        "frechet": {**frechet, "floor": metrics.frechet_distance(space(x), real)},
        "features": space.name,
        "n_samples": n,
        "n_codes": len(z),
    }


def machine() -> dict[str, Any]:
    """What a figure was measured on."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(), "device": "cpu"}

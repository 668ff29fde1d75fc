"""What is measured of a trained two-stage VAE, and on what machine."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab import densities, metrics, models, posteriors
from vaelab._inputs import pick_device
from vaelab.data import Images
from vaelab.features import FeatureSpace, features_for

N_SAMPLES = 10_000  # images for a Fréchet distance, codes for an MMD


def fit_densities(
    model: models.Autoencoder, second: densities.SecondStage, x: Tensor, seed: int = 0
) -> dict[str, densities.StandardNormal]:
    """Every density of the tables, by name, fitted to the codes of images `x`; the second stage as
    it is.
    """
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
        Plain data: "gamma", "second_gamma", "active_dims", "reconstruction_error" (per pixel, test
        images), "mmd2" of both stages' codes to N(0, I), "spectra" of both, "eigenvalues" (means
        over the test images), "frechet" by density with "floor" (as many training images against
        the test images), "features", "n_samples" and "n_codes".
    """
    space = features_for(images) if space is None else space
    x = images.train[:N_SAMPLES]
    q_test, z = model.codes(images.test), densities.draw(model.codes(x), seed)
    u = second.codes(z, seed + 1)
    normal = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed + 2))
    fitted = fit_densities(model, second, images.train, seed) if fitted is None else fitted
    real = space(images.test)
    n = len(
        x
        # as many samples as training images in the floor: the fewer rows, the larger a Fréchet distance
    )
    frechet = {
        k: metrics.frechet_distance(space(model.images(d.sample(n, seed))), real)
        for k, d in fitted.items()
    }
    return {
        "gamma": model.gamma,
        "second_gamma": second.gamma,
        "active_dims": metrics.active_dims(q_test.eigenvalues()),
        "reconstruction_error": metrics.mean_squared_error(
            images.test, model.reconstruct(images.test)
        ),
        "mmd2": {"stage 1": metrics.mmd2(z, normal), "stage 2": metrics.mmd2(u, normal)},
        "spectra": {
            "stage 1": metrics.singular_values(z).tolist(),
            "stage 2": metrics.singular_values(u).tolist(),
        },
        "eigenvalues": q_test.eigenvalues().mean(0).tolist(),
        "frechet": {**frechet, "floor": metrics.frechet_distance(space(x), real)},
        "features": space.name,
        "n_samples": n,
        "n_codes": len(z),
    }


def measure_stages(
    images: Images,
    model: models.Autoencoder,
    second: densities.SecondStage | None = None,
    seed: int = 0,
    n: int = N_SAMPLES,
    rebuilt: Tensor | None = None,
) -> dict[str, Any]:
    """What a table's cell tells of the codes, for any model, with or without a second stage.

    Args:
        images: the data set.
        model, second: trained.
        seed: of every draw.
        n: how many codes are compared with N(0, I).
        rebuilt: reconstructions of the test images, where they are at hand.

    Returns:
        Plain data: "gamma", "active_dims", "reconstruction_error" (per pixel, test images), "mmd2"
        of each stage's codes to N(0, I), "spectra" of each, "eigenvalues" (means over the test
        images), "histogram" (of λ_j, see `metrics.eigenvalue_counts`), "noise" (see
        `noise_by_direction`) and "n_codes"; with a second stage "second_gamma".
    """
    q_test, z = model.codes(images.test), densities.draw(model.codes(images.train[:n]), seed)
    rebuilt = model.images(q_test.mean) if rebuilt is None else rebuilt
    eigenvalues = q_test.eigenvalues()
    codes = {"stage 1": z} | ({"stage 2": second.codes(z, seed + 1)} if second is not None else {})
    normal = torch.randn(z.shape, generator=torch.Generator().manual_seed(seed + 2))
    told = {
        "gamma": model.gamma,
        "active_dims": metrics.active_dims(eigenvalues),
        "reconstruction_error": metrics.mean_squared_error(images.test, rebuilt),
        "mmd2": {name: metrics.mmd2(c, normal) for name, c in codes.items()},
        "spectra": {name: metrics.singular_values(c).tolist() for name, c in codes.items()},
        "eigenvalues": eigenvalues.mean(0).tolist(),
        "histogram": metrics.eigenvalue_counts(eigenvalues).tolist(),
        "noise": noise_by_direction(model, q_test[:500], seed),
        "n_codes": len(z),
    }
    return told | ({"second_gamma": second.gamma} if second is not None else {})


def machine(device: str | torch.device = "cpu") -> dict[str, Any]:
    """What a figure was measured on.

    Args:
        device: where it was computed; as in `training.fit`.
    """
    device = pick_device(device)
    name = platform.processor() or platform.machine()
    if device.type != "cpu":
        module = getattr(torch, device.type)
        name = module.get_device_name(device) if hasattr(module, "get_device_name") else device.type
    told = {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()}
    return {**told, "threads": torch.get_num_threads(), "device": device.type, "device_name": name}


def noise_by_direction(
    model: models.Autoencoder, q: posteriors.Point, seed: int = 0
) -> dict[str, Any]:
    """What noise along each principal direction of the mean Σ_z does to the images of up to 16
    codes.

    Source: Dai & Wipf (2019), Figs. 1b and 10.

    Returns:
        "eigenvalues" of the mean Σ_z, ascending, the images' "variance" for each (see
        `metrics.direction_variance`), and their "rank_correlation": near −1 by the theory, None
        where all eigenvalues are equal.
    """
    values, vectors = torch.linalg.eigh(q.covariance().double().mean(0))
    variance = metrics.direction_variance(
        model.images, q.mean[:16], vectors.T, n_draws=4, seed=seed
    )
    equal = values.max() == values.min() or variance.max() == variance.min()
    rho = None if equal else metrics.rank_correlation(values, variance)
    return {"eigenvalues": values.tolist(), "variance": variance.tolist(), "rank_correlation": rho}


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit of the checkout this package sits in, with a + where files differ from it; None
    without git.

    Asked once: what a process has imported does not change when the checkout does.
    """
    here = Path(__file__).resolve().parents[2]
    if not (here / "pyproject.toml").is_file():
        return None
    try:
        ask = {"cwd": here, "capture_output": True, "text": True, "timeout": 10, "check": True}
        head = subprocess.run(["git", "rev-parse", "HEAD"], **ask).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "vaelab"], **ask
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return head + ("+" if changed else "")

"""The demonstration on digits: γ fixed at 1, γ learned, and the second stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from vaelab import checkpoints, densities, metrics, models, training
from vaelab.experiments.measuring import fit_densities, machine, measure
from vaelab.experiments.settings import DIGITS, build, train
from vaelab.features import features_for
from vaelab.training import Cosine


def demo(
    seed: int = 0, progress: bool = True, say: Callable[[str], None] = print
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The demonstration on scikit-learn's digits: γ fixed at 1, γ learned, and the second stage.

    Args:
        seed: of everything random.
        progress: whether to show bars.
        say: told what happens next.

    Returns:
        The report, as plain data, and the pictures for its figure.
    """
    from vaelab.data import load_images

    started = time.perf_counter()
    images = load_images("digits")
    settings = replace(DIGITS, seed=seed)
    say(f"{images.source}\n1/3  a VAE with γ fixed at 1")
    fixed = build(images.shape, replace(settings, gamma=1.0))
    fixed_run = training.fit(
        fixed,
        images.train,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        lr=settings.lr,
        schedule=Cosine(),
        seed=seed,
        device="cpu",
        progress=progress,
        label="γ fixed",
    )
    say("2/3  the same with γ learned\n3/3  a second VAE on its codes")
    model, second, runs = train(images, settings, device="cpu", progress=progress)
    space = features_for(images)
    fitted = fit_densities(model, second, images.train, seed)
    report = measure(images, model, second, space, seed, fitted)
    fixed_codes = fixed.codes(images.test)
    fixed_samples = fixed.images(
        densities.StandardNormal().fit_codes(fixed_codes).sample(report["n_samples"], seed)
    )
    report |= {
        "fixed": {
            "gamma": fixed.gamma,
            "active_dims": metrics.active_dims(fixed_codes.eigenvalues()),
            "reconstruction_error": metrics.mean_squared_error(
                images.test, fixed.reconstruct(images.test)
            ),
            "mmd2": _mmd_to_normal(fixed, images.train, seed),
            "frechet": metrics.frechet_distance(space(fixed_samples), space(images.test)),
        },
        "gamma_curves": {
            "γ fixed": fixed_run.history["gamma"].tolist(),
            "γ learned": runs["first"].history["gamma"].tolist(),
        },
        "second_gamma_curve": runs["second"].history["gamma"].tolist(),
        "settings": asdict(settings),
        "versions": checkpoints.versions(),
        "machine": machine(),
        "seconds": round(time.perf_counter() - started, 1),
    }
    return report, demo_pictures(images.test[:60], fixed_samples, model, fitted, seed)


def _mmd_to_normal(model: models.Autoencoder, x: Tensor, seed: int) -> float:
    z = densities.draw(model.codes(x), seed)
    return metrics.mmd2(z, torch.randn(z.shape, generator=torch.Generator().manual_seed(seed + 2)))


def demo_pictures(
    x: Tensor,
    fixed_samples: Tensor,
    model: models.Autoencoder,
    fitted: dict[str, densities.StandardNormal],
    seed: int,
) -> dict[str, Tensor]:
    """Images `x`, their reconstructions, and as many samples of each kind, by title."""
    samples = {name: model.images(density.sample(len(x), seed)) for name, density in fitted.items()}
    return {
        "test images": x,
        "their reconstructions, γ learned": model.reconstruct(x),
        "samples, γ fixed at 1": fixed_samples[: len(x)],
        "samples, γ learned": samples["N(0, I)"],
        "samples, two stages": samples["second stage"],
        "samples, γ learned + mixture of 10": samples["mixture of 10"],
    }

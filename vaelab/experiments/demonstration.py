"""The demonstration on pictures of clothes: γ fixed at 1, γ learned, and the second stage."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from vaelab import checkpoints
from vaelab.data import load_images, unit
from vaelab.experiments.measuring import MIXTURE, NORMAL, SECONDS, fit_densities, measure
from vaelab.experiments.records import machine
from vaelab.experiments.settings import FASHION_SMALL
from vaelab.experiments.stages import train, train_firsts
from vaelab.training import Session


def demo(
    seed: int = 0, progress: bool = True, say: Callable[[str], None] = print
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The demonstration on "fashion-small": γ fixed at 1, γ learned, and the second stage.

    Args:
        seed: of everything random.
        progress: whether to show bars.
        say: called with what happens next.

    Returns:
        The report, as plain data, and the pictures for its figure.
    """
    started = time.perf_counter()
    images = load_images("fashion-small")
    settings = replace(FASHION_SMALL, seed=seed)
    at_one = replace(settings, arguments={"gamma": 1.0})
    session = Session(device="cpu", progress=progress)
    say(f"{images.source}\n1/3  a VAE with γ fixed at 1")
    [(fixed, fixed_run)] = train_firsts(images, [at_one], session)
    say("2/3  the same with γ learned\n3/3  a second VAE on its latents")
    model, second, runs = train(images, settings, session=session)
    fitted = fit_densities(model, second, images.train_pixels, seed)
    normal = checkpoints.model_prior(fixed)
    blurred = measure(images, fixed, seed=seed, fitted={NORMAL: normal})
    names = ("gamma", "active_dims", "reconstruction_error")
    variances = torch.linalg.eigvalsh(images.train.flatten(1).T.cov())
    report = measure(images, model, second, seed=seed, fitted=fitted) | {
        "fixed": {
            **{name: blurred[name] for name in names},
            "mmd2": blurred["mmd2"]["stage 1"],
            "frechet": blurred["frechet"][NORMAL],
            "linear_dims": int((variances > 2.0).sum()),  # λ = γ / Λ < ½ at γ = 1
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
    x = unit(images.test_pixels[:40])
    pictures = {
        "test images": x,
        "their reconstructions, γ learned": model.reconstruct(x),
        "samples, γ fixed at 1": fixed.images(normal.sample(report["n_samples"], seed))[:40],
    }
    titles = {NORMAL: "γ learned", SECONDS: "two stages", MIXTURE: "γ learned + mixture of 10"}
    for name, title in titles.items():
        pictures[f"samples, {title}"] = model.images(fitted[name].sample(len(x), seed))
    return report, pictures

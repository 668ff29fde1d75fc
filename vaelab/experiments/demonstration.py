"""The demonstration on digits: γ fixed at 1, γ learned, and the second stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from vaelab import checkpoints, densities, models
from vaelab.data import load_images
from vaelab.experiments.measuring import (
    N_SAMPLES,
    NORMAL,
    SECONDS,
    fit_densities,
    judge_for,
    measure,
)
from vaelab.experiments.provenance import machine
from vaelab.experiments.settings import DIGITS
from vaelab.experiments.stages import train, train_firsts
from vaelab.features import features_for
from vaelab.training import Session


def demo(
    seed: int = 0, progress: bool = True, say: Callable[[str], None] = print
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The demonstration on scikit-learn's digits: γ fixed at 1, γ learned, and the second stage.

    Args:
        seed: of everything random.
        progress: whether to show bars.
        say: called with what happens next.

    Returns:
        The report, as plain data, and the pictures for its figure.
    """
    started = time.perf_counter()
    images = load_images("digits")
    settings = replace(DIGITS, seed=seed)
    say(f"{images.source}\n1/3  a VAE with γ fixed at 1")
    at_one = replace(settings, arguments={"gamma": 1.0})
    session = Session(device="cpu", progress=progress)
    [(fixed, fixed_run)] = train_firsts(images, [at_one], session)
    say("2/3  the same with γ learned\n3/3  a second VAE on its codes")
    model, second, runs = train(images, settings, session=session)
    judge = judge_for(images, features_for(images), images.train[:N_SAMPLES])
    fitted = fit_densities(model, second, images.train, seed)
    normal = {NORMAL: densities.StandardNormal().fit_codes(fixed.codes(images.test))}
    collapsed = measure(images, fixed, None, judge, seed, normal)
    names = ("gamma", "active_dims", "reconstruction_error")
    report = measure(images, model, second, judge, seed, fitted) | {
        "fixed": {
            **{name: collapsed[name] for name in names},
            "mmd2": collapsed["mmd2"]["stage 1"],
            "frechet": collapsed["frechet"][NORMAL],
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
    few = images.test[:60]
    fixed_samples = fixed.images(normal[NORMAL].sample(report["n_samples"], seed))
    return report, demo_pictures(few, fixed_samples, model, fitted, seed)


def demo_pictures(
    x: Tensor,
    fixed_samples: Tensor,
    model: models.Autoencoder,
    fitted: Mapping[str, densities.StandardNormal],
    seed: int,
) -> dict[str, Tensor]:
    """Images `x`, their reconstructions, and as many samples of each kind, by title."""
    samples = {name: model.images(density.sample(len(x), seed)) for name, density in fitted.items()}
    return {
        "test images": x,
        "their reconstructions, γ learned": model.reconstruct(x),
        "samples, γ fixed at 1": fixed_samples[: len(x)],
        "samples, γ learned": samples[NORMAL],
        "samples, two stages": samples[SECONDS],
        "samples, γ learned + mixture of 10": samples["mixture of 10"],
    }

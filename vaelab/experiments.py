"""Runs with a protocol: train a two-stage VAE on images, measure it, and the demonstration on digits.

What is measured is said with it: the features of a Fréchet distance, the number of samples, the seeds, the versions.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaelab import checkpoints, densities, metrics, models, networks, training
from vaelab._inputs import check_choice, check_positive, check_positive_int, check_seed, check_weight
from vaelab.data import Images
from vaelab.features import FeatureSpace, features_for
from vaelab.training import Cosine, HalveEvery, Hold

N_SAMPLES = 10_000  # images for a Fréchet distance, codes for an MMD


@dataclass(frozen=True)
class Settings:
    """How a two-stage VAE is trained; the defaults are those of the paper's text for MNIST (Appendix D).

    Args:
        network: "mlp", or "infogan" for images with sides divisible by 4.
        latent_dim: κ.
        gamma: "learned", "optimal", or the decoder variance.
        epochs, second_epochs: passes over the data in each stage.
        batch_size: rows a step.
        lr, second_lr: Adam's step sizes.
        halve_every: epochs after which the first stage's step size halves (twice as many in the second stage); 0 lets
            it fall along a cosine in both.
        weight_decay: as in `training.fit`, in both stages.
        seed: of weights, batches, noise and samples.
        bn_momentum: of infogan's batch normalisation; 0.001, the paper's, wants runs of more than 5,000 steps.
    """

    network: str = "infogan"
    latent_dim: int = 64
    gamma: float | str = "learned"
    epochs: int = 400
    second_epochs: int = 800
    batch_size: int = 100
    lr: float = 1e-4
    second_lr: float = 1e-4
    halve_every: int = 150
    weight_decay: float = 5e-4
    seed: int = 0
    bn_momentum: float = 0.001

    def __post_init__(self) -> None:
        check_choice("network", self.network, ("mlp", "infogan"))
        for name in ("latent_dim", "epochs", "second_epochs", "batch_size"):
            check_positive_int(name, getattr(self, name))
        check_positive("lr", self.lr), check_positive("second_lr", self.second_lr)
        check_weight("weight_decay", self.weight_decay), check_weight("halve_every", self.halve_every)
        check_seed(self.seed)


DIGITS = Settings(
    "mlp", 24, epochs=200, second_epochs=500, batch_size=128, lr=2e-3, second_lr=4e-3, halve_every=0, weight_decay=0.0
)


def build(shape: tuple[int, ...], settings: Settings) -> models.Autoencoder:
    """The first stage, untrained: its weights follow from the seed.

    Args:
        shape: one image's (channels, height, width).
        settings: as for `train`.

    Raises:
        ValueError: an unknown network, or images it cannot take.
    """
    with networks.seeded(settings.seed):
        if settings.network == "mlp":
            nets = networks.mlp(shape, settings.latent_dim, hidden=(256, 256))
        else:
            channels, height, width = shape
            if height != width:
                raise ValueError(f"infogan takes square images, got {height}×{width}; give --side to crop and resize")
            nets = networks.infogan(channels, height, settings.latent_dim, settings.bn_momentum)
        return models.vae(nets, settings.gamma)


def second_stage(settings: Settings, device: str = "auto") -> densities.SecondStage:
    """The second stage that goes with the settings, untrained."""
    small = settings.network == "mlp"
    schedule = Cosine() if not settings.halve_every else HalveEvery(2 * settings.halve_every)
    return densities.SecondStage(
        (128, 128, 128) if small else (1024, 1024, 1024), "silu" if small else "relu",
        epochs=settings.second_epochs, batch_size=settings.batch_size, lr=settings.second_lr, schedule=schedule,
        weight_decay=settings.weight_decay, gamma_schedule=Hold(1.0, 0.7 if small else 0.5), device=device,
    )


def train(
    images: Images,
    settings: Settings,
    folder: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    checkpoint_every: float = 60.0,
) -> tuple[models.Autoencoder, densities.SecondStage, dict[str, training.Run]]:
    """Train both stages.

    Args:
        images: the data set.
        settings: how.
        folder: where both stages keep their checkpoints; a call with the same arguments goes on from them.
        device: as in `training.fit`.
        progress: whether to show bars.
        checkpoint_every: seconds between two checkpoints.

    Returns:
        First stage, second stage, and the run of each.
    """
    model = build(images.shape, settings)
    run = training.fit(
        model, images.train, epochs=settings.epochs, batch_size=settings.batch_size, lr=settings.lr,
        schedule=HalveEvery(settings.halve_every) if settings.halve_every else Cosine(),
        weight_decay=settings.weight_decay, seed=settings.seed, device=device, progress=progress, label="first stage",
        checkpoint=folder / "stage1.state.safetensors" if folder else None, checkpoint_every=checkpoint_every,
    )
    second = second_stage(settings, device)
    second.fit(
        model, images.train, settings.seed, progress=progress,
        checkpoint=folder / "stage2.state.safetensors" if folder else None, checkpoint_every=checkpoint_every,
    )
    return model, second, {"first": run, "second": second.run}


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
        fixed, images.train, epochs=settings.epochs, batch_size=settings.batch_size, lr=settings.lr, schedule=Cosine(),
        seed=seed, device="cpu", progress=progress, label="γ fixed",
    )
    say("2/3  the same with γ learned\n3/3  a second VAE on its codes")
    model, second, runs = train(images, settings, device="cpu", progress=progress)
    space = features_for(images)
    fitted = fit_densities(model, second, images.train, seed)
    report = measure(images, model, second, space, seed, fitted)
    fixed_codes = fixed.codes(images.test)
    fixed_samples = fixed.images(densities.StandardNormal().fit_codes(fixed_codes).sample(report["n_samples"], seed))
    report |= {
        "fixed": {
            "gamma": fixed.gamma,
            "active_dims": metrics.active_dims(fixed_codes.eigenvalues()),
            "reconstruction_error": metrics.mean_squared_error(images.test, fixed.reconstruct(images.test)),
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

"""What the pages show: a model folder of your own, or a small model trained on digits; and the γ
path's models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vaelab import checkpoints, densities, models, networks, training, widgets
from vaelab._inputs import check_seed
from vaelab.data import NAMES, Images, load_images

GAMMAS = (
    0.5,
    0.2,
    0.1,
    0.05,
    0.02,
    0.01,
)  # from below the digits' largest variance, 0.7, to a sharp decoder
LATENT_DIM, HIDDEN, EPOCHS, SECOND_EPOCHS = 24, (128, 128), 12, 70
N_IMAGES = 2000  # images a page reads codes off, at most: one visitor's start takes a second


@dataclass(frozen=True)
class Opened:
    """A model with what its pages need.

    Args:
        model: the autoencoder.
        densities: fitted stand-ins for q(z), by name.
        x: images, (n, *image_shape).
        labels: their classes, or None.
        name: what to call it.
    """

    model: models.Autoencoder
    densities: dict[str, densities.StandardNormal]
    x: Tensor
    labels: Tensor | None
    name: str


def prepare(
    folder: str | Path, *, second_stage: bool = True, seed: int = 0, progress: bool = True
) -> None:
    """Train the small models of the pages, some ten seconds: a γ path on digits, and a second stage
    on its last model.

    Args:
        folder: gets `path/0` … `path/5`, a model folder each, and `model`, the last one with its
            second stage.
        second_stage: without it there is no `model`: of use to whoever has one.
        seed: of weights, batches and noise.
        progress: show progress bars.

    Raises:
        FileExistsError: models are there already.
    """
    check_seed(seed)
    digits = load_images("digits")
    told = {
        "data": {"name": "digits", "fingerprint": digits.fingerprint(), "source": digits.source}
    }
    with networks.seeded(seed):
        start = models.vae(networks.mlp(digits.shape, LATENT_DIM, HIDDEN))
    run = widgets.gamma_path(
        start,
        digits.train,
        GAMMAS,
        epochs=EPOCHS,
        batch_size=128,
        lr=3e-3,
        seed=seed,
        device="cpu",
        progress=progress,
    )
    for i, (gamma, model) in enumerate(run):
        normal = densities.StandardNormal().fit(model, digits.train)
        checkpoints.save(Path(folder) / "path" / str(i), model, normal, {**told, "gamma": gamma})
    if not second_stage:
        return
    second = densities.SecondStage(
        (64, 64),
        "silu",
        epochs=SECOND_EPOCHS,
        batch_size=128,
        lr=2e-2,
        schedule=training.Cosine(),
        gamma="optimal",
        gamma_schedule=training.Hold(0.8, 0.5),
    )
    second.fit(run[-1][1], digits.train, seed)
    checkpoints.save(Path(folder) / "model", run[-1][1], second, told)


def open_model(folder: str | Path, images: str | None = None) -> Opened:
    """Read a model folder, the images it was trained on, and fit the quick stand-ins to its codes.

    Args:
        folder: one that `vaelab train` or `vaelab.save` wrote.
        images: a data set or the path of a folder of pictures; what the model was trained on unless
            given.

    Raises:
        FileNotFoundError, CheckpointError: no model there, or a damaged one.
        ValueError: nobody says which images, or they are not of the model's shape.
    """
    saved = checkpoints.load(folder)
    found = _images_of(saved, folder, images)
    if found.shape != tuple(saved.model.image_shape):
        raise ValueError(
            f"{folder}: expected images of shape {tuple(saved.model.image_shape)}, as the model "
            f"has, got {found.shape} "
            f"from {found.name}; name others with --images"
        )
    order = torch.randperm(len(found.train), generator=torch.Generator().manual_seed(0))[:N_IMAGES]
    x = found.train[order]
    own = (
        {}
        if type(saved.density) is densities.StandardNormal
        else {_name(saved.density): saved.density}
    )
    quick = {"Gaussian": densities.Gaussian(), "mixture of 10": densities.GaussianMixture(10)}
    for each in quick.values():
        each.fit(saved.model, x)
    labels = None if found.train_labels is None else found.train_labels[order]
    return Opened(
        saved.model, {**own, **quick}, x, labels, f"{found.name}, κ = {saved.model.latent_dim}"
    )


def _name(density: densities.StandardNormal) -> str:
    return "second stage" if isinstance(density, densities.SecondStage) else type(density).__name__


def _images_of(saved: checkpoints.Saved, folder: str | Path, images: str | None) -> Images:
    name = images or saved.run.get("data", {}).get("name")
    if images is None and name not in NAMES:
        found = f"was trained on {name!r}" if name else "does not say what it was trained on"
        raise ValueError(
            f"{folder}: the model {found}; name a data set or the folder of pictures with --images"
        )
    return load_images(name, side=saved.model.image_shape[-1])

"""What the pages show: a model folder of your own, or a small model trained on digits; and the γ
path's models.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vaelab import checkpoints, densities, models, networks, training, widgets
from vaelab._inputs import check_seed, generator_of
from vaelab.apps.images import images_for
from vaelab.apps.opening import opened
from vaelab.data import load_images, unit

# From below the digits' largest variance, 0.7, to a sharp decoder.
GAMMAS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
LATENT_DIM = 24
HIDDEN = (128, 128)
EPOCHS = 12
SECOND_EPOCHS = 70
N_IMAGES = 2000  # A page reads codes off so many images at most: a visitor waits for a second.


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
    densities: dict[str, densities.Density]
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
        second_stage: without it there is no `model`, for those who have one.
        seed: of weights, batches and noise.
        progress: show progress bars.

    Raises:
        FileExistsError: models are there already.
    """
    seed = check_seed(seed)
    folder = Path(folder)
    digits = load_images("digits")
    record = {"name": "digits", "fingerprint": digits.fingerprint(), "source": digits.source}
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
        place = folder / "path" / str(i)
        checkpoints.save(place, model, run={"data": record, "gamma": gamma})
    if second_stage:
        last = run[-1][1]
        second = densities.SecondStage(
            (64, 64),
            "silu",
            epochs=SECOND_EPOCHS,
            batch_size=128,
            lr=2e-2,
            schedule=training.Cosine(),
            gamma="optimal",
            gamma_schedule=training.Hold(0.8, 0.5),
        ).fit(last, digits.train, seed)
        checkpoints.save(folder / "model", last, second, {"data": record})


def open_model(folder: str | Path, images: str | None = None) -> Opened:
    """Read a model folder, the images it was trained on, and fit the quick stand-ins to its codes.

    Args:
        folder: one that `vaelab train` or `vaelab.save` wrote.
        images: a data set or the path of a folder of pictures; what the model was trained on unless
            given.

    Raises:
        FileNotFoundError, CheckpointError: no model there, or a damaged one.
        ValueError: the run does not say which images, or they are not of the model's shape.
    """
    saved = opened(folder)
    model = saved.model
    data = images_for(saved, name=images)
    order = torch.randperm(len(data.train_pixels), generator=generator_of(0))[:N_IMAGES]
    x = unit(data.train_pixels[order])
    fitted = {
        "Gaussian": densities.Gaussian().fit(model, x),
        "mixture of 10": densities.GaussianMixture(10).fit(model, x),
    }
    if not densities.is_standard_normal(saved.density):
        is_second = isinstance(saved.density, densities.SecondStage)
        kind = "second stage" if is_second else type(saved.density).__name__
        fitted = {kind: saved.density, **fitted}
    labels = None if data.train_labels is None else data.train_labels[order]
    return Opened(model, fitted, x, labels, f"{data.name}, κ = {model.latent_dim}")

"""How a two-stage VAE is trained, as plain data, and the training itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vaelab import densities, models, networks, training
from vaelab._inputs import (
    check_choice,
    check_positive,
    check_positive_int,
    check_seed,
    check_weight,
)
from vaelab.data import Images
from vaelab.training import Cosine, HalveEvery, Hold

NETWORKS = ("mlp", "infogan", "resnet", "wae")
MODELS = ("vae", "ce", "flow", "wae-mmd", "wae-gan", "ae")


@dataclass(frozen=True)
class Settings:
    """How a two-stage VAE is trained; the defaults are those of the paper's text for MNIST
    (Appendix D).

    Args:
        network: "mlp", "infogan" for images with sides divisible by 4, "resnet" or "wae".
        latent_dim: κ.
        gamma: "learned", "optimal", or the decoder variance; of the models "vae" and "flow".
        epochs, second_epochs: passes over the data in each stage.
        batch_size: rows a step.
        lr, second_lr: Adam's step sizes.
        halve_every: epochs after which the first stage's step size halves; 0 lets it fall along a
            cosine in both.
        weight_decay: as in `training.fit`, in both stages.
        seed: of weights, batches, noise and samples.
        bn_momentum: of batch normalisation; 0.001, the paper's, wants runs of more than 5,000
            steps.
        model: the first stage: "vae", "ce" (cross-entropy), "flow", "wae-mmd", "wae-gan" or "ae".
        second_halve_every: the same for the second stage; twice `halve_every` unless given.
        second_hidden: width of the second stage's three hidden layers.
        gamma_lr: as in `training.fit`, in the first stage.
        latent_weight: λ of "wae-mmd" and "wae-gan"; that of `vaelab.models` unless given.
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
    model: str = "vae"
    second_halve_every: int | None = None
    second_hidden: int = 1024
    gamma_lr: float = 10.0
    latent_weight: float | None = None

    def __post_init__(self) -> None:
        check_choice("network", self.network, NETWORKS), check_choice("model", self.model, MODELS)
        for name in ("latent_dim", "epochs", "second_epochs", "batch_size", "second_hidden"):
            check_positive_int(name, getattr(self, name))
        check_positive("lr", self.lr), check_positive("second_lr", self.second_lr)
        check_positive("gamma_lr", self.gamma_lr)
        (
            check_weight("weight_decay", self.weight_decay),
            check_weight("halve_every", self.halve_every),
        )
        if self.second_halve_every is not None:
            check_weight("second_halve_every", self.second_halve_every)
        if self.latent_weight is not None:
            check_weight("latent_weight", self.latent_weight)
        check_seed(self.seed)


DIGITS = Settings(
    "mlp",
    24,
    epochs=200,
    second_epochs=500,
    batch_size=128,
    lr=2e-3,
    second_lr=4e-3,
    halve_every=0,
    weight_decay=0.0,
    second_hidden=128,
)


def build(shape: tuple[int, ...], settings: Settings) -> models.Autoencoder:
    """The first stage, untrained: its weights follow from the seed.

    Args:
        shape: one image's (channels, height, width).
        settings: as for `train`.

    Raises:
        ValueError: an unknown network, or images it cannot take.
    """
    weight = {} if settings.latent_weight is None else {"weight": settings.latent_weight}
    with networks.seeded(settings.seed):
        nets, gamma = _networks(shape, settings), settings.gamma
        catalogue = {
            "vae": lambda: models.vae(nets, gamma),
            "flow": lambda: models.vae_flow(nets, gamma),
            "ce": lambda: models.ce_vae(nets),
            "ae": lambda: models.ae(nets),
            "wae-mmd": lambda: models.wae_mmd(nets, **weight),
            "wae-gan": lambda: models.wae_gan(nets, **weight),
        }
        return catalogue[settings.model]()


def _networks(shape: tuple[int, ...], settings: Settings) -> networks.Networks:
    name, kappa, momentum = settings.network, settings.latent_dim, settings.bn_momentum
    if name == "mlp":
        output = "sigmoid" if settings.model == "ce" else "identity"
        return networks.mlp(shape, kappa, hidden=(256, 256), output=output)
    channels, height, width = shape
    if height != width:
        raise ValueError(
            f"{name} takes square images, got {height}×{width}; give --side to crop and resize"
        )
    return getattr(networks, name)(channels, height, kappa, bn_momentum=momentum)


def second_stage(
    settings: Settings, device: str = "auto", precision: str = "float32", compile: bool = False
) -> densities.SecondStage:
    """The second stage that goes with the settings, untrained."""
    small = settings.network == "mlp"
    halve_every = settings.second_halve_every
    halve_every = 2 * settings.halve_every if halve_every is None else halve_every
    schedule = HalveEvery(halve_every) if halve_every else Cosine()
    return densities.SecondStage(
        (settings.second_hidden,) * 3,
        "silu" if small else "relu",
        epochs=settings.second_epochs,
        batch_size=settings.batch_size,
        lr=settings.second_lr,
        schedule=schedule,
        weight_decay=settings.weight_decay,
        gamma_schedule=Hold(1.0, 0.7 if small else 0.5),
        device=device,
        precision=precision,
        compile=compile,
    )


def train_firsts(
    images: Images,
    several: Sequence[Settings],
    folder: Path | None = None,
    device: str = "auto",
    progress: bool = True,
    checkpoint_every: float = 60.0,
    precision: str = "float32",
    compile: bool = False,
) -> list[tuple[models.Autoencoder, training.Run]]:
    """Train the first stage alone, by one or more settings that differ in nothing but the seed:
    those at once.

    Other arguments as for `train`, the last two as for `training.fit`.

    Raises:
        ValueError: settings that differ in more.
    """
    one = several[0]
    if any(replace(each, seed=one.seed) != one for each in several):
        raise ValueError(f"settings: expected no difference but in the seed, got {list(several)}")
    built, seeds = [build(images.shape, each) for each in several], [each.seed for each in several]
    plan = {
        "epochs": one.epochs,
        "batch_size": one.batch_size,
        "lr": one.lr,
        "weight_decay": one.weight_decay,
        "schedule": HalveEvery(one.halve_every) if one.halve_every else Cosine(),
        "gamma_lr": one.gamma_lr,
        "checkpoint": folder / "stage1.state.safetensors" if folder else None,
        "checkpoint_every": checkpoint_every,
        "device": device,
        "progress": progress,
        "label": "first stage",
        "precision": precision,
        "compile": compile,
    }
    if len(built) == 1:
        return [(built[0], training.fit(built[0], images.train, seed=seeds[0], **plan))]
    return list(
        zip(built, training.fit_together(built, images.train, seeds=seeds, **plan), strict=True)
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
        folder: where both stages keep their checkpoints; a call with the same arguments goes on
            from them.
        device: as in `training.fit`.
        progress: whether to show bars.
        checkpoint_every: seconds between two checkpoints.

    Returns:
        First stage, second stage, and the run of each.
    """
    [(model, run)] = train_firsts(images, [settings], folder, device, progress, checkpoint_every)
    second = second_stage(settings, device)
    second.fit(
        model,
        images.train,
        settings.seed,
        progress=progress,
        checkpoint=folder / "stage2.state.safetensors" if folder else None,
        checkpoint_every=checkpoint_every,
    )
    return model, second, {"first": run, "second": second.run}

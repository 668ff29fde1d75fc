"""How a two-stage VAE is trained, as plain data, and the two stages that the data describe.

By the text of Dai & Wipf (2019), γ is a parameter as any other, learned from the first step of
each stage with the step size of the weights (their code learns √γ, which doubles the steps of log
γ). `Settings` says the same by default. A run of fewer steps than theirs never comes down to its γ
that way: SOONER is the one departure, and every file of results repeats which was used.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vaelab import densities, models, networks
from vaelab._inputs import (
    check_choice,
    check_part,
    check_positive,
    check_positive_int,
    check_weight,
)
from vaelab.training import Cosine, HalveEvery, Hold, Plan, Ramp

GIVEN = {"half_given": models.half_given}  # What completes pictures, and has tables alone.
_SHORT = {"ce": "ce_vae", "flow": "vae_flow"}  # names that Settings has always taken


def _name(kind: str, value: str | Callable, known: Mapping[str, Callable]) -> str:
    """The exported name of a function, or of a name in which - and _ are alike."""
    if isinstance(value, str):
        name = _SHORT.get(value, value).replace("-", "_")
    else:
        name = next((name for name, each in known.items() if each is value), repr(value))
    check_choice(kind, name, known)
    return name


def _plain(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a file holds them."""
    try:
        return json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name}: expected names, each with numbers, words or lists of them, got {arguments!r}"
        ) from error


def mapping() -> Any:
    """A field that holds a mapping, empty unless given, and has no part in the hash."""
    return field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Settings:
    """How a two-stage VAE is trained; the defaults are those of the paper's text for MNIST
    (Appendix D).

    Args:
        network: a function of `vaelab.networks` or its name: "mlp", "small_conv", "infogan" for
            images with sides divisible by 4, "rae", "resnet" or "wae".
        latent_dim: κ.
        epochs, second_epochs: passes over the data in each stage.
        batch_size: rows a step.
        lr, second_lr: Adam's step sizes.
        halve_every: epochs after which the first stage's step size halves; 0 lets it fall along a
            cosine in both.
        weight_decay: as in `training.fit`, in both stages.
        seed: of weights, batches, noise and samples.
        bn_momentum: of batch normalisation, where the network has it; 0.001, the paper's, wants
            runs of more than 5,000 steps.
        model: the first stage: a function of the catalogue `vaelab.models` or its name, such as
            "vae", "ce-vae" or "wae_mmd"; - and _ are alike.
        second_halve_every: the same for the second stage; twice `halve_every` unless given.
        second_hidden: width of the second stage's three hidden layers.
        gamma_lr, second_gamma_lr: as in `training.fit`, in each stage.
        second_hold: share of the second stage's training for which its γ is held at 1.
        search: values to try of some of the `arguments`, such as {"weight": (10.0, 100.0)}: a table
            takes the best, see `searched`.
        validation, patience: as in `training.fit`, in the first stage.
        ramp: share of the first stage's training over which β rises to its value; 0 for none.
        start: SHA-256 of the weights that the first stage starts from; random ones unless given.
        arguments: what the model's function takes beside the networks, such as {"gamma": 1.0} or
            {"weight": 30.7}; plain data.
        network_arguments: what the network's function takes beside shape, κ and momentum, such as
            {"hidden": (256, 256)}; plain data.

    Raises:
        ValueError: names or numbers that no model can be trained with.
        TypeError: arguments that a file cannot hold. Whether the functions take them is asked in
            `build`.
    """

    network: str | Callable = "infogan"
    latent_dim: int = 64
    epochs: int = 400
    second_epochs: int = 800
    batch_size: int = 100
    lr: float = 1e-4
    second_lr: float = 1e-4
    halve_every: int = 150
    weight_decay: float = 5e-4
    seed: int = 0
    bn_momentum: float = 0.001
    model: str | Callable = "vae"
    second_halve_every: int | None = None
    second_hidden: int = 1024
    gamma_lr: float = 1.0
    second_gamma_lr: float = 1.0
    second_hold: float = 0.0
    arguments: Mapping[str, Any] = mapping()
    network_arguments: Mapping[str, Any] = mapping()
    search: Mapping[str, Any] = mapping()
    validation: float | None = None
    patience: int | None = None
    start: str | None = None
    ramp: float = 0.0

    def __post_init__(self) -> None:
        plain = ("arguments", "network_arguments", "search")
        checked = {name: _plain(name, getattr(self, name)) for name in plain} | {
            "network": _name("network", self.network, networks.MAKERS),
            "model": _name("model", self.model, models.CATALOGUE | GIVEN),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("halve_every", "second_halve_every", "second_hold", "ramp"):
            check_weight(name, getattr(self, name) or 0)
        self.plan()  # It checks what it takes.
        for name in ("latent_dim", "second_epochs", "second_hidden"):
            check_positive_int(name, getattr(self, name))
        for name in ("second_lr", "second_gamma_lr"):
            check_positive(name, getattr(self, name))
        check_part("bn_momentum", self.bn_momentum)

    def plan(self) -> Plan:
        """How the first stage is trained."""
        ramp = Ramp(self.ramp) if self.ramp else None
        schedules = {"schedule": _schedule(self.halve_every), "beta_schedule": ramp}
        return Plan.of(vars(self) | schedules)


def _schedule(halve_every: int) -> HalveEvery | Cosine:
    return HalveEvery(halve_every) if halve_every else Cosine()


# For one CPU core: 7,200 steps of each stage on 60,000 images, some three minutes in all.
LAPTOP = Settings(
    "small_conv",
    16,
    epochs=12,
    second_epochs=12,
    lr=4e-3,
    second_lr=1e-3,
    halve_every=0,
    weight_decay=0.0,
    second_hidden=512,
    gamma_lr=10.0,
    second_gamma_lr=10.0,
)

# In few steps log γ, which moves by lr · gamma_lr in each, must come down by several nats; and the
# second stage's γ must not settle before its decoder has learned.
SOONER = {"gamma_lr": 10.0, "second_gamma_lr": 10.0, "second_hold": 0.5}

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
    network_arguments={"hidden": (256, 256)},
    gamma_lr=10.0,
    second_gamma_lr=10.0,
    second_hold=0.7,
)
FASHION_SMALL = replace(
    DIGITS,
    epochs=30,
    second_epochs=100,
    network_arguments={"hidden": (512, 256)},
)
# Of the sets that come with the package: a minute on one core.
SMALL = {"digits": DIGITS, "fashion-small": FASHION_SMALL, "shapes": FASHION_SMALL}


def settings_from(stored: Mapping[str, Any]) -> Settings:
    """The settings of a file, today's or one of the days when γ and λ were fields of their own.

    Raises:
        KeyError, TypeError, ValueError: no settings.
    """
    values: dict[str, Any] = {name: v for name, v in stored.items() if name != "second_stage"}
    if "arguments" not in values:
        former = {"gamma": values.pop("gamma"), "weight": values.pop("latent_weight")}
        if values["model"] not in ("vae", "flow"):
            del former["gamma"]
        kept = {name: value for name, value in former.items() if value not in ("learned", None)}
        values["arguments"] = kept
        if values["network"] == "mlp":
            values["network_arguments"] = DIGITS.network_arguments
    if "second_hold" not in values:  # Written when all trained as these do.
        values = SOONER | values | {"second_hold": 0.7 if values["network"] == "mlp" else 0.5}
    return Settings(**values)


def build(shape: tuple[int, ...], settings: Settings) -> models.Autoencoder:
    """The first stage, untrained: its weights follow from the seed.

    Args:
        shape: one image's (channels, height, width).
        settings: which model of which networks.

    Raises:
        ValueError: images that the network cannot take; a search that nobody has made.
        TypeError: an argument that the model's or the network's function does not take.

    >>> model = build((1, 8, 8), Settings("mlp", 2, model="wae-mmd", arguments={"weight": 1.0}))
    >>> model.image_shape
    (1, 8, 8)
    """
    if settings.search:
        raise ValueError(
            f"search: expected none left, got {settings.search}; call `searched` first"
        )
    network = str(settings.network)
    taken = inspect.signature(networks.MAKERS[network]).parameters
    options: dict[str, Any] = {}
    if "bn_momentum" in taken:
        options["bn_momentum"] = settings.bn_momentum
    if settings.model == "ce_vae" and "output" in taken:
        options["output"] = "sigmoid"  # Cross-entropy needs outputs in [0, 1].
    options |= settings.network_arguments
    with networks.seeded(settings.seed):
        more = len(models.upper_half(shape)) if settings.model in GIVEN else 0
        pair = networks.for_shape(network, shape, settings.latent_dim + more, options)
        maker = GIVEN.get(str(settings.model), settings.model)
        return models.build(maker, pair, settings.arguments)


def second_stage(settings: Settings) -> densities.SecondStage:
    """The second stage that goes with the settings, untrained."""
    halve_every = settings.second_halve_every
    return densities.SecondStage(
        (settings.second_hidden,) * 3,
        "silu" if settings.network == "mlp" else "relu",
        epochs=settings.second_epochs,
        batch_size=settings.batch_size,
        lr=settings.second_lr,
        schedule=_schedule(2 * settings.halve_every if halve_every is None else halve_every),
        weight_decay=settings.weight_decay,
        gamma_lr=settings.second_gamma_lr,
        gamma_schedule=Hold(1.0, settings.second_hold) if settings.second_hold else None,
    )

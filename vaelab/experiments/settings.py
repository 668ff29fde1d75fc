"""How a two-stage VAE is trained, as plain data, and the first stage that the data describe."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vaelab import models, networks
from vaelab._inputs import (
    check_choice,
    check_positive,
    check_positive_int,
    check_seed,
    check_weight,
)

_NETWORKS = networks.MAKERS
_MODELS = models.CATALOGUE
_SHORT = {"ce": "ce_vae", "flow": "vae_flow"}  # names that Settings has always taken
# What a network's function is given without being asked, where it takes it.
_GIVEN = ("image_shape", "channels", "side", "latent_dim", "bn_momentum")
NETWORKS = tuple(_NETWORKS)
MODELS = tuple(_MODELS)


def _name(kind: str, value: str | Callable, known: Mapping[str, Callable]) -> str:
    """The exported name of a function, or of a name in which - and _ are alike."""
    if isinstance(value, str):
        name = _SHORT.get(value, value).replace("-", "_")
    else:
        name = next((name for name, each in known.items() if each is value), repr(value))
    check_choice(kind, name, known)
    return name


def _checked(name: str, arguments: Mapping[str, Any], allowed: list[str]) -> dict[str, Any]:
    """The arguments as a file holds them, or raise unless the function `name` takes all of them."""
    if not isinstance(arguments, Mapping):
        raise TypeError(f"arguments of {name}: expected names and values, got {arguments!r}")
    if arguments and not allowed:
        raise ValueError(f"arguments of {name}: expected none, got {', '.join(arguments)}")
    for argument in arguments:
        check_choice(f"arguments of {name}", argument, allowed)
    try:
        return json.loads(json.dumps(dict(arguments)))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"arguments of {name}: expected numbers, words and lists of them, got {arguments!r}"
        ) from error


@dataclass(frozen=True)
class Settings:
    """How a two-stage VAE is trained; the defaults are those of the paper's text for MNIST
    (Appendix D).

    Args:
        network: a function of `vaelab.networks` or its name: "mlp", "infogan" for images with
            sides divisible by 4, "resnet" or "wae".
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
        gamma_lr: as in `training.fit`, in the first stage.
        arguments: what the model's function takes beside the networks, such as {"gamma": 1.0} or
            {"weight": 30.7}; plain data.
        network_arguments: what the network's function takes beside shape, κ and momentum, such as
            {"hidden": (256, 256)}; plain data.

    Raises:
        ValueError: names or numbers that no model can be trained with.
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
    gamma_lr: float = 10.0
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    network_arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "network", _name("network", self.network, _NETWORKS))
        object.__setattr__(self, "model", _name("model", self.model, _MODELS))
        for name in ("latent_dim", "epochs", "second_epochs", "batch_size", "second_hidden"):
            check_positive_int(name, getattr(self, name))
        for name in ("lr", "second_lr", "gamma_lr"):
            check_positive(name, getattr(self, name))
        check_weight("weight_decay", self.weight_decay)
        check_weight("halve_every", self.halve_every)
        if self.second_halve_every is not None:
            check_weight("second_halve_every", self.second_halve_every)
        check_seed(self.seed)
        taken = list(inspect.signature(_MODELS[self.model]).parameters)[1:]
        object.__setattr__(self, "arguments", _checked(self.model, self.arguments, taken))
        taken = [
            n for n in inspect.signature(_NETWORKS[self.network]).parameters if n not in _GIVEN
        ]
        plain = _checked(self.network, self.network_arguments, taken)
        object.__setattr__(self, "network_arguments", plain)


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
)


def settings_from(stored: Mapping[str, Any]) -> Settings:
    """The settings of a file, today's or one of the days when γ and λ were fields of their own.

    Raises:
        KeyError, TypeError, ValueError: no settings.
    """
    values = {name: value for name, value in stored.items() if name != "second_stage"}
    if "arguments" in values:
        return Settings(**values)
    gamma = values.pop("gamma")
    weight = values.pop("latent_weight")
    values["arguments"] = {} if weight is None else {"weight": weight}
    if values["model"] in ("vae", "flow") and gamma != "learned":
        values["arguments"]["gamma"] = gamma
    if values["network"] == "mlp":
        values["network_arguments"] = DIGITS.network_arguments
    return Settings(**values)


def build(shape: tuple[int, ...], settings: Settings) -> models.Autoencoder:
    """The first stage, untrained: its weights follow from the seed.

    Args:
        shape: one image's (channels, height, width).
        settings: which model of which networks.

    Raises:
        ValueError: images that the network cannot take, or an argument that the model cannot.

    >>> model = build((1, 8, 8), Settings("mlp", 2, model="wae-mmd", arguments={"weight": 1.0}))
    >>> model.image_shape
    (1, 8, 8)
    """
    with networks.seeded(settings.seed):
        pair = _networks(shape, settings)
        return _MODELS[settings.model](pair, **settings.arguments)


def _networks(shape: tuple[int, ...], settings: Settings) -> networks.Networks:
    takes = inspect.signature(_NETWORKS[settings.network]).parameters
    options = {"bn_momentum": settings.bn_momentum} if "bn_momentum" in takes else {}
    if settings.model == "ce_vae" and "output" in takes:
        options["output"] = "sigmoid"  # Cross-entropy needs outputs in [0, 1].
    options |= settings.network_arguments
    return networks.for_shape(settings.network, shape, settings.latent_dim, options)

"""At what size a table is run, and how the model of a row is trained at that size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vaelab._inputs import check_choice
from vaelab.experiments.settings import DIGITS, Settings
from vaelab.experiments.tables import DATA_SETS, Row, Table

# Appendix D of the paper; the author gives CIFAR-10's epochs.
PAPER = {
    "digits": DIGITS,
    "mnist": Settings(),
    "fashion": Settings(),
    "cifar10": Settings(epochs=1000, second_epochs=2000, halve_every=300),
    "celeba": Settings(epochs=120, second_epochs=300, halve_every=48, second_halve_every=120),
}


@dataclass(frozen=True)
class Profile:
    """At what size a table is run.

    Args:
        name: as on the command line, and in the paths of results.
        trials: how often, unless the caller says; trial t has seed t.
        features: "classifier" or "inception" for the Fréchet distances.
        columns: data sets unless the caller says; None for the table's own.
        n_train: training images, drawn with a fixed seed; None for all.
        n_samples: generated images.
        share: of the paper's epochs, for every data set but digits.
        images, digits: what else it changes in the settings, of digits and of the others.
    """

    name: str
    trials: int
    features: str
    columns: tuple[str, ...] | None = None
    n_train: int | None = None
    n_samples: int = 10_000
    share: float = 1.0
    images: Mapping[str, Any] = field(default_factory=dict, hash=False)
    digits: Mapping[str, Any] = field(default_factory=dict, hash=False)


QUICK = Profile(
    "quick",
    3,
    "classifier",
    ("digits", "mnist", "fashion"),
    n_train=10_000,
    images={
        "epochs": 4,
        "second_epochs": 40,
        "lr": 1e-3,
        "second_lr": 1e-3,
        "halve_every": 0,
        "second_halve_every": 0,
        "bn_momentum": 0.05,
        "second_hidden": 512,
        # In few steps log γ, which moves by lr · gamma_lr in each, must come down by some 5 nats.
        "gamma_lr": 50.0,
    },
)
FULL = Profile("full", 3, "classifier", share=0.25)
PROFILES = {profile.name: profile for profile in (QUICK, FULL, Profile("paper", 10, "inception"))}


def settings_for(table: Table, row: Row, data_set: str, profile: Profile, trial: int) -> Settings:
    """How the model of a row is trained on a data set; trial t has seed t."""
    check_choice("data set", data_set, DATA_SETS)
    changed = {**row.settings_on(data_set), "seed": trial}
    if data_set == "digits":
        return replace(DIGITS, **{**profile.digits, **changed})
    paper = replace(PAPER[data_set], **table.settings)
    names = ("epochs", "second_epochs", "halve_every", "second_halve_every")
    lengths = {name: getattr(paper, name) for name in names}
    shorter = {k: v and max(1, round(profile.share * v)) for k, v in lengths.items()}
    return replace(paper, **{**shorter, **profile.images, **changed})

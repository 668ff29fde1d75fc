"""The papers' tables as data: rows, columns, what a row trains, and the profiles that say at what
size.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from vaelab._inputs import check_choice, check_positive_int
from vaelab.experiments.settings import DIGITS, Settings

DATA_SETS = ("digits", "mnist", "fashion", "cifar10", "celeba")

# Appendix D of the paper; the author gives CIFAR-10's epochs.
PAPER = {
    "digits": DIGITS,
    "mnist": Settings(),
    "fashion": Settings(),
    "cifar10": Settings(epochs=1000, second_epochs=2000, halve_every=300),
    "celeba": Settings(epochs=120, second_epochs=300, halve_every=48, second_halve_every=120),
}

# Of WAE-MMD beside a sum of squared errors, in the code of Ghosh et al. (2020); Dai & Wipf do not
# say theirs.
_MMD_WEIGHTS = {"mnist": 30.7, "fashion": 30.7, "cifar10": 18.4, "celeba": 2000.0}


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        key: its name in the published CSV and, of a model's row, in the files of its cells.
        label: its name in print.
        model: the cell that it reads; its own key unless given.
        settings: what its first stage changes in `Settings`.
        second: whether samples come from a second stage; otherwise from N(0, I).
        measure: where its value lies in what a cell has measured, such as ("mmd2", "stage 1").
    """

    key: str
    label: str
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    second: bool = False
    measure: tuple[str, ...] = ("frechet",)

    @property
    def cell(self) -> str:
        """The model whose cells this row reads."""
        return self.model or self.key


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Args:
        name: as on the command line.
        title: in print.
        rows: in the paper's order.
        published: what the published figures are.
        columns: data sets, the published ones; digits can always be asked for.
        cells: the table whose cells it reads; its own unless given.
        settings: what it changes in the settings of every data set but digits.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    published: str
    columns: tuple[str, ...] = ("mnist", "fashion", "cifar10", "celeba")
    cells: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def store(self) -> str:
        """The name under which its cells lie."""
        return self.cells or self.name

    def row(self, key: str) -> Row:
        """The row of that key, or the first that reads the cells of that name."""
        models = {row.cell: row for row in reversed(self.rows)} | {
            row.key: row for row in self.rows
        }
        check_choice("model", key, list(models))
        return models[key]


_LEARNED = Row("learned", "VAE, γ learned")
_TWO = Row("two-stage", "two-stage VAE", second=True)
_ROWS = (
    Row("ce", "VAE, cross-entropy", settings={"model": "ce"}),
    Row("fixed", "VAE, γ fixed at 1", settings={"gamma": 1.0}),
    _LEARNED,
    Row("flow", "VAE + flow", settings={"model": "flow"}),
    Row("wae-mmd", "WAE-MMD", settings={"model": "wae-mmd"}),
    _TWO,
)
_WAE_ROWS = (
    Row("vae", "VAE (γ learned here)"),
    Row("wae-mmd", "WAE-MMD", settings={"model": "wae-mmd"}),
    Row("wae-gan", "WAE-GAN", settings={"model": "wae-gan"}),
    _TWO,
)
_STAGES = tuple(
    replace(_TWO, key=stage, label=f"codes of {stage}", model="two-stage", measure=("mmd2", stage))
    for stage in ("stage 1", "stage 2")
)
_WAE_SETTINGS = {
    "network": "wae",
    "epochs": 70,
    "second_epochs": 70,
    "halve_every": 30,
    "second_halve_every": 30,
}  # the authors' README

TABLES = {
    table.name: table
    for table in (
        Table("dai-wipf-1", "Dai & Wipf (2019), Table 1, VAE-type models", _ROWS, "FID"),
        Table(
            "dai-wipf-2",
            "Dai & Wipf (2019), Table 2, the WAE's networks",
            _WAE_ROWS,
            "FID",
            ("celeba",),
            settings=_WAE_SETTINGS,
        ),
        Table(
            "dai-wipf-3",
            "Dai & Wipf (2019), Table 3, codes against N(0, I)",
            _STAGES,
            "MMD, kernel unknown",
            cells="dai-wipf-1",
        ),
    )
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


_QUICK = {
    "epochs": 4,
    "second_epochs": 40,
    "lr": 1e-3,
    "second_lr": 1e-3,
    "halve_every": 0,
    "second_halve_every": 0,
    "bn_momentum": 0.05,
    "second_hidden": 512,
    "gamma_lr": 50.0,
}  # few steps: log γ moves by lr · gamma_lr in each, and must come down by some 5 nats
PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "quick", 3, "classifier", ("digits", "mnist", "fashion"), n_train=10_000, images=_QUICK
        ),
        Profile("full", 3, "classifier", share=0.25),
        Profile("paper", 10, "inception"),
    )
}


def settings_for(table: Table, row: Row, data_set: str, profile: Profile, trial: int) -> Settings:
    """How the model of a row is trained on a data set; trial t has seed t."""
    check_choice("data set", data_set, DATA_SETS)
    if data_set == "digits":
        return replace(DIGITS, **profile.digits, **row.settings, seed=trial)
    paper = replace(PAPER[data_set], **table.settings)
    names = ("epochs", "second_epochs", "halve_every", "second_halve_every")
    lengths = {name: getattr(paper, name) for name in names}
    shorter = {k: v and max(1, round(profile.share * v)) for k, v in lengths.items()}
    if row.settings.get("model") == "wae-mmd":
        paper = replace(paper, latent_weight=_MMD_WEIGHTS.get(data_set))
    return replace(paper, **{**shorter, **profile.images, **row.settings}, seed=trial)


def published(name: str) -> dict[tuple[str, str], tuple[float, float | None]]:
    """The printed figures of a table: from (row, data set) to value and standard deviation, None
    where unknown.

    >>> published("dai-wipf-1")["two-stage", "mnist"]
    (12.6, 1.5)
    """
    check_choice("table", name, TABLES)
    packed = resources.files("vaelab") / "published" / f"{name}.csv"  # of a wheel
    path = (
        packed
        if packed.is_file()
        else Path(__file__).parents[2] / "data" / "published" / f"{name}.csv"
    )
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    return {
        (r["row"], r["data_set"]): (float(r["value"]), float(r["sd"]) if r["sd"] else None)
        for r in rows
    }


@dataclass(frozen=True)
class Cell:
    """What is trained and measured at once, stored as one file.

    Args:
        table: whose rows and settings.
        data_set: a column.
        model: the key of a row.
        trial: t ≥ 0, also its seed.
        profile: at what size.
        protocol: "clean" or "dai-wipf"; see `protocols`.
    """

    table: Table
    data_set: str
    model: str
    trial: int
    profile: Profile
    protocol: str = "clean"

    @property
    def row(self) -> Row:
        """The row whose model it trains."""
        return self.table.row(self.model)

    @property
    def settings(self) -> Settings:
        """How it is trained."""
        return settings_for(self.table, self.row, self.data_set, self.profile, self.trial)

    @property
    def path(self) -> Path:
        """Its file, below the folder of results."""
        size = f"{self.profile.name}-{self.protocol}"
        return Path(self.table.store) / size / self.data_set / f"{self.model}-{self.trial}.json"

    def __str__(self) -> str:
        return f"{self.data_set}, {self.model}, trial {self.trial}"


def cells_of(
    table: Table,
    profile: Profile,
    data_sets: tuple[str, ...] = (),
    models: tuple[str, ...] = (),
    trials: int | None = None,
    protocol: str = "clean",
) -> list[Cell]:
    """The cells of a table: trial by trial, so that a run that is stopped has whole rows; all
    unless told which.
    """
    trials = profile.trials if trials is None else check_positive_int("trials", trials)
    if not data_sets:
        known = (*table.columns, "digits")
        data_sets = tuple(d for d in profile.columns or table.columns if d in known)
    names = dict.fromkeys(
        table.row(key).cell for key in (models or tuple(row.key for row in table.rows))
    )
    for data_set in data_sets:
        check_choice("data set", data_set, DATA_SETS)
    return [
        Cell(table, data_set, name, trial, profile, protocol)
        for trial in range(trials)
        for data_set in data_sets
        for name in names
    ]

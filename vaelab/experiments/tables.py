"""The papers' tables as data: rows, columns, and what a row trains.

A row holds a function of the catalogue and its arguments, so that a model becomes a row by one line
in a table, such as

    Row("wae-mmd", "WAE-MMD", models.wae_mmd, {"weight": 30.7})

and by its published figures in data/published/, where there are any.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from importlib import resources
from operator import getitem
from pathlib import Path
from typing import Any

from vaelab import models, networks
from vaelab._inputs import check_choice
from vaelab.experiments.measuring import NORMAL, SECONDS


@dataclass(frozen=True)
class Row:
    """One row of a table: a function of the catalogue and its arguments.

    Args:
        key: its name in the published CSV and, of a model's row, in the files of its cells.
        label: its name in print.
        model: the function of `vaelab.models` that builds its first stage.
        arguments: what the function takes beside the networks, such as {"weight": 30.7}.
        on: by data set, what the arguments are instead.
        settings: what else its training changes in `Settings`, such as {"network": networks.wae}.
        search: by argument, the values among which a profile that searches takes the best.
        second: whether samples come from a second stage; otherwise from N(0, I).
        reads: the key of the row whose cells it reads; its own unless given.
        measure: where its value lies in what a cell has measured, such as ("mmd2", "stage 1");
            ("frechet",) is the distance of its own samples.
    """

    key: str
    label: str
    model: Callable[..., models.Autoencoder] = models.vae
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    search: Mapping[str, Any] = field(default_factory=dict, hash=False)
    second: bool = False
    reads: str = ""
    measure: tuple[str, ...] = ("frechet",)

    @property
    def cell(self) -> str:
        """The key of the row whose cells it reads."""
        return self.reads or self.key

    @property
    def density(self) -> str:
        """What its samples are drawn from."""
        return SECONDS if self.second else NORMAL

    @property
    def path(self) -> tuple[str, ...]:
        """Where its value lies in what a cell has measured."""
        return (*self.measure, self.density) if self.measure == ("frechet",) else self.measure

    def value(self, record: Mapping[str, Any]) -> float:
        """Its value in the record of a cell, as from `read_cell`."""
        return reduce(getitem, self.path, record["measured"])

    def settings_on(self, data_set: str) -> dict[str, Any]:
        """What the row changes in the settings of a data set."""
        arguments = {**self.arguments, **self.on.get(data_set, {})}
        return {"model": self.model, "arguments": arguments, **self.settings}


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Args:
        name: as on the command line.
        title: in print.
        rows: in the paper's order.
        published: what the published figures are.
        columns: data sets, the published ones; those of the package can always be asked for.
        cells: the table whose cells it reads; its own unless given.
        settings: what it changes in the settings of every data set but those of the package.
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
        rows = {row.cell: row for row in reversed(self.rows)}
        rows |= {row.key: row for row in self.rows}
        check_choice("model", key, rows)
        return rows[key]


# Of WAE-MMD beside a sum of squared errors, in the code of Ghosh et al. (2020); Dai & Wipf do not
# say theirs. Digits have the catalogue's.
_MMD_WEIGHTS = {
    "fashion-small": 30.7,
    "mnist": 30.7,
    "fashion": 30.7,
    "shapes": 18.4,
    "cifar10": 18.4,
    "celeba": 2000.0,
}
_WAE_MMD = Row(
    "wae-mmd",
    "WAE-MMD",
    models.wae_mmd,
    on={data_set: {"weight": weight} for data_set, weight in _MMD_WEIGHTS.items()},
    search={"weight": (10.0, 30.0, 100.0, 300.0)},
)
_TWO = Row("two-stage", "two-stage VAE", second=True)
_STAGES = tuple(
    replace(_TWO, key=stage, label=f"codes of {stage}", reads="two-stage", measure=("mmd2", stage))
    for stage in ("stage 1", "stage 2")
)

DAI_WIPF_1 = Table(
    "dai-wipf-1",
    "Dai & Wipf (2019), Table 1, VAE-type models",
    (
        Row("ce", "VAE, cross-entropy", models.ce_vae),
        Row("fixed", "VAE, γ fixed at 1", arguments={"gamma": 1.0}),
        Row("learned", "VAE, γ learned"),
        Row("flow", "VAE + flow", models.vae_flow),
        _WAE_MMD,
        _TWO,
    ),
    "FID",
)
DAI_WIPF_2 = Table(
    "dai-wipf-2",
    "Dai & Wipf (2019), Table 2, the WAE's networks",
    (
        Row("vae", "VAE (γ learned here)"),
        _WAE_MMD,
        Row("wae-gan", "WAE-GAN", models.wae_gan),
        _TWO,
    ),
    "FID",
    ("celeba",),
    settings={
        "network": networks.wae,
        "epochs": 70,
        "second_epochs": 70,
        "halve_every": 30,
        "second_halve_every": 30,
    },  # The numbers are those of the authors' README.
)
DAI_WIPF_3 = Table(
    "dai-wipf-3",
    "Dai & Wipf (2019), Table 3, codes against N(0, I)",
    _STAGES,
    "MMD, kernel unknown",
    cells="dai-wipf-1",
)
TABLES = {table.name: table for table in (DAI_WIPF_1, DAI_WIPF_2, DAI_WIPF_3)}


def published(name: str) -> dict[tuple[str, str], tuple[float, float | None]]:
    """The printed figures of a table: from (row, data set) to value and standard deviation, None
    where unknown.

    >>> published("dai-wipf-1")["two-stage", "mnist"]
    (12.6, 1.5)
    """
    check_choice("table", name, TABLES)
    folder = resources.files("vaelab") / "published"  # It lies there in a wheel.
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "data" / "published"
    lines = (folder / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    figures = {}
    for row in csv.DictReader(lines):
        sd = float(row["sd"]) if row["sd"] else None
        figures[row["row"], row["data_set"]] = float(row["value"]), sd
    return figures

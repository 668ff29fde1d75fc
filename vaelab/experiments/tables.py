"""The papers' tables as data: rows, columns, and what a row trains.

A row holds a function of the catalogue and its arguments, so that a model becomes a row by one line
in a table, such as

    Row("wae-mmd", "WAE-MMD", models.wae_mmd, {"weight": 30.7})

and by its published figures in data/published/, where there are any.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import getitem
from typing import Any

from vaelab import models, networks
from vaelab._files import came_with
from vaelab._inputs import check_choice
from vaelab.experiments import weights
from vaelab.experiments.measuring import GAUSSIAN, MIXTURE, NORMAL, SECONDS
from vaelab.experiments.settings import mapping

PUBLISHED = came_with("published")


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
    arguments: Mapping[str, Any] = mapping()
    on: Mapping[str, Mapping[str, Any]] = mapping()
    settings: Mapping[str, Any] = mapping()
    search: Mapping[str, Any] = mapping()
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

    def value(self, record: Mapping[str, Any]) -> float | None:
        """Its value in the record of a cell, as from `read_cell`; None where the cell was measured
        without it.
        """
        try:
            return reduce(getitem, self.path, record["measured"])
        except KeyError:
            return None

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
        on: by data set, what it changes there, those of the package among them.
        ex_post: whether its cells fit every density afterwards, and measure midpoints, precision
            and recall too.
        notes: what must stand below it.
        elsewhere: published columns of data that are not among those here: nothing measures them.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    published: str
    columns: tuple[str, ...] = ("mnist", "fashion", "cifar10", "celeba")
    cells: str = ""
    settings: Mapping[str, Any] = mapping()
    on: Mapping[str, Mapping[str, Any]] = mapping()
    ex_post: bool = False
    notes: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

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
_MMD = weights.arguments("wae")
_MMD |= {"fashion-small": _MMD["fashion"], "shapes": _MMD["cifar10"]}
_WAE_MMD = Row(
    "wae-mmd",
    "WAE-MMD",
    models.wae_mmd,
    on=_MMD,
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

# The models of Ghosh et al. (2020), each with its weights for small images.
_GHOSH = tuple(
    Row(key, label, model, own, weights.arguments(key), second=key == "2svae")
    for key, label, model, own in (
        ("vae", "VAE", models.vae, {"gamma": 0.01}),
        ("cv-vae", "CV-VAE", models.cv_vae, {"gamma": 0.01}),
        ("wae", "WAE", models.wae_mmd, {"weight": 5.0}),
        ("2svae", "2sVAE", models.vae, {"gamma": 0.01}),
        ("rae-gp", "RAE-GP", models.rae_gp, {"beta": 0.01}),
        ("rae-l2", "RAE-L2", models.rae_l2, {"beta": 0.01}),
        ("rae-sn", "RAE-SN", models.rae_sn, {"beta": 0.01}),
        ("rae", "RAE", models.rae, {"beta": 0.01}),
        ("ae", "AE", models.ae, {}),
        ("ae-l2", "AE-L2", models.ae_l2, {}),
    )
)
_BY_PRIOR = ("vae", "cv-vae", "wae")  # Whose column "N" is N(0, I); else a fitted Gaussian.


def _columns(row: Row) -> dict[str, str]:
    """The densities of a model's rows, by the head of the column."""
    if row.second:
        return {"N": SECONDS}
    return {"N": NORMAL if row.key in _BY_PRIOR else GAUSSIAN, "GMM": MIXTURE}


def _rows(row: Row, measure: str, columns: Mapping[str, str], *title: str) -> list[Row]:
    return [
        replace(
            row,
            key=" ".join((row.key, *title, head.lower().rstrip("."))),
            label=", ".join((row.label, *title, head)),
            reads=row.key,
            measure=(measure, density),
        )
        for head, density in columns.items()
    ]


_COPIES, _WAYS = {"Rec.": "reconstructions"}, {"Interp.": "midpoints"}
GHOSH_1 = Table(
    "ghosh-1",
    "Ghosh et al. (2020), Table 1: reconstructions, samples and midpoints",
    tuple(
        line for row in _GHOSH for line in _rows(row, "frechet", _COPIES | _columns(row) | _WAYS)
    ),
    "FID",
    ("mnist", "cifar10", "celeba"),
    settings={
        "network": networks.rae,
        "latent_dim": 16,
        "epochs": 100,
        "lr": 1e-3,
        "halve_every": 20,
        "weight_decay": 0.0,
        "second_epochs": 100,
    },
    on={
        "digits": {"latent_dim": 16, "epochs": 80, "batch_size": 129, "lr": 4e-3},
        "cifar10": {"latent_dim": 128},
        "celeba": {
            "latent_dim": 64,
            "epochs": 70,
            "network_arguments": {"kernel": 5, "doublings": 3},
        },
    },
    ex_post=True,
    notes=(
        "Rec.: reconstructions of test images. N: samples of N(0, I) for VAE, CV-VAE and WAE, of "
        "the second stage for 2sVAE, of a Gaussian fitted to the codes for the others. GMM: of a "
        "mixture of ten fitted by EM; the paper's figures are of a Bayesian one "
        "(`densities.DirichletMixture`).",
        "Interp.: images half way on an arc between the codes of two test images. The authors' "
        "validation images, from which theirs come, overlap with those they trained on (40,000 of "
        "50,000), and chose the step size and the checkpoint.",
        "2sVAE: here the VAE of the first rows with a second stage, so that its Rec. and Interp. "
        "are that VAE's. The paper's is a VAE with fixed weights "
        "in both stages, which learns no γ: no two-stage VAE of Dai & Wipf (2019).",
        "The step size halves every 20 epochs here; the authors halve it when the validation loss "
        "stands still.",
    ),
)
GHOSH_2 = replace(
    GHOSH_1,
    name="ghosh-2",
    title="Ghosh et al. (2020), Table 2: precision (F of 1/8) and recall (F of 8)",
    rows=tuple(
        line
        for row in _GHOSH
        if row.key not in ("2svae", "ae-l2")
        for measure in ("precision", "recall")
        for line in _rows(row, measure, _columns(row), measure)
    ),
    published="PRD, 20 clusters, 1001 angles, ten runs",
    cells="ghosh-1",
)

_BETAS = (1.0, 0.3, 0.1, 1e-2, 1e-3, 0.0)
_PRIORS = {"flow": models.flow_prior_vae, "N(0, I)": models.vae}


def _swept(prior: str, gamma: float | str, beta: float) -> tuple[Row, Row]:
    """A point of the sweep: samples of the prior, and of a mixture fitted to the same codes."""
    key = f"{prior.split('(')[0].lower()}-gamma-{gamma}-beta-{beta:g}"
    label = f"{prior}, γ {gamma if gamma == 'learned' else f'= {gamma:g}'}, β = {beta:g}"
    row = Row(key, label, _PRIORS[prior], {"gamma": gamma, "beta": beta})
    mixed = ("frechet", MIXTURE)
    return row, Row(f"{key}-mixture", f"{label}, mixture of 10", reads=key, measure=mixed)


LEARNED_PRIORS_1 = Table(
    "learned-priors-1",
    "Learned priors, Table 1, a VAE and one with a flow for its prior",
    (
        Row("vae", "VAE, γ learned"),
        Row("flow-prior", "flow prior, β = 0", models.flow_prior_vae, {"beta": 0.0}),
    ),
    "FID, with a perceptual loss that is not in these rows",
    ("celeba",),
    settings={"latent_dim": 128},
)
_UNET = Row("gaussian", "", models.half_given, {"beta": 1.0, "transforms": 0})
_FLOW = Row("flow", "", models.half_given, {"beta": 0.0})


def _completed(row: Row, score: str, measure: str, whose: str) -> Row:
    label = f"{measure.replace('_', ' ')} {whose}"
    return replace(row, key=f"{score} {whose}", label=label, reads=row.key, measure=(measure,))


LEARNED_PRIORS_2 = Table(
    "learned-priors-2",
    "Learned priors, Table 2, completed pictures",
    tuple(
        _completed(row, score, measure, whose)
        for score, measure in (("inception score", "inception_score"), ("LPIPS", "diversity"))
        for row, whose in ((_UNET, "of the Variational U-net"), (_FLOW, "with a flow prior"))
    ),
    "Inception score and LPIPS on DeepFashion, from edges",
    ("mnist", "fashion"),
    settings={"latent_dim": 8},
    notes=(
        "Here the upper half of a picture is given and the lower one is drawn, ten times for each "
        "of 300 test images; the scores are of the whole picture. DeepFashion, its edges and the "
        "Variational U-net's networks cannot be had here, and its column is the paper's alone.",
        "Diversity: the mean distance of two completions in the classifier's features of unit "
        "length. It stands in the place of LPIPS, whose network's weights are a download "
        "(`metrics.perceptual_diversity` takes their file), and has another scale. The inception "
        "score is the classifier's.",
    ),
    elsewhere=("deepfashion",),
)
LEARNED_PRIORS_3 = Table(
    "learned-priors-3",
    "Learned priors, Fig. 3, β × prior × γ",
    tuple(
        row
        for prior in _PRIORS
        for gamma in (1.0, "learned")
        for beta in _BETAS
        for row in _swept(prior, gamma, beta)
    ),
    "none: the figure is drawn without numbers",
    ("mnist", "fashion"),
    settings={"latent_dim": 8, "ramp": 0.25},  # The paper's: 50,000 steps, or a quarter.
)
_ALL = (
    DAI_WIPF_1,
    DAI_WIPF_2,
    DAI_WIPF_3,
    GHOSH_1,
    GHOSH_2,
    LEARNED_PRIORS_1,
    LEARNED_PRIORS_2,
    LEARNED_PRIORS_3,
)
TABLES = {table.name: table for table in _ALL}


def published(name: str) -> dict[tuple[str, str], tuple[float, float | None]]:
    """The printed figures of a table: from (row, data set) to value and standard deviation, None
    where unknown.

    >>> published("dai-wipf-1")["two-stage", "mnist"]
    (12.6, 1.5)
    """
    check_choice("table", name, TABLES)
    lines = (PUBLISHED / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    figures = {}
    for row in csv.DictReader(lines):
        sd = float(row["sd"]) if row["sd"] else None
        figures[row["row"], row["data_set"]] = float(row["value"]), sd
    return figures

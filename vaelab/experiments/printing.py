"""A table in print: what was measured beside what the paper says, and what must stand below it for
its figures to be read.
"""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.experiments.grid import Outcome
from vaelab.experiments.ordering import agreement
from vaelab.experiments.records import commit_date
from vaelab.experiments.tables import Table, published

Record = Mapping[str, Any]  # As from `read_cell`.

LEGEND = (
    "γ: the decoder's variance; where it is learned it falls to the error per pixel that is left.",
    "`vaelab demo` and a table differ: the demonstration compares samples as they are drawn, a "
    "table by its protocol, each with its own classifier, number of images, epochs and seeds.",
)
MMD2 = (
    "MMD²: distance of codes drawn by the encoder from N(0, I); lower is better, 0 is best. A "
    "collapsed model, whose latent directions carry nothing, has a small one: its codes are noise, "
    "which is N(0, I) whatever the image.",
    "MMD² with a sum of seven inverse multiquadratic kernels, and the paper's kernel is not known: "
    "compare which stage is lower, not by how much.",
)
FRECHET = (
    "Fréchet: distance of samples from test images in some features; lower is better, and the "
    "floor is where as many training images stand."
)
_FLOOR = "training images (floor)"


@dataclass(frozen=True)
class Entry:
    """One figure of a table.

    Args:
        values: measured, one a trial; empty where nothing was.
        paper: the published value; None where there is none.
        paper_sd: its standard deviation, where known.
    """

    values: tuple[float, ...] = ()
    paper: float | None = None
    paper_sd: float | None = None

    @property
    def mean(self) -> float | None:
        """The mean over trials."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """The standard deviation over trials, of two at least."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def measured(self) -> str:
        """Mean ± standard deviation (trials) as text."""
        return _number(self.mean, self.sd) + (f" ({len(self.values)})" if self.values else "")

    @property
    def published(self) -> str:
        """The published value as text."""
        return _number(self.paper, self.paper_sd)


def _number(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "–"
    bounds = ((1, 10), (2, 1), (4, 0.01))
    digits = next((n for n, least in bounds if abs(mean) >= least), 6 if mean else 2)
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


@dataclass(frozen=True)
class Filled:
    """A table with its figures.

    Args:
        table: which.
        labels: of the rows, in order; the last may be the floor.
        columns: the data sets; those figures that came with the package and were not measured by
            the reader stand in columns of their own, named "mnist, shipped".
        entries: by (label, column).
        notes: what must stand below it.
    """

    table: Table
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    entries: dict[tuple[str, str], Entry]
    notes: tuple[str, ...]


def heads(column: str) -> tuple[str, str]:
    """A column's data set, and whether its figures were measured "here" or are "shipped".

    >>> heads("mnist"), heads("mnist, shipped")
    (('mnist', 'here'), ('mnist', 'shipped'))
    """
    data_set, _, origin = column.partition(", ")
    return data_set, origin or "here"


def fill(table: Table, outcomes: Sequence[Outcome]) -> Filled:
    """Gather what cells have measured into the table, with the published figures beside it."""
    keys = {outcome.cell.model for outcome in outcomes}
    rows = [row for row in table.rows if row.cell in keys]
    paper = published(table.name)
    entries = {}
    notes = []
    by_column = _by_column(outcomes) | {name: [] for name in table.elsewhere}
    kinds = {row.path[0] for row in rows}
    labels = [row.label for row in rows] + [_FLOOR] * ("frechet" in kinds)
    for column, records in by_column.items():
        data_set, _ = heads(column)
        for row in rows:
            found = [row.value(r) for r in records if r["cell"]["model"] == row.cell]
            values = tuple(value for value in found if value is not None)
            entries[row.label, column] = Entry(values, *paper.get((row.key, data_set), ()))
        notes += _order_note(column, [entries[row.label, column] for row in rows])
        if _FLOOR in labels:
            floors = {record["measured"]["frechet"]["floor"] for record in records}
            entries[_FLOOR, column] = Entry(tuple(sorted(floors)))
    how = _notes(by_column, table.published, mmd="mmd2" in kinds)
    notes = [*how, *notes, *table.notes, *LEGEND]
    return Filled(table, tuple(labels), tuple(by_column), entries, tuple(notes))


def _by_column(outcomes: Sequence[Outcome]) -> dict[str, list[Record]]:
    """The records of each column; a data set without any has an empty one."""
    columns: dict[str, list[Record]] = {}
    for data_set in dict.fromkeys(outcome.cell.data_set for outcome in outcomes):
        records = [o.record for o in outcomes if o.cell.data_set == data_set and o.record]
        for record in sorted(records, key=lambda record: record["shipped"]):
            column = f"{data_set}, shipped" if record["shipped"] else data_set
            columns.setdefault(column, []).append(record)
        if not records:
            columns[data_set] = []
    return columns


def _order_note(column: str, entries: Sequence[Entry]) -> list[str]:
    """How far the rows stand in the paper's order, where that can be asked."""
    pairs = [e for e in entries if e.values and e.paper is not None]
    measured, printed = [e.mean or 0.0 for e in pairs], [e.paper or 0.0 for e in pairs]
    if len(pairs) < 3 or len(set(measured)) == 1 or len(set(printed)) == 1:
        return []
    spreads = ([e.sd or 0.0 for e in pairs], [e.paper_sd or 0.0 for e in pairs])
    found = agreement(measured, printed, *spreads)
    doubt = ", too many to speak of agreement" if found.chance > 0.05 else ""
    return [
        f"{column}: rank correlation of the {len(pairs)} rows with the paper's {found.rho:+.2f}. "
        f"By chance {found.chance:.1%} of all orders correlate as well{doubt}. Drawn again "
        f"from these means and spreads, it lies from {found.low:+.2f} to {found.high:+.2f} nine "
        "times in ten."
    ]


def as_text(filled: Filled, width: int | None = None) -> str:
    """The table for a terminal: one block of columns a data set.

    Args:
        filled: the table.
        width: where given, blocks that would make a line longer stand under the others, and notes
            are wrapped.
    """
    first = max(map(len, (*filled.labels, "")))
    margin = [f"{label:{first}}" for label in ("", "", *filled.labels)]
    groups = [margin]
    for column in filled.columns:
        block = _block(filled, column)
        full = width is not None and len(groups[-1][-1]) + len(block[-1]) > width
        if full and groups[-1] != margin:
            groups.append(margin)
        groups[-1] = [line + part for line, part in zip(groups[-1], block, strict=True)]
    parts = ["\n".join(line.rstrip() for line in group) for group in groups]
    notes = filled.notes
    if width is not None:
        notes = [textwrap.fill(note, width, subsequent_indent="  ") for note in notes]
    return "\n".join([filled.table.title, "", "\n\n".join(parts), "", *notes])


def _block(filled: Filled, column: str) -> list[str]:
    """The lines of one data set: its name, the two heads, and a row for each label."""
    data_set, origin = heads(column)
    pairs = [(origin, "paper"), *(_texts(filled, label, column) for label in filled.labels)]
    left, right = (max(7, *map(len, side)) for side in zip(*pairs, strict=True))
    lines = [f"{data_set:<{left + right + 2}}", *(f"{a:>{left}}  {b:>{right}}" for a, b in pairs)]
    return [f"    {line}" for line in lines]


def _texts(filled: Filled, label: str, column: str) -> tuple[str, str]:
    entry = filled.entries[label, column]
    return entry.measured, entry.published


def as_markdown(filled: Filled) -> str:
    """The table in Markdown."""
    pairs = [heads(column) for column in filled.columns]
    titles = [f"{name}, {kind}" for name, origin in pairs for kind in (origin, "paper")]
    lines = [
        f"### {filled.table.title}",
        "",
        f"| | {' | '.join(titles)} |",
        "| --- |" + " ---: |" * len(titles),
    ]
    for label in filled.labels:
        texts = [text for column in filled.columns for text in _texts(filled, label, column)]
        lines.append(f"| {label} | {' | '.join(texts)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in filled.notes)])


def _notes(columns: Mapping[str, list[Record]], published: str, mmd: bool) -> list[str]:
    """What must be known of the records of each column.

    Args:
        columns: the records, by column.
        published: what the published figures are.
        mmd: whether the measured ones are MMD²; otherwise they are of samples in some features.
    """
    records = [record for some in columns.values() for record in some]
    shipped = [record for record in records if record["shipped"]]
    sizes = [(record["cell"]["profile"], record["cell"]["protocol"]) for record in records]
    return [
        f"figures: mean ± standard deviation over trials (how many); paper: {published}.",
        *dict.fromkeys(map(_origin, shipped)),
        *(f"profile {size}, protocol {protocol}." for size, protocol in dict.fromkeys(sizes)),
        *(MMD2 if mmd else _frechet_notes([some for some in columns.values() if some])),
    ]


def _origin(record: Record) -> str:
    machine = record["machine"]
    commit = record.get("commit")
    # A file that says no day has that of its code.
    day = record.get("date") or (commit and commit_date(commit)) or "on an unknown day"
    return (
        f"shipped: came with vaelab and was not measured here, but on {machine['device_name']} "
        f"(cores: {machine['cores']}), {day}; `vaelab table {record['cell']['table']} --profile "
        f"{record['cell']['profile']}` measures it here."
    )


def _frechet_notes(columns: list[list[Record]]) -> list[str]:
    """Of which images and features the Fréchet distances are, and whether they compare."""
    last = [some[-1] for some in columns]
    notes = [
        f"{some[0]['cell']['data_set']}: CAUTION, its cells are of different images or features, "
        "and do not compare."
        for some in columns
        if len({(r["cell"]["features"], r["data"]["fingerprint"]) for r in some}) > 1
    ]
    notes += ["{name}: {n_train} training images. {source}".format(**r["data"]) for r in last]
    notes += [
        f"{record['cell']['data_set']}: Fréchet distance of {record['measured']['n_samples']} "
        f"samples to the test images in the features of {record['cell']['features']}."
        for record in last
    ]
    if any(not record["cell"]["features"].startswith("Inception") for record in last):
        notes.append(
            "Such a distance is no FID. Do not compare its figures with the paper's: compare the "
            "order of the rows in a column."
        )
    return list(dict.fromkeys([*notes, FRECHET]))

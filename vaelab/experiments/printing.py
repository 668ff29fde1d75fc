"""A table in print: what was measured beside what the paper says."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem

from vaelab.experiments.grid import Outcome
from vaelab.experiments.notes import LEGEND, Record, notes_of
from vaelab.experiments.tables import Table, published
from vaelab.metrics import rank_correlation

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
    by_column = _by_column(outcomes)
    frechet = any(row.path[0] == "frechet" for row in rows)
    for column, records in by_column.items():
        data_set, _ = heads(column)
        for row in rows:
            values = [_value(r, row.path) for r in records if r["cell"]["model"] == row.cell]
            printed = paper.get((row.key, data_set), (None, None))
            entries[row.label, column] = Entry(tuple(values), *printed)
        notes += _order_note(column, [entries[row.label, column] for row in rows])
        if frechet:
            floors = {_value(record, ("frechet", "floor")) for record in records}
            entries[_FLOOR, column] = Entry(tuple(sorted(floors)))
    labels = [row.label for row in rows] + [_FLOOR] * frechet
    notes = [*notes_of(by_column, table.published, frechet), *notes, *LEGEND]
    return Filled(table, tuple(labels), tuple(by_column), entries, tuple(notes))


def _by_column(outcomes: Sequence[Outcome]) -> dict[str, list[Record]]:
    """The records of each column; a data set without any has an empty one."""
    columns: dict[str, list[Record]] = {}
    for data_set in dict.fromkeys(outcome.cell.data_set for outcome in outcomes):
        records = [o.record for o in outcomes if o.cell.data_set == data_set and o.record]
        shipped = [record for record in records if record["shipped"]]
        measured = [record for record in records if not record["shipped"]]
        if measured or not shipped:
            columns[data_set] = measured
        if shipped:
            columns[f"{data_set}, shipped"] = shipped
    return columns


def _value(record: Record, path: tuple[str, ...]) -> float:
    return reduce(getitem, path, record["measured"])


def _order_note(column: str, entries: Sequence[Entry]) -> list[str]:
    """How far the rows stand in the paper's order, where that can be asked."""
    pairs = [(e.mean, e.paper) for e in entries if e.values and e.paper is not None]
    if len(pairs) < 3 or any(len(set(side)) == 1 for side in zip(*pairs, strict=True)):
        return []
    rho = rank_correlation(*map(list, zip(*pairs, strict=True)))
    return [f"{column}: rank correlation of the {len(pairs)} rows with the paper's {rho:+.2f}."]


def as_text(filled: Filled) -> str:
    """The table for a terminal: one block of columns a data set."""
    first = max(map(len, (*filled.labels, "")))
    head = under = " " * first
    lines = dict.fromkeys(filled.labels, "")
    for column in filled.columns:
        data_set, origin = heads(column)
        entries = {label: filled.entries[label, column] for label in filled.labels}
        left = max([7, *(len(entry.measured) for entry in entries.values())])
        right = max([7, *(len(entry.published) for entry in entries.values())])
        head += f"    {data_set:<{left + right + 2}}"
        under += f"    {origin:>{left}}  {'paper':>{right}}"
        for label, entry in entries.items():
            lines[label] += f"    {entry.measured:>{left}}  {entry.published:>{right}}"
    rows = [f"{label:{first}}{line}" for label, line in lines.items()]
    return "\n".join([filled.table.title, "", head.rstrip(), under, *rows, "", *filled.notes])


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
        entries = [filled.entries[label, column] for column in filled.columns]
        texts = [text for entry in entries for text in (entry.measured, entry.published)]
        lines.append(f"| {label} | {' | '.join(texts)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in filled.notes)])

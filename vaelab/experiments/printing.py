"""A table in print: what was measured here beside what the paper says."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vaelab.experiments.cells import Outcome
from vaelab.experiments.tables import Table, published
from vaelab.metrics import rank_correlation


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
    def here(self) -> str:
        """Mean ± standard deviation (trials) as text."""
        return _number(self.mean, self.sd) + (f" ({len(self.values)})" if self.values else "")

    @property
    def there(self) -> str:
        """The published value as text."""
        return _number(self.paper, self.paper_sd)


def _number(mean: float | None, sd: float | None) -> str:
    if mean is None:
        return "–"
    digits = next(
        (n for n, least in ((1, 10), (2, 1), (4, 0.01)) if abs(mean) >= least), 6 if mean else 2
    )
    return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


@dataclass(frozen=True)
class Filled:
    """A table with its figures.

    Args:
        table: which.
        labels: of the rows, in order; the last may be the floor.
        columns: the data sets.
        entries: by (label, data set).
        notes: what must stand below it.
    """

    table: Table
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    entries: dict[tuple[str, str], Entry]
    notes: tuple[str, ...]


def fill(table: Table, outcomes: Sequence[Outcome]) -> Filled:
    """Gather what cells have measured into the table, with the published figures beside it."""
    columns = tuple(dict.fromkeys(outcome.cell.data_set for outcome in outcomes))
    told = {outcome.cell: outcome.told for outcome in outcomes if outcome.told is not None}
    paper, entries = published(table.name), {}
    rows = [
        row for row in table.rows if any(outcome.cell.model == row.cell for outcome in outcomes)
    ]
    for row in rows:
        for data_set in columns:
            found = [
                t["measured"]
                for c, t in told.items()
                if (c.model, c.data_set) == (row.cell, data_set)
            ]
            printed = paper.get((row.key, data_set), (None, None))
            entries[row.label, data_set] = Entry(
                tuple(_value(m, row.measure) for m in found), *printed
            )
    labels = [row.label for row in rows]
    if any(row.measure == ("frechet",) for row in rows):
        labels.append("training images (floor)")
        for data_set in columns:
            floors = {t["measured"]["floor"] for c, t in told.items() if c.data_set == data_set}
            entries[labels[-1], data_set] = Entry(tuple(sorted(floors)))
    return Filled(
        table,
        tuple(labels),
        columns,
        entries,
        tuple(_notes(table, rows, columns, entries, told.values())),
    )


def _value(measured: dict[str, Any], path: tuple[str, ...]) -> float:
    for name in path:
        measured = measured[name]
    return measured


def _notes(
    table: Table, rows: list, columns: tuple, entries: dict, told: Iterable[dict[str, Any]]
) -> list[str]:
    told = list(told)
    notes = [f"here: mean ± standard deviation over trials (how many); paper: {table.published}."]
    for profile, protocol in dict.fromkeys(
        (t["cell"]["profile"], t["cell"]["protocol"]) for t in told
    ):
        notes.append(f"profile {profile}, protocol {protocol}.")
    if any(row.measure == ("frechet",) for row in rows):
        spaces = {
            t["cell"]["data_set"]: (t["cell"]["features"], t["measured"]["n_fake"]) for t in told
        }
        kinds = {
            (t["cell"]["data_set"], t["cell"]["features"], t["data"]["fingerprint"]) for t in told
        }
        for name in sorted(
            {name for name, *_ in kinds if sum(kind[0] == name for kind in kinds) > 1}
        ):
            notes.append(
                f"{name}: CAUTION, its cells are of different images or features, and do not "
                "compare."
            )
        for data in {t["cell"]["data_set"]: t["data"] for t in told}.values():
            notes.append(f"{data['name']}: {data['n_train']} training images. {data['source']}")
        for name, (features, n) in spaces.items():
            notes.append(
                f"{name}: Fréchet distance of {n} samples to the test images in the "
                "features of "
                f"{features}."
            )
        if any(not features.startswith("Inception") for features, _ in spaces.values()):
            notes.append(
                "Such a distance is no FID: within a column the order of the rows "
                "compares, not "
                "the figures."
            )
    else:
        notes.append(
            "MMD² with a sum of seven inverse multiquadratic kernels: only the ratio of the "
            "stages compares."
        )
    for data_set in columns:
        both = [entries[row.label, data_set] for row in rows]
        pairs = [
            (entry.mean, entry.paper) for entry in both if entry.values and entry.paper is not None
        ]
        if len(pairs) > 2 and all(len(set(side)) > 1 for side in zip(*pairs, strict=True)):
            rho = rank_correlation(*map(list, zip(*pairs, strict=True)))
            notes.append(
                f"{data_set}: rank correlation of the {len(pairs)} rows with the paper's "
                f"{rho:+.2f}."
            )
    return notes


def as_text(filled: Filled) -> str:
    """The table for a terminal: one block of columns a data set."""
    first = max(map(len, (*filled.labels, "")))
    cells = {key: (entry.here, entry.there) for key, entry in filled.entries.items()}
    wide = {
        c: [max([7, *(len(cells[r, c][i]) for r in filled.labels)]) for i in (0, 1)]
        for c in filled.columns
    }
    head = " " * first + "".join(f"    {c:<{sum(wide[c]) + 2}}" for c in filled.columns)
    under = " " * first + "".join(
        f"    {'here':>{wide[c][0]}}  {'paper':>{wide[c][1]}}" for c in filled.columns
    )
    lines = [filled.table.title, "", head.rstrip(), under]
    for label in filled.labels:
        told = "".join(
            f"    {cells[label, c][0]:>{wide[c][0]}}  {cells[label, c][1]:>{wide[c][1]}}"
            for c in wide
        )
        lines.append(f"{label:{first}}{told}")
    return "\n".join([*lines, "", *filled.notes])


def as_markdown(filled: Filled) -> str:
    """The table in Markdown."""
    heads = [f"{c}, {where}" for c in filled.columns for where in ("here", "paper")]
    lines = [
        f"### {filled.table.title}",
        "",
        f"| | {' | '.join(heads)} |",
        "| --- |" + " ---: |" * len(heads),
    ]
    for label in filled.labels:
        told = [
            t
            for c in filled.columns
            for t in (filled.entries[label, c].here, filled.entries[label, c].there)
        ]
        lines.append(f"| {label} | {' | '.join(told)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in filled.notes)])

"""`history.csv`: what each epoch of both stages ended with, as a table beside `run.json`.

Its columns are stage ("first" or "second"), epoch (from 1) and the names of the history: each term
of the objective and their sum "loss" (nats a row), "gamma" (the decoder variance), "lr". Numbers
stand with all their digits; a cell is empty where a stage has no such value.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaelab._files import as_csv, check_file, check_writable, write_atomic

NAME = "history.csv"


def write_history(folder: Path, stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the histories of the stages, by their names, to a folder's `history.csv`; give its
    SHA-256.
    """
    names = dict.fromkeys(name for history in stages.values() for name in history)
    rows: list[list[Any]] = [["stage", "epoch", *names]]
    for stage, history in stages.items():
        for i in range(len(history["loss"])):
            values = [float(history[name][i]) if name in history else math.nan for name in names]
            rows.append([stage, i + 1, *("" if math.isnan(value) else value for value in values)])
    content = as_csv(rows)
    check_writable(folder)
    write_atomic(folder / NAME, content)
    return hashlib.sha256(content).hexdigest()


def read_history(path: Path, sha256: str | None = None) -> dict[str, dict[str, list[float]]]:
    """The histories by stage and name; an empty cell is NaN.

    Args:
        path: the file.
        sha256: what `write_history` gave; None where a run has kept none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that `write_history` did not write, or that was changed since.
    """
    check_file(path)
    content = path.read_bytes()
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path} is not what the run has written: its contents do not match the checksum in "
            "run.json; delete it, the figures of run.json are shown without a curve"
        )
    try:
        return _stages(content.decode())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it") from error


def _stages(text: str) -> dict[str, dict[str, list[float]]]:
    stages: dict[str, dict[str, list[float]]] = {}
    table = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(table.fieldnames or [])
    if columns[:2] != ["stage", "epoch"] or not {"loss", "gamma"} <= set(columns):
        raise ValueError(f"expected the columns stage, epoch, loss, gamma, …, got {columns}")
    for row in table:
        empty: dict[str, list[float]] = {name: [] for name in columns[2:]}
        history = stages.setdefault(row["stage"], empty)
        for name, values in history.items():
            values.append(float(row[name] or "nan"))
    return stages

"""Show a run: its settings, its figures, its last epoch, and its curve as a picture.

The curve is drawn from the run's history.csv into a PNG beside it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._signals import importing
from vaelab.cli import train
from vaelab.cli.files import beside, check_ending
from vaelab.cli.options import Parser, add_run
from vaelab.cli.words import LETTERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPILOG = LETTERS
Stages = Mapping[str, Mapping[str, list[float]]]
COLORS = {"first": "q", "second": "second"}  # Of the stages, as everywhere in the course.


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    p.option(
        "--out",
        "the picture (default FOLDER/history.png, or, of a model of the package, NAME-history.png)",
        Path,
        "FILE",
    )


def run(args: argparse.Namespace) -> int:
    """Print a run, and draw its curve."""
    with importing():
        from vaelab import checkpoints, plots
        from vaelab._files import write_atomic
        from vaelab.cli import history

    out = args.out or beside(args.folder, "history.png")
    check_ending(out, ".png")
    saved = checkpoints.load(args.folder)
    record = getattr(saved, "run", {})
    with checkpoints.fields_of(args.folder):
        print("\n".join(as_lines(record, saved)))
        path = checkpoints.place_of(args.folder) / record.get("history", history.NAME)
    if not path.exists():
        print(
            f"no {path.name}: the run was saved without its history, so there is no curve to draw"
        )
        return 0
    stages = history.read_history(path, record.get("history_sha256"))
    for stage, values in stages.items():
        last = {name: column[-1] for name, column in values.items()}
        known = {name: f"{value:.5g}" for name, value in last.items() if not math.isnan(value)}
        print(f"{stage} stage, epoch {len(values['loss'])}: {_plain(known)}")
    write_atomic(out, plots.figure_png(curve(stages)))
    print(f"curve  {out}")
    return 0


def as_lines(record: Mapping[str, Any], saved: Any) -> list[str]:
    """What a run says of its data, settings and figures."""
    if "settings" not in record or "results" not in record:
        return [f"{type(saved).__name__}: saved by hand, not by `vaelab train`; no settings"]
    data = record["data"]
    return [
        f"{data['name']}: {data.get('source', '')}",
        f"versions  {_plain(record.get('versions', {}))}",
        f"settings  {_plain(record['settings'])}",
        train.as_text(record["results"]),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = [f"{name} {_plain(item)}" for name, item in value.items()]
        return "  ".join(pairs) or "–"
    return "–" if value is None else str(value)


def curve(stages: Stages) -> Figure:
    """The loss of each stage and the γ of all, over the epochs."""
    from matplotlib.figure import Figure

    from vaelab import plots

    plots.use_style()
    panels = len(stages) + 1
    figure = Figure(figsize=(3.6 * panels, 2.8))
    axes = figure.subplots(1, panels)
    for ax, (stage, values) in zip(axes, stages.items(), strict=False):
        color = plots.COLORS[COLORS.get(stage, "other")]
        epochs = range(1, len(values["loss"]) + 1)
        ax.plot(epochs, values["loss"], color=color)
        ax.set(xlabel="epoch", ylabel="loss in nats", title=f"{stage} stage")
        if not math.isnan(values["gamma"][-1]):
            axes[-1].plot(epochs, values["gamma"], color=color, label=f"{stage} stage")
    axes[-1].set(xlabel="epoch", ylabel=plots.GAMMA, yscale="log", title="γ")
    if axes[-1].lines:
        axes[-1].legend()
    return figure

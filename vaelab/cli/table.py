"""Measure and print a table of a paper: what is found here beside what was published.

The cells that have not run yet (a data set, a model and a trial each) are trained and measured
first; with --show nothing is. Stop it at any time: the same command goes on.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaelab._signals import importing
from vaelab.cli import cost
from vaelab.cli.files import check_ending
from vaelab.cli.options import Parser, add_data, add_precision, add_training, given
from vaelab.cli.words import PROFILES
from vaelab.cli.workers import end_with_parent

if TYPE_CHECKING:
    from vaelab.experiments import Cell, Outcome

NAMES = (
    "dai-wipf-1 (samples), dai-wipf-2 (samples, the WAE's networks), dai-wipf-3 (codes), "
    "ghosh-1 (reconstructions, samples, midpoints), ghosh-2 (precision and recall), "
    "learned-priors-1 (samples), learned-priors-2 (completed pictures) or learned-priors-3 (β, γ)"
)
WAIT = 30  # Seconds for the first worker of a cluster.
EPILOG = (
    "A Fréchet distance or an MMD² is better the lower it is; training images against test images "
    "are the floor. γ is the variance of the decoder's noise, fixed or learned with the weights. "
    "A collapsed model (r̂ near 0: few of its κ directions have an eigenvalue λ of the encoder's "
    "covariance below ½) has a small MMD² too: codes drawn for an image are noise from N(0, I). "
    "`vaelab demo` prints other numbers for the same models: fewer images, one seed, a classifier "
    "of its own, samples not rounded to bytes."
)


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("name", NAMES, metavar="TABLE")
    _add_cells(p)
    _add_place(p)
    p.option("--markdown", "write the table as Markdown too", Path, "FILE")
    p.option("--figure", "draw the table as a PNG too", Path, "FILE")
    p.flag("--show", "run nothing; print what has been measured")


def _add_cells(p: Parser) -> None:
    p.add_argument(
        "--data-set",
        action="append",
        default=[],
        metavar="NAME",
        help="only this column, such as mnist; may be given again (default: the profile's)",
    )
    p.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help="only this row, such as two-stage; may be given again (default: all)",
    )
    p.option("--profile", f"{PROFILES} (default quick)", default="quick")
    p.option("--trials", "how often, with seeds 0 to N − 1 (default: the profile's)", int, "N")
    p.option(
        "--protocol",
        "clean (test images, samples as a file would hold them), or dai-wipf: as the authors' code "
        "measures (default clean)",
        default="clean",
    )
    p.option(
        "--features", "classifier or inception, for the Fréchet distance (default: the profile's)"
    )
    p.option(
        "--weights", "Inception's weights (default: the data root, or downloaded)", Path, "FILE"
    )


def _add_place(p: Parser) -> None:
    add_data(p)
    add_training(p)
    add_precision(p)
    p.flag("--compile", "compile the networks, without --together as CUDA graphs: slow to start")
    p.option(
        "--together",
        "how many trials of a cell to train in one pass: for a GPU (default 1)",
        int,
        "N",
    )
    p.option(
        "--jobs",
        "how many cells side by side, on a GPU too (default 1; -1 for all cores)",
        int,
        "N",
    )
    p.option(
        "--dask", "run the cells on this Dask cluster, such as tcp://host:8786", metavar="ADDRESS"
    )
    p.option("--out", "results (default results/)", Path, "FOLDER")
    p.option("--runs", "checkpoints (default runs/)", Path, "FOLDER")


def run(args: argparse.Namespace) -> int:
    """Run what is missing of a table, print it; status 1 where cells failed."""
    with importing():
        from vaelab import experiments, plots
        from vaelab._files import check_writable, write_atomic
        from vaelab._inputs import check_choice

    check_choice("table", args.name, experiments.TABLES)
    check_choice("profile", args.profile, experiments.PROFILES)
    check_choice("protocol", args.protocol, experiments.PROTOCOLS)
    check_choice("features", args.features or "classifier", ("classifier", "inception"))
    if args.figure:
        check_ending(args.figure, ".png", option="--figure")
    for file in filter(None, (args.markdown, args.figure)):
        check_writable(file.parent)
    table, profile = experiments.TABLES[args.name], experiments.PROFILES[args.profile]
    data_sets, models = tuple(args.data_set), tuple(args.model)
    cells = experiments.cells_of(table, profile, data_sets, models, args.trials, args.protocol)
    outcomes = _outcomes(args, cells)
    filled = experiments.fill(table, outcomes)
    print("\n" + experiments.as_text(filled))
    if args.markdown:
        write_atomic(args.markdown, (experiments.as_markdown(filled) + "\n").encode())
    if args.figure:
        plots.use_style()
        write_atomic(args.figure, plots.figure_png(plots.table_figure(filled)))
    failed = experiments.failures(outcomes)
    if failed:
        print(
            f"\n{failed}\nnothing measured is lost: the same command goes on with what is missing",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _outcomes(args: argparse.Namespace, cells: Sequence[Cell]) -> list[Outcome]:
    """What the cells have measured, once those that are missing have run, unless --show is
    given.
    """
    from vaelab import experiments
    from vaelab.training import Session

    alone = args.jobs in (None, 1) and not args.dask
    session = Session.of(vars(args) | {"progress": alone})
    place = experiments.Place(**given(experiments.Place, vars(args)), session=session)
    if args.show:
        return experiments.read_table(cells, place)
    told = alone and place.together == 1
    costs = functools.partial(cost.cost_of_cells, session=session) if told else None
    say = functools.partial(print, flush=True)
    with _backend(args.dask):
        return experiments.run_table(cells, place, 1 if alone else args.jobs, say, costs)


@contextlib.contextmanager
def _backend(address: str | None) -> Iterator[None]:
    """Let joblib send cells to a Dask cluster, where one is named; else to processes that end with
    this one.
    """
    from joblib import parallel_config

    if address is None:
        with parallel_config(backend="loky", initializer=end_with_parent):
            yield
        return
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ValueError(f"--dask: {error}; pip install 'vaelab[cluster]'") from error
    try:
        cluster = Client(address, timeout=30)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--dask: expected the address of a scheduler that runs, such as tcp://host:8786, got "
            f"{address!r} ({error})"
        ) from error
    with cluster as client, parallel_config(backend="dask", n_jobs=-1):
        try:
            client.wait_for_workers(1, WAIT)
        except TimeoutError as error:
            raise ValueError(
                f"--dask: {address} has had no worker for {WAIT} s; start one, `dask worker "
                f"{address}`, where the same folders and the same vaelab are"
            ) from error
        yield

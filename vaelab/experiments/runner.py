"""A table, cell by cell, through joblib: in this process, on several cores, or on whatever the
caller's joblib backend serves.

    from joblib import parallel_config
    from dask.distributed import Client

    with Client("scheduler:8786"), parallel_config(backend="dask", n_jobs=-1):
        run_table(cells_of(TABLES["dai-wipf-1"], PROFILES["paper"]), place)

Every cell writes its own file as soon as it is measured, and a cell whose file lies in `place.out`
is not run again. Workers on other machines must see the folders of `place` under the same paths,
and run the same code: what another gives back is refused.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import joblib
from joblib.parallel import get_active_backend

from vaelab._files import check_writable
from vaelab._inputs import check_positive_int, pick_device
from vaelab.data import Images
from vaelab.experiments.cells import advice, load_shared, one_thread, run_cells
from vaelab.experiments.grid import Cell, Outcome
from vaelab.experiments.places import Place, first_stage_name, folders_of
from vaelab.experiments.records import CODE, check_same, read_table
from vaelab.training.progress import duration

Group = tuple[list[Cell], Place, tuple[int, ...]]  # The arguments of `run_cells`.
CostOf = Callable[[list[Cell], Images], float]


def run_table(
    cells: Sequence[Cell],
    place: Place,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
    cost: CostOf | None = None,
) -> list[Outcome]:
    """Run the cells that have not run yet; what goes wrong with one does not stop the others.

    Results that came with the package do not count: what is in `place.out` has run.

    Args:
        cells: see `cells_of`.
        place: where they run and where their files lie.
        jobs: how many run side by side; None leaves it to joblib's backend.
        say: called with what happens.
        cost: seconds of training of cells of one data set; where it is given, their sum is said
            beforehand.

    Returns:
        One outcome a cell, in the order of `cells`.

    Raises:
        ValueError: an unknown device, or numbers below 1. OSError: a folder that cannot be written
            to.
    """
    if jobs is not None and jobs != -1:
        check_positive_int("jobs", jobs)
    check_positive_int("together", place.together)
    pick_device(place.session.device)
    data = place.data and place.data.resolve()
    place = replace(place, out=place.out.resolve(), runs=place.runs.resolve(), data=data)
    check_writable(place.out)
    check_writable(place.runs)
    outcomes = {outcome.cell: outcome for outcome in read_table(cells, place, shipped=False)}
    todo = _open(outcomes)
    say(f"{len(cells)} cells: {len(cells) - len(todo)} have run, {len(todo)} to go")
    outcomes |= _without_data(todo, place, say, cost)
    try:
        _run_groups(_groups(_open(outcomes), place), jobs, outcomes, say)
    except Exception as error:
        # A worker that was killed takes its pool with it: what is written stays.
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        lost = (
            f"a worker was lost ({reason}); often it was out of memory: give the same command "
            "again, with fewer --jobs"
        )
        stored = read_table(_open(outcomes), place, shipped=False)
        outcomes |= {outcome.cell: outcome for outcome in stored}
        outcomes |= {cell: Outcome(cell, failed=lost) for cell in _open(outcomes)}
    return [outcomes[cell] for cell in cells]


def _open(outcomes: Mapping[Cell, Outcome]) -> list[Cell]:
    """The cells that have neither run nor failed."""
    return [cell for cell, one in outcomes.items() if one.record is None and not one.failed]


def _run_groups(
    groups: list[Group],
    jobs: int | None,
    outcomes: dict[Cell, Outcome],
    say: Callable[[str], None],
) -> None:
    """Run groups of cells side by side, and put their outcomes among the others as they come."""
    backend: Any = get_active_backend()[0]
    if not type(backend).__module__.startswith("joblib._parallel_backends"):
        # joblib asks a cluster for its number of cores, and takes 1 to mean "in this process".
        cores = type(backend).configure
        backend.configure = lambda *some, **named: max(2, cores(backend, *some, **named))
    if jobs is not None:
        jobs = min(jobs, max(len(groups), 1))
    how: dict[str, Any] = {"pre_dispatch": "all", "batch_size": 1}
    parallel: Any = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", **how)
    left = sum(len(cells) for cells, _, _ in groups)
    host = platform.node()
    for done in parallel([joblib.delayed(_run_group)(CODE, host, *group) for group in groups]):
        for outcome in done:
            outcomes[outcome.cell] = _believed(outcome, groups[0][1])
            left -= 1
            say(f"{outcome.cell}: {_summary(outcomes[outcome.cell])}    {left} to go")


def _run_group(code: str, host: str, *group: Any) -> list[Outcome]:
    """`run_cells`, by the code that the table was started with."""
    try:
        _check_code(code, host)
    except ValueError as error:
        return [Outcome(cell, failed=str(error)) for cell in group[0]]
    return run_cells(*group)


def _believed(outcome: Outcome, place: Place) -> Outcome:
    """An outcome, failed where a worker trained in another way or by other code: its file is set
    aside, so that the cell is measured again.
    """
    cell, record, path = outcome.cell, outcome.record, place.out / outcome.cell.path
    try:
        if record is not None:
            check_same(path, record, cell, place)
            _check_code(record["code"], record["machine"]["host"])
        return outcome
    except ValueError as error:
        if path.exists():
            path.replace(path.with_suffix(".refused"))
        return Outcome(cell, failed=f"the worker is not believed: {error}")


def _check_code(code: str, host: str) -> None:
    """Raise unless a fingerprint, that of the code at a host, is this code's."""
    if code != CODE:
        raise ValueError(
            f"{host} runs other code of vaelab than {platform.node()} ({code[:12]}… and "
            f"{CODE[:12]}…); install the same at both, start the worker again, and give the same "
            "command"
        )


def _without_data(
    cells: list[Cell], place: Place, say: Callable[[str], None], cost: CostOf | None
) -> dict[Cell, Outcome]:
    """The outcomes of the cells whose data set cannot be loaded; it is downloaded in this process,
    once, before any worker needs it. Says what the training of the others costs.
    """
    failed = {}
    seconds = 0.0
    for data_set in dict.fromkeys(cell.data_set for cell in cells):
        some = [cell for cell in cells if cell.data_set == data_set]
        try:
            images, _ = load_shared(some[0], place)
        except Exception as error:
            reason = advice(error)
            say(f"{data_set}: {len(some)} of the cells cannot run: {reason.splitlines()[0]}")
            failed |= {cell: Outcome(cell, failed=reason) for cell in some}
            continue
        with one_thread(place):
            seconds += cost(some, images) if cost else 0.0
    if seconds:
        length = "less than a minute" if seconds < 60 else f"about {duration(seconds)}"
        say(f"training will take {length}, by a few steps of each model; measuring adds to it")
    return failed


def _groups(todo: list[Cell], place: Place) -> list[Group]:
    """Cells that are trained at once, in the order in which the first of each comes, and the trials
    of that.

    They share their first stage; there are `place.together` trials of it, or those of a run that
    goes on.
    """
    families: dict[tuple[str, str], list[Cell]] = {}
    for cell in todo:
        family = (cell.data_set, first_stage_name(cell, place))
        families.setdefault(family, []).append(cell)
    groups = []
    for left in families.values():
        # Of the runs that go on, those of the most trials come first.
        kept = sorted(folders_of(left[0], place), key=len, reverse=True)
        while left:
            trials = list(dict.fromkeys(cell.trial for cell in left))
            new = tuple(trials[: place.together])
            chunk = next((run for run in kept if set(run) & set(trials)), new)
            some = [cell for cell in left if cell.trial in chunk]
            left = [cell for cell in left if cell.trial not in chunk]
            groups.append((some, place, chunk))
    return sorted(groups, key=lambda group: todo.index(group[0][0]))


def _summary(outcome: Outcome) -> str:
    record = outcome.record
    if record is None:
        return f"failed: {outcome.failed.splitlines()[0]}"
    distances = record["measured"]["frechet"]
    return (
        f"Fréchet distance {distances[outcome.cell.row.density]:.2f} (floor "
        f"{distances['floor']:.2f}), {record['seconds']['whole']:.0f} s"
    )


def failures(outcomes: Sequence[Outcome]) -> str:
    """The failed cells, those with the same reason together; empty where there are none."""
    reasons: dict[str, list[Cell]] = {}
    for outcome in outcomes:
        if outcome.failed:
            reasons.setdefault(outcome.failed, []).append(outcome.cell)
    lines = []
    for reason, cells in reasons.items():
        names = [*map(str, cells[:3]), *[f"and {len(cells) - 3} more"] * (len(cells) > 3)]
        lines.append(f"{len(cells)} failed ({'; '.join(names)}): {reason}")
    return "\n".join(lines)

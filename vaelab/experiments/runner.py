"""A table, cell by cell, through joblib: here, on several cores, or on whatever the caller's joblib
backend serves.

    from joblib import parallel_config
    from dask.distributed import Client

    with Client("scheduler:8786"), parallel_config(backend="dask", n_jobs=-1):
        run_table(cells_of(TABLES["dai-wipf-1"], PROFILES["paper"]), place)

Every cell writes its own file as soon as it is measured, and a cell whose file is there is not run
again. Workers on other machines must see the folders of `place` under the same paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import joblib

from vaelab._files import check_writable
from vaelab._inputs import check_positive_int, pick_device
from vaelab.experiments.cells import (
    Outcome,
    Place,
    advice,
    folders_of,
    load_world,
    read_cell,
    run_cells,
    sharing,
)
from vaelab.experiments.tables import Cell


def run_table(
    cells: Sequence[Cell],
    place: Place,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run the cells that have not run yet; what goes wrong with one does not stop the others.

    Args:
        cells: see `cells_of`.
        place: where they run and where their files lie.
        jobs: how many run side by side; None leaves it to joblib's backend.
        say: told what happens.

    Returns:
        One outcome a cell, in the order of `cells`.

    Raises:
        ValueError: an unknown device, or numbers below 1. OSError: a folder that cannot be written
            to.
    """
    if jobs is not None and jobs != -1:
        check_positive_int("jobs", jobs)
    check_positive_int("together", place.together)
    pick_device(place.device)
    place = replace(
        place,
        out=place.out.resolve(),
        runs=place.runs.resolve(),
        data=place.data and place.data.resolve(),
    )
    check_writable(place.out), check_writable(place.runs)
    outcomes = {cell: _stored(cell, place) for cell in cells}
    todo = [cell for cell in cells if outcomes[cell] is None]
    say(f"{len(cells)} cells: {len(cells) - len(todo)} have run, {len(todo)} to go")
    todo = list(_with_data(todo, place, outcomes, say))
    try:
        tasks = [joblib.delayed(run_cells)(*group) for group in _groups(cells, todo, place)]
        parallel = joblib.Parallel(
            n_jobs=jobs, return_as="generator_unordered", pre_dispatch="all", batch_size=1
        )
        for done in parallel(tasks):
            for outcome in done:
                outcomes[outcome.cell] = outcome
                left = sum(outcomes[cell] is None for cell in todo)
                say(f"{outcome.cell}: {_told(outcome)}    {left} to go")
    except (
        Exception
    ) as error:  # a worker that was killed takes its pool with it: what is written stays
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        lost = (
            f"a worker was lost ({said}); often it was out of memory: give the same command "
            "again, with fewer --jobs"
        )
        outcomes = {
            c: o or _stored(c, place) or Outcome(c, failed=lost) for c, o in outcomes.items()
        }
    return [outcomes[cell] for cell in cells]


def _stored(cell: Cell, place: Place) -> Outcome | None:
    try:
        told = read_cell(cell, place)
    except ValueError as error:
        return Outcome(cell, failed=str(error))
    return None if told is None else Outcome(cell, told=told)


def _with_data(
    cells: list[Cell],
    place: Place,
    outcomes: dict[Cell, Outcome | None],
    say: Callable[[str], None],
) -> Iterator[Cell]:
    """The cells whose data set can be loaded; it is downloaded here, once, before any worker needs
    it.
    """
    for data_set in dict.fromkeys(cell.data_set for cell in cells):
        those = [cell for cell in cells if cell.data_set == data_set]
        try:
            load_world(those[0], place)
            yield from those
        except Exception as error:
            said = advice(error)
            say(f"{data_set}: {len(those)} of the cells cannot run: {said.splitlines()[0]}")
            outcomes.update({cell: Outcome(cell, failed=said) for cell in those})


def _groups(
    cells: Sequence[Cell], todo: list[Cell], place: Place
) -> list[tuple[list[Cell], Place, list[int]]]:
    """Cells that are trained at once, in the order in which the first of each comes, and the trials
    of that.

    They share their first stage; there are `place.together` trials of it, or those of a run that
    goes on.
    """
    order = {cell: i for i, cell in enumerate(todo)}
    families: dict[tuple, list[Cell]] = {}
    for cell in cells:
        families.setdefault((cell.data_set, *sorted(c.model for c in sharing(cell))), []).append(
            cell
        )
    groups = []
    for family in families.values():
        left = [cell for cell in family if cell in order]
        kept = sorted(
            folders_of(family[0], place), key=len, reverse=True
        )  # what there is, the most trials first
        while left:
            trials = list(dict.fromkeys(cell.trial for cell in left))
            chunk = next(
                (there for there in kept if set(there) & set(trials)),
                tuple(trials[: place.together]),
            )
            those = sorted((cell for cell in left if cell.trial in chunk), key=order.get)
            left = [cell for cell in left if cell.trial not in chunk]
            groups.append((those, place, list(chunk)))
    return sorted(groups, key=lambda group: order[group[0][0]])


def _told(outcome: Outcome) -> str:
    if outcome.failed:
        return f"failed: {outcome.failed.splitlines()[0]}"
    measured, seconds = outcome.told["measured"], outcome.told["seconds"]["whole"]
    return (
        f"Fréchet distance {measured['frechet']:.2f} (floor {measured['floor']:.2f}), "
        f"{seconds:.0f} s"
    )


def failures(outcomes: Sequence[Outcome]) -> str:
    """The failed cells, those with the same reason together; empty where there are none."""
    reasons: dict[str, list[Cell]] = {}
    for outcome in outcomes:
        if outcome.failed:
            reasons.setdefault(outcome.failed, []).append(outcome.cell)
    lines = []
    for reason, cells in reasons.items():
        names = "; ".join(map(str, cells[:3])) + (
            f"; and {len(cells) - 3} more" if len(cells) > 3 else ""
        )
        lines.append(f"{len(cells)} failed ({names}): {reason}")
    return "\n".join(lines)

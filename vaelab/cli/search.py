"""Search for the line with the best score among those that a model of lines can write.

`vaelab search expressions --target "1/3 + x + sin(x*x)"` looks for an expression near a function of
x; `vaelab search molecules --lines FILE` for molecules of large penalised log P (needs rdkit). A
model is trained first, unless the folder holds one. A search that was stopped goes on when the same
command is given again.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._signals import importing
from vaelab.cli.options import Parser, add_seed, add_training, given

if TYPE_CHECKING:
    from vaelab.lines import Found

EPILOG = (
    "A target may hold x, numbers, pi, + - * / **, brackets, sin, cos, tan, tanh, exp, log, sqrt "
    "and abs. It is read by a grammar and never run."
)


def add_arguments(p: Parser) -> None:
    """Add the command's options. One named like a field of the plans sets that field."""
    p.option("what", "expressions or molecules", metavar="WHAT")
    p.option("--target", "the function of x to come near to", metavar="FORMULA")
    p.option("--lines", "a text file, one line an object (default: drawn from the grammar)", Path)
    p.option("--model", "grammar-rae, grammar-vae (default grammar-rae)")
    p.option("--epochs", "of the model's training (default 16)", int, "N")
    p.option("--rounds", "of proposals (default 5)", int, "N")
    p.option("--batch", "lines scored in each (default 50)", int, "N")
    p.option("--cap", "scores above it count as it (default 10)", float, "X")
    add_seed(p, "lines, weights, batches and proposals")
    add_training(p)
    p.option("--out", "where model and search go (default runs/search-WHAT-seedN)", Path, "FOLDER")


def run(args: argparse.Namespace) -> int:
    """Train or load, search, print, write."""
    with importing():
        from matplotlib.figure import Figure

        from vaelab import lines, plots
        from vaelab._files import as_csv, write_atomic
        from vaelab._inputs import check_choice
        from vaelab.cli import lines as door

    check_choice("what to search", args.what, ("expressions", "molecules"))
    score, key = _score(args)
    plan = lines.SearchPlan(**given(lines.SearchPlan, vars(args)))
    folder = args.out or Path("runs") / f"search-{args.what}-seed{args.seed}"
    saved, trained = door.trained(args, folder)
    where = folder / f"search-{key}.state"
    print(f"{plan.rounds} rounds of {plan.batch} lines, seed {plan.seed}; {where}", flush=True)
    found = lines.search(saved.model, saved.density, trained, score, plan, where)
    sign = 1 if args.what == "expressions" else -1
    print(found.table())
    print(f"best of the {len(trained)} lines given {sign * found.data_best:.4f}")
    for value, line in found.best[:5]:
        print(f"{sign * value:10.4f}  {line}")
    if found.n_capped:
        print(f"{found.n_capped} lines had no finite score, or one above the cap {plan.cap:g}")
    write_atomic(folder / f"search-{key}.csv", as_csv(_rows(found, sign)))
    figure = Figure(figsize=(6, 3), dpi=100, layout="constrained")
    plots.search_curve(figure.add_subplot(), found)
    write_atomic(folder / f"search-{key}.png", plots.figure_png(figure))
    print(f"saved  {folder / f'search-{key}.csv'}, .png")
    return 0


def _score(args: argparse.Namespace) -> tuple[Callable[[str], float], str]:
    """What is minimised, and a word for the files' names."""
    from vaelab.grammar import distance_to, molecules

    if args.what == "expressions":
        if args.target is None:
            raise ValueError('--target: expected a function of x, such as "1/3 + x + sin(x*x)"')
        score = distance_to(args.target)
        return score, hashlib.sha256(args.target.encode()).hexdigest()[:8]
    if args.target is not None or args.lines is None:
        raise ValueError("molecules: expected --lines FILE of SMILES, and no --target")
    molecules.is_molecule("C")  # It needs rdkit, and says so.
    return lambda line: -molecules.penalised_log_p(line), "log-p"


def _rows(found: Found, sign: int) -> Iterator[list[Any]]:
    """The head of the table, and a row for each line that was scored."""
    yield ["round", "score", "best_so_far", "line"]
    columns = (found.rounds, found.scores, found.curve, found.lines)
    for number, value, best, line in zip(*columns, strict=True):
        yield [number, f"{sign * value:.6g}", f"{sign * best:.6g}", line]

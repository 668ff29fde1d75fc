"""Draw a figure of Ghosh et al. (2020): train the models it shows, where they are not trained yet,
and write a PNG.

ghosh-1: reconstructions, samples and ways between images (Figs. 1, 4, 5); ghosh-3: a VAE's draws a
step and the weight of its KL (Fig. 3); ghosh-6: samples and the training images nearest to them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vaelab._signals import importing
from vaelab.cli.files import check_ending
from vaelab.cli.options import Parser, add_data, add_seed, add_training, given
from vaelab.cli.words import PROFILES

EPILOG = "Stop it at any time: the same command goes on with the models that are missing."


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("name", "ghosh-1, ghosh-3 or ghosh-6", metavar="FIGURE")
    p.option("--data-set", "such as mnist (default digits)", metavar="NAME", default="digits")
    p.option("--profile", f"{PROFILES} (default sketch)", default="sketch")
    add_seed(p, "weights, batches and draws")
    add_data(p)
    add_training(p)
    p.option("--runs", "trained models (default runs/)", Path, "FOLDER")
    p.option("--out", "the picture (default FIGURE-NAME.png)", Path, "FILE")


def run(args: argparse.Namespace) -> int:
    """Train what a figure shows, and draw it."""
    with importing():
        from vaelab import experiments, plots
        from vaelab._files import check_writable, write_atomic
        from vaelab._inputs import check_choice, check_seed
        from vaelab.training import Session

    check_choice("figure", args.name, experiments.FIGURES)
    check_choice("profile", args.profile, experiments.PROFILES)
    check_seed(args.seed)
    out = args.out or Path(f"{args.name}-{args.data_set}.png")
    check_ending(out, ".png")
    check_writable(out.parent)
    where = given(experiments.Place, {"data": args.data, "runs": args.runs})
    place = experiments.Place(session=Session.of(vars(args)), **where)
    profile = experiments.PROFILES[args.profile]
    subject = experiments.Subject(args.data_set, profile, args.seed, place)
    drawn = experiments.FIGURES[args.name](subject)
    plots.use_style()
    write_atomic(out, plots.figure_png(plots.drawn_figure(drawn)))
    print(f"{drawn.note}    {out}")
    return 0

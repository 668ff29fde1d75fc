"""Draw images from a trained model.

Codes are drawn from its second stage, or from any density that is fitted here to the codes of the
training images, and decoded without noise. A saved estimator draws rows in the units of its data.
Of a model of lines the finished ones are written, a line each.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

from vaelab._memory import check_memory
from vaelab._signals import importing
from vaelab.cli.files import beside, check_ending
from vaelab.cli.options import Parser, add_data, add_run, add_seed

# Bytes a pixel of every image: what is drawn, and its copies on the way into the file.
_BYTES = {".png": 48, ".npy": 16}


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    p.option("-n", "how many images (default 64)", int, "N", 64)
    add_seed(p, "the draws")
    p.option(
        "--density",
        "prior, gaussian, gmm-10 (a mixture, or another number), dirichlet-10 (a Bayesian one), "
        "empirical (the training codes themselves), flow or second-stage, fitted to the training "
        "images (default: the one that was saved; of `vaelab train`, the second stage)",
    )
    p.option(
        "--images", "data set or folder to fit it to (default: the training images)", metavar="DATA"
    )
    add_data(p)
    p.option(
        "--out",
        "a .png (one grid) or a .npy, or a .txt for lines (default FOLDER/samples.png)",
        Path,
        "FILE",
    )


def run(args: argparse.Namespace) -> int:
    """Draw images and write them to a file."""
    with importing():
        import numpy as np

        from vaelab import checkpoints, densities, plots
        from vaelab._files import write_array, write_atomic
        from vaelab._inputs import check_positive_int, check_seed
        from vaelab.apps.images import images_for
        from vaelab.apps.opening import opened
        from vaelab.cli import lines

    check_positive_int("n", args.n)
    check_seed(args.seed)
    saved = opened(args.folder)
    if lines.writes_lines(saved):
        return lines.sample(saved, args)
    out = args.out or beside(args.folder, "samples.png")
    kind = check_ending(out, *_BYTES)
    check_memory(f"-n {args.n}", _BYTES[kind] * args.n * math.prod(saved.model.image_shape))
    if args.density is not None:
        density = densities.named(args.density, saved.model.prior)
        if not isinstance(density, densities.ModelPrior):
            x = images_for(saved, args.data, args.images).train_pixels
            density.fit(saved.model, x, args.seed)
        else:
            density = checkpoints.model_prior(saved.model)
        saved = replace(saved, density=density)
    images = saved.sample(args.n, args.seed)
    if kind == ".npy":
        write_array(out, np.asarray(images))
    else:
        write_atomic(out, plots.to_png(plots.image_grid(images), scale=2))
    print(f"{args.n} images of shape {tuple(images.shape[1:])}, seed {args.seed}    {out}")
    return 0

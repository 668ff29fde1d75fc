"""Reconstruct images: decode the code of each, by a trained model.

A .png shows the first test images, each with its reconstruction below it; a .npy holds the
reconstructions of all test images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vaelab._signals import importing
from vaelab.cli.files import beside, check_ending, images_of
from vaelab.cli.options import Parser, add_images, add_run

COLUMNS = 16


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    add_images(p)
    p.option("-n", "how many are shown in a .png (default 64)", int, "N", 64)
    p.option("--out", "a .png or a .npy (default FOLDER/reconstructions.png)", Path, "FILE")


def run(args: argparse.Namespace) -> int:
    """Reconstruct and write."""
    with importing():
        import torch

        from vaelab import metrics, plots
        from vaelab._files import write_array, write_atomic
        from vaelab._inputs import check_positive_int
        from vaelab.apps.opening import opened
        from vaelab.data import unit

    check_positive_int("n", args.n)
    out = args.out or beside(args.folder, "reconstructions.png")
    kind = check_ending(out, ".png", ".npy")
    saved = opened(args.folder)
    images = images_of(saved, args)
    x = unit(images.test_pixels[: args.n] if kind == ".png" else images.test_pixels)
    x_hat = saved.model.reconstruct(x)
    error = metrics.mean_squared_error(x, x_hat)
    if kind == ".npy":
        write_array(out, x_hat.numpy())
    else:
        blank = torch.ones(-len(x) % COLUMNS, *x.shape[1:])  # Up to the end of the last row.
        rows = [torch.cat([some, blank]).split(COLUMNS) for some in (x, x_hat)]
        pairs = [row for pair in zip(*rows, strict=True) for row in pair]
        grid = plots.image_grid(torch.cat(pairs), COLUMNS)
        write_atomic(out, plots.to_png(grid, scale=2))
    print(f"{len(x)} test images of {images.name}, error {error:.5f} a pixel    {out}")
    return 0

"""Draw images from a trained model.

Codes are drawn from its second stage, and decoded without noise. A saved estimator draws rows in
the units of its data.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path

from vaelab._imports import importing
from vaelab.cli.memory import check_memory
from vaelab.cli.options import Parser, add_run, add_seed

# Bytes a pixel of every image: what is drawn, and its copies on the way into the file.
_BYTES = {".npy": 16, ".png": 48}


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    p.option("-n", "how many images (default 64)", int, "N", 64)
    add_seed(p, "the draws")
    p.option("--out", "a .png (one grid) or a .npy (default FOLDER/samples.png)", Path, "FILE")


def run(args: argparse.Namespace) -> int:
    """Draw images and write them to a file."""
    with importing():
        import numpy as np

        from vaelab import plots
        from vaelab._files import write_atomic
        from vaelab._inputs import check_positive_int, check_seed
        from vaelab.apps.opening import opened

    check_positive_int("n", args.n)
    check_seed(args.seed)
    out = args.out or args.folder / "samples.png"
    kind = out.suffix.lower()
    if kind not in _BYTES:
        raise ValueError(f"--out: expected a file that ends in .png or .npy, got {out}")
    saved = opened(args.folder)
    check_memory(f"-n {args.n}", _BYTES[kind] * args.n * math.prod(saved.model.image_shape))
    images = saved.sample(args.n, args.seed)
    if kind == ".npy":
        np.save(content := io.BytesIO(), images)
        write_atomic(out, content.getvalue())
    else:
        write_atomic(out, plots.to_png(plots.image_grid(images), scale=2))
    print(f"{args.n} images of shape {tuple(images.shape[1:])}, seed {args.seed}    {out}")
    return 0

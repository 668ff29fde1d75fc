"""Encode images: write the code of each, by a trained model, to a table.

A code is the mean μ_z of q(z given x). A .csv has a row an image: its part ("train" or "test"), its
class and file where there are any, and z1 to zκ. A .npy holds the codes alone, in the same order.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._signals import importing
from vaelab.cli.files import beside, check_ending, images_of
from vaelab.cli.options import Parser, add_images, add_run

if TYPE_CHECKING:
    from vaelab.data import Images

PARTS = ("train", "test", "all")


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    add_images(p)
    p.option("--part", "train, test or all (default all)", str, "PART", "all")
    p.option("--out", "a .csv or a .npy (default FOLDER/codes.csv)", Path, "FILE")


def run(args: argparse.Namespace) -> int:
    """Encode and write."""
    with importing():
        import numpy as np

        from vaelab._files import as_csv, write_array, write_atomic
        from vaelab._inputs import check_choice
        from vaelab.apps.opening import opened

    check_choice("--part", args.part, PARTS)
    out = args.out or beside(args.folder, "codes.csv")
    kind = check_ending(out, ".csv", ".npy")
    saved = opened(args.folder)
    images = images_of(saved, args)
    parts = PARTS[:2] if args.part == "all" else (args.part,)
    pixels = {part: getattr(images, f"{part}_pixels") for part in parts}
    codes = {part: saved.model.codes(x).mean.numpy() for part, x in pixels.items()}
    if kind == ".npy":
        write_array(out, np.concatenate(list(codes.values())))
    else:
        write_atomic(out, as_csv(_rows(images, codes)))
    counts = ", ".join(f"{len(z)} {part}" for part, z in codes.items())
    print(f"{counts} images of {images.name} as codes of {saved.model.latent_dim} numbers    {out}")
    return 0


def _rows(images: Images, codes: dict[str, Any]) -> Iterator[list[Any]]:
    """The head of the table, and a row for each image; class and file may be empty words."""
    kappa = next(iter(codes.values())).shape[1]
    yield ["part", "class", "file", *(f"z{j + 1}" for j in range(kappa))]
    for part, rows in codes.items():
        labels = getattr(images, f"{part}_labels")
        files = getattr(images, f"{part}_files")
        for i, z in enumerate(rows.tolist()):
            name = "" if labels is None else images.classes[int(labels[i])]
            yield [part, name, files[i] if files else "", *z]

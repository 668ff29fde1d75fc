"""Encode images: write the code of each, by a trained model, to a table.

A code is the mean μ_z of q(z given x). A .csv has a row an image: its part ("train" or "test"), its
class and file where there are any, and z1 to zκ. A .npy holds the codes alone, in the same order.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._signals import importing
from vaelab.cli.options import Parser, add_data, add_reading, add_run, beside, reading

if TYPE_CHECKING:
    from vaelab.data import Images
    from vaelab.models import Autoencoder

PARTS = ("train", "test", "all")


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    add_images(p)
    p.option("--part", "train, test or all (default all)", str, "PART", "all")
    p.option("--out", "a .csv or a .npy (default FOLDER/codes.csv)", Path, "FILE")


def add_images(p: Parser) -> None:
    """Add IMAGES, a data set or a folder of pictures, and how it is read."""
    p.add_argument(
        "images",
        nargs="?",
        metavar="IMAGES",
        help="data set, or folder of pictures (default: what the model was trained on)",
    )
    add_data(p)
    add_reading(p)


def run(args: argparse.Namespace) -> int:
    """Encode and write."""
    with importing():
        import numpy as np

        from vaelab._files import write_array, write_atomic
        from vaelab._inputs import check_choice
        from vaelab.apps.images import images_for, notes_on
        from vaelab.apps.opening import opened

    check_choice("--part", args.part, PARTS)
    out = args.out or beside(args.folder, "codes.csv")
    if out.suffix.lower() not in (".csv", ".npy"):
        raise ValueError(f"--out: expected a file that ends in .csv or .npy, got {out}")
    saved = opened(args.folder)
    images = images_for(saved, args.data, args.images, **reading(args, args.images))
    print("".join(f"{note}\n" for note in notes_on(saved, images)), end="")
    parts = PARTS[:2] if args.part == "all" else (args.part,)
    codes = {part: _codes(saved.model, images, part) for part in parts}
    if out.suffix.lower() == ".npy":
        write_array(out, np.concatenate(list(codes.values())))
    else:
        write_atomic(out, _table(images, codes).encode())
    counts = ", ".join(f"{len(z)} {part}" for part, z in codes.items())
    print(f"{counts} images of {images.name} as codes of {saved.model.latent_dim} numbers    {out}")
    return 0


def _codes(model: Autoencoder, images: Images, part: str) -> Any:
    return model.codes(getattr(images, f"{part}_pixels")).mean.numpy()


def _table(images: Images, codes: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kappa = next(iter(codes.values())).shape[1]
    writer.writerow(["part", "class", "file", *(f"z{j + 1}" for j in range(kappa))])
    for part, rows in codes.items():
        for about, z in zip(_about(images, part), rows.tolist(), strict=True):
            writer.writerow([part, *about, *z])
    return text.getvalue()


def _about(images: Images, part: str) -> Iterator[tuple[str, str]]:
    """Class and file of each image of a part; empty words where there are none."""
    labels = getattr(images, f"{part}_labels")
    files = getattr(images, f"{part}_files")
    for i in range(len(getattr(images, f"{part}_pixels"))):
        name = "" if labels is None else images.classes[int(labels[i])]
        yield name, files[i] if files else ""

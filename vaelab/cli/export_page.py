"""Put a trained decoder into one HTML file, for a browser.

The page runs in any browser, phones included, with nothing installed and nothing sent anywhere:
sliders along the directions of the code ordered by λ, draws from every density, the plane of codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vaelab._signals import importing
from vaelab.cli.options import Parser, add_data, add_reading, add_run, add_seed, beside, reading

if TYPE_CHECKING:
    from vaelab.checkpoints import Saved
    from vaelab.data import Images


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_run(p)
    p.option("--out", "the page (default FOLDER/page.html; replaced if there)", Path, "FILE")
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--images",
        metavar="DATA",
        help="data set, or path of the folder of pictures, that codes and λ "
        "are read off (default: the data set the model was trained on)",
    )
    which.add_argument(
        "--without-images", action="store_true", help="leave out λ, codes and images to start from"
    )
    add_data(p)
    add_reading(p)
    p.option("--title", "at the top of the page")
    add_seed(p, "the draws, those in the page too")


def run(args: argparse.Namespace) -> int:
    """Write a trained model as a page that runs in a browser."""
    with importing():
        from vaelab import page
        from vaelab._files import check_writable, write_atomic
        from vaelab.apps.opening import opened

    out = args.out or beside(args.folder, "page.html")
    if out.is_dir():
        raise ValueError(
            f"--out: expected a file to write, got the folder {out}; try {out / 'page.html'}"
        )
    if out.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out: expected a file that ends in .html, got {out}")
    saved = opened(args.folder)
    check_writable(out.parent)
    images = None if args.without_images else _images_of(saved, args)
    made = page.build(saved, images, args.title, args.seed)
    write_atomic(out, made.html.encode())
    print("\n".join(made.notes))
    size = made.size / 1e6
    if made.size > page.LARGE:
        print(
            f"large: {size:.0f} MB; a phone may not open it. A smaller network makes a smaller page"
        )
    print(f"{size:.2f} MB, opens in any browser, asks for nothing from anywhere    {out}")
    return 0


def _images_of(saved: Saved, args: argparse.Namespace) -> Images:
    """The images that a saved model was trained on, or those that the command line names."""
    from vaelab.apps.images import images_for, notes_on

    try:
        images = images_for(saved, args.data, args.images, **reading(args, args.images))
    except (FileNotFoundError, ValueError) as error:
        problem = f"{error}, or --without-images for a page without λ and codes"
        raise type(error)(problem) from error
    print("".join(f"{note}\n" for note in notes_on(saved, images)), end="")
    return images

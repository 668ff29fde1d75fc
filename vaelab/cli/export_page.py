"""Put a trained decoder into one HTML file, for a browser.

The page runs in any browser, phones included, with nothing installed and nothing sent anywhere:
sliders along the directions of the code ordered by λ, draws from every density, the plane of codes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vaelab._signals import importing
from vaelab.cli.files import beside, check_ending, images_of
from vaelab.cli.options import Parser, add_data, add_reading, add_run, add_seed


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
    check_ending(out, ".html", ".htm")
    saved = opened(args.folder)
    check_writable(out.parent)
    images = None
    if not args.without_images:
        try:
            images = images_of(saved, args)
        except (FileNotFoundError, ValueError) as error:
            problem = f"{error}, or --without-images for a page without λ and codes"
            raise type(error)(problem) from error
    made = page.build(saved, images, args.title, args.seed)
    write_atomic(out, made.html.encode())
    print("\n".join(made.notes))
    size = made.size / 1e6
    if made.size > page.LARGE:
        print("large: a phone may not open it. A smaller network makes a smaller page")
    print(f"{size:.2f} MB, opens in any browser, asks for nothing from anywhere    {out}")
    return 0

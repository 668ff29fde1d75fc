"""The command line: train and write a classifier of those that ship with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from vaelab.features.shipped import SHIPPED, ship_classifier


def main(argv: list[str] | None = None) -> None:
    """The command line: train and write a classifier of those that ship with the package."""
    parser = argparse.ArgumentParser(prog="python -m vaelab.features", description=main.__doc__)
    parser.add_argument("name", choices=SHIPPED)
    parser.add_argument(
        "--data", metavar="ROOT", help="where the data set lies (default: as for load_images)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).parents[1] / "weights",
        metavar="FOLDER",
        help="an existing folder to write to (default: the package's own)",
    )
    arguments = parser.parse_args(argv)
    record = ship_classifier(arguments.name, arguments.out, arguments.data, arguments.seed)
    path = arguments.out / f"{arguments.name}.safetensors"
    print(f"{path}: test accuracy {record['test_accuracy']:.2%}")


if __name__ == "__main__":
    main()

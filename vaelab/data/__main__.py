"""The command line: write the pictures that ship with the package, from Fashion-MNIST."""

from __future__ import annotations

import argparse
import gzip
import hashlib
from pathlib import Path

from vaelab.data.loading import load_images
from vaelab.data.shipped import FILE, pack_rows


def main(argv: list[str] | None = None) -> None:
    """The command line: write the pictures that ship with the package, from Fashion-MNIST."""
    parser = argparse.ArgumentParser(prog="python -m vaelab.data", description=main.__doc__)
    parser.add_argument(
        "--data", metavar="ROOT", help="where Fashion-MNIST lies (default: as for load_images)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(str(FILE)),
        metavar="FILE",
        help="the file to write (default: the package's own)",
    )
    arguments = parser.parse_args(argv)
    content = pack_rows(load_images("fashion", arguments.data))
    arguments.out.write_bytes(gzip.compress(content, 9, mtime=0))
    print(f"{arguments.out}: SHA-256 of what it unpacks to {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()

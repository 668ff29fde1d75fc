"""The door of `python -m vaelab` and of the program `vaelab`; the commands are in `vaelab.cli`."""

import contextlib
import sys
from collections.abc import Sequence

from vaelab._signals import importing


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status.

    Letters that the terminal or the file does not have, such as γ, are printed as a question mark.
    """
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(errors="replace")
    with importing():
        from vaelab import cli
    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main())

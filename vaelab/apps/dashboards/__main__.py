"""`python -m vaelab.apps.dashboards`: prepare the pages and serve them."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

CONNECTION = "vaelab.apps.dashboards.connection.NoDelayConnection"
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
)


def command(pages: Path, port: int, token: bool, browser: bool) -> list[str]:
    """Voilà's command line: on 127.0.0.1, with a token of its own making; idle kernels end after
    ten minutes.
    """
    options = [
        "--Voila.ip=127.0.0.1",
        f"--Voila.port={port}",
        f"--Voila.auto_token={token}",
        f"--Voila.open_browser={browser}",
        f"--Voila.kernel_websocket_connection_class={CONNECTION}",
        "--VoilaConfiguration.classic_tree=True",
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in EXTENSIONS),
        "--MappingKernelManager.cull_idle_timeout=600",
        "--MappingKernelManager.cull_interval=60",
    ]
    return [sys.executable, "-m", "voila", str(pages), *options]


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    p = argparse.ArgumentParser(
        "python -m vaelab.apps.dashboards", description="The course's views as pages without code."
    )
    p.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=os.environ.get("VAELAB_MODEL") or None,
        help="one that `vaelab train` wrote (default: $VAELAB_MODEL, else "
        "a small model of digits, trained now in some ten seconds)",
    )
    p.add_argument(
        "--images",
        metavar="DATA",
        help="data set or folder of pictures (default: what it was trained on)",
    )
    p.add_argument(
        "--port", type=int, default=8866, help="default 8866, or one near it that is free"
    )
    p.add_argument("--no-token", action="store_true", help="let every user of this machine in")
    p.add_argument(
        "--no-browser", action="store_true", help="do not open a browser; print the address"
    )
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C. A problem that a user can mend is one line on standard error and exit
    status 2.
    """
    args = parser().parse_args(argv)
    if not 1 <= args.port <= 65535:
        return _refuse(f"--port: expected 1 to 65535, got {args.port}")
    if importlib.util.find_spec("voila") is None:
        return _refuse("this needs Voilà; install it with: pip install 'vaelab[course,app]'")
    from vaelab.apps import dashboards

    with tempfile.TemporaryDirectory(prefix="vaelab-dashboards-") as root:
        pages = Path(root) / "pages"
        try:
            if args.folder is not None:
                # What is wrong with the model is told now, and not in the page.
                dashboards.open_model(args.folder, args.images)
            print("training the small models of digits, some ten seconds", flush=True)
            dashboards.prepare(root, second_stage=args.folder is None, progress=sys.stderr.isatty())
        except (OSError, ValueError) as error:
            return _refuse(str(error))
        model = args.folder or Path(root) / "model"
        dashboards.write_pages(pages, model, Path(root) / "path", args.images)
        print("three pages; stop with Ctrl-C", flush=True)
        return _serve(command(pages, args.port, not args.no_token, not args.no_browser))


def _serve(line: list[str]) -> int:
    """Run the server until it ends or Ctrl-C or SIGTERM comes; its kernels end with it."""
    server = subprocess.Popen(line, env={"OMP_NUM_THREADS": "1", **os.environ})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return server.wait()
    except KeyboardInterrupt:
        # A second Ctrl-C would leave the temporary folder behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return 0
    finally:
        server.terminate()
        server.wait()


def _refuse(words: str) -> int:
    print(f"vaelab.apps.dashboards: error: {words}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

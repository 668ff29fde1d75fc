"""Voilà, as the pages want it: its command line, and its life."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

CONNECTION = "vaelab.apps.dashboards.connection.NoDelayConnection"
EXTENSIONS = (
    "@voila-dashboards/widgets-manager8",
    "@jupyter-widgets/jupyterlab-manager",
    "anywidget",
)


def command(
    pages: Path,
    port: int,
    token: bool,
    browser: bool,
    ip: str = "127.0.0.1",
    base_url: str = "/",
) -> list[str]:
    """Voilà's command line, with a token of its own making; idle kernels end after ten minutes.

    Args:
        pages: folder of the notebooks to serve.
        port: where it listens.
        token: whether the address must hold the token.
        browser: whether to open one.
        ip: address it listens on; only this machine's own reaches 127.0.0.1.
        base_url: path in front of every address, as a proxy wants it.
    """
    options = [
        f"--Voila.ip={ip}",
        f"--Voila.port={port}",
        f"--Voila.base_url={base_url}",
        f"--Voila.auto_token={token}",
        f"--Voila.open_browser={browser}",
        f"--Voila.kernel_websocket_connection_class={CONNECTION}",
        "--VoilaConfiguration.classic_tree=True",
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in EXTENSIONS),
        "--MappingKernelManager.cull_idle_timeout=600",
        "--MappingKernelManager.cull_interval=60",
    ]
    return [sys.executable, "-m", "vaelab.apps.dashboards.server", str(pages), *options]


def serve(line: list[str]) -> int:
    """Run the server until it ends or Ctrl-C comes; its kernels end with it."""
    server = subprocess.Popen(line, env={"OMP_NUM_THREADS": "1", **os.environ})
    try:
        return server.wait()
    except KeyboardInterrupt:
        # A second Ctrl-C would leave the temporary folder behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return 0
    finally:
        server.terminate()
        server.wait()

"""Show the course's views as pages without code, in a browser.

Three pages of a trained model, served by Voilà from this machine: a latent traversal, q(z) beside
its stand-ins, and what falling γ does. Visitors move sliders; nothing they send is run as code.
"""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from vaelab._signals import importing
from vaelab.cli.options import Parser


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option(
        "folder",
        "one that `vaelab train` wrote (default: $VAELAB_MODEL, else fashion-laptop, a small "
        "model of clothes that comes with the package)",
        Path,
        "FOLDER",
        os.environ.get("VAELAB_MODEL") or "fashion-laptop",
        "?",
    )
    p.option(
        "--images", "data set or folder of pictures (default: what it was trained on)", str, "DATA"
    )
    p.option("--port", "default 8866, or one near it that is free", int, "N", 8866)
    p.option(
        "--base-url", "path in front of every address, behind a hub or a proxy", str, "/PATH/", "/"
    )
    p.option(
        "--ip",
        "address to listen on (default 127.0.0.1: this machine alone)",
        str,
        "IP",
        "127.0.0.1",
    )
    p.flag(
        "--no-token",
        "let in every user of this machine; a page elsewhere is kept out by its name, but not "
        "with --base-url, where the names of the proxy in front are not known",
    )
    p.flag("--no-browser", "do not open a browser; print the address")


def run(args: argparse.Namespace) -> int:
    """Prepare the pages and serve them until Ctrl-C."""
    _check(args)
    with importing():
        from vaelab.apps import dashboards
        from vaelab.apps.dashboards.serving import command, serve
        from vaelab.checkpoints import SHIPPED, place_of

    with tempfile.TemporaryDirectory(prefix="vaelab-dashboards-") as root:
        pages = Path(root) / "pages"
        model = place_of(args.folder)
        dashboards.open_model(model, args.images)  # What is wrong is told now, and not in the page.
        dashboards.write_pages(pages, model, SHIPPED / "digits-path", args.images)
        print("three pages; stop with Ctrl-C", flush=True)
        base_url = f"/{args.base_url.strip('/')}/".replace("//", "/")
        browser = not args.no_browser
        return serve(command(pages, args.port, not args.no_token, browser, args.ip, base_url))


def _check(args: argparse.Namespace) -> None:
    """Raise for what cannot be served, and warn of what others could reach."""
    if not 1 <= args.port <= 65535:
        raise ValueError(f"--port: expected 1 to 65535, got {args.port}")
    if not re.fullmatch(r"[\w.~%@:+,;=!$&'()*/-]*", args.base_url, re.ASCII):
        raise ValueError(
            "--base-url: expected the path of an address, such as /hub/user/ada/ (other letters "
            f"as %-codes), got {args.base_url!r}"
        )
    try:
        is_own = ipaddress.ip_address(args.ip).is_loopback
    except ValueError:
        raise ValueError(
            f"--ip: expected an address such as 127.0.0.1 or 0.0.0.0, got {args.ip!r}"
        ) from None
    if not is_own and args.no_token:
        raise ValueError(
            f"--no-token: would let in whoever reaches {args.ip}; leave it out, or leave out --ip"
        )
    if not is_own:
        print(
            f"warning: whoever reaches {args.ip}:{args.port} and has the token can use this "
            "machine's processor, and the token travels unencrypted; on a hub or behind a proxy "
            "use --base-url alone",
            file=sys.stderr,
        )
    if importlib.util.find_spec("voila") is None:
        raise ValueError("this needs Voilà; install it with: pip install 'vaelab[course,app]'")


def server_proxy() -> dict[str, Any]:
    """What jupyter-server-proxy needs to offer the pages in a hub: its entry point `vaelab`.

    The proxy asks for the visitor's own login, so no second token is asked for; but on a machine
    with several users, each of them can reach the port.
    """
    command = [sys.executable, "-m", "vaelab", "dashboards", "--port", "{port}"]
    return {
        "command": [*command, "--base-url", "{base_url}vaelab", "--no-token", "--no-browser"],
        "absolute_url": True,
        "timeout": 120,
        "launcher_entry": {"title": "vaelab"},
    }

"""On what machine and by what code a figure was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import torch

from vaelab._inputs import pick_device


def machine(device: str | torch.device = "cpu") -> dict[str, Any]:
    """What a figure was measured on.

    Args:
        device: where it was computed; as in `training.fit`.
    """
    device = pick_device(device)
    name = platform.processor() or platform.machine()
    if device.type != "cpu":
        module = getattr(torch, device.type)
        name = module.get_device_name(device) if hasattr(module, "get_device_name") else device.type
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "device_name": name,
    }


@cache
def commit() -> str | None:
    """The commit of the checkout this package sits in, with a + where files differ from it; None
    without git.

    Asked once: what a process has imported does not change when the checkout does.
    """
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "vaelab")
    return None if head is None or changed is None else head + ("+" if changed else "")


@cache
def commit_date(commit: str) -> str | None:
    """The day of a commit, such as "2026-11-20"; None where the checkout does not know it."""
    known = re.fullmatch(r"([0-9a-f]{40})\+?", commit)
    return _git("show", "-s", "--format=%cs", known[1]) if known else None


def _git(*arguments: str) -> str | None:
    """What git says in the checkout this package sits in; None without either."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "pyproject.toml").is_file():
        return None
    command = ["git", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

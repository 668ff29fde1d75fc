"""Look at this installation: what is there, what is wrong, and what to do about it.

Prints versions, threads, memory, disk, devices with the speed of a short training on each, the data
sets and what notebooks need, a line each. What is marked ✗ is wrong, and the status is then 1; what
is marked – is absent and may be. Put the output into a bug report.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vaelab._memory import memory
from vaelab.cli.options import Parser, add_data

GB = 1e9
LEAST_MEMORY = 2 * GB
LEAST_DISK = 1 * GB
MARKS = {"ok": "✓", "absent": "–", "wrong": "✗"}
FOLDERS = {  # of the data sets that are downloaded, each in one of these under the root
    "mnist": ("MNIST",),
    "fashion": ("FashionMNIST",),
    "cifar10": ("cifar-10-batches-py", "cifar10"),
    "celeba": ("celeba",),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: of the thing.
        state: "ok", "absent" or "wrong".
        found: what was found.
        advice: what to do, where it is not "ok".
    """

    name: str
    state: str
    found: str
    advice: str = ""


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("--seconds", "length of the training on each device (default 3)", float, "S", 3.0)
    add_data(p)
    p.add_argument("--short", action="store_true", help="print only what is wrong")
    p.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Look and print; 1 if something is wrong."""
    from vaelab._inputs import check_positive

    check_positive("seconds", args.seconds)
    findings = []
    for finding in look(args.seconds, args.data):
        findings.append(finding)
        if not args.json and (finding.state == "wrong" or not args.short):
            print(_line(finding), flush=True)
    wrong = sum(finding.state == "wrong" for finding in findings)
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1, ensure_ascii=False))
    else:
        print(f"{'' if args.short else chr(10)}{wrong or 'nothing'} wrong")
    return 1 if wrong else 0


def look(seconds: float, root: Path | None = None) -> Iterator[Finding]:
    """Everything that is looked at, one thing after another."""
    yield from _versions()
    yield _threads()
    yield _memory()
    yield _disk(Path.cwd())
    yield from _devices(seconds)
    yield from _data(root)
    yield from _notebooks()


def _line(finding: Finding) -> str:
    line = f"{MARKS[finding.state]} {finding.name:16}{finding.found}"
    return f"{line}\n{'':18}{finding.advice}" if finding.advice else line


def _versions() -> Iterator[Finding]:
    import vaelab

    place = f"{vaelab.__version__} in {Path(vaelab.__file__).parent}"
    yield Finding("vaelab", "ok", place)
    python = f"{platform.python_version()} on {platform.platform()}"
    old = sys.version_info < (3, 11)
    yield Finding("Python", "wrong" if old else "ok", python, "use Python 3.11 or newer" * old)
    missing: dict[str, list[str]] = {}
    for text in importlib.metadata.requires("vaelab") or []:
        name, extra = re.split(r"[\s;<>=!\[]", text)[0], re.search(r"extra == .(\w+).", text)
        fault = _fault(name, text)
        if fault:
            missing.setdefault(extra[1] if extra else "", []).append(fault)
    for name in ("torch", "torchvision", "numpy", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield Finding(name, "ok", importlib.metadata.version(name))
    for extra, faults in missing.items():
        state, name = ("absent", f"extra {extra}") if extra else ("wrong", "packages")
        what = f"vaelab[{extra}]" if extra else "vaelab"
        yield Finding(name, state, "; ".join(faults), f"pip install --upgrade '{what}'")


def _fault(name: str, requirement: str) -> str:
    """What is wrong with an installed package, or nothing."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return f"{name} is not installed"
    least = re.search(r">=\s*([\d.]+)", requirement)
    too_old = least is not None and _numbers(version) < _numbers(least[1])
    return f"{name} is {version}, {least[1]} or newer is needed" if least and too_old else ""


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", re.split(r"[+a-zA-Z]", version)[0])]


def _threads() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    found = f"{threads} of torch's, {cores} processors for this process"
    if cores and threads > cores:
        return Finding("threads", "wrong", found, f"set OMP_NUM_THREADS={cores}")
    return Finding("threads", "ok", found)


def _memory() -> Finding:
    size = memory()
    found = f"{size / GB:.1f} GB" if size < float("inf") else "not told by this system"
    if size < LEAST_MEMORY:
        return Finding("memory", "wrong", found, "2 GB are needed: close what else runs")
    return Finding("memory", "ok", found)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / GB:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", "wrong", f"{folder} cannot be written to", "work in another folder")
    if free < LEAST_DISK:
        return Finding("disk", "wrong", found, "make room, or work in another folder")
    return Finding("disk", "ok", found)


def _devices(seconds: float) -> Iterator[Finding]:
    import torch

    device = torch.accelerator.current_accelerator(check_available=True)
    yield _trained("cpu", platform.processor() or platform.machine(), seconds)
    if device is not None:
        name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
        yield _trained(device.type, name, seconds)
    elif shutil.which("nvidia-smi"):
        found = f"there is one, but torch {torch.__version__} cannot use it"
        advice = "install a torch that is built for its driver: https://pytorch.org/get-started"
        yield Finding("GPU", "wrong", found, advice)
    else:
        yield Finding("GPU", "absent", "none found", "no notebook needs one in its quick profile")


def _trained(device: str, name: str, seconds: float) -> Finding:
    """A small network trained for some seconds, as the demonstration's is."""
    from vaelab import data, models, networks, training

    try:
        digits = data.load_images("digits").train_pixels
        model = models.vae(networks.mlp((1, 8, 8), latent_dim=16))
        plan = training.Plan(epochs=1, batch_size=100)
        session = training.Session(device=device, progress=False)
        training.fit_plan(model, digits, plan, session)
        began, n = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            training.fit_plan(model, digits, plan, session)
            n += len(digits)
        speed = n / (time.perf_counter() - began)
    except Exception as error:  # Whatever a driver or a build raises: it is what is asked for.
        reason = str(error).partition("\n")[0]
        advice = "use --device cpu, and install torch anew"
        return Finding(device, "wrong", f"{name}: a training fails ({reason})", advice)
    return Finding(device, "ok", f"{name}: {speed:,.0f} images of 8×8 a second")


def _data(root: Path | None) -> Iterator[Finding]:
    from vaelab.data import data_root

    try:
        place = data_root(root)
    except FileNotFoundError as error:
        yield Finding("data", "wrong", str(error))
        return
    there = [
        name for name, folders in FOLDERS.items() if any((place / f).is_dir() for f in folders)
    ]
    absent = [name for name in FOLDERS if name not in there]
    yield Finding("data", "ok", f"digits; in {place}: {', '.join(there) or 'none'}")
    if absent:
        advice = "they are downloaded when first asked for; or name their folder with --data"
        yield Finding("other data", "absent", ", ".join(absent), advice)


def _notebooks() -> Iterator[Finding]:
    if importlib.util.find_spec("jupyterlab") is None:
        advice = "pip install 'vaelab[course]'"
        yield Finding("notebooks", "absent", "JupyterLab is not installed", advice)
        return
    from jupyter_client.kernelspec import KernelSpecManager

    if "python3" not in KernelSpecManager().find_kernel_specs():
        advice = f"{sys.executable} -m ipykernel install --sys-prefix"
        yield Finding("kernel", "wrong", "there is no kernel called python3", advice)
    else:
        yield Finding("kernel", "ok", "python3")
    try:
        yield Finding("browser", "ok", webbrowser.get().__class__.__name__)
    except webbrowser.Error:
        advice = "open the address that Jupyter prints on a machine that has one"
        yield Finding("browser", "absent", "none found", advice)

"""Look at this installation: what is there, what is wrong, and what to do about it.

Prints versions, threads, devices with the speed of a short training on each, the data sets and what
notebooks need, a line each. What is marked ✗ is wrong, and the status is then 1; what is marked –
is absent and may be. Put the output into a bug report.
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

from vaelab.cli.options import Parser, add_data

MARKS = {"ok": "✓", "absent": "–", "wrong": "✗"}
FOLDERS = {  # of the data sets that are downloaded, each in one of these under the root
    "mnist": ("MNIST",),
    "fashion": ("FashionMNIST",),
    "cifar10": ("cifar-10-batches-py", "cifar10"),
    "celeba": ("celeba",),
}


@dataclass
class Finding:
    """One thing that was looked at.

    Args:
        name: of the thing.
        found: what was found.
        advice: what to do; where there is nothing, the state is "ok".
        state: "wrong", or "absent" for what may be.
    """

    name: str
    found: str
    advice: str = ""
    state: str = "wrong"

    def __post_init__(self) -> None:
        if not self.advice:
            self.state = "ok"

    def __str__(self) -> str:
        line = f"{MARKS[self.state]} {self.name:16}{self.found}"
        return f"{line}\n{'':18}{self.advice}" if self.advice else line


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    p.option("--seconds", "length of the training on each device (default 3)", float, "S", 3.0)
    add_data(p)
    p.flag("--short", "print only what is wrong")
    p.flag("--json", "print JSON")


def run(args: argparse.Namespace) -> int:
    """Look and print; 1 if something is wrong."""
    from vaelab._inputs import check_positive

    check_positive("seconds", args.seconds)
    findings = []
    for finding in look(args.seconds, args.data):
        findings.append(finding)
        if not args.json and (finding.state == "wrong" or not args.short):
            print(finding, flush=True)
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
    yield from _devices(seconds)
    yield from _data(root)
    yield from _notebooks()


def _versions() -> Iterator[Finding]:
    import vaelab

    yield Finding("vaelab", f"{vaelab.__version__} in {Path(vaelab.__file__).parent}")
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    missing: dict[str, list[str]] = {}
    for text in importlib.metadata.requires("vaelab") or []:
        extra = re.search(r"extra == .(\w+).", text)
        if fault := _fault(text):
            missing.setdefault(extra[1] if extra else "", []).append(fault)
    for name in ("torch", "torchvision", "numpy", "scikit-learn"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield Finding(name, importlib.metadata.version(name))
    for extra, faults in missing.items():
        state, name = ("absent", f"extra {extra}") if extra else ("wrong", "packages")
        what = f"vaelab[{extra}]" if extra else "vaelab"
        yield Finding(name, "; ".join(faults), f"pip install --upgrade '{what}'", state)


def _fault(requirement: str) -> str:
    """What is wrong with an installed package that the requirement names, or nothing."""
    name = re.split(r"[\s;<>=!\[]", requirement)[0]
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
    advice = f"set OMP_NUM_THREADS={cores}" if cores and threads > cores else ""
    return Finding("threads", found, advice)


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
        yield Finding("GPU", found, advice)
    else:
        yield Finding("GPU", "none found", "no notebook needs one in its quick profile", "absent")


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
        return Finding(device, f"{name}: a training fails ({reason})", advice)
    return Finding(device, f"{name}: {speed:,.0f} images of 8×8 a second")


def _data(root: Path | None) -> Iterator[Finding]:
    from vaelab.data import data_root

    try:
        place = data_root(root)
    except FileNotFoundError as error:
        yield Finding("data", "none", str(error))
        return
    there = [
        name for name, folders in FOLDERS.items() if any((place / f).is_dir() for f in folders)
    ]
    absent = [name for name in FOLDERS if name not in there]
    yield Finding("data", f"digits; in {place}: {', '.join(there) or 'none'}")
    if absent:
        advice = "they are downloaded when first asked for; or name their folder with --data"
        yield Finding("other data", ", ".join(absent), advice, "absent")


def _notebooks() -> Iterator[Finding]:
    if importlib.util.find_spec("jupyterlab") is None:
        advice = "pip install 'vaelab[course]'"
        yield Finding("notebooks", "JupyterLab is not installed", advice, "absent")
        return
    from jupyter_client.kernelspec import KernelSpecManager

    if "python3" in KernelSpecManager().find_kernel_specs():
        yield Finding("kernel", "python3")
    else:
        advice = f"{sys.executable} -m ipykernel install --sys-prefix"
        yield Finding("kernel", "there is no kernel called python3", advice)
    try:
        yield Finding("browser", webbrowser.get().__class__.__name__)
    except webbrowser.Error:
        advice = "open the address that Jupyter prints on a machine that has one"
        yield Finding("browser", "none found", advice, "absent")

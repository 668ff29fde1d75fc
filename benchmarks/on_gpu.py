"""Everything that wants a GPU and has no figure yet, in order, within so many minutes.

Speed and precision (γ, r̂) first, then the tables in the profile `laptop`, as many cells side by
side as there are cores but two (of 60 cells on one H100 each took six seconds so), then Table 1 in
the profile `full`, set by set, then the paper's own size with Inception where its weights are at
hand. Three trials of a cell, of the paper ten, are trained in one pass. What has a figure
is passed by, what the budget stops goes on where it was when the same command is given again, and
nothing is written of what was not measured.

    python benchmarks/on_gpu.py [--minutes 25] [--device cuda] [--out data/results] [--runs runs]
                                [--weights FILE]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 60.0  # Seconds to save in, after which a step is killed.
SETS = ("mnist", "fashion", "cifar10")
# The tables whose small networks train side by side.
SMALL = (
    ("dai-wipf-1", SETS),
    ("ghosh-1", SETS),
    ("learned-priors-2", SETS[:2]),
    ("learned-priors-3", SETS[:2]),
)


@dataclass(frozen=True)
class Step:
    """A command, and the file that says that it has been done; a table knows it by itself."""

    name: str
    command: tuple[str, ...]
    file: Path | None = None


def steps(device: str, out: Path, runs: Path, weights: Path | None = None) -> list[Step]:
    """What is to be measured, in order."""
    speed = out / f"speed-{device}.json"
    small = ("--images", "200", "--epochs", "2", "--together", "2", "--jobs", "2")
    size = ("--data-set", "mnist") if device == "cuda" else small
    bench = (str(HERE / "gpu.py"), "--device", device, *size, "--json", str(speed))
    where = ("--device", device, "--out", str(out), "--runs", str(runs))
    fast = ("--precision", "tf32", "--compile") if device == "cuda" else ()
    table = ("-m", "vaelab", "table")
    beside = ("--profile", "laptop", "--together", "3", "--jobs", str(max(1, os.cpu_count() - 2)))
    laptop = [
        Step(f"laptop, {paper}, {name}", (*table, paper, *where, *beside, "--data-set", name))
        for paper, names in SMALL
        for name in names
    ]
    first = (*table, "dai-wipf-1", *where, *fast)
    full = [
        Step(f"full, {name}", (*first, "--profile", "full", "--together", "3", "--data-set", name))
        for name in SETS
    ]
    inception = ("--profile", "paper", "--together", "10", "--weights", str(weights))
    paper = [Step("paper, mnist", (*first, *inception, "--data-set", "mnist"))]
    return [Step("speed", bench, speed), *laptop, *full, *(paper if weights else [])]


def run(todo: list[Step], minutes: float) -> list[str]:
    """Run steps until the time is up; the names of those that are not done."""
    end = time.monotonic() + 60 * minutes
    left = []
    for step in todo:
        if step.file is not None and step.file.exists():
            print(f"{step.name}: has its figures, {step.file}", flush=True)
        elif time.monotonic() >= end or not _finishes(step, end - time.monotonic()):
            left.append(step.name)
    return left


def _finishes(step: Step, seconds: float) -> bool:
    """Whether a step ends well in time; if not, it is asked to save and to stop."""
    print(f"{step.name}: {' '.join(step.command)}", flush=True)
    process = subprocess.Popen([sys.executable, *step.command])
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return False


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("data/results"))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--weights", type=Path, help="Inception's weights, for FID")
    args = parser.parse_args(arguments)
    if args.weights is not None and not args.weights.is_file():
        parser.error(f"--weights: {args.weights} is no file")
    args.out.mkdir(parents=True, exist_ok=True)
    left = run(steps(args.device, args.out, args.runs, args.weights), args.minutes)
    print(f"not done: {', '.join(left)}; the same command goes on" if left else "all is measured")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())

"""What bfloat16 changes on a CPU: γ, r̂ and Fréchet distances of the same VAE trained in float32 and
in bfloat16, seed by seed, and how much faster it trains.

The small convolutional network on 5,000 images of a data set, 12 epochs of batches of 100, γ
learned, κ 16. Both arithmetics train in turn in one process; the ratio is of the seconds of one
seed, so other work on the machine (there was some when the stored file was made) moves it less than
either time. `precision="auto"` takes bfloat16 where this shows that nothing else moves.

    python benchmarks/precision.py [--data-set mnist] [--seeds 0 1 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import torch

from vaelab import experiments, training
from vaelab.experiments.cells import load_shared
from vaelab.experiments.measuring import fit_densities, measure

PRECISIONS = ("float32", "bfloat16")


def measured(cell, images, judge, precision):
    """The figures of one training."""
    model = experiments.build(images.shape, cell.settings)
    session = training.Session(device="cpu", precision=precision, progress=False)
    run = training.fit_plan(model, images.train_pixels, cell.settings.plan(), session)
    fitted = fit_densities(model, None, images.train_pixels, cell.trial)
    found = measure(images, model, None, judge, cell.trial, fitted, cell.profile.n_samples)
    distances = {name: round(value, 3) for name, value in found["frechet"].items()}
    figures = {"gamma": found["gamma"], "active_dims": found["active_dims"], "frechet": distances}
    return {**figures, "seconds": round(run.seconds, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-set", nargs="+", default=["mnist"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table, sketch = experiments.TABLES["dai-wipf-1"], experiments.PROFILES["sketch"]
    results = {}
    for name in args.data_set:
        cell = experiments.Cell(table, name, "learned", 0, sketch)
        images, judge = load_shared(cell, experiments.Place())
        rows = []
        for seed in args.seeds:
            order = PRECISIONS if seed % 2 else PRECISIONS[::-1]  # Each goes first in turn.
            each = replace(cell, trial=seed)
            row = {kind: measured(each, images, judge, kind) for kind in order}
            row["ratio"] = round(row["float32"]["seconds"] / row["bfloat16"]["seconds"], 3)
            rows.append(row)
            print(name, seed, json.dumps(row, ensure_ascii=False), flush=True)
        ratio = statistics.median(row["ratio"] for row in rows)
        results[name] = {"ratio": ratio, "seeds": dict(zip(args.seeds, rows, strict=True))}
        print(f"{name}: bfloat16 / float32 = {ratio:.2f} images per second, median of the seeds")
    if args.json:
        told = {
            "figure": "a VAE in float32 and in bfloat16 on a CPU",
            "command": "python benchmarks/precision.py --data-set mnist fashion --json FILE",
            "protocol": __doc__.split("\n\n")[1].replace("\n", " "),
            "machine": experiments.machine(),
            "torch": torch.__version__,
            **results,
        }
        args.json.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()

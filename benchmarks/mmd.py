"""MMD of 10,000 × 64 codes, in blocks against the n × n way: time and peak memory, each in a
process of its own.

python benchmarks/mmd.py [--n 10000] [--dimension 64]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import torch

from vaelab import metrics


def naive(x, y):
    """The same estimator from three whole n × n matrices."""
    x, y, kernel = x.double(), y.double(), metrics.imq()
    k = lambda a, b: kernel(torch.cdist(a, b).square(), a.shape[1])  # noqa: E731
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    n = len(x)
    return float(
        ((xx.sum() - xx.trace()) + (yy.sum() - yy.trace())) / (n * (n - 1)) - 2 * xy.mean()
    )


def one(way, n, dimension):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, n, dimension, generator=generator)
    function = naive if way == "naive" else metrics.mmd2
    function(x[:100], y[:100])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    value = function(x, y)
    seconds = time.perf_counter() - start
    print(value, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--way", choices=["blocks", "naive"])
    args = parser.parse_args()
    if args.way:
        return one(args.way, args.n, args.dimension)
    figures = {}
    for way in ("blocks", "naive"):
        command = [
            sys.executable,
            __file__,
            "--way",
            way,
            "--n",
            str(args.n),
            "--dimension",
            str(args.dimension),
        ]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures[way] = [float(v) for v in told.split()]
        value, seconds, megabytes = figures[way]
        print(
            f"{way:8} MMD² {value:+.3e}    {seconds:6.2f} s    {megabytes:7.0f} MB beyond the start"
        )
    faster, smaller = (figures["naive"][i] / figures["blocks"][i] for i in (1, 2))
    print(f"blocks: {faster:.1f} times as fast, {smaller:.0f} times less memory")


if __name__ == "__main__":
    main()

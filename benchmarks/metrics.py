"""The Fréchet distance at the size of an FID, 10,000 × 2,048 features: time and peak memory,
against scipy's root.

python benchmarks/metrics.py [--n 10000] [--dimension 2048] [--threads 2]
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import torch

from vaelab import metrics


def by_scipy(x, y):
    """The same distance with the square root of C_x C_y, as FID codes have it."""
    import scipy.linalg

    x, y = x.double(), y.double()
    root = scipy.linalg.sqrtm((x.T.cov() @ y.T.cov()).numpy()).real
    traces = x.var(0).sum() + y.var(0).sum() - 2 * root.trace()
    return float((x.mean(0) - y.mean(0)).square().sum() + traces)


WAYS = {"ours": metrics.frechet_distance, "scipy": by_scipy}


def one(way, n, dimension, threads):
    torch.set_num_threads(threads)
    generator = torch.Generator().manual_seed(0)
    turn = torch.randn(dimension, dimension, generator=generator) / dimension**0.5
    x, y = torch.randn(2, n, dimension, generator=generator)
    y = y @ turn + 0.1
    WAYS[way](x[:50, :8], y[:50, :8])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    value = WAYS[way](x, y)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(value, seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, cpu)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=WAYS)
    args = parser.parse_args()
    if args.way:
        return one(args.way, args.n, args.dimension, args.threads)
    sizes = ["--n", str(args.n), "--dimension", str(args.dimension), "--threads", str(args.threads)]
    figures = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--way", way, *sizes]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        figures[way] = value, seconds, megabytes, cpu = [float(v) for v in told.split()]
        print(
            f"{way:6} Fréchet distance {value:.6f}    {seconds:6.1f} s ({cpu:.1f} s of the "
            f"processor)    {megabytes:6.0f} MB beyond the start"
        )
    (a, t, m, _), (b, s, _, _) = figures["ours"], figures["scipy"]
    print(f"ours: {s / t:.1f} times as fast; they differ by {abs(a - b) / b:.1e} of the value")
    if (args.n, args.dimension) == (10_000, 2048) and (t > 30 or m > 2000):
        sys.exit("expected less than 30 s and 2 GB")


if __name__ == "__main__":
    main()

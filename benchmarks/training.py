"""Our training loop against a bare hand-written one: images per second, as a ratio measured in one
run.

Both train the same network on the same batches in memory with the same fused Adam, alternately,
round after round; the figure is the median over the rounds of the ratio of their times. Each lives
in a process of its own, since our loop has the process keep its memory from step to step, which a
bare one in the same process would profit from. The bare loop does nothing but forward, backward and
step: no history, no look at the loss, no schedule, no checkpoint. Its spectral normalisation is
torch's own, which divides weights. On a machine with other work each pair of times still compares,
and the spread of their ratios is printed beside.

    python benchmarks/training.py [--rounds 9] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from vaelab import models, networks, training

CASES = {
    "mlp on 8×8": (lambda: networks.mlp((1, 8, 8), 16), (1, 8, 8), 128, 2560, 10),
    "small_conv on 28×28": (
        lambda: networks.small_conv(1, 28, 16),
        (1, 28, 28),
        100,
        2000,
        5,
    ),
    "infogan on 28×28": (lambda: networks.infogan(1, 28, 64), (1, 28, 28), 100, 2000, 1),
}


def bare(model, x, batch_size, epochs):
    """The loop one would write by hand."""
    model.train()
    for layer in model.modules():
        vars(layer).pop("forward", None)  # Back to the pass of the layer's class.
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    generator = torch.Generator(x.device).manual_seed(0)
    head, likelihood, d = model.posterior, model.likelihood, x[0].numel()
    softplus = head.scale == "softplus"
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator, device=x.device)
        for i in range(len(x) // batch_size):
            batch = x[order[i * batch_size : (i + 1) * batch_size]]
            mu, raw = head.parameters_of_q(model.encoder(batch)).chunk(2, -1)
            sigma = 1e-6 + torch.nn.functional.softplus(raw) if softplus else (0.5 * raw).exp()
            log_var = 2 * sigma.log() if softplus else raw
            z = mu + sigma * torch.randn(mu.shape, generator=generator, device=x.device)
            squares = (batch - model.decoder(z)).square().sum()
            log_gamma = likelihood.log_gamma
            nll = 0.5 * (
                squares / log_gamma.exp() / batch_size + d * (log_gamma + math.log(2 * math.pi))
            )
            kl = 0.5 * (mu.square() + sigma.square() - 1 - log_var).sum() / batch_size
            optimizer.zero_grad()
            (nll + kl).backward()
            optimizer.step()


def ours(model, x, batch_size, epochs):
    training.fit(model, x, epochs=epochs, batch_size=batch_size, device="cpu", progress=False)


def seconds(loop, case, epochs=None):
    build, shape, batch_size, n, usual = CASES[case]
    epochs = epochs or usual
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    with networks.seeded(0):
        model = models.vae(build())
    start = time.perf_counter()
    loop(model, x, batch_size, epochs)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = {}
    pools = {loop: ProcessPoolExecutor(1, get_context("spawn")) for loop in (bare, ours)}
    for name, (_, _, batch_size, n, epochs) in CASES.items():
        for loop, pool in pools.items():
            pool.submit(seconds, loop, name, 1).result()
        times = []
        for i in range(args.rounds):  # each goes first in every other round
            order = (bare, ours) if i % 2 else (ours, bare)
            taken = {loop: pools[loop].submit(seconds, loop, name).result() for loop in order}
            times.append((taken[bare], taken[ours]))
        images = n // batch_size * batch_size * epochs
        ratios = sorted(b / o for b, o in times)
        ratio = statistics.median(ratios)
        speed = round(images / statistics.median(o for _, o in times))
        spread = [round(ratios[i * (len(ratios) - 1) // 4], 3) for i in (1, 3)]
        results[name] = {"ratio": round(ratio, 3), "quartiles": spread, "images_per_second": speed}
        between = f"quartiles {spread[0]:.3f} and {spread[1]:.3f}"
        print(
            f"{name:20} ours / bare = {ratio:.3f} images per second ({between}; {speed} a second)"
        )
    if args.json:
        told = {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "rounds": args.rounds,
            **results,
        }
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

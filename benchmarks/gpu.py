"""Training on a GPU: what compilation, precision and several runs at once gain over the loop one
would write by hand.

InfoGAN networks at 28×28, batches of 100, random images, or real ones with --data-set. One table:
images per second, the ratio to the bare eager loop (forward, backward, step; float32), and what
must not change with the arithmetic: γ, the number of active dimensions and the mean cost of the
last epoch. Then N runs on the one GPU: in one pass, as `vaelab table --together N` trains them, and
side by side, by the processes of `vaelab table --jobs N`. The first epoch of every run is not
timed: compilation happens there.

    python benchmarks/gpu.py [--data-set mnist] [--images 60000] [--epochs 3] [--together 4 10]
    [--jobs 4 10]
                             [--json FILE]

On a machine without a GPU, `--device cpu --images 600 --epochs 2 --together 2 --jobs 2` shows that
everything runs.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import joblib
import torch
from training import bare

from vaelab import data, metrics, models, networks, training

BATCH = 100


def images_of(name, n):
    if name is None:
        return (
            torch.randint(0, 256, (n, 1, 28, 28), generator=torch.Generator().manual_seed(0)) / 255
        )
    return data.load_images(name).train[:n]


def new_model(seed):
    with networks.seeded(seed):
        return models.vae(networks.infogan(1, 28, 64, bn_momentum=0.05))


def synchronise(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def time_bare(x, device, epochs):
    model, x = new_model(0).to(device), x.to(device)
    bare(model, x, BATCH, 1)
    synchronise(device)
    start = time.perf_counter()
    bare(model, x, BATCH, epochs - 1)
    synchronise(device)
    return time.perf_counter() - start


class Clock:
    """A schedule that changes nothing and notes when the second epoch begins and when the last step
    does.
    """

    def __call__(self, epoch, epochs):
        if epoch >= 1 and not hasattr(self, "start"):
            self.start = time.perf_counter()
        return 1.0


def plan_of(clock, epochs, seed=0):
    return training.Plan(epochs=epochs, batch_size=BATCH, lr=1e-4, schedule=clock, seed=seed)


def session_of(device, precision, compile):
    return training.Session(device=device, precision=precision, compile=compile, progress=False)


def time_fit(x, device, epochs, seed, precision, compile):
    if device.type == "cpu":
        torch.set_num_threads(1)
    model, clock = new_model(seed), Clock()
    session = session_of(device, precision, compile)
    run = training.fit_plan(model, x, plan_of(clock, epochs, seed), session)
    end = time.perf_counter()
    q = model.codes(x[:1000])
    active, nats = metrics.active_dims(q.eigenvalues()), float(run.history["loss"][-1])
    return clock.start, end, {"gamma": model.gamma, "active": active, "nats": nats}


def time_together(x, device, epochs, n, precision, compile):
    models_, clock = [new_model(seed) for seed in range(n)], Clock()
    session = session_of(device, precision, compile)
    training.fit_together(models_, x, plan_of(clock, epochs), session, seeds=range(n))
    return time.perf_counter() - clock.start, [model.gamma for model in models_]


def line(name, speed, ratio, figures):
    shown = ""
    if figures:
        shown = (
            f"γ {figures['gamma']:.6f}  r̂ {figures['active']:4.0f}  {figures['nats']:10.2f} nats"
        )
    print(f"{name:34}{speed:12,.0f} images/s{ratio:8.2f} ×   {shown}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data-set")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=3, help="the first is not timed (default 3)")
    parser.add_argument(
        "--together", type=int, nargs="*", default=[4, 10], metavar="N", help="runs in one pass"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        nargs="*",
        default=[4, 10],
        metavar="N",
        help="runs in as many processes",
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.epochs < 2:
        parser.error("--epochs: expected at least 2, of which the first is not timed")
    device, x = torch.device(args.device), images_of(args.data_set, args.images)
    count = len(x) // BATCH * BATCH * (args.epochs - 1)
    where = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{where}, torch {torch.__version__}, {len(x)} images, {args.epochs - 1} timed epochs, "
        f"batches of {BATCH}"
    )
    base = count / time_bare(x, device, args.epochs)
    settings = {n: v for n, v in vars(args).items() if n != "json"}
    results = {"device": where, "torch": torch.__version__, "settings": settings}

    def note(name, speed, **figures):
        """Print a line, and write what there is: a run that is stopped keeps its figures."""
        results[name] = {"images_per_second": speed, "ratio": speed / base, **figures}
        line(name, speed, speed / base, figures if "active" in figures else None)
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + "\n")

    note("bare loop", base)
    kinds = [("float32", False), ("float32", True), ("tf32", True), ("bfloat16", True)]
    kinds = kinds if device.type == "cuda" else kinds[:1]
    for precision, compile in kinds:
        start, end, figures = time_fit(x, device, args.epochs, 0, precision, compile)
        note(f"{precision}{', compiled' if compile else ''}", count / (end - start), **figures)
    precision, compile = ("tf32", True) if device.type == "cuda" else ("float32", False)
    for n, compiled in [
        (n, c) for n in args.together for c in ([False, True] if compile else [False])
    ]:
        took, gammas = time_together(x, device, args.epochs, n, precision, compiled)
        name = f"{n} in one pass, {precision}{', compiled' if compiled else ''}"
        note(name, n * count / took, gamma=gammas)
    for jobs in args.jobs:
        tasks = (
            joblib.delayed(time_fit)(x, device, args.epochs, seed, precision, compile)
            for seed in range(jobs)
        )
        runs = joblib.Parallel(n_jobs=jobs)(tasks)
        together = max(end for _, end, _ in runs) - min(start for start, _, _ in runs)
        gammas = [figures["gamma"] for _, _, figures in runs]
        note(f"{jobs} processes, {precision}", jobs * count / together, gamma=gammas)


if __name__ == "__main__":
    main()

"""From a slider's event to the new PNG in the kernel: milliseconds, median and 95th percentile, for
28×28 models.

Each event is one assignment to a control, which returns when every picture that depends on it has
been encoded and sent. "first" is the median time to the first of them: the live image comes before
a strip. What the front end adds is not in it. The column "cpu" is the median time on the processor:
with one thread, what an idle machine would take.

    python benchmarks/widgets.py [--events 100] [--threads 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from vaelab import densities, models, networks, widgets

LIMIT_MEDIAN, LIMIT_P95 = 15.0, 40.0


def seeded_model(name):
    with networks.seeded(0):
        if name == "mlp":
            nets = networks.mlp((1, 28, 28), 16, (400, 400))
        else:
            nets = networks.infogan(1, 28, 64)
        model = models.vae(nets, gamma=0.01)
    return model.eval()


def wave(k):
    """A number between −1 and 1 that differs from event to event."""
    return float(np.sin(0.37 * k))


def events(view):
    """(name, n ↦ control, trait and value of the n-th event): each is one event."""
    if isinstance(view, widgets.LatentTraversal):
        sliders = view.sliders
        yield "drag one slider", lambda k: (sliders[0], "value", 2 * wave(k))
        yield "another slider each time", lambda k: (sliders[k % 8], "value", 2 * wave(k))
        yield "pick an image", lambda k: (view.index, "value", (k + 1) % 100)
    elif isinstance(view, widgets.Interpolator):
        yield "position", lambda k: (view.position, "value", 0.5 + 0.5 * wave(k))
    elif isinstance(view, widgets.PosteriorComparison):
        row = view.rows["it"]
        yield "cursor slider", lambda k: (row.cursor_x, "value", wave(k))
        yield "pointer", lambda k: (row.canvas, "pointer", [60.0 + 1.5 * (k % 100), 100.0])
        yield "brush", lambda k: (row.range_x, "value", (-1.0, 0.5 + 0.4 * wave(k)))
    elif isinstance(view, widgets.GammaPath):
        yield "step", lambda k: (view.step, "value", (k + 1) % 3)
    else:
        yield "t", lambda k: (view.t, "value", 10 ** (2 + 1.9 * wave(k)))


def measure(view, event, n):
    for k in range(5):
        setattr(*event(k))
    times, busy, drawn, first = [], [], [], []
    if isinstance(view, widgets.LatentTraversal | widgets.Interpolator):
        view.image.observe(lambda _: drawn.append(time.perf_counter()), "value")
    for k in range(5, n + 5):
        drawn.clear()
        control, trait, value = event(k)
        start, used = time.perf_counter(), time.process_time()
        setattr(control, trait, value)
        times.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - used))
        first.append(1e3 * (drawn[0] - start) if drawn else times[-1])
        if view.error is not None:
            raise view.error
    return {
        "first": statistics.median(first),
        "median": statistics.median(times),
        "p95": float(np.quantile(times, 0.95)),
        "cpu": statistics.median(busy),
    }


def cases():
    """(name of the model, what makes the view)."""
    x = torch.rand(100, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for name in ("mlp", "infogan"):
        model = seeded_model(name)
        second = densities.SecondStage((64, 64), epochs=1).fit(model, x)
        labels = torch.arange(1000) % 10
        run = [(gamma, model) for gamma in (0.1, 0.03, 0.01)]
        yield name, functools.partial(widgets.LatentTraversal, model, x)
        yield f"{name}, u", functools.partial(traversal_in_u, model, x, second)
        yield name, functools.partial(widgets.Interpolator, model, x, second)
        entries = {"it": (model, second)}
        many = x.repeat(10, 1, 1, 1)
        yield name, functools.partial(widgets.PosteriorComparison, entries, many, labels)
        yield name, functools.partial(widgets.GammaPath, run, x, n_points=1)
    yield "theory", widgets.TheoremOneView
    yield "theory", widgets.TheoremTwoView


def traversal_in_u(model, x, second):
    view = widgets.LatentTraversal(model, x, density=second)
    view.space.value = "u"
    return view


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main():
    args = parsed_arguments()
    torch.set_num_threads(args.threads)
    results = []
    print(f"milliseconds; wanted: median below {LIMIT_MEDIAN:g}, p95 below {LIMIT_P95:g}")
    print(f"{'view':22}{'model':14}{'event':26}{'first':>8}{'median':>8}{'p95':>8}{'cpu':>8}")
    for name, make in cases():
        view = make()
        kind = type(view).__name__
        for what, event in events(view):
            times = measure(view, event, args.events)
            fast = times["median"] < LIMIT_MEDIAN and times["p95"] < LIMIT_P95
            columns = "".join(f"{value:8.1f}" for value in times.values())
            note = "" if fast else "   slower than wanted"
            print(f"{kind:22}{name:14}{what:26}{columns}{note}")
            results.append({"view": kind, "model": name, "event": what, **times})
        view.close()
        gc.collect()
    if args.json:
        settings = {"torch": torch.__version__, "threads": args.threads, "events": args.events}
        record = {**settings, "milliseconds": results}
        args.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()

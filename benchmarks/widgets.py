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
import gc
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from vaelab import densities, models, networks, widgets

LIMIT_MEDIAN, LIMIT_P95 = 15.0, 40.0


def build(name):
    with networks.seeded(0):
        nets = (
            networks.mlp((1, 28, 28), 16, (400, 400))
            if name == "mlp"
            else networks.infogan(1, 28, 64)
        )
        model = models.vae(nets, gamma=0.01)
    return model.eval()


def events(view, name):
    """(what, n ↦ the n-th event): each is one event."""
    if isinstance(view, widgets.LatentTraversal):
        yield "drag one slider", lambda k: setattr(view.sliders[0], "value", 2 * np.sin(0.37 * k))
        yield (
            "another slider each time",
            lambda k: setattr(view.sliders[k % 8], "value", 2 * np.sin(0.37 * k)),
        )
        yield "pick an image", lambda k: setattr(view.index, "value", (k + 1) % 100)
    elif isinstance(view, widgets.Interpolator):
        yield "position", lambda k: setattr(view.position, "value", 0.5 + 0.5 * np.sin(0.37 * k))
    elif isinstance(view, widgets.PosteriorComparison):
        row = view.rows["it"]
        yield "cursor slider", lambda k: setattr(row.cursor_x, "value", np.sin(0.37 * k))
        yield "pointer", lambda k: setattr(row.canvas, "pointer", [60.0 + 1.5 * (k % 100), 100.0])
        yield "brush", lambda k: setattr(row.range_x, "value", (-1.0, 0.5 + 0.4 * np.sin(0.37 * k)))
    elif isinstance(view, widgets.GammaPath):
        yield "step", lambda k: setattr(view.step, "value", (k + 1) % 3)
    else:
        yield "t", lambda k: setattr(view.t, "value", 10 ** (2 + 1.9 * np.sin(0.37 * k)))


def measure(view, event, n):
    for k in range(5):
        event(k)
    times, busy, drawn, first = [], [], [], []
    if isinstance(view, widgets.LatentTraversal | widgets.Interpolator):
        view.image.observe(lambda _: drawn.append(time.perf_counter()), "value")
    for k in range(5, n + 5):
        drawn.clear()
        start, used = time.perf_counter(), time.process_time()
        event(k)
        times.append(1e3 * (time.perf_counter() - start))
        busy.append(1e3 * (time.process_time() - used))
        first.append(1e3 * (drawn[0] - start) if drawn else times[-1])
    return {
        "first": statistics.median(first),
        "median": statistics.median(times),
        "p95": float(np.quantile(times, 0.95)),
        "cpu": statistics.median(busy),
    }


def cases():
    x = torch.rand(100, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for name in ("mlp", "infogan"):
        model = build(name)
        second = densities.SecondStage((64, 64), epochs=1, device="cpu").fit(model, x)
        yield name, lambda m=model: widgets.LatentTraversal(m, x)
        yield f"{name}, u", lambda m=model, s=second: in_u(widgets.LatentTraversal(m, x, density=s))
        yield name, lambda m=model, s=second: widgets.Interpolator(m, x, s)
        yield (
            name,
            lambda m=model, s=second: widgets.PosteriorComparison(
                {"it": (m, s)}, x.repeat(10, 1, 1, 1), torch.arange(1000) % 10
            ),
        )
        yield (
            name,
            lambda m=model: widgets.GammaPath([(0.1, m), (0.03, m), (0.01, m)], x, n_points=1),
        )
    yield "theory", widgets.TheoremOneView
    yield "theory", widgets.TheoremTwoView


def in_u(view):
    view.space.value = "u"
    return view


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    results = []
    print(f"milliseconds; wanted: median below {LIMIT_MEDIAN:g}, p95 below {LIMIT_P95:g}")
    print(f"{'view':22}{'model':14}{'event':26}{'first':>8}{'median':>8}{'p95':>8}{'cpu':>8}")
    for name, make in cases():
        view = make()
        for what, event in events(view, name):
            took = measure(view, event, args.events)
            within = (
                ""
                if took["median"] < LIMIT_MEDIAN and took["p95"] < LIMIT_P95
                else "   slower than wanted"
            )
            columns = "".join(f"{value:8.1f}" for value in took.values())
            print(f"{type(view).__name__:22}{name:14}{what:26}{columns}{within}")
            results.append({"view": type(view).__name__, "model": name, "event": what, **took})
        view.close()
        gc.collect()
    if args.json:
        told = {
            "torch": torch.__version__,
            "threads": args.threads,
            "events": args.events,
            "milliseconds": results,
        }
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

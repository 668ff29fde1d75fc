"""Train and diagnose a two-stage VAE on pictures of clothes, in one to three minutes.

One VAE has γ fixed at 1, one learns it, and a second VAE is trained on the latents of the latter,
all on six thousand pictures of Fashion-MNIST that come with the package. Ends in a table and one
figure.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vaelab._signals import importing
from vaelab.cli.options import Parser, add_seed
from vaelab.cli.words import LETTERS

EPILOG = LETTERS


def add_arguments(p: Parser) -> None:
    """Add the command's options."""
    add_seed(p, "weights, batches, noise and samples")
    p.option("--out", "where the figure goes (default demo/)", Path, "FOLDER", Path("demo"))
    p.option("--json", "write every figure of the table, for a program to read", Path, "FILE")


def run(args: argparse.Namespace) -> int:
    """Train, diagnose, print a table, draw a figure."""
    with importing():
        import torch

        from vaelab import experiments, plots
        from vaelab._files import check_writable, write_atomic

    torch.set_num_threads(1)  # Faster than two for networks of this size.
    check_writable(args.out)
    if args.json:
        check_writable(args.json.parent)
    report, pictures = experiments.demo(args.seed, progress=True)
    print("\n" + as_text(report))
    plots.use_style()
    figure = plots.report_figure(plots.report_curves(report), pictures)
    figure.savefig(args.out / "two-stage-vae.png")
    if args.json:
        write_atomic(args.json, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"\nfigure  {args.out / 'two-stage-vae.png'}    {report['seconds']:.0f} s")
    return 0


def as_text(report: dict[str, Any]) -> str:
    """The demonstration's figures as text."""
    fixed, frechet = report["fixed"], report["frechet"]
    learned = (report["gamma"], report["active_dims"], report["reconstruction_error"])
    measured = ("gamma", "active_dims", "reconstruction_error", "mmd2", "frechet")
    rows = [
        ("γ fixed at 1", *(fixed[name] for name in measured)),
        ("γ learned", *learned, report["mmd2"]["stage 1"], frechet["N(0, I)"]),
        ("two stages", *learned, report["mmd2"]["stage 2"], frechet["second stage"]),
        ("γ learned + mixture of 10", *learned, None, frechet["mixture of 10"]),
    ]
    lines = [f"{'':27}{'γ':>9}{'r̂':>6}{'error':>10}{'MMD²':>10}{'Fréchet':>10}"]
    for name, gamma, dims, error, mmd2, distance in rows:
        printed = "–" if mmd2 is None else f"{mmd2:.4f}"
        lines.append(f"{name:27}{gamma:9.4f}{dims:5.0f}{error:10.4f}{printed:>10}{distance:10.1f}")
    return "\n".join([*lines, "", *_notes(report)])


def _notes(report: dict[str, Any]) -> list[str]:
    curve, frechet = report["gamma_curves"]["γ learned"], report["frechet"]
    epochs = [min(int(len(curve) * share), len(curve) - 1) for share in (0, 0.1, 0.25, 0.5, 1)]
    path = " → ".join(f"{curve[epoch]:.3g}" for epoch in epochs)
    beats = "beats" if frechet["mixture of 10"] < frechet["second stage"] else "does not beat"
    kappa = report["settings"]["latent_dim"]
    return [
        f"κ = {kappa}, the dimension of the latents.",
        f"γ over training (first epoch, 10, 25, 50, 100 %): {path}; of the second stage: "
        f"{report['second_gamma']:.2f}.",
        "γ: variance of the decoder's noise.  r̂: those of the κ directions that carry the "
        "image, with an eigenvalue",
        "λ < ½ of the encoder's covariance.  Of the rest lower is better.  error: mean squared, "
        "per pixel, test images.",
        "MMD²: latents to the N(0, I) that samples come from, of stage 1, and of stage 2 in the "
        "row of two stages;",
        "a mixture is fitted to the latents, which need not be N(0, I). A model that ignores its "
        "images has a small one too.",
        f"Fréchet: distance of samples to test images in the features of a {report['features']};",
        f"the floor, training images, is {frechet['floor']:.1f}. It is not an FID.",
        "At γ = 1 weaker directions drown in the noise: a linear decoder keeps those along which "
        f"images vary by more than 2 γ, and PCA finds {report['fixed']['linear_dims']} of them.",
        f"A Gaussian mixture fitted to the same latents {beats} the second stage: here ten",
        "components are plenty. The second stage is a VAE, so the theory speaks of it; notebook "
        "06 shows both.",
    ]

"""The command line: demo, train, sample, table, claims, notebooks."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.checkpoints import Saved
    from vaelab.data import Images
    from vaelab.experiments import Settings

DESCRIPTION = "Variational autoencoders, taught in notebooks that check themselves."


def parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    top = argparse.ArgumentParser("vaelab", description=DESCRIPTION)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(
        commands.add_parser(
            "demo", help="train and diagnose a two-stage VAE on digits, in one to three minutes"
        )
    )
    _add_train(
        commands.add_parser(
            "train", help="train a two-stage VAE on a data set or a folder of pictures"
        )
    )
    _add_sample(commands.add_parser("sample", help="draw images from a trained model"))
    _add_export_page(
        commands.add_parser(
            "export-page", help="put a trained decoder into one HTML file, for a browser"
        )
    )
    _add_table(
        commands.add_parser(
            "table", help="a table of a paper: measured here beside what was published"
        )
    )
    _add_claims(
        commands.add_parser("claims", help="the ledger: what the papers claim, and what was found")
    )
    _add_notebooks(
        commands.add_parser("notebooks", help="build the course's notebooks from their sources")
    )
    for name, command in commands.choices.items():
        command.description = DESCRIPTIONS[name]
        command.set_defaults(run=COMMANDS[name])
    return top


def _add_demo(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--seed", type=int, default=0, help="of weights, batches, noise and samples (default 0)"
    )
    out = Path("demo")
    p.add_argument(
        "--out",
        type=Path,
        default=out,
        metavar="FOLDER",
        help="where the figure goes (default demo/)",
    )
    p.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every figure of the table, for a program to read",
    )


def _add_train(p: argparse.ArgumentParser) -> None:
    add = p.add_argument
    add(
        "data_set",
        metavar="DATA",
        help="digits, mnist, fashion, cifar10, celeba, or the path of a folder of pictures",
    )
    add(
        "--data",
        type=Path,
        metavar="ROOT",
        help="where data sets lie (default: $VAELAB_DATA, else data/)",
    )
    add(
        "--side",
        type=int,
        metavar="N",
        help="crop a folder's pictures to squares and resize to N pixels",
    )
    add(
        "--network", help="mlp, infogan, resnet or wae (default: mlp for digits, infogan otherwise)"
    )
    add(
        "--latent-dim",
        type=int,
        metavar="K",
        help="dimension of the code (default 24 for mlp, 64 otherwise)",
    )
    add(
        "--gamma",
        metavar="G",
        help="decoder variance: learned, optimal or a number > 0 (default learned)",
    )
    add(
        "--epochs",
        type=int,
        metavar="N",
        help="passes of stage 1 (default 200 for mlp, 400 otherwise)",
    )
    add(
        "--second-epochs",
        type=int,
        metavar="N",
        help="passes of stage 2 (default 500 for mlp, 800 otherwise)",
    )
    add(
        "--batch-size",
        type=int,
        metavar="N",
        help="images a step (default 128 for mlp, 100 otherwise)",
    )
    add(
        "--lr",
        type=float,
        help="Adam's step size, for both stages (default 0.002 for mlp, 0.0001 otherwise)",
    )
    add("--bn-momentum", type=float, metavar="M", help="of batch normalisation (default 0.001)")
    add("--seed", type=int, default=0, help="of weights, batches, noise and samples (default 0)")
    add("--device", default="auto", help="auto, cpu, cuda, mps, ... (default auto)")
    add(
        "--checkpoint-every",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds between saves (default 60)",
    )
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where the model goes (default runs/DATA-NETWORK-seedN)",
    )


def _add_sample(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", type=Path, metavar="FOLDER", help="a folder that `vaelab train` wrote")
    p.add_argument("-n", type=int, default=64, metavar="N", help="how many images (default 64)")
    p.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    p.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="a .png (one grid) or a .npy (default FOLDER/samples.png)",
    )


def _add_export_page(p: argparse.ArgumentParser) -> None:
    p.add_argument("folder", type=Path, metavar="FOLDER", help="a folder that `vaelab train` wrote")
    p.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the page (default FOLDER/page.html; replaced if there)",
    )
    which = p.add_mutually_exclusive_group()
    which.add_argument(
        "--images",
        metavar="DATA",
        help="data set, or path of the folder of pictures, that codes and λ "
        "are read off (default: the data set the model was trained on)",
    )
    which.add_argument(
        "--without-images", action="store_true", help="leave out λ, codes and images to start from"
    )
    p.add_argument(
        "--data",
        type=Path,
        metavar="ROOT",
        help="where data sets lie (default: $VAELAB_DATA, else data/)",
    )
    p.add_argument("--title", help="at the top of the page")
    p.add_argument(
        "--seed", type=int, default=0, help="of the draws, those in the page too (default 0)"
    )


def _add_table(p: argparse.ArgumentParser) -> None:
    add, many = p.add_argument, {"action": "append", "default": [], "metavar": "NAME"}
    add("name", metavar="TABLE", help="dai-wipf-1, dai-wipf-2 or dai-wipf-3")
    add(
        "--data-set",
        **many,
        help="only this column, such as mnist; may be given again (default: the profile's)",
    )
    add(
        "--model",
        **many,
        help="only this row, such as two-stage; may be given again (default: all)",
    )
    add("--profile", default="quick", help="quick (a CPU), full (a GPU) or paper (default quick)")
    add(
        "--trials",
        type=int,
        metavar="N",
        help="how often, with seeds 0 to N − 1 (default: the profile's)",
    )
    add(
        "--protocol",
        default="clean",
        help="clean, or dai-wipf: as the authors' code measures (default clean)",
    )
    add(
        "--features",
        help="classifier or inception, for the Fréchet distance (default: the profile's)",
    )
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="Inception's weights (default: the data root, or downloaded)",
    )
    add(
        "--data",
        type=Path,
        metavar="ROOT",
        help="where data sets lie (default: $VAELAB_DATA, else data/)",
    )
    add("--device", default="auto", help="auto, cpu, cuda, mps, ... (default auto)")
    add("--precision", default="float32", help="float32, tf32 or bfloat16 (default float32)")
    add(
        "--compile",
        action="store_true",
        help="compile the networks, without --together as CUDA graphs: slow to start",
    )
    add(
        "--together",
        type=int,
        default=1,
        metavar="N",
        help="how many trials of a cell to train in one pass: for a GPU (default 1)",
    )
    add(
        "--jobs",
        type=int,
        metavar="N",
        help="how many cells side by side, on a GPU too (default 1; −1 for all cores)",
    )
    add(
        "--dask",
        metavar="ADDRESS",
        help="run the cells on this Dask cluster, such as tcp://host:8786",
    )
    add(
        "--checkpoint-every",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds between saves (default 60)",
    )
    add(
        "--out",
        type=Path,
        default=Path("data/results"),
        metavar="FOLDER",
        help="results (default data/results/)",
    )
    add(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="FOLDER",
        help="checkpoints (default runs/)",
    )
    add("--markdown", type=Path, metavar="FILE", help="write the table as Markdown too")
    add("--figure", type=Path, metavar="FILE", help="draw the table as a PNG too")
    add("--show", action="store_true", help="run nothing; print what has been measured")


def _add_claims(p: argparse.ArgumentParser) -> None:
    p.add_argument("ids", nargs="*", metavar="ID", help="only these, such as D15 (default: all)")
    p.add_argument("--json", action="store_true", help="print JSON")


def _add_notebooks(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "action", choices=["build"], help="make the student copies and the solutions, executed"
    )
    p.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="only these, such as 01 (default: all that changed)",
    )
    p.add_argument(
        "--check",
        action="store_true",
        help="build nothing; fail where a notebook is not its source's",
    )
    p.add_argument("--force", action="store_true", help="build also what did not change")


def demo(args: argparse.Namespace) -> int:
    """Train, diagnose, print a table, draw a figure."""
    import torch

    from vaelab import experiments, plots
    from vaelab._files import check_writable, write_atomic

    torch.set_num_threads(1)  # faster than two for networks of this size
    check_writable(args.out)
    if args.json:
        check_writable(args.json.parent)
    report, pictures = experiments.demo(args.seed, progress=sys.stderr.isatty())
    print("\n" + demo_table(report))
    plots.use_style()
    figure = plots.report_figure(plots.report_curves(report), pictures)
    figure.savefig(args.out / "two-stage-vae.png")
    if args.json:
        write_atomic(args.json, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    print(f"\nfigure  {args.out / 'two-stage-vae.png'}    {report['seconds']:.0f} s")
    return 0


def demo_table(report: dict[str, Any]) -> str:
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
        told = "" if mmd2 is None else f"{mmd2:.4f}"
        lines.append(f"{name:27}{gamma:9.4f}{dims:5.0f}{error:10.4f}{told:>10}{distance:10.1f}")
    curve = report["gamma_curves"]["γ learned"]
    told = " → ".join(
        f"{curve[min(int(len(curve) * share), len(curve) - 1)]:.3g}"
        for share in (0, 0.1, 0.25, 0.5, 1)
    )
    notes = [
        (
            f"γ over training (first epoch, 10, 25, 50, 100 %): {told}; of the second stage: "
            f"{report['second_gamma']:.2f}."
        ),
        (
            "r̂: latent directions with λ < ½.  error: mean squared, per pixel, test images.  "
            "MMD²: "
            "codes to N(0, I),"
        ),
        (
            "of stage 1, and of stage 2 in the row of two stages.  Fréchet: distance of samples to "
            "test images in the"
        ),
        f"features of a {report['features']};",
        f"training images stand at {frechet['floor']:.1f}. It is not an FID.",
        (
            "No eigenvalue of the digits' covariance reaches 1 (the largest is 0.7), so at γ = "
            "1 all "
            "directions collapse."
        ),
        (
            f"A Gaussian mixture fitted to the same codes {_versus(frechet)} the second stage: on "
            "digits ten components"
        ),
        (
            "are plenty. The second stage is a VAE, so the theory speaks of it; notebook 06 "
            "shows both."
        ),
    ]
    return "\n".join([*lines, "", *notes])


def _versus(frechet: dict[str, float]) -> str:
    return "beats" if frechet["mixture of 10"] < frechet["second stage"] else "does not beat"


def train(args: argparse.Namespace) -> int:
    """Train both stages, measure, save; under `torchrun` all processes train, and the first does
    the rest.
    """
    from vaelab._processes import process_group

    with process_group(args.device) as rank:
        return _train(args, rank)


def _train(args: argparse.Namespace, rank: int) -> int:
    from vaelab import checkpoints, experiments
    from vaelab._inputs import check_choice, pick_device
    from vaelab.data import load_images

    pick_device(args.device)
    if args.network is not None:
        check_choice("network", args.network, ("mlp", "infogan", "resnet", "wae"))
    images = load_images(args.data_set, root=args.data, side=args.side)
    if len(images.test) < 2:
        found = f"{len(images.train)} to train on and {len(images.test)} to test on"
        raise ValueError(
            f"{args.data_set}: too few pictures ({found}); expected at least 2 to test on, add more"
        )
    settings = settings_for(images, args)
    folder = args.out or Path("runs") / f"{images.name}-{settings.network}-seed{settings.seed}"
    if (folder / "run.json").exists():
        return _already(folder, settings, images.fingerprint())
    if rank == 0:
        say_cost(images, experiments.build(images.shape, settings), settings, folder)
    model, second, _ = experiments.train(
        images,
        settings,
        folder,
        args.device,
        sys.stderr.isatty(),
        checkpoint_every=args.checkpoint_every,
    )
    if rank:
        return 0
    model.cpu(), second.vae.cpu()
    results = experiments.measure(images, model, second, seed=settings.seed)
    told = {
        "name": images.name,
        "fingerprint": images.fingerprint(),
        "n": len(images.train),
        "source": images.source,
    }
    checkpoints.save(
        folder, model, second, {"settings": asdict(settings), "data": told, "results": results}
    )
    _clear_states(folder)
    print(train_table(results) + f"\nsaved  {folder}    next: vaelab sample {folder}")
    return 0


def settings_for(images: Images, args: argparse.Namespace) -> Settings:
    """The defaults for these images, with what the command line says put over them."""
    from vaelab import experiments

    network = args.network or ("mlp" if images.name == "digits" else "infogan")
    base = experiments.DIGITS if network == "mlp" else experiments.Settings()
    gamma = (
        args.gamma if args.gamma in (None, "learned", "optimal") else _number("--gamma", args.gamma)
    )
    said = {
        "network": network,
        "latent_dim": args.latent_dim,
        "gamma": gamma,
        "epochs": args.epochs,
        "second_epochs": args.second_epochs,
        "batch_size": args.batch_size,
        "lr": args.lr,
        "second_lr": args.lr,
        "seed": args.seed,
        "bn_momentum": args.bn_momentum,
    }
    return replace(base, **{k: v for k, v in said.items() if v is not None})


def _number(name: str, text: str) -> float:
    from vaelab._inputs import check_positive

    try:
        value = float(text)
    except ValueError:
        raise ValueError(
            f"{name}: expected learned, optimal or a number > 0, got {text!r}"
        ) from None
    check_positive(name, value)
    return value


def _already(folder: Path, settings: Settings, fingerprint: str) -> int:
    from vaelab import checkpoints

    run = checkpoints.load(folder).run
    if (
        run.get("settings") != json.loads(json.dumps(asdict(settings)))
        or run["data"]["fingerprint"] != fingerprint
    ):
        raise FileExistsError(
            f"{folder} holds a run of other settings or other data; give another --out, or "
            "delete it"
        )
    _clear_states(folder)
    print(f"{folder} holds this very run, finished; nothing to do")
    return 0


def _clear_states(folder: Path) -> None:
    for state in folder.glob("*.state.safetensors"):
        state.unlink()


def say_cost(images: Images, model: Any, settings: Settings, folder: Path) -> None:
    """Print what the run will take before it starts."""
    count = sum(p.numel() for p in model.parameters())
    steps = len(images.train) // min(settings.batch_size, len(images.train))
    told = f"κ = {settings.latent_dim}, {count / 1e6:.2f} million parameters, seed {settings.seed}"
    print(f"{images!r}\n{settings.network}, {told}")
    print(
        f"stage 1: {settings.epochs} epochs × {steps} steps; stage 2: {settings.second_epochs} "
        "epochs; "
        f"up to {24 * count / 1e6:.0f} MB of disk while training; the bar shows the time left"
    )
    if settings.network != "mlp" and settings.epochs * steps * settings.bn_momentum < 5:
        better = min(5 / (settings.epochs * steps), 0.1)
        print(
            f"few steps for --bn-momentum {settings.bn_momentum:g}: its averages lag "
            "behind; try "
            f"{better:.2g}"
        )
    print(f"{folder}: stop it at any time; the same command goes on from the last checkpoint")


def train_table(results: dict[str, Any]) -> str:
    """A training run's figures as text."""
    lines = [
        f"γ {results['gamma']:.5f}    second stage's γ {results['second_gamma']:.3f}    "
        f"r̂ {results['active_dims']:.0f}    reconstruction error "
        f"{results['reconstruction_error']:.5f}",
        (
            f"MMD² to N(0, I)    stage 1 {results['mmd2']['stage 1']:.5f}    stage 2 "
            f"{results['mmd2']['stage 2']:.5f}"
        ),
        f"Fréchet distance of {results['n_samples']} samples to the test images, in the "
        "features of "
        f"{results['features']}:",
    ]
    lines += [f"    {name:15}{value:10.2f}" for name, value in results["frechet"].items()]
    return "\n".join(lines)


def sample(args: argparse.Namespace) -> int:
    """Draw images and write them to a file."""
    import numpy as np

    from vaelab import checkpoints, plots
    from vaelab._files import write_atomic
    from vaelab._inputs import check_positive_int, check_seed

    check_positive_int("-n", args.n), check_seed(args.seed)
    out = args.out or args.folder / "samples.png"
    if out.suffix not in (".png", ".npy"):
        raise ValueError(f"--out: expected a file that ends in .png or .npy, got {out}")
    images = checkpoints.load(args.folder).sample(args.n, args.seed)
    if out.suffix == ".npy":
        np.save(content := io.BytesIO(), images.numpy())
        write_atomic(out, content.getvalue())
    else:
        write_atomic(out, plots.to_png(plots.image_grid(images), scale=2))
    print(f"{args.n} images of shape {tuple(images.shape[1:])}, seed {args.seed}    {out}")
    return 0


def export_page(args: argparse.Namespace) -> int:
    """Write a trained model as a page that runs in a browser."""
    from vaelab import checkpoints, page
    from vaelab._files import check_writable, write_atomic

    out = args.out or args.folder / "page.html"
    if out.is_dir():
        raise ValueError(
            f"--out: expected a file to write, got the folder {out}; try {out / 'page.html'}"
        )
    saved = checkpoints.load(args.folder)
    check_writable(out.parent)
    images = None if args.without_images else _images_of(saved, args)
    made = page.build(saved, images, args.title, args.seed)
    write_atomic(out, made.html.encode())
    print("\n".join(made.notes))
    if made.size > page.LARGE:
        print(
            f"large: {made.size / 1e6:.0f} MB; a phone may not open it. A smaller network "
            "makes a "
            "smaller page"
        )
    print(
        f"{made.size / 1e6:.2f} MB, opens in any browser, asks for nothing from anywhere    {out}"
    )
    return 0


def _images_of(saved: Saved, args: argparse.Namespace) -> Images:
    """The images that a saved model was trained on, or those that the command line names."""
    from vaelab.data import NAMES, load_images

    told = saved.run.get("data", {})
    name = args.images or told.get("name")
    ways = (
        "give --images (a data set or the folder of pictures), or --without-images for a page "
        "without λ and codes"
    )
    if args.images is None and name not in NAMES:
        found = (
            f"trained on {told['name']!r} ({told.get('source')})"
            if name
            else "its run.json names no data set"
        )
        raise ValueError(f"{args.folder}: {found}; {ways}")
    try:
        images = load_images(name, root=args.data, side=saved.model.image_shape[-1])
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}\nThe page reads λ and codes off images: {ways}"
        ) from error
    if told.get("fingerprint") not in (None, images.fingerprint()):
        print(
            f"note: {name} is not what the model was trained on; λ and codes are read off "
            "it all "
            "the same"
        )
    return images


def table(args: argparse.Namespace) -> int:
    """Run what is missing of a table, print it; status 1 where cells failed."""
    from vaelab import experiments, plots
    from vaelab._files import write_atomic
    from vaelab._inputs import check_choice
    from vaelab.training import PRECISIONS

    (
        check_choice("table", args.name, experiments.TABLES),
        check_choice("--profile", args.profile, experiments.PROFILES),
    )
    chosen, profile = experiments.TABLES[args.name], experiments.PROFILES[args.profile]
    check_choice("--protocol", args.protocol, experiments.PROTOCOLS)
    check_choice("--precision", args.precision, PRECISIONS)
    if args.features is not None:
        check_choice("--features", args.features, ("classifier", "inception"))
    if args.figure is not None and args.figure.suffix != ".png":
        raise ValueError(f"--figure: expected a file that ends in .png, got {args.figure}")
    cells = experiments.cells_of(
        chosen, profile, tuple(args.data_set), tuple(args.model), args.trials, args.protocol
    )
    place = experiments.Place(
        args.out,
        args.runs,
        args.data,
        args.device,
        args.features,
        args.weights,
        args.checkpoint_every,
        progress=sys.stderr.isatty() and args.jobs in (None, 1) and not args.dask,
        precision=args.precision,
        compile=args.compile,
        together=args.together,
    )
    if args.show:
        told = [experiments.read_cell(cell, place) for cell in cells]
        outcomes = [experiments.Outcome(cell, told=t) for cell, t in zip(cells, told, strict=True)]
    else:
        with _backend(args.dask):
            jobs = 1 if args.jobs is None and not args.dask else args.jobs
            outcomes = experiments.run_table(
                cells, place, jobs, lambda said: print(said, flush=True)
            )
    filled = experiments.fill(chosen, outcomes)
    print("\n" + experiments.as_text(filled))
    if args.markdown:
        args.markdown.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(args.markdown, (experiments.as_markdown(filled) + "\n").encode())
    if args.figure:
        plots.use_style()
        args.figure.parent.mkdir(parents=True, exist_ok=True)
        plots.table_figure(filled).savefig(drawn := io.BytesIO(), format="png")
        write_atomic(args.figure, drawn.getvalue())
    failed = experiments.failures(outcomes)
    if failed:
        print(
            f"\n{failed}\nnothing measured is lost: the same command goes on with what is missing",
            file=sys.stderr,
        )
    return 1 if failed else 0


@contextlib.contextmanager
def _backend(address: str | None) -> Iterator[None]:
    """Let joblib send cells to a Dask cluster, where one is named."""
    if address is None:
        yield
        return
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ValueError(
            f"--dask needs dask.distributed ({error}); pip install 'vaelab[cluster]'"
        ) from error
    from joblib import parallel_config

    with Client(address, timeout=30), parallel_config(backend="dask", n_jobs=-1):
        yield


def claims(args: argparse.Namespace) -> int:
    """Print the ledger."""
    from vaelab import claims

    print(claims.render(as_json=args.json, ids=args.ids))
    return 0


def notebooks(args: argparse.Namespace) -> int:
    """Build the notebooks, or check that they are their sources'."""
    from vaelab import notebooks

    problems = notebooks.build(names=args.names or None, check=args.check, force=args.force)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


COMMANDS = {
    "demo": demo,
    "train": train,
    "sample": sample,
    "export-page": export_page,
    "table": table,
    "claims": claims,
    "notebooks": notebooks,
}
DESCRIPTIONS = {
    "demo": "Train a VAE with γ fixed at 1, one with γ learned, and a second VAE on its codes, on "
    "scikit-learn's "
    "digits (no download). Ends in a table and one figure.",
    "train": "Train a two-stage VAE and save it as a folder with model.safetensors and run.json. "
    "A run that was "
    "stopped goes on from its last checkpoint when the same command is given again.",
    "sample": (
        "Draw images from a trained model: codes from its second stage, decoded without noise."
    ),
    "export-page": "Put a trained decoder into one HTML file that runs in any browser, phones "
    "included, with nothing "
    "installed and nothing sent anywhere: sliders along the directions of the code ordered by λ, "
    "draws from every "
    "density, the plane of codes.",
    "table": "Train and measure the cells of a table that have not run yet (a data set, a model "
    "and a trial each), and "
    "print what was measured beside what was published. Stop it at any time: the same command "
    "goes on.",
    "claims": (
        "Print every claim of the papers that a computer can check, with what was found and where."
    ),
    "notebooks": (
        "Build notebooks/*.ipynb and notebooks/solutions/*.ipynb from notebooks/src/*.py, executed."
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors that a user can mend are one line on standard error and exit status
    2.
    """
    args = parser().parse_args(argv)

    from vaelab.training import (
        OutOfMemory,
        TrainingDiverged,
    )  # after --help, which should not wait for torch

    try:
        status = args.run(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as interrupt:
        print("\n".join(["", *getattr(interrupt, "__notes__", ["stopped"])]), file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, OutOfMemory, TrainingDiverged) as error:
        own_words = isinstance(error, OSError) and error.strerror and not error.filename
        print(f"vaelab: error: {error.strerror if own_words else error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())

"""Train a two-stage VAE on a data set or a folder of pictures.

It is saved as a folder with model.safetensors and run.json. A run that was stopped goes on from its
last checkpoint when the same command is given again.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._imports import importing
from vaelab.cli.memory import check_memory
from vaelab.cli.options import Parser, add_data, add_seed, add_training, given
from vaelab.cli.words import LETTERS

if TYPE_CHECKING:
    from vaelab.data import Images
    from vaelab.experiments import Settings

EPILOG = LETTERS


def add_arguments(p: Parser) -> None:
    """Add the command's options. One named like a field of `Settings` sets that field."""
    p.option(
        "data_set",
        "digits, mnist, fashion, cifar10, celeba, or the path of a folder of pictures",
        metavar="DATA",
    )
    add_data(p)
    p.option("--side", "crop a folder's pictures to squares and resize to N pixels", int, "N")
    p.option(
        "--network", "mlp, infogan, resnet or wae (default: mlp for digits, infogan otherwise)"
    )
    p.option(
        "--latent-dim", "κ, the dimension of the code (default 24 for mlp, 64 otherwise)", int, "K"
    )
    p.option(
        "--gamma",
        "decoder variance: learned, optimal or a number > 0 (default learned)",
        _gamma,
        "G",
    )
    p.option("--model", "the first stage, of vaelab.models: vae, ce-vae, wae-mmd, … (default vae)")
    p.option("--epochs", "passes of stage 1 (default 200 for mlp, 400 otherwise)", int, "N")
    p.option("--second-epochs", "passes of stage 2 (default 500 for mlp, 800 otherwise)", int, "N")
    p.option("--batch-size", "images a step (default 128 for mlp, 100 otherwise)", int, "N")
    p.option(
        "--lr", "Adam's step size, for both stages (default 0.002 for mlp, 0.0001 otherwise)", float
    )
    p.option("--bn-momentum", "of batch normalisation (default 0.001)", float, "M")
    add_seed(p, "weights, batches, noise and samples")
    add_training(p)
    p.option("--out", "where the model goes (default runs/DATA-NETWORK-seedN)", Path, "FOLDER")


def _gamma(text: str) -> float | str:
    with contextlib.suppress(ValueError):
        return float(text)
    return text


def run(args: argparse.Namespace) -> int:
    """Train both stages, measure, save; under `torchrun` all processes train, and the first does
    the rest.
    """
    with importing():
        from vaelab import experiments  # noqa: F401  It is heavy, and `_train` needs it.
        from vaelab._processes import process_group

    with process_group(args.device) as rank:
        return _train(args, rank)


def _train(args: argparse.Namespace, rank: int) -> int:
    from vaelab import checkpoints, experiments
    from vaelab._inputs import pick_device
    from vaelab.training import Session

    pick_device(args.device)
    settings = settings_for(args)
    images = _images(args, settings)
    folder = args.out or Path("runs") / f"{images.name}-{settings.network}-seed{settings.seed}"
    if (folder / "run.json").exists():
        return _finished(folder, settings, images.fingerprint())
    count = _parameters(images.shape, settings)
    if rank == 0:
        _print_cost(images, count, settings, folder)
    session = Session(**given(Session, vars(args)), progress=sys.stderr.isatty())
    model, second, _ = experiments.train(images, settings, folder, session)
    if rank:
        return 0
    model.cpu()
    second.vae.cpu()
    results = experiments.measure(images, model, second, seed=settings.seed)
    data = {
        "name": images.name,
        "fingerprint": images.fingerprint(),
        "n": len(images.train_pixels),
        "source": images.source,
    }
    record = {"settings": asdict(settings), "data": data, "results": results}
    checkpoints.save(folder, model, second, record)
    _clear_states(folder)
    print(as_text(results) + f"\nsaved  {folder}    next: vaelab sample {folder}")
    return 0


def settings_for(args: argparse.Namespace) -> Settings:
    """The defaults for a data set and its network, with what the command line gives put over
    them.
    """
    from vaelab import experiments

    network = args.network or ("mlp" if args.data_set == "digits" else "infogan")
    base = experiments.DIGITS if network == "mlp" else experiments.Settings()
    options = {**vars(args), "network": network, "second_lr": args.lr}
    if args.gamma is not None:
        options["arguments"] = {"gamma": args.gamma}
    return replace(base, **given(experiments.Settings, options))


def _images(args: argparse.Namespace, settings: Settings) -> Images:
    from vaelab.data import load_images

    if args.side is not None and args.side > 0:
        check_memory(f"--side {args.side}", 8 * args.side**2)
        _parameters((1, args.side, args.side), settings)
    images = load_images(args.data_set, root=args.data, side=args.side)
    if len(images.test_pixels) < 2:
        count = f"{len(images.train_pixels)} to train on and {len(images.test_pixels)} to test on"
        raise ValueError(
            f"{args.data_set}: too few pictures ({count}); expected at least 2 to test on, add more"
        )
    return images


def _parameters(shape: tuple[int, ...], settings: Settings) -> int:
    """How many parameters the first stage will have, if what it takes fits into memory.

    Counted are ten covariances of the code, each with its inverse and a root, as the mixture that
    is measured needs them, and the parameters with their gradients and Adam's two moments.
    """
    import torch

    from vaelab import experiments

    kappa = settings.latent_dim
    check_memory(f"--latent-dim {kappa}", 10 * 3 * 8 * kappa**2)
    with torch.device("meta"):
        model = experiments.build(shape, settings)
    count = sum(p.numel() for p in model.parameters())
    size = f"a network of {count / 1e6:,.0f} million parameters"
    check_memory(size, 4 * 4 * count, "give a smaller --latent-dim, --side or --network")
    return count


def _finished(folder: Path, settings: Settings, fingerprint: str) -> int:
    from vaelab import checkpoints, experiments

    record = checkpoints.load(folder).run
    if (
        experiments.settings_from(record["settings"]) != settings
        or record["data"]["fingerprint"] != fingerprint
    ):
        raise FileExistsError(
            f"{folder} holds a run of other settings or other data; give another --out, or delete "
            "it"
        )
    _clear_states(folder)
    print(f"{folder} holds this very run, finished; nothing to do")
    return 0


def _clear_states(folder: Path) -> None:
    for state in folder.glob("*.state.safetensors"):
        state.unlink()


def _print_cost(images: Images, count: int, settings: Settings, folder: Path) -> None:
    """Print what the run will take before it starts."""
    steps = len(images.train_pixels) // min(settings.batch_size, len(images.train_pixels))
    print(
        f"{images!r}\n"
        f"{settings.network}, κ = {settings.latent_dim}, {count / 1e6:.2f} million parameters, "
        f"seed {settings.seed}"
    )
    print(
        f"stage 1: {settings.epochs} epochs × {steps} steps; stage 2: {settings.second_epochs} "
        f"epochs; up to {24 * count / 1e6:.0f} MB of disk while training; the bar shows the time "
        "left"
    )
    if settings.network != "mlp" and settings.epochs * steps * settings.bn_momentum < 5:
        better = min(5 / (settings.epochs * steps), 0.1)
        print(
            f"few steps for --bn-momentum {settings.bn_momentum:g}: its averages lag behind; try "
            f"{better:.2g}"
        )
    print(f"{folder}: stop it at any time; the same command goes on from the last checkpoint")


def as_text(results: dict[str, Any]) -> str:
    """A training run's figures as text."""
    mmd2 = results["mmd2"]
    gamma = "–" if results["gamma"] is None else f"{results['gamma']:.5f}"
    lines = [
        f"γ {gamma}    second stage's γ {results['second_gamma']:.3f}    r̂ "
        f"{results['active_dims']:.0f}    reconstruction error "
        f"{results['reconstruction_error']:.5f}",
        f"MMD² to N(0, I)    stage 1 {mmd2['stage 1']:.5f}    stage 2 {mmd2['stage 2']:.5f}",
        f"Fréchet distance of {results['n_samples']} samples to the test images, in the features "
        f"of {results['features']}:",
    ]
    lines += [f"    {name:15}{value:10.2f}" for name, value in results["frechet"].items()]
    return "\n".join(lines)

"""Train a two-stage VAE on a data set or a folder of pictures.

It is saved as a folder with model.safetensors, run.json and history.csv. A run that was stopped, by
Ctrl-C or SIGTERM too, goes on from its last checkpoint when the same command is given again; a
finished one goes on when it is given again with more epochs.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import io
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab._memory import check_memory
from vaelab._signals import importing
from vaelab.cli import cost
from vaelab.cli.options import (
    Parser,
    add_data,
    add_precision,
    add_reading,
    add_seed,
    add_training,
    given,
    number_or_word,
    reading,
)
from vaelab.cli.words import LETTERS

if TYPE_CHECKING:
    from vaelab.data import Images
    from vaelab.experiments import Settings
    from vaelab.training import Session

EPILOG = f"{LETTERS} On fashion-small and shapes stage 1 takes 30 passes, stage 2 100."


def add_arguments(p: Parser) -> None:
    """Add the command's options. One named like a field of `Settings` sets that field."""
    p.option(
        "data_set",
        "digits, fashion-small, shapes, mnist, fashion, cifar10, celeba, or a folder of pictures; "
        "or expressions, or a text file with a line an object",
        metavar="DATA",
    )
    add_data(p)
    p.option("--side", "crop a folder's pictures to squares and resize to N pixels", int, "N")
    add_reading(p)
    p.flag(
        "--stream",
        "leave a folder's pictures on the disk and read each batch as it is trained on: for "
        "sets larger than memory",
    )
    p.option(
        "--grammar",
        "of a text file's lines: expressions, smiles or a file of rules (default: smiles for .smi, "
        "else expressions)",
    )
    p.option(
        "--network",
        "mlp, small_conv, infogan, rae, resnet or wae (default: mlp for digits, fashion-small and "
        "shapes, infogan otherwise)",
    )
    p.option(
        "--latent-dim", "κ, the dimension of the code (default 24 for mlp, 64 otherwise)", int, "K"
    )
    p.option(
        "--gamma",
        "decoder variance: learned, optimal (it follows the mean squared error) or a number > 0 "
        "(default: the model's, mostly learned)",
        number_or_word,
        "G",
    )
    p.option(
        "--model",
        "the first stage, of vaelab.models: vae (the default), cv-vae (one variance), ce-vae "
        "(cross-entropy), joint-vae, fused-vae, vae-flow; without noise ae, ae-l2, rae, rae-l2, "
        "rae-gp (gradient penalty), rae-sn (spectral norm); wae-mmd, wae-gan; with a learned prior "
        "flow-prior-vae, prior-aae, gmmn-ae; of lines character-rae, grammar-rae, grammar-vae",
    )
    p.option(
        "--epochs",
        "passes of stage 1 (default 200 for mlp, 400 otherwise); if fewer than 200 of these 400, γ "
        "has ten times the weights' step size, and stage 2's γ is held at 1 for half of the time",
        int,
        "N",
    )
    p.option("--second-epochs", "passes of stage 2 (default 500 for mlp, 800 otherwise)", int, "N")
    p.option(
        "--second-hidden",
        "width of the three layers of stage 2 (default 128 for mlp, 512 for small_conv, 1024 "
        "otherwise)",
        int,
        "N",
    )
    p.option("--batch-size", "images a step (default 128 for mlp, 100 otherwise)", int, "N")
    p.option(
        "--lr",
        "Adam's step size (default 0.002 for mlp, 0.0001 otherwise), and that of stage 2 (default "
        "0.004 for mlp, 0.0001 otherwise)",
        float,
    )
    p.option(
        "--validation",
        "share of the training images to hold out of stage 1: their loss goes into history.csv",
        float,
        "SHARE",
    )
    p.option(
        "--patience", "stop stage 1 so many epochs after the lowest loss held out", int, "EPOCHS"
    )
    p.option(
        "--bn-momentum",
        "weight of a batch in the running means of batch normalisation (default 0.001)",
        float,
        "M",
    )
    add_seed(p, "weights, batches, noise and samples")
    add_training(p)
    add_precision(p)
    p.flag("--compile", "compile the networks: faster, but slow to start")
    p.add_argument(
        "--from",
        dest="origin",
        type=Path,
        metavar="FOLDER",
        help="start stage 1 from the weights of this trained model, of the same parts",
    )
    p.option("--out", "where the model goes (default runs/DATA-NETWORK-seedN)", Path, "FOLDER")


def run(args: argparse.Namespace) -> int:
    """Train both stages, measure, save; under `torchrun` all processes train, and the first does
    the rest.
    """
    with importing():
        from vaelab import experiments  # noqa: F401  It is heavy, and `_train` needs it.
        from vaelab._processes import process_group
        from vaelab.cli import lines

    if _is_lines(args.data_set):
        return lines.train(args)
    with process_group(args.device) as rank, contextlib.ExitStack() as stack:
        if rank:  # The first speaks for all.
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        return _train(args, rank)


def _is_lines(name: str) -> bool:
    """Whether DATA names lines: "expressions", or a text file."""
    path = Path(name)
    return name == "expressions" or (path.suffix in (".txt", ".smi") and not path.is_dir())


def _train(args: argparse.Namespace, rank: int) -> int:
    from vaelab import checkpoints, experiments
    from vaelab._files import digest
    from vaelab._inputs import pick_device
    from vaelab.cli import history
    from vaelab.experiments.stages import SECOND
    from vaelab.training import Session

    pick_device(args.device)
    settings, start = settings_for(args), None
    if args.origin:
        start = checkpoints.load(args.origin).model
        settings = replace(settings, start=digest(start.state_dict()))
    session = Session.of(vars(args) | {"progress": True, "extends": True})
    images = _images(args, settings)
    folder = args.out or Path("runs") / _name(images, settings, args.origin)
    if (folder / "run.json").exists() and _is_finished(folder, settings, images, args.parser):
        (folder / SECOND).unlink(missing_ok=True)
        print(f"{folder} holds this very run, finished; nothing to do")
        return 0
    _before(images, settings, folder, session)
    model, second, runs = experiments.train(images, settings, folder, session, start)
    if rank:
        return 0
    model.cpu()
    second.vae.cpu()
    few: dict[str, Any] = {"n": len(images.test_pixels)} if args.stream else {}
    results = experiments.measure(images, model, second, seed=settings.seed, **few)
    print(as_text(results))
    curve = history.write_history(folder, {stage: run.history for stage, run in runs.items()})
    notes = {"results": results, "history": history.NAME, "history_sha256": curve}
    _save(folder, (model, second), settings, images, notes)
    print(f"saved  {folder}    next: vaelab sample {folder}, vaelab show {folder}")
    return 0


def _save(
    folder: Path, stages: tuple[Any, Any], settings: Settings, images: Images, notes: dict
) -> None:
    """Save the model in the place of the one it went on from, if any; keep the state of the first
    stage alone, from which it can go on.
    """
    from vaelab import checkpoints
    from vaelab.experiments.stages import FIRST, SECOND

    data = {
        "name": images.name,
        "fingerprint": images.fingerprint(),
        "n": len(images.train_pixels),
        "source": images.source,
    }
    record = {"settings": asdict(settings), "data": data, **notes}
    (folder / "run.json").unlink(missing_ok=True)
    checkpoints.save(folder, *stages, record)
    (folder / SECOND).unlink(missing_ok=True)
    if (folder / FIRST).exists():
        size = (folder / FIRST).stat().st_size / 1e6
        print(
            f"kept  {folder / FIRST} ({size:.1f} MB): the same command with more --epochs goes on "
            "from it; delete it if you will not need that"
        )


def _name(images: Images, settings: Settings, origin: Path | None) -> str:
    """The folder of a run: its data set, network, first stage unless that is the VAE, and seed."""
    model = "" if settings.model == "vae" else f"-{str(settings.model).replace('_', '-')}"
    start = f"-from-{origin.name}" if origin else ""
    return f"{images.name}-{settings.network}{model}-seed{settings.seed}{start}"


def settings_for(args: argparse.Namespace) -> Settings:
    """The defaults for a data set and its network, with what the command line gives put over
    them.

    Raises:
        ValueError: names and numbers that no model can be trained with; --gamma for a model that
            has none.
    """
    from vaelab import experiments, models
    from vaelab.experiments.settings import GIVEN

    small = experiments.SMALL.get(args.data_set)
    network = args.network or ("infogan" if small is None else "mlp")
    known = {"mlp": small or experiments.DIGITS, "small_conv": experiments.LAPTOP}
    base = known.get(network.replace("-", "_"), experiments.Settings())
    options = {**vars(args), "network": network, "second_lr": args.lr}
    settings = replace(base, **given(experiments.Settings, options))
    if 2 * settings.epochs < base.epochs and base == experiments.Settings():
        settings = replace(settings, **experiments.SOONER)
    if settings.model in GIVEN:
        raise ValueError(
            f"--model: {settings.model} completes pictures and draws none by itself; see `vaelab "
            "table learned-priors-2`, or notebook 10b"
        )
    if args.gamma is None:
        return settings
    signatures = {name: inspect.signature(model) for name, model in models.CATALOGUE.items()}
    takers = [name for name, taken in signatures.items() if "gamma" in taken.parameters]
    if settings.model not in takers:
        raise ValueError(
            f"--gamma: the model {settings.model} has no γ to set; leave it out, or give a --model "
            f"that has one ({', '.join(takers)})"
        )
    return replace(settings, arguments={"gamma": args.gamma})


def _images(args: argparse.Namespace, settings: Settings) -> Images:
    from vaelab.data import load_images
    from vaelab.data.loading import check_name

    check_name(args.data_set, ["expressions"])
    if args.side is not None and args.side > 0:
        check_memory(f"--side {args.side}", 8 * args.side**2)
        _parameters((1, args.side, args.side), settings)
    name = args.data_set
    images = load_images(name, root=args.data, side=args.side, **reading(args, name))
    for note in images.notes:
        print(note, flush=True)
    if len(images.test_pixels) < 2:
        count = f"{len(images.train_pixels)} to train on and {len(images.test_pixels)} to test on"
        raise ValueError(
            f"{name}: too few pictures ({count}); expected at least 2 to test on, add more"
        )
    return images


def _parameters(shape: tuple[int, ...], settings: Settings) -> int:
    """How many parameters the first stage will have, if what it takes fits into memory.

    Counted are ten covariances of the code, each with its inverse and a root, as the mixture that
    is measured needs them; `networks.for_shape` counts the parameters.
    """
    import torch

    from vaelab import experiments

    kappa = settings.latent_dim
    check_memory(f"--latent-dim {kappa}", 10 * 3 * 8 * kappa**2)
    wide = settings.second_hidden  # Two networks of three layers, with gradients and moments.
    check_memory(f"--second-hidden {wide}", 4 * 4 * 4 * wide**2)
    try:
        with torch.device("meta"):
            model = experiments.build(shape, settings)
    except NotImplementedError:  # Flows are made of masks, which must be computed.
        model = experiments.build(shape, settings)
    return sum(p.numel() for p in model.parameters())


def _is_finished(folder: Path, settings: Settings, images: Images, parser: Parser) -> bool:
    """Whether the folder holds this run; False where it holds one of fewer epochs to go on from.

    Raises:
        FileExistsError: it holds another one; says what differs.
        FileNotFoundError: it could go on, but its state is not there any more.
    """
    from vaelab import checkpoints, experiments
    from vaelab.experiments.stages import FIRST

    record = getattr(checkpoints.load(folder), "run", {})
    if "settings" not in record or "data" not in record:
        raise FileExistsError(f"{folder} holds a model of another origin; give another --out")
    with checkpoints.fields_of(folder):
        saved = experiments.settings_from(record["settings"])
        name, fingerprint = record["data"]["name"], record["data"]["fingerprint"]
        grows = saved.epochs <= settings.epochs and saved.second_epochs <= settings.second_epochs
    same_data = fingerprint == images.fingerprint()
    if saved == settings and same_data:
        return True
    longer = replace(saved, epochs=settings.epochs, second_epochs=settings.second_epochs)
    if not (same_data and longer == settings and grows):
        changes = differences(saved, settings, parser.options())
        changes += [] if same_data else [f"images: {name} → others"]
        raise FileExistsError(
            f"{folder} holds a run of other settings or other data; give another --out, or delete "
            f"it. What differs (there → here): {'; '.join(changes)}"
        )
    if not (folder / FIRST).exists():
        raise FileNotFoundError(
            f"{folder} holds a finished run of fewer epochs, but not {FIRST}, from which it would "
            "go on; give another --out"
        )
    return False


def differences(saved: Settings, wanted: Settings, options: dict[str, str]) -> list[str]:
    """What differs between two settings, each as "name: there → here", by the option's name."""

    one, other = asdict(saved), asdict(wanted)
    for values in (one, other):
        values |= values.pop("arguments")
    return [
        f"{options.get(name, name)}: {one.get(name, 'default')} → {other.get(name, 'default')}"
        for name in {**one, **other}
        if one.get(name) != other.get(name)
    ]


def _before(images: Images, settings: Settings, folder: Path, session: Session) -> None:
    """Print what the run will take, and clear away a second stage whose first one will move on."""
    from vaelab._files import check_writable
    from vaelab.experiments.stages import FIRST, SECOND

    count = _parameters(images.shape, settings)
    check_writable(folder)
    n = len(images.train_pixels)
    n -= round(n * (settings.validation or 0))
    steps = n // min(settings.batch_size, n)  # Of an epoch of the first stage.
    print(
        f"{images!r}\n"
        f"{settings.model} of {settings.network}, κ = {settings.latent_dim}, {count / 1e6:.2f} "
        f"million parameters, seed {settings.seed}\n"
        f"stage 1: {settings.epochs} epochs × {steps} steps; stage 2: {settings.second_epochs} "
        f"epochs; up to {24 * count / 1e6:.0f} MB of disk while training"
    )
    better = cost.better_momentum(settings, steps)
    if better is not None:
        momentum = f"--bn-momentum {settings.bn_momentum:g}"
        print(f"few steps for {momentum}: its averages lag behind; try {better:.2g}")
    print(f"{folder}: stop it at any time: it saves, and the same command goes on from there")
    trained = cost.trained_epochs(folder / FIRST)
    if trained < settings.epochs:
        (folder / SECOND).unlink(missing_ok=True)
        if trained:
            print(f"stage 1 goes on from epoch {trained:.4g}; stage 2 follows it")
    sys.stdout.flush()
    estimate = cost.cost_of(images, settings, session)
    if estimate is not None:
        print(cost.as_text(estimate, settings, steps, trained), flush=True)


def as_text(results: dict[str, Any]) -> str:
    """A training run's figures as text."""
    mmd2 = results["mmd2"]
    gamma = "–" if results["gamma"] is None else f"{results['gamma']:.5f}"
    lines = [
        f"γ {gamma}    second stage's γ {results['second_gamma']:.3f}    r̂ "
        f"{results['active_dims']:.0f}    reconstruction error "
        f"{results['reconstruction_error']:.5f}",
        f"MMD² to the prior    stage 1 {mmd2['stage 1']:.5f}    stage 2 {mmd2['stage 2']:.5f}",
        f"Fréchet distance of {results['n_samples']} samples to the test images, in the features "
        f"of {results['features']}:",
    ]
    lines += [f"    {name:15}{value:10.2f}" for name, value in results["frechet"].items()]
    if results["active_dims"] < 1:
        lines.append(
            "r̂ is near 0: the model has collapsed, its code says nothing of an image; give more "
            "--epochs, or a smaller --gamma"
        )
    return "\n".join(lines)

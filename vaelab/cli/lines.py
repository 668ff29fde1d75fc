"""Files of lines at the doors of `train`, `sample` and `search`, which import this module late: it
is heavy.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vaelab import checkpoints, grammar, lines
from vaelab._files import check_writable, write_atomic
from vaelab.checkpoints import Saved
from vaelab.cli.files import beside, check_ending
from vaelab.cli.options import given
from vaelab.likelihoods import Rules
from vaelab.training import Session

N_LINES, LENGTH = 11_000, 14  # Of expressions that are drawn where no file is given.


def grammar_of(name: str | None, words: Path | None) -> grammar.Grammar:
    """A grammar by name, or from a file of rules; SMILES for a .smi file, else expressions."""
    if name is None:
        name = "smiles" if words is not None and words.suffix == ".smi" else "expressions"
    if name in ("expressions", "molecules", "smiles"):
        return grammar.expressions() if name == "expressions" else grammar.smiles()
    if not Path(name).is_file():
        raise ValueError(
            f"--grammar: expected expressions, smiles or a file of rules, got {name!r}"
        )
    return grammar.Grammar(grammar.read_text(name), joint=" ")


def trained(args: argparse.Namespace, folder: Path) -> tuple[Saved, list[str]]:
    """The model in a folder, or one that is trained now and saved there, and its lines."""
    words = getattr(args, "lines", None)
    of = grammar_of(getattr(args, "grammar", None) or getattr(args, "what", None), words)
    plan = lines.LinePlan(**given(lines.LinePlan, vars(args) | {"model": _model(args)}))
    read_by = of.characters() if plan.model == "character_rae" else of
    if words is None:
        every = grammar.draw_lines(of, N_LINES, LENGTH, args.seed)
    else:
        every = grammar.read_lines(words, read_by)
    lines.check_enough(every, plan)
    digest = hashlib.sha256("\n".join(every).encode()).hexdigest()
    record = {"settings": asdict(plan), "source": str(words or "drawn"), "lines": digest}
    if (folder / "run.json").exists():
        saved = checkpoints.load(folder)
        kept = getattr(saved, "run", {})
        if any(kept.get(name) != value for name, value in record.items()):
            raise FileExistsError(
                f"{folder} holds a model of other settings or lines; give another --out"
            )
        print(f"{folder} holds the model of this command, trained", flush=True)
        return saved, [every[i] for i in lines.split(len(every), plan)[0].tolist()]
    check_writable(folder)
    session = Session.of(vars(args) | {"checkpoint": folder / "training.state"})
    print(
        f"{len(every)} lines, {plan.n_held_out(len(every))} of them held out; {plan.model}, "
        f"{plan.epochs} epochs, seed {plan.seed}\n"
        f"{folder}: stop it at any time: it saves, and the same command goes on",
        flush=True,
    )
    fitted = lines.fit(every, of, plan, session)
    print(as_text(fitted.figures), flush=True)
    checkpoints.save(folder, fitted.model, fitted.density, record | {"results": fitted.figures})
    (folder / "training.state").unlink(missing_ok=True)
    return checkpoints.load(folder), fitted.trained


def _model(args: argparse.Namespace) -> str:
    return (args.model or "grammar-rae").replace("-", "_")


def train(args: argparse.Namespace) -> int:
    """`vaelab train` on lines: one model and a mixture, saved and measured."""
    name = Path(args.data_set)
    args.lines = None if args.data_set == "expressions" else name
    model = _model(args)
    folder = args.out or Path("runs") / f"{name.stem}-{model.replace('_', '-')}-seed{args.seed}"
    trained(args, folder)
    print(f"saved  {folder}    next: vaelab sample {folder}")
    return 0


def as_text(figures: dict[str, Any]) -> str:
    """The figures of a model of lines as text."""
    text = (
        f"held-out lines that come back whole {figures['reconstructed']:.1%}    valid midpoints "
        f"{figures['midpoints']:.1%}\n"
        "drawn from      valid   unique  new"
    )
    for name, shares in figures["samples"].items():
        text += f"\n{name:14}" + "".join(f"{share:8.1%}" for share in shares.values())
    return text


def writes_lines(saved: Saved) -> bool:
    """Whether a saved model is of lines."""
    return isinstance(saved.model.likelihood, Rules)


def sample(saved: Saved, args: argparse.Namespace) -> int:
    """`vaelab sample` of a model of lines: draws as text, the unfinished ones left out."""
    if args.density is not None:
        raise ValueError("--density: a model of lines draws from the one saved; leave it out")
    out = args.out or beside(args.folder, "samples.txt")
    check_ending(out, ".txt")
    drawn = saved.model.likelihood.grammar.decode(saved.sample(args.n, args.seed))  # type: ignore
    finished = [line for line in drawn if line is not None]
    write_atomic(out, "".join(f"{line}\n" for line in finished).encode())
    print(f"{len(finished)} lines of {args.n} draws are finished, seed {args.seed}    {out}")
    return 0

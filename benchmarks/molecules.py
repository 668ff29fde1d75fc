"""GrammarRAE on the shorter molecules of a file of SMILES lines: what it rebuilds, what share of
its draws are molecules, and what three searches find; about ten minutes of a core. Needs rdkit.

python benchmarks/molecules.py FILE [--longest 110] [--epochs 50] [--width 128] [--json FIGURES]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import rdkit
import torch

from vaelab import grammar, lines, training
from vaelab.grammar.molecules import is_molecule, penalised_log_p


def short(every: list[str], longest: int) -> list[str]:
    """The lines that take at most so many rules."""
    smiles = grammar.smiles()
    return [line for line in every if len(smiles.parse(line)) <= longest]


def chemistry(fitted: lines.Fitted, seed: int) -> dict:
    """The share of 1,000 draws of the mixture that are finished lines, and molecules."""
    z = fitted.density.sample(1000, seed + 1)
    drawn = fitted.model.likelihood.grammar.decode(fitted.model.images(z))
    molecules = [line for line in drawn if line is not None and is_molecule(line)]
    return {"molecules": len(molecules) / 1000, "different molecules": len(set(molecules)) / 1000}


def searched(fitted: lines.Fitted, seed: int) -> dict:
    """What one search finds: five rounds of 50 lines."""
    plan = lines.SearchPlan(seed=seed)
    given = fitted.model, fitted.density, fitted.trained
    found = lines.search(*given, lambda line: -penalised_log_p(line), plan, progress=False)
    molecules = [line for line in found.lines if is_molecule(line)]
    row = {"seed": seed, "scored": len(found.lines), "molecules": len(molecules)}
    for name, standardised in (("", False), (", standardised", True)):
        scores = [penalised_log_p(line, standardised) for line in molecules]
        row |= {f"best{name}": max(scores), f"mean{name}": float(np.mean(scores))}
    row["best of the molecules trained on"] = -found.data_best
    return row | {"best line": found.best[0][1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--longest", type=int, default=110)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("data/results/molecules.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    every = grammar.read_lines(args.file)
    words = short(every, args.longest)
    print(f"{len(words)} of {len(every)} molecules take {args.longest} rules at most", flush=True)
    plan = lines.LinePlan(
        epochs=args.epochs,
        latent_dim=56,
        held_out=200,
        seed=args.seed,
        network_options={"width": args.width},
    )
    session = training.Session(device="cpu", progress=False)
    start = time.process_time()
    fitted = lines.fit(words, grammar.smiles(), plan, session)
    figures = {
        "figure": "GrammarRAE on the shorter molecules of a given file, penalised log P",
        "command": f"python benchmarks/molecules.py FILE --longest {args.longest} "
        f"--epochs {args.epochs} --width {args.width} --seed {args.seed} "
        "--json data/results/molecules.json",
        "protocol": f"{len(words)} of {len(every)} molecules (at most {args.longest} rules), 200 "
        f"of them held out; {args.epochs} epochs of 100 lines, learning rate 4e-3 with a cosine, "
        f"β 0.01, κ 56, GRU of {args.width}, one seed; valid: the grammar derives it, which is "
        "less than a molecule; three searches of five rounds of 50 lines each",
        "machine": f"one core of a shared two-core machine, torch {torch.__version__}, rdkit "
        f"{rdkit.__version__}",
        "cpu seconds of fit": round(time.process_time() - start, 1),
        **fitted.figures,
        **chemistry(fitted, args.seed),
    }
    print(json.dumps(figures, ensure_ascii=False), flush=True)
    figures["searches"] = []
    for seed in (0, 1, 2):
        figures["searches"].append(searched(fitted, seed))
        print(json.dumps(figures["searches"][-1], ensure_ascii=False), flush=True)
    args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()

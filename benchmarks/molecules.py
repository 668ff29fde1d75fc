"""GrammarRAE on the shortest molecules of a file of SMILES lines: what it rebuilds, and what share
of its draws the grammar derives; some minutes of a core.

python benchmarks/molecules.py FILE [--longest 100] [--epochs 40] [--json FIGURES]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from vaelab import grammar, lines, training


def short(every: list[str], longest: int) -> list[str]:
    """The lines that take at most so many rules."""
    smiles = grammar.smiles()
    return [line for line in every if len(smiles.parse(line)) <= longest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--longest", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("data/results/molecules.json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    every = grammar.read_lines(args.file)
    words = short(every, args.longest)
    print(f"{len(words)} of {len(every)} molecules take {args.longest} rules at most", flush=True)
    plan = lines.LinePlan(epochs=args.epochs, latent_dim=56, held_out=200, seed=args.seed)
    session = training.Session(device="cpu", progress=False)
    start = time.process_time()
    fitted = lines.fit(words, grammar.smiles(), plan, session)
    figures = {
        "figure": "GrammarRAE on the shortest molecules of a given file",
        "command": f"python benchmarks/molecules.py FILE --longest {args.longest} "
        f"--epochs {args.epochs} --seed {args.seed} --json data/results/molecules.json",
        "protocol": f"{len(words)} of {len(every)} molecules (at most {args.longest} rules), 200 "
        f"of them held out; {args.epochs} epochs of 100 lines, learning rate 4e-3 with a cosine, "
        "β 0.01, κ 56, one seed; valid: the grammar derives it, which is less than a molecule",
        "machine": f"one core of a shared two-core machine, torch {torch.__version__}",
        "cpu seconds": round(time.process_time() - start, 1),
        **fitted.figures,
    }
    args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(figures, ensure_ascii=False))


if __name__ == "__main__":
    main()

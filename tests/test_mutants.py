"""The mutation score: how many of a hundred and twenty mutants, drawn from the syntax trees of what
is computed, turn a test red.
"""

from pathlib import Path

import pytest
from mutants import Hunt, drawn

HERE = Path(__file__).parent
ROOMS = ("theory", "terms", "likelihoods", "posteriors", "densities", "metrics")
EACH = 20
# Survivors that no test can kill, and why: the mutant computes the same.
EXPLAINED = {
    "divergence_starts: constant, 200001  →  200002": "a grid with one more point",
    "SecondStage.log_prob: constant, 31  →  32": "another seed, as far from the first",
    "SecondStage.log_prob: dropped term, seed + 2 ** 31": "noise that is shared: a small bias",
    "SquaredNorm.forward: sign, -1  →  1": "codes have two axes: the last is the second",
    "active_dims: sign, -1  →  1": "eigenvalues have two axes: the last is the second",
}


@pytest.mark.long
def test_the_mutation_score():
    mutants = drawn([f"vaelab.{room}" for room in ROOMS], EACH, seed=0)
    hunt = Hunt(mutants)
    files = [str(HERE / f"test_{room}.py") for room in ROOMS]
    status = pytest.main(["-q", "-p", "no:cacheprovider", *files], plugins=[hunt])
    assert status == 0
    left = [str(mutant) for mutant in mutants if mutant not in hunt.killers]
    print(
        f"mutation score: {len(hunt.killers)} of {len(mutants)} killed; survivors:", *left, sep="\n"
    )
    assert len(hunt.killers) >= 0.95 * len(mutants)
    assert all(any(words in line for words in EXPLAINED) for line in left), left

"""The mutation score: how many of a hundred and twenty mutants, drawn from the syntax trees of what
is computed, turn a test red.
"""

from pathlib import Path

import pytest
from mutants import Hunt, drawn

HERE = Path(__file__).parent
ROOMS = ("theory", "terms", "likelihoods", "posteriors", "densities", "metrics")
EACH = 20
# Survivors that no test need kill, and why. Others may come as the code changes: they are printed.
EXPLAINED = {
    "divergence_starts: constant, 200001  →  200002": "a grid with one more point",
    "mass_of_set: comparison, vae.r == 1": "half or twice as many nodes as are needed",
    "hermite: constant, 6  →  7": "one more node where none are asked for",
    "kl_q_to_posterior: constant, 60  →  61": "one more node where 60 are enough",
    "kl_q_to_posterior: constant, 200  →  201": "one more node where 200 are enough",
    "GaussianMixture._fitted: constant, 200  →  201": "one more step of EM, which has converged",
    "GaussianMixture.sample: operator, mean + z": "−z is as normal as z",
    "SecondStage.log_prob: operator, seed + 2 ** 31": "another seed, as far from the first",
    "SecondStage.log_prob: constant": "another seed, as far from the first",
    "kl_between_covariances: constant, 1  →  2": "a covariance is square",
    "jacobians: constant, 64  →  65": "as many rows at a time as fit",
    "precision_recall: operator, seed * 1009 + run": "other seeds of k-means",
    "precision_recall: constant, 1009  →  1010": "other seeds of k-means",
    "precision_recall: constant, 2  →  3": "other seeds of k-means, where they are far apart",
    "precision_recall: constant, 32  →  33": "other seeds of k-means, where they are far apart",
    "precision_recall: constant, 10  →  11": "one more start of k-means",
    "precision_recall: constant, 1  →  2": "rounding alone leaves [0, 1]",
    "energy_test: dropped term, energies[0] - 1e-12": "rounding of energies that are equal",
}


@pytest.mark.longest
def test_the_mutation_score():
    mutants = drawn([f"vaelab.{room}" for room in ROOMS], EACH, seed=0)
    hunt = Hunt(mutants)
    files = [str(HERE / f"test_{room}.py") for room in ROOMS]
    status = pytest.main(["-q", "-p", "no:cacheprovider", *files], plugins=[hunt])
    assert status == 0
    print(f"mutation score: {len(hunt.killers)} of {len(mutants)} killed; survivors:")
    for mutant in mutants:
        if mutant not in hunt.killers:
            why = [words for key, words in EXPLAINED.items() if key in str(mutant)]
            print(f"{mutant}: {why[0] if why else 'not explained'}")
    assert len(hunt.killers) >= 0.95 * len(mutants)

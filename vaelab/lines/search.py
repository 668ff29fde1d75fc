"""Bayesian optimisation over codes: a Gaussian process of the score, and expected improvement."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from vaelab._arrays import as_numbers
from vaelab._bars import bar_of
from vaelab._door import door
from vaelab.densities import Density
from vaelab.lines.state import Score, SearchPlan, State
from vaelab.models import Autoencoder

_KERNEL_POINTS = 300  # On which the kernel is fitted; what it predicts from are all.


@dataclass(frozen=True)
class Found:
    """What a search has scored.

    Args:
        lines: in the order in which they were scored.
        scores: of each, capped.
        rounds: the number of each line's round, from 1.
        n_capped: how many had no finite score, or one above the cap.
        valid: share of the candidates that were finished lines, by round.
        data_best: the lowest score of the lines given.
    """

    lines: list[str]
    scores: np.ndarray
    rounds: np.ndarray
    n_capped: int
    valid: list[float]
    data_best: float

    @property
    def best(self) -> list[tuple[float, str]]:
        """Scores and lines, the lowest first."""
        order = np.argsort(self.scores, kind="stable")
        return [(float(self.scores[i]), self.lines[i]) for i in order]

    @property
    def curve(self) -> np.ndarray:
        """The lowest score so far, after each line."""
        return np.minimum.accumulate(self.scores)

    def table(self) -> str:
        """A line a round: scored so far, mean of the round, its best, the best so far."""
        rows = ["round  scored    mean    best  so far  valid"]
        for number in np.unique(self.rounds):
            of_round = self.scores[self.rounds == number]
            so_far = self.scores[self.rounds <= number]
            rows.append(
                f"{number:5}  {len(so_far):6}  {of_round.mean():6.3f}  {of_round.min():6.3f}  "
                f"{so_far.min():6.3f}  {self.valid[number - 1]:5.1%}"
            )
        return "\n".join(rows)


@door
def expected_improvement(mean: np.ndarray, std: np.ndarray, best: float) -> np.ndarray:
    """By how much a score is expected to fall below the best: E max(best − y, 0),
    y ~ N(mean, std²),

    (best − mean) Φ(u) + std φ(u),   u = (best − mean) / std.

    Source: Jones, Schonlau & Welch (1998), Eq. 15.

    Args:
        mean, std: of the prediction, shape (n,), std > 0.
        best: the lowest score so far.

    >>> expected_improvement(np.array([0.0, 3.0]), np.array([1.0, 1.0]), best=0.0).round(4)
    array([0.3989, 0.0004])
    """
    from scipy.stats import norm

    mean, std = as_numbers("mean", mean).numpy(), as_numbers("std", std).numpy()
    u = (best - mean) / std
    return (best - mean) * norm.cdf(u) + std * norm.pdf(u)


@door
def normal_scores(y: np.ndarray) -> np.ndarray:
    """The scores' ranks as quantiles of N(0, 1): their order alone counts, and a long tail of bad
    scores does not hide what lies between good ones. Shape (n,).

    >>> normal_scores(np.array([0.3, 100.0, 0.2])).round(2)
    array([ 0.  ,  0.97, -0.97])
    """
    from scipy.stats import norm, rankdata

    ranks = rankdata(as_numbers("y", y).flatten().numpy())
    return norm.ppf((ranks - 0.5) / len(ranks))


def search(
    model: Autoencoder,
    density: Density,
    lines: Sequence[str],
    score: Score,
    plan: SearchPlan | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Found:
    """Search the codes of a model of lines for those that decode to a low score.

    The given lines are scored first. In each round the Gaussian process (Matérn 5/2 and white
    noise) predicts the score, by its `normal_scores`, at candidates from the density and around the
    best codes; those whose lines are new and finished, and whose expected improvement is largest,
    are scored next.

    Args:
        model: of the catalogue's models of lines.
        density: of its codes.
        lines: that it was trained on, or some of them.
        score: of a line, the lower the better.
        plan: how the search goes.
        checkpoint: file in which every score is kept; the same call goes on from it. It knows
            nothing of the score itself: a file for each.
        progress: whether to show a bar.

    Returns:
        What was scored; fewer rounds than planned, with a warning, where the model writes nothing
        new any more.

    Raises:
        ValueError: a score that raises, by its line; what was scored before is kept. A checkpoint
            of another search. No line whose score is below the cap; no new line at all.
        TypeError: a model that is not of lines.
        KeyboardInterrupt: says from where the same call goes on.
    """
    plan = plan or SearchPlan()
    state = State(model, lines, score, plan, None if checkpoint is None else Path(checkpoint))
    state.resume()
    with bar_of(plan.rounds * plan.batch, "search", quiet=not progress, delay=0) as bar:
        try:
            if not len(state.data_scores):
                bar.set_description("scoring the lines given", refresh=False)
                state.begin()
            bar.update(len(state.lines))
            _rounds(state, density, bar)
        except KeyboardInterrupt as error:
            place = "nothing was kept (no checkpoint was named)"
            if state.path is not None:
                place = f"{state.path} keeps every score, and the same call goes on from there"
            error.add_note(f"stopped after {len(state.valid)} rounds; {place}")
            raise
        finally:
            state.save()
    scores, rounds = np.array(state.scores), np.array(state.rounds)
    best = float(state.data_scores.min())
    return Found(state.lines, scores, rounds, state.n_capped, state.valid, best)


def _rounds(state: State, density: Density, bar: Any) -> None:
    process = _process(*state.first_points())
    for number in range(len(state.valid) + 1, state.plan.rounds + 1):
        bar.set_description(f"round {number} of {state.plan.rounds}", refresh=False)
        z, y = state.points()
        ranked = normal_scores(y)
        process.fit(z, ranked)
        codes, proposed, valid = state.candidates(density, number)
        if not proposed:
            state.end(number)
            return
        mean, std = process.predict(codes, return_std=True)
        improvement = expected_improvement(mean, np.maximum(std, 1e-9), ranked.min())
        chosen = np.argsort(-improvement, kind="stable")[: state.plan.batch]
        scores = []
        for i in chosen:
            scores.append(state.score(proposed[i]))
            bar.update()
        state.add(codes[chosen], [proposed[i] for i in chosen], scores, valid)
        bar.set_postfix(best=f"{min(state.scores):.3f}", refresh=False)


def _process(z: np.ndarray, y: np.ndarray) -> Any:
    """A Gaussian process whose kernel is fitted to points and their scores, once and for all."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    far = math.sqrt(z.shape[1])
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(far, (0.1 * far, 10 * far), nu=2.5)
    kernel += WhiteKernel(0.1, (1e-4, 1e1))
    first = GaussianProcessRegressor(kernel, normalize_y=True)
    some = np.random.default_rng(0).permutation(len(z))[:_KERNEL_POINTS]
    with warnings.catch_warnings():  # A bound that is reached is no fault.
        warnings.simplefilter("ignore", ConvergenceWarning)
        first.fit(z[some], normal_scores(y)[some])
    found = cast(Any, first.kernel_)
    signal, noise = found.k1, found.k2.noise_level
    return GaussianProcessRegressor(
        signal, alpha=noise, optimizer=cast(Any, None), normalize_y=True
    )

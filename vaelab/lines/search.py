"""Bayesian optimisation over codes: a Gaussian process of the score, and expected improvement."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from vaelab import _files
from vaelab._inputs import check_positive, check_positive_int, check_seed
from vaelab.densities import Density
from vaelab.grammar import Grammar
from vaelab.models import Autoencoder

Score = Callable[[str], float]
_KERNEL_POINTS = 300  # On which the kernel is fitted; what it predicts from are all.


@dataclass(frozen=True)
class SearchPlan:
    """How a search goes.

    Args:
        rounds: of proposals.
        batch: lines scored in each.
        n_points: codes of given lines that the Gaussian process begins with, a fifth of them the
            best ones.
        n_draws: candidates from the density in each round, and as many around the best.
        spread: mean standard deviation of those around the best, in that of the codes.
        cap: scores above it count as it, and so do NaN and infinite ones.
        seed: of everything drawn.

    Raises:
        ValueError, TypeError: a number outside its range.
    """

    rounds: int = 5
    batch: int = 50
    n_points: int = 1000
    n_draws: int = 2000
    spread: float = 0.3
    cap: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "batch", "n_points", "n_draws"):
            check_positive_int(name, getattr(self, name))
        check_positive("spread", self.spread)
        check_positive("cap", self.cap)
        object.__setattr__(self, "seed", check_seed(self.seed))


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

    u = (best - mean) / std
    return (best - mean) * norm.cdf(u) + std * norm.pdf(u)


def normal_scores(y: np.ndarray) -> np.ndarray:
    """The scores' ranks as quantiles of N(0, 1): their order alone counts, and a long tail of bad
    scores does not hide what lies between good ones. Shape (n,).

    >>> normal_scores(np.array([0.3, 100.0, 0.2])).round(2)
    array([ 0.  ,  0.97, -0.97])
    """
    from scipy.stats import norm, rankdata

    return norm.ppf((rankdata(y) - 0.5) / len(y))


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
    state = _State(model, lines, score, plan, None if checkpoint is None else Path(checkpoint))
    state.resume()
    with _bar(plan, progress) as bar:
        try:
            if state.data_scores is None:
                bar.set_description("scoring the lines given")
                state.begin()
            bar.update(len(state.lines))
            _rounds(state, density, bar)
        except BaseException as error:
            state.save()
            if isinstance(error, KeyboardInterrupt):
                place = "nothing was kept (no checkpoint was named)"
                if state.path is not None:
                    place = f"{state.path} keeps every score, and the same call goes on from there"
                error.add_note(f"stopped after {len(state.valid)} rounds; {place}")
            raise
    return state.found()


def _bar(plan: SearchPlan, progress: bool) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=plan.rounds * plan.batch, desc="search", disable=not progress, leave=False)


def _rounds(state: _State, density: Density, bar: Any) -> None:
    process = _process(*state.first_points())
    for number in range(len(state.valid) + 1, state.plan.rounds + 1):
        bar.set_description(f"round {number} of {state.plan.rounds}")
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
        bar.set_postfix(best=f"{min(state.scores):.3f}")


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


class _State:
    """What a search knows so far, and keeps in its checkpoint."""

    def __init__(
        self,
        model: Autoencoder,
        lines: Sequence[str],
        score: Score,
        plan: SearchPlan,
        path: Path | None,
    ) -> None:
        self.model = model
        grammar = getattr(getattr(model, "likelihood", None), "grammar", None)
        if not isinstance(grammar, Grammar):
            raise TypeError("model: expected one of lines, such as models.grammar_rae(...)")
        self.grammar = grammar
        self.raw_score = score
        self.plan = plan
        self.path = path
        self.data_scores: np.ndarray | None = None
        self.codes = np.zeros((0, model.latent_dim))
        self.lines: list[str] = []
        self.scores: list[float] = []
        self.rounds: list[int] = []
        self.valid: list[float] = []
        self.n_capped = 0
        self.known: dict[str, float] = {}  # Scores, not capped, that are in no round yet.
        x = self.grammar.encode(lines, model.image_shape[0])
        self.given = [cast(str, line) for line in self.grammar.decode(x)]
        data_codes = model.codes(x).mean.double().numpy()
        self.center, self.scale = data_codes.mean(0), data_codes.std(0).clip(1e-9)
        self.data_codes = (data_codes - self.center) / self.scale
        digest = _files.digest({"x": x, **model.state_dict()})
        self.settings = {**asdict(plan), "given": digest}

    def score(self, line: str) -> float:
        """A line's score.

        Raises:
            ValueError: the score raised, or gave no number.
        """
        try:
            if line not in self.known:
                self.known[line] = float(self.raw_score(line))
        except Exception as error:
            kept = f"; the scores before are kept in {self.path}" if self.path else ""
            raise ValueError(
                f"the score of {line!r} raised {type(error).__name__}: {error}; expected a number"
                f"{kept}"
            ) from error
        return self.known[line]

    def capped(self, scores: list[float]) -> np.ndarray:
        """Scores with the cap in place of those above it, and of NaN and infinite ones."""
        y = np.array(scores)
        return np.where(np.isfinite(y) & (y <= self.plan.cap), y, self.plan.cap)

    def begin(self) -> None:
        """Score the lines given."""
        scores = self.capped([self.score(line) for line in self.given])
        if scores.min() >= self.plan.cap:
            raise ValueError(
                f"no line given has a score below cap={self.plan.cap:g}; expected scores of which "
                "the lower are better, or a larger cap"
            )
        self.data_scores = scores
        self.known = {}
        self.save()

    def first_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes and scores of the lines that the process begins with."""
        y = self._data_scores()
        order = np.argsort(y, kind="stable")
        n_best = min(self.plan.n_points // 5, len(y))
        rest = np.random.default_rng(self.plan.seed).permutation(order[n_best:])
        chosen = np.concatenate([order[:n_best], rest[: self.plan.n_points - n_best]])
        return self.data_codes[chosen], y[chosen]

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Those, and all that was scored since."""
        z, y = self.first_points()
        return np.concatenate([z, self.codes]), np.concatenate([y, self.scores])

    def candidates(self, density: Density, number: int) -> tuple[np.ndarray, list[str], float]:
        """Codes, standardised, of new and different lines, those lines, and the share of all
        candidates that were finished.
        """
        n = self.plan.n_draws
        rng = np.random.default_rng([self.plan.seed, number])
        drawn = density.sample(n, int(rng.integers(2**31))).double().numpy()
        z, y = self.points()
        best = z[np.argsort(y, kind="stable")[:20]]
        near = best[rng.integers(len(best), size=n)]
        spread = 2 * self.plan.spread * rng.random((n, 1))
        near = near + spread * rng.standard_normal(near.shape)
        codes = np.concatenate([(drawn - self.center) / self.scale, near])
        raw = torch.from_numpy(codes * self.scale + self.center)
        decoded = self.grammar.decode(self.model.images(raw))
        known = {*self.given, *self.lines}
        kept: dict[str, int] = {}
        for i, line in enumerate(decoded):
            if line is not None and line not in known:
                kept.setdefault(line, i)
        finished = sum(line is not None for line in decoded) / len(decoded)
        return codes[list(kept.values())], list(kept), finished

    def end(self, number: int) -> None:
        """End the search where no candidate of a round is a new line.

        Raises:
            ValueError: it is the first round.
        """
        message = (
            f"round {number}: none of {2 * self.plan.n_draws} candidates is a new line; give a "
            "larger spread or n_draws, or a model that was trained for longer"
        )
        if not self.lines:
            raise ValueError(message)
        warnings.warn(f"{message}. The search ends here", stacklevel=4)

    def add(self, codes: np.ndarray, lines: list[str], scores: list[float], valid: float) -> None:
        """Take in a round, and keep it."""
        self.valid.append(valid)
        self.codes = np.concatenate([self.codes, codes])
        self.lines += lines
        capped = self.capped(scores)
        self.n_capped += int((capped != scores).sum())
        self.scores += capped.tolist()
        self.rounds += [len(self.valid)] * len(lines)
        self.known = {}
        self.save()

    def save(self) -> None:
        """Keep what is known, where there is a file to keep it in."""
        if self.path is None:
            return
        _files.check_writable(self.path.parent)
        arrays = {"codes": self.codes, "scores": self.scores, "data_scores": self.data_scores}
        tensors: dict[str, Tensor] = {
            name: torch.from_numpy(np.array(value))
            for name, value in arrays.items()
            if value is not None and len(value)
        }
        record = {
            "settings": self.settings,
            "lines": self.lines,
            "rounds": self.rounds,
            "valid": self.valid,
            "n_capped": self.n_capped,
            "known": self.known,
        }
        _files.write_state(self.path, tensors, record)

    def resume(self) -> None:
        """Take over what the checkpoint holds, if there is one, of this search; with more rounds
        asked for, it goes on.
        """
        if self.path is None or not self.path.exists():
            return
        tensors, record = _files.read_state(self.path)
        if "data_scores" not in tensors and record["settings"]["given"] == self.settings["given"]:
            self.known = record["known"]
            return
        saved = {**record["settings"], "rounds": self.plan.rounds}
        other = [k for k, value in self.settings.items() if saved.get(k) != value]
        if other or record["settings"]["rounds"] > self.plan.rounds:
            what = ", ".join(other or ["rounds"]).replace("given", "model or lines")
            raise ValueError(
                f"{self.path} belongs to another search, of other {what}; use another folder, or "
                "delete the file"
            )
        self.data_scores = tensors["data_scores"].numpy()
        if record["lines"]:
            self.codes = tensors["codes"].numpy()
            self.scores = tensors["scores"].tolist()
        self.lines, self.rounds = record["lines"], record["rounds"]
        self.valid, self.n_capped = record["valid"], record["n_capped"]
        self.known = record.get("known", {})

    def found(self) -> Found:
        """What the search has scored."""
        scores, rounds = np.array(self.scores), np.array(self.rounds)
        best = float(self._data_scores().min())
        return Found(self.lines, scores, rounds, self.n_capped, self.valid, best)

    def _data_scores(self) -> np.ndarray:
        assert self.data_scores is not None
        return self.data_scores

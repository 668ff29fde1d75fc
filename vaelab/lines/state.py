"""What a search is told, and what it knows and keeps in a file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from vaelab import _files
from vaelab._door import check_fields
from vaelab._inputs import check_positive
from vaelab.densities import Density
from vaelab.lines.fitting import grammar_of
from vaelab.models import Autoencoder

Score = Callable[[str], float]
_KEPT = ("lines", "rounds", "valid", "n_capped")


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
        check_fields(self)
        check_positive("spread", self.spread)
        check_positive("cap", self.cap)


class State:
    """What a search knows so far, and keeps in its checkpoint.

    Args:
        model: of lines.
        lines: given; kept as its grammar writes them.
        score: of a line, the lower the better.
        plan: how the search goes.
        path: of the checkpoint, if one is kept.

    Raises:
        TypeError: a model that is not of lines.
        ValueError: lines outside its grammar.
    """

    def __init__(
        self,
        model: Autoencoder,
        lines: Sequence[str],
        score: Score,
        plan: SearchPlan,
        path: Path | None,
    ) -> None:
        self.model = model
        self.grammar = grammar_of(model)
        self.raw_score = score
        self.plan = plan
        self.path = path
        self.data_scores = np.zeros(0)  # Of the lines given, capped, once they are known.
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
        y = self.data_scores
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
        tensors = {n: torch.from_numpy(np.array(a)) for n, a in arrays.items() if len(a)}
        kept = {name: getattr(self, name) for name in _KEPT}
        record = {"settings": self.settings, **kept, "known": self.known}
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
        self.known = record.get("known", {})
        vars(self).update({name: record[name] for name in _KEPT})

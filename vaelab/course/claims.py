"""The ledger: what the papers say that a computer can check, and what the check showed.

A notebook settles a claim with one line, which raises if the claim does not hold there:

    claims.check("D2", abs(elbo_gap) < 1e-6, "Eq. 1 = Eq. 2 for a linear model")
    claims.check_close("D13", slope, d, rtol=0.02, says="the data term falls as d log gamma")
    claims.check_below("D26", error_learned, error_fixed, "learned gamma beats gamma = 1")

and prints `ok  D2  ... (found ..., expected ..., tolerance ...)`, or, for evidence against a claim,
`refuted  D33  ...` by `refute`. What stands in brackets may vary between machines, and a comparison
of stored outputs passes over it; the rest must not: `says` holds no measured number, and `digits`
rounds what was found until two machines agree. The ledger itself is `claims.json`; a test holds it
against the notebooks' stored outputs in both directions.
"""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vaelab._words import nearest

SETTLED = ("holds", "does not hold", "holds in part", "reading note")
STATUSES = (*SETTLED, "needs a GPU", "needs data under licence", "not yet")
_WIDTH = 100


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    Args:
        id: a letter for the paper and a number; never reused.
        paper: which paper says it.
        claim: what it says, with the place.
        check: how a computer checks it.
        status: one of `STATUSES`. "holds in part" has evidence both ways; a "reading note" is about
            the text alone, and nothing can be measured.
        where: what settles it: "06_two_stages § The gap remains" or
            "tests/test_theory.py::test_eigenvalues".
        note: the conditions, or the evidence in a sentence.
    """

    id: str
    paper: str
    claim: str
    check: str
    status: str
    where: tuple[str, ...] = ()
    note: str = ""


@cache
def ledger() -> tuple[Claim, ...]:
    """Every claim, in the order of the papers.

    >>> [claim.id for claim in ledger()][:3]
    ['D1', 'D2', 'D3']
    """
    papers = json.loads(Path(__file__).with_name("claims.json").read_text("utf-8"))
    claims = []
    for group in papers.values():
        for row in group["claims"]:
            where = tuple(row.pop("where"))
            claims.append(Claim(paper=group["paper"], where=where, **row))
    return tuple(claims)


def find(claim_id: str) -> Claim:
    """The claim with this id.

    Raises:
        ValueError: no such claim; the nearest id is named.
    """
    known = {claim.id: claim for claim in ledger()}
    if claim_id not in known:
        hint = nearest(str(claim_id).upper(), known)
        raise ValueError(f"no claim {claim_id!r} in the ledger{hint}")
    return known[claim_id]


def check(claim_id: str, holds: bool, says: str, found: Any = None) -> None:
    """Assert that a claim holds here and print `ok  <id>  <says>`.

    Args:
        claim_id: of the ledger, such as "D15".
        holds: whether what was found agrees with the claim: one truth value, not an array of them.
        says: what was checked, with its conditions and without any number that varies between
            machines.
        found: the numbers that decided it, to be printed behind: a number, an array, or several.

    Raises:
        AssertionError: it does not hold. The message names the claim.
        TypeError: `holds` is not one truth value.
        ValueError: no such claim.

    >>> check("R2", abs(0.5 * 2.0**2 - 2.0) < 1e-12, "this KL is half a square, plus a constant")
    ok  R2  this KL is half a square, plus a constant
    >>> check("R2", True, "so are these", found=[0.123456, 2.0])
    ok  R2  so are these (found 0.123, 2)
    """
    _settle(claim_id, holds, says + _figures(found), "ok", "the check failed")


def refute(claim_id: str, fails: bool, says: str, found: Any = None) -> None:
    """Assert that the evidence against a claim stands here and print `refuted  <id>  <says>`.

    Args:
        claim_id: of the ledger.
        fails: whether what was found contradicts the claim.
        says: what was found instead, without any number that varies between machines.
        found: as in `check`.

    Raises:
        AssertionError: the claim is not contradicted here.
        TypeError: `fails` is not one truth value.
        ValueError: no such claim.
    """
    _settle(claim_id, fails, says + _figures(found), "refuted", "the evidence against it is gone")


def check_close(
    claim_id: str,
    measured: Any,
    expected: Any,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    says: str,
    digits: int | None = None,
) -> None:
    """`check` that |measured − expected| ≤ atol + rtol |expected| everywhere, and print the worst
    pair and its tolerance behind.

    Args:
        claim_id: of the ledger.
        measured: number, array or tensor.
        expected: what the claim predicts, of the same shape or one number.
        rtol: tolerance relative to `expected`.
        atol: absolute tolerance. One of the two must be given.
        says: as in `check`.
        digits: so many digits of the pair are the same on every machine, and are compared.

    Raises:
        AssertionError: it does not hold, or a value is NaN.
        ValueError: no such claim, no tolerance, nothing measured, or shapes that differ.
    """
    if not (rtol > 0 or atol > 0):
        raise ValueError(f"check_close({claim_id!r}): expected rtol or atol > 0, got neither")
    measured, expected = _pair(claim_id, measured, expected)
    allowed = atol + rtol * np.abs(expected)
    margin = allowed - np.abs(measured - expected)
    _check_worst(claim_id, measured, expected, margin, says, digits, allowed=allowed)


def check_below(
    claim_id: str, measured: Any, bound: Any, says: str, digits: int | None = None
) -> None:
    """`check` that measured < bound everywhere, and print the worst pair. Arguments as in
    `check_close`.
    """
    _check_order(claim_id, measured, bound, says, -1, digits)


def check_above(
    claim_id: str, measured: Any, bound: Any, says: str, digits: int | None = None
) -> None:
    """`check` that measured > bound everywhere, and print the worst pair. Arguments as in
    `check_close`.
    """
    _check_order(claim_id, measured, bound, says, 1, digits)


def render(as_json: bool = False, ids: Iterable[str] = (), short: bool = False) -> str:
    """The ledger as text, at most 100 columns wide, grouped by paper, with a count at the end; or
    as JSON.

    Args:
        as_json: whether to give a JSON list of rows instead.
        ids: which claims, all if empty.
        short: whether to give a line a claim instead.

    Raises:
        ValueError: an unknown id, or both forms.
    """
    if as_json and short:
        raise ValueError("as_json and short: expected one of them, got both")
    chosen = [find(claim_id) for claim_id in ids] or list(ledger())
    if as_json:
        return json.dumps([asdict(claim) for claim in chosen], ensure_ascii=False, indent=2)
    if short:
        rows = (f"{claim.id:<4} {claim.status:<24} {claim.claim}" for claim in chosen)
        return "\n".join(row if len(row) <= _WIDTH else f"{row[: _WIDTH - 1]}…" for row in rows)
    lines: list[str] = []
    for paper in dict.fromkeys(claim.paper for claim in chosen):
        lines += [*textwrap.wrap(paper, _WIDTH), ""]
        for claim in chosen:
            if claim.paper == paper:
                lines += _row(claim)
        lines.append("")
    counts = Counter(claim.status for claim in chosen)
    parts = [f"{counts[status]} {status}" for status in STATUSES if counts[status]]
    noun = "claim" if len(chosen) == 1 else "claims"
    return "\n".join([*lines, *textwrap.wrap(f"{len(chosen)} {noun}: {', '.join(parts)}", _WIDTH)])


def _row(claim: Claim) -> list[str]:
    texts = [claim.claim, f"checked by: {claim.check}"]
    if claim.where:
        texts.append(f"in: {'; '.join(claim.where)}")
    if claim.note:
        texts.append(f"note: {claim.note}")
    left = 32
    lines = []
    for text in texts:
        lines += textwrap.wrap(text, _WIDTH - left, subsequent_indent="  ")
    head = f"  {claim.id:<4} {claim.status}"
    return [f"{head:<{left}}{lines[0]}", *(" " * left + line for line in lines[1:])]


def _settle(claim_id: str, stands: bool, says: str, word: str, failure: str) -> None:
    claim = find(claim_id)
    shape = getattr(stands, "shape", ())
    if shape != () or np.asarray(stands).dtype != bool:
        raise TypeError(
            f"{claim_id}: expected True or False, got a {type(stands).__name__} of shape {shape}; "
            "reduce it with bool(....all())"
        )
    if not stands:
        raise AssertionError(
            f"{claim_id}: {failure}.\n  claim: {claim.claim} ({claim.paper})\n  checked: {says}"
        )
    print(f"{word}  {claim_id}  {says}")


def _check_order(
    claim_id: str, measured: Any, bound: Any, says: str, sign: int, digits: int | None
) -> None:
    measured, bound = _pair(claim_id, measured, bound)
    word = "above " if sign > 0 else "below "
    _check_worst(claim_id, measured, bound, sign * (measured - bound), says, digits, word)


def _check_worst(
    claim_id: str,
    measured: np.ndarray,
    expected: np.ndarray,
    margin: np.ndarray,
    says: str,
    digits: int | None,
    word: str = "",
    allowed: np.ndarray | None = None,
) -> None:
    """Settle by the smallest margin; NaN is the worst. The figures stand in brackets, but for
    digits that are the same anywhere.
    """
    smallest = np.where(np.isnan(margin), -np.inf, margin).argmin()
    worst = np.unravel_index(smallest, margin.shape)
    form = f".{3 if digits is None else digits}g"
    figures = f"found {measured[worst]:{form}}, expected {word}{expected[worst]:{form}}"
    failure = f"measured {measured[worst]:.8g}, expected {word}{expected[worst]:.8g}"
    holds = margin[worst] > 0
    if allowed is not None:
        figures += f", tolerance {allowed[worst]:.1g}"
        failure += f", allowed |difference| {allowed[worst]:.3g}"
        holds = margin[worst] >= 0
    if worst:
        failure += f" (entry {tuple(map(int, worst))})"
    says = f"{says} ({figures})" if digits is None else f"{says}: {figures}"
    _settle(claim_id, bool(holds), says, "ok", failure)


def _figures(found: Any) -> str:
    """The numbers found, in brackets; nothing for None."""
    if found is None:
        return ""
    parts = found if isinstance(found, (list, tuple)) else [found]
    numbers = np.concatenate([_float64(each).ravel() for each in parts])
    forms = [".0f" if n.is_integer() and abs(n) < 1e6 else ".3g" for n in numbers]
    return f" (found {', '.join(map(format, numbers, forms))})"


def _pair(claim_id: str, measured: Any, expected: Any) -> tuple[np.ndarray, np.ndarray]:
    measured = _float64(measured)
    expected = _float64(expected)
    if expected.ndim and expected.shape != measured.shape:
        raise ValueError(
            f"{claim_id}: measured has shape {measured.shape}, what it is compared with "
            f"{expected.shape}"
        )
    if not measured.size:
        raise ValueError(f"{claim_id}: nothing was measured: an empty array proves nothing")
    return measured, np.broadcast_to(expected, measured.shape)


def _float64(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values, dtype=np.float64)

import ast
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from vaelab import claims

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted([*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("notebooks/solutions/*.ipynb")])
PRINTED = re.compile(r"^(ok|refuted)  ([DRLEN]\d+)  ", re.MULTILINE)


def printed_in(notebook: Path) -> dict[str, set[str]]:
    """The claims that a notebook's stored outputs settle, each with the words it is settled by."""
    evidence: dict[str, set[str]] = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            for word, claim_id in PRINTED.findall(output.get("text", "")):
                evidence.setdefault(claim_id, set()).add(word)
    return evidence


def headings_of(notebook: Path) -> set[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return set(re.findall(r"^##+ +(.*?)\s*$", text, re.MULTILINE))


def words_at(place: str, claim_id: str) -> set[str]:
    """The words ("ok", "refuted") with which a place of the ledger settles a claim; the place must
    exist.
    """
    if place.startswith("tests/"):
        file, _, name = place.partition("::")
        tests = [
            node
            for node in ast.parse((ROOT / file).read_text()).body
            if getattr(node, "name", "") == name
        ]
        assert tests, f"{claim_id}: no test {place}"
        calls = re.findall(
            rf'claims\.(check\w*|refute)\(\s*"{claim_id}"', ast.unparse(tests[0]).replace("'", '"')
        )
        return {"refuted" if call == "refute" else "ok" for call in calls}
    name, _, section = place.partition(" § ")
    notebook = ROOT / "notebooks" / f"{name}.ipynb"
    assert notebook.exists(), f"{claim_id}: no notebook {name}"
    assert section in headings_of(notebook), f"{claim_id}: {name} has no section {section!r}"
    return printed_in(notebook).get(claim_id, set())


def test_the_ledger_is_whole():
    ids = [claim.id for claim in claims.ledger()]
    least = {"D": 47, "R": 22, "L": 20, "E": 14, "N": 10}
    numbers = {letter: [int(i[1:]) for i in ids if i[0] == letter] for letter in least}
    assert ids == [f"{letter}{k}" for letter, several in numbers.items() for k in several]
    for letter, several in numbers.items():
        assert several == sorted(set(several)) and len(several) >= least[letter]
    for claim in claims.ledger():
        assert claim.status in claims.STATUSES
        assert claim.claim and claim.check and claim.paper
        assert (claim.status in claims.SETTLED) == bool(claim.where), (
            f"{claim.id}: {claim.status}, but where is {claim.where}"
        )
        assert claim.note or claim.status in ("holds", "not yet"), (
            f"{claim.id}: {claim.status} needs a note"
        )


def section_of(place: str) -> str:
    """The text under a heading of a notebook."""
    name, _, section = place.partition(" § ")
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    _, _, after = text.partition(f"## {section}\n")
    return re.split(r"^##+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def test_a_reading_note_stands_in_the_section_that_the_ledger_names():
    notes = [c for c in claims.ledger() if c.status == "reading note"]
    assert notes
    for claim in notes:
        for place in claim.where:
            assert re.search(rf"Reading note[^.]*\b{claim.id}\b", section_of(place)), claim.id


SHOWN = [c for c in claims.ledger() if c.status in claims.SETTLED and c.status != "reading note"]


@pytest.mark.parametrize("claim", SHOWN, ids=lambda c: c.id)
def test_what_the_ledger_calls_settled_is_shown_where_it_says(claim):
    places = [words_at(place, claim.id) for place in claim.where]
    assert all(places), (
        f"{claim.id}: nothing printed or checked at {claim.where[places.index(set())]}"
    )
    expected = {"holds": {"ok"}, "does not hold": {"refuted"}}
    expected["holds in part"] = {"ok", "refuted"}
    assert set.union(*places) == expected[claim.status]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_a_notebook_prints_is_settled_in_the_ledger(notebook):
    for claim_id in printed_in(notebook):
        claim = claims.find(claim_id)
        assert claim.status in claims.SETTLED, (
            f"{notebook.name} prints {claim_id}, which the ledger calls {claim.status!r}"
        )
        named = any(place.startswith(notebook.stem) for place in claim.where)
        assert named, f"{claim_id} does not name {notebook.stem} in its where"


BRACKETS = r" \(found [^()]*\)"  # What the comparison of stored outputs passes over.


def test_a_check_prints_one_line_that_no_machine_changes_but_in_brackets(capsys):
    claims.check("D2", True, "both forms agree")
    claims.check("D2", np.True_, "both forms agree")
    claims.check("D2", torch.tensor(True), "both forms agree")
    claims.check_close(
        "D2", torch.ones(3, requires_grad=True), 1.0 + 1e-9, atol=1e-6, says="both forms agree"
    )
    claims.check_close("D2", [2.0, -4.0], [2.01, -4.02], rtol=0.01, says="both forms agree")
    claims.check_below("D2", [1, 2], 3, "both forms agree")
    claims.check_above("D2", 4, 3, "both forms agree")
    printed = capsys.readouterr().out
    assert re.sub(BRACKETS, "", printed) == 7 * "ok  D2  both forms agree\n"
    assert "agree (found 2, expected 2.01, tolerance 0.02)\n" in printed
    assert "agree (found 2, expected below 3)\n" in printed
    claims.check_close("D2", [2.0, 4.0], [2.01, 4.0], atol=0.05, says="both", digits=3)
    claims.check_above("D2", 4, 3, "above", digits=2)
    printed = "ok  D2  both: found 2, expected 2.01, tolerance 0.05\n"
    assert capsys.readouterr().out == printed + "ok  D2  above: found 4, expected above 3\n"
    claims.refute("D33", True, "the share is larger")
    claims.refute("D33", True, "both", found=[1 / 3, torch.tensor([1e-9, 2048])])
    printed = "refuted  D33  the share is larger\nrefuted  D33  both (found 0.333, 1e-09, 2048)\n"
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (lambda: claims.check("D2", False, "both agree"), ["D2", "Eq. 1 = Eq. 2", "both agree"]),
        (lambda: claims.refute("D33", False, "the share"), ["D33", "evidence against it is gone"]),
        (
            lambda: claims.check_close("D13", 1.2, 1, rtol=0.1, says="s"),
            ["measured 1.2", "expected 1", "0.1"],
        ),
        (
            lambda: claims.check_close("D13", [1, float("nan")], 1, atol=1, says="s"),
            ["measured nan", "entry (1,)"],
        ),
        (
            lambda: claims.check_close("D13", [1, 2.5, 3], [1, 2, 3], atol=0.1, says="s"),
            ["2.5", "expected 2", "(1,)"],
        ),
        (lambda: claims.check_close("D13", float("inf"), 1, rtol=9, says="s"), ["measured inf"]),
        (
            lambda: claims.check_below("D26", [1.0, 3.0], 2.0, "s"),
            ["measured 3, expected below 2", "(1,)"],
        ),
        (lambda: claims.check_below("D26", 2.0, 2.0, "s"), ["measured 2, expected below 2"]),
        (lambda: claims.check_below("D26", float("nan"), 2.0, "s"), ["measured nan"]),
        (lambda: claims.check_above("D26", 1.0, 2.0, "s"), ["measured 1, expected above 2"]),
    ],
)
def test_a_failed_check_shows_the_claim_and_the_numbers(call, shown):
    with pytest.raises(AssertionError) as error:
        call()
    assert all(words in str(error.value) for words in shown), error.value


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: claims.check("D99", True, "s"),
            ValueError,
            "no claim 'D99' in the ledger; did you mean 'D9",
        ),
        (lambda: claims.check("d2", True, "s"), ValueError, "did you mean 'D2'"),
        (lambda: claims.check("D2", 0.5, "s"), TypeError, "expected True or False, got a float"),
        (lambda: claims.check("D2", torch.ones(2) > 0, "s"), TypeError, r"bool\(....all\(\)\)"),
        (lambda: claims.check_close("D2", 1, 1, says="s"), ValueError, "rtol or atol > 0"),
        (
            lambda: claims.check_close("D2", [], 1, atol=1, says="s"),
            ValueError,
            "nothing was measured",
        ),
        (
            lambda: claims.check_below("D2", [1, 2], [1, 2, 3], "s"),
            ValueError,
            r"shape \(2,\).*\(3,\)",
        ),
        (lambda: claims.render(ids=["X1"]), ValueError, "no claim 'X1'"),
    ],
)
def test_a_wrong_call_says_what_was_expected(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_the_rendered_ledger_fits_the_page_and_counts():
    text = claims.render()
    assert max(map(len, text.splitlines())) <= 100
    counts = [int(n) for n in re.findall(r"\d+", text.split("\n\n")[-1])]
    assert counts[0] == sum(counts[1:]) == len(claims.ledger())
    assert claims.render(ids=["D30"]).splitlines()[-1] == "1 claim: 1 needs data under licence"


def test_the_short_ledger_has_a_line_a_claim():
    lines = claims.render(short=True).splitlines()
    for line, claim in zip(lines, claims.ledger(), strict=True):
        assert line.split()[0] == claim.id and claim.status in line and len(line) <= 100
    assert claims.render(ids=["D31"], short=True).startswith("D31 ")
    with pytest.raises(ValueError, match="expected one of them, got both"):
        claims.render(as_json=True, short=True)


def test_the_ledger_as_json_holds_every_field():
    rows = json.loads(claims.render(as_json=True))
    assert [row["id"] for row in rows] == [claim.id for claim in claims.ledger()]
    assert {"id", "paper", "claim", "check", "status", "where", "note"} == set(rows[0])

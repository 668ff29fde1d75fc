"""Models of lines: fitted, measured, searched, and at the doors of the command line."""

import html
import math
import random
import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from vaelab import grammar, lines, models, networks, widgets
from vaelab.cli import main
from vaelab.grammar import distance_to, draw_lines, expressions, molecules
from vaelab.training import Session

QUIET = Session(device="cpu", progress=False)
SMALL = {"channels": (16,), "width": 32, "hidden": 50}
FIT = lines.LinePlan(
    network_options=SMALL, latent_dim=8, epochs=4, batch_size=50, lr=1e-2, held_out=100
)
PLAN = lines.SearchPlan(rounds=3, batch=8, n_points=100, n_draws=150)
SCORE = distance_to("x + sin(x)")


@pytest.fixture(scope="module")
def words():
    return draw_lines(expressions(), 900, 8, seed=0)


@pytest.fixture(scope="module")
def fitted(words):
    return lines.fit(words, plan=FIT, session=QUIET)


def search(fitted, score=SCORE, plan=PLAN, checkpoint=None):
    given = fitted.model, fitted.density, fitted.trained
    return lines.search(*given, score, plan, checkpoint, progress=False)


# ---- fitting and measuring


def test_the_figures_are_those_that_counting_gives(fitted, words):
    assert set(fitted.trained) | set(fitted.held_out) == set(words)
    assert len(fitted.held_out) == 100 and not set(fitted.trained) & set(fitted.held_out)
    x = expressions().encode(fitted.held_out, fitted.model.image_shape[0])
    back = expressions().decode(fitted.model.reconstruct(x))
    right = sum(a == b for a, b in zip(back, fitted.held_out, strict=True))
    assert fitted.figures["reconstructed"] == right / 100
    shares = fitted.figures["samples"]["mixture"]
    assert all(0 <= share <= 1 for share in shares.values()) and shares["valid"] > 0.5


def test_a_stopped_training_goes_on_to_the_same_model(fitted, words, tmp_path):
    def stop(run, epoch, values):
        if epoch == 3:
            raise KeyboardInterrupt

    kept = replace(QUIET, checkpoint=tmp_path / "state", checkpoint_every=0.0)
    with pytest.raises(KeyboardInterrupt) as stopped:
        lines.fit(words, plan=FIT, session=replace(kept, callback=stop))
    assert "the same call goes on from there" in stopped.value.__notes__[0]
    with pytest.raises(ValueError, match="belongs to another run"):
        lines.fit(words, plan=replace(FIT, lr=2e-2), session=kept)
    again = lines.fit(words, plan=FIT, session=kept)
    assert again.figures == fitted.figures and again.held_out == fitted.held_out


def test_the_kl_of_a_vae_is_that_of_its_posterior_at_any_weight(words):
    fit = lines.fit(words, plan=replace(FIT, model="grammar_vae", epochs=1), session=QUIET)
    q = fit.model.codes(expressions().encode(fit.held_out, 9))
    exact = q.kl_to_standard_normal().mean().item()
    assert fit.figures["kl"] == pytest.approx(exact, rel=1e-6) and exact > 0


def test_a_length_is_found_or_taken(words):
    assert lines.fitting.encoded(expressions(), words, None).shape == (900, 9)
    assert lines.fitting.encoded(expressions(), words, 12).shape == (900, 12)
    deep = grammar.Grammar("S -> A \n A -> B \n B -> C \n C -> D \n D -> E S | E \n E -> 'x'")
    assert lines.fitting.encoded(deep, ["xxxxx"], None).shape == (1, 31)


def test_characters_are_judged_by_the_grammar(words):
    plan = replace(FIT, model="character_rae", epochs=1)
    fit = lines.fit(words, plan=plan, session=QUIET)
    assert fit.model.likelihood.grammar.n_rules == 13
    shares = lines.fitting._shares(["x + 1", "x +", None, "x + 1"], expressions(), {"1"})
    assert shares == {"valid": 0.5, "unique": 0.5, "new": 1.0}


def test_too_few_lines_and_unknown_models_are_refused(words):
    with pytest.raises(ValueError, match="at least 110 lines, 100 of them held out, got 50"):
        lines.fit(words[:50], plan=FIT)
    with pytest.raises(ValueError, match="did you mean 'grammar_vae'"):
        lines.LinePlan(model="grammar_vea")
    with pytest.raises(ValueError, match=r"lines 3 and 901 are both .*give each once"):
        lines.fit([*words, words[2].replace(" ", "")], plan=FIT)
    nets = networks.mlp((1, 2, 2), 2, (4,))
    with pytest.raises(TypeError, match="expected one of lines"):
        lines.search(models.rae(nets), None, words, SCORE)


@pytest.mark.parametrize("name", ["length", "held_out", "latent_dim", "epochs", "n_components"])
def test_numbers_of_a_plan_are_checked_before_a_training(name):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number"):
        lines.LinePlan(**{name: 0})


def test_spaces_of_a_line_are_the_grammar_s(words):
    tight = lines.fit([line.replace(" ", "") for line in words], plan=replace(FIT, epochs=1))
    loose = lines.fit(words, plan=replace(FIT, epochs=1), session=QUIET)
    assert tight.figures == loose.figures and tight.trained == loose.trained


# ---- the search


def test_expected_improvement_is_the_integral():
    for mean, std, best in ((0.3, 0.7, 0.1), (-1.0, 0.2, 0.5), (4.0, 1.0, 0.0)):
        points = (mean - 9 * std, min(best, mean + 9 * std))
        by_hand = quad(lambda y, m=mean, s=std, b=best: (b - y) * norm.pdf(y, m, s), *points)[0]
        found = lines.expected_improvement(np.array([mean]), np.array([std]), best)
        assert found[0] == pytest.approx(by_hand, rel=1e-6, abs=1e-12)


def test_a_search_scores_new_lines_and_repeats_by_its_seed(fitted):
    found = search(fitted)
    assert len(found.lines) == len(set(found.lines)) == 24
    assert not set(found.lines) & set(fitted.trained)
    assert found.scores.tolist() == [min(SCORE(line), 10) for line in found.lines]
    assert found.curve[-1] == found.scores.min() == found.best[0][0]
    assert found.data_best == min(map(SCORE, fitted.trained))
    assert found.rounds.tolist() == [1] * 8 + [2] * 8 + [3] * 8
    assert len(found.table().splitlines()) == 4
    assert search(fitted).lines == found.lines
    assert search(fitted, plan=replace(PLAN, seed=1)).lines != found.lines


def test_a_stopped_search_goes_on_to_the_same_lines(fitted, tmp_path):
    whole = search(fitted)
    path = tmp_path / "deep" / "search"
    counted = []

    def stops(line):
        counted.append(line)
        if len(counted) == len(fitted.trained) + 12:
            raise KeyboardInterrupt
        return SCORE(line)

    with pytest.raises(KeyboardInterrupt) as stopped:
        search(fitted, stops, checkpoint=path)
    assert "stopped after 1 rounds" in stopped.value.__notes__[0]
    calls = []
    again = search(fitted, lambda line: calls.append(line) or SCORE(line), checkpoint=path)
    assert again.lines == whole.lines and again.scores.tolist() == whole.scores.tolist()
    assert len(calls) == 24 - 11, "what was scored is not scored again"
    assert search(fitted, None, checkpoint=path).lines == whole.lines
    longer = search(fitted, plan=replace(PLAN, rounds=4), checkpoint=path)
    assert longer.lines[:24] == whole.lines and len(longer.lines) == 32
    with pytest.raises(ValueError, match="belongs to another search, of other seed"):
        search(fitted, plan=replace(PLAN, rounds=4, seed=7), checkpoint=path)
    with pytest.raises(ValueError, match="of other rounds"):
        search(fitted, checkpoint=path)


def test_a_score_that_raises_names_its_line_and_loses_nothing(fitted, tmp_path):
    path = tmp_path / "search"
    count = len(fitted.trained) + 10

    def breaks(line, seen=[]):  # noqa: B006
        seen.append(line)
        if len(seen) == count:
            raise ZeroDivisionError("of mine")
        return SCORE(line)

    with pytest.raises(ValueError, match=r"score of '.+' raised ZeroDivisionError: of mine.*kept"):
        search(fitted, breaks, checkpoint=path)
    assert search(fitted, checkpoint=path).lines == search(fitted).lines


def test_scores_of_given_lines_are_kept_too(fitted, tmp_path):
    calls = []

    def stops(line):
        calls.append(line)
        if len(calls) == 300:
            raise KeyboardInterrupt
        return math.nan if len(calls) == 7 else SCORE(line) + 20

    with pytest.raises(KeyboardInterrupt):
        search(fitted, stops, checkpoint=tmp_path / "search")
    with pytest.raises(ValueError, match="no line given has a score below cap=10"):
        search(fitted, stops, checkpoint=tmp_path / "search")
    assert len(calls) == len(fitted.trained) + 1
    wider = search(fitted, stops, replace(PLAN, cap=40.0), tmp_path / "search")
    assert len(calls) == len(fitted.trained) + 25 and wider.data_best >= 20


def test_a_search_that_finds_nothing_new_ends_with_what_it_has(fitted, monkeypatch):
    monkeypatch.setattr(fitted.model, "images", lambda z: few[:1].expand(len(z), -1))
    few = expressions().encode(["3 + 3 + 3 + 3"], fitted.model.image_shape[0])
    with pytest.warns(UserWarning, match="round 2: none of 300 candidates is a new line.*ends"):
        assert search(fitted).lines == ["3 + 3 + 3 + 3"]
    few = expressions().encode(fitted.trained[:1], fitted.model.image_shape[0])
    with pytest.raises(ValueError, match="round 1: none of 300 candidates"):
        search(fitted)


def test_scores_without_a_value_are_capped_and_counted(fitted):
    odd = iter([math.nan, math.inf, -math.inf, 1e9])
    known = set(fitted.trained)
    found = search(fitted, lambda line: SCORE(line) if line in known else next(odd, 2.0))
    assert found.n_capped == 4 and found.scores.tolist() == [10.0] * 4 + [2.0] * 20
    with pytest.raises(ValueError, match="no line given has a score below cap=10"):
        search(fitted, lambda line: math.nan)
    with pytest.raises(ValueError, match="raised TypeError"):
        search(fitted, lambda line: None)


def test_numbers_outside_their_range_are_refused():
    for bad in ({"rounds": 0}, {"batch": 0}, {"spread": -1.0}, {"cap": math.nan}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}.*expected"):
            lines.SearchPlan(**bad)


# ---- the command line


def refused(capsys, *arguments):
    assert main([*map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_the_command_line_searches_trains_and_samples(tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(draw_lines(expressions(), 1000, 8, 1)), encoding="utf-8")
    out = tmp_path / "run"
    options = ["--lines", path, "--epochs", 12, "--rounds", 2, "--batch", 5, "--device", "cpu"]
    command = ["search", "expressions", "--target", "1/3 + x", *options, "--out", out]
    assert main([*map(str, command)]) == 0
    first = capsys.readouterr().out
    assert "best of the 900 lines given" in first and "round  scored" in first
    (table,) = out.glob("search-*.csv")
    assert len(table.read_text().splitlines()) == 11 and len(list(out.glob("*.png"))) == 1
    assert main([*map(str, command)]) == 0
    assert "holds the model of this command" in capsys.readouterr().out
    assert "other settings or lines" in refused(capsys, *command, "--seed", 3)
    assert main(["sample", str(out), "-n", "9"]) == 0
    assert (out / "samples.txt").exists() and "lines of 9 draws" in capsys.readouterr().out
    assert "ends in .txt" in refused(capsys, "sample", out, "--out", tmp_path / "a.png")
    trained = ["train", path, "--epochs", 1, "--model", "character-rae", "--out", tmp_path / "c"]
    assert main([*map(str, trained)]) == 0
    assert "held-out lines that come back whole" in capsys.readouterr().out


def test_the_command_line_says_what_is_wrong(tmp_path, capsys):
    search = ["search", "expressions", "--out", tmp_path / "no"]
    assert "--target" in refused(capsys, *search)
    assert "'2x' at character 2" in refused(capsys, *search, "--target", "2x")
    assert "expected a finite value" in refused(capsys, *search, "--target", "log(x)")
    assert "__import__(" in refused(capsys, *search, "--target", "__import__('os')")
    assert "did you mean" in refused(capsys, "search", "expresions", "--target", "x")
    missing = refused(capsys, *search, "--target", "x", "--lines", tmp_path / "none.txt")
    assert "expected a text file" in missing
    assert "expected --lines FILE" in refused(capsys, "search", "molecules")
    assert "none.txt: expected a text file" in refused(capsys, "train", tmp_path / "none.txt")
    far = refused(capsys, *search, "--target", "10**300*x", "--epochs", 0)
    assert "--epochs: expected a whole number ≥ 1" in far
    assert not (tmp_path / "no" / "run.json").exists()


FILES = {
    "few": (b"x\n1\n" * 9, "at least 11 lines, 1 of them held out, got 2"),
    "same": (b"x+1\nx + 1\n" * 50, "at least 11 lines, 1 of them held out, got 1"),
    "bad": (b"x\r\n\r\n\xef\xbb\xbfy\r\n", r"bad.txt, line 3: .* expected '\(', .*, got "),
    "bad token": (b"\xef\xbb\xbfx\n\nx + y\n", r"line 3: 'x \+ y' at character 5.*got 'y'"),
    "empty": (b"", "holds no line"),
    "blank": (b" \r\n\t\n", "holds no line"),
    "bytes": (bytes(range(256)), r"bytes.txt: expected text in UTF-8"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_of_lines_is_one_line_of_advice(name, tmp_path, capsys):
    content, words = FILES[name]
    path = tmp_path / f"{name}.txt"
    path.write_bytes(content)
    out = tmp_path / "no"
    for command in (("train", path), ("search", "expressions", "--target", "x", "--lines", path)):
        message = refused(capsys, *command, "--out", out)
        assert re.search(words, message) and message.count("\n") == 1, message
    assert not out.exists()


GRAMMARS = {
    "no arrow": (b"S 'a'", "line 1: expected NAME -> symbols"),
    "undefined": (b"S -> a S", "the start, S, derives nothing.*terminals: in quotes"),
    "twice": (b"S -> 'a'\r\nS -> 'a'", "line 2: the rule S -> 'a' stands twice"),
    "empty": (b"", "expected rules such as"),
    "bytes": (b"S -> '\xff'", "expected text in UTF-8"),
    "ambiguous": (b"S -> 'a' S | 'a' T | 'b'\nT -> 'a' S", "line 1: 'aab' has two parses"),
    "other": (b"S -> 'a'", "line 1: 'aab' at character 2"),
}


@pytest.mark.parametrize("name", GRAMMARS)
def test_a_bad_file_of_rules_is_refused(name, tmp_path, capsys):
    content, words = GRAMMARS[name]
    path, rules = tmp_path / "words.txt", tmp_path / "rules.txt"
    path.write_text("aab\n" * 20, encoding="utf-8")
    rules.write_bytes(content)
    command = ("train", path, "--grammar", rules, "--out", tmp_path / "no")
    assert re.search(words, refused(capsys, *command))


@pytest.mark.filterwarnings("ignore:no line can come of Q; masked")
def test_a_grammar_of_one_s_own_is_trained_and_loads(tmp_path):
    rules, path, out = tmp_path / "rules.txt", tmp_path / "words.txt", tmp_path / "run"
    rules.write_bytes(b"\xef\xbb\xbfS -> 'a' S 'b' | '' | Q\r\n")
    words = ("a " * n + "b " * n for n in range(1, 30))
    path.write_text("\n".join(words), encoding="utf-8-sig")
    options = ["--grammar", rules, "--epochs", 1, "--device", "cpu", "--out", out]
    assert main([*map(str, ["train", path, *options])]) == 0
    assert main(["sample", str(out), "-n", "3"]) == 0


def test_molecules_without_rdkit_say_what_to_install(tmp_path, capsys):
    path = tmp_path / "lines.smi"
    path.write_text("CC\nCO\n", encoding="utf-8")
    try:
        import rdkit  # noqa: F401
    except ModuleNotFoundError:
        assert "vaelab[molecules]" in refused(capsys, "search", "molecules", "--lines", path)


# Scores that You et al. (2018) have written in their repository, by their own code.
PUBLISHED = {
    "C": -6.229620227953575,
    "CN": -1.771601728246278,
    "CC(O)S": -1.7642386136840171,
    "C=C(Br)C=NC": -2.272666570577574,
}


def test_penalised_log_p_is_the_published_one():
    pytest.importorskip("rdkit")
    for line, score in PUBLISHED.items():
        assert molecules.penalised_log_p(line, standardised=True) == pytest.approx(score, abs=1e-9)
    assert molecules.is_molecule("CCO") and not molecules.is_molecule("C1CC")
    for nothing in ("C1CC", "C(C)(C)(C)(C)C", ""):
        assert math.isnan(molecules.penalised_log_p(nothing))
    rings = [molecules.penalised_log_p(f"C1{'C' * n}C1") for n in (4, 5, 6)]
    assert rings[0] - rings[1] == pytest.approx(rings[1] - rings[2]) and rings[0] > rings[1]


@pytest.mark.long
def test_molecules_are_searched(tmp_path, capsys):
    pytest.importorskip("rdkit")
    path, out = tmp_path / "lines.smi", tmp_path / "run"
    chains = ["".join(atoms) for n in (1, 2, 3, 4) for atoms in product("CNOS", repeat=n)]
    some = random.Random(0).sample(chains, 250)
    path.write_text("\n".join(f"{line} name" for line in some), encoding="utf-8")
    options = ["--epochs", 120, "--rounds", 1, "--batch", 4, "--device", "cpu", "--out", out]
    assert main([*map(str, ["search", "molecules", "--lines", path, *options])]) == 0
    shown = capsys.readouterr()
    assert "warning" not in shown.err
    rows = [line.split(",") for line in (out / "search-log-p.csv").read_text().splitlines()[1:]]
    assert len(rows) == 4
    for _, value, _, line in rows:
        score = molecules.penalised_log_p(line)
        assert float(value) == pytest.approx(-10 if math.isnan(score) else score, rel=1e-5)


def test_grammars_of_a_file_are_read(tmp_path):
    from vaelab.cli.lines import grammar_of

    path = tmp_path / "mine.txt"
    path.write_text("S -> 'a' S | 'b'", encoding="utf-8")
    assert grammar_of(str(path), None).n_rules == 3
    assert grammar_of(None, tmp_path / "a.smi") is grammar.smiles()
    with pytest.raises(ValueError, match="expressions, smiles or a file of rules"):
        grammar_of("none", None)


def test_torch_is_left_as_it_was(fitted):
    before = torch.get_rng_state()
    search(fitted, plan=replace(PLAN, rounds=1))
    assert torch.equal(before, torch.get_rng_state())


# ---- the view of two lines


def test_the_view_shows_what_lies_between_two_lines(fitted):
    view = widgets.LineInterpolator(fitted.model, "x", "sin( x ) / 2")
    own, length = fitted.model.likelihood.grammar, fitted.model.image_shape[0]
    z = fitted.model.codes(own.encode(["x", "sin( x ) / 2"], length)).mean
    for t in (0.0, 0.25, 1.0):
        view.position.value = t
        (line,) = own.decode(fitted.model.images(z[:1] + t * (z[1:] - z[:1])))
        assert view.line == line and view.error is None
        assert (line or "unfinished") in view.formula.value
        assert bool(line) == ("-> " in html.unescape(view.tree.value))
    before = view.image.value
    view.second.value = "x * x"
    assert view.error is None and view.image.value != before


def test_the_view_refuses_other_lines_and_models(fitted):
    view = widgets.LineInterpolator(fitted.model, "x", "2")
    shown = view.line, view.image.value
    for text, words in (("x + ) 3", "expected"), ("x + x + x + x + x + x", "rules")):
        view.first.value = text
        assert isinstance(view.error, ValueError) and words in str(view.error)
        assert (view.line, view.image.value) == shown
    view.first.value = "3"
    assert view.error is None
    with pytest.raises(ValueError, match="expected"):
        widgets.LineInterpolator(fitted.model, "x", "y")
    for text in ("exp( exp( x * x ) )", "1 / ( x * 1 )"):
        view.first.value = text
        assert view.error is None and view.first.value == text
    view.first.value = "__import__( 'os' )"
    assert "at character 1" in str(view.error)
    own = grammar.Grammar("S -> 'a' S | 'a'")
    other = models.grammar_rae(networks.sequence(4, 2, own.n_rules), own)
    with pytest.raises(ValueError, match="expected a model of formulas in x: 'a' at character 1"):
        widgets.LineInterpolator(other, "a", "aa")
    nets = networks.mlp((1, 2, 2), 2, (4,))
    with pytest.raises(TypeError, match="expected one of lines"):
        widgets.LineInterpolator(models.rae(nets), "x", "2")

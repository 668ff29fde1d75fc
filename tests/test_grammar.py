"""Grammars: lines to rules and back, masks, draws, and formulas that nobody evaluates for us."""

import itertools
import math
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab import (
    Generative,
    densities,
    grammar,
    load,
    models,
    networks,
    page,
    posteriors,
    save,
    training,
)
from vaelab.grammar import Formula, Grammar, distance_to, draw_lines, expressions, smiles
from vaelab.grammar.formulas import POINTS

TARGET = "1/3 + x + sin(x*x)"
MOLECULES = [
    "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1",
    "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1",
    "Cc1ccc(/C=C2\\SC(N3CC[NH2+]CC3)=NC2=O)cc1",
    "N#Cc1ccc([N+](=O)[O-])cc1Cl",
]


def real_lines(*names):
    paths = [Path(os.environ.get("VAELAB_DATA", "")) / name for name in names]
    if not all(path.is_file() for path in paths):
        pytest.skip("the file of lines is not here; VAELAB_DATA says where data sets lie")
    return [line for path in paths for line in grammar.read_lines(path)]


# ---- parsing and writing back


def every_line(words, longest):
    for n in range(longest + 1):
        for line in itertools.product(words, repeat=n):
            yield " ".join(line)


def leftmost(g, longest):
    """Every line that a grammar derives in at most so many rules, with its derivations."""
    found = {}
    agenda = [((), (0,))]
    for rules, stack in agenda:
        if not stack:
            found.setdefault(g.write(rules), []).append(list(rules))
        elif len(rules) < longest:
            options = np.flatnonzero(g.masks[stack[0]])
            agenda += [((*rules, int(r)), g.step(stack, int(r))) for r in options]
    return found


@pytest.mark.parametrize(
    "text",
    [
        "S -> S 'a' T | T \n T -> 'b' | 'c' S 'd'",
        "S -> 'a' S 'b' | ''",
        "S -> A B \n A -> 'a' A | '' \n B -> 'b' | B 'a' 'b'",
        "S -> B S 'a' | 'b' \n B -> ''",
        "S -> 'a' A 'c' | 'a' B 'd' \n A -> 'b' | 'b' A \n B -> 'b' | 'b' B",
        "S -> S S 'a' | 'b'",
        "S -> S 'a' S | 'b'",
        "S -> 'a' 'b' | A 'b' \n A -> 'a'",
    ],
)
def test_a_parse_is_the_derivation_that_brute_force_finds(text):
    g = Grammar(text, joint=" ")
    known = leftmost(g, 13)
    for line in every_line(g.terminals, 5):
        derivations = known.get(line, [])
        if len(derivations) == 1:
            assert g.parse(line) == derivations[0] and g.write(g.parse(line)) == line
            continue
        words = "has two parses" if derivations else "at character"
        with pytest.raises(ValueError, match=words) as error:
            g.parse(line)
        if derivations:
            shown = str(error.value)
            assert sum(g.tree(rules) in shown for rules in derivations) >= 2


def test_the_named_grammars_are_the_grammar_vae_s():
    assert expressions().n_rules == 12 and smiles().n_rules == 76
    assert [str(smiles().rules[n]) for n in np.flatnonzero(~np.array(smiles().live))] == [
        "BACH -> charge class",
        "BACH -> class",
    ]
    assert not smiles().masks[:, ~np.append(smiles().live, True)].any()
    for line in MOLECULES:
        assert smiles().write(smiles().parse(line)) == line


@pytest.mark.long
def test_every_given_expression_is_read_and_written():
    lines = real_lines("expressions/equation2_15_dataset.txt")
    x = expressions().encode(lines, 14)
    assert x.dtype == torch.uint8 and x.shape == (100_000, 14)
    assert expressions().decode(x) == lines


@pytest.mark.long
def test_every_given_molecule_is_read_and_written():
    lines = real_lines("zinc/valid.txt", "zinc/test.txt")
    assert smiles().decode(smiles().encode(lines, 244)) == lines and len(lines) == 29_445


def test_a_grammar_joined_by_nothing_is_read_by_characters():
    g = Grammar("S -> A B \n A -> 'a' | 'ab' \n B -> 'c' | 'bc' | 'aa'")
    assert g.parse("aaa") == [0, 1, 5] and g.write([0, 1, 5]) == "aaa"
    with pytest.raises(ValueError, match="'abc' has two parses"):
        g.parse("abc")
    with pytest.raises(
        ValueError, match="'ax' at character 2, after 'a': expected 'a', 'b', 'c', got"
    ):
        g.parse("ax")
    assert [str(rule) for rule in g.characters().rules][-2:] == ["line -> 'c' line", "line -> ''"]


def test_spaces_are_free_where_the_grammar_joins_by_spaces():
    assert expressions().parse(" x+1 ") == expressions().parse("x + 1")
    with pytest.raises(ValueError, match="'C C' at character 2"):
        smiles().parse("C C")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x + + 1", r"'x \+ \+ 1' at character 5, after 'x \+ ': expected '\(', .*'3', got '\+'"),
        ("x + y", r"character 5, after 'x \+ ': expected '\(', 'sin\(', .*'3', got 'y'"),
        ("sin( x", r"character 7, .*expected '\+', '\*', '/', '\)', got the end of the line"),
        ("x )", r"expected '\+', '\*', '/', the end of the line, got '\)'"),
        ("", r"'' at character 1: expected .* got the end of the line"),
    ],
)
def test_a_line_outside_the_grammar_says_where_and_what_was_expected(line, words):
    with pytest.raises(ValueError, match=words):
        expressions().parse(line)


def test_an_ambiguous_line_shows_both_parses_at_any_length():
    g = Grammar("E -> E '+' E | 'x'")
    assert g.parse("x+x") == [0, 1, 1]
    for n in (2, 30):
        with pytest.raises(ValueError, match=r"two parses:\nE -> E '\+' E\n(.*\n)+and\nE -> E"):
            g.parse("x" + "+x" * n)


# ---- grammars of a reader's own


def test_a_symbol_that_derives_nothing_is_named_and_its_rules_masked():
    text = "S -> 'a' S | 'b' | Q 'c' \n Q -> Q 'd' | missing"
    with pytest.warns(UserWarning, match=r"of Q, missing; masked: S -> Q 'c'; Q -> Q 'd'; Q -> mi"):
        g = Grammar(text)
    assert g.masks.sum(1).tolist() == [2, 0, 0, 1]
    assert g.parse("aab") == [0, 0, 1]
    with pytest.raises(ValueError, match="rule 2 does not expand S"):
        g.write([2, 3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S -> S 'a'", "the start, S, derives nothing"),
        ("S -> 'a' Q", "the start, S, derives nothing"),
        ("S -> S | 'a'", "S derives itself"),
        ("S -> A | 'a' \n A -> B S B \n B -> ''", "derives itself"),
        ("S 'a'", r"line 1: expected NAME -> symbols"),
        ("S -> 'a'\nT -> b $", r"line 2: .*'\$' has no meaning outside of quotes"),
        ("S -> 'a' | 'b' | 'a'", "line 1: the rule S -> 'a' stands twice"),
        ("# nothing\n\n", "expected rules such as"),
        ("\n".join(f"S -> 'a{n}'" for n in range(256)), "at most 255 rules"),
    ],
)
def test_text_that_is_no_grammar_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        Grammar(text)


def test_comments_and_both_kinds_of_quotes():
    g = Grammar("""S -> "it's" S | '#' | '"'  # a comment with a '#'""")
    assert g.write(g.parse("it's#")) == "it's#" and g.terminals == ["it's", "#", '"']
    free = g.characters()
    assert free.decode(free.encode(["#it's\""], 7)) == ["#it's\""]


def test_bad_doors_are_clear():
    with pytest.raises(ValueError, match="joint: expected '' or ' '"):
        Grammar("S -> 'a'", joint=", ")
    with pytest.raises(ValueError, match=r"line 2: .* takes 4 rules; expected at most length=3"):
        expressions().encode(["x", "x + x"], 3)
    with pytest.raises(ValueError, match="line 1: 'y' at character 1"):
        expressions().encode(["y"], 3)
    with pytest.raises(ValueError, match="at least one line"):
        expressions().encode([], 3)
    with pytest.raises(ValueError, match="rule 4 does not expand S"):
        expressions().write([4])
    with pytest.raises(ValueError, match="unfinished: S, T waits"):
        expressions().write([0])
    with pytest.raises(ValueError, match="rule 3 does not expand the empty stack"):
        expressions().write([3, 7, 3])
    for bad in (200, -1, 12):
        with pytest.raises(ValueError, match=f"rule {bad} does not expand S"):
            expressions().write([bad])
        with pytest.raises(ValueError, match=f"rule {bad} does not expand S"):
            expressions().step((0,), bad)
        assert expressions().decode(torch.tensor([[bad]])) == [None]
    assert expressions().decode(torch.tensor([[math.nan]])) == [None]
    with pytest.raises(ValueError, match="rule 4 does not expand S"):
        expressions().tree([4])
    with pytest.raises(ValueError, match=r"rule numbers \(n, length\), got shape \(2,\)"):
        expressions().decode(torch.tensor([3, 7]))
    for call, words in (
        (lambda: expressions().encode("x"), "several lines, got one: 'x'; put it in brackets"),
        (lambda: expressions().encode([None]), "a line of text, got None"),
        (lambda: expressions().parse(3), r"a line of text, got 3 \(int\)"),
        (lambda: Formula(None), "a line of text, got None"),
        (lambda: Grammar(None), "the rules of a grammar as text, got NoneType"),
    ):
        with pytest.raises(TypeError, match=words):
            call()


def test_files_of_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("x + 1\n\n  x \r\n", encoding="utf-8")
    assert grammar.read_lines(path) == ["x + 1", "x"]
    path.write_bytes(b"\xef\xbb\xbfx+1\r\n\r\nx + 1\r\n1")
    assert grammar.read_lines(path, expressions()) == ["x + 1", "1"]
    path.write_text("x\n\nx +\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lines\.txt, line 3: 'x \+' at character 4"):
        grammar.read_lines(path, expressions())
    smi = tmp_path / "lines.smi"
    smi.write_text("CCO\tethanol\n\nCC ZINC 2\n", encoding="utf-8")
    assert grammar.read_lines(smi) == ["CCO", "CC"]
    path.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds no line"):
        grammar.read_lines(path)
    path.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(ValueError, match="expected text in UTF-8"):
        grammar.read_lines(path)
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(FileNotFoundError, match="check the path"):
            grammar.read_lines(place)


# ---- the stack machine


def test_the_machine_of_many_lines_takes_the_steps_of_one():
    for g in (expressions(), smiles(), Grammar("S -> 'a' S 'b' | ''"), Grammar("S -> 'a'")):
        generator = torch.Generator().manual_seed(0)
        scores = torch.randn(20, 30, g.n_rules, generator=generator)
        rules = grammar.expand(scores, grammar.tables(g))
        for each, row in zip(scores, rules.tolist(), strict=True):
            stack = (0,)
            for step, rule in zip(each, row, strict=True):
                allowed = g.masks[stack[0] if stack else -1]
                assert rule == np.where(allowed, step, -np.inf).argmax()
                stack = g.step(stack, rule)
            assert (g.decode(torch.tensor([row]))[0] is None) == bool(stack)


def test_padding_ends_a_line():
    x = expressions().encode(["x", "x + 1"], 6)
    assert x.tolist() == [[3, 7, 11, 11, 11, 11], [0, 3, 7, 8, 11, 11]]
    assert expressions().decode(x.float() / 255) == ["x", "x + 1"]


# ---- draws


def test_derivations_are_counted_as_brute_force_counts_them():
    for g in (expressions(), Grammar("S -> 'a' S 'b' S | '' | 'c'")):
        count = grammar.derivations(g)
        found = [rules for each in leftmost(g, 6).values() for rules in each]
        for n in range(7):
            assert count((0,), n) == sum(len(rules) == n for rules in found)


def test_draws_are_uniform_and_follow_from_the_seed():
    lines = draw_lines(expressions(), 64, 4, seed=3)
    assert len(set(lines)) == 64 and lines == draw_lines(expressions(), 64, 4, seed=3)
    assert set(lines) == set(leftmost(expressions(), 4))
    firsts = [draw_lines(expressions(), 1, 4, seed)[0] for seed in range(2000)]
    share = sum(len(line) == 1 for line in firsts) / 2000
    assert abs(share - 4 / 64) < 5 * math.sqrt(4 / 64 * 60 / 64 / 2000)


def test_too_few_lines_are_refused():
    with pytest.raises(ValueError, match="has 64 derivations of at most 4 rules"):
        draw_lines(expressions(), 65, 4)
    with pytest.raises(ValueError, match="too many rules to count"):
        grammar.derivations(expressions())((0,), 5000)
    with pytest.raises(ValueError, match="found 1 different lines"):
        draw_lines(Grammar("S -> 'a' | A \n A -> 'a'"), 2, 2)


# ---- formulas


def test_a_formula_is_what_python_makes_of_it():
    names = {name: getattr(np, name) for name in ("sin", "exp", "cos", "tanh", "sqrt", "abs")}
    texts = draw_lines(expressions(), 300, 14, seed=1)
    texts += ["2**3**2", "-x**2", "8/2/2", "1-2-3", "2*-x", "+.5 + 10. - 2.25", "tanh(x)*abs(x)"]
    texts += ["sqrt(x*x)", "-(-x)", "cos(x)**2 + sin(x)**2", "pi*x"]
    for text in texts:
        with np.errstate(all="ignore"):
            right = eval(text, {"x": POINTS, "pi": np.pi, **names}) * np.ones_like(POINTS)
        np.testing.assert_allclose(Formula(text)(POINTS), right, rtol=1e-12)
    assert float(Formula("2^3")(np.zeros(()))) == 8


@pytest.mark.parametrize(
    "text", ["__import__('os')", "x.__class__", "2x", "x**", "2 3", "1 .5", "y", "", "lambda: 1"]
)
def test_nothing_but_formulas_is_read(text):
    with pytest.raises(ValueError, match="expected"):
        Formula(text)


def test_a_formula_may_be_deep_long_and_large():
    assert Formula("(" * 4000 + "x" + ")" * 4000)(POINTS)[0] == -10
    assert Formula("x" + "+x" * 4000)(np.ones(1)) == 4001
    assert Formula("." + "0" * 5000 + "1")(np.zeros(1)) == 0
    assert Formula("9" * 5000)(np.zeros(1)) == math.inf


def test_the_distance_to_a_target():
    score = distance_to(TARGET)
    assert score(TARGET) == 0
    error = np.mean((np.sin(POINTS**2) + 1 / 3) ** 2)
    assert score("x") == pytest.approx(math.log(1 + error))
    assert math.isnan(score("(x - x) / (x - x)")) and math.isinf(score("1 / (x - x)"))
    assert math.isinf(score("exp( exp( x ) )")) and score("exp( x * x )") > 100
    with pytest.raises(ValueError) as error:
        distance_to("9" * 5000 + "y")
    assert "at character 5001, after '999" in str(error.value) and len(str(error.value)) < 400
    for bad in ("log(x)", "sqrt(x)", "1/(x-x)", "exp(exp(x))", "9" * 400):
        with pytest.raises(ValueError, match="expected a finite value at each of 1000 points"):
            distance_to(bad)


def test_a_named_grammar_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        smiles.__wrapped__()


def test_random_text_never_breaks_the_reader():
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("SAB'->| abc#\n", k=rng.randint(0, 40)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                g = Grammar(text)
            except ValueError:
                continue
        assert g.live.count(True) > 0


# ---- models of lines


@pytest.fixture(scope="module")
def lines():
    return draw_lines(expressions(), 1000, 6, seed=0)


@pytest.fixture(scope="module")
def rae(lines):
    with networks.seeded(0):
        model = models.grammar_rae(networks.sequence(7, 12, channels=(16, 32), width=48))
    x = expressions().encode(lines, 7)
    plan = training.Plan(epochs=25, lr=8e-3, batch_size=50, schedule=training.Cosine())
    training.fit_plan(model, x[:900], plan, training.Session(device="cpu", progress=False))
    return model


def test_a_model_of_lines_learns_and_its_density_gives_lines(rae, lines):
    x = expressions().encode(lines, 7)
    density = densities.GaussianMixture(3).fit(rae, x[:900])
    drawn = expressions().decode(rae.images(density.sample(300, seed=1)))
    rebuilt = expressions().decode(rae.reconstruct(x[900:]))
    assert sum(line is not None for line in drawn) > 200
    assert sum(a == b for a, b in zip(rebuilt, lines[900:], strict=True)) > 25
    assert set(drawn) - set(lines) - {None}


def test_a_loaded_model_of_lines_writes_the_same_lines(rae, tmp_path):
    density = densities.StandardNormal().fit_codes(posteriors.Point(torch.zeros(2, 12)))
    save(tmp_path / "run", rae, density)
    again = load(tmp_path / "run")
    assert again.model.likelihood.grammar.rules == expressions().rules
    assert torch.equal(again.sample(20), rae.images(density.sample(20)))


def test_lines_pass_through_an_estimator(lines):
    rows = expressions().encode(lines[:100], 15).double() / 255
    vae = Generative("grammar_vae", network="sequence", latent_dim=3, epochs=1, random_state=0)
    vae.fit(rows.numpy())
    drawn = torch.as_tensor(vae.sample(5, random_state=1))
    assert len(expressions().decode(drawn)) == 5
    assert np.isfinite(vae.score_samples(rows[:4].numpy())).all()


def test_what_does_not_fit_a_model_of_lines_is_refused(rae):
    with pytest.raises(ValueError, match=r"build the networks with networks\.sequence"):
        models.grammar_rae(networks.mlp((1, 8, 8), 2)).loss_terms(torch.zeros(2, 1, 8, 8))
    with pytest.raises(ValueError, match=r"build the networks with .*n_rules=12"):
        models.grammar_rae(networks.sequence(15, 2, n_rules=7)).loss_terms(torch.zeros(2, 15))
    with pytest.raises(ValueError, match="expected the length of a line"):
        networks.sequence((1, 8, 8))
    with pytest.raises(ValueError, match="recurrent layers cannot pass for several models"):
        training.fit_together([rae], torch.zeros(4, 7), training.Plan(epochs=1), seeds=[0])
    with pytest.raises(ValueError, match="model of images"):
        save_and_open_page(rae)


def save_and_open_page(model):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save(f"{folder}/run", model)
        page.build(load(f"{folder}/run"), None)

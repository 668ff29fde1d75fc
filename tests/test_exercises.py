import functools
import math
import re

import numpy as np
import pytest
import torch

from vaelab import exercises, manifolds, priors, theory
from vaelab.course.exercises import EXERCISES, QUIZZES, check, find, verdict

SLIPS = [
    (exercise, words)
    for exercise in EXERCISES.values()
    for words in exercise.answers(*exercise.arguments()[0])[1]
]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=lambda e: e.id)
def test_the_right_answer_is_right(exercise, capsys):
    check(exercise.id, exercise.right)
    said = re.fullmatch(
        r"ok    (\S+) \(found (\S+), expected (\S+), tolerance \S+\)\n", capsys.readouterr().out
    )
    assert said[1] == exercise.id and said[2] == said[3] and math.isfinite(float(said[2]))


def test_every_exercise_says_what_it_asks():
    assert all(exercise.answers.__doc__ for exercise in EXERCISES.values())
    assert len(SLIPS) >= 161


@pytest.mark.parametrize(("exercise", "words"), SLIPS, ids=lambda v: getattr(v, "id", None))
def test_every_slip_is_named(exercise, words, capsys):
    check(exercise.id, lambda *arguments: exercise.answers(*arguments)[1][words])
    named = f"slip  {exercise.id}  {words}\n"
    assert capsys.readouterr().out == (
        f"todo  {exercise.id}\n" if words == exercise.planted else named
    )


def test_a_planted_fault_is_to_find_and_stands_in_the_stub():
    planted = [exercise for exercise in EXERCISES.values() if exercise.planted]
    assert len(planted) >= 2
    assert all(
        exercise.planted in exercise.answers(*exercise.arguments()[0])[1] for exercise in planted
    )


def test_later_cells_go_on_with_the_reader_s_answer_or_ours():
    def twice(log_sigma):
        return log_sigma * 2.0

    assert exercises.given("A.2", twice) is twice
    assert exercises.given("A.2", lambda log_sigma: log_sigma)(torch.tensor(3.0)) == 6.0
    assert exercises.given("00.1", lambda *arguments: ...) is find("00.1").ours


def test_a_quiz_answers_back():
    view = exercises.quiz("00.5")
    assert sorted(view.choice.options) == sorted(QUIZZES["00.5"]["choices"])
    view.choice.value = view.right
    assert view.reply.value.startswith("<b>Yes.</b>") and view.error is None
    with pytest.raises(ValueError, match=r"quiz: expected one of '00\.5', .*, got '99\.9'"):
        exercises.quiz("99.9")


@pytest.mark.parametrize("quiz", QUIZZES)
def test_every_choice_of_a_quiz_earns_a_sentence(quiz):
    question, choices = QUIZZES[quiz].values()
    assert question.endswith("?") and 3 <= len(choices) <= 5 and all(choices.values())


def test_right_answers_against_independent_formulas():
    normal = torch.distributions.Normal
    mu, log_var = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    q, p = normal(mu, (0.5 * log_var).exp()), normal(torch.zeros_like(mu), torch.ones_like(mu))
    torch.testing.assert_close(
        find("01.1").right(mu, log_var), torch.distributions.kl_divergence(q, p).sum(1)
    )

    gamma = torch.tensor(0.4, dtype=torch.float64)
    log_p = normal(log_var, gamma.sqrt()).log_prob(mu).sum(1)
    torch.testing.assert_close(find("01.2").right(mu, log_var, gamma), -log_p)

    best = find("01.3").right(mu, log_var)
    nll = [find("01.2").right(mu, log_var, best * factor).mean() for factor in (0.99, 1.0, 1.01)]
    assert nll[1] < min(nll[0], nll[2])

    p, x = manifolds.skewed(), torch.linspace(-2, 3, 5, dtype=torch.float64)
    C, gamma = p.covariances()[:, 0, 0], torch.tensor(0.1, dtype=torch.float64)
    torch.testing.assert_close(
        find("02.1").right(x, p.weights, p.means[:, 0], C, gamma),
        p.convolve(0.1).log_prob(x[:, None]).exp(),
    )
    vae = theory.optimal_vae(manifolds.manifold("flat", p, r=1))
    slope = vae.jacobian(x[:, None])[:, 0, 0]
    torch.testing.assert_close(
        find("02.2").right(slope, gamma), vae.scale(x[:, None], 10.0)[:, 0, 0]
    )
    truth = manifolds.manifold("helix", "bimodal")
    optimum = find("03.2").right(3, 1, gamma, truth.entropy())
    assert optimum.item() == pytest.approx(theory.certified_optimum(truth, 0.1))
    assert find("03.1").right(3, 1, 4) == (truth.d - truth.r) / 2

    x, y = (
        np.random.default_rng(0).normal(size=(5, 2)),
        np.random.default_rng(1).normal(size=(3, 2)),
    )
    k = lambda a, b: math.exp(-((a - b) ** 2).sum())  # noqa: E731
    pairs = lambda a: [k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j]  # noqa: E731
    brute = np.mean(pairs(x)) + np.mean(pairs(y)) - 2 * np.mean([k(a, b) for a in x for b in y])
    matrix = lambda a, b: torch.tensor([[k(i, j) for j in b] for i in a])  # noqa: E731
    assert find("06.3").right(matrix(x, x), matrix(y, y), matrix(x, y)).item() == pytest.approx(
        brute, rel=1e-5
    )


@pytest.mark.parametrize("words", exercises.COMMON)
def test_what_is_wrong_in_any_exercise_is_named(words):
    change = exercises.COMMON[words]
    assert verdict(find("01.1"), lambda *each: change(find("01.1").right(*each))) == words
    if words.split()[-1] != "further":
        assert verdict(find("06.3"), lambda *each: change(find("06.3").right(*each))) == words


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        (lambda mu, log_var: ..., "todo  01.1"),
        (lambda mu, log_var: (_ for _ in ()).throw(NotImplementedError), "todo  01.1"),
        (lambda mu, log_var: None, "slip  01.1  your function returned None: is a return missing?"),
        (
            lambda mu: mu,
            "slip  01.1  your function raised TypeError: <lambda>() takes 1 positional argument",
        ),
        (
            lambda mu, log_var: 1 / 0,
            "slip  01.1  your function raised ZeroDivisionError: division by zero",
        ),
        (
            lambda mu, log_var: (_ for _ in ()).throw(ValueError),
            "slip  01.1  your function raised ValueError: ",
        ),
        (
            lambda mu, log_var: "much",
            "slip  01.1  expected numbers or tensors back, got str 'much'",
        ),
        (lambda mu, log_var: {}, "slip  01.1  expected numbers or tensors back, got dict {}"),
        (
            lambda mu, log_var: [mu, [log_var]],
            "slip  01.1  expected numbers or tensors back, got list",
        ),
        (lambda mu, log_var: mu.sum(1)[:2], "slip  01.1  expected shape (5,) back, got (2,)"),
        (
            lambda mu, log_var: mu.sum(1, keepdim=True),
            "slip  01.1  expected shape (5,) back, got (5, 1)",
        ),
        (
            lambda mu, log_var: find("01.1").right(mu, log_var)[:, None],
            "slip  01.1  expected shape (5,) back, got (5, 1); the numbers are there: squeeze()",
        ),
        (
            lambda mu, log_var: mu[:, :1] * 0 + 3,
            "slip  01.1  expected shape (5,) back, got (5, 1); one value a row: sum over dim 1",
        ),
        (lambda mu, log_var: mu.sum(1) / 0, "slip  01.1  the result holds NaN or infinite values"),
        (
            lambda mu, log_var: 3 * find("01.1").right(mu, log_var),
            "slip  01.1  the result is 3 times what",
        ),
        (
            lambda mu, log_var: find("01.1").right(mu, log_var) + 1,
            "slip  01.1  the result is 1 too much, everywhere",
        ),
        (lambda mu, log_var: mu.sum(1), "slip  01.1  the result differs: for example"),
        (0.5, "slip  01.1  expected a function, got float 0.5"),
        (lambda mu, log_var: mu.sum(0), "slip  01.1  expected shape (5,) back, got (3,)"),
        (lambda mu, log_var: mu * torch.rand(()), "slip  01.1  two calls give two results"),
    ],
)
def test_any_answer_gets_a_line_and_raises_nothing(answer, printed, capsys):
    check("01.1", answer)
    assert capsys.readouterr().out.startswith(printed)


def test_an_answer_may_be_numpy_or_python_or_single_precision(capsys):
    check("A.1", lambda loggamma: math.exp(2 * loggamma))
    check("A.1", lambda loggamma: np.exp(2 * loggamma.numpy()))
    check("01.1", lambda mu, log_var: find("01.1").right(mu.float(), log_var.float()))
    check("01.1", lambda mu, log_var: find("01.1").right(mu, log_var).requires_grad_())
    assert "slip" not in capsys.readouterr().out


def test_an_answer_that_changes_its_arguments_is_judged_by_its_result():
    def in_place(k_xx, k_yy, k_xy):
        k_xx, k_yy = k_xx.fill_diagonal_(0), k_yy.fill_diagonal_(0)
        return k_xx.sum() / 30 + k_yy.sum() / 12 - 2 * k_xy.mean()

    assert [verdict(find("06.3"), in_place) for _ in range(2)] == ["ok", "ok"]


def sigma_of(log_var):
    return (log_var / 2).exp()


def loop_of(*body, result="history"):
    """The loop of 00.1 with these lines for a batch."""
    lines = "".join(f"            {line}\n" for line in body)
    names = {"torch": torch}
    exec(f"{LOOP}{lines}    return {result}", names)
    return names["my_loop"]


LOOP = """\
def my_loop(loss, parameters, batches, epochs):
    optimizer = torch.optim.Adam(parameters)
    history = []
    for epoch in range(epochs):
        for batch in batches(epoch):
            value = loss(batch)
"""
CLEAR, BACK, STEP, KEEP = (
    "optimizer.zero_grad()",
    "value.backward()",
    "optimizer.step()",
    "history.append(value.item())",
)


def by_epoch(loss, parameters, batches, epochs):
    return [[loss(batch).item() for batch in batches(epoch)] for epoch in range(epochs)]


@pytest.mark.parametrize(
    ("number", "answer", "named"),
    [
        ("00.1", lambda loss, *_: [loss.item()], "loss is a function"),
        ("00.1", lambda loss, parameters, batches, n: [loss(b)(b) for b in batches(0)], "loss is"),
        ("00.1", lambda loss, parameters, batches, n: list(batches), "batches is a function"),
        ("00.1", by_epoch, "this is a list for each epoch"),
        ("00.1", loop_of(CLEAR, BACK, STEP, KEEP, result="..."), "the loop runs, but returns no"),
        ("00.1", loop_of(CLEAR, BACK, STEP), "the list is empty: append value.item()"),
        ("00.1", loop_of(CLEAR, STEP, KEEP), "the weights never move: value.backward() is missing"),
        ("00.1", loop_of(CLEAR, BACK, KEEP), "the weights never move: step() of the optimizer is"),
        ("00.1", loop_of(BACK, CLEAR, STEP, KEEP), "the weights never move: zero_grad() wipes out"),
        ("00.1", loop_of(CLEAR, STEP, BACK, KEEP), "the weights never move: zero_grad() wipes out"),
        ("00.2", lambda mu, v, eps: (mu + sigma_of(v) * eps).detach(), "no gradient passes: "),
        ("00.2", lambda mu, v, eps: mu.detach() + sigma_of(v) * eps, "no gradient passes to mu"),
        ("00.2", lambda mu, v, eps: mu + sigma_of(v.data) * eps, "no gradient passes to log_var"),
        ("06.1", lambda encode, x, eps, train: train(encode(x)), "train takes codes, one tensor"),
        ("06.2", lambda f, gamma, u, eps: f(u) + torch.sqrt(gamma) * eps, "γ is a plain number"),
        ("06.2", lambda f, gamma, u, eps: f(u) + gamma.sqrt() * eps, "γ is a plain number"),
    ],
)
def test_a_slip_that_no_number_shows_is_named(number, answer, named):
    assert verdict(find(number), answer).startswith(named)


@pytest.mark.parametrize("number", ["03.1", "06.3", "08.2"])
def test_numbers_that_are_not_there_are_not_said_to_be(number):
    exercise = find(number)
    told = verdict(exercise, lambda *arguments: torch.zeros(1))
    assert told == "expected shape () back, got (1,)"
    told = verdict(exercise, lambda *arguments: torch.as_tensor(exercise.right(*arguments))[None])
    assert told.startswith("expected shape () back, got (1,); the numbers are there: squeeze()")


class Priors(priors.Prior):
    """A reader's mixture; `learned` are the parts that are parameters."""

    def __init__(self, latent_dim, n, learned=("means", "widths", "logits"), width=1.0, spread=1.0):
        super().__init__()
        means, widths = torch.randn(2, n, latent_dim)
        start = {"means": spread * means, "widths": width * widths.exp()}
        for name, value in (start | {"logits": torch.randn(n)}).items():
            setattr(self, name, torch.nn.Parameter(value, requires_grad=name in learned))

    def log_prob(self, z):
        each = torch.distributions.Normal(self.means, self.widths).log_prob(z[:, None]).sum(-1)
        return self.total(each + self.logits.log_softmax(-1))

    total = staticmethod(lambda each: each.logsumexp(-1))


class Largest(Priors):
    total = staticmethod(lambda each: each.amax(-1))


class One(Priors):
    def log_prob(self, z):
        return torch.distributions.Normal(self.means[0], self.widths[0]).log_prob(z).sum(-1)


class Signed(Priors):
    """Its widths may be negative."""

    def log_prob(self, z):
        standard = (z[:, None] - self.means) / self.widths
        each = -(0.5 * (standard.square() + priors.LOG_2_PI) + self.widths.log()).sum(-1)
        return self.total(each + self.logits.log_softmax(-1))


class Heavier(Priors):
    total = staticmethod(lambda each: each.logsumexp(-1) + 1.0)


@pytest.mark.parametrize(
    ("prior", "named"),
    [
        (Priors, "ok"),
        (lambda k, n: Priors(k, n, width=0.1), "ok"),
        (lambda k, n: Priors(k, n, width=4.0), "ok"),
        (lambda k, n: Priors(k, n, width=7.0), "ok"),
        (lambda k, n: Priors(k, n, spread=0.0), "ok"),
        (lambda k, n: Priors(k, n, spread=6.0), "ok"),
        (Largest, "the largest component alone is no mixture"),
        (lambda k, n: Largest(k, n, width=4.0), "the largest component alone is no mixture"),
        (One, "trained, it is one Gaussian still"),
        (lambda k, n: One(k, n, width=4.0), "trained, it is one Gaussian still"),
        (Signed, "ok"),
        (lambda k, n: Signed(k, n, width=-1.0), "trained, its log p is NaN"),
        (Heavier, "its mass after training is about 2.7, where a density's is 1"),
        (
            lambda k, n: Priors(k, n, ("widths", "logits")),
            "the widths are not learned, or the means",
        ),
        (lambda k, n: Priors(k, n, ("means", "logits")), "the widths are not learned"),
        (
            lambda k, n: Priors(k, n, ("means", "logits"), width=4.0),
            "trained, it is one Gaussian still: is it a logsumexp over all n, and are widths",
        ),
    ],
)
def test_a_prior_is_judged_by_what_a_density_is(prior, named):
    assert verdict(find("10.6"), prior).startswith(named)


class Slipped(priors.Prior):
    """A mixture with the one thing wrong in it that these words say."""

    def __init__(self, words, latent_dim, n):
        super().__init__()
        self.chosen = lambda others, usual: next(
            (other for start, other in others.items() if words.startswith(start)), usual
        )
        self.means = torch.nn.Parameter(torch.randn(n, latent_dim))
        self.log_scales = torch.nn.Parameter(torch.zeros(n, latent_dim))
        self.logits = torch.nn.Parameter(torch.zeros(n))
        self.requires_grad_(not words.startswith("nothing in it is learned"))

    def log_prob(self, z):
        z = self.chosen({"the code is detached": z.detach()}, z)
        scales = self.chosen({"the widths are not learned": 0 * self.log_scales}, self.log_scales)
        standard = (z.unsqueeze(-2) - self.means) * torch.exp(-scales)
        constant = self.chosen({"½ log 2π": 0, "log 2π": 2 * priors.LOG_2_PI}, priors.LOG_2_PI)
        scales = self.chosen({"the widths are learned, but −log σ is": 0}, scales)
        each = -(0.5 * (standard.square() + constant) + scales).sum(-1)
        weights = self.log_weights()
        log_p = torch.logsumexp(each + weights, -1)
        others = {
            "a mixture's logarithm is a logsumexp": (weights.exp() * each).sum(-1),
            "the largest component alone": (each + weights).amax(-1),
            "this is the density": log_p.exp(),
            "log_prob is one number a code": standard,
        }
        return self.chosen(others, log_p)

    def log_weights(self):
        logs = self.logits.log_softmax(-1)
        others = {
            "the weights do not add up to 1: its mass is n": torch.zeros_like(logs),
            "its mass grows as it learns": self.logits,
            "the largest cluster has less": torch.zeros_like(logs).log_softmax(-1),
            "the weights stand as they are": logs.exp(),
        }
        return self.chosen(others, logs)


@pytest.mark.parametrize("words", find("10.6").answers(2, 3)[1])
def test_each_slip_of_a_mixture_has_its_facts(words):
    assert verdict(find("10.6"), functools.partial(Slipped, words)) == words


def backward(decode, z, v):
    (decode(z) * v).sum().backward(create_graph=True)
    return z.grad.square().sum(1)


@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_probe_leaves_nothing_in_the_decoder_s_weights():
    assert verdict(find("09.2"), backward).startswith("backward() also fills the .grad of the dec")
    assert verdict(find("09.2"), lambda decode, z, v: v) == (
        "expected shape (3,) back, one value a code, got (3, 4)"
    )


def test_an_error_is_told_with_the_reader_s_own_line():
    def multiplied_as_matrices(mu, log_var, eps):
        sigma = sigma_of(log_var)
        return mu + sigma @ eps

    told = verdict(find("00.2"), multiplied_as_matrices)
    assert told.startswith("your function raised RuntimeError: mat1 and mat2 shapes")
    assert told.endswith(", in the line: return mu + sigma @ eps")
    assert verdict(find("00.2"), lambda mu: mu).endswith(
        "takes 1 positional argument but 3 were given"
    )


def test_a_loop_that_is_not_begun_is_to_do_and_a_watched_one_is_right():
    assert verdict(find("00.1"), lambda *arguments: ...) == "todo"
    assert verdict(find("00.1"), loop_of(CLEAR, BACK, STEP, KEEP)) == "ok"
    assert verdict(find("00.1"), loop_of(BACK, STEP, CLEAR, KEEP)) == "ok"


def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(ValueError, match=r"no exercise '01\.9'; did you mean '01\."):
        exercises.check("01.9", lambda: ...)

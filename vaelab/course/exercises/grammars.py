"""The exercises of notebook 13: a step of the stack, an expected improvement, a grammar."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal

from vaelab.course.exercises.exercise import Answers, Draw, Exercise, Inputs
from vaelab.grammar import Grammar
from vaelab.lines import is_valid


def stacks(draw: Draw) -> Inputs:
    """A stack, the next symbol first, and the symbols of a rule's right side; as numbers."""
    for n, m in ((4, 2), (3, 3), (5, 0), (1, 2)):
        drawn = torch.randperm(20, generator=draw.generator)[: n + m].tolist()
        yield drawn[:n], drawn[n:]


def one_step(stack: list[int], right: list[int]) -> Answers:
    """The stack after a rule has replaced its first symbol by those of the right side."""
    return [*right, *stack[1:]], {
        "the symbol that was replaced still stands there": [*right, *stack],
        "the new symbols go on top: they are to be replaced before those that wait": (
            [*stack[1:], *right]
        ),
        "the first symbol of the right side must come uppermost: the order is turned round": (
            [*right[::-1], *stack[1:]]
        ),
        "the top is the first of the stack, not the last": [*right, *stack[:-1]],
        "the top is at the front of this list: take off and put on there": [*stack[:-1], *right],
    }


def predictions(draw: Draw) -> Inputs:
    """Means and standard deviations (n,) of a Gaussian process, and the lowest score so far."""
    for n in (5, 3):
        yield draw(n), 0.5 + draw(n).abs(), draw()


def expected_improvement(mean: Tensor, std: Tensor, best: Tensor) -> Answers:
    """E max(best − y, 0) for y ~ N(mean, std²): to (n,)."""
    unit = Normal(mean.new_zeros(()), mean.new_ones(()))

    def improvement(gain: Tensor, scale: Tensor) -> Tensor:
        u = gain / scale
        return gain * unit.cdf(u) + scale * unit.log_prob(u).exp()

    gain = best - mean
    u = gain / std
    right = improvement(gain, std)
    return right, {
        "this looks for high scores: the improvement is best − y": improvement(-gain, std),
        "std is a standard deviation already: no root of it": improvement(gain, std.sqrt()),
        "u is divided by the variance: divide by std": (
            gain * unit.cdf(gain / std**2) + std * unit.log_prob(gain / std**2).exp()
        ),
        "this is the probability of an improvement, not its size": unit.cdf(u),
        "the second term, std φ(u), is missing": gain * unit.cdf(u),
        "φ(u) stands without its factor std": gain * unit.cdf(u) + unit.log_prob(u).exp(),
        "this is in units of std: multiply it by std": improvement(gain, std) / std,
        "log_prob is log φ(u): take its exp": gain * unit.cdf(u) + std * unit.log_prob(u),
        "this is the improvement of the mean, which knows nothing of doubt": gain.clamp(min=0),
    }


_WORDS = ["", "abb", "aabbbb", "aaabbbbbb", "a", "b", "ab", "aab", "aabb", "aaab", "abbbb"]
_WORDS += ["bba", "bab", "bbbbaa", "abbabb"]


def words(draw: Draw) -> Inputs:
    """Words of a and b."""
    yield (list(_WORDS),)


def twice_as_many(words: list[str]) -> Answers:
    """Which words are some number n ≥ 0 of a and then twice as many b, by a grammar of the reader's
    own: true or false for each.
    """

    def derived(text: str) -> list[bool]:
        return [is_valid(word, Grammar(text)) for word in words]

    right = derived("S -> 'a' S 'b' 'b' | ''")
    return right, {
        "the empty word is missing: n may be 0": derived("S -> 'a' S 'b' 'b' | 'a' 'b' 'b'"),
        "the numbers of a and b may differ: let one rule write both": derived(
            "S -> A B \n A -> 'a' A | '' \n B -> 'b' B | ''"
        ),
        "any order of a and b is allowed": derived("S -> 'a' S | 'b' S | ''"),
        "there are as many b as a: twice as many are asked for": derived("S -> 'a' S 'b' | ''"),
        "there are twice as many a as b: it is the other way round": derived(
            "S -> 'a' 'a' S 'b' | ''"
        ),
        "the b come first: every a comes before them": derived("S -> 'b' 'b' S 'a' | ''"),
        "there are twice as many b, in any order: every a comes first": [
            word.count("b") == 2 * word.count("a") for word in words
        ],
        "words may stand one after another, as abbabb": derived("S -> 'a' S 'b' 'b' S | ''"),
        "the empty word alone is derived: is the order right, has a word one derivation only?": (
            derived("S -> 'a' S 'b' 'b' | 'a' 'b' 'b' | ''")
        ),
        "true and false are exchanged": [not each for each in right],
    }


EXERCISES = (
    Exercise("13.1", one_step, stacks),
    Exercise("13.2", expected_improvement, predictions),
    Exercise("13.3", twice_as_many, words),
)

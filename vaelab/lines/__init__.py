"""Models of lines: trained, measured, and searched for the line with the best score.

    from vaelab import grammar, lines

    words = grammar.draw_lines(grammar.expressions(), 10_000, length=14)
    fitted = lines.fit(words)                                   # a GrammarRAE, a mixture, figures
    found = lines.search(fitted.model, fitted.density, words, grammar.distance_to("x + sin(x*x)"))
    found.best                                                  # the lines and their scores

Source: Ghosh et al. (2020), Section 6.2; Kusner, Paige & Hernández-Lobato (2017), Section 4.
"""

from vaelab.lines.fitting import Fitted, LinePlan, check_enough, fit, is_valid, measure, split
from vaelab.lines.search import Found, expected_improvement, normal_scores, search
from vaelab.lines.state import SearchPlan

__all__ = [
    "Fitted",
    "Found",
    "LinePlan",
    "SearchPlan",
    "check_enough",
    "expected_improvement",
    "fit",
    "is_valid",
    "measure",
    "normal_scores",
    "search",
    "split",
]

"""Context-free grammars as data: rules, masks, a stack machine, parsing and writing back.

    from vaelab import grammar

    words = grammar.expressions()              # or grammar.smiles(), or one of your own:
    mine = grammar.Grammar("S -> 'a' S 'b' | 'c'")
    rules = words.encode(["x + 1", "sin( x )"], length=15)       # bytes (2, 15)
    words.decode(rules)                                          # the lines again

A line is the sequence of the rules that derive it, and every one of them a byte, so that lines go
through the same doors as pictures.

Source: Kusner, Paige & Hernández-Lobato (2017), Grammar Variational Autoencoder.
"""

from vaelab.grammar.drawing import derivations, draw_lines
from vaelab.grammar.formulas import Formula, distance_to
from vaelab.grammar.grammar import Grammar, rule_numbers
from vaelab.grammar.machine import allowed, expand, tables
from vaelab.grammar.named import expressions, read_lines, read_text, smiles

__all__ = [
    "Formula",
    "Grammar",
    "allowed",
    "derivations",
    "distance_to",
    "draw_lines",
    "expand",
    "expressions",
    "read_lines",
    "read_text",
    "rule_numbers",
    "smiles",
    "tables",
]

"""The grammars of the Grammar VAE: arithmetic expressions in x, and molecules as SMILES."""

from __future__ import annotations

import functools
from pathlib import Path

from vaelab.grammar.grammar import Grammar

_EXPRESSIONS = """
S -> S '+' T | S '*' T | S '/' T | T
T -> '(' S ')' | 'sin(' S ')' | 'exp(' S ')'
T -> 'x' | '1' | '2' | '3'
"""
_SMILES = r"""
smiles -> chain
atom -> bracket_atom | aliphatic_organic | aromatic_organic
aliphatic_organic -> 'B' | 'C' | 'N' | 'O' | 'S' | 'P' | 'F' | 'I' | 'Cl' | 'Br'
aromatic_organic -> 'c' | 'n' | 'o' | 's'
bracket_atom -> '[' BAI ']'
BAI -> isotope symbol BAC | symbol BAC | isotope symbol | symbol
BAC -> chiral BAH | BAH | chiral
BAH -> hcount BACH | BACH | hcount
BACH -> charge class | charge | class
symbol -> aliphatic_organic | aromatic_organic
isotope -> DIGIT | DIGIT DIGIT | DIGIT DIGIT DIGIT
DIGIT -> '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8'
chiral -> '@' | '@@'
hcount -> 'H' | 'H' DIGIT
charge -> '-' | '-' DIGIT | '-' DIGIT DIGIT | '+' | '+' DIGIT | '+' DIGIT DIGIT
bond -> '-' | '=' | '#' | '/' | '\'
ringbond -> DIGIT | bond DIGIT
branched_atom -> atom | atom RB | atom BB | atom RB BB
RB -> RB ringbond | ringbond
BB -> BB branch | branch
branch -> '(' chain ')' | '(' bond chain ')'
chain -> branched_atom | chain branched_atom | chain bond branched_atom
"""


@functools.cache
def expressions() -> Grammar:
    """Arithmetic expressions in x, 12 rules with the padding.

    It says which lines are expressions and nothing of precedence: `value_of` reads them as anybody
    would.

    Source: Kusner, Paige & Hernández-Lobato (2017), Section 4.1.

    >>> expressions().write(expressions().parse("1/3 + x + sin(x*x)"))
    '1 / 3 + x + sin( x * x )'
    """
    return Grammar(_EXPRESSIONS, joint=" ")


@functools.cache
def smiles() -> Grammar:
    """Molecules as SMILES strings, 76 rules with the padding.

    `class` has no rules, and two that use it derive nothing: the authors' code masks them too.

    Source: Kusner, Paige & Hernández-Lobato (2017), Section 4.2, and their code.

    >>> smiles().write(smiles().parse("C[C@@H]1CC(=O)N1"))
    'C[C@@H]1CC(=O)N1'
    """
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return Grammar(_SMILES)


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file without those that are empty.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text, or no line in it.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a text file, one line an object; check the path")
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8, got other bytes ({error})") from error
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError(f"{path} holds no line; expected one object a line")
    return lines

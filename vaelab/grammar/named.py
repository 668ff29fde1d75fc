"""The grammars of the Grammar VAE: arithmetic expressions in x, and molecules as SMILES."""

from __future__ import annotations

import functools
from pathlib import Path

from vaelab._door import door
from vaelab._inputs import PathLike, check_path
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

    It says which lines are expressions and nothing of precedence: `Formula` reads them as anybody
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
    return Grammar(_SMILES, warn=False)


def read_text(path: str | Path) -> str:
    """The text of a file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text in UTF-8.
    """
    path = check_path("path", path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a text file; check the path")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8, got other bytes ({error})") from error


@door
def read_lines(path: PathLike, grammar: Grammar | None = None) -> list[str]:
    """The lines of a text file, one object a line, without those that are empty; of a .smi file the
    first word of each, which names follow.

    Args:
        path: of the file.
        grammar: if given, lines are written as it writes them, and each is taken once.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no text, no line in it, or a line outside the grammar, by its number.
    """
    words = Path(path).suffix == ".smi"
    lines = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        line = line.split()[0] if words and line.strip() else line.strip()
        try:
            if line:
                lines[number] = grammar.write(grammar.parse(line)) if grammar else line
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    if not lines:
        raise ValueError(f"{path} holds no line; expected one object a line")
    return list(dict.fromkeys(lines.values()) if grammar else lines.values())

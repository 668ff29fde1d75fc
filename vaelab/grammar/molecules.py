"""What a molecule is worth: log P, less what is hard to make, less large rings. Needs rdkit."""

from __future__ import annotations

from typing import Any

# Means and standard deviations of log P, accessibility and ring excess over the 250,000 molecules
# of ZINC: You et al. (2018), Graph Convolutional Policy Network, in their code.
_CENTERS = (2.4570953396190123, 3.0525811293166134, 0.0485696876403053)
_SCALES = (1.434324401111988, 0.8335207024513095, 0.2860212110245455)


def _molecule(line: str) -> Any:
    """The molecule of a SMILES line; None where it is none.

    Raises:
        ModuleNotFoundError: rdkit is not installed.
    """
    try:
        from rdkit import Chem, rdBase  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "molecules need rdkit, of the extra molecules: pip install 'vaelab[molecules]'",
            name=error.name,
        ) from error
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(line)


def is_molecule(line: str) -> bool:
    """Whether rdkit can make a molecule of a line: the grammar knows neither valences nor which
    rings are closed.

    Raises:
        ModuleNotFoundError: rdkit is not installed.
    """
    return _molecule(line) is not None


def penalised_log_p(line: str, standardised: bool = False) -> float:
    """log P − synthetic accessibility − (atoms of the largest ring beyond 6): the higher the
    better, NaN for what is no molecule.

    Source: Gómez-Bombarelli et al. (2018); Kusner, Paige & Hernández-Lobato (2017), Section 4.2,
    standardise each of the three by ZINC. Their rings are a cycle basis of networkx, ours the
    smallest rings: of 5,000 test molecules 27 have another excess.

    Args:
        line: SMILES.
        standardised: whether each of the three is first moved and scaled by its mean and standard
            deviation over ZINC, as printed scores are.

    Raises:
        ModuleNotFoundError: rdkit is not installed.
    """
    molecule = _molecule(line)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return float("nan")
    from rdkit.Chem import Crippen  # pyright: ignore[reportMissingImports]
    from rdkit.Contrib.SA_Score import sascorer  # pyright: ignore[reportMissingImports]

    rings = [len(ring) for ring in molecule.GetRingInfo().AtomRings()]
    excess = max(0, max(rings, default=0) - 6)
    parts = [Crippen.MolLogP(molecule), sascorer.calculateScore(molecule), excess]  # type: ignore[attr-defined]
    if standardised:
        pairs = zip(parts, _CENTERS, _SCALES, strict=True)
        parts = [(part - center) / scale for part, center, scale in pairs]
    return float(parts[0] - parts[1] - parts[2])

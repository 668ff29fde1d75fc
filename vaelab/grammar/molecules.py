"""What a molecule is worth: log P, less what is hard to make, less large rings. Needs rdkit."""

from __future__ import annotations

from typing import Any


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


def penalised_log_p(line: str) -> float:
    """log P − synthetic accessibility − (atoms of the largest ring beyond 6): the higher the
    better, NaN for what is no molecule.

    Source: Gómez-Bombarelli et al. (2018); Kusner, Paige & Hernández-Lobato (2017) standardise each
    of the three by the data, which moves and scales the figure.

    Raises:
        ModuleNotFoundError: rdkit is not installed.
    """
    molecule = _molecule(line)
    if molecule is None or molecule.GetNumAtoms() == 0:
        return float("nan")
    from rdkit.Chem import Crippen  # pyright: ignore[reportMissingImports]
    from rdkit.Contrib.SA_Score import sascorer  # pyright: ignore[reportMissingImports]

    rings = [len(ring) for ring in molecule.GetRingInfo().AtomRings()]
    log_p: float = Crippen.MolLogP(molecule)  # type: ignore[attr-defined]
    return log_p - sascorer.calculateScore(molecule) - max(0, max(rings, default=0) - 6)

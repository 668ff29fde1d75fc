"""`fit`: the only training loop. Adam, schedules for step size and γ, checkpoints that resume to
the same bytes.

`fit_together` is the same loop for several models in one pass.
"""

from vaelab.training.acceleration import PRECISIONS, OutOfMemory
from vaelab.training.loop import Run, TrainingDiverged, fit
from vaelab.training.schedules import Anneal, Cosine, HalveEvery, Hold
from vaelab.training.together import fit_together

__all__ = [
    "PRECISIONS",
    "Anneal",
    "Cosine",
    "HalveEvery",
    "Hold",
    "OutOfMemory",
    "Run",
    "TrainingDiverged",
    "fit",
    "fit_together",
]

"""`fit`: the only training loop. Adam, schedules for step size and γ, checkpoints that resume to
the same bytes. The step itself, nine lines, is `loop.step`.

`fit_together` is the same loop for several models in one pass.
"""

from vaelab.training.acceleration import PRECISIONS, OutOfMemory
from vaelab.training.batches import Given
from vaelab.training.loop import Run, TrainingDiverged, fit, fit_plan
from vaelab.training.plan import Plan, Session
from vaelab.training.schedules import Anneal, Cosine, HalveEvery, Hold, Ramp
from vaelab.training.together import fit_together

__all__ = [
    "PRECISIONS",
    "Anneal",
    "Cosine",
    "Given",
    "HalveEvery",
    "Hold",
    "OutOfMemory",
    "Plan",
    "Ramp",
    "Run",
    "Session",
    "TrainingDiverged",
    "fit",
    "fit_plan",
    "fit_together",
]

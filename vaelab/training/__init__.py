"""`fit`: the only training loop. Adam, schedules for step size and γ, checkpoints that resume to the same bytes."""

from vaelab.training.acceleration import OutOfMemory
from vaelab.training.loop import Run, TrainingDiverged, fit
from vaelab.training.schedules import Anneal, Cosine, HalveEvery, Hold

__all__ = ["Anneal", "Cosine", "HalveEvery", "Hold", "OutOfMemory", "Run", "TrainingDiverged", "fit"]

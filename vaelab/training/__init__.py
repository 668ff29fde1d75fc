"""`fit`: the only training loop. Adam, schedules for step size and γ, checkpoints that resume to the same bytes."""

from vaelab.training.acceleration import PRECISIONS, OutOfMemory
from vaelab.training.loop import Run, TrainingDiverged, fit
from vaelab.training.schedules import Anneal, Cosine, HalveEvery, Hold

__all__ = ["PRECISIONS", "Anneal", "Cosine", "HalveEvery", "Hold", "OutOfMemory", "Run", "TrainingDiverged", "fit"]

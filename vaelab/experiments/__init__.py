"""Runs with a protocol: train a two-stage VAE on images, measure it, the demonstration on digits, the papers' tables.

What is measured is said with it: the features of a Fréchet distance, the number of samples, the seeds, the versions.
"""

from vaelab.experiments.demonstration import demo, demo_pictures
from vaelab.experiments.measuring import N_SAMPLES, fit_densities, machine, measure
from vaelab.experiments.settings import DIGITS, Settings, build, second_stage, train

__all__ = [
    "DIGITS",
    "N_SAMPLES",
    "Settings",
    "build",
    "demo",
    "demo_pictures",
    "fit_densities",
    "machine",
    "measure",
    "second_stage",
    "train",
]

"""Runs with a protocol: train a two-stage VAE on images, measure it, the demonstration on digits,
the papers' tables.

What is measured is said with it: the features of a Fréchet distance, the number of samples, the
seeds, the versions.
"""

from vaelab.experiments.cells import Outcome, Place, read_cell, run_cells
from vaelab.experiments.demonstration import demo, demo_pictures
from vaelab.experiments.measuring import (
    N_SAMPLES,
    commit,
    fit_densities,
    machine,
    measure,
    measure_stages,
    noise_by_direction,
)
from vaelab.experiments.printing import Entry, Filled, as_markdown, as_text, fill
from vaelab.experiments.protocols import PROTOCOLS
from vaelab.experiments.runner import failures, run_table
from vaelab.experiments.settings import (
    DIGITS,
    MODELS,
    NETWORKS,
    Settings,
    build,
    second_stage,
    train,
    train_firsts,
)
from vaelab.experiments.tables import (
    PROFILES,
    TABLES,
    Cell,
    Profile,
    Row,
    Table,
    cells_of,
    published,
    settings_for,
)

__all__ = [
    "DIGITS",
    "MODELS",
    "NETWORKS",
    "N_SAMPLES",
    "PROFILES",
    "PROTOCOLS",
    "TABLES",
    "Cell",
    "Entry",
    "Filled",
    "Outcome",
    "Place",
    "Profile",
    "Row",
    "Settings",
    "Table",
    "as_markdown",
    "as_text",
    "build",
    "cells_of",
    "commit",
    "demo",
    "demo_pictures",
    "failures",
    "fill",
    "fit_densities",
    "machine",
    "measure",
    "measure_stages",
    "noise_by_direction",
    "published",
    "read_cell",
    "run_cells",
    "run_table",
    "second_stage",
    "settings_for",
    "train",
    "train_firsts",
]

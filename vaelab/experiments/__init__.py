"""Runs with a protocol: train a two-stage VAE on images, measure it, the demonstration on digits,
the papers' tables.

What is measured stands with its circumstances: the features of a Fréchet distance, the number of
samples, the seeds, the versions.
"""

from vaelab.experiments.cells import run_cells
from vaelab.experiments.demonstration import demo, demo_pictures
from vaelab.experiments.grid import Cell, Outcome, cells_of
from vaelab.experiments.measuring import (
    N_SAMPLES,
    Judge,
    fit_densities,
    judge_for,
    measure,
    measure_stages,
    noise_by_direction,
)
from vaelab.experiments.notes import LEGEND
from vaelab.experiments.places import Place
from vaelab.experiments.printing import Entry, Filled, as_markdown, as_text, fill
from vaelab.experiments.profiles import PROFILES, Profile, settings_for
from vaelab.experiments.protocols import PROTOCOLS
from vaelab.experiments.provenance import commit, machine
from vaelab.experiments.records import read_cell, read_table
from vaelab.experiments.runner import failures, run_table
from vaelab.experiments.settings import DIGITS, MODELS, NETWORKS, Settings, build, settings_from
from vaelab.experiments.stages import second_stage, train, train_firsts
from vaelab.experiments.tables import TABLES, Row, Table, published

__all__ = [
    "DIGITS",
    "LEGEND",
    "MODELS",
    "NETWORKS",
    "N_SAMPLES",
    "PROFILES",
    "PROTOCOLS",
    "TABLES",
    "Cell",
    "Entry",
    "Filled",
    "Judge",
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
    "judge_for",
    "machine",
    "measure",
    "measure_stages",
    "noise_by_direction",
    "published",
    "read_cell",
    "read_table",
    "run_cells",
    "run_table",
    "second_stage",
    "settings_for",
    "settings_from",
    "train",
    "train_firsts",
]

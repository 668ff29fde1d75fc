"""Runs with a protocol: train a two-stage VAE on images, measure it, the demonstration on digits,
the papers' tables.

What is measured stands with its circumstances: the features of a Fréchet distance, the number of
samples, the seeds, the versions.
"""

from vaelab.experiments.demonstration import demo
from vaelab.experiments.figures import FIGURES, Drawn, Subject
from vaelab.experiments.grid import PROFILES, Cell, Outcome, Profile, cells_of, settings_for
from vaelab.experiments.measuring import (
    measure,
    measure_stages,
    noise_by_direction,
)
from vaelab.experiments.places import SHIPPED, Place
from vaelab.experiments.printing import Entry, Filled, as_markdown, as_text, fill
from vaelab.experiments.protocols import PROTOCOLS
from vaelab.experiments.records import commit, machine, read_cell, read_table
from vaelab.experiments.runner import failures, run_table
from vaelab.experiments.searching import searched
from vaelab.experiments.settings import (
    DIGITS,
    FASHION_SMALL,
    LAPTOP,
    SMALL,
    SOONER,
    Settings,
    build,
    second_stage,
    settings_from,
)
from vaelab.experiments.stages import train
from vaelab.experiments.tables import PUBLISHED, TABLES, Row, Table, published

__all__ = [
    "DIGITS",
    "FASHION_SMALL",
    "FIGURES",
    "LAPTOP",
    "PROFILES",
    "PROTOCOLS",
    "PUBLISHED",
    "SHIPPED",
    "SMALL",
    "SOONER",
    "TABLES",
    "Cell",
    "Drawn",
    "Entry",
    "Filled",
    "Outcome",
    "Place",
    "Profile",
    "Row",
    "Settings",
    "Subject",
    "Table",
    "as_markdown",
    "as_text",
    "build",
    "cells_of",
    "commit",
    "demo",
    "failures",
    "fill",
    "machine",
    "measure",
    "measure_stages",
    "noise_by_direction",
    "published",
    "read_cell",
    "read_table",
    "run_table",
    "searched",
    "second_stage",
    "settings_for",
    "settings_from",
    "train",
]

"""What the command line says: of its letters, of its options, of a word that it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping

LETTERS = (
    "γ is the variance of the decoder's noise: the lower, the closer the reconstructions. λ are "
    "the eigenvalues of the encoder's covariance, one for each of the κ directions of the code: "
    "near 0 a direction carries the image, near 1 it carries nothing. r̂ counts the directions "
    "with λ < ½: it should be the dimension of the surface that the data lie on, not the number "
    "of pixels; near 0 the model has collapsed, and at κ that may be too small. Error, MMD² and "
    "Fréchet distance: lower is better. But a collapsed model has a small MMD² too: codes drawn "
    "for an image are noise from N(0, I) whatever the image."
)

PROFILES = (
    "quick (small subsets, four epochs), sketch (a small network, 5,000 images, minutes a column), "
    "laptop (the network of sketch, all images, three trials; some two hours a column on one "
    "core), full (a GPU, a quarter of the paper's epochs) or paper"
)

# Arguments of the package that are called otherwise on the command line.
_ALIASES = {"root": "data", "data set": "data_set"}


def translate(message: str, options: Mapping[str, str]) -> str:
    """Put a command's options in the place of the arguments that the package speaks of.

    >>> translate("side: expected a whole number", {"side": "--side"})
    '--side: expected a whole number'
    >>> translate("or with skip_bad=True", {"skip_bad": "--skip-bad"})
    'or with --skip-bad'
    >>> translate("pass side= or batch_size=8", {"side": "--side", "batch_size": "--batch-size"})
    'pass --side or --batch-size=8'
    """
    aliases = {name: options[dest] for name, dest in _ALIASES.items() if dest in options}
    named = {**aliases, **options}
    name = "|".join(map(re.escape, named))
    start, inside = rf"^({name})(?=[:,] )", rf"(?<![^ (])({name})(?:(?==\d)|=True\b|=(?![\w'\"]))"
    return re.sub(f"{start}|{inside}", lambda found: named[found[1] or found[2]], message)

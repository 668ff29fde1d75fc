"""What must stand below a table for its figures to be read: where they come from, what compares,
what the letters mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vaelab.experiments.provenance import commit_date

Record = Mapping[str, Any]  # As from `read_cell`.

LEGEND = (
    "γ: the decoder's variance; where it is learned it falls to the error per pixel that is left.",
    "λ: eigenvalues of the encoder's covariance, near 0 where a latent direction carries the "
    "image and near 1 where it is noise; r̂ counts the directions with λ < ½.",
    "MMD²: distance of codes from N(0, I); lower is better, 0 is best. A collapsed model (r̂ "
    "near 0) has a small one because its codes are noise, which are N(0, I) whatever the image.",
    "Fréchet: distance of samples from test images in some features; lower is better, and the "
    "floor is where as many training images stand.",
    "`vaelab demo` and a table differ: the demonstration compares samples as they are drawn, a "
    "table by its protocol, each with its own number of images, epochs and seeds.",
)


def notes_of(columns: Mapping[str, list[Record]], published: str, frechet: bool) -> list[str]:
    """What must be known of the records of each column.

    Args:
        columns: the records, by column.
        published: what the published figures are.
        frechet: whether the measured ones are Fréchet distances; otherwise MMD².
    """
    records = [record for some in columns.values() for record in some]
    shipped = [record for record in records if record["shipped"]]
    sizes = [(record["cell"]["profile"], record["cell"]["protocol"]) for record in records]
    return [
        f"figures: mean ± standard deviation over trials (how many); paper: {published}.",
        *dict.fromkeys(map(_origin, shipped)),
        *(f"profile {size}, protocol {protocol}." for size, protocol in dict.fromkeys(sizes)),
        *(_frechet_notes([some for some in columns.values() if some]) if frechet else _MMD),
    ]


def _origin(record: Record) -> str:
    machine = record["machine"]
    commit = record.get("commit")
    # A file that says no day has that of its code.
    day = record.get("date") or (commit and commit_date(commit)) or "on an unknown day"
    return (
        f"shipped: came with vaelab and was not measured here, but on {machine['device_name']} "
        f"(cores: {machine['cores']}), {day}; the command without --show measures it here."
    )


def _frechet_notes(columns: list[list[Record]]) -> list[str]:
    """Of which images and features the Fréchet distances are, and whether they compare."""
    notes = []
    for some in columns:
        if len({(r["cell"]["features"], r["data"]["fingerprint"]) for r in some}) > 1:
            notes.append(
                f"{some[0]['cell']['data_set']}: CAUTION, its cells are of different images or "
                "features, and do not compare."
            )
    last = [some[-1] for some in columns]
    for record in last:
        data = record["data"]
        notes.append(f"{data['name']}: {data['n_train']} training images. {data['source']}")
    for record in last:
        cell = record["cell"]
        notes.append(
            f"{cell['data_set']}: Fréchet distance of {record['measured']['n_samples']} samples "
            f"to the test images in the features of {cell['features']}."
        )
    if any(not record["cell"]["features"].startswith("Inception") for record in last):
        notes.append(
            "Such a distance is no FID: within a column the order of the rows compares, not the "
            "figures."
        )
    return list(dict.fromkeys(notes))


_MMD = (
    "MMD² with a sum of seven inverse multiquadratic kernels: only the ratio of the stages "
    "compares.",
)

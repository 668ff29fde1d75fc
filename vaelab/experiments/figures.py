"""The figures of Ghosh et al. (2020): the models of a table are trained as its cells are, and what
a figure draws is read off them.

- `ghosh-1`: Figs. 1, 4 and 5. Reconstructions, samples and ways between images, a row a model.
- `ghosh-3`: Fig. 3. Draws a step and the weight of the KL against the quality of a VAE.
- `ghosh-6`: Fig. 6. Samples, and under each the training image nearest to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vaelab import densities, metrics, models
from vaelab.experiments.cells import load_shared
from vaelab.experiments.grid import Cell, Profile
from vaelab.experiments.measuring import fit_densities
from vaelab.experiments.places import Place, stage_name
from vaelab.experiments.searching import searched
from vaelab.experiments.settings import Settings
from vaelab.experiments.stages import train_firsts
from vaelab.experiments.tables import GHOSH_1
from vaelab.interpolation import slerp

SHOWN = 6  # Images, samples and steps of a way, in a row.
DRAWS = (1, 5, 10)
GAMMAS = (0.001, 0.003, 0.01, 0.1, 0.3)


@dataclass(frozen=True)
class Drawn:
    """What a figure draws.

    Args:
        strips: images (n, channels, height, width) of each row, by its label.
        heads: titles over equal parts of a row.
        curves: panels by title; in each, values by label over what its "x" holds.
        note: how it was made.
    """

    strips: dict[str, Tensor] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    note: str = ""


class Subject:
    """A data set at the size of a profile, on which models are trained.

    Args:
        data_set, profile, seed: as for a cell of the table `ghosh-1`.
        place: where; trained models are kept there, and not trained again.
    """

    def __init__(self, data_set: str, profile: Profile, seed: int, place: Place) -> None:
        self.cell = Cell(GHOSH_1, data_set, "vae", seed, profile)
        self.place = place
        self.images, self.judge = load_shared(self.cell, place)
        self.n = min(profile.n_samples, len(self.images.train_pixels))

    @property
    def note(self) -> str:
        """Data, size and seed in a line."""
        name, size = self.cell.data_set, len(self.images.train_pixels)
        return f"{name}, {size} images, profile {self.cell.profile.name}, seed {self.cell.trial}"

    def model(self, settings: Settings) -> models.Autoencoder:
        """The first stage of those settings, trained."""
        settings, _ = searched(self.images, settings, self.judge, self.place.session)
        name = stage_name(settings, self.cell.profile.n_train, self.place.session)
        folder = self.place.runs / "figures" / self.cell.data_set / f"{name}-{settings.seed}"
        [(model, _)] = train_firsts(self.images, [settings], self.place.session, folder)
        return model

    def rows(self) -> Iterator[tuple[str, models.Autoencoder]]:
        """The table's models by label, each trained when it is asked for."""
        for key in dict.fromkeys(row.cell for row in GHOSH_1.rows if not row.second):
            cell = replace(self.cell, model=key)
            yield cell.row.label.partition(",")[0], self.model(cell.settings)

    def frechet(self, model: models.Autoencoder, z: Tensor | None = None) -> float:
        """The Fréchet distance of decoded codes, those of the test images unless given, from the
        test images.
        """
        z = model.codes(self.images.test_pixels).mean if z is None else z
        return self.judge.distance(self.judge.features(model.images(z)))

    def mixture(self, model: models.Autoencoder) -> densities.Density:
        """Ten components, fitted to the codes of the training images."""
        return densities.GaussianMixture(10).fit(model, self.images.train_pixels, self.cell.trial)


def decodings(subject: Subject) -> Drawn:
    """Figs. 1, 4, 5: for each model copies of test images, draws of a mixture of ten, and the arc
    between the codes of two test images.
    """
    x = subject.images.test[:SHOWN]
    t = torch.linspace(0, 1, SHOWN)
    strips = {"test images": torch.cat([x, torch.ones_like(x).repeat(2, 1, 1, 1)])}
    for label, model in subject.rows():
        codes = model.codes(x).mean
        way = slerp(codes[0], codes[1], t)
        draws = subject.mixture(model).sample(SHOWN, subject.cell.trial)
        strips[label] = model.images(torch.cat([codes, draws, way]))
    heads = ("reconstructions", "samples, mixture of ten", "from the first to the second")
    return Drawn(strips, heads, note=subject.note)


def nearest(subject: Subject) -> Drawn:
    """Fig. 6: draws of a mixture of ten, and the training image nearest to each."""
    strips = {}
    for label, model in subject.rows():
        drawn = model.images(subject.mixture(model).sample(2 * SHOWN, subject.cell.trial))
        index, _ = metrics.nearest(drawn, subject.images.train)
        strips[label] = drawn
        strips[f"nearest to {label}"] = subject.images.train[index]
    return Drawn(strips, ("samples, and the training images nearest to them",), note=subject.note)


def trade(subject: Subject) -> Drawn:
    """Fig. 3: for a VAE the draws a step against its reconstructions, and γ, which weighs the KL,
    against reconstructions and samples.
    """
    usual = subject.cell.settings
    copies = [subject.frechet(subject.model(_with(usual, draws=draws))) for draws in DRAWS]
    weighed: dict[str, list[float]] = {"x": list(GAMMAS), "reconstructions": []}
    for gamma in GAMMAS:
        model = subject.model(_with(usual, gamma=gamma, draws=1))  # One of them is there by now.
        weighed["reconstructions"].append(subject.frechet(model))
        fitted = fit_densities(model, None, subject.images.train_pixels, subject.cell.trial)
        for name, density in fitted.items():
            z = density.sample(subject.n, subject.cell.trial)
            weighed.setdefault(name, []).append(subject.frechet(model, z))
    curves = {
        "draws of z a step": {"x": list(DRAWS), "reconstructions": copies},
        "γ, the weight of the KL": weighed,
    }
    return Drawn(curves=curves, note=subject.note)


def _with(settings: Settings, **arguments: Any) -> Settings:
    return replace(settings, arguments={**settings.arguments, **arguments})


FIGURES = {"ghosh-1": decodings, "ghosh-3": trade, "ghosh-6": nearest}

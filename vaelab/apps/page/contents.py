"""What a page holds beside its program: decoders as steps, codes, directions, densities."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import densities, models, posteriors
from vaelab._inputs import generator_of
from vaelab.apps.page.directions import Directions, directions, principal, unknown_directions
from vaelab.apps.page.steps import Plan, plan, run
from vaelab.checkpoints import Saved
from vaelab.data import Images, unit

Record = dict[str, Any]
N_CODES = 500  # points of the plane
N_EIGENVALUES = 2_000  # test images that λ is a mean over
N_FITTED = 5_000  # training images that the page's own densities are fitted to
N_STARTS = 10
N_CHECKED = 100
PIXEL_TOLERANCE = 0.5 / 255


def packed(values: Any, kind: str = "float32") -> list[str]:
    """An array for the page: the type of its numbers, and its bytes as text."""
    content = np.ascontiguousarray(values, dtype=kind).tobytes()
    return [kind, base64.b64encode(content).decode("ascii")]


@dataclass
class Contents:
    """What the page's program reads: plain data, and arrays as text.

    Args:
        saved: the trained model.
        images: what it was trained on, or None.
        seed: of every draw.
    """

    saved: Saved
    images: Images | None
    seed: int = 0
    notes: list[str] = field(default_factory=list)

    def read(self) -> Record:
        """Everything, by name.

        Raises:
            ValueError: not a model of images, broken weights, images of another shape.
        """
        model = self.saved.model
        shape = image_shape(model)
        check_weights("model", model)
        check_weights("second stage", getattr(self.saved.density, "vae", None))
        q, along = None, unknown_directions(model.latent_dim)
        if self.images is not None:
            q = model.codes(unit(self.images.test_pixels[:N_EIGENVALUES]))
            along = directions(q)
        means, draws = self._codes(q)
        ranges = self._ranges(draws, along)
        decoder = plan(model.decoder, model.latent_dim)
        z = self._checked_codes(draws, along, ranges)
        return {
            "shape": shape,
            "latent_dim": model.latent_dim,
            "decoder": self._plan("decoder", decoder, run(decoder, z), model.images(z)),
            "directions": self._directions(along, ranges),
            "plane": self._plane(means),
            "codes": {
                "n": len(means),
                "means": packed(means),
                "draws": packed(draws),
                "same": torch.equal(means, draws),
            },
            **self._shown(len(means)),
            "densities": self._densities(),
            "has_images": q is not None,
        }

    def _codes(self, q: posteriors.Distribution | None) -> tuple[Tensor, Tensor]:
        """Means of q(z given x) and one draw from each; without images, draws from the stored
        density twice.
        """
        if q is None:
            z = self.saved.density.sample(N_CODES, self.seed).float()
            return z, z
        first = q[:N_CODES]
        return first.mean.float(), densities.draw(first, self.seed).float()

    def _ranges(self, z: Tensor, along: Directions) -> Tensor:
        """How far each slider goes to either side: three standard deviations of q(z), and no code
        left out.
        """
        t = z @ along.matrix.T
        usual = t.mean(0).abs() + 3 * t.std(0, correction=0)
        reach = torch.maximum(usual, t.abs().amax(0))
        return (reach.clamp(min=0.5) * 2).ceil() / 2

    def _checked_codes(self, z: Tensor, along: Directions, ranges: Tensor) -> Tensor:
        """The codes at which pixels are compared: normal draws, codes of images, anywhere between
        the sliders' ends.
        """
        generator = generator_of(self.seed)
        normal = torch.randn(N_CHECKED, z.shape[1], generator=generator)
        shares = 2 * torch.rand(N_CHECKED, z.shape[1], generator=generator) - 1
        wide = shares * ranges @ along.matrix
        return torch.cat([normal, z[:N_CHECKED], wide]).to(next(self.saved.model.parameters()))

    def _plan(self, name: str, steps: Plan, pixels: Tensor, expected: Tensor) -> Record:
        """The plan for the page; how near its pixels are to PyTorch's goes into the notes."""
        error = (pixels.clamp(0, 1) - expected.clamp(0, 1)).abs().max().item()
        if not error <= PIXEL_TOLERANCE:
            raise ValueError(
                f"the {name}'s pixels differ from PyTorch's by {255 * error:.3g}/255; please "
                "report this"
            )
        self.notes.append(f"{name}: pixels within {255 * error:.2g}/255 of PyTorch's")
        written = [
            {
                key: packed(value) if isinstance(value, Tensor) else value
                for key, value in of.items()
            }
            for of in steps.steps
        ]
        return {"steps": written, "out": steps.out}

    def _directions(self, along: Directions, ranges: Tensor) -> Record:
        values = None if along.values is None else along.values.tolist()
        return {
            "kind": along.kind,
            "names": along.names,
            "matrix": packed(along.matrix),
            "values": values and [float(f"{value:.6g}") for value in values],
            "ranges": ranges.tolist(),
        }

    def _plane(self, means: Tensor) -> Record:
        sd, vectors = principal(means)
        return {
            "mean": packed(means.mean(0)),
            "vectors": packed(vectors[:2]),
            "sd": sd[:2].tolist(),
        }

    def _shown(self, n: int) -> Record:
        """The classes of n images, if there are any, and the codes to start from: one image of each
        class first, with its pixels; without images, the first draws.
        """
        images, labels, of = self.images, None, []
        if images is not None and images.test_labels is not None and images.classes:
            of = images.test_labels[:n].tolist()
            labels = {"classes": list(images.classes), "of": of}
        firsts = [of.index(label) for label in sorted(set(of))]
        order = list(dict.fromkeys([*firsts, *range(n)]))[:N_STARTS]
        starts: Record = {"codes": order, "pixels": None}
        if images is not None:
            pixels = (unit(images.test_pixels[order]) * 255).round()
            starts["pixels"] = packed(pixels, "uint8")
        return {"labels": labels, "starts": starts}

    def _densities(self) -> list[Record]:
        """N(0, I), the stored one, and, fitted here to the codes of images, a Gaussian and a
        mixture.
        """
        records = [{"name": "N(0, I)", "kind": "normal"}]
        stored = self.saved.density
        name = type(stored).__name__
        if isinstance(stored, densities.SecondStage):
            records.append(self._second(stored))
        elif isinstance(stored, densities.GaussianMixture):
            records.append(self._mixture(stored))
        elif not densities.is_standard_normal(stored):
            self.notes.append(
                f"the page cannot draw from the stored density, {name}; it is left out"
            )
        if self.images is not None:
            q = self.saved.model.codes(unit(self.images.train_pixels[:N_FITTED]))
            for density in (densities.Gaussian(), densities.GaussianMixture(min(10, len(q)))):
                record = self._mixture(density.fit_codes(q, self.seed))
                if record["name"] not in [other["name"] for other in records]:
                    records.append(record)
        return records

    def _mixture(self, density: densities.GaussianMixture) -> Record:
        state = density.state_dict()
        n = density.n_components
        return {
            "name": "Gaussian" if n == 1 else f"mixture of {n}",
            "kind": "mixture",
            "weights": (state["weights"] / state["weights"].sum()).tolist(),
            "means": packed(state["means"]),
            "factors": packed(torch.linalg.cholesky(state["covariances"])),
        }

    def _second(self, density: densities.SecondStage) -> Record:
        name = "second stage"
        second = density.vae
        model = self.saved.model
        generator = generator_of(self.seed + 1)
        u = torch.randn(N_CHECKED, model.latent_dim, generator=generator)
        u = u.to(next(second.parameters()))
        steps = plan(second.decoder, model.latent_dim)
        pixels = model.images(second.images(u))
        decoder = self._plan(name, steps, model.images(run(steps, u)), pixels)
        return {"name": name, "kind": "second", "gamma": density.gamma, "decoder": decoder}


def name_of_data(saved: Saved, images: Images | None) -> str | None:
    """What the images are called, or those that the model was trained on; None if not recorded."""
    return saved.data.get("name") if images is None else images.name


def image_shape(model: models.Autoencoder) -> list[int]:
    """(channels, height, width) of the model's images.

    Raises:
        ValueError: no images of one or three channels.
    """
    shape = list(model.image_shape)
    if len(shape) == 2:
        shape = [1, *shape]
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(
            "expected a model of images, grey or RGB, of shape (1 or 3, height, width), got "
            f"{shape}"
        )
    return shape


def check_weights(name: str, module: torch.nn.Module | None) -> None:
    """Raise ValueError if a weight is NaN or infinite."""
    for key, weight in () if module is None else module.state_dict().items():
        if not torch.isfinite(weight).all():
            raise ValueError(
                f"the {name}'s weights hold NaN or infinite values, first in {key}; train it again"
            )

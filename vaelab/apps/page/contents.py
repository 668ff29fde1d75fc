"""What a page holds beside its program: decoders as steps, codes, directions, densities, facts."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaelab import densities, metrics, models, posteriors
from vaelab.apps.page.steps import Plan, n_products, n_weights, plan, run, to_int16
from vaelab.checkpoints import Saved
from vaelab.data import Images

N_CODES = 500  # points of the plane
N_EIGENVALUES = 2_000  # test images that λ is a mean over
N_FITTED = 5_000  # training images that the page's own densities are fitted to
N_STARTS = 10
N_CHECKED = 100
SLOW = 2e8  # multiplications; a browser does some 500 million a second
PIXEL_TOLERANCE = 0.5 / 255  # of weights in int16, against PyTorch's float32


class Blob:
    """Arrays one after the other, each found again by its reference [first byte, length, type]."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, values: Any, kind: str = "float32") -> list:
        """Append an array, and give its reference; every array starts at a multiple of 4 bytes."""
        array = np.ascontiguousarray(values, dtype=kind)
        content = array.tobytes()
        content += bytes(-len(content) % 4)
        self.parts.append(content)
        self.size += len(content)
        return [self.size - len(content), array.size, kind]

    def base64(self) -> str:
        """All of it as text."""
        return base64.b64encode(b"".join(self.parts)).decode("ascii")


class Directions(NamedTuple):
    """Orthonormal directions of the latent space, the one that moves the picture most first.

    Args:
        matrix: a direction a row, shape (κ, κ).
        names: of the directions.
        values: what they are ordered by, shape (κ,); None if nothing is known of them.
        kind: "lambda" (mean eigenvalue of Σ_z, ascending), "sd" (standard deviation of the codes,
            descending), "none".
    """

    matrix: Tensor
    names: list[str]
    values: Tensor | None
    kind: str


def directions(q: posteriors.Point) -> Directions:
    """The directions that sliders move along, read off the posteriors of images.

    They are the eigenvectors of Σ_z's mean over the images: the axes, if every Σ_z is diagonal.
    Where all eigenvalues of all images are one number (a point, a constant variance), no direction
    is preferred, and they are the principal ones.

    >>> q = posteriors.DiagonalNormal(torch.zeros(4, 2), torch.tensor([[1.0, 0.1]] * 4), torch.zeros(4, 2))
    >>> directions(q).names
    ['z[1]', 'z[0]']
    """
    latent_dim, few = q.mean.shape[1], q[:100].eigenvalues()
    if few.min() == few.max():
        sd, vectors = principal(q.mean)
        return Directions(vectors, [f"pc[{j}]" for j in range(latent_dim)], sd, "sd")
    parts = (
        q[i : i + 100].covariance().double().sum(0) for i in range(0, len(q), 100)
    )  # κ² numbers an image
    mean = sum(parts) / len(q)
    if torch.equal(mean, torch.diag(mean.diagonal())):
        values, order = mean.diagonal().sort(stable=True)
        return Directions(
            torch.eye(latent_dim)[order],
            [f"z[{j}]" for j in order.tolist()],
            values.float(),
            "lambda",
        )
    values, vectors = torch.linalg.eigh(mean)
    return Directions(
        vectors.T.float(), [f"e[{j}]" for j in range(latent_dim)], values.float(), "lambda"
    )


def principal(z: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations (κ,), descending, and principal directions (κ, κ), one a row, of codes
    (n, κ).
    """
    variances, vectors = torch.linalg.eigh(
        z.double().T.cov(correction=0).reshape(z.shape[1], z.shape[1])
    )
    return variances.clamp(min=0).sqrt().flip(0).float(), vectors.T.flip(0).float()


@dataclass
class Contents:
    """What the page's program reads: plain data, and the arrays that it refers to.

    Args:
        saved: the trained model.
        images: what it was trained on, or None.
        seed: of every draw.
    """

    saved: Saved
    images: Images | None
    seed: int = 0
    blob: Blob = field(default_factory=Blob)
    notes: list[str] = field(default_factory=list)

    def read(self) -> dict[str, Any]:
        """Everything, by name.

        Raises:
            ValueError: not a model of images, broken weights, images of another shape.
        """
        model = self.saved.model
        shape = image_shape(model)
        for part, module in [
            ("model", model),
            ("second stage", getattr(self.saved.density, "vae", None)),
        ]:
            check_weights(part, module)
        q = None if self.images is None else model.codes(self.images.test[:N_EIGENVALUES])
        means, draws = self._codes(q)
        along = directions(q) if q is not None else unknown_directions(model.latent_dim)
        ranges = self._ranges(draws, along)
        checked = self._checked_codes(draws, along, ranges)
        decoder = plan(model.decoder, model.latent_dim)
        told = {
            "shape": shape,
            "latent_dim": model.latent_dim,
            "decoder": self._plan(
                "decoder", decoder, lambda p: unit(run(p, checked)), unit(model.images(checked))
            ),
            "directions": {
                "kind": along.kind,
                "names": along.names,
                "matrix": self.blob.add(along.matrix),
                "values": None
                if along.values is None
                else [float(f"{v:.6g}") for v in along.values.tolist()],
                "ranges": ranges.tolist(),
            },
            "plane": self._plane(means),
            "codes": {
                "n": len(means),
                "means": self.blob.add(means),
                "draws": self.blob.add(draws),
                "same": torch.equal(means, draws),
            },
            "labels": self._labels(len(means)),
            "starts": self._starts(len(means)),
            "densities": self._densities(q is not None),
        }
        return told | {
            "facts": self._facts(q, n_weights(decoder), told),
            "has_images": q is not None,
        }

    def _codes(self, q: posteriors.Point | None) -> tuple[Tensor, Tensor]:
        """Means of q(z given x) and one draw from each; without images, draws from the stored
        density twice.
        """
        if q is None:
            z = self.saved.density.sample(N_CODES, self.seed)
            return z, z
        first = q[:N_CODES]
        return first.mean, densities.draw(first, self.seed)

    def _ranges(self, z: Tensor, along: Directions) -> Tensor:
        """How far each slider goes to either side: three standard deviations of q(z), and no code
        left out.
        """
        t = z @ along.matrix.T
        reach = torch.maximum(t.mean(0).abs() + 3 * t.std(0, correction=0), t.abs().amax(0))
        return (reach.clamp(min=0.5) * 2).ceil() / 2

    def _checked_codes(self, z: Tensor, along: Directions, ranges: Tensor) -> Tensor:
        """The codes at which pixels are compared: normal draws, codes of images, anywhere between
        the sliders' ends.
        """
        generator = torch.Generator().manual_seed(self.seed)
        normal = torch.randn(N_CHECKED, z.shape[1], generator=generator)
        wide = (
            (2 * torch.rand(N_CHECKED, z.shape[1], generator=generator) - 1) * ranges @ along.matrix
        )
        return torch.cat([normal, z[:N_CHECKED], wide]).to(next(self.saved.model.parameters()))

    def _plan(
        self, name: str, p: Plan, pixels: Callable[[Plan], Tensor], expected: Tensor
    ) -> dict[str, Any]:
        """The plan for the page, in int16 where the pixels allow it; what was measured goes into
        the notes.
        """
        error = (pixels(p) - expected).abs().max().item()
        if not error <= PIXEL_TOLERANCE:
            raise ValueError(
                f"the {name}'s pixels differ from PyTorch's by {255 * error:.3g}/255; please "
                "report this"
            )
        short_error = (pixels(p.rounded()) - expected).abs().max().item()
        short = short_error <= PIXEL_TOLERANCE
        kind, error = ("int16", short_error) if short else ("float32", error)
        instead = "" if short else f" (int16 would be {255 * short_error:.2g}/255 off)"
        found = f"pixels within {255 * error:.2g}/255 of PyTorch's{instead}"
        self.notes.append(
            f"{name}: {n_weights(p):,} weights in {kind}, {n_products(p):,} products a code; "
            f"{found}"
        )
        if n_products(p) > SLOW:
            self.notes.append(
                f"slow: one run of the {name} takes a browser a third of a second or more"
            )
        return {
            "steps": p.steps,
            "tensors": [self._tensor(t, short) for t in p.tensors],
            "out": p.out,
            "kind": kind,
        }

    def _tensor(self, weight: Tensor, short: bool) -> dict[str, Any]:
        q, scales = to_int16(weight) if short else (None, None)
        if q is None:
            return {"values": self.blob.add(weight)}
        return {"values": self.blob.add(q, "int16"), "scales": self.blob.add(scales)}

    def _plane(self, means: Tensor) -> dict[str, Any]:
        sd, vectors = principal(means)
        told = {"mean": self.blob.add(means.mean(0)), "vectors": self.blob.add(vectors[:2])}
        return told | {"sd": sd[:2].tolist()}

    def _labels(self, n: int) -> dict[str, Any] | None:
        if self.images is None or self.images.test_labels is None or not self.images.classes:
            return None
        return {"classes": list(self.images.classes), "of": self.images.test_labels[:n].tolist()}

    def _starts(self, n: int) -> dict[str, Any]:
        """Codes to start from: one image of each class first, with its pixels; without images, the
        first draws.
        """
        order = list(range(n))
        if (labels := self._labels(n)) is not None:
            seen = [
                labels["of"].index(c) for c in range(len(labels["classes"])) if c in labels["of"]
            ]
            order = seen + [i for i in order if i not in seen]
        order = order[:N_STARTS]
        pixels = (
            None
            if self.images is None
            else self.blob.add((self.images.test[order] * 255).round(), "uint8")
        )
        return {"codes": order, "pixels": pixels}

    def _densities(self, has_images: bool) -> list[dict[str, Any]]:
        """N(0, I), the stored one, and, fitted here to the codes of images, a Gaussian and a
        mixture.
        """
        told = [{"name": "N(0, I)", "kind": "normal"}]
        kinds = {
            "SecondStage": self._second,
            "Gaussian": self._mixture,
            "GaussianMixture": self._mixture,
        }
        name = type(self.saved.density).__name__
        if name in kinds:
            told.append(kinds[name](self.saved.density))
        elif name != "StandardNormal":
            self.notes.append(
                f"the page cannot draw from the stored density, {name}; it is left out"
            )
        if has_images:
            x = self.images.train[:N_FITTED]
            q = self.saved.model.codes(x)
            own = [densities.Gaussian(), densities.GaussianMixture(min(10, len(q)))]
            have = {d["name"] for d in told}
            told += [
                d
                for d in (self._mixture(o.fit_codes(q, self.seed)) for o in own)
                if d["name"] not in have
            ]
        return told

    def _mixture(self, density: densities.GaussianMixture) -> dict[str, Any]:
        state = density.state_dict()
        n = density.n_components
        return {
            "name": "Gaussian" if n == 1 else f"mixture of {n}",
            "kind": "mixture",
            "weights": (state["weights"] / state["weights"].sum()).tolist(),
            "means": self.blob.add(state["means"]),
            "factors": self.blob.add(torch.linalg.cholesky(state["covariances"])),
        }

    def _second(self, density: densities.SecondStage) -> dict[str, Any]:
        second, model = density.vae, self.saved.model
        generator = torch.Generator().manual_seed(self.seed + 1)
        u = torch.randn(N_CHECKED, model.latent_dim, generator=generator).to(
            next(second.parameters())
        )
        pixels = unit(model.images(second.images(u)))
        told = self._plan(
            "second stage",
            plan(second.decoder, model.latent_dim),
            lambda p: unit(model.images(run(p, u))),
            pixels,
        )
        return {"name": "second stage", "kind": "second", "gamma": density.gamma, "decoder": told}

    def _facts(self, q: posteriors.Point | None, n: int, told: dict[str, Any]) -> list[list[str]]:
        """Names and values, as text."""
        model, run_told = self.saved.model, self.saved.run
        versions = run_told.get("versions", {})
        data = (
            self.images.name
            if self.images is not None
            else run_told.get("data", {}).get("name", "not recorded")
        )
        gamma = model.gamma
        facts = [
            ["data set", data],
            ["network", f"{model.networks_spec.get('name', 'own')}, decoder of {n:,} weights"],
            ["latent dimension κ", str(model.latent_dim)],
            ["decoder variance γ", "none (cross-entropy)" if gamma is None else f"{gamma:.4g}"],
        ]
        if q is not None and told["directions"]["kind"] == "lambda":
            dims = metrics.active_dims(q.eigenvalues())
            facts.append(["active directions r̂ (λ < ½)", f"{dims:g}, over {len(q):,} test images"])
        facts += [
            ["second stage's γ", f"{d['gamma']:.4g}"]
            for d in told["densities"]
            if d["kind"] == "second"
        ]
        facts.append(
            [
                "made with",
                ", ".join(f"{k} {versions[k]}" for k in ("vaelab", "torch") if k in versions),
            ]
        )
        return facts


def unknown_directions(latent_dim: int) -> Directions:
    """The axes in their own order, with nothing known of them."""
    return Directions(torch.eye(latent_dim), [f"z[{j}]" for j in range(latent_dim)], None, "none")


def unit(x: Tensor) -> Tensor:
    """Pixels as they are shown: cut to [0, 1]."""
    return x.clamp(0, 1)


def image_shape(model: models.Autoencoder) -> list[int]:
    """(channels, height, width) of the model's images.

    Raises:
        ValueError: no images of one or three channels.
    """
    shape = list(model.image_shape)
    shape = [1, *shape] if len(shape) == 2 else shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(
            "expected a model of images, grey or RGB, of shape (1 or 3, height, width), got "
            f"{shape}"
        )
    return shape


def check_weights(name: str, module: torch.nn.Module | None) -> None:
    """Raise ValueError if a weight is NaN or infinite."""
    bad = [
        k
        for k, v in ([] if module is None else module.state_dict().items())
        if not torch.isfinite(v).all()
    ]
    if bad:
        raise ValueError(
            f"the {name}'s weights hold NaN or infinite values, first in {bad[0]}; train it again"
        )

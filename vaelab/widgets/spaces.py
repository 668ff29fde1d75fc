"""What a view must know of a model: its latent spaces, the codes of some images in them, and how to
decode a code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab import theory
from vaelab._inputs import check_images
from vaelab.densities import NotFittedError, SecondStage, StandardNormal
from vaelab.models import Autoencoder, evaluating
from vaelab.posteriors import DiagonalNormal, Point

PRIOR = "N(0, I)"
TINY = 1e-3  # where a decoder's mean comes this near to 0 or 1, cross-entropy's curvature is cut


@dataclass(frozen=True)
class Space:
    """A latent space and the codes of n images in it.

    Args:
        name: "z", or "u" for the second stage's.
        q: q(z given x) of the images, or q(u given z) at their mean codes.
        decode: codes z (n, κ) to pictures (n, *image_shape), in the images' own units.
        model: the autoencoder whose latent space it is.
        to_z: its codes to codes z; they are those unless given.
    """

    name: str
    q: Point
    decode: Callable[[Tensor], Tensor]
    model: Autoencoder
    to_z: Callable[[Tensor], Tensor] = lambda z: z

    def images(self, codes: Tensor) -> Tensor:
        """Codes (n, κ) of this space to pictures (n, *image_shape)."""
        return self.decode(self.to_z(codes))

    @property
    def latent_dim(self) -> int:
        """κ."""
        return self.q.mean.shape[1]

    @torch.no_grad()
    def optimal_covariance(self, z: Tensor) -> Tensor:
        """Σ_z = [I + JᵀJ/γ]⁻¹ of Eq. 83 at codes (n, κ), J the decoder's Jacobian there; shape (n,
        κ, κ), float64.

        Cross-entropy has no γ; there diag(1 / x̂(1 − x̂)), its curvature in x̂, stands for I/γ.
        """
        decode = self.model.decode
        z = z.to(next(self.model.parameters()))
        with evaluating(self.model), warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "`torch.jit.script`", FutureWarning
            )  # torch 2.15's own, not ours
            J = torch.func.vmap(torch.func.jacfwd(lambda row: decode(row[None])[0].flatten()))(z)
            x_hat = decode(z).flatten(1)
        gamma = self.model.gamma
        if gamma is None:
            x_hat = x_hat.clamp(TINY, 1 - TINY)
            J, gamma = J / (x_hat * (1 - x_hat)).sqrt()[..., None], 1.0
        return theory.optimal_covariance(J.double(), gamma).cpu()

    def covariance(self, index: int | None, z: Tensor) -> Tensor:
        """Σ_z of image `index` where its encoder can turn it, and Eq. 83's at the code z otherwise;
        shape (κ, κ).
        """
        if index is not None and type(self.q) not in (Point, DiagonalNormal):
            return self.q[index : index + 1].covariance()[0]
        return self.optimal_covariance(z[None])[0].to(z)

    def mean_variances(self) -> Tensor:
        """λ_j: the variance of each latent dimension under q(z given x), averaged over the images;
        shape (κ,).

        Where the encoder tells no dimension from another (a point, or one constant variance) it is
        Eq. 83's at the mean code.
        """
        own = self.q.covariance().diagonal(dim1=1, dim2=2).mean(0)
        if own.max() - own.min() <= 1e-6 * own.max():
            return self.optimal_covariance(self.q.mean.mean(0, keepdim=True))[0].diagonal().to(own)
        return own


@dataclass(frozen=True)
class Subject:
    """A model, some images and fitted densities, checked to fit together.

    Args:
        x: the images, shape (n, *image_shape), values in [0, 1].
        spaces: by name: "z", and "u" where a density is a second stage.
        densities: by name, N(0, I) first.
        labels: the class of each image, or None.
    """

    x: Tensor
    spaces: dict[str, Space]
    densities: dict[str, StandardNormal]
    labels: Tensor | None

    @property
    def second(self) -> SecondStage | None:
        """The first second stage among the densities."""
        return next((d for d in self.densities.values() if isinstance(d, SecondStage)), None)


def subject(model: Any, images: Any, density: Any = None, labels: Any = None) -> Subject:
    """Check a model, images and densities against each other.

    Args:
        model: a `vaelab.models.Autoencoder`, or a fitted `vaelab.estimators.VAE` or `TwoStageVAE`.
        images: (n, c, h, w) or (n, h, w), c = 1 or 3, values in [0, 1].
        density: a fitted density of `vaelab.densities`, a dict of them by name, or None.
        labels: n classes, or None.

    Raises:
        TypeError: not a model.
        ValueError: an unfitted model or density, images of another shape or outside [0, 1], a
            density of another latent size, codes that are not finite, labels of another length.
    """
    autoencoder, shift, scale, own = _opened(model)
    shape = autoencoder.image_shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3))):
        raise ValueError(
            "model: expected one of images (c, h, w), c = 1 or 3, or (h, w), got rows of shape "
            f"{shape}"
        )
    x = check_images(images, shape, unit=True).detach().cpu()
    chosen = _named(density) or own
    for name, each in chosen.items():
        if each.latent_dim != autoencoder.latent_dim:
            raise ValueError(
                f"density {name!r}: expected codes of {autoencoder.latent_dim} numbers, as the "
                "model has, got "
                f"{each.latent_dim}; fit it to this model"
            )
    dtype = next(autoencoder.parameters()).dtype
    q = autoencoder.codes(((x - shift) / scale).to(dtype))
    _check_finite(q)

    def decode(z: Tensor) -> Tensor:
        return autoencoder.images(z) * scale + shift

    spaces = {"z": Space("z", q, decode, autoencoder)}
    if labels is not None:
        labels = torch.as_tensor(labels).detach().cpu()
        if labels.shape != (len(x),):
            raise ValueError(
                f"labels: expected one for each of {len(x)} images, got shape {tuple(labels.shape)}"
            )
    made = Subject(x, spaces, {PRIOR: StandardNormal().fit_codes(q), **chosen}, labels)
    if made.second is not None:
        vae = made.second.vae
        spaces["u"] = Space("u", vae.codes(q.mean), decode, vae, vae.images)
    return made


def _opened(model: Any) -> tuple[Autoencoder, Any, Any, dict[str, StandardNormal]]:
    """The autoencoder in a model or an estimator; x = shift + scale · its output; the density it
    brings along.
    """
    if isinstance(model, Autoencoder):
        return model, 0.0, 1.0, {}
    if not (hasattr(model, "fit") and hasattr(model, "inverse_transform")):
        raise TypeError(
            f"model: expected a vaelab Autoencoder, VAE or TwoStageVAE, got {type(model).__name__}"
        )
    if not hasattr(model, "model_"):
        raise NotFittedError(
            f"model: this {type(model).__name__} is not fitted yet; call fit(images) first"
        )
    own = {"second stage": model.density_} if isinstance(model.density_, SecondStage) else {}
    return model.model_, model.mean_, model.scale_, own


def _named(density: Any) -> dict[str, StandardNormal]:
    """Densities by name, each of them fitted."""
    if density is None:
        return {}
    named = dict(density) if isinstance(density, Mapping) else {type(density).__name__: density}
    for name, each in named.items():
        if not hasattr(each, "sample"):
            raise TypeError(
                f"density {name!r}: expected one of vaelab.densities, got {type(each).__name__}"
            )
        if each.latent_dim is None:
            raise NotFittedError(
                f"density {name!r}: it is not fitted yet; call fit(model, images) first"
            )
    return named


def _check_finite(q: Point) -> None:
    bad = ~torch.isfinite(q.mean).all(1)
    for part in vars(q).values():
        if isinstance(part, Tensor):
            bad = bad | ~torch.isfinite(part).flatten(1).all(1)
    if bad.any():
        raise ValueError(
            f"codes: {int(bad.sum())} of {len(bad)} images have codes with NaN or infinite "
            "values, the first is number "
            f"{int(bad.int().argmax())}; the model has diverged: train it again with a smaller lr"
        )


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The straight line from a to b: (1 − t) a + t b, for codes (κ,) and T values of t; shape (T,
    κ).
    """
    return (1 - t[:, None]) * a + t[:, None] * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """The arc from a to b, [sin((1 − t)Ω) a + sin(tΩ) b] / sin Ω with Ω their angle; shape (T, κ).

    Between codes of one length it keeps that length, as typical draws from N(0, I) all have about
    √κ. Where a and b are parallel, opposite or zero there is no arc, and it is `lerp`.

    Source: Shoemake (1985); White (2016), Section 2.1.

    >>> round(slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([0.5])).norm().item(), 6)
    2.0
    """
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if not angle.sin() > 1e-6 or not a.any() or not b.any():
        return lerp(a, b, t)
    s = t.double()[:, None]
    return ((((1 - s) * angle).sin() * a + (s * angle).sin() * b) / angle.sin()).to(a)

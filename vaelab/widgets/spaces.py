"""What a view must know of a model: its latent spaces, the codes of some images in them, and how to
decode a code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import NotFittedError
from torch import Tensor

from vaelab import theory
from vaelab._inputs import check_images
from vaelab.densities import Density, Flow, SecondStage, StandardNormal
from vaelab.models import Autoencoder, evaluating
from vaelab.posteriors import DiagonalNormal, Distribution, Point
from vaelab.priors import FlowPrior

PRIOR = "N(0, I)"
CLASS = (str, Number, np.generic)  # A label may be one of these.
SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
# Where a decoder's mean comes this near to 0 or 1, cross-entropy's curvature is cut.
TINY = 1e-3


@dataclass(frozen=True)
class Space:
    """A latent space and the codes of n images in it.

    Args:
        name: "z", "u" for the second stage's, or "z0" for the noise of a flow.
        q: q(z given x) of the images, or q(u given z) at their mean codes.
        decode: codes z (n, κ) to pictures (n, *image_shape), in the images' own units.
        model: the autoencoder whose latent space it is.
        to_z: its codes to codes z; they are those unless given.
    """

    name: str
    q: Distribution
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

    @property
    def is_diagonal(self) -> bool:
        """Whether Σ_z has the latent axes for eigenvectors, whatever the decoder does."""
        return type(self.q) in (Point, DiagonalNormal)

    @torch.no_grad()
    def optimal_covariance(self, z: Tensor) -> Tensor:
        """Σ_z = [I + JᵀJ/γ]⁻¹ of Eq. 83 at codes (n, κ), J the decoder's Jacobian there; shape (n,
        κ, κ), float64.

        Cross-entropy has no γ; there diag(1 / x̂(1 − x̂)), its curvature in x̂, stands for I/γ.
        """
        z = z.to(next(self.model.parameters()))
        row_decoder = torch.func.jacfwd(lambda row: self.model.decode(row[None])[0].flatten())
        with evaluating(self.model), warnings.catch_warnings():
            # The warning is of torch 2.15 itself.
            warnings.filterwarnings("ignore", "`torch.jit.script`", FutureWarning)
            J = torch.func.vmap(row_decoder)(z)
            x_hat = self.model.decode(z).flatten(1)
        gamma = self.model.gamma
        if gamma is None:
            x_hat = x_hat.clamp(TINY, 1 - TINY)
            J /= (x_hat * (1 - x_hat)).sqrt()[..., None]
        return theory.optimal_covariance(J.double(), gamma or 1.0).cpu()

    def covariance(self, index: int | None, z: Tensor) -> Tensor:
        """Σ_z of image `index` where its encoder can turn it, and Eq. 83's at the code z otherwise;
        shape (κ, κ).
        """
        if index is not None and not self.is_diagonal:
            return self.q[index : index + 1].covariance()[0]
        return self.optimal_covariance(z[None])[0].to(z)

    def mean_variances(self) -> Tensor:
        """λ_j: the variance of each latent dimension under q(z given x), averaged over the images;
        shape (κ,).

        Where the encoder tells no dimension from another (a point, or one constant variance) it is
        Eq. 83's at the mean code.
        """
        variances = self.q.covariance().diagonal(dim1=1, dim2=2).mean(0)
        if variances.max() - variances.min() > 1e-6 * variances.max():
            return variances
        optimal = self.optimal_covariance(self.q.mean.mean(0, keepdim=True))[0]
        return optimal.diagonal().to(variances)


@dataclass(frozen=True)
class Subject:
    """A model, some images and fitted densities, checked to fit together.

    Args:
        x: the images, shape (n, *image_shape), values in [0, 1].
        spaces: by name: "z", "u" where a density is a second stage, "z0" where it or the prior is
            a flow.
        densities: by name, N(0, I) first.
        labels: the class of each image, shape (n,), or None.
        flow: the prior behind "z0", or None.
    """

    x: Tensor
    spaces: dict[str, Space]
    densities: dict[str, Density]
    labels: np.ndarray | None
    flow: FlowPrior | None = None


def subject(
    model: Any,
    images: Any,
    density: Any = None,
    labels: Any = None,
) -> Subject:
    """Check a model, images and densities against each other.

    Args:
        model: a `vaelab.models.Autoencoder`, or a fitted `vaelab.estimators.VAE` or `TwoStageVAE`.
        images: (n, c, h, w) or (n, h, w), c = 1 or 3, values in [0, 1].
        density: a fitted density of `vaelab.densities`, a dict of them by name, or None.
        labels: n classes, numbers or words, or None; see `check_labels`.

    Raises:
        TypeError: not a model.
        ValueError: an unfitted model or density, images of another shape or outside [0, 1], a
            density of another latent size, codes that are not finite, labels that do not fit.
    """
    autoencoder, shift, scale, included = _opened(model)
    shape = autoencoder.image_shape
    if len(shape) != 2 and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise ValueError(
            "model: expected one of images (c, h, w), c = 1 or 3, or (h, w), got rows of shape "
            f"{shape}"
        )
    x = check_images(images, shape, unit=True).detach().cpu()
    chosen = _named(density, autoencoder.latent_dim) or included
    dtype = next(autoencoder.parameters()).dtype
    q = autoencoder.codes(((x - shift) / scale).to(dtype))
    _check_finite(q)

    def decode(z: Tensor) -> Tensor:
        return autoencoder.images(z) * scale + shift

    spaces = {"z": Space("z", q, decode, autoencoder)}
    second = next((each for each in chosen.values() if isinstance(each, SecondStage)), None)
    if second is not None:
        vae = second.vae
        spaces["u"] = Space("u", vae.codes(q.mean), decode, vae, vae.images)
    prior = _flow_of(autoencoder, chosen)
    if prior is not None:
        with torch.no_grad():
            noise, _ = prior.flow(q.mean.to(prior.flow.shift))
        spaces["z0"] = Space("z0", Point(noise.to(q.mean)), decode, autoencoder, prior.codes)
    densities = {PRIOR: StandardNormal().fit_codes(q), **chosen}
    return Subject(x, spaces, densities, check_labels(labels, len(x)), prior)


def subjects(
    model: Any, images: Any, density: Any = None, labels: Any = None
) -> dict[str, Subject]:
    """One model, by the name "", or several of a dict, each with a density of its own, or none.

    Raises:
        TypeError, ValueError: as `subject`; no model; a density beside several.
    """
    if not isinstance(model, Mapping):
        return {"": subject(model, images, density, labels)}
    pairs = {n: each if isinstance(each, tuple) else (each,) for n, each in model.items()}
    if not model or density is not None or any(len(pair) not in (1, 2) for pair in pairs.values()):
        raise ValueError(
            'models: expected at least one, as {"VAE": model} or {"VAE": (model, density)}, and no '
            f"density beside them, got {model!r} and {type(density).__name__}"
        )
    return {str(n): subject(each, images, *own, labels=labels) for n, (each, *own) in pairs.items()}


def _flow_of(model: Autoencoder, chosen: Mapping[str, Density]) -> FlowPrior | None:
    """The flow that is a fitted density, or the model's prior, if any."""
    fitted = next((each.prior for each in chosen.values() if isinstance(each, Flow)), model.prior)
    return fitted if isinstance(fitted, FlowPrior) and not fitted.flow.n_context else None


def subscript(name: str, j: int) -> str:
    """The j-th coordinate's name, as in z₃; indices start at 1, as in the papers."""
    return f"{name}{str(j + 1).translate(SUBSCRIPTS)}"


def check_labels(labels: Any, n: int) -> np.ndarray | None:
    """The classes of n images, shape (n,), for whatever holds one number or word for each.

    Args:
        labels: a list, an array, a tensor, a column of a table or a table of one column, or None.
        n: how many images there are.

    Raises:
        ValueError: another number of labels, several for an image, or what is no class (None, NaN).
    """
    if labels is None:
        return None
    values = np.array(labels.tolist() if isinstance(labels, Tensor) else labels, dtype=object)
    if values.shape not in ((n,), (n, 1)):
        raise ValueError(
            f"labels: expected one for each of {n} images, got {type(labels).__name__} of shape "
            f"{values.shape}"
        )
    classes = [each.item() if isinstance(each, Tensor) else each for each in values.ravel()]
    bad = [k for k, each in enumerate(classes) if not isinstance(each, CLASS) or each != each]
    if bad:
        raise ValueError(
            f"labels: expected a number or a word for each image, got {len(bad)} of {n} that are "
            f"neither, the first is number {bad[0]}: {classes[bad[0]]!r}; give every image a class"
        )
    return np.array(classes)


def _opened(model: Any) -> tuple[Autoencoder, Any, Any, dict[str, Density]]:
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
    second = isinstance(model.density_, SecondStage)
    included = {"second stage": model.density_} if second else {}
    return model.model_, model.mean_, model.scale_, included


def _named(density: Any, latent_dim: int) -> dict[str, Density]:
    """Densities by name, each of them fitted to codes of `latent_dim` numbers."""
    if density is None:
        return {}
    named = dict(density) if isinstance(density, Mapping) else {type(density).__name__: density}
    for name, each in named.items():
        if not hasattr(each, "sample"):
            raise TypeError(
                f"density {name!r}: expected one of vaelab.densities, got {type(each).__name__}"
            )
        if not each.latent_dim:
            raise NotFittedError(
                f"density {name!r}: it is not fitted yet; call fit(model, images) first"
            )
        if each.latent_dim != latent_dim:
            raise ValueError(
                f"density {name!r}: expected codes of {latent_dim} numbers, as the model has, got "
                f"{each.latent_dim}; fit it to this model"
            )
    return named


def _check_finite(q: Distribution) -> None:
    parts = [part for part in (q.mean, *vars(q).values()) if isinstance(part, Tensor)]
    broken = [~part.isfinite().flatten(1).all(1) for part in parts]
    bad = torch.stack(broken).any(0)
    if bad.any():
        raise ValueError(
            f"codes: {int(bad.sum())} of {len(bad)} images have codes with NaN or infinite "
            f"values, the first is number {int(bad.int().argmax())}; the model has diverged: "
            "train it again with a smaller lr"
        )

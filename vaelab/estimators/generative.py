"""Any model of the catalogue, with any density of its codes, as an estimator."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from vaelab import densities, models, networks
from vaelab._door import taken
from vaelab.densities import Density
from vaelab.estimators.base import Estimator
from vaelab.models import Autoencoder
from vaelab.networks import Networks
from vaelab.posteriors import Distribution
from vaelab.priors import StandardNormal
from vaelab.training import Session


def _check_density(name: str, density: str | Density) -> str | Density:
    taken(name, density, str | Density)
    if isinstance(density, str):
        densities.named(density, StandardNormal())
    return density


DensityName = Annotated[str | Density, _check_density]


@dataclass(eq=False, repr=False)
class Generative(Estimator):
    """Any model of the catalogue, with any density of its codes.

    Args:
        model: the name of a function of `vaelab.models` ("wae_mmd", "vae", …), or such a function,
            or `models.Autoencoder` for parts of your choice.
        options: what else it is called with, beside the networks, such as {"likelihood":
            likelihoods.CrossEntropy()}; parts are copied. γ among them is that of rows of standard
            deviation 1, unless rows are taken as they are.
        density: what `sample` draws codes from: "prior", the model's own; "gaussian"; "gmm-10" or
            any other number; "second_stage", "flow", and what else `densities.named` knows; or a
            density of `vaelab.densities`, which is copied.
        network: the name of a function of `vaelab.networks`, or such a function.
        network_options: what else it is called with, beside shape and latent dimension.
        latent_dim: κ, the dimension of the codes.
        epochs: passes over the data.
        batch_size: rows a step.
        lr: Adam's step size.
        schedule, weight_decay, scaling, warm_start: as for `VAE`.
        device: "auto", "cpu", "cuda", ...
        random_state: an int for numbers that repeat.
        verbose: whether to show a progress bar.

    Attributes:
        model_: the trained `vaelab.models.Autoencoder`, on the CPU.
        density_: what `sample` draws codes from.
        gamma_: the decoder variance, in the data's units squared; None where there is none.
        eigenvalues_: λ_j of Σ_z, averaged over the training rows, ascending, shape (latent_dim,).
        active_dims_: r̂, the number of λ_j below ½ (median over the rows).
        history_: one value an epoch of each term, in nats of the scaled rows, and of their γ.
        n_features_in_, n_iter_: as in scikit-learn.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> wae = Generative("wae_mmd", {"weight": 5.0}, density="gaussian", latent_dim=2, epochs=2)
    >>> wae.set_params(random_state=0).fit(rows).sample(5).shape
    (5, 3)
    """

    model: str | Callable[..., Autoencoder] = "vae"
    options: Mapping[str, Any] | None = None
    _: KW_ONLY
    density: DensityName = "prior"
    network: str | Callable[..., Networks] = "mlp"
    network_options: Mapping[str, Any] | None = None

    def _networks(self) -> Networks:
        options = dict(self.network_options or {})
        return networks.for_shape(self.network, self.image_shape_, self.latent_dim, options)

    def _model(self, nets: Networks) -> Autoencoder:
        return models.build(self.model, nets, copy.deepcopy(dict(self.options or {})))

    def _fitted_density(self, q: Distribution, seed: int, session: Session) -> Density:
        if isinstance(self.density, Density):
            density = copy.deepcopy(self.density)
        else:
            density = densities.named(self.density, self.model_.prior)
        return density.fit_in(session, q, seed)

"""The VAE and the Two-Stage VAE as estimators."""

from __future__ import annotations

import functools
import inspect
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

from vaelab import densities, models, networks
from vaelab._inputs import Positive, Weight, Widths, check_choice, check_positive
from vaelab._memory import check_parameters
from vaelab.densities import Density
from vaelab.estimators.base import Estimator
from vaelab.models import Autoencoder
from vaelab.networks import Networks
from vaelab.posteriors import Distribution
from vaelab.training import Cosine, Hold, Session

RULES = ("learned", "optimal")


def _check_gamma(name: str, gamma: float | str) -> float | str:
    rule = isinstance(gamma, str)
    return check_choice(name, gamma, RULES) if rule else check_positive(name, gamma)


def _check_network(name: str, network: str) -> str:
    return check_choice(name, network, [maker for maker in networks.MAKERS if maker != "sequence"])


GammaRule = Annotated[float | str, _check_gamma]
NetworkName = Annotated[str, _check_network]


@dataclass(eq=False, repr=False)
class VAE(Estimator):
    """A κ-simple Gaussian variational autoencoder (Dai & Wipf 2019, Definition 1).

    With `network="mlp"` the rows are centred and divided by one scale, their overall standard
    deviation, before training, or each column by its own; with the others, whose outputs lie in
    [0, 1], they are taken as they are. Batch normalisation has momentum 0.05, for short runs. γ is
    given and reported as a variance, in the data's own units squared.

    Args:
        latent_dim: κ, the dimension of the codes.
        gamma: the decoder variance: "learned", "optimal" (its closed-form optimum, followed as a
            running mean), or a number > 0 in the data's units squared (with `scaling="columns"` in
            those of the scaled columns).
        beta: weight of the KL term.
        network: "mlp", or another function of `vaelab.networks`, by its name, for images with
            values in [0, 1]: "small_conv", or "infogan", "resnet", "wae", "rae" for square ones.
        hidden: widths of the mlp's hidden layers.
        epochs: passes over the data.
        batch_size: rows a step.
        lr: Adam's step size.
        schedule: of the step size: "cosine", None, or a schedule of `vaelab.training`.
        weight_decay: as in `training.fit`.
        scaling: "all" divides all numbers by one scale; "columns" each column by its own, for
            tables whose columns differ in unit.
        warm_start: whether `fit` goes on from the model of the last fit, with its scale; what that
            model was made by is not looked at again.
        device: "auto", "cpu", "cuda", ...
        random_state: an int for numbers that repeat.
        verbose: whether to show a progress bar.

    Attributes:
        model_: the trained `vaelab.models.Autoencoder`, on the CPU.
        density_: what `sample` draws codes from.
        gamma_: the decoder variance, in the data's units squared; one a column where these are
            scaled by column.
        eigenvalues_: λ_j of Σ_z, averaged over the training rows, ascending, shape (latent_dim,).
        active_dims_: r̂, the number of λ_j below ½ (median over the rows).
        history_: one value an epoch of each term, in nats of the scaled rows, and of their γ.
        n_features_in_, n_iter_: as in scikit-learn.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> VAE(latent_dim=2, epochs=2, random_state=0).fit(rows).transform(rows).shape
    (50, 2)
    """

    latent_dim: int = 16
    _: KW_ONLY
    gamma: GammaRule = "learned"
    beta: Weight = 1.0
    network: NetworkName = "mlp"
    hidden: Widths = (256, 256)

    def _networks(self) -> Networks:
        taken = inspect.signature(networks.MAKERS[self.network]).parameters
        chosen: dict[str, Any] = {"bn_momentum": 0.05} if "bn_momentum" in taken else {}
        if self.network == "mlp":
            chosen = {"hidden": self.hidden}
        return networks.for_shape(self.network, self.image_shape_, self.latent_dim, chosen)

    def _model(self, nets: Networks) -> Autoencoder:
        gamma: Any = self.gamma
        if not isinstance(gamma, str) and self.scaling == "all":
            gamma /= self.scale_**2
        return models.vae(nets, gamma, self.beta)


@dataclass(eq=False, repr=False, kw_only=True)
class TwoStageVAE(VAE):
    """A VAE, and a second VAE fitted to its codes: the Two-Stage VAE (Dai & Wipf 2019, Section 4).

    `sample` draws u ~ N(0, I), decodes it to a code z with noise, and decodes z to a row without
    noise.

    Args:
        latent_dim, gamma, beta, network, hidden, epochs, batch_size, lr, schedule, weight_decay,
            scaling, warm_start, device, random_state, verbose: as for `VAE`.
        second_hidden: widths of the second stage's hidden layers.
        second_epochs: passes over the codes, of which every step draws afresh.
        second_lr: its step size.

    Attributes:
        density_: the fitted `vaelab.densities.SecondStage`.
        second_gamma_: the second stage's decoder variance; it stays of order 0.1 to 1 (it models
            all of z).
        model_, gamma_, eigenvalues_, active_dims_, history_, n_features_in_, n_iter_: of the first
            stage, as for `VAE`.

    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> model = TwoStageVAE(latent_dim=2, epochs=2, second_epochs=2, random_state=0)
    >>> model.fit(rows).sample(5).shape
    (5, 3)
    """

    second_hidden: Widths = (128, 128, 128)
    second_epochs: int = 500
    second_lr: Positive = 4e-3

    def _networks(self) -> Networks:
        k = self.latent_dim  # Told before the first stage is trained.
        check_parameters(functools.partial(networks.mlp, k, k, self.second_hidden))
        return super()._networks()

    def _fitted_density(self, q: Distribution, seed: int, session: Session) -> Density:
        second = densities.SecondStage(
            self.second_hidden,
            "silu",
            epochs=self.second_epochs,
            batch_size=self.batch_size,
            lr=self.second_lr,
            schedule=Cosine(),
            gamma_schedule=Hold(1.0, 0.7),
        )
        second.fit_in(session.at(None, "second stage"), q, seed)
        second.vae.cpu()
        self.second_gamma_ = second.gamma
        return second

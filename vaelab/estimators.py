"""The scikit-learn face: `VAE` and `TwoStageVAE`, with fit, transform, inverse_transform, sample
and score_samples.

Arrays in, arrays out; tensors in, tensors out. Rows may be vectors (n, d) or images (n, channels,
height, width).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from vaelab import densities, metrics, models, networks, training
from vaelab._inputs import check_choice, check_images, check_positive, check_positive_int
from vaelab.training import Cosine, Hold

_GAMMA_RULES = ("learned", "optimal")


class VAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """A κ-simple Gaussian variational autoencoder (Dai & Wipf 2019, Definition 1).

    With `network="mlp"` the rows are centred and divided by one scale, their overall standard
    deviation, before training; with "infogan" they are taken as they are (its batch normalisation
    has momentum 0.05, for short runs). γ is told and reported in the data's own units squared, as a
    variance.

    Args:
        latent_dim: κ, the dimension of the codes.
        gamma: the decoder variance: "learned", "optimal" (its closed-form optimum, followed as a
            running mean), or a number > 0 in the data's units squared.
        beta: weight of the KL term.
        network: "mlp", or "infogan" for images with values in [0, 1] and sides divisible by 4.
        hidden: widths of the mlp's hidden layers.
        epochs: passes over the data.
        batch_size: rows a step.
        lr: Adam's step size, falling along a cosine.
        device: "auto", "cpu", "cuda", ...
        random_state: an int for numbers that repeat.
        verbose: whether to show a progress bar.

    Attributes:
        model_: the trained `vaelab.models.Autoencoder`, on the CPU.
        density_: what `sample` draws codes from.
        gamma_: the decoder variance, in the data's units squared.
        eigenvalues_: λ_j of Σ_z, averaged over the training rows, ascending, shape (latent_dim,).
        active_dims_: r̂, the number of λ_j below ½ (median over the rows).
        history_: one value an epoch of each term, in nats.
        n_features_in_, n_iter_: as in scikit-learn.

    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> VAE(latent_dim=2, epochs=2, random_state=0).fit(rows).transform(rows).shape
    (50, 2)
    """

    def __init__(
        self,
        latent_dim: int = 16,
        *,
        gamma: float | str = "learned",
        beta: float = 1.0,
        network: str = "mlp",
        hidden: tuple[int, ...] = (256, 256),
        epochs: int = 200,
        batch_size: int = 128,
        lr: float = 2e-3,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.latent_dim = latent_dim
        self.gamma = gamma
        self.beta = beta
        self.network = network
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows `X`: (n, d) or (n, channels, height, width), n ≥ 2, floating point and
        finite.

        Returns:
            The estimator itself.

        Raises:
            ValueError: parameters or rows that cannot be trained on.
        """
        self._check_parameters()
        rows = self._rows(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._fit_scale(rows)
        model = self._new_model(seed).to(rows.dtype)
        x = self._scaled(rows)
        run = training.fit(
            model,
            x,
            epochs=self.epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            schedule=Cosine(),
            seed=seed,
            device=self.device,
            progress=bool(self.verbose),
        )
        self.model_ = model.cpu()
        self.history_, self.n_iter_ = run.history, self.epochs
        q = model.codes(x)
        eigenvalues = q.eigenvalues()
        self.eigenvalues_ = eigenvalues.mean(0).numpy()
        self.active_dims_ = round(metrics.active_dims(eigenvalues))
        self.gamma_ = model.gamma * self.scale_**2
        self.density_ = self._fit_density(q, seed)
        self._n_features_out = self.latent_dim
        return self

    def transform(self, X: Any) -> Any:
        """The mean code μ_z of every row: (n, latent_dim)."""
        check_is_fitted(self)
        x = self._scaled(self._rows(X))
        return self._like(X, self.model_.codes(x).mean)

    def inverse_transform(self, X: Any) -> Any:
        """Decode codes (n, latent_dim) to rows of the shape and scale of the training data."""
        check_is_fitted(self)
        array = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
        z = torch.from_numpy(np.array(check_array(array, dtype=[np.float64, np.float32])))
        rows = self._unscaled(self.model_.images(z.to(self._dtype)))
        return self._like(X, rows)

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Draw new rows, in the shape and container (array or tensor) of the training data, cut to
        their range.

        Args:
            n_samples: how many.
            random_state: an int for numbers that repeat.
        """
        check_is_fitted(self)
        check_positive_int("n_samples", n_samples)
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        rows = self._unscaled(
            self.model_.images(self.density_.sample(n_samples, seed).to(self._dtype))
        )
        rows = rows.clamp(self.range_[0], self.range_[1])
        return rows if self._fitted_on_tensor else rows.numpy()

    def score_samples(self, X: Any) -> Any:
        """log p(x) of every row in nats, estimated by importance sampling, shape (n,).

        A lower bound in expectation, with 16 draws of z a row; see `densities.log_prob_mc`.
        """
        check_is_fitted(self)
        x = self._scaled(self._rows(X))
        log_p = densities.log_prob_mc(self.model_, x, self.density_)
        return self._like(X, log_p - x[0].numel() * float(np.log(self.scale_)))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples` over the rows, in nats."""
        return float(self.score_samples(X).mean())

    def _check_parameters(self) -> None:
        check_positive_int("latent_dim", self.latent_dim)
        check_choice("network", self.network, ("mlp", "infogan"))
        if isinstance(self.gamma, str):
            check_choice("gamma", self.gamma, _GAMMA_RULES)
        else:
            check_positive("gamma", self.gamma)

    def _rows(self, X: Any, reset: bool = False) -> Tensor:
        """Check rows as scikit-learn does; give them back as a tensor in the shape they were fitted
        in.
        """
        array = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
        shape = (
            np.shape(array)[1:] if isinstance(array, np.ndarray) and np.ndim(array) == 4 else None
        )
        if shape is not None and not reset and shape != self.image_shape_:
            raise ValueError(
                f"X: expected images of shape {self.image_shape_}, as in fit, got {shape}"
            )
        if shape is not None:
            array = array.reshape(len(array), -1)
        minimum = {"ensure_min_samples": 2} if reset else {}
        array = validate_data(self, array, reset=reset, dtype=[np.float64, np.float32], **minimum)
        if reset:
            self.image_shape_ = shape or array.shape[1:]
            self._fitted_on_tensor = isinstance(X, Tensor)
        return torch.from_numpy(np.array(array)).reshape(-1, *self.image_shape_)

    def _fit_scale(self, rows: Tensor) -> None:
        if self.network == "infogan":
            if len(self.image_shape_) != 3 or self.image_shape_[1] != self.image_shape_[2]:
                raise ValueError(
                    "infogan: expected square images (n, c, s, s), got rows of shape "
                    f"{self.image_shape_}"
                )
            check_images(rows, unit=True)
            self.mean_, self.scale_ = torch.zeros(()), 1.0
        else:
            self.mean_ = rows.mean(0)
            self.scale_ = float((rows - self.mean_).std()) or 1.0
        self.range_ = (float(rows.min()), float(rows.max()))
        self._dtype = rows.dtype

    def _scaled(self, rows: Tensor) -> Tensor:
        return ((rows.to(self._dtype) - self.mean_) / self.scale_).to(self._dtype)

    def _unscaled(self, x: Tensor) -> Tensor:
        return x * self.scale_ + self.mean_

    def _like(self, X: Any, out: Tensor) -> Any:
        """`out` as a tensor or an array, as X was, in X's precision."""
        if isinstance(X, Tensor):
            return out.to(X) if X.is_floating_point() else out.to(X.device)
        dtype = getattr(X, "dtype", None)
        return out.numpy().astype(
            dtype if dtype in (np.float32, np.float64) else out.numpy().dtype, copy=False
        )

    def _new_model(self, seed: int) -> models.Autoencoder:
        with networks.seeded(seed):
            if self.network == "infogan":
                channels, side, _ = self.image_shape_
                nets = networks.infogan(channels, side, self.latent_dim, bn_momentum=0.05)
            else:
                nets = networks.mlp(self.image_shape_, self.latent_dim, self.hidden)
            gamma = self.gamma if isinstance(self.gamma, str) else self.gamma / self.scale_**2
            return models.vae(nets, gamma, self.beta)

    def _fit_density(self, q: Any, seed: int) -> densities.StandardNormal:
        return densities.StandardNormal().fit_codes(q)


class TwoStageVAE(VAE):
    """A VAE, and a second VAE fitted to its codes: the Two-Stage VAE (Dai & Wipf 2019, Section 4).

    `sample` draws u ~ N(0, I), decodes it to a code z with noise, and decodes z to a row without
    noise.

    Args:
        latent_dim, gamma, beta, network, hidden, epochs, batch_size, lr, device, random_state,
            verbose: as for `VAE`.
        second_hidden: widths of the second stage's hidden layers.
        second_epochs: passes over the codes, of which every step draws afresh.
        second_lr: its step size.

    Attributes:
        density_: the fitted `vaelab.densities.SecondStage`.
        second_gamma_: the second stage's decoder variance; it stays of order 0.1 to 1 (it models
            all of z).
        model_, gamma_, eigenvalues_, active_dims_, history_, n_features_in_, n_iter_: of the first
            stage, as for `VAE`.

    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> TwoStageVAE(latent_dim=2, epochs=2, second_epochs=2, random_state=0).fit(rows).sample(5).shape
    (5, 3)
    """

    def __init__(
        self,
        latent_dim: int = 16,
        *,
        gamma: float | str = "learned",
        beta: float = 1.0,
        network: str = "mlp",
        hidden: tuple[int, ...] = (256, 256),
        epochs: int = 200,
        batch_size: int = 128,
        lr: float = 2e-3,
        second_hidden: tuple[int, ...] = (128, 128, 128),
        second_epochs: int = 500,
        second_lr: float = 4e-3,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            latent_dim,
            gamma=gamma,
            beta=beta,
            network=network,
            hidden=hidden,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.second_hidden = second_hidden
        self.second_epochs = second_epochs
        self.second_lr = second_lr

    def _fit_density(self, q: Any, seed: int) -> densities.StandardNormal:
        second = densities.SecondStage(
            self.second_hidden,
            "silu",
            epochs=self.second_epochs,
            batch_size=self.batch_size,
            lr=self.second_lr,
            schedule=Cosine(),
            gamma_schedule=Hold(1.0, 0.7),
            device=self.device,
        )
        second.fit_codes(q, seed, progress=bool(self.verbose))
        second.vae.cpu()
        self.second_gamma_ = second.gamma
        return second

"""Gaussians and mixtures of them, fitted to codes by scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import as_seed
from vaelab.densities.density import Density, draw
from vaelab.posteriors import Distribution

LEARNED = ("weights", "means", "covariances", "precisions_cholesky")  # As scikit-learn calls them.


class GaussianMixture(Density):
    """A Gaussian mixture with full covariances, by scikit-learn's EM.

    Source: Ghosh et al. (2020), Section 4 (ten components there).

    Args:
        n_components: of the mixture; 1 makes it a Gaussian. At most the number of images.
    """

    @door
    def __init__(self, n_components: int = 10) -> None:
        self.n_components = n_components

    mixture: Any  # scikit-learn's, once it is fitted.

    @door
    def fit_codes(self, q: Distribution, seed: int = 0) -> Self:
        least = max(2, self.n_components)
        if len(q) < least:
            raise ValueError(
                f"{self.n_components} components: expected at least {least} images, got {len(q)}"
            )
        z = draw(q, seed).double().cpu().numpy()
        floor = min(1e-6, 1e-4 * z.var(0).mean()) or 1e-6  # Small beside small codes too.
        self.mixture = self._fitted(z, random_state=as_seed(seed) % 2**32, reg_covar=floor)
        self.latent_dim = z.shape[1]
        return self

    def _fitted(self, z: np.ndarray, **how: Any) -> Any:
        from sklearn.mixture import GaussianMixture as Mixture

        return Mixture(self.n_components, max_iter=200, **how).fit(z)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        self.check(n)
        means = self.mixture.means_
        rng = np.random.default_rng(as_seed(seed))
        which = rng.choice(len(means), size=n, p=self.mixture.weights_)
        scale = np.linalg.cholesky(self.mixture.covariances_)
        z = rng.standard_normal((n, means.shape[1]))
        for k, mean in enumerate(means):
            z[which == k] = mean + z[which == k] @ scale[k].T
        return torch.from_numpy(z).float()

    def log_prob(self, z: Tensor) -> Tensor:
        z = self.check_codes(z)
        log_p = self.mixture.score_samples(z.double().cpu().numpy()) if len(z) else np.empty(0)
        return torch.from_numpy(log_p).to(z)

    def state_dict(self) -> dict[str, Tensor]:
        arrays = {name: getattr(self.mixture, f"{name}_") for name in LEARNED}
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        n, k = self.n_components, latent_dim
        expected = dict(zip(LEARNED, [(n,), (n, k), (n, k, k), (n, k, k)], strict=True))
        shapes = {name: tuple(value.shape) for name, value in tensors.items()}
        if shapes != expected:
            raise ValueError(f"a mixture: expected tensors of shapes {expected}, got {shapes}")
        self.latent_dim = latent_dim
        self.mixture = self._of({name: value.numpy() for name, value in tensors.items()})
        return self

    def _of(self, arrays: dict[str, np.ndarray]) -> Any:
        """scikit-learn's mixture of these arrays, by the names in `LEARNED`."""
        from sklearn.mixture import GaussianMixture as Mixture

        mixture = Mixture(self.n_components)
        for name, value in arrays.items():
            setattr(mixture, f"{name}_", value)
        return mixture


class DirichletMixture(GaussianMixture):
    """A Gaussian mixture whose weights have a Dirichlet prior, by variational inference: components
    that are not needed fade. What is sampled is the mixture of the posterior's means.

    Source: the code of Ghosh et al. (2020), whose printed figures are of this mixture; 100
    iterations at most, converged or not, as there.

    Args:
        n_components: K, at most the number of images; the prior's concentration is 1/K.
    """

    def _fitted(self, z: np.ndarray, **how: Any) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import BayesianGaussianMixture

        k = self.n_components
        how |= {"weight_concentration_prior": 1 / k, "max_iter": 100}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            posterior = BayesianGaussianMixture(n_components=k, **how).fit(z)
        return self._of({name: getattr(posterior, f"{name}_") for name in LEARNED})


class Gaussian(GaussianMixture):
    """One Gaussian with the mean and covariance of the codes."""

    def __init__(self) -> None:
        super().__init__(1)

"""What stands in for q(z) once the autoencoder is trained: N(0, I), a Gaussian, a mixture of them,
a second VAE.

q(z) = E_x q(z given x) is the aggregated posterior, the distribution of codes that the decoder was
trained on. A density is fitted to it afterwards, without touching the autoencoder ("ex-post", Ghosh
et al. 2020, Section 4), and then `model.images(density.sample(n))` draws images.

All densities share `fit(model, x, seed=)`, `sample(n, seed=)`, `log_prob(z)`, `state_dict()` and
`spec()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from vaelab import models, networks, training
from vaelab._inputs import check_choice, check_images, check_positive_int
from vaelab.likelihoods import Gaussian as GaussianLikelihood
from vaelab.posteriors import LOG_2_PI, Point
from vaelab.training import Hold


class NotFittedError(ValueError, AttributeError):
    """The density has not seen any codes yet."""


def draw(q: Point, seed: int) -> Tensor:
    """One code from each q(z given x), so a sample of q(z): shape (n, latent_dim)."""
    return q.rsample(torch.Generator(q.mean.device).manual_seed(seed))


class StandardNormal:
    """N(0, I), what a VAE's ancestral sampling assumes of q(z).

    >>> StandardNormal().fit_codes(Point(torch.zeros(2, 3))).sample(5).shape
    torch.Size([5, 3])
    """

    latent_dim: int | None = None

    def fit(self, model: models.Autoencoder, x: Tensor, seed: int = 0) -> Self:
        """Fit to the codes of images `x`, shape (n, *image_shape).

        Returns:
            The density itself.
        """
        return self.fit_codes(model.codes(x), seed)

    def fit_codes(self, q: Point, seed: int = 0) -> Self:
        """Fit to the posteriors `q` of n images, of which codes are drawn with `seed`."""
        self.latent_dim = q.mean.shape[1]
        return self

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw `n` codes, shape (n, latent_dim), on the CPU.

        Raises:
            NotFittedError: called before `fit`.
        """
        self._check(n)
        return torch.randn(n, self.latent_dim, generator=torch.Generator().manual_seed(seed))

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density at codes (n, latent_dim), in nats, shape (n,)."""
        self._check()
        return -0.5 * (z.square().sum(-1) + z.shape[-1] * LOG_2_PI)

    def _check(self, n: int = 1) -> None:
        check_positive_int("n", n)
        if self.latent_dim is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet; call fit(model, images) first"
            )

    def spec(self) -> dict:
        """What rebuilds this density, but for its tensors."""
        self._check()
        return {"name": type(self).__name__, "latent_dim": self.latent_dim}

    def state_dict(self) -> dict[str, Tensor]:
        """Its fitted tensors."""
        return {}

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        """Take over what `state_dict` and `spec` gave."""
        self.latent_dim = latent_dim
        return self


class GaussianMixture(StandardNormal):
    """A Gaussian mixture with full covariances, by scikit-learn's EM.

    Source: Ghosh et al. (2020), Section 4 (ten components there).

    Args:
        n_components: of the mixture; 1 makes it a Gaussian. At most the number of images.
    """

    def __init__(self, n_components: int = 10) -> None:
        check_positive_int("n_components", n_components)
        self.n_components = n_components

    def fit_codes(self, q: Point, seed: int = 0) -> Self:
        from sklearn.mixture import GaussianMixture as Mixture

        least = max(2, self.n_components)
        if len(q) < least:
            raise ValueError(
                f"{self.n_components} components: expected at least {least} images, got {len(q)}"
            )
        z = draw(q, seed).double().cpu().numpy()
        self.mixture = Mixture(self.n_components, max_iter=200, random_state=seed).fit(z)
        self.latent_dim = z.shape[1]
        return self

    def sample(self, n: int, seed: int = 0) -> Tensor:
        self._check(n)
        m, rng = self.mixture, np.random.default_rng(seed)
        which = rng.choice(len(m.weights_), size=n, p=m.weights_ / m.weights_.sum())
        scale = np.linalg.cholesky(m.covariances_)
        z = rng.standard_normal((n, self.latent_dim))
        for k, mean in enumerate(m.means_):
            z[which == k] = mean + z[which == k] @ scale[k].T
        return torch.from_numpy(z).float()

    def log_prob(self, z: Tensor) -> Tensor:
        self._check()
        return torch.from_numpy(self.mixture.score_samples(z.double().cpu().numpy())).to(z)

    def spec(self) -> dict:
        return {**super().spec(), "n_components": self.n_components}

    def state_dict(self) -> dict[str, Tensor]:
        names = ("weights_", "means_", "covariances_", "precisions_cholesky_")
        return {
            name.strip("_"): torch.from_numpy(np.ascontiguousarray(getattr(self.mixture, name)))
            for name in names
        }

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        from sklearn.mixture import GaussianMixture as Mixture

        self.latent_dim, self.mixture = latent_dim, Mixture(self.n_components)
        for name, value in tensors.items():
            setattr(self.mixture, f"{name}_", value.numpy())
        return self


class Gaussian(GaussianMixture):
    """One Gaussian with the mean and covariance of the codes."""

    def __init__(self) -> None:
        super().__init__(1)

    def spec(self) -> dict:
        return {"name": "Gaussian", "latent_dim": StandardNormal.spec(self)["latent_dim"]}


class SecondStage(StandardNormal):
    """A second VAE, fitted to q(z): the enhancement of the Two-Stage VAE.

    Its data are fresh draws z = μ + σε at every step, its latent space has the dimension of z (so r
    = d there and Theorem 1 applies), its γ is learned, and a sample is z = ẑ(u) + √γ ε with u ~
    N(0, I): noise on for z, off for x.

    Source: Dai & Wipf (2019), Section 4; network and noise as in the authors' code.

    Args:
        hidden: widths of its hidden layers, each of encoder and decoder.
        activation: of those layers.
        epochs, batch_size, lr, schedule, weight_decay, gamma_lr: as in `training.fit`.
        gamma: "learned" or "optimal" (see `likelihoods.Gaussian`).
        gamma_schedule: as in `training.fit`; the default keeps γ at 1 for half of the training,
            which keeps it from settling before the decoder has learned.
        device, precision, compile: as in `training.fit`.
    """

    def __init__(
        self,
        hidden: tuple[int, ...] = (1024, 1024, 1024),
        activation: str = "relu",
        *,
        epochs: int = 800,
        batch_size: int = 100,
        lr: float = 1e-4,
        schedule: Any = None,
        weight_decay: float = 0.0,
        gamma: str = "learned",
        gamma_lr: float = 10.0,
        gamma_schedule: Any = Hold(1.0),  # noqa: B008 (frozen)
        device: str = "auto",
        precision: str = "float32",
        compile: bool = False,
    ) -> None:
        self.hidden, self.activation, self.gamma_rule = tuple(hidden), activation, gamma
        self.training = {
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": lr,
            "schedule": schedule,
            "weight_decay": weight_decay,
            "gamma_lr": gamma_lr,
            "gamma_schedule": gamma_schedule,
            "device": device,
            "precision": precision,
            "compile": compile,
        }

    def fit(
        self,
        model: models.Autoencoder,
        x: Tensor,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        checkpoint_every: float = 60.0,
        progress: bool = False,
    ) -> Self:
        return self.fit_codes(model.codes(x), seed, checkpoint, checkpoint_every, progress)

    def fit_codes(
        self,
        q: Point,
        seed: int = 0,
        checkpoint: str | Path | None = None,
        checkpoint_every: float = 60.0,
        progress: bool = False,
    ) -> Self:
        """Fit to the posteriors `q` of n images, of which every training step draws afresh.

        Args:
            q: one row an image.
            seed: of weights, batches and noise.
            checkpoint, checkpoint_every: as in `training.fit`.
            progress: whether to show a bar.
        """
        self.latent_dim = q.mean.shape[1]
        self.vae = self._new(seed)
        self.run = training.fit(
            self.vae,
            q,
            **self.training,
            seed=seed,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            progress=progress,
            label="second stage",
        )
        return self

    def _new(self, seed: int) -> models.Autoencoder:
        with networks.seeded(seed):
            nets = networks.mlp(self.latent_dim, self.latent_dim, self.hidden, self.activation)
            return models.Autoencoder(nets, likelihood=GaussianLikelihood(self.gamma_rule))

    @torch.no_grad()
    def sample(self, n: int, seed: int = 0) -> Tensor:
        self._check(n)
        generator = torch.Generator().manual_seed(seed)
        u, noise = torch.randn(2, n, self.latent_dim, generator=generator)
        return self.vae.images(u) + math.sqrt(self.vae.gamma) * noise

    def codes(self, z: Tensor, seed: int = 0) -> Tensor:
        """Draw one u from q(u given z) for each code z: shape (n, latent_dim). What Table 3
        compares with N(0, I).
        """
        self._check()
        return draw(self.vae.codes(z), seed)

    def log_prob(self, z: Tensor, n_samples: int = 16, seed: int = 0) -> Tensor:
        """log p(z), estimated by importance sampling as in `log_prob_mc`, shape (n,).

        The noise is never that which `log_prob_mc` draws z with: shared, it would make the estimate
        too high.
        """
        self._check()
        return log_prob_mc(self.vae, z, n_samples=n_samples, seed=seed + 2**31)

    @property
    def gamma(self) -> float:
        """The second stage's decoder variance."""
        self._check()
        return self.vae.gamma

    def spec(self) -> dict:
        self._check()
        told = {"hidden": self.hidden, "activation": self.activation, "gamma": self.gamma_rule}
        return {"name": "SecondStage", "latent_dim": self.latent_dim, **told}

    def state_dict(self) -> dict[str, Tensor]:
        return self.vae.state_dict()

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        self.latent_dim = latent_dim
        self.vae = self._new(0)
        self.vae.load_state_dict(tensors)
        self.vae.eval()
        return self


def fit_second_stages(
    stages: Sequence[SecondStage],
    posteriors: Sequence[Point],
    seeds: Sequence[int],
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = False,
) -> None:
    """Fit several second stages of one kind at once, each to the posteriors of its own first stage.

    Args:
        stages: unfitted, made alike; each ends as its own `fit_codes` would have left it, up to
            rounding.
        posteriors: one set a stage, equally many rows.
        seeds: one a stage.
        checkpoint, checkpoint_every, progress: as in `training.fit_together`.

    Raises:
        ValueError: as `training.fit_together`; stages that are trained differently.
    """
    if not stages or not len(stages) == len(posteriors) == len(seeds):
        got = f"{len(stages)} stages, {len(posteriors)} and {len(seeds)}"
        raise ValueError(
            "stages: expected one set of posteriors and one seed for each (at least one), "
            f"got {got}"
        )
    plain = [{k: repr(v) for k, v in stage.training.items()} for stage in stages]
    if any(each != plain[0] for each in plain):
        raise ValueError(f"stages: expected all to be trained alike, got {plain}")
    for stage, q, seed in zip(stages, posteriors, seeds, strict=True):
        stage.latent_dim = q.mean.shape[1]
        stage.vae = stage._new(seed)
    runs = training.fit_together(
        [stage.vae for stage in stages],
        list(posteriors),
        seeds=seeds,
        **stages[0].training,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        progress=progress,
        label="second stages",
    )
    for stage, run in zip(stages, runs, strict=True):
        stage.run = run


@torch.no_grad()
def log_prob_mc(
    model: models.Autoencoder,
    x: Tensor,
    density: StandardNormal | None = None,
    n_samples: int = 16,
    seed: int = 0,
) -> Tensor:
    """log p(x) by importance sampling: log mean_k p(x given z_k) p(z_k) / q(z_k given x), z_k ~ q(z
    given x).

    A lower bound in expectation, tight as n_samples grows. The same noise serves every row, so that
    a row's value does not depend on its neighbours.

    Source: Burda et al. (2016), Eq. 8.

    Args:
        model: a VAE, whose posterior is not a point.
        x: images (n, *image_shape).
        density: p(z); N(0, I) unless given.
        n_samples: draws an image.
        seed: of the draws.

    Returns:
        Nats, shape (n,).
    """
    here = check_images(x, model.image_shape)
    x = here.to(next(model.parameters()))
    q = model.codes(x)
    prior = StandardNormal().fit_codes(q) if density is None else density
    eps = torch.randn(
        n_samples, model.latent_dim, generator=torch.Generator().manual_seed(seed)
    ).to(q.mean)
    weights = []
    with models.evaluating(model):
        for noise in eps:
            z = q.at(noise.expand_as(q.mean))
            log_p_x_given_z = -model.likelihood.nll(x, model.images(z))
            weights.append(log_p_x_given_z + prior.log_prob(z) - q.log_prob(z))
    return (torch.stack(weights).logsumexp(0) - math.log(n_samples)).to(here)


def from_spec(spec: dict, tensors: dict[str, Tensor]) -> StandardNormal:
    """Rebuild a fitted density from its `spec()` and `state_dict()`."""
    arguments = dict(spec)
    kinds = {c.__name__: c for c in (StandardNormal, Gaussian, GaussianMixture, SecondStage)}
    name, latent_dim = arguments.pop("name"), arguments.pop("latent_dim")
    check_choice("density", name, kinds)
    return kinds[name](**arguments).load_state(tensors, latent_dim)

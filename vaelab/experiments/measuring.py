"""What is measured of a trained model: the one form that the demonstration, `train` and the tables
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from vaelab import checkpoints, densities, metrics, models, posteriors, priors
from vaelab.data import Images
from vaelab.experiments import protocols
from vaelab.features import Classifier, FeatureSpace, features_for
from vaelab.interpolation import midpoints

N_SAMPLES = 10_000  # Images for a Fréchet distance, codes for an MMD.
SECONDS = "second stage"
NORMAL = "N(0, I)"  # The model's own prior, also where that is learned.
GAUSSIAN = "Gaussian"
MIXTURE = "mixture of 10"
N_GIVEN = 300  # Halves of test images that are completed, each this often:
N_COMPLETED = 10


@dataclass(frozen=True)
class Judge:
    """What samples are compared with: the test images, in some features.

    Args:
        space: the features.
        real: those of the test images.
        floor: Fréchet distance of training images from the test images.
        protocol: as for `protocols.samples`; None compares samples as they are drawn.
        device: where features are computed.
        prd: whether precision (F of 1/8) and recall (F of 8) are among the scores.
    """

    space: FeatureSpace
    real: Tensor
    floor: float
    protocol: str | None = None
    device: str = "cpu"
    prd: bool = False

    def features(self, x: Tensor) -> Tensor:
        """The features of generated images (n, *image_shape): shape (n, n_features)."""
        x = x if self.protocol is None else protocols.samples(x, self.protocol)
        return self.space(x, self.device)

    def distance(self, features: Tensor) -> float:
        """Their Fréchet distance from the test images'."""
        return metrics.frechet_distance(features, self.real)

    def scores(self, features: Tensor, seed: int) -> dict[str, float]:
        """What else is said of them, by name."""
        scores = self.space.scores(features, self.real, seed)
        if not self.prd:
            return scores
        curve = metrics.precision_recall(features, self.real, seed=seed)
        prd = {"precision": metrics.f_score(*curve, 1 / 8), "recall": metrics.f_score(*curve, 8)}
        return scores | prd


def judge_for(
    images: Images,
    space: FeatureSpace,
    some: Tensor,
    protocol: str | None = None,
    device: str = "cpu",
    prd: bool = False,
) -> Judge:
    """The judge of samples of a data set.

    Args:
        images: the data set.
        space: the features.
        some: training images for the floor, as many as there will be samples: the fewer rows, the
            larger a Fréchet distance.
        protocol, device, prd: as for `Judge`.
    """
    real = space(images.test_pixels, device)
    floor = metrics.frechet_distance(space(some, device), real)
    return Judge(space, real, floor, protocol, device, prd)


def fit_densities(
    model: models.Autoencoder, second: densities.SecondStage | None, x: Tensor, seed: int = 0
) -> dict[str, densities.Density]:
    """Every density of the demonstration, by name, fitted to the codes of images `x`; the second
    stage, if there is one, as it is.
    """
    q = model.codes(x)
    components = min(10, len(q))
    stages = {} if second is None else {SECONDS: second}
    return {
        NORMAL: checkpoints.model_prior(model),
        **stages,
        GAUSSIAN: densities.Gaussian().fit_codes(q, seed),
        f"mixture of {components}": densities.GaussianMixture(components).fit_codes(q, seed),
    }


class Midpoints(densities.Density):
    """The middles of the arcs between codes, as if they were a density's samples."""

    def fit_codes(self, q: posteriors.Distribution, seed: int = 0) -> Self:
        self.latent_dim = q.mean.shape[1]
        self.ends = q.mean
        return self

    def sample(self, n: int, seed: int = 0) -> Tensor:
        return midpoints(self.ends, self.check(n), seed=seed)


def measure(
    images: Images,
    model: models.Autoencoder,
    second: densities.SecondStage | None = None,
    judge: Judge | None = None,
    seed: int = 0,
    fitted: Mapping[str, densities.Density] | None = None,
    n: int = N_SAMPLES,
) -> dict[str, Any]:
    """Everything the theory and the tables speak of, for one trained model.

    Args:
        images: the data set.
        model, second: both stages, trained, or the first alone.
        judge: of the samples; in `features_for(images)` unless given.
        seed: of every draw.
        fitted: the densities to draw from; `fit_densities` of the training images unless given.
        n: samples of each density, and codes; no more than there are training images.

    Returns:
        Plain data: that of `measure_stages`, "frechet" by density with "reconstructions" (of the
        test images) and "floor", "features", "n_samples", and what else the features give, such as
        "kid", by density.
    """
    some = images.train_pixels[:n]
    judge = judge_for(images, features_for(images), some) if judge is None else judge
    fitted = fit_densities(model, second, images.train_pixels, seed) if fitted is None else fitted
    rebuilt = model.reconstruct(images.test_pixels)
    measured: dict[str, Any] = {
        "frechet": {},
        "features": judge.space.name,
        "n_samples": len(some),
    }
    for name, density in fitted.items():
        features = judge.features(model.images(density.sample(len(some), seed)))
        scores = {"frechet": judge.distance(features)} | judge.scores(features, seed)
        for score, value in scores.items():
            measured.setdefault(score, {})[name] = value
    measured["frechet"]["reconstructions"] = judge.distance(judge.features(rebuilt))
    measured["frechet"]["floor"] = judge.floor
    return measured | measure_stages(images, model, second, seed, n, rebuilt)


@torch.no_grad()
def measure_given(
    images: Images, model: models.Conditional, judge: Judge, seed: int = 0
) -> dict[str, Any]:
    """What is measured of a model that completes pictures: 300 test images, ten times each.

    Returns:
        Plain data: "frechet" of the completed images, by the names of `measure`, "diversity" (see
        `metrics.diversity`), "best" (the mean squared error of the completion nearest to the
        truth), "features", "n_samples", and "inception_score", by the classifier where the features
        are a classifier's.
    """
    some = images.test[:N_GIVEN]
    completed = model.draw(model.context(some), N_COMPLETED, seed)
    x = completed.flatten(0, 1)
    features = judge.features(x)
    scores = judge.scores(features, seed)
    if isinstance(judge.space.network, Classifier):
        parts = x.to(judge.device).split(1000)
        logits = torch.cat([judge.space.network(part) for part in parts]).cpu()
        scores["inception_score"] = metrics.inception_score(logits, seed=seed)[0]
    return {
        "frechet": {NORMAL: judge.distance(features), "floor": judge.floor},
        "mmd2": {},
        "diversity": metrics.diversity(features.unflatten(0, completed.shape[:2])).mean().item(),
        "best": (completed - some[:, None]).square().flatten(2).mean(2).amin(1).mean().item(),
        "features": judge.space.name,
        "n_samples": len(x),
    } | scores


def measure_stages(
    images: Images,
    model: models.Autoencoder,
    second: densities.SecondStage | None = None,
    seed: int = 0,
    n: int = N_SAMPLES,
    rebuilt: Tensor | None = None,
) -> dict[str, Any]:
    """What is measured of the codes, for any model, with or without a second stage.

    Args:
        images: the data set.
        model, second: trained.
        seed: of every draw.
        n: how many codes are compared with draws from the prior.
        rebuilt: reconstructions of the test images, where they are at hand.

    Returns:
        Plain data: "gamma", "active_dims", "reconstruction_error" (per pixel, test images), "mmd2"
        of each stage's codes to its own prior (the second's is N(0, I)), "spectra" of each,
        "eigenvalues" (means over the test images), "histogram" (of λ_j, see
        `metrics.eigenvalue_counts`), "noise" (see `noise_by_direction`) and "n_codes"; with a
        second stage "second_gamma".
    """
    q_test = model.codes(images.test_pixels)
    rebuilt = model.images(q_test.mean) if rebuilt is None else rebuilt
    eigenvalues = q_test.eigenvalues()
    z = densities.draw(model.codes(images.train_pixels[:n]), seed)
    stages = {"stage 1": (z, model.prior)}
    if second is not None:
        stages["stage 2"] = (second.codes(z, seed + 1), second.vae.prior)

    def mmd2(codes: Tensor, prior: priors.Prior) -> float:
        return metrics.mmd2(codes, prior.sample(len(z), z.shape[1], seed + 2))

    measured = {
        "gamma": model.gamma,
        "active_dims": metrics.active_dims(eigenvalues),
        "reconstruction_error": metrics.mean_squared_error(images.test, rebuilt),
        "mmd2": {name: mmd2(*stage) for name, stage in stages.items()},
        "spectra": {name: metrics.singular_values(c).tolist() for name, (c, _) in stages.items()},
        "eigenvalues": eigenvalues.mean(0).tolist(),
        "histogram": metrics.eigenvalue_counts(eigenvalues).tolist(),
        "noise": noise_by_direction(model, q_test[:500], seed),
        "n_codes": len(z),
    }
    return measured if second is None else measured | {"second_gamma": second.gamma}


def noise_by_direction(
    model: models.Autoencoder, q: posteriors.Distribution, seed: int = 0
) -> dict[str, Any]:
    """What noise along each principal direction of the mean Σ_z does to the images of up to 16
    codes.

    Source: Dai & Wipf (2019), Figs. 1b and 10.

    Returns:
        "eigenvalues" of the mean Σ_z, ascending, the images' "variance" for each (see
        `metrics.direction_variance`), and their "rank_correlation": near −1 by the theory, None
        where all eigenvalues are equal.
    """
    values, vectors = torch.linalg.eigh(q.covariance().double().mean(0))
    variance = metrics.direction_variance(
        model.images, q.mean[:16], vectors.T, n_draws=4, seed=seed
    )
    equal = values.max() == values.min() or variance.max() == variance.min()
    rho = None if equal else metrics.rank_correlation(values, variance)
    return {"eigenvalues": values.tolist(), "variance": variance.tolist(), "rank_correlation": rho}

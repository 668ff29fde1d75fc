"""The space in which distances are measured: a classifier's features, or principal components of
the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vaelab._inputs import check_images, pick_device
from vaelab.data import Images
from vaelab.features.classifier import accuracy, shrink, train_classifier
from vaelab.features.shipped import SHIPPED, load_classifier, told_of

_ON_THE_SPOT = {"epochs": 6, "n_images": 5000}
_N_COMPONENTS = 64


class PrincipalComponents(nn.Module):
    """The leading principal components of the pixels of up to 5,000 images, larger ones averaged
    down to 32×32 first.

    The distance between two Gaussians does not change when the axes are turned, so signs and order
    are of no account.

    Args:
        x: images (n, *image_shape), n ≥ 2.
        n_components: how many at most; fewer if there are fewer pixels, or images less one.
        seed: of the randomised decomposition, which scikit-learn takes for large images.
    """

    def __init__(self, x: Tensor, n_components: int = _N_COMPONENTS, seed: int = 0) -> None:
        from sklearn.decomposition import PCA

        super().__init__()
        rows = shrink(x[:: math.ceil(len(x) / _ON_THE_SPOT["n_images"])]).flatten(1)
        self.n_features = min(n_components, rows.shape[1], len(rows) - 1)
        pca = PCA(self.n_features, random_state=seed).fit(rows.numpy())
        self.register_buffer("mean", torch.from_numpy(pca.mean_).float())
        self.register_buffer("axes", torch.from_numpy(pca.components_.T.copy()).float())

    def features(self, x: Tensor) -> Tensor:
        """The components of images (n, *image_shape): shape (n, n_features)."""
        return (shrink(x).flatten(1) - self.mean) @ self.axes


@dataclass(frozen=True)
class FeatureSpace:
    """A named map from images to features, in which `vaelab.metrics.frechet_distance` compares
    samples with data.

    Args:
        name: what stands beside every figure measured in it.
        network: a module with `.features(x)` and `.n_features`.
        image_shape: (channels, height, width) of the images it takes.

    >>> from vaelab.data import load_images
    >>> space = features_for(load_images("digits"))
    >>> space(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 32])
    """

    name: str
    network: nn.Module
    image_shape: tuple[int, int, int]

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return self.network.n_features

    @torch.no_grad()
    def __call__(self, x: Tensor, batch_size: int = 1000) -> Tensor:
        """The features of images (n, *image_shape): float32, shape (n, n_features), on the images'
        device.

        Raises:
            TypeError: integers. ValueError: another shape, NaN or infinite values.
        """
        x = check_images(x, self.image_shape)
        network = self.network.to(x.device).eval()
        return torch.cat([network.features(part.float()) for part in x.split(batch_size)])

    def over(self, x: Tensor, device: str | torch.device = "cpu", batch_size: int = 1000) -> Tensor:
        """The features of images, computed on a device piece by piece: on the images' own
        device.
        """
        where = pick_device(device)
        return torch.cat(
            [self(part.to(where), batch_size).to(x.device) for part in x.split(batch_size)]
        )

    def scores(self, fake: Tensor, real: Tensor, seed: int = 0) -> dict[str, float]:
        """What else is said of features beside their Fréchet distance: nothing here; KID and IS of
        Inception's.
        """
        return {}


def features_for(images: Images, seed: int = 0) -> FeatureSpace:
    """The feature space for a set of images.

    For digits, MNIST, Fashion-MNIST and CIFAR-10 the classifier that ships with the package. For
    any other labelled pictures a classifier trained on up to 5,000 of them, which takes seconds.
    For pictures without labels the 64 leading principal components of their pixels.

    Args:
        images: from `load_images`.
        seed: of what is trained on the spot.

    >>> from vaelab.data import load_images
    >>> features_for(load_images("digits")).n_features
    32
    """
    if images.name in SHIPPED:
        told = told_of(images.name)
        if (tuple(told["image_shape"]), tuple(told["classes"])) == (images.shape, images.classes):
            score = 100 * told["test_accuracy"]
            name = f"{images.name} classifier ({told['description']}, test accuracy {score:.1f} %)"
            return FeatureSpace(name, load_classifier(images.name), images.shape)
    if images.train_labels is None:
        components = PrincipalComponents(images.train, seed=seed)
        return FeatureSpace(
            f"{components.n_features} principal components of the pixels", components, images.shape
        )
    n = min(len(images.train), _ON_THE_SPOT["n_images"])
    classifier = train_classifier(images, seed, **_ON_THE_SPOT)
    score = accuracy(classifier, images.test, images.test_labels)
    name = (
        f"classifier trained on {n} of {images.name} ({classifier.description}, test accuracy "
        f"{100 * score:.1f} %)"
    )
    return FeatureSpace(name, classifier, images.shape)

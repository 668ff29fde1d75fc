"""The space in which distances are measured: a classifier's features, or principal components of
the pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab._arrays import Rows, as_array
from vaelab._door import door
from vaelab._inputs import check_images, check_rows, pick_device
from vaelab.data import Images, unit
from vaelab.features.classifier import (
    Classifier,
    FeatureNetwork,
    accuracy,
    shrink,
    train_classifier,
)
from vaelab.features.shipped import SHIPPED, TRAINED_ON, load_classifier, record_of

_N_IMAGES = 5000


class PrincipalComponents(FeatureNetwork):
    """The leading principal components of the pixels of up to 5,000 images, larger ones averaged
    down to 32×32 first.

    The distance between two Gaussians does not change when the axes are turned, so signs and order
    do not matter.

    Args:
        x: images (n, *image_shape), n ≥ 2; bytes are pixels 0 to 255.
        n_components: how many at most; fewer if there are fewer pixels, or images less one.
        seed: of the randomised decomposition, which scikit-learn takes for large images.
    """

    mean: Tensor
    axes: Tensor

    @door
    def __init__(self, x: Tensor | Rows, n_components: int = 64, seed: int = 0) -> None:
        from sklearn.decomposition import PCA

        super().__init__()
        x = check_rows(x, minimum=2)
        rows = shrink(unit(x[:: math.ceil(len(x) / _N_IMAGES)])).flatten(1)
        self.n_features = min(n_components, rows.shape[1], len(rows) - 1)
        pca = PCA(self.n_features, random_state=seed).fit(as_array(rows))
        self.register_buffer("mean", torch.as_tensor(pca.mean_).float())
        self.register_buffer("axes", torch.as_tensor(pca.components_).T.float().contiguous())

    def features(self, x: Tensor) -> Tensor:
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
    network: FeatureNetwork
    image_shape: tuple[int, int, int]
    batch_size = 1000  # How many images go through the network at a time.

    @property
    def n_features(self) -> int:
        """The number of features of an image."""
        return self.network.n_features

    @torch.no_grad()
    def __call__(self, x: Tensor, device: str | torch.device | None = None) -> Tensor:
        """The features of images (n, *image_shape): float32, shape (n, n_features), on the images'
        device.

        Args:
            x: the images; bytes are pixels 0 to 255.
            device: where they are computed, piece by piece; on that of the images unless given.

        Raises:
            TypeError: integers of another kind. ValueError: another shape, NaN or infinite values.
        """
        x = check_images(x, self.image_shape, pixels=True)
        device = pick_device(x.device if device is None else device)
        network = self.network.to(device).eval()
        parts = x.split(self.batch_size)
        features = (network.features(unit(part.to(device)).float()) for part in parts)
        return torch.cat([some.to(x.device) for some in features])

    def scores(self, fake: Tensor, real: Tensor, seed: int = 0) -> dict[str, float]:
        """Measures beside the Fréchet distance: KID and IS in Inception's features, or none."""
        return {}


def features_for(images: Images, seed: int = 0) -> FeatureSpace:
    """The feature space for a set of images.

    For digits, MNIST, Fashion-MNIST and CIFAR-10 the classifier that ships with the package; for
    "fashion-small" that of the whole Fashion-MNIST. For any other labelled pictures a classifier
    trained on up to 5,000 of them, which takes seconds. For pictures without labels the 64 leading
    principal components of their pixels.

    Args:
        images: from `load_images`.
        seed: of what is trained on the spot.

    >>> from vaelab.data import load_images
    >>> features_for(load_images("digits")).n_features
    32
    """
    if images.name in SHIPPED:
        record = record_of(images.name)
        shape, classes = tuple(record["image_shape"]), tuple(record["classes"])
        if shape == images.shape and classes == images.classes:
            name = f"{TRAINED_ON.get(images.name, images.name)} classifier"
            return _space(name, load_classifier(images.name), images, record["test_accuracy"])
    if images.train_labels is None:
        components = PrincipalComponents(images.train_pixels, seed=seed)
        name = f"{components.n_features} principal components of the pixels"
        return FeatureSpace(name, components, images.shape)
    classifier = train_classifier(images, seed, epochs=6, n_images=_N_IMAGES)
    score = accuracy(classifier, images.test, images.test_labels)
    name = f"classifier trained on {min(len(images.train_pixels), _N_IMAGES)} of {images.name}"
    return _space(name, classifier, images, score)


def _space(name: str, classifier: Classifier, images: Images, score: float) -> FeatureSpace:
    about = f"({classifier.description}, test accuracy {100 * score:.1f} %)"
    return FeatureSpace(f"{name} {about}", classifier, images.shape)

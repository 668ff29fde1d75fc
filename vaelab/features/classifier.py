"""A small image classifier whose last hidden layer serves as features, and its training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._arrays import Rows, as_tensor
from vaelab._bars import bar_of
from vaelab._door import door
from vaelab._inputs import Positive, Weight, Whole, check_images, floats, generator_of
from vaelab.data import Images, unit

_LARGEST_SIDE = 32


class FeatureNetwork(nn.Module):
    """What a feature space looks through: a subclass has `n_features` and `features`."""

    n_features: int

    def features(self, x: Tensor) -> Tensor:
        """The features of images (n, *image_shape): shape (n, n_features)."""
        raise NotImplementedError


class Classifier(FeatureNetwork):
    """A small image classifier whose last hidden layer serves as features.

    Up to 64 pixels: a perceptron, pixels-128-32-classes. Above: three convolutions of stride 2 (24,
    48 and 64 channels, with batch normalisation), then 64 features; images larger than 32×32 are
    first averaged down to that.

    Args:
        image_shape: (channels, height, width) of an image.
        n_classes: how many classes there are, ≥ 1.
        seed: of the first weights.

    >>> net = Classifier((1, 8, 8), 10)
    >>> net.features(torch.zeros(5, 1, 8, 8)).shape, net(torch.zeros(5, 1, 8, 8)).shape
    (torch.Size([5, 32]), torch.Size([5, 10]))
    """

    @door
    def __init__(self, image_shape: tuple[int, int, int], n_classes: int, seed: int = 0) -> None:
        super().__init__()
        self.image_shape = tuple(image_shape)
        small = math.prod(self.image_shape) <= 64
        self.n_features = 32 if small else 64
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.body = (_perceptron if small else _convolutional)(*self.image_shape)
            self.head = nn.Linear(self.n_features, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer for images (n, *image_shape), after its ReLU: shape (n,
        n_features).
        """
        return self.body(shrink(x))

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the classes for images (n, *image_shape): shape (n, n_classes)."""
        return self.head(self.features(x))

    @property
    def description(self) -> str:
        """The layers in a few words."""
        n_pixels = math.prod(self.image_shape)
        if n_pixels > 64:
            return f"convolutional, {self.n_features} features"
        return f"{n_pixels}-128-32-{self.head.out_features}"


def _perceptron(*image_shape: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(image_shape), 128),
        nn.ReLU(),
        nn.Linear(128, 32),
        nn.ReLU(),
    )


def _convolutional(channels: int, height: int, width: int) -> nn.Sequential:
    def block(n_in: int, n_out: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(n_in, n_out, kernel, stride=2, padding=kernel // 2, bias=False)
        return [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]

    rows, columns = (math.ceil(min(n, _LARGEST_SIDE) / 8) for n in (height, width))
    return nn.Sequential(
        *block(channels, 24, 5),
        *block(24, 48, 3),
        *block(48, 64, 3),
        nn.Flatten(),
        nn.Linear(64 * rows * columns, 64),
        nn.ReLU(),
    )


def shrink(x: Tensor) -> Tensor:
    """Images larger than 32×32 averaged down to that; others as they are."""
    height, width = (min(n, _LARGEST_SIDE) for n in x.shape[-2:])
    return F.adaptive_avg_pool2d(x, (height, width))


@door
def train_classifier(
    images: Images,
    seed: int = 0,
    epochs: int = 20,
    n_images: int | None = None,
    batch_size: int = 128,
    shift: Whole = 0,
    noise: Weight = 0.0,
    weight_decay: Weight = 0.01,
    learning_rate: Positive = 3e-3,
) -> Classifier:
    """Train a classifier on the training images, on the CPU.

    AdamW with a one-cycle schedule. Shifts and noise keep it from learning the training images by
    heart, which would set their features apart from those of test images. Labels are not smoothed:
    that pulls each class into a point, and the distance could no longer tell whether samples vary
    within a class.

    Args:
        images: labelled images.
        seed: of first weights, order, shifts and noise; the same seed gives the same classifier on
            the same machine.
        epochs: passes over the training images, ≥ 1.
        n_images: how many training images to use, drawn at random; None for all.
        batch_size: images a step.
        shift: every image is moved by up to this many pixels each way, anew in every pass.
        noise: standard deviation of Gaussian noise on the pixels.
        weight_decay: of AdamW.
        learning_rate: the highest of the schedule.

    Returns:
        The classifier, in evaluation mode.

    Raises:
        ValueError: images without labels, or `epochs` below 1.
    """
    if images.train_labels is None:
        raise ValueError(
            f"{images.name}: expected labelled images to train a classifier on, got none with "
            "labels; put the pictures in one sub-folder for each class, or use features_for"
        )
    generator = generator_of(seed)
    chosen = torch.randperm(len(images.train_pixels), generator=generator)[:n_images]
    x, y = unit(images.train_pixels[chosen]), images.train_labels[chosen]
    classifier = Classifier(images.shape, len(images.classes), seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), learning_rate, weight_decay=weight_decay)
    n_batches = max(1, len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, epochs * n_batches)
    bar = bar_of(epochs, "training the classifier")
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for batch in order.split(batch_size)[:n_batches]:
            logits = classifier(_vary(x[batch], shift, noise, generator))
            loss = F.cross_entropy(logits, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        bar.update()
    bar.close()
    return classifier.eval()


def _vary(x: Tensor, shift: int, noise: float, generator: torch.Generator) -> Tensor:
    """Images (n, c, h, w), each moved by up to `shift` pixels, with Gaussian noise on top."""
    if shift:
        n, _, height, width = x.shape
        down, right = torch.randint(0, 2 * shift + 1, (2, n, 1), generator=generator)
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        images = torch.arange(n)[:, None, None]
        x = F.pad(x, [shift] * 4)[images, :, rows[:, :, None], columns[:, None, :]]
        x = x.permute(0, 3, 1, 2)
    return x + noise * torch.randn(x.shape, generator=generator) if noise else x


@door
@torch.no_grad()
def accuracy(
    classifier: Classifier, x: Tensor | Rows, labels: Any, batch_size: int = 1000
) -> float:
    """The share of images `x`, shape (n, *image_shape), whose most likely class is their label.

    Raises:
        ValueError: no labels.
    """
    if labels is None:
        raise ValueError("labels: expected one for each image, got None")
    x, right = check_images(x, classifier.image_shape, pixels=True), as_tensor(labels, "labels")
    if right.shape != x.shape[:1]:
        raise ValueError(f"labels: expected {len(x)} of them, got shape {tuple(right.shape)}")
    weight = classifier.eval().head.weight
    parts = [classifier(floats(part, weight)).argmax(1) for part in x.split(batch_size)]
    return (torch.cat(parts) == right.to(weight.device)).double().mean().item()

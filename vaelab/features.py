"""The features in which Fréchet distances are measured here: those of a small classifier, or principal components.

The usual Fréchet distance (FID) looks at images through an Inception network trained on ImageNet, whose weights are a
download of 90 MB and which was made for colour photographs of 299×299 pixels. For images of 8×8 or 28×28 a classifier
of the very same data set sees more and costs nothing. Its distances live on a scale of their own: they compare models
on one data set and in one feature space, whose name stands beside every figure, and they are never called FID.

The classifiers of digits, MNIST and Fashion-MNIST ship with the package. `python -m vaelab.features mnist` trains and
writes one again.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._inputs import check_choice, check_images, check_positive_int
from vaelab.data import Images, load_images

SHIPPED = ("digits", "mnist", "fashion")
_LARGEST_SIDE = 32
_ON_THE_SPOT = {"epochs": 6, "n_images": 5000}
_N_COMPONENTS = 64


class Classifier(nn.Module):
    """A small image classifier whose last hidden layer serves as features.

    Up to 64 pixels: a perceptron, pixels-128-32-classes. Above: three convolutions of stride 2 (24, 48 and 64 channels,
    with batch normalisation), then 64 features; images larger than 32×32 are first averaged down to that.

    Args:
        image_shape: (channels, height, width) of an image.
        n_classes: how many classes there are, ≥ 1.
        seed: of the first weights.

    >>> net = Classifier((1, 8, 8), 10)
    >>> net.features(torch.zeros(5, 1, 8, 8)).shape, net(torch.zeros(5, 1, 8, 8)).shape
    (torch.Size([5, 32]), torch.Size([5, 10]))
    """

    def __init__(self, image_shape: tuple[int, int, int], n_classes: int, seed: int = 0) -> None:
        super().__init__()
        check_positive_int("n_classes", n_classes)
        self.image_shape = tuple(image_shape)
        self.kind = "perceptron" if math.prod(self.image_shape) <= 64 else "convolutional"
        self.n_features = 32 if self.kind == "perceptron" else 64
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.body = (_perceptron if self.kind == "perceptron" else _convolutional)(*self.image_shape)
            self.head = nn.Linear(self.n_features, n_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer for images (n, *image_shape), after its ReLU: shape (n, n_features)."""
        return self.body(_shrink(x))

    def forward(self, x: Tensor) -> Tensor:
        """The logits of the classes for images (n, *image_shape): shape (n, n_classes)."""
        return self.head(self.features(x))

    @property
    def description(self) -> str:
        """The layers in a few words."""
        if self.kind == "convolutional":
            return f"convolutional, {self.n_features} features"
        return f"{math.prod(self.image_shape)}-128-32-{self.head.out_features}"


def _perceptron(*image_shape: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(image_shape), 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU())


def _convolutional(channels: int, height: int, width: int) -> nn.Sequential:
    def block(n_in: int, n_out: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(n_in, n_out, kernel, stride=2, padding=kernel // 2, bias=False)
        return [convolution, nn.BatchNorm2d(n_out), nn.ReLU()]

    rows, columns = (math.ceil(min(n, _LARGEST_SIDE) / 8) for n in (height, width))
    return nn.Sequential(
        *block(channels, 24, 5), *block(24, 48, 3), *block(48, 64, 3),
        nn.Flatten(), nn.Linear(64 * rows * columns, 64), nn.ReLU(),
    )


def _shrink(x: Tensor) -> Tensor:
    """Images larger than 32×32 averaged down to that; others as they are."""
    height, width = (min(n, _LARGEST_SIDE) for n in x.shape[-2:])
    return x if x.shape[-2:] == (height, width) else F.adaptive_avg_pool2d(x, (height, width))


# ---- training ------------------------------------------------------------------------------------------------------


def train_classifier(
    images: Images,
    seed: int = 0,
    epochs: int = 20,
    n_images: int | None = None,
    batch_size: int = 128,
    shift: int = 0,
    noise: float = 0.0,
    weight_decay: float = 0.01,
    learning_rate: float = 3e-3,
) -> Classifier:
    """Train a classifier on the training images, on the CPU.

    AdamW with a one-cycle schedule. Shifts and noise keep it from learning the training images by heart, which would
    set their features apart from those of test images. Labels are not smoothed: that pulls each class into a point, and
    the distance could no longer tell whether samples vary within a class.

    Args:
        images: labelled images.
        seed: of first weights, order, shifts and noise; the same seed gives the same classifier on the same machine.
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
    from tqdm.auto import trange

    check_positive_int("epochs", epochs)
    if images.train_labels is None:
        raise ValueError(f"{images.name}: expected labelled images to train a classifier on, got none with labels; put "
                         "the pictures in one sub-folder for each class, or use features_for")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(images.train), generator=generator)[:n_images]
    x, y = images.train[chosen], images.train_labels[chosen]
    classifier = Classifier(images.shape, len(images.classes), seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), learning_rate, weight_decay=weight_decay)
    n_batches = max(1, len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, epochs * n_batches)
    for _ in trange(epochs, desc="training the classifier", leave=False, delay=2):
        order = torch.randperm(len(x), generator=generator)
        for batch in order.split(batch_size)[:n_batches]:
            logits = classifier(_vary(x[batch], shift, noise, generator))
            loss = F.cross_entropy(logits, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def _vary(x: Tensor, shift: int, noise: float, generator: torch.Generator) -> Tensor:
    """Images (n, c, h, w), each moved by up to `shift` pixels and with Gaussian noise added; same shape."""
    if shift:
        n, _, height, width = x.shape
        down, right = torch.randint(0, 2 * shift + 1, (2, n, 1), generator=generator)
        rows, columns = down + torch.arange(height), right + torch.arange(width)
        padded = F.pad(x, [shift] * 4)
        x = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return x + noise * torch.randn(x.shape, generator=generator) if noise else x


@torch.no_grad()
def accuracy(classifier: Classifier, x: Tensor, labels: Tensor, batch_size: int = 1000) -> float:
    """The share of images `x`, shape (n, *image_shape), whose most likely class is their label."""
    classifier.eval()
    guesses = torch.cat([classifier(part).argmax(1) for part in x.split(batch_size)])
    return (guesses == labels).double().mean().item()


# ---- the classifiers that ship with the package --------------------------------------------------------------------

RECIPES = {
    "digits": {"epochs": 60, "batch_size": 64, "noise": 0.1, "learning_rate": 1e-2},
    "mnist": {"epochs": 12, "shift": 2, "weight_decay": 0.05},
    "fashion": {"epochs": 8, "noise": 0.05, "weight_decay": 0.05},
}


def ship_classifier(name: str, folder: Path, root: str | None = None, seed: int = 0) -> dict:
    """Train the classifier of a named data set and write it as `folder`/`name`.safetensors and .json.

    Args:
        name: "digits", "mnist" or "fashion".
        folder: where to write; must exist.
        root: the data root, as for `load_images`.
        seed: as for `train_classifier`.

    Returns:
        What the .json says: shape, classes, accuracy on the test images, and how it was trained.
    """
    check_choice("name", name, SHIPPED)
    images = load_images(name, root)
    classifier = train_classifier(images, seed, **RECIPES[name])
    told = {
        "name": name,
        "image_shape": images.shape,
        "classes": images.classes,
        "description": classifier.description,
        "test_accuracy": accuracy(classifier, images.test, images.test_labels),
        "train_accuracy": accuracy(classifier, images.train, images.train_labels),
        "seed": seed,
        "training": RECIPES[name],
        "data": {"source": images.source, "fingerprint": images.fingerprint()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "made_by": f"python -m vaelab.features {name} --seed {seed}",
    }
    (folder / f"{name}.safetensors").write_bytes(safetensors.torch.save(classifier.state_dict()))
    (folder / f"{name}.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return told


def load_classifier(name: str) -> Classifier:
    """The classifier of a named data set that ships with the package, in evaluation mode.

    Args:
        name: "digits", "mnist" or "fashion".

    Raises:
        ValueError: another name.

    >>> load_classifier("digits").description
    '64-128-32-10'
    """
    told = _told(name)
    classifier = Classifier(tuple(told["image_shape"]), len(told["classes"]))
    weights = resources.files("vaelab") / "weights" / f"{name}.safetensors"
    classifier.load_state_dict(safetensors.torch.load(weights.read_bytes()))
    return classifier.eval()


def _told(name: str) -> dict:
    check_choice("name", name, SHIPPED)
    return json.loads((resources.files("vaelab") / "weights" / f"{name}.json").read_text(encoding="utf-8"))


# ---- the space in which distances are measured ---------------------------------------------------------------------


class PrincipalComponents(nn.Module):
    """The leading principal components of the pixels of up to 5,000 images, larger ones averaged down to 32×32 first.

    The distance between two Gaussians does not change when the axes are turned, so signs and order are of no account.

    Args:
        x: images (n, *image_shape), n ≥ 2.
        n_components: how many at most; fewer if there are fewer pixels, or images less one.
        seed: of the randomised decomposition, which scikit-learn takes for large images.
    """

    def __init__(self, x: Tensor, n_components: int = _N_COMPONENTS, seed: int = 0) -> None:
        from sklearn.decomposition import PCA

        super().__init__()
        rows = _shrink(x[:: math.ceil(len(x) / _ON_THE_SPOT["n_images"])]).flatten(1)
        self.n_features = min(n_components, rows.shape[1], len(rows) - 1)
        pca = PCA(self.n_features, random_state=seed).fit(rows.numpy())
        self.register_buffer("mean", torch.from_numpy(pca.mean_).float())
        self.register_buffer("axes", torch.from_numpy(pca.components_.T.copy()).float())

    def features(self, x: Tensor) -> Tensor:
        """The components of images (n, *image_shape): shape (n, n_features)."""
        return (_shrink(x).flatten(1) - self.mean) @ self.axes


@dataclass(frozen=True)
class FeatureSpace:
    """A named map from images to features, in which `vaelab.metrics.frechet_distance` compares samples with data.

    Args:
        name: what stands beside every figure measured in it.
        network: a module with `.features(x)` and `.n_features`.
        image_shape: (channels, height, width) of the images it takes.

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
        """The features of images (n, *image_shape): float32, shape (n, n_features), on the images' device.

        Raises:
            TypeError: integers. ValueError: another shape, NaN or infinite values.
        """
        x = check_images(x, self.image_shape)
        network = self.network.to(x.device).eval()
        return torch.cat([network.features(part.float()) for part in x.split(batch_size)])


def features_for(images: Images, seed: int = 0) -> FeatureSpace:
    """The feature space for a set of images.

    For digits, MNIST and Fashion-MNIST the classifier that ships with the package. For any other labelled pictures a
    classifier trained on up to 5,000 of them, which takes seconds. For pictures without labels the 64 leading
    principal components of their pixels.

    Args:
        images: from `load_images`.
        seed: of what is trained on the spot.

    >>> features_for(load_images("digits")).n_features
    32
    """
    if images.name in SHIPPED:
        told = _told(images.name)
        if (tuple(told["image_shape"]), tuple(told["classes"])) == (images.shape, images.classes):
            score = 100 * told["test_accuracy"]
            name = f"{images.name} classifier ({told['description']}, test accuracy {score:.1f} %)"
            return FeatureSpace(name, load_classifier(images.name), images.shape)
    if images.train_labels is None:
        components = PrincipalComponents(images.train, seed=seed)
        return FeatureSpace(f"{components.n_features} principal components of the pixels", components, images.shape)
    n = min(len(images.train), _ON_THE_SPOT["n_images"])
    classifier = train_classifier(images, seed, **_ON_THE_SPOT)
    score = accuracy(classifier, images.test, images.test_labels)
    name = f"classifier trained on {n} of {images.name} ({classifier.description}, test accuracy {100 * score:.1f} %)"
    return FeatureSpace(name, classifier, images.shape)


def main(argv: list[str] | None = None) -> None:
    """The command line: train and write a classifier of those that ship with the package."""
    parser = argparse.ArgumentParser(prog="python -m vaelab.features", description=main.__doc__)
    parser.add_argument("name", choices=SHIPPED)
    parser.add_argument("--data", metavar="ROOT", help="where the data set lies (default: as for load_images)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights", metavar="FOLDER",
                        help="an existing folder to write to (default: the package's own)")
    arguments = parser.parse_args(argv)
    told = ship_classifier(arguments.name, arguments.out, arguments.data, arguments.seed)
    print(f"{arguments.out / arguments.name}.safetensors: test accuracy {told['test_accuracy']:.2%}")


if __name__ == "__main__":
    main()

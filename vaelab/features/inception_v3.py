"""The usual features: Inception-v3 with the weights of 2015-12-05, for which the published FIDs,
KIDs and IS stand.

The network is that of `torch-fidelity` (extra `metrics`), which follows TensorFlow's, down to its
way of resizing. The weights, 91 MB, come from a file, from torch's cache, or from the network.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaelab import metrics
from vaelab.data import data_root
from vaelab.features.classifier import FeatureNetwork
from vaelab.features.space import FeatureSpace

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
SHA256 = "6726825d"  # as torch's hub checks it: the file's name carries the first digits


class Inception(FeatureNetwork):
    """The layers up to the last pooling: 2,048 features of RGB or grey images with values in [0,
    1].

    Args:
        network: `torch_fidelity`'s extractor, whose layers stand in the order in which they are
            called.
    """

    n_features = 2048

    def __init__(self, network: Any) -> None:
        super().__init__()
        layers: dict[str, Any] = dict(network.named_children())
        self.classes = layers.pop("fc")
        self.body = nn.Sequential(*layers.values())
        self.side = network.INPUT_IMAGE_SIZE

    def features(self, x: Tensor) -> Tensor:
        """The features of images (n, 1 or 3, height, width), not rounded to bytes; (n, 2048)."""
        from torch_fidelity.interpolate_compat_tensorflow import (
            interpolate_bilinear_2d_like_tensorflow1x as resize,
        )

        x = 255 * (x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x)
        x = resize(x, size=(self.side, self.side), align_corners=False)
        return self.body((x - 128) / 128).flatten(1)

    def logits(self, features: Tensor) -> Tensor:
        """The logits of the 1,008 classes, without bias as the Inception score wants; (n, 1008)."""
        return features.to(self.classes.weight) @ self.classes.weight.T


class InceptionSpace(FeatureSpace):
    """The feature space of FID, KID and Inception score."""

    network: Inception
    batch_size = 50  # Each image has 299×299 pixels.

    def scores(self, fake: Tensor, real: Tensor, seed: int = 0) -> dict[str, float]:
        """KID and Inception score, with the spread over their subsets and splits."""
        kid, kid_sd = metrics.kernel_distance(fake, real, seed=seed)
        score, score_sd = metrics.inception_score(self.network.logits(fake), seed=seed)
        return {
            "kid": kid,
            "kid_sd": kid_sd,
            "inception_score": score,
            "inception_score_sd": score_sd,
        }


def inception(
    image_shape: tuple[int, int, int],
    weights: str | Path | None = None,
    root: str | Path | None = None,
) -> InceptionSpace:
    """The feature space of the published figures.

    Args:
        image_shape: (1 or 3, height, width) of its images; they are resized to 299×299.
        weights: the file of weights; otherwise looked for as
            inception/pt_inception-2015-12-05-6726825d.pth under the data root, then in torch's
            cache, then downloaded to there.
        root: the data root, as for `load_images`.

    Raises:
        ImportError: the extra `metrics` is not installed.
        FileNotFoundError: no such file, or no network to download it with.
        ValueError: a file that holds other weights, or images that are neither grey nor RGB.
    """
    if image_shape[0] not in (1, 3):
        raise ValueError(
            f"expected grey or RGB images for Inception, got {image_shape[0]} channels; use "
            "features_for"
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise ImportError(
            f"Inception features need torch-fidelity ({error}); pip install 'vaelab[metrics]', or "
            "use the classifier's features (--features classifier)"
        ) from error
    path = _find(weights, root)
    state = io.BytesIO()  # What was read safely, as the file that torch-fidelity reads.
    torch.save(_read(path), state)
    state.seek(0)
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], state)
    except (RuntimeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} does not hold Inception's weights ({reason}); expected {FILE}"
        ) from error
    name = f"Inception-v3 (2015-12-05), {Inception.n_features} features"
    if not hashlib.sha256(path.read_bytes()).hexdigest().startswith(SHA256):
        name += f", not the published weights but {path.name}"
    return InceptionSpace(name, Inception(network).eval(), image_shape)


def _find(weights: str | Path | None, root: str | Path | None) -> Path:
    """The file of weights, downloaded if it is absent."""
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"Inception's weights: expected a file, got {path}, which is not there; {_MEND}"
            )
        return path
    cache = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    for path in (data_root(root) / "inception" / FILE, cache):
        if path.is_file():
            return path
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(cache), hash_prefix=SHA256, progress=False)
    except (OSError, RuntimeError) as error:  # no network, no room, or a file of another sum
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise FileNotFoundError(
            f"Inception's weights could not be downloaded ({reason}); {_MEND}"
        ) from error
    return cache


_MEND = (
    f"fetch {URL} where there is a network, and either give its path (--weights FILE) or put it "
    "into inception/ under the data root; without it, use the classifier's features (--features "
    "classifier), whose figures are no FIDs"
)


def _read(path: Path) -> dict[str, Any]:
    """Tensors by name; nothing in the file is executed."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # Torch, pickle and zip each have their own errors for a bad file.
        raise ValueError(
            f"{path} is damaged, or holds more than tensors, and was not read; delete it and "
            f"fetch {URL}"
        ) from error

"""A likelihood that also compares pictures through a network trained to tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from vaelab._door import door
from vaelab._inputs import PathLike, Weight
from vaelab.likelihoods.likelihood import Gaussian
from vaelab.parts import is_to_be_filled

VGG19_RELUS = (1, 6, 11, 20)  # relu1_1 to relu4_1, in torchvision's numbering.


class Perceptual(Gaussian):
    """The Gaussian's −log p(x given z), and λ times how far apart the features of x and x̂ are:

        λ Σ_l mean (φ_l(x) − φ_l(x̂))²,

    φ_l the maps after each ReLU of a trained network, which is never trained here. What a distance
    in the same network says of the samples is then no independent judgement.

    Source: "Empirical observations pertaining to learned priors for deep latent variable models",
    Section 5.1, with a VGG19; Johnson, Alahi & Fei-Fei (2016).

    Args:
        network: "digits", "mnist", "fashion", "cifar10", a classifier that ships with the package;
            or "vgg19", whose weights are torchvision's.
        weight: λ ≥ 0.
        gamma: as for `Gaussian`.
        path: of the file of VGG19's weights; torchvision downloads them unless it is given.

    Raises:
        FileNotFoundError: no such file.

    >>> x, x_hat = torch.rand(2, 5, 1, 8, 8)
    >>> Perceptual("digits").nll(x, x_hat).shape
    torch.Size([5])
    """

    @door
    def __init__(
        self,
        network: str = "cifar10",
        weight: Weight = 20.0,
        gamma: float | str = "learned",
        path: PathLike | None = None,
    ) -> None:
        super().__init__(gamma)
        from vaelab.features import load_classifier

        self.weight = weight
        self.seen_by_vgg = network == "vgg19"
        self.image_shape: tuple[int, ...] | None = None  # What a classifier was trained on.
        if self.seen_by_vgg:
            body = _vgg19(path)
        else:
            classifier = load_classifier(network)
            body, self.image_shape = classifier.body, classifier.image_shape
        self.body = body.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """The network stays as it was trained."""
        super().train(mode)
        self.body.eval()
        return self

    def maps(self, x: Tensor) -> list[Tensor]:
        """φ_l of images (n, *image_shape), one tensor a layer; a classifier sees those larger than
        32×32 averaged down to that.
        """
        from vaelab.features.classifier import shrink

        if self.seen_by_vgg:
            mean, scale = x.new_tensor([0.485, 0.456, 0.406]), x.new_tensor([0.229, 0.224, 0.225])
            x = (x.expand(-1, 3, -1, -1) - mean[:, None, None]) / scale[:, None, None]
        else:
            x = shrink(x)
        if self.image_shape not in (None, tuple(x.shape[1:])):
            raise ValueError(
                f"Perceptual: expected images of shape {self.image_shape}, on which the classifier "
                f"was trained, got {tuple(x.shape[1:])}"
            )
        found = []
        for number, layer in enumerate(self.body):
            x = layer(x)
            if number in VGG19_RELUS if self.seen_by_vgg else isinstance(layer, nn.ReLU):
                found.append(x)
        return found

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Nats of the Gaussian and λ times the distance of the features, shape (batch,)."""
        if x.ndim != 4:
            raise ValueError(
                f"Perceptual: expected images (n, channels, height, width), got {tuple(x.shape)}"
            )
        pairs = zip(self.maps(x), self.maps(x_hat), strict=True)
        apart = [(a - b).square().flatten(1).mean(1) for a, b in pairs]
        return super().nll(x, x_hat) + self.weight * torch.stack(apart).sum(0)


def _vgg19(path: str | Path | None) -> Any:
    """VGG19's layers up to relu4_1, the twelfth entry of torchvision's configuration E."""
    from torchvision.models import vgg

    relus = vgg.make_layers(cast(Any, vgg.cfgs["E"][:12]))
    if not is_to_be_filled():
        weights = _vgg19_weights(path)
        relus.load_state_dict({name: weights[f"features.{name}"] for name in relus.state_dict()})
    for layer in relus:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # The maps that are kept would be overwritten.
    return relus


def _vgg19_weights(path: str | Path | None) -> dict[str, Tensor]:
    if path is None:
        from torchvision.models import VGG19_Weights

        return dict(VGG19_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True))
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"path: no file {path}; expected torchvision's weights of VGG19 (vgg19-*.pth)"
        )
    return torch.load(path, map_location="cpu", weights_only=True)

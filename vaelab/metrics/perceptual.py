"""LPIPS, the distance of two pictures in a network that was trained on ImageNet, where its weights
are at hand.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from vaelab._inputs import check_choice
from vaelab.metrics.samples import as_numbers

_NAMES = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}  # In torchvision.
_LEAST = 32  # A picture's side, that all layers have something to see.


@torch.no_grad()
def perceptual_diversity(images: Any, weights: str | Path, network: str = "vgg") -> Tensor:
    """The mean LPIPS between all pairs of pictures in each group, shape (g,).

    Computed by torchmetrics (extra `metrics`) with torchvision's weights, which must be given: a
    download of some hundred MB. Without them, `diversity` in a classifier's features says the same
    on another scale.

    Source: Zhang et al. (2018); Table 2 of "Empirical observations pertaining to learned priors for
    deep latent variable models".

    Args:
        images: g groups of m ≥ 2 grey or RGB pictures, values in [0, 1], (g, m, channels, height,
            width), of 32 pixels a side or more.
        weights: the file of the network's weights, as torchvision has it, such as
            vgg16-397923af.pth.
        network: "vgg", "alex" or "squeeze".

    Raises:
        ValueError: another shape, or a file of other weights.
        FileNotFoundError: no such file. ImportError: the extra is not installed.
    """
    check_choice("network", network, _NAMES)
    x = as_numbers("images", images, None).float()
    if x.ndim != 5 or x.shape[1] < 2 or x.shape[2] not in (1, 3) or min(x.shape[3:]) < _LEAST:
        raise ValueError(
            f"images: expected (g, m ≥ 2, 1 or 3, height, width) of {_LEAST} pixels a side or "
            f"more, got {tuple(x.shape)}"
        )
    lpips = _lpips(network, Path(weights).expanduser()).to(x.device)
    x = 2 * x.expand(-1, -1, 3, -1, -1) - 1
    pairs = itertools.combinations(range(x.shape[1]), 2)
    return torch.stack([lpips(x[:, i], x[:, j]).flatten() for i, j in pairs]).mean(0).double()


def _lpips(network: str, path: Path) -> torch.nn.Module:
    """torchmetrics' network, with the weights of a file in the place of a download."""
    if not path.is_file():
        raise FileNotFoundError(
            f"weights: no file {path}; expected torchvision's weights of {_NAMES[network]} "
            f"({_NAMES[network]}-*.pth)"
        )
    try:
        from torchmetrics.functional.image.lpips import _LPIPS
    except ImportError as error:
        raise ImportError(
            f"LPIPS needs torchmetrics and torchvision ({error}); pip install 'vaelab[metrics]'"
        ) from error
    lpips: Any = _LPIPS(net=cast(Any, network), pnet_rand=True, use_dropout=True)
    own = lpips.net.state_dict()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Torchmetrics cuts the layers into slices and keeps their numbers: slice2.5 is features.5.
        wanted = {name: f"features.{'.'.join(_number(name))}" for name in own}
        lpips.net.load_state_dict({name: state[there] for name, there in wanted.items()})
    except Exception as error:  # Torch, pickle and zip each have their own errors for a bad file.
        raise ValueError(
            f"weights: {path} does not hold {_NAMES[network]}'s ({type(error).__name__}: "
            f"{str(error).splitlines()[0]})"
        ) from error
    return lpips.eval()


def _number(name: str) -> list[str]:
    """A parameter's name without its slice: "slice2.5.weight" and "slices.1.5.weight" alike."""
    parts = name.split(".")
    return parts[2 if parts[0] == "slices" else 1 :]

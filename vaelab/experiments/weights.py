"""The weights of the code of Ghosh et al. (2020) in the units of this package, and their settings.

The code takes means where the paper and this package take sums: over the D pixels of the data term,
over the d latent directions of ‖z‖² and of its gradient penalty, over the C channels of a VAE's
data term. Its images have D = 32·32·1 (MNIST, padded), 32·32·3 or 64·64·3.

| in the code | here, beside ‖x − x_hat‖² (γ = ½) |
| --- | --- |
| β of mean z² | β = 2 β D / d of ½‖z‖² |
| w of Σ θ² | λ = w D of ‖θ‖² |
| w of the mean over directions of (∂‖x_hat‖²/∂z_j)² | λ = w D / d of `terms.SquaredNormPenalty` |
| w of the KL beside a mean over channels | γ = w C / 2 of a VAE |
| λ of MMD² | λ = λ D of `terms.MMD` |

Source: `configurations/config.py` and `models/*/loss_functions.py` of the authors' repository.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

SHAPES = {"mnist": (1, 32, 32), "cifar10": (3, 32, 32), "celeba": (3, 64, 64)}
LATENT_DIMS = {"mnist": 16, "cifar10": 128, "celeba": 64}


def squared_norm(code: float, data_set: str) -> float:
    """β of `terms.SquaredNorm` for the code's weight of the mean of z².

    >>> round(squared_norm(1e-4, "mnist"), 4), round(squared_norm(9e-3, "mnist"), 3)
    (0.0128, 1.152)
    """
    return 2 * code * math.prod(SHAPES[data_set]) / LATENT_DIMS[data_set]


def weight_norm(code: float, data_set: str) -> float:
    """λ of `terms.WeightNorm` for the code's weight of Σ θ².

    >>> round(weight_norm(1e-7, "mnist"), 7)
    0.0001024
    """
    return code * math.prod(SHAPES[data_set])


def squared_norm_penalty(code: float, data_set: str) -> float:
    """λ of `terms.SquaredNormPenalty` for the code's weight of its gradient penalty.

    >>> round(squared_norm_penalty(0.5e-7, "mnist"), 8)
    3.2e-06
    """
    return code * math.prod(SHAPES[data_set]) / LATENT_DIMS[data_set]


def variance(code: float, data_set: str) -> float:
    """γ of a VAE for the code's weight of its KL.

    >>> variance(0.312, "mnist"), round(variance(0.024, "cifar10"), 3)
    (0.156, 0.036)
    """
    return 0.5 * code * SHAPES[data_set][0]


def mmd(code: float, data_set: str) -> float:
    """λ of `terms.MMD` for the code's weight beside a mean over pixels.

    >>> round(mmd(0.03, "mnist"), 1), round(mmd(0.006, "cifar10"), 1)
    (30.7, 18.4)
    """
    return code * math.prod(SHAPES[data_set])


# By row, data set and argument. The penalty of RAE-GP is the paper's, whose weight in the code is
# of another penalty (and 0 for CIFAR-10): it is ours, for every data set.
_BETAS = {
    "rae": {"mnist": 5e-4, "cifar10": 1e-2, "celeba": 1e-4},
    "rae-l2": {"mnist": 1e-4, "cifar10": 1e-3, "celeba": 1e-4},
    "rae-gp": {"mnist": 1e-4, "cifar10": 9e-4, "celeba": 1e-4},
    "rae-sn": {"mnist": 9e-3, "cifar10": 3e-2, "celeba": 2.4e-3},
}
_KLS = {
    "vae": {"mnist": 0.312, "cifar10": 0.024, "celeba": 0.09024},
    "cv-vae": {"mnist": 0.039, "cifar10": 9e-4, "celeba": 0.01},
}
_KLS["2svae"] = _KLS["vae"]
_L2 = {
    "rae-l2": {"mnist": 1e-7, "cifar10": 1e-6, "celeba": 1e-7},
    "ae-l2": {"mnist": 1e-7, "cifar10": 1e-6, "celeba": 1e-6},
}


def arguments(row: str) -> dict[str, Mapping[str, Any]]:
    """What a model of Table 1 is called with on each data set; Fashion-MNIST has MNIST's.

    >>> arguments("rae")["fashion"]
    {'beta': 0.064}
    """
    found: dict[str, Mapping[str, Any]] = {}
    for data_set in SHAPES:
        given: dict[str, Any] = {}
        if row in _BETAS:
            given["beta"] = round(squared_norm(_BETAS[row][data_set], data_set), 6)
        if row in _KLS:
            given["gamma"] = round(variance(_KLS[row][data_set], data_set), 6)
        if row in _L2:
            given["weight"] = round(weight_norm(_L2[row][data_set], data_set), 7)
        if row == "rae-gp":
            given["weight"] = 0.01
        found[data_set] = given
    if row == "wae":  # On CelebA beside 0.05 times a sum of squares.
        losses = {"mnist": 0.03, "cifar10": 0.006}
        found = {name: {"weight": round(mmd(loss, name), 1)} for name, loss in losses.items()}
        found["celeba"] = {"weight": 100 / 0.05}
    return found | {"fashion": found["mnist"]}

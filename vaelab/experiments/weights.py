"""The weights of the code of Ghosh et al. (2020) in the units of this package.

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

from collections.abc import Mapping

# D, d and C of each data set.
SIZES = {
    "mnist": (32 * 32, 16, 1),
    "cifar10": (32 * 32 * 3, 128, 3),
    "celeba": (64 * 64 * 3, 64, 3),
}
# The code's weights by row and argument, for MNIST, CIFAR-10 and CelebA.
_VAE = {"gamma": (0.312, 0.024, 0.09024)}
_CODE: dict[str, dict[str, tuple[float, ...]]] = {
    "rae": {"beta": (5e-4, 1e-2, 1e-4)},
    "rae-l2": {"beta": (1e-4, 1e-3, 1e-4), "weight": (1e-7, 1e-6, 1e-7)},
    "rae-gp": {"beta": (1e-4, 9e-4, 1e-4)},
    "rae-sn": {"beta": (9e-3, 3e-2, 2.4e-3)},
    "vae": _VAE,
    "cv-vae": {"gamma": (0.039, 9e-4, 0.01)},
    "2svae": _VAE,
    "ae-l2": {"weight": (1e-7, 1e-6, 1e-6)},
}


def arguments(row: str) -> dict[str, Mapping[str, float]]:
    """What a model of Table 1 is called with on each data set; Fashion-MNIST has MNIST's.

    >>> arguments("rae")["fashion"], arguments("rae-l2")["mnist"]
    ({'beta': 0.064}, {'beta': 0.0128, 'weight': 0.0001024})
    >>> arguments("vae")["cifar10"], arguments("wae")["cifar10"]
    ({'gamma': 0.036}, {'weight': 18.4})
    """
    found: dict[str, Mapping[str, float]] = {}
    for i, (data_set, (pixels, latent_dim, channels)) in enumerate(SIZES.items()):
        units = {"beta": 2 * pixels / latent_dim, "gamma": channels / 2, "weight": pixels}
        code = _CODE.get(row, {})
        # The penalty of RAE-GP is the paper's, whose weight in the code is of another penalty (and
        # 0 for CIFAR-10): it is ours, for every data set.
        ours = {"weight": 0.01} if row == "rae-gp" else {}
        found[data_set] = {name: round(w[i] * units[name], 7) for name, w in code.items()} | ours
    if row == "wae":  # 0.03 D, 0.006 D, and 100 beside 0.05 times a sum of squares.
        found = {"mnist": {"weight": 30.7}, "cifar10": {"weight": 18.4}, "celeba": {"weight": 2e3}}
    return found | {"fashion": found["mnist"]}

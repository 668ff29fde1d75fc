"""What the decoder says about x: a Gaussian of variance γ, or cross-entropy.

γ is the decoder *variance* everywhere, as in the papers' text; the Two-Stage VAE authors' code
calls the standard deviation gamma. A likelihood returns one value a row, summed over pixels, in
nats.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._inputs import check_positive
from vaelab._processes import mean_of_all


class Gaussian(nn.Module):
    """p(x given z) = N(x_hat(z), γ I).

    −log p(x given z) = ½ (‖x − x_hat‖² / γ + d log 2πγ), d the number of pixels.

    Source: Dai & Wipf (2019), Definition 1 and Eq. 8 (whose first factor 2 is a slip). The optimum
    in closed form, the mean squared error, is Rybkin, Daniilidis & Levine (2021).

    Args:
        gamma: "learned" (log γ is a parameter), "optimal" (γ follows the mean squared error of the
            batches, its closed-form optimum, as a running mean), or a fixed number > 0.
        init: where γ starts if it is not fixed, > 0.
        decay: of the running mean for "optimal", in [0, 1).

    Raises:
        ValueError: γ or `init` not a positive finite number, or an unknown word.
    """

    def __init__(
        self, gamma: float | str = "learned", init: float = 1.0, decay: float = 0.99
    ) -> None:
        super().__init__()
        if isinstance(gamma, str) and gamma not in ("learned", "optimal"):
            raise ValueError(f'gamma: expected "learned", "optimal" or a number > 0, got {gamma!r}')
        start = init if isinstance(gamma, str) else gamma
        check_positive("gamma, the decoder variance", start)
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay!r}")
        self.rule, self.init, self.decay = (
            (gamma if isinstance(gamma, str) else "fixed"),
            float(start),
            decay,
        )
        log_gamma = torch.tensor(math.log(start))
        if self.rule == "learned":
            self.log_gamma = nn.Parameter(log_gamma)
        else:
            self.register_buffer("log_gamma", log_gamma)

    @property
    def gamma(self) -> float:
        """The decoder variance γ."""
        return math.exp(self.log_gamma.item())

    @gamma.setter
    def gamma(self, value: float) -> None:
        check_positive("gamma, the decoder variance", value)
        with torch.no_grad():
            self.log_gamma.fill_(math.log(value))

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−log p(x given z) in nats for images `x` and decoder means `x_hat` of one shape; shape
        (batch,).
        """
        d = x[0].numel()
        squared_error = (x - x_hat).flatten(1).square().sum(1)
        if self.rule == "optimal" and self.training:
            self._follow(mean_of_all(squared_error.detach().mean()) / d)
        return 0.5 * (
            squared_error * torch.exp(-self.log_gamma)
            + d * (self.log_gamma + math.log(2 * math.pi))
        )

    @torch.no_grad()
    def _follow(self, mean_squared_error: Tensor) -> None:
        gamma = torch.lerp(mean_squared_error, self.log_gamma.exp(), self.decay)
        self.log_gamma.copy_(gamma.log())

    def spec(self) -> dict:
        """What rebuilds this likelihood."""
        gamma = self.init if self.rule == "fixed" else self.rule
        return {"name": "Gaussian", "gamma": gamma, "init": self.init, "decay": self.decay}


class CrossEntropy(nn.Module):
    """p(x given z) "=" Π x_hat^x (1 − x_hat)^(1 − x), the customary stand-in for pixels in [0, 1].

    It is a density only for x in {0, 1}; for grey values it is the cross-entropy baseline of Dai &
    Wipf (2019), Table 1. The decoder must end in a sigmoid. There is no γ.
    """

    gamma = None

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−Σ [x log x_hat + (1 − x) log(1 − x_hat)] in nats, each logarithm cut at −100; shape
        (batch,).
        """
        return F.binary_cross_entropy(x_hat, x, reduction="none").flatten(1).sum(1)

    def spec(self) -> dict:
        """What rebuilds this likelihood."""
        return {"name": "CrossEntropy"}

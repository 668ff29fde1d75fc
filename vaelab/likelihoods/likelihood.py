"""What every likelihood has in common, and those of pixels and of rules."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaelab._door import door
from vaelab._inputs import Positive, check_positive
from vaelab._processes import mean_of_all
from vaelab.flows import LOG_2_PI
from vaelab.grammar import Grammar, allowed, expand, rule_numbers, tables
from vaelab.parts import Module, StepSizes

_LARGEST = math.log(1e300)
VARIANCE = "gamma, the decoder variance"


def check_alike(x: Tensor, x_hat: Tensor) -> None:
    """Raise unless outputs have the images' shape: others would be stretched to it."""
    if x.shape != x_hat.shape:
        raise ValueError(
            f"decoder: expected outputs of the images' shape {tuple(x.shape[1:])}, got "
            f"{tuple(x_hat.shape[1:])}; let its last layer give that shape"
        )


class Likelihood(Module):
    """−log p(x given z), from the decoder's output for z: the base of every likelihood.

    A user's likelihood gives the nats of each row; it may have parameters, which are trained with
    the rest:

    >>> from vaelab import likelihoods, models, networks
    >>> class Laplace(likelihoods.Likelihood):
    ...     def __init__(self, scale: float = 1.0) -> None:
    ...         super().__init__()
    ...         self.scale = scale
    ...
    ...     def nll(self, x, x_hat):
    ...         each = (x - x_hat).abs() / self.scale + math.log(2 * self.scale)
    ...         return each.flatten(1).sum(1)
    >>> model = models.Autoencoder(networks.mlp(3, latent_dim=2), likelihood=Laplace(0.5))
    >>> model.loss_terms(torch.zeros(5, 3))["nll"].shape
    torch.Size([5])
    """

    unit = False  # Whether images must lie in [0, 1].

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−log p(x given z) in nats for images `x` and decoder outputs `x_hat`, shape (batch,)."""
        raise NotImplementedError(f"{type(self).__name__}: write nll(x, x_hat) -> nats a row")

    def mode(self, x_hat: Tensor) -> Tensor:
        """The images that decoder outputs stand for: the outputs themselves, unless a likelihood
        says otherwise.
        """
        return x_hat

    @property
    def gamma(self) -> float | None:
        """The decoder variance γ; None for a likelihood without one."""
        return None


class Gaussian(Likelihood):
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

    @door
    def __init__(
        self, gamma: float | str = "learned", init: Positive = 1.0, decay: float = 0.99
    ) -> None:
        super().__init__()
        self.rule = gamma if isinstance(gamma, str) else "fixed"
        if self.rule not in ("learned", "optimal", "fixed"):
            raise ValueError(f'gamma: expected "learned", "optimal" or a number > 0, got {gamma!r}')
        if not 0 <= decay < 1:
            raise ValueError(f"decay: expected a number in [0, 1), got {decay!r}")
        self.init = init if isinstance(gamma, str) else check_positive(VARIANCE, gamma)
        self.decay = decay
        log_gamma = torch.tensor(math.log(self.init))
        if self.rule == "learned":
            self.log_gamma = nn.Parameter(log_gamma)
        else:
            self.register_buffer("log_gamma", log_gamma)

    @property
    def gamma(self) -> float:
        """The decoder variance γ."""
        return math.exp(min(self.log_gamma.item(), _LARGEST))

    @gamma.setter
    def gamma(self, value: float) -> None:
        with torch.no_grad():
            self.log_gamma.fill_(math.log(check_positive(VARIANCE, value)))

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−log p(x given z) in nats for images `x` and decoder means `x_hat` of one shape; shape
        (batch,).
        """
        check_alike(x, x_hat)
        d = math.prod(x.shape[1:])
        squared_error = F.mse_loss(x_hat, x, reduction="none").flatten(1).sum(1)
        if self.rule == "optimal" and self.training:
            mean = mean_of_all(squared_error.detach().mean()) / d
            with torch.no_grad():
                gamma = torch.lerp(mean, self.log_gamma.exp(), self.decay)
                self.log_gamma.copy_(gamma.log())
        constant = d * (self.log_gamma + LOG_2_PI)
        return 0.5 * (squared_error * torch.exp(-self.log_gamma) + constant)

    def step(self, plan: StepSizes) -> dict[str, Any]:
        """log γ moves `gamma_lr` times as fast as a weight, and does not decay."""
        return {"lr": plan.lr * plan.gamma_lr, "weight_decay": 0.0}


class CrossEntropy(Likelihood):
    """p(x given z) "=" Π x_hat^x (1 − x_hat)^(1 − x), the customary stand-in for pixels in [0, 1].

    It is a density only for x in {0, 1}; for grey values it is the cross-entropy baseline of Dai &
    Wipf (2019), Table 1. The decoder must end in a sigmoid. There is no γ.
    """

    unit = True

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−Σ [x log x_hat + (1 − x) log(1 − x_hat)] in nats, each logarithm cut at −100; shape
        (batch,); NaN where `x_hat` is.
        """
        check_alike(x, x_hat)
        known = torch.where(x_hat.isnan(), 0.5, x_hat)  # torch's own raises, on CUDA for good.
        nats = F.binary_cross_entropy(known, x, reduction="none").flatten(1).sum(1)
        return nats + 0 * x_hat.detach().flatten(1).sum(1)


class Rules(Likelihood):
    """p(x given z) of a line, x its rules: Π_t softmax(logits_t where the mask of step t allows).

    −log p(x given z) = −Σ_t [logit_t(r_t) − log Σ_{r allowed at t} exp logit_t(r)],

    a probability of sequences of rules that sums to one. The mask of a step allows the rules of the
    one non-terminal that the stack machine must expand there, which the rules before it decide;
    once the stack is empty the padding alone, at no cost. A line that is decoded is valid by
    construction if its stack is empty at the end, and unfinished otherwise.

    Source: Kusner, Paige & Hernández-Lobato (2017), Section 3, whose code masks the targets alone
    and takes a cross-entropy per rule.

    Args:
        grammar: whose rules the numbers are; images are bytes of rule numbers, as
            `Grammar.encode` gives them.

    >>> from vaelab.grammar import Grammar
    >>> grammar = Grammar("S -> 'a' S | 'b'")
    >>> x = grammar.encode(["b", "ab", "aab"], length=3) / 255
    >>> Rules(grammar).nll(x, torch.zeros(3, 3, 3)) / math.log(2)      # rules of two at each step
    tensor([1., 2., 3.])
    """

    unit = True

    @door
    def __init__(self, grammar: Grammar) -> None:
        super().__init__()
        self.grammar = grammar
        for name, table in tables(grammar).items():
            self.register_buffer(name, table, persistent=False)

    def nll(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """−log p(x given z) in nats for rule numbers `x` (batch, length), as b / 255, and logits
        `x_hat` (batch, length, n_rules); shape (batch,). Infinite for what is no derivation.

        Raises:
            ValueError: logits of another number of rules.
        """
        self._check(x_hat)
        rules = rule_numbers(x)
        known = rules.clamp(max=self.grammar.padding)
        mask = allowed(known, self._lookup())
        log_p = x_hat.masked_fill(~mask, -torch.inf).log_softmax(-1)
        of_rules = log_p.gather(-1, known.unsqueeze(-1)).squeeze(-1)
        return -of_rules.masked_fill(rules != known, -torch.inf).sum(1)

    @torch.no_grad()
    def mode(self, x_hat: Tensor) -> Tensor:
        """The rules, as b / 255, that are likeliest one after another; shape (batch, length)."""
        self._check(x_hat)
        return expand(x_hat, self._lookup()).to(x_hat) / 255

    def _lookup(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in ("masks", "pushes", "n_pushes")}

    def _check(self, x_hat: Tensor) -> None:
        if x_hat.ndim != 3 or x_hat.shape[-1] != self.grammar.n_rules:
            raise ValueError(
                f"expected logits (batch, length, {self.grammar.n_rules}) for the rules of the "
                f"grammar, got {tuple(x_hat.shape)}; build the networks with networks.sequence and "
                f"n_rules={self.grammar.n_rules}"
            )

"""The codes themselves as a density: all mass on what was seen."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from vaelab._door import door
from vaelab._inputs import generator_of
from vaelab.densities.density import Density, draw
from vaelab.posteriors import Distribution


class Empirical(Density):
    """A Dirac on every code, (1/n) Σ_i δ(z − z_i): it draws the training codes again.

    Its samples are reconstructions, as good as they can be, and nothing new; it has no log-density.

    Source: Ghosh et al. (2020), Section 4, on what a density must not become.

    >>> from vaelab.posteriors import Point
    >>> codes = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> sorted(set(Empirical().fit_codes(Point(codes)).sample(50)[:, 0].tolist()))
    [1.0, 3.0]
    """

    codes: Tensor

    @door
    def fit_codes(self, q: Distribution, seed: int = 0) -> Self:
        self.codes = draw(q, seed).float().cpu()
        self.latent_dim = q.mean.shape[1]
        return self

    def sample(self, n: int, seed: int = 0) -> Tensor:
        self.check(n)
        generator = generator_of(seed)
        return self.codes[torch.randint(len(self.codes), (n,), generator=generator)]

    def state_dict(self) -> dict[str, Tensor]:
        return {"codes": self.codes}

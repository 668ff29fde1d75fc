"""What every density of codes has in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import ClassVar, Self

import torch
from torch import Tensor

from vaelab._arrays import Rows
from vaelab._door import door
from vaelab._inputs import check_codes, check_draws, generator_of
from vaelab.models import Autoencoder
from vaelab.parts import Part
from vaelab.posteriors import Distribution
from vaelab.training import Plan, Session

QUIET = Session(progress=False)


@door
@torch.no_grad()
def draw(q: Distribution, seed: int) -> Tensor:
    """One code from each q(z given x), so a sample of q(z): shape (n, latent_dim)."""
    return q.rsample(generator_of(seed, q.mean.device))


class Density(Part):
    """A density of codes, fitted to q(z): the base of every density.

    A user's density says how it is fitted, how it is sampled and, if it can, its log-density. What
    it has learned are tensors, which `save` asks for and `load` gives back:

    >>> class Cube(Density):
    ...     def fit_codes(self, q, seed: int = 0):
    ...         self.latent_dim = q.mean.shape[1]
    ...         self.low, self.high = q.mean.amin(0), q.mean.amax(0)
    ...         return self
    ...
    ...     def sample(self, n: int, seed: int = 0) -> Tensor:
    ...         generator = torch.Generator().manual_seed(seed)
    ...         share = torch.rand(self.check(n), self.latent_dim, generator=generator)
    ...         return torch.lerp(self.low, self.high, share)
    ...
    ...     def state_dict(self) -> dict[str, Tensor]:
    ...         return {"low": self.low, "high": self.high}
    >>> from vaelab.posteriors import Point
    >>> Cube().fit_codes(Point(torch.rand(9, 2))).sample(4).shape
    torch.Size([4, 2])
    """

    latent_dim: int = 0  # Until it is fitted.

    @door
    def fit(
        self, model: Autoencoder, x: Tensor | Rows, seed: int = 0, session: Session = QUIET
    ) -> Self:
        """Fit to the codes of images `x`, shape (n, *image_shape).

        Args:
            model: whose codes they are.
            x: the images.
            seed: of the codes drawn, and of a training.
            session: where and how one that is trained is.

        Returns:
            The density itself.
        """
        return self.fit_in(session, model.codes(x), seed)

    def fit_codes(self, q: Distribution, seed: int = 0) -> Self:
        """Fit to the posteriors `q` of n images, of which codes are drawn with `seed`."""
        raise NotImplementedError(f"{type(self).__name__}: write fit_codes(q, seed)")

    def fit_in(self, session: Session, q: Distribution, seed: int = 0) -> Self:
        """`fit_codes` where and how a session says: what a density overrides that trains."""
        return self.fit_codes(q, seed)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw `n` codes, shape (n, latent_dim), on the CPU.

        Raises:
            NotFittedError: called before `fit`.
        """
        raise NotImplementedError(f"{type(self).__name__}: write sample(n, seed)")

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density at codes (n, latent_dim), in nats, shape (n,)."""
        raise NotImplementedError(f"{type(self).__name__} has no log-density")

    def state_dict(self) -> dict[str, Tensor]:
        """Its fitted tensors."""
        return {}

    def load_state(self, tensors: dict[str, Tensor], latent_dim: int) -> Self:
        """Take over what `state_dict` gave; unless a density says otherwise, as its attributes."""
        self.latent_dim = latent_dim
        for name, value in tensors.items():
            if callable(getattr(type(self), name, None)):
                raise ValueError(f"{type(self).__name__}: expected something learned, got {name!r}")
            setattr(self, name, value)
        return self

    def check(self, n: int = 1) -> int:
        """`n`, a number of draws of a fitted density, or raise.

        Raises:
            NotFittedError: not fitted yet (scikit-learn's class).
            ValueError, TypeError: no whole number ≥ 1, or more draws than fit into memory.
        """
        if not self.latent_dim:
            from sklearn.exceptions import NotFittedError

            name = type(self).__name__
            raise NotFittedError(f"this {name} is not fitted yet; call fit(model, images) first")
        return check_draws("n", n, self.latent_dim)

    def check_codes(self, z: Tensor) -> Tensor:
        """Codes (n, latent_dim) for a fitted density, or raise.

        Raises:
            NotFittedError: not fitted yet.
            ValueError, TypeError: no codes of that dimension, or none that are finite numbers.
        """
        self.check()
        return check_codes(z, self.latent_dim)


class Trained(Density):
    """A density that a training fits, whose arguments among those of `Plan` say how.

    Its `fit_codes(q, seed, session)` draws codes of `q` afresh at every training step; it runs
    quietly unless a session is given.
    """

    forgets: ClassVar = tuple(field.name for field in fields(Plan))

    def fit_in(self, session: Session, q: Distribution, seed: int = 0) -> Self:
        fit_codes: Callable[..., Self] = self.fit_codes
        return fit_codes(q, seed, session)

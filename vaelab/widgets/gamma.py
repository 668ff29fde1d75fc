"""What falling γ does to a VAE: `gamma_path` trains the models, `GammaPath` shows them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ipywidgets import IntSlider
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import training
from vaelab._door import door
from vaelab._inputs import check_positive, generator_of
from vaelab.models import Autoencoder, evaluating
from vaelab.plots import COLORS, pixels_to_png
from vaelab.widgets._view import View
from vaelab.widgets.controls import beside, named_rows, words
from vaelab.widgets.drawing import Drawing, Picture, Plot, pixel_scale, strip_pixels
from vaelab.widgets.spaces import PRIOR, Space, subject


@door
def gamma_path(
    model: Autoencoder,
    images: Tensor,
    gammas: Sequence[float],
    *,
    epochs: int = 20,
    first_epochs: int | None = None,
    batch_size: int = 100,
    lr: float = 1e-3,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> list[tuple[float, Autoencoder]]:
    """Train a VAE at one γ after another, each starting from the weights of the one before.

    Args:
        model: with a Gaussian likelihood, not yet trained; it is left as it is.
        images: (n, *image_shape).
        gammas: in the order of training; let them fall.
        epochs: at each γ.
        first_epochs: at the first γ; as many as at the others unless given.
        batch_size, lr, device, progress: as in `training.fit`.
        seed: of batches and noise; the i-th γ takes seed + i.

    Returns:
        (γ, trained model) for each γ, on the CPU: the run that `GammaPath` shows.

    Raises:
        ValueError: no γ, one that is not a positive number, or a model without γ.
    """
    if not len(gammas):
        raise ValueError("gammas: expected at least one decoder variance, got none")
    for gamma in gammas:
        check_positive("gammas, each decoder variance", gamma)
    _check_gamma(model)
    run = []
    model = copy.deepcopy(model)
    for i, gamma in enumerate(gammas):
        training.fit(
            model,
            images,
            epochs=epochs if i else first_epochs or epochs,
            batch_size=batch_size,
            lr=lr,
            gamma_schedule=training.Hold(gamma, until=2.0),
            seed=seed + i,
            device=device,
            progress=progress,
            label=f"γ = {gamma:.3g}",
        )
        run.append((float(gamma), copy.deepcopy(model).cpu()))
    return run


def _check_gamma(model: Autoencoder) -> None:
    if model.gamma is None:
        raise ValueError(
            "model: its likelihood has no γ; expected one with a Gaussian likelihood, such as "
            "models.vae"
        )


class GammaPath(View):
    """One model after another as γ falls: reconstructions, samples, the split of λ_j and the two
    terms of the cost.

    λ_j are the encoder's variances along its own axes or eigenvectors, ascending, averaged over the
    images. Beside them stands what Eq. 83 makes of the decoder: the eigenvalues of [I + JᵀJ/γ]⁻¹,
    and, for an encoder that is diagonal, the variances of the diagonal Gaussian nearest to it.

    Source: Dai & Wipf (2019), Eq. 2, Eq. 83 and Fig. 11.

    Args:
        run: the training run, from `training.fit` with `keep_every`; or (γ, model) pairs in the
            order to show, as `gamma_path` makes them for a grid of fixed γ.
        images: (n, c, h, w) or (n, h, w), values in [0, 1].
        n_columns: how many images are reconstructed, and samples drawn, at most.
        n_points: at how many images' codes Eq. 83 is computed; each costs a Jacobian.
        seed: of the samples and of the noise in the cost.

    Attributes:
        step: `IntSlider`, the place in the run.
        image: the images, their reconstructions, and samples of N(0, I) decoded, a row each.
        plot: λ_j and the cost, a picture.
        said: `HTML`: γ, the two terms and their sum, in nats an image.
        gammas: T decoder variances.
        eigenvalues, predicted: (T, κ), λ_j at the same n_points images, the encoder's and Eq. 83's.
        predicted_diagonal: the same of the nearest diagonal Gaussian; None for a full encoder.
        nll, latent: (T,), the two terms of the cost at one draw, averaged over the images.

    Raises:
        TypeError, ValueError: an empty run, a model without γ, images of another shape or outside
            [0, 1], NaN codes.
    """

    @door
    def __init__(
        self,
        run: training.Run | Sequence[tuple[float, Autoencoder]],
        images: Any,
        *,
        n_columns: int = 10,
        n_points: int = 8,
        seed: int = 0,
    ) -> None:
        pairs = _checked_run(run.saved if isinstance(run, training.Run) else run)
        subjects = [subject(model, images) for _, model in pairs]
        super().__init__()
        x = subjects[0].x
        spaces = [each.spaces["z"] for each in subjects]
        self.gammas = np.array([gamma for gamma, _ in pairs])
        self._originals = x[:n_columns]
        u = subjects[0].densities[PRIOR].sample(len(self._originals), seed)
        split = torch.stack([_split(space, n_points) for space in spaces], 1)
        self.eigenvalues, self.predicted, diagonal = split.numpy()
        self.predicted_diagonal = diagonal if spaces[0].is_diagonal else None
        costs = [_cost(model, x, seed) for _, model in pairs]
        self.nll, self.latent = np.array(costs).T
        self._build()
        figure = Figure(figsize=(8.4, 2.6), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2)
        self._plot = Plot(figure, [*self._draw_split(left), self._draw_cost(right)])
        # Everything is drawn now, so that a step shows at once.
        self._frames = [self._frame(t, space, u) for t, space in enumerate(spaces)]
        self.redraw()

    def _build(self) -> None:
        self.step = IntSlider(0, 0, len(self.gammas) - 1, description="step")
        self.said = words()
        self.image = Picture("images, their reconstructions and samples, a row each")
        self.plot = Drawing("the eigenvalues λ, and the two terms of the cost", 840)
        self._scale = pixel_scale(self._originals.shape[-2], 64)
        rows = named_rows(("images", "reconstructions", "samples"), self.image)
        self.children = (beside(self.step, self.said), rows, beside(self.plot))
        self._listen(self.redraw, self.step)

    def _draw_split(self, ax: Axes) -> list[Artist]:
        j = np.arange(1, self.eigenvalues.shape[1] + 1)
        self._bars = ax.bar(
            j,
            np.ones(len(j)),
            color=COLORS["q"],
            width=0.7,
            label="encoder",
        )
        exact = {"color": COLORS["exact"], "markersize": 10, "mew": 2}
        (marks,) = ax.plot(j, j, "_", **exact, label="Eq. 83")
        self._lines = [(marks, self.predicted)]
        if self.predicted_diagonal is not None:
            (crosses,) = ax.plot(j, j, "x", color=COLORS["data"], markersize=4)
            crosses.set_label("its diagonal")
            self._lines.append((crosses, self.predicted_diagonal))
        ax.set(
            xlabel="index j",
            ylabel="λ of Σ_z",
            ylim=(0, 1.15),
        )
        ax.locator_params("x", integer=True)
        ax.axhline(0.5, color="0.6", linestyle=":")
        ax.legend(
            fontsize=8,
            frameon=False,
            loc="upper left",
            ncols=3,
        )
        return [*self._bars, *(line for line, _ in self._lines)]

    def _draw_cost(self, ax: Axes) -> Artist:
        for values, color, name in (
            (self.nll, "q", "−log p(x given z)"),
            (self.latent, "prior", "KL"),
            (self.nll + self.latent, "data", "sum"),
        ):
            line = COLORS[color]
            ax.semilogx(self.gammas, values, ".-", color=line, label=name, linewidth=1)
        if self.gammas[-1] < self.gammas[0]:
            ax.invert_xaxis()
        ax.set(xlabel="γ", ylabel="nats an image")
        ax.legend(fontsize=8, frameon=False)
        self._place = ax.axvline(self.gammas[0], color=COLORS["exact"])
        return self._place

    def _frame(self, t: int, space: Space, u: Tensor) -> tuple[bytes, bytes]:
        """The two pictures at a step; u are codes from N(0, I)."""
        n = len(self._originals)
        rows = [space.images(codes).to(self._originals) for codes in (space.q.mean[:n], u)]
        images = torch.cat([self._originals, *rows])
        for bar, height in zip(self._bars, self.eigenvalues[t], strict=True):
            bar.set_height(height)
        for line, values in self._lines:
            line.set_ydata(values[t])
        self._place.set_xdata([self.gammas[t]] * 2)
        pixels = strip_pixels(images, self._scale, n)
        return pixels_to_png(pixels), self._plot.png()

    def _draw(self) -> None:
        t = self.step.value
        self.image.value, self.plot.value = self._frames[t]
        nll = self.nll[t]
        latent = self.latent[t]
        terms = f"{nll:.1f} data + {latent:.1f} KL"
        self.said.value = f"γ = {self.gammas[t]:.3g}: cost {nll + latent:.1f} nats = {terms}"


def _checked_run(pairs: Sequence[Any]) -> list[tuple[float, Autoencoder]]:
    if not len(pairs):
        ways = "gamma_path makes some, and training.fit keeps some with keep_every"
        raise ValueError(f"run: expected at least one (γ, model), got none; {ways}")
    for gamma, model in pairs:
        _check_gamma(model)
        check_positive("run, each γ", gamma)
    kappa = {model.latent_dim for _, model in pairs}
    if len(kappa) > 1:
        raise ValueError(f"run: expected models of one latent size, got {sorted(kappa)}")
    return list(pairs)


def _split(space: Space, n: int) -> Tensor:
    """λ_j at the first n images' codes, averaged: the encoder's, Eq. 83's, and those of the
    diagonal Gaussian nearest to Eq. 83's; shape (3, κ), each ascending.
    """
    q = space.q[:n]
    optimal = space.optimal_covariance(q.mean)
    precision = torch.linalg.inv(optimal)
    diagonal = precision.diagonal(dim1=1, dim2=2).reciprocal().sort(1).values
    split = (q.eigenvalues().double(), torch.linalg.eigvalsh(optimal), diagonal)
    return torch.stack([values.mean(0) for values in split])


@torch.no_grad()
def _cost(model: Autoencoder, x: Tensor, seed: int) -> tuple[float, float]:
    """−log p(x given z) and the sum of the other terms at one draw, averaged over the images x."""
    first = next(model.parameters())
    generator = generator_of(seed, first.device)
    with evaluating(model):
        terms = [model.loss_terms(part.to(first), generator) for part in x.split(1000)]
    means = {}
    for name in terms[0]:
        values = torch.cat([part[name] for part in terms])
        means[name] = values.double().mean().item()
    nll = means.pop("nll")
    return nll, sum(means.values())

"""What falling γ does to a VAE: `gamma_path` trains the models, `GammaPath` shows them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import ipywidgets
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab import training
from vaelab._inputs import check_images, check_positive, check_positive_int, check_seed
from vaelab.models import Autoencoder, evaluating
from vaelab.plots import COLORS
from vaelab.posteriors import DiagonalNormal, Point
from vaelab.widgets._view import Plot, View, picture, pixels_to_png, row_names
from vaelab.widgets.latent import PAD, pixel_scale, strip_pixels
from vaelab.widgets.spaces import subject


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
        first_epochs: at the first γ; as many as at the others unless told.
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
    check_positive_int("epochs", epochs), check_seed(seed)
    _check_gamma(model)
    run, model = [], copy.deepcopy(model)
    for i, gamma in enumerate(gammas):
        training.fit(
            model,
            images,
            epochs=(first_epochs or epochs) if i == 0 else epochs,
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


def _check_gamma(model: Any) -> None:
    if not isinstance(model, Autoencoder):
        raise TypeError(f"model: expected a vaelab Autoencoder, got {type(model).__name__}")
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

    def __init__(
        self,
        run: training.Run | Sequence[tuple[float, Autoencoder]],
        images: Any,
        *,
        n_columns: int = 10,
        n_points: int = 8,
        seed: int = 0,
    ) -> None:
        (
            check_positive_int("n_columns", n_columns),
            check_positive_int("n_points", n_points),
            check_seed(seed),
        )
        if isinstance(run, training.Run):
            run = run.saved
        if not len(run):
            ways = "gamma_path makes some, and training.fit keeps some with keep_every"
            raise ValueError(f"run: expected at least one (γ, model), got none; {ways}")
        for gamma, model in run:
            check_positive("run, each γ", gamma)
            _check_gamma(model)
        kappa = {model.latent_dim for _, model in run}
        if len(kappa) > 1:
            raise ValueError(f"run: expected models of one latent size, got {sorted(kappa)}")
        x = check_images(images, run[0][1].image_shape, unit=True)
        super().__init__()
        self.gammas = np.array([gamma for gamma, _ in run])
        self.samples, self.reconstructions, found = [], [], []
        self._originals = x[:n_columns].cpu()
        u = torch.randn(
            len(self._originals), kappa.pop(), generator=torch.Generator().manual_seed(seed)
        )
        for _, model in run:
            found.append(_measured(model, x, n_points, seed))
            self.reconstructions.append(model.images(model.codes(self._originals).mean))
            self.samples.append(model.images(u))
        self.eigenvalues, self.predicted, diagonal, self.nll, self.latent = (
            np.array(column) if column[0] is not None else None
            for column in zip(*found, strict=True)
        )
        self.predicted_diagonal = diagonal
        self._scale = pixel_scale(x.shape[-2], 64)
        self._build()
        self._figure()
        self._frames = [self._frame(t) for t in range(len(run))]  # drawn once: a step shows at once
        self.redraw()

    def _build(self) -> None:
        self.step = ipywidgets.IntSlider(0, 0, len(self.gammas) - 1, description="step")
        self.said, self.image, self.plot = ipywidgets.HTML(), picture(), picture()
        names = row_names(
            ("images", "reconstructions", "samples"),
            self._originals.shape[-2] * self._scale + 2 * PAD,
        )
        tops = ipywidgets.HBox([self.step, self.said])
        self.children = (tops, ipywidgets.HBox([names, self.image]), self.plot)
        self._listen(self.step, self.redraw)

    def _figure(self) -> None:
        figure = Figure(figsize=(8.4, 2.6), dpi=100, layout="constrained")
        left, right = figure.subplots(1, 2)
        j = np.arange(1, self.eigenvalues.shape[1] + 1)
        self._bars = left.bar(j, np.ones(len(j)), color=COLORS["q"], width=0.7, label="encoder")
        self._marks = left.plot(
            j, j, "_", color=COLORS["exact"], markersize=10, mew=2, label="Eq. 83"
        )[0]
        moving = [*self._bars, self._marks]
        if self.predicted_diagonal is not None:
            self._diagonals = left.plot(
                j, j, "x", color=COLORS["data"], markersize=4, label="its diagonal"
            )[0]
            moving.append(self._diagonals)
        left.set(xlabel="index j", ylabel="λ of Σ_z", ylim=(0, 1.15))
        left.xaxis.get_major_locator().set_params(integer=True)
        left.axhline(0.5, color="0.6", linestyle=":")
        left.legend(fontsize=8, frameon=False, loc="upper left", ncols=3)
        falling = len(self.gammas) > 1 and self.gammas[-1] < self.gammas[0]
        for values, color, name in (
            (self.nll, "q", "−log p(x given z)"),
            (self.latent, "prior", "KL"),
            (self.nll + self.latent, "data", "sum"),
        ):
            right.semilogx(self.gammas, values, ".-", color=COLORS[color], label=name, linewidth=1)
        if falling:
            right.invert_xaxis()
        right.set(xlabel="γ", ylabel="nats an image")
        right.legend(fontsize=8, frameon=False)
        self._here = right.axvline(self.gammas[0], color=COLORS["exact"])
        self._plot = Plot(figure, [*moving, self._here])

    def _frame(self, t: int) -> tuple[bytes, bytes]:
        """The two pictures at a step."""
        rows = (self._originals, self.reconstructions[t], self.samples[t])
        pixels = strip_pixels(
            torch.cat([row.to(self._originals) for row in rows]), self._scale, len(self._originals)
        )
        for bar, height in zip(self._bars, self.eigenvalues[t], strict=True):
            bar.set_height(height)
        self._marks.set_ydata(self.predicted[t])
        if self.predicted_diagonal is not None:
            self._diagonals.set_ydata(self.predicted_diagonal[t])
        self._here.set_xdata([self.gammas[t]] * 2)
        return pixels_to_png(pixels), self._plot.png()

    def _draw(self) -> None:
        t = self.step.value
        self.image.value, self.plot.value = self._frames[t]
        nll, latent = self.nll[t], self.latent[t]
        self.said.value = (
            f"γ = {self.gammas[t]:.3g}: cost {nll + latent:.1f} nats = {nll:.1f} "
            f"data + {latent:.1f} KL"
        )


@torch.no_grad()
def _measured(model: Autoencoder, x: Tensor, n_points: int, seed: int) -> tuple:
    """λ, Eq. 83's λ, those of its diagonal, and the mean of both terms of the cost."""
    space = subject(model, x).spaces["z"]
    few = space.q[: min(n_points, len(x))]
    optimal = space.optimal_covariance(few.mean)
    diagonal = None
    if type(few) in (Point, DiagonalNormal):
        precision = torch.linalg.inv(optimal)
        diagonal = precision.diagonal(dim1=1, dim2=2).reciprocal().sort(1).values.mean(0).tolist()
    first = next(model.parameters())
    generator = torch.Generator(first.device).manual_seed(seed)
    with evaluating(model):
        terms = [model.loss_terms(part.to(first), generator) for part in x.split(1000)]
    nll, latent = (torch.cat(term).double().mean().item() for term in zip(*terms, strict=True))
    predicted = torch.linalg.eigvalsh(optimal).mean(0).tolist()
    return few.eigenvalues().double().mean(0).tolist(), predicted, diagonal, nll, latent

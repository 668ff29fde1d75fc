"""What every estimator has in common: rows in, codes, rows and log-densities out."""

from __future__ import annotations

import contextlib
import copy
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Self, cast

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    DensityMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor
from torch.utils import data

from vaelab import densities, metrics, networks, training
from vaelab._arrays import Rows, as_array, as_tensor
from vaelab._door import taken_fields
from vaelab._inputs import (
    Positive,
    Weight,
    check_choice,
    check_draws,
    check_flag,
    check_images,
    check_positive_int,
    check_seed,
)
from vaelab.densities import Density
from vaelab.estimators.fitted import put_together, taken_apart
from vaelab.models import Autoencoder
from vaelab.networks import Networks
from vaelab.posteriors import Distribution, PointHead
from vaelab.training import Cosine, Plan, Session
from vaelab.training.plan import Schedule


def _has_log_p(estimator: Any) -> bool:
    """Whether log p(x) is known, as far as can be said: always, until it is fitted.

    Raises:
        AttributeError: a fitted one without it; says why.
    """
    density = getattr(estimator, "density_", None)
    if density is None:
        return True
    if isinstance(estimator.model_.posterior, PointHead):
        raise AttributeError("codes that are points give no log p(x); take a model with a KL")
    if type(density).log_prob is Density.log_prob:
        raise AttributeError(
            f"{type(density).__name__} has no log-density, so there is no log p(x)"
        )
    return True


def _check_verbose(name: str, value: bool | int) -> bool | int:
    is_flag = isinstance(value, (bool, np.bool_))
    return check_flag(name, value) if is_flag else check_positive_int(name, value, 0)


Scaling = Annotated[str, partial(check_choice, known=("all", "columns"))]
Verbosity = Annotated[bool | int, _check_verbose]
_DTYPES: Any = [np.float64, np.float32]
_MOST = 2**24  # The whole number up to which float32 holds every one.
_OURS = (Tensor, Rows, data.Dataset, data.DataLoader, np.ma.MaskedArray)


@dataclass(eq=False, repr=False, kw_only=True)
class Estimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, BaseEstimator):
    """The base of the estimators, which differ in `_model` and `_fitted_density` alone.

    Rows are centred and divided by one scale, their overall standard deviation, or each column by
    its own (`scaling="columns"`), before training, unless the decoder's outputs lie in [0, 1]: then
    the rows must, and are taken as they are.
    """

    is_recorded: ClassVar = True
    forgets: ClassVar[tuple[str, ...]] = ()

    latent_dim: int = 16
    epochs: int = 200
    batch_size: int = 128
    lr: Positive = 2e-3
    schedule: str | Schedule | None = "cosine"
    weight_decay: Weight = 0.0
    scaling: Scaling = "all"
    warm_start: bool = False
    device: str | torch.device = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: Verbosity = False

    def fit(self, X: Any, y: Any = None) -> Self:
        """Train on rows `X`: (n, d) or (n, channels, height, width), n ≥ 2 and finite. Bytes and
        other whole numbers are trained on as float32, beyond 2²⁴ as float64, which rounds those
        beyond 2⁵³, as scikit-learn does without a word. A `Dataset` or a `DataLoader` is read into
        memory; for more than fits there, `training.fit`.

        Returns:
            The estimator itself. A fit that fails leaves it as it was.

        Raises:
            ValueError, TypeError: parameters or rows that cannot be trained on.
        """
        taken_fields(self)
        trial = copy.copy(self)
        trial._fit(X)
        self.__dict__ = vars(trial)
        return self

    def _fit(self, X: Any) -> None:
        before = getattr(self, "model_", None)
        rows = self._rows(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        if self.warm_start and before is not None:
            model = self._continued(before)
        else:
            with networks.seeded(seed):
                nets = self._networks()
                self._fit_scale(rows, nets)
                model = self._model(nets).to(rows.dtype)
        self.range_ = torch.stack(rows.aminmax(dim=0 if rows.ndim == 2 else None))
        self.model_ = model
        x = self._scaled(rows)
        schedule = self.schedule
        if isinstance(schedule, str):
            check_choice("schedule", schedule, ["cosine"])
            schedule = Cosine()
        weights = {"weight_decay": self.weight_decay, "seed": seed}
        plan = Plan(self.epochs, self.batch_size, self.lr, schedule, **weights)
        session = Session(device=self.device, progress=bool(self.verbose))
        run = training.fit_plan(model, x, plan, session)
        model.cpu()
        self.history_ = run.history
        self.n_iter_ = self.epochs
        q = model.codes(x)
        eigenvalues = q.eigenvalues()
        self.eigenvalues_ = eigenvalues.mean(0).numpy()
        self.active_dims_ = round(metrics.active_dims(eigenvalues))
        self.gamma_ = None if model.gamma is None else model.gamma * self.scale_**2
        if isinstance(self.gamma_, Tensor):
            self.gamma_ = self.gamma_.double().numpy()
        self.density_ = self._fitted_density(q, seed, session)
        self._n_features_out = self.latent_dim

    def _continued(self, before: Autoencoder) -> Autoencoder:
        """A copy of the model of the last fit, to go on from."""
        if (before.image_shape, before.latent_dim) != (tuple(self.image_shape_), self.latent_dim):
            raise ValueError(
                f"warm_start: expected rows of shape {before.image_shape} and latent_dim="
                f"{before.latent_dim}, as in the last fit, got {tuple(self.image_shape_)} and "
                f"{self.latent_dim}; set warm_start=False to begin anew"
            )
        return copy.deepcopy(before)

    def _networks(self) -> Networks:
        raise NotImplementedError

    def _model(self, nets: Networks) -> Autoencoder:
        raise NotImplementedError

    def _fitted_density(self, q: Distribution, seed: int, session: Session) -> Density:
        return densities.ModelPrior(self.model_.prior).fit_codes(q)

    def transform(self, X: Any) -> Any:
        """The mean code μ_z of every row: (n, latent_dim)."""
        check_is_fitted(self)
        x = self._scaled(self._rows(X))
        return self._like(X, self.model_.codes(x).mean)

    def inverse_transform(self, X: Any) -> Any:
        """Decode codes (n, latent_dim) to rows of the shape and scale of the training data."""
        check_is_fitted(self)
        array = _as_array(X)
        try:
            z = torch.from_numpy(np.array(check_array(array, dtype=_DTYPES)))
        except (ValueError, TypeError, OverflowError) as error:
            raise _in_one_line(error) from error
        rows = self._unscaled(self.model_.images(z.to(self._dtype)))
        return self._like(X, rows)

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Draw new rows, in the shape and container (array or tensor) of the training data: rows
        (n, d) cut to the range of each column, images to that of all their numbers together.

        Args:
            n_samples: how many.
            random_state: an int for numbers that repeat.
        """
        check_is_fitted(self)
        check_draws("n_samples", n_samples, 2 * math.prod(self.image_shape_))
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        z = self.density_.sample(n_samples, seed).to(self._dtype)
        rows = self._unscaled(self.model_.images(z)).clamp(*self.range_)
        return rows if self._fitted_on_tensor else rows.numpy()

    @available_if(_has_log_p)
    def score_samples(self, X: Any, n_draws: int = 16, random_state: int = 0) -> Any:
        """log p(x) of every row in nats, estimated by importance sampling, shape (n,); −∞ where a
        row is too far from the data for a number.

        A lower bound in expectation; see `densities.log_prob_mc`. Where codes are points, or the
        density has no log-density, there is no such method.

        Args:
            X: rows, as for `fit`.
            n_draws: of z for each row; the more, the tighter the bound.
            random_state: seed of these draws.
        """
        check_is_fitted(self)
        check_positive_int("n_draws", n_draws)
        random_state = check_seed(random_state)
        x = self._scaled(self._rows(X))
        log_p = densities.log_prob_mc(self.model_, x, self.density_, n_draws, random_state)
        log_scale = torch.as_tensor(self.scale_, dtype=torch.float64).log()
        return self._like(X, log_p - float(log_scale.expand(x.shape[1:]).sum()))

    @available_if(_has_log_p)
    def score(self, X: Any, y: Any = None) -> Any:
        """The mean of `score_samples` over the rows, in nats."""
        return float(self.score_samples(X).mean())

    @property
    def _call(self) -> tuple[Callable[..., Any], tuple, dict[str, Any]]:
        arguments = self.get_params(deep=False)
        if not isinstance(arguments["random_state"], (int, np.integer, type(None))):
            arguments["random_state"] = None  # A generator, which has moved on.
        return type(self), (), arguments

    def saved_state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `vaelab.save` writes beside model and density: plain data, and tensors by name.

        Raises:
            NotFittedError: called before `fit`.
        """
        check_is_fitted(self)
        tensors: dict[str, Tensor] = {}
        record = {
            name: taken_apart(name, value, tensors)
            for name, value in vars(self).items()
            if "_" in (name[0], name[-1]) and name not in ("model_", "density_")
        }
        return record, tensors

    def load_state(
        self,
        model: Autoencoder,
        density: Density,
        record: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
    ) -> Self:
        """Take over a model, a density, and what `saved_state` gave.

        Raises:
            ValueError: the name of a method in the place of something learned.
        """
        for name, value in record.items():
            if hasattr(type(self), name) or "_" not in (name[0], name[-1]):
                raise ValueError(f"expected something learned, got {name!r}")
            setattr(self, name, put_together(value, tensors))
        self.model_ = model
        self.density_ = density
        return self

    def _rows(self, X: Any, reset: bool = False) -> Tensor:
        """Check rows as scikit-learn does; give them back in the shape they were fitted in."""
        array = _as_array(X)
        shape = None
        if isinstance(array, np.ndarray) and array.ndim == 4:
            shape = array.shape[1:]
            if not reset and shape != self.image_shape_:
                raise ValueError(
                    f"X: expected images of shape {self.image_shape_}, as in fit, got {shape}"
                )
            array = array.reshape(len(array), -1)
        elif getattr(array, "ndim", 2) == 3:
            raise ValueError(
                f"X: got shape {tuple(array.shape)}; for grey images (n, height, width) add a "
                "channel axis, X[:, None]; expected rows (n, d) or images (n, channels, height, "
                "width)"
            )
        minimum: dict[str, Any] = {"ensure_min_samples": 2} if reset else {}
        try:
            array = cast(Any, validate_data)(self, array, reset=reset, dtype=_DTYPES, **minimum)
        except (ValueError, TypeError, OverflowError) as error:
            raise _in_one_line(error) from error
        if reset:
            self.image_shape_ = shape or array.shape[1:]
            self._fitted_on_tensor = isinstance(X, Tensor)
        return torch.from_numpy(np.array(array)).reshape(-1, *self.image_shape_)

    def _fit_scale(self, rows: Tensor, nets: Networks) -> None:
        if nets.unit:
            check_images(rows, unit=True)
            self.mean_ = torch.zeros(())
            self.scale_ = 1.0
            return
        self.mean_ = rows.mean(0)
        self.scale_ = float((rows - self.mean_).std()) or 1.0
        if self.scaling == "columns":
            spread = rows.std(0)
            self.scale_ = torch.where(spread > 0, spread, 1.0)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.model_.parameters()).dtype

    def _scaled(self, rows: Tensor) -> Tensor:
        return ((rows.to(self._dtype) - self.mean_) / self.scale_).to(self._dtype)

    def _unscaled(self, x: Tensor) -> Tensor:
        return x * self.scale_ + self.mean_

    def _like(self, X: Any, out: Tensor) -> Any:
        """`out` as a tensor or an array, as X was, in X's precision."""
        if isinstance(X, Tensor):
            return out.to(X) if X.is_floating_point() else out.to(X.device)
        array, dtype = out.numpy(), getattr(X, "dtype", None)
        return array.astype(dtype, copy=False) if dtype in _DTYPES else array


def _in_one_line(error: Exception) -> Exception:
    """What scikit-learn says of rows, and its checks look for, without the rows."""
    said = " ".join(re.sub(r"\sarray=.*?(?=Reshape|$)", " ", str(error), flags=re.DOTALL).split())
    kind = ValueError if isinstance(error, OverflowError) else type(error)
    return kind(
        f"X: expected finite rows (n, d) or images (n, channels, height, width), got others: {said}"
    )


def _as_array(X: Any) -> Any:
    """What is no array for scikit-learn as one; whole numbers as floating-point ones."""
    ours = isinstance(X, _OURS) or hasattr(X, "train_pixels")
    array = as_array(as_tensor(X, "X")) if ours else X
    if isinstance(array, list):
        with contextlib.suppress(ValueError):  # Rows of several lengths are refused below.
            array = np.asarray(array)
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype.kind in "mMSUV":
        raise _in_one_line(TypeError(f"{array.dtype} is no kind of number"))
    if array.dtype.kind in "iub":
        exact = array.dtype.itemsize <= 2 or not ((array > _MOST) | (array < -_MOST)).any()
        return array.astype(np.float32 if exact else np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)

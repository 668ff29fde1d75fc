"""Saving and loading: a trained model, or an estimator, is a folder with `model.safetensors` and
`run.json`, never a pickle.

Each file is whole or not there, and both stand under one checksum. `run.json` holds accounts: the
calls that make the parts, by names. Only the package's parts, and the classes and functions that
`load` takes as `parts`, are ever looked up; a file cannot have anything else called.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import vaelab
from vaelab import networks
from vaelab._files import (
    CheckpointError,
    check_file,
    check_writable,
    digest,
    joined,
    parted,
    write_atomic,
)
from vaelab._formats import from_format_1
from vaelab._inputs import check_path, shown
from vaelab.densities import Density, ModelPrior
from vaelab.models import CATALOGUE, Autoencoder, Conditional
from vaelab.parts import (
    UnknownPart,
    account,
    as_data,
    changed,
    fill,
    public_name,
    rebuild,
    to_be_filled,
)
from vaelab.posteriors import Point

MODEL_FORMAT = "vaelab model 2"
ROOMS = (
    "densities",
    "flows",
    "grammar",
    "likelihoods",
    "models",
    "networks",
    "posteriors",
    "priors",
    "terms",
    "training",
)
SHIPPED = Path(__file__).parent / "shipped"  # Small trained models that come with the package.
T = TypeVar("T")
_SPARE = 2**28  # Bytes that a build may take beyond eight times those of the file.
_LEAST = 2**13  # Bytes that a tensor and the layer around it take, however small they are.


@dataclass(frozen=True)
class Saved:
    """What `load` gives back of a model and its density.

    Args:
        model: the autoencoder, in evaluation mode, on the CPU.
        density: what stands in for q(z): see `vaelab.densities`.
        run: everything that was kept of the run: arguments, data, versions, seed, results.
    """

    model: Autoencoder
    density: Density
    run: dict[str, Any]

    @property
    def data(self) -> Mapping[str, Any]:
        """What the run says of its images: name, source, fingerprint; empty where it does not."""
        data = self.run.get("data")
        return data if isinstance(data, Mapping) and isinstance(data.get("name"), str) else {}

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw `n` images, shape (n, *image_shape): codes from the density, decoded without
        noise. A model that is given something draws by its own `model.draw(context, n)`.
        """
        if isinstance(self.model, Conditional):
            raise TypeError(
                "sample: expected a model without context; pass what is given to "
                "saved.model.draw(context, n)"
            )
        return self.model.images(self.density.sample(n, seed))


@contextlib.contextmanager
def fields_of(folder: Path) -> Iterator[None]:
    """Say of a run.json that it lacks a field of `vaelab train`, or holds something else there."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: run.json is not as `vaelab train` writes it ({type(error).__name__}: "
            f"{error}); it was saved by other code"
        ) from error


def versions() -> dict[str, str]:
    """The versions that decide a run's numbers."""
    return {
        "vaelab": vaelab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def save(
    folder: str | Path,
    model: Any,
    density: Density | None = None,
    run: Mapping[str, Any] | None = None,
) -> Path:
    """Write a trained model and its density, or a fitted estimator, to a folder that `load` reads.

    Args:
        folder: made if it does not exist.
        model: a `vaelab.models.Autoencoder`, or a fitted estimator of `vaelab.estimators`, which is
            saved whole: with its scale, its range and its own density.
        density: a fitted density of `vaelab.densities`; the model's own prior unless given.
        run: what else to keep in `run.json`, as plain data.

    Returns:
        The folder.

    Raises:
        TypeError: something that `load` could not rebuild or a file cannot hold; says which.
            Nothing is written.
        ValueError: weights that are not finite; an argument that was changed after the model was
            made.
        FileExistsError: a saved model is there already; nothing is overwritten.
        OSError: it cannot be written.

    >>> import tempfile
    >>> from vaelab import models, networks
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save(f"{folder}/mine", models.vae(networks.mlp(3, latent_dim=2)))
    ...     load(f"{folder}/mine").sample(5).shape
    torch.Size([5, 3])
    """
    folder = check_path("folder", folder)
    if (folder / "run.json").exists():
        raise FileExistsError(
            f"{folder} already holds a saved model; choose another folder or delete it"
        )
    model, density, estimator, arrays = _what_is_saved(model, density)
    record = {
        "format": MODEL_FORMAT,
        "model": account(model),
        "density": account(density),
        "latent_dim": model.latent_dim,
        **estimator,
        "versions": versions(),
    }
    _check_unchanged(model)
    notes = as_data(run or {}, "run")
    taken = [name for name in (*record, "estimator", "sha256") if name in notes]
    if set(taken) - {"versions"}:
        raise ValueError(f"run: expected names other than {', '.join(taken)}; rename them")
    record |= notes
    states = {"model": model.state_dict(), "density": density.state_dict(), "estimator": arrays}
    tensors = {name: value.clone() for name, value in joined(states).items()}
    _check_finite(tensors)
    record["sha256"] = digest(tensors, record)
    check_writable(folder)
    write_atomic(folder / "model.safetensors", safetensors.torch.save(tensors))
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    # What is no UTF-8, as in a file's name, is spelled \udcff, which is its escape in JSON too.
    write_atomic(folder / "run.json", text.encode(errors="backslashreplace"))
    return folder


def _check_unchanged(model: Autoencoder) -> None:
    """Raise for what `load` would make otherwise."""
    different = changed(model)
    if different:
        raise ValueError(
            f"model: {different} when it was made, which is what `load` would make again; make "
            "the model with it. Nothing is written"
        )


def _what_is_saved(
    model: Any, density: Density | None
) -> tuple[Autoencoder, Density, dict[str, Any], dict[str, Tensor]]:
    """Model and density, checked; of an estimator also its record and its arrays."""
    estimator: dict[str, Any] = {}
    arrays: dict[str, Tensor] = {}
    if not isinstance(model, Autoencoder):
        if density is not None or not hasattr(model, "saved_state"):
            raise TypeError(
                "model: expected an Autoencoder with a density, or a fitted estimator alone, got "
                f"{type(model).__name__}"
            )
        learned, arrays = model.saved_state()
        learned = as_data(learned, "the estimator")
        estimator = {"estimator": {"made": account(model), "learned": learned}}
        model, density = model.model_, model.density_
    density = model_prior(model) if density is None else density
    if not isinstance(density, Density):
        raise TypeError(f"density: expected a Density, got {type(density).__name__}")
    density.check()
    if density.latent_dim != model.latent_dim:
        raise ValueError(
            f"density: expected codes of the model's latent_dim={model.latent_dim}, got "
            f"{density.latent_dim}"
        )
    return model, density, estimator, arrays


def model_prior(model: Autoencoder) -> Density:
    """The density that ancestral sampling draws from: the model's own prior."""
    nothing = Point(torch.zeros(1, model.latent_dim))
    return ModelPrior(model.prior).fit_codes(nothing)


def _check_finite(tensors: dict[str, Tensor]) -> None:
    broken = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(
            f"model: {len(broken)} of its tensors hold NaN or infinite values, the first is "
            f"{broken[0]}; a model that has diverged is not saved"
        )


def load(folder: str | Path, parts: Iterable[Callable[..., Any]] = ()) -> Any:
    """Read a folder that `save` or `vaelab train` wrote. Nothing in it is executed.

    Args:
        folder: holds `model.safetensors` and `run.json`; or the name of a model that comes with the
            package, "digits-laptop" or "fashion-laptop".
        parts: classes and functions of your own that the model is made of: posteriors, likelihoods,
            priors, terms, densities, networks, estimators, subclasses of `Autoencoder`.

    Returns:
        A `Saved`: model, density and the run's record; or the estimator, where one was saved.

    Raises:
        FileNotFoundError: no such folder, or one without these files.
        CheckpointError: damaged, written by something else, or made of a part that is not at hand.
    """
    folder = place_of(folder)
    record = _read_run(folder)
    path = folder / "model.safetensors"
    check_file(path)
    try:
        tensors = safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or missing ({error})") from error
    known = makers(parts, estimators="estimator" in record)
    try:
        content = {k: v for k, v in record.items() if k != "sha256"}
        if digest(tensors, content) != record.get("sha256"):
            raise CheckpointError(
                f"{folder}: model.safetensors and run.json do not match their checksum; one is "
                "damaged"
            )
        return _rebuilt(record, tensors, known)
    except (CheckpointError, ImportError):
        raise
    except UnknownPart as error:
        raise CheckpointError(_missing(folder, error.name)) from error
    except Exception as error:  # Whatever a part, or a user's own, raises that is unfit.
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"{folder}: its parts do not fit this version of vaelab ({reason})"
        ) from error


def place_of(folder: str | Path) -> Path:
    """The folder of a model: that of one which comes with the package, where its name is given and
    no folder here has it.
    """
    shipped = SHIPPED / check_path("folder", folder)
    is_name = shipped.parent == SHIPPED and (shipped / "run.json").is_file()
    return shipped if is_name and not Path(folder).exists() else Path(folder)


def makers(
    parts: Iterable[Callable[..., Any]] = (), estimators: bool = False
) -> dict[str, Callable[..., Any]]:
    """The classes and functions that an account may name: the package's parts, what makes networks,
    the catalogue, and `parts`. None of the package's other functions is among them.

    Args:
        parts: a user's own.
        estimators: whether those of the package are among them.

    Raises:
        ValueError: two parts of one name.
        TypeError: a part that is neither a class nor a function.
    """
    known: dict[str, Callable[..., Any]] = {public_name(f): f for f in CATALOGUE.values()}
    for room in (*ROOMS, "estimators") if estimators else ROOMS:
        for maker in vars(importlib.import_module(f"vaelab.{room}")).values():
            if getattr(maker, "is_recorded", False) and hasattr(maker, "__name__"):
                known[public_name(maker)] = maker
    if not isinstance(parts, Iterable):
        raise TypeError(f"parts: expected a list such as [MyTerm], got {shown(parts)}")
    for part in parts:
        if not isinstance(part, (type, FunctionType)):
            raise TypeError(f"parts: expected classes and functions, got {shown(part)}")
        name = public_name(part)
        if known.get(name, part) is not part:
            raise ValueError(f"parts: two of them are called {name!r}; rename one")
        known[name] = part
    return known


def _rebuilt(
    record: dict[str, Any], tensors: dict[str, Tensor], makers: Mapping[str, Callable[..., Any]]
) -> Any:
    if record["format"] != MODEL_FORMAT:
        record, tensors = from_format_1(record, tensors)
    _check_finite(tensors)
    of = {"density": {}, "estimator": {}, **parted(tensors)}
    if len(of) > 3:
        raise ValueError(f"expected tensors of model, density and estimator, got {', '.join(of)}")
    allowance = Allowance(sum(value.nbytes for value in tensors.values()))
    with networks.seeded(0), to_be_filled(), allowance:
        model = _of_kind(Autoencoder, record["model"], makers)
        density = _of_kind(Density, record["density"], makers)
        fill(model, of["model"])
        if record["latent_dim"] != model.latent_dim:
            raise ValueError(f"latent_dim: {record['latent_dim']} and {model.latent_dim}")
        density.load_state(of["density"], model.latent_dim)
        if "estimator" not in record:
            return Saved(model.eval(), density, record)
        from vaelab.estimators.base import Estimator

        estimator = _of_kind(Estimator, record["estimator"]["made"], makers)
    learned = record["estimator"]["learned"]
    return estimator.load_state(model.eval(), density, learned, of["estimator"])


def _of_kind(kind: type[T], account: Any, makers: Mapping[str, Callable[..., Any]]) -> T:
    part = rebuild(account, makers)
    if not isinstance(part, kind):
        raise TypeError(f"expected the account of a {kind.__name__}, got a {type(part).__name__}")
    return part


class Allowance(TorchDispatchMode):
    """Stops a build that takes far more memory than the file's own tensors, as soon as it asks.

    Args:
        nbytes: of the file's tensors, of which a build needs a few copies.
    """

    def __init__(self, nbytes: int) -> None:
        super().__init__()
        self.left = _SPARE + 8 * nbytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {_memory(arg) for arg in args if isinstance(arg, Tensor)}
        if isinstance(out, Tensor) and _memory(out) not in known:
            self.left -= out.nbytes + _LEAST
        if self.left < 0:
            raise ValueError(
                f"a tensor of shape {tuple(out.shape)} is needed, far more than the file holds"
            )
        return out


def _memory(x: Tensor) -> int:
    return x.untyped_storage().data_ptr()


def _missing(folder: Path, name: str) -> str:
    if "." in name:
        return f"{folder}: this version of vaelab has no {name}; it was written by another"
    return (
        f"{folder}: the model is made of {name}, which is no part of vaelab. Pass the class or "
        f"the function: load({str(folder)!r}, parts=[{name}])"
    )


def _read_run(folder: Path) -> dict[str, Any]:
    path = folder / "run.json"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; expected one that `vaelab train` or `vaelab.save` wrote, "
            "or digits-laptop or fashion-laptop, which come with the package"
        )
    if not path.is_file():
        hint = "not a saved model"
        if any(folder.glob("*.state.safetensors")):
            hint = "training has not finished: give the same `vaelab train` command again"
        raise FileNotFoundError(f"{folder} holds no run.json ({hint})")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    kind = record.get("format") if isinstance(record, dict) else type(record).__name__
    if kind not in (MODEL_FORMAT, "vaelab model 1"):
        raise CheckpointError(f"{path}: expected the format {MODEL_FORMAT!r}, found {kind!r}")
    return record

"""Saving and loading: a trained model is a folder with `model.safetensors` and `run.json`, never a
pickle.

Each file is whole or not there, and both stand under one checksum.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import vaelab
from vaelab import densities, models
from vaelab._files import CheckpointError, check_writable, digest, write_atomic

MODEL_FORMAT = "vaelab model 1"


@dataclass(frozen=True)
class Saved:
    """What `load` gives back.

    Args:
        model: the autoencoder, in evaluation mode, on the CPU.
        density: what stands in for q(z): see `vaelab.densities`.
        run: everything the run said of itself: arguments, data, versions, seed, results.
    """

    model: models.Autoencoder
    density: densities.StandardNormal
    run: dict

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw `n` images, shape (n, *image_shape): codes from the density, decoded without
        noise.
        """
        return self.model.images(self.density.sample(n, seed))


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
    model: models.Autoencoder,
    density: densities.StandardNormal,
    run: dict | None = None,
) -> Path:
    """Write a trained model and its density to a folder that `load` reads.

    Args:
        folder: made if it does not exist.
        model: a `vaelab.models.Autoencoder`.
        density: a fitted density of `vaelab.densities`.
        run: what else to keep in `run.json`, as plain data.

    Returns:
        The folder.

    Raises:
        ValueError: a model of parts that `load` could not rebuild.
        FileExistsError: a saved model is there already; nothing is overwritten.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    if not model.networks_spec:
        raise ValueError(
            "model: expected networks of vaelab.networks; others could not be rebuilt by `load`"
        )
    if (folder / "run.json").exists():
        raise FileExistsError(
            f"{folder} already holds a saved model; choose another folder or delete it"
        )
    told = {
        "format": MODEL_FORMAT,
        "model": model.spec(),
        "density": density.spec(),
        "versions": versions(),
        **(run or {}),
    }
    check_writable(folder)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"density.{k}": v for k, v in density.state_dict().items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    told = json.loads(json.dumps(told))
    told["sha256"] = digest(tensors, told)
    write_atomic(folder / "model.safetensors", safetensors.torch.save(tensors))
    write_atomic(
        folder / "run.json", (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()
    )
    return folder


def load(folder: str | Path) -> Saved:
    """Read a folder that `save` or `vaelab train` wrote. Nothing in it is executed.

    Args:
        folder: holds `model.safetensors` and `run.json`.

    Returns:
        Model, density and the run's own account.

    Raises:
        FileNotFoundError: no such folder, or one without these files.
        CheckpointError: damaged, or written by something else.
    """
    folder = Path(folder)
    told = _read_run(folder)
    try:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
    except (SafetensorError, FileNotFoundError) as error:
        raise CheckpointError(
            f"{folder / 'model.safetensors'} is damaged or missing ({error})"
        ) from error
    if digest(tensors, {k: v for k, v in told.items() if k != "sha256"}) != told.get("sha256"):
        raise CheckpointError(
            f"{folder}: model.safetensors and run.json do not match their checksum; one is damaged"
        )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "density": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    try:
        model = models.from_spec(told["model"])
        model.load_state_dict(parts["model"])
        density = densities.from_spec(told["density"], parts["density"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: its parts do not fit this version of vaelab ({error})"
        ) from error
    return Saved(model.eval(), density, told)


def _read_run(folder: Path) -> dict:
    path = folder / "run.json"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; expected one that `vaelab train` or `vaelab.save` wrote"
        )
    if not path.exists():
        hint = "not a saved model"
        if any(folder.glob("*.state.safetensors")):
            hint = "training has not finished: give the same `vaelab train` command again"
        raise FileNotFoundError(f"{folder} holds no run.json ({hint})")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(told, dict) or told.get("format") != MODEL_FORMAT:
        found = told.get("format") if isinstance(told, dict) else type(told).__name__
        raise CheckpointError(f"{path}: expected the format {MODEL_FORMAT!r}, found {found!r}")
    return told

"""Saving and loading: a trained model is a folder with `model.safetensors` and `run.json`, never a pickle.

Every file is written beside its final name, flushed to the disk and then renamed, so that a reader meets the old file
or the new one, never a part of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import vaelab

MODEL_FORMAT = "vaelab model 1"
STATE_FORMAT = "vaelab training state 1"


class CheckpointError(ValueError):
    """A folder or file that is not a checkpoint, is of another kind, or is damaged."""


@dataclass(frozen=True)
class Saved:
    """What `load` gives back.

    Args:
        model: the autoencoder, in evaluation mode, on the CPU.
        density: what stands in for q(z): see `vaelab.densities`.
        run: everything the run said of itself: arguments, data, versions, seed, results.
    """

    model: Any
    density: Any
    run: dict

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw `n` images, shape (n, *image_shape): codes from the density, decoded without noise."""
        return self.model.images(self.density.sample(n, seed))


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of named tensors: names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return sha.hexdigest()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file or leave what was there.

    Raises:
        OSError: no room, no permission; the old file, if any, is untouched.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def check_writable(folder: Path) -> None:
    """Make the folder if need be, and clear away what a killed writer left in it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / ".writable", b"")
        (folder / ".writable").unlink()
        for stale in folder.glob(".*.safetensors.*"):
            stale.unlink()
    except OSError as error:
        raise OSError(error.errno, f"cannot write to {folder} ({error.strerror}); choose another folder") from error


def write_state(path: Path, tensors: dict[str, Tensor], told: dict) -> None:
    """Write tensors and what is told of them as one safetensors file, atomically."""
    header = json.dumps({"format": STATE_FORMAT, "sha256": digest(tensors), **told})
    write_atomic(path, safetensors.torch.save(tensors, {"vaelab": header}))


def read_state(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read what `write_state` wrote.

    Raises:
        CheckpointError: damaged, or not such a file.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            told = json.loads((file.metadata() or {}).get("vaelab", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({error}); delete it to start anew") from error
    if told.get("format") != STATE_FORMAT:
        found = told.get("format", "none of vaelab's")
        raise CheckpointError(f"{path}: expected the format {STATE_FORMAT!r}, found {found!r}; delete it to start anew")
    if digest(tensors) != told["sha256"]:
        raise CheckpointError(f"{path} is damaged: its contents do not match its checksum; delete it to start anew")
    return tensors, told


def versions() -> dict[str, str]:
    """The versions that decide a run's numbers."""
    return {
        "vaelab": vaelab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def save(folder: str | Path, model: Any, density: Any, run: dict | None = None) -> Path:
    """Write a trained model and its density to a folder that `load` reads.

    Args:
        folder: made if it does not exist.
        model: a `vaelab.models.Autoencoder`.
        density: a fitted density of `vaelab.densities`.
        run: what else to keep in `run.json`, as plain data.

    Returns:
        The folder.

    Raises:
        FileExistsError: a saved model is there already; nothing is overwritten.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    if (folder / "run.json").exists():
        raise FileExistsError(f"{folder} already holds a saved model; choose another folder or delete it")
    check_writable(folder)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"density.{k}": v for k, v in density.state_dict().items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    told = {
        "format": MODEL_FORMAT,
        "model": model.spec(),
        "density": density.spec(),
        "versions": versions(),
        **(run or {}),
        "sha256": digest(tensors),
    }
    write_atomic(folder / "model.safetensors", safetensors.torch.save(tensors))
    write_atomic(folder / "run.json", (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())
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
    from vaelab import densities, models

    folder = Path(folder)
    told = _read_run(folder)
    try:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
    except (SafetensorError, FileNotFoundError) as error:
        raise CheckpointError(f"{folder / 'model.safetensors'} is damaged or missing ({error})") from error
    if digest(tensors) != told.get("sha256"):
        raise CheckpointError(f"{folder}: model.safetensors does not match the checksum in run.json; it is damaged")
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "density": {}}
    for key, value in tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    try:
        model = models.from_spec(told["model"])
        model.load_state_dict(parts["model"])
        density = densities.from_spec(told["density"], parts["density"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{folder}: its parts do not fit this version of vaelab ({error})") from error
    return Saved(model.eval(), density, told)


def _read_run(folder: Path) -> dict:
    path = folder / "run.json"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; expected one that `vaelab train` or `vaelab.save` wrote")
    if not path.exists():
        unfinished = any(folder.glob("*.state.safetensors"))
        hint = "training has not finished: give the same `vaelab train` command again" if unfinished else "not a saved model"
        raise FileNotFoundError(f"{folder} holds no run.json ({hint})")
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(told, dict) or told.get("format") != MODEL_FORMAT:
        found = told.get("format") if isinstance(told, dict) else type(told).__name__
        raise CheckpointError(f"{path}: expected the format {MODEL_FORMAT!r}, found {found!r}")
    return told

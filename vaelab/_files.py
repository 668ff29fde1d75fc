"""Files that are whole or not there: every one is written beside its final name, flushed to the
disk and then renamed.

A reader meets the old file or the new one, never a part of one. Tensors lie in safetensors files
under a checksum, and nothing that is read is executed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

STATE_FORMAT = "vaelab training state 2"
_PARTIAL = ".vaelab-partial"


class CheckpointError(ValueError):
    """A folder or file that is not a checkpoint, is of another kind, or is damaged."""


def digest(tensors: dict[str, Tensor], record: dict | None = None) -> str:
    """SHA-256 of named tensors (names, types, shapes and bytes) and of the record beside them."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.reshape(-1).view(torch.uint8).numpy().data)
    if record is not None:
        sha.update(json.dumps(record, sort_keys=True).encode())
    return sha.hexdigest()


def joined(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of several owners as "owner.name", on the CPU.

    >>> list(joined({"model": {"w": torch.zeros(1)}, "density": {"mean": torch.zeros(1)}}))
    ['model.w', 'density.mean']
    """
    return {
        f"{owner}.{name}": value.detach().cpu().contiguous()
        for owner, state in states.items()
        for name, value in state.items()
    }


def parted(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What `joined` joined, by owner."""
    states: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        owner, _, name = key.partition(".")
        states.setdefault(owner, {})[name] = value
    return states


def write_atomic(path: Path, content: bytes) -> None:
    """Write a whole file or leave what was there.

    Raises:
        OSError: no room, no permission; the old file, if any, is untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
    except OSError as error:
        problem = f"could not write {path} ({error.strerror}); nothing that was there is lost"
        raise OSError(error.errno, problem) from error


def check_writable(folder: Path) -> None:
    """Make the folder if need be, and clear away what a killed writer left in it.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}{_PARTIAL}"
        probe.write_bytes(b"")
        for stale in folder.glob(f".*{_PARTIAL}"):
            stale.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write to {folder} ({error.strerror}); choose another folder"
        ) from error


def write_state(path: Path, tensors: dict[str, Tensor], record: dict) -> None:
    """Write tensors and the record beside them as one safetensors file, atomically."""
    plain = json.loads(json.dumps(record))
    sha256 = digest(tensors, plain)
    header = json.dumps({"format": STATE_FORMAT, "sha256": sha256, "record": plain})
    write_atomic(path, safetensors.torch.save(tensors, {"vaelab": header}))


def read_state(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read what `write_state` wrote.

    Raises:
        CheckpointError: damaged, or not such a file.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {}).get("vaelab", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({error}); delete it to start anew"
        ) from error
    if header.get("format") != STATE_FORMAT:
        kind = header.get("format", "none of vaelab's")
        raise CheckpointError(
            f"{path}: expected the format {STATE_FORMAT!r}, found {kind!r}; delete it to start anew"
        )
    if digest(tensors, header.get("record")) != header.get("sha256"):
        raise CheckpointError(
            f"{path} is damaged: its contents do not match its checksum; delete it to start anew"
        )
    return tensors, header["record"]

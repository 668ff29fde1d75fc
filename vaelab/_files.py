"""Files that are whole or not there: every one is written beside its final name, flushed to the
disk and then renamed.

A reader meets the old file or the new one, never a part of one. Tensors lie in safetensors files
under a checksum, and nothing that is read is executed.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import platform
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

STATE_FORMAT = "vaelab training state 2"
_PARTIAL = ".vaelab-partial"
_MACHINE = re.sub(r"[^\w-]", "-", platform.node()) or "machine"
_QUIET = 600.0  # Seconds after which a file of another machine's process counts as left behind.


class CheckpointError(ValueError):
    """A folder or file that is not a checkpoint, is of another kind, or is damaged."""


def came_with(name: str) -> Path:
    """A folder of data that came with the package, "results" or "published": beside its modules
    in a wheel, in data/ of a checkout.
    """
    package = Path(__file__).parent
    folder = package / name
    return folder if folder.is_dir() else package.parent / "data" / name


def check_file(path: Path) -> None:
    """Raise where a folder, or a pipe, which would be waited for, is in the place of a file."""
    if path.exists() and not path.is_file():
        found = "a folder" if path.is_dir() else "a pipe or a device"
        raise CheckpointError(f"{path}: expected a file, found {found}; move it away")


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
    partial = path.with_name(f".{path.name}.{_mark()}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        if not isinstance(error, OSError):
            raise
        problem = f"could not write {path} ({error.strerror}); nothing that was there is lost"
        raise OSError(error.errno, problem) from error


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a .npy file as `write_atomic` does."""
    np.save(content := io.BytesIO(), array)
    write_atomic(path, content.getvalue())


def as_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as the bytes of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _mark() -> str:
    """This process, as a word in a file's name: its number, and its machine's name."""
    return f"{os.getpid()}@{_MACHINE}"


def _is_alive(mark: str, path: Path) -> bool:
    """Whether the process that a file is marked with still runs; of another machine's, or where
    that cannot be asked, whether the file was touched in the last ten minutes.
    """
    number, _, machine = mark.partition("@")
    if machine in ("", _MACHINE) and number.isdigit() and os.name == "posix":
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return True
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < _QUIET
    return False


def _take(lock: Path) -> str:
    """Mark a lock as this process's and give "", or give the mark of the living one that holds it.

    The file itself is locked meanwhile, so that of two that meet a dead holder one takes over.
    """
    while True:
        with lock.open("a+", encoding="utf-8") as file:
            with contextlib.suppress(ImportError, OSError):  # Where there is none: without it.
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                is_there = os.path.samestat(lock.stat(), os.fstat(file.fileno()))
            except FileNotFoundError:
                is_there = False
            if not is_there:
                continue  # Whoever held it has let go of it, and of the file.
            file.seek(0)
            holder = file.read()
            if holder and _is_alive(holder, lock):
                return holder
            file.truncate(0)
            file.write(_mark())
            return ""


@contextlib.contextmanager
def held(path: Path) -> Iterator[Path]:
    """Hold a place for this process alone, by a file beside it that names the holder; gives that
    file, which is to be touched now and then.

    Raises:
        BlockingIOError: a living process holds it. OSError: the lock cannot be written.
    """
    check_writable(path.parent)
    lock = path.with_name(f".{path.name}.vaelab-lock")
    holder = _take(lock)
    if holder:
        number, _, machine = holder.partition("@")
        raise BlockingIOError(
            errno.EAGAIN,
            f"{path} is held by process {number} on {machine or '?'}, which trains there now; wait "
            f"for it, or name another folder. If it has ended, delete {lock}",
        )
    try:
        yield lock
    finally:
        lock.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make the folder if need be, and clear away what a killed writer left in it; what a living
    one is writing stays.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{_mark()}{_PARTIAL}"
        probe.write_bytes(b"")
        probe.unlink()
        for partial in folder.glob(f".*{_PARTIAL}"):
            mark = partial.name.removesuffix(_PARTIAL).rpartition(".")[2]
            if not _is_alive(mark, partial):
                partial.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot write to {folder} ({error.strerror}); choose another folder"
        ) from error


def write_state(path: Path, tensors: dict[str, Tensor], record: dict) -> None:
    """Write tensors and the record beside them as one safetensors file, atomically; the folder is
    made again where it was removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(record))
    sha256 = digest(tensors, plain)
    header = json.dumps({"format": STATE_FORMAT, "sha256": sha256, "record": plain})
    write_atomic(path, safetensors.torch.save(tensors, {"vaelab": header}))


def read_state(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Read what `write_state` wrote.

    Raises:
        CheckpointError: damaged, or not such a file.
    """
    check_file(path)
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

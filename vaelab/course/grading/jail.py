"""A place where a student's code can do no harm: no network, nothing to write to but its own
folder, and nothing of it left when it ends.

Two ways lead there, both of Linux: bubblewrap where it is installed, else the user namespaces of
`unshare` (util-linux). Where neither works there is no jail, and only trusted code should run.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import vaelab

Command = list[str]
MAX_FOLDER = 512 * 2**20
_READ_ONLY, _BIND, _RECURSIVE, _AT_FDCWD = 1, 4096, 0x8000, -100
_MOUNT_SETATTR = 442  # The number of the system call, on every architecture.


class JailError(OSError):
    """There is no way to run code safely on this machine."""


@dataclass(frozen=True)
class Jail:
    """A way to shut a command in.

    Args:
        name: in words.
        wrap: from the one folder that may be written to, the folders that are hidden, and a
            command, to the command that runs it in the jail.
    """

    name: str
    wrap: Callable[[Path, Sequence[Path], Command], Command]


def _bubblewrap(folder: Path, hidden: Sequence[Path], command: Command) -> Command:
    covers = [word for path in hidden for word in ("--tmpfs", str(path), "--remount-ro", str(path))]
    return [
        *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"),
        *(*covers, "--bind", str(folder), str(folder)),
        *command,
    ]


def _namespaces(folder: Path, hidden: Sequence[Path], command: Command) -> Command:
    inside = [sys.executable, "-P", "-m", "vaelab.course.grading.jail", str(folder)]
    return [
        *("unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--mount-proc"),
        *("--kill-child=KILL", *inside, *map(str, hidden), "--"),
        *("unshare", "--user", "--mount", *command),  # A second time: now nothing can be undone.
    ]


JAILS = (Jail("bubblewrap", _bubblewrap), Jail("user namespaces", _namespaces))


@cache
def find_jail() -> Jail | None:
    """The first jail that works on this machine; None where none does."""
    for jail in JAILS:
        if shutil.which(jail.wrap(Path("/"), (), [])[0]) and _works(jail):
            return jail
    return None


def _works(jail: Jail) -> bool:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        probe = [sys.executable, "-c", f"open({str(folder / 'in')!r}, 'w').close()"]
        command = jail.wrap(folder, (), probe)
        run = subprocess.run(command, env=environment(folder), capture_output=True, check=False)
        return run.returncode == 0 and (folder / "in").exists()


def environment(folder: Path) -> dict[str, str]:
    """The variables of a process in the jail: none of the teacher's but the way to Python."""
    places = (
        "HOME",
        "TMPDIR",
        "MPLCONFIGDIR",
        "IPYTHONDIR",
        "JUPYTER_RUNTIME_DIR",
        "XDG_CACHE_HOME",
    )
    return {
        **dict.fromkeys(places, str(folder)),
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(Path(vaelab.__file__).parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLBACKEND": "agg",
        "OMP_NUM_THREADS": "1",
    }


def may_hide(path: Path) -> bool:
    """Whether a folder can be hidden: nothing that Python needs lies in it.

    >>> may_hide(Path("/"))
    False
    """
    needed = (sys.prefix, sys.base_prefix, vaelab.__file__)
    return not any(Path(other).resolve().is_relative_to(path.resolve()) for other in needed)


def run(jail: Jail | None, folder: Path, hidden: Sequence[Path], seconds: float) -> str:
    """Run the examinee on a folder, at most so long.

    Returns:
        Why it was stopped, or nothing.
    """
    command = [sys.executable, "-P", "-m", "vaelab.course.grading.examinee", str(folder)]
    if jail is not None:
        command = jail.wrap(folder, [path for path in hidden if may_hide(path)], command)
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return _watch(process, folder, seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _watch(process: subprocess.Popen, folder: Path, seconds: float) -> str:
    end = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > end:
            return f"stopped after {seconds:.0f} s"
        if size(folder) > MAX_FOLDER:
            return f"stopped: it wrote more than {MAX_FOLDER >> 20} MiB"
        time.sleep(0.05)
    return ""


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(
        (Path(root) / name).lstat().st_size
        for root, _, names in os.walk(folder)
        for name in names
        if (Path(root) / name).exists()
    )


class _Attributes(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("set", "clear", "spread", "space"))


def _set_mounts(libc: ctypes.CDLL, path: str, flags: int, given: int = 0, taken: int = 0) -> None:
    attributes = _Attributes(given, taken, 0, 0)
    size = ctypes.sizeof(attributes)
    arguments = (_AT_FDCWD, path.encode(), flags, ctypes.byref(attributes), size)
    _succeeded(libc.syscall(_MOUNT_SETATTR, *arguments), path)


def _succeeded(status: int, path: str) -> None:
    if status:
        raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")


def shut(folder: str, hidden: Sequence[str]) -> None:
    """In fresh namespaces: everything is read-only but one folder, and some folders look empty."""
    libc = ctypes.CDLL(None, use_errno=True)
    opened = f"/proc/self/fd/{os.open(folder, os.O_PATH)}".encode()
    for path in hidden:
        if Path(path).is_dir():
            _succeeded(libc.mount(b"none", path.encode(), b"tmpfs", 0, None), path)
    Path(folder).mkdir(parents=True, exist_ok=True)  # Where a hidden folder held it.
    _succeeded(libc.mount(opened, folder.encode(), None, _BIND, None), folder)
    _set_mounts(libc, "/", _RECURSIVE, given=_READ_ONLY)
    _set_mounts(libc, folder, 0, taken=_READ_ONLY)


if __name__ == "__main__":
    split = sys.argv.index("--")
    shut(sys.argv[1], sys.argv[2:split])
    os.chdir(sys.argv[1])
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])

"""What runs in the jail: `python -m vaelab.course.grading.examinee FOLDER`.

FOLDER holds `job.json`. The package is imported once, before any student's code; then every
exercise is answered in a fork of its own, under limits of time, memory and files, and leaves
`<id>.json`: what its function returned, as numbers.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

MAX_BYTES = 64 * 2**20  # Of one file, and of all that an answer may return.
MAX_PROCESSES = 256


def main(folder: Path) -> None:
    """Answer every exercise of a job."""
    import torch

    from vaelab.course import exercises

    torch.set_num_threads(1)
    job = json.loads((folder / "job.json").read_text("utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(job["setup"], "<setup>", "exec"), names)
    for exercise_id, function in job["tasks"]:
        place = folder / f"{exercise_id}.json"
        child = os.fork()
        if not child:
            try:
                _limit(job)
                written = _written(job, names, exercises.find(exercise_id), function)
                place.write_text(json.dumps(written))
            finally:
                os._exit(0)
        if not _ends(child, job["seconds"]):
            place.unlink(missing_ok=True)
            place.write_text(json.dumps({"problem": f"stopped after {job['seconds']:g} s"}))


def _limit(job: dict[str, Any]) -> None:
    os.setsid()
    limits = {
        resource.RLIMIT_AS: _mapped() + job["memory"],
        resource.RLIMIT_FSIZE: MAX_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NPROC: MAX_PROCESSES,
    }
    for what, value in limits.items():
        hard = resource.getrlimit(what)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        if what != resource.RLIMIT_NPROC or job["jailed"]:
            resource.setrlimit(what, (value, value))


def _mapped() -> int:
    """Bytes of address space that the libraries take already; 0 where that cannot be read."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 0


def _ends(child: int, seconds: float) -> bool:
    """Wait for an exercise at most so long, then end it and whatever is left of its group."""
    end = time.monotonic() + seconds
    ended = False
    while not ended and time.monotonic() < end:
        time.sleep(0.01)
        ended = os.waitpid(child, os.WNOHANG)[0] == child
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ended


def _written(
    job: dict[str, Any], names: dict[str, Any], exercise: Any, function: str
) -> dict[str, Any]:
    """{"results": ...} or {"problem": ...}."""
    from vaelab.course.exercises import results_of

    warnings.simplefilter("ignore")
    problem = f"no function {function} is defined"
    for source in job["cells"]:
        try:
            exec(compile(source, "<cell>", "exec"), names)
        except BaseException as error:
            if f"def {function}" in source:
                problem = f"its cell raised {type(error).__name__}: {str(error)[:120]}"
    if function not in names:
        return {"problem": problem}
    try:
        results = results_of(exercise, names[function])
    except BaseException as error:  # Even SystemExit is an answer.
        results = f"your function raised {type(error).__name__}"
    if isinstance(results, str):
        return {"problem": results}
    return {"results": [result.tolist() for result in results]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

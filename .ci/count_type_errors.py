"""Hold the type errors that pyright finds in the package to a ceiling that may only fall."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CEILING = Path(__file__).with_name("type-errors")


def errors() -> list[str]:
    """Each type error of the package on one line: file, line and what pyright says.

    The version of pyright is pinned in the extra `test`, its settings stand in pyproject.toml.

    Raises:
        RuntimeError: pyright gave no report.
    """
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        words = (done.stderr or done.stdout).strip()
        raise RuntimeError(f"pyright gave no report: {words}") from error
    if not report["summary"]["filesAnalyzed"]:
        raise RuntimeError("pyright read no file; see [tool.pyright] in pyproject.toml")
    return [line(item) for item in report["generalDiagnostics"] if item["severity"] == "error"]


def line(item: dict) -> str:
    """An entry of pyright's report as one line."""
    path = Path(item["file"]).relative_to(ROOT)
    message = item["message"].splitlines()[0]
    return f"{path}:{item['range']['start']['line'] + 1}: {message}"


def verdict(count: int, ceiling: int) -> tuple[bool, str]:
    """Whether the count may stand, and a sentence that says so.

    >>> verdict(3, 2)[0], verdict(2, 2)[0], verdict(1, 2)[0]
    (False, True, True)
    """
    if count > ceiling:
        words = "mend what was added"
    elif count < ceiling:
        words = f"write {count} into {CEILING.relative_to(ROOT)}"
    else:
        words = "as before"
    return count <= ceiling, f"pyright: {count} type errors, at most {ceiling} allowed; {words}"


def main() -> int:
    """Print the verdict, and the errors themselves where there are too many."""
    lines = errors()
    stands, sentence = verdict(len(lines), int(CEILING.read_text(encoding="utf-8")))
    if not stands:
        print("\n".join(lines))
    print(sentence)
    return 0 if stands else 1


if __name__ == "__main__":
    sys.exit(main())

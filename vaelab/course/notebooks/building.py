"""From a source to its two executed copies, and whether the copies still agree with it."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vaelab._files import write_atomic
from vaelab._inputs import check_choice

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
NAME = re.compile(r"(\d\d[a-z]?|[A-Z])_\w+")
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class NotebookError(RuntimeError):
    """A notebook cannot be read, or does not run to its end."""


def build(
    folder: str | Path = "notebooks",
    names: Sequence[str] | None = None,
    check: bool = False,
    force: bool = False,
    timeout: int = 600,
    echo: Callable[[str], None] = print,
) -> list[str]:
    """Build both copies of every notebook whose source changed, or only compare.

    Args:
        folder: holds `src/`, the student copies and `solutions/`.
        names: which notebooks, by name or number ("01"); all if None or empty.
        check: compare sources and copies, execute and write nothing.
        force: build also what is unchanged, as after a change of the package.
        timeout: seconds a cell may take.
        echo: told of each copy.

    Returns:
        What is wrong, one line each; an empty list if nothing is. A notebook that fails to run is
        left as it was.

    Raises:
        NotebookError: no source there, one with another name than 01_slug, 10b_slug or A_slug, or
            a package that building needs is not installed.
        ValueError: an unknown name; the nearest is given.
    """
    sources = _sources(Path(folder), names)
    problems: list[str] = []
    if check:
        every = [copy for source in sources for copy in copies(source)]
        problems = [line for target, fresh in every for line in compare(fresh, target)]
        return problems if names else problems + _strays(Path(folder))
    for source in sources:
        for target, fresh in copies(source):
            if not force and not compare(fresh, target):
                echo(f"kept   {target}")
                continue
            try:
                seconds = _make(fresh, target, timeout)
                echo(f"built  {target} in {seconds:.0f} s")
            except NotebookError as error:
                problems.append(str(error))
    return problems


def copies(source: Path) -> list[tuple[Path, Any]]:
    """The two copies of a source, each with its path, not executed."""
    folder = source.parent.parent
    name = f"{source.stem}.ipynb"
    cells = read(source)
    return [
        (folder / name, _notebook(cells, without="solution")),
        (folder / "solutions" / name, _notebook(cells, without="stub")),
    ]


def read(source: Path) -> list[Any]:
    """The cells of a source in percent format.

    Raises:
        NotebookError: it holds no cell, or jupytext is not installed.
    """
    cells = _module("jupytext").reads(source.read_text("utf-8"), fmt="py:percent").cells
    if not cells:
        raise NotebookError(
            f"{source}: no cell found; expected percent format, cells that begin with # %%"
        )
    return cells


def tags(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def compare(fresh: Any, target: Path) -> list[str]:
    """What differs between a notebook from its source and the stored one at `target`, one line
    each.
    """
    if not target.exists():
        return [f"{target}: missing; build it"]
    try:
        stored = _module("nbformat").read(target, as_version=4)
    except Exception as error:  # nbformat meets a damaged file with errors of any kind.
        return [f"{target}: not a notebook ({type(error).__name__}); build it again"]
    lines = [f"{target}: {words}" for words in _cell_changes(fresh.cells, stored.cells)]
    if {key: value for key, value in stored.metadata.items() if key != "vaelab"} != METADATA:
        lines.append(f"{target}: the notebook's metadata differs; was it saved from an editor?")
    return lines or [f"{target}: {words}" for words in _output_faults(stored.cells)]


def _notebook(cells: Iterable[Any], without: str) -> Any:
    v4 = _module("nbformat").v4
    kept = []
    seen = Counter()
    for cell in cells:
        if without in tags(cell):
            continue
        new = v4.new_code_cell if cell.cell_type == "code" else v4.new_markdown_cell
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[digest] += 1
        cell_id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        metadata = {key: cell.metadata[key] for key in ("tags", "alt") if key in cell.metadata}
        kept.append(new(cell.source, id=cell_id, metadata=metadata))
    return v4.new_notebook(cells=kept, metadata=METADATA, nbformat_minor=5)


def _cell_changes(fresh: Sequence[Any], stored: Sequence[Any]) -> list[str]:
    ours, theirs = [
        [(cell.source, cell.cell_type, cell.get("id"), cell.metadata) for cell in cells]
        for cells in (fresh, stored)
    ]
    lines = [
        f"cell {number} ({cell[0].strip()[:40]!r}) stands in the {side} only, with this id and tags"
        for side, cells, others in (("source", ours, theirs), ("copy", theirs, ours))
        for number, cell in enumerate(cells, 1)
        if cell not in others
    ]
    if not lines and ours != theirs:
        return ["its cells stand in another order"]
    return lines


def _output_faults(cells: Sequence[Any]) -> Iterator[str]:
    counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield "not executed from top to bottom"
    for number, cell in enumerate(cells, 1):
        if any(output.get("name") == "stderr" for output in cell.get("outputs", [])):
            yield f"cell {number} holds stderr"
    for number in _failed(cells):
        yield f"cell {number} holds an error"


def _failed(cells: Sequence[Any]) -> list[int]:
    """The numbers of the cells that hold an error which they may not raise."""
    return [
        number
        for number, cell in enumerate(cells, 1)
        if any(output.output_type == "error" for output in cell.get("outputs", []))
        and "raises-exception" not in tags(cell)
    ]


def _make(fresh: Any, target: Path, timeout: int) -> float:
    """Execute a notebook and put it where it belongs, in one step; seconds. What its kernel worked
    is kept in its metadata.
    """
    start = time.perf_counter()
    worked = _work_of_children()
    target.parent.mkdir(parents=True, exist_ok=True)
    _execute(fresh, target, timeout)
    _clean(fresh)
    fresh.metadata["vaelab"] = {"seconds": round(_work_of_children() - worked)}
    nbformat = _module("nbformat")
    nbformat.validate(fresh)
    write_atomic(target, f"{nbformat.writes(fresh)}\n".encode())
    return time.perf_counter() - start


def _work_of_children() -> float:
    """Seconds that processors have worked for processes that have ended: other work on the machine
    does not count.
    """
    used = os.times()
    return used.children_user + used.children_system


def _execute(notebook: Any, target: Path, timeout: int) -> None:
    nbclient = _module("nbclient")
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(target.parent)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )
    try:
        client.execute(env={**os.environ, "VAELAB_PROFILE": "quick"})
    except nbclient.exceptions.CellExecutionError as error:
        number = _failed(notebook.cells)[0]
        raise NotebookError(
            f"{target}: cell {number} raised {error.ename}: {error.evalue}"
        ) from error
    except nbclient.exceptions.CellTimeoutError as error:
        raise NotebookError(f"{target}: a cell took longer than {timeout} s") from error
    except nbclient.exceptions.DeadKernelError as error:
        raise NotebookError(f"{target}: the kernel died; out of memory?") from error


def _clean(notebook: Any) -> None:
    """Take out what varies between machines or says nothing to a reader, and add the alternative
    texts.
    """
    notebook.metadata = _module("nbformat").from_dict(METADATA)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        if "widget" in tags(cell):
            cell.outputs = [
                _still(each) for each in cell.outputs if "image/png" in each.get("data", {})
            ]
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        cell.execution_count = count
        for output in cell.outputs:
            _clean_output(output, count, cell.metadata.get("alt"))


def _still(output: Any) -> Any:
    """A view's output without what only a kernel can show, in few shades."""
    png = _smaller(output.data["image/png"], levels=16, colours=64)
    metadata = {"image/png": {"alt": "A still of the view; it moves where the notebook runs"}}
    return _module("nbformat").v4.new_output("display_data", {"image/png": png}, metadata=metadata)


def _clean_output(output: Any, count: int, alt: str | None) -> None:
    if "execution_count" in output:
        output.execution_count = count
    if output.output_type == "error":
        output.traceback = [f"{output.ename}: {output.evalue}"]
    data = output.get("data", {})
    data.pop(WIDGET_VIEW, None)
    if "image/png" in data:
        data["image/png"] = _smaller(data["image/png"])
    for kind in {"image/png", "image/gif"} & data.keys() if alt else ():
        output.metadata[kind] = {**output.metadata.get(kind, {}), "alt": alt}


def _smaller(png: str, levels: int = 64, colours: int = 128) -> str:
    """The same figure, base64 in and out, with so many colours and `levels` of grey: a third of
    the bytes, and no difference to the eye. Greys are rounded first, so that they stay grey and
    leave the palette to the colours.
    """
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    opaque = Image.alpha_composite(white, picture).convert("RGB")
    buffer = io.BytesIO()
    steps = levels - 1
    nearest = [round(round(v * steps / 255) * 255 / steps) for v in range(256)]
    rounded = opaque.point(3 * nearest)
    grey = len({channel.tobytes() for channel in rounded.split()}) == 1
    small = rounded.convert("L") if grey else rounded.quantize(colours, dither=Image.Dither.NONE)
    small.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def number(path: Path) -> str:
    """What stands before the slug in a notebook's name.

    Raises:
        NotebookError: the name is not of this kind.

    >>> number(Path("10b_priors.py")), number(Path("A_notation.ipynb"))
    ('10b', 'A')
    """
    match = NAME.fullmatch(path.stem)
    if match is None:
        raise NotebookError(f"{path}: expected a name like 01_slug, 10b_slug or A_slug")
    return match[1]


def _sources(folder: Path, names: Sequence[str] | None) -> list[Path]:
    sources = {path.stem: path for path in sorted((folder / "src").glob("*.py"))}
    if not sources:
        raise NotebookError(
            f"no notebook source in {folder / 'src'}; expected files like 01_slug.py"
        )
    for source in sources.values():
        number(source)
    return [sources[_stem(name, sources)] for name in names or sources]


def _stem(name: str, known: Iterable[str]) -> str:
    """The source of that name or number."""
    by_number = {stem.partition("_")[0]: stem for stem in known}
    stem = by_number.get(Path(name).stem, Path(name).stem)
    check_choice("notebook", stem, known)
    return stem


def _strays(folder: Path) -> list[str]:
    known = {path.stem for path in (folder / "src").glob("*.py")}
    built = sorted([*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")])
    strays = [path for path in built if path.stem not in known]
    return [f"{path}: has no source in {folder / 'src'}" for path in strays]


def _module(name: str) -> Any:
    try:
        return __import__(name)
    except ModuleNotFoundError as error:
        raise NotebookError(
            f"{name} is not installed; notebooks need the extra: pip install vaelab[course]"
        ) from error

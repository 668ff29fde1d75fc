"""Students' notebooks, right, wrong and hostile, and the table that they get."""

import csv
import io
import os
import socket
import subprocess
from pathlib import Path

import nbformat
import pytest

from vaelab import cli
from vaelab.course import grading
from vaelab.course.grading import grading as room

COURSE = Path(__file__).parents[1] / "notebooks"
JAILED = pytest.mark.skipif(grading.find_jail() is None, reason="no jail on this machine")
RIGHT = {
    "kl_of_rows": "return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)",
    "nll_of_rows": (
        "d = x.shape[1]; s = ((x - x_hat) ** 2).sum(1)\n"
        "    return 0.5 * (s / gamma + d * (2 * math.pi * gamma).log())"
    ),
    "best_gamma": "return (x - x_hat).square().mean()",
}
HEADS = {
    "kl_of_rows": "def kl_of_rows(mu, log_var):",
    "nll_of_rows": "def nll_of_rows(x, x_hat, gamma):",
    "best_gamma": "def best_gamma(x, x_hat):",
}


def submission(folder, name, bodies, change=lambda notebook: None, lesson="01_gaussian_vae"):
    """A copy of a lesson, with stubs answered by the bodies of their functions."""
    notebook = nbformat.read(COURSE / f"{lesson}.ipynb", as_version=4)
    for cell in notebook.cells:
        if "stub" in cell.metadata.get("tags", []):
            (function,) = [key for key in HEADS if f"def {key}(" in cell.source]
            if function in bodies:
                cell.source = f"{HEADS[function]}\n    {bodies[function]}"
    change(notebook)
    folder.mkdir(exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def checks(notebook):
    return [cell for cell in notebook.cells if "exercises.check(" in cell.source]


def forge(notebook):
    checks(notebook)[0].source = 'print("ok    01.1")'


def remove_check(notebook):
    notebook.cells.remove(checks(notebook)[1])


def rename_ids(notebook):
    for number, cell in enumerate(notebook.cells):
        if "stub" in cell.metadata.get("tags", []):
            cell.id = f"new-{number}"


def patch_the_checker(notebook):
    notebook.cells.append(
        nbformat.v4.new_code_cell(
            "from vaelab.course import exercises as e\ne.judge = e.verdict = lambda *a: 'ok'\n"
            "e.check = print\ne._agree = lambda *a: True"
        )
    )


def help_below(notebook):
    """The answer calls a function that the student wrote in a cell of their own."""
    notebook.cells.append(nbformat.v4.new_code_cell("def half(v):\n    return v / 2"))


TODO, OK = "todo", "ok"
HALF = "a factor 1/2 is missing: this is twice what is asked for"
ROOT = "this is the root of what is asked for"
NONE = "your function returned None: is a return missing?"
ZERO = "your function raised ZeroDivisionError: division by zero"
TEXT = "expected numbers or tensors back, got str 'much'"
GONE = "the process ended before there was an answer"
LOG = "the term d log 2πγ is missing"
HALVED = "this is half of what is asked for"
NO_HALF = {"kl_of_rows": "return (mu**2 + log_var.exp() - 1 - log_var).sum(1)"}
NO_LOG = {"nll_of_rows": "return ((x - x_hat) ** 2).sum(1) / gamma / 2"}
MEAN = "(x - x_hat).square().mean()"


def third(body):
    return {"best_gamma": body}


# The answers, a change of the notebook, and what 01.1, 01.2 and 01.3 get.
TWENTY = [
    ({}, None, (TODO, TODO, TODO)),
    (RIGHT, None, (OK, OK, OK)),
    (third(f"return {MEAN}"), None, (TODO, TODO, OK)),
    (NO_HALF, None, (HALF, TODO, TODO)),
    (NO_LOG, None, (TODO, LOG, TODO)),
    (third(f"return {MEAN} ** 0.5"), None, (TODO, TODO, ROOT)),
    (third(f"return {MEAN} / 2"), None, (TODO, TODO, HALVED)),
    (third("return None"), None, (TODO, TODO, NONE)),
    (third("return 1 / 0"), None, (TODO, TODO, ZERO)),
    (third("return x +"), None, (TODO, TODO, "its cell raised SyntaxError")),
    (third("raise NotImplementedError"), None, (TODO, TODO, TODO)),
    (third("raise SystemExit"), None, (TODO, TODO, "your function raised SystemExit")),
    (third("import os; os._exit(0)"), None, (TODO, TODO, GONE)),
    (third("return 'much'"), None, (TODO, TODO, TEXT)),
    (RIGHT, forge, ("changed check; ok", OK, OK)),
    ({}, forge, ("changed check; todo", TODO, TODO)),
    (RIGHT, remove_check, (OK, "changed check; ok", OK)),
    (RIGHT, rename_ids, (OK, OK, OK)),
    ({}, patch_the_checker, (TODO, TODO, TODO)),
    (third(f"return half(2 * {MEAN})"), help_below, (TODO, TODO, OK)),
]


def agrees(sheet, wanted):
    got = tuple(sheet.verdicts.values())
    return all(words.startswith(start) for words, start in zip(got, wanted, strict=True))


@JAILED
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_copies_get_the_right_table(tmp_path, capsys):
    files = [
        submission(tmp_path / "in", f"student-{number:02}", bodies, change or (lambda nb: None))
        for number, (bodies, change, _) in enumerate(TWENTY)
    ]
    book = tmp_path / "marks.csv"
    command = ["grade", *map(str, files), "--course", str(COURSE), "--csv", str(book)]
    assert cli.main(command) == 0
    rows = list(csv.DictReader(io.StringIO(book.read_text("utf-8"))))
    printed = capsys.readouterr().out
    for row, file, (_, _, wanted) in zip(rows, files, TWENTY, strict=True):
        got = [row[key] for key in ("01.1", "01.2", "01.3")]
        assert all(words.startswith(start) for words, start in zip(got, wanted, strict=True)), row
        assert row["file"] == str(file) and row["lesson"] == "01_gaussian_vae"
        assert int(row["ok"]) == sum(words == OK for words in wanted)
        assert file.name in printed and got[0] in printed


@JAILED
def test_right_and_wrong_answers_of_one_copy(tmp_path):
    bodies = {**RIGHT, "nll_of_rows": "return ((x - x_hat) ** 2).sum(1) / gamma / 2"}
    file = submission(tmp_path / "in", "one", bodies, forge)
    (sheet,) = grading.grade([file], COURSE)
    assert agrees(sheet, ("changed check; ok", "the term d log 2πγ is missing", OK))
    assert sheet.right == 1 and "one.ipynb  01_gaussian_vae  1 of 3" in grading.table([sheet])


HOSTILE = {
    "kl_of_rows": "\n    ".join(
        [
            "import os, socket, subprocess, pathlib",
            "found = []",
            "for place in PLACES:",
            "    try: pathlib.Path(place).write_text('x'); found.append(place)",
            "    except OSError: pass",
            "try: socket.create_connection(('127.0.0.1', PORT), 1); found.append('network')",
            "except OSError: pass",
            "found += os.listdir(FOLDER)",
            "for command in (['mount', '-o', 'remount,rw', '/'], ['umount', FOLDER]):",
            "    if subprocess.run(command, capture_output=True).returncode == 0: found += command",
            "subprocess.Popen(['sleep', '98765'], start_new_session=True)",
            "assert not found, found",
            RIGHT["kl_of_rows"],
        ]
    ),
    "nll_of_rows": "\n    ".join(
        ["hoard = []", "while True:", "    hoard.append(bytearray(2**28))"],
    ),
    "best_gamma": "\n    ".join(
        ["while True:", "    try:", "        while True: pass", "    except BaseException: pass"]
    ),
}


def processes():
    commands = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            commands.append(path.read_bytes())
        except OSError:
            continue
    return commands


@pytest.mark.long
@JAILED
def test_a_hostile_copy_harms_nothing(tmp_path):
    outside = tmp_path / "outside"
    places = [str(tmp_path / "in" / "marks.csv"), str(outside), str(Path.home() / "planted")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        head = f"PLACES, PORT, FOLDER = {places!r}, {port}, {str(tmp_path / 'in')!r}"
        own = nbformat.v4.new_code_cell(head)
        file = submission(tmp_path / "in", "bad", HOSTILE, lambda nb: nb.cells.append(own))
        (sheet,) = grading.grade([file], COURSE, seconds=15, memory=2)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert agrees(sheet, (OK, "your function raised MemoryError", "stopped after 15 s"))
    assert not any(Path(place).exists() for place in places)
    assert not any(b"98765" in command for command in processes())


@pytest.mark.long
@JAILED
def test_who_fills_the_disk_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(grading.jail, "MAX_FOLDER", 2**20)
    body = "\n    ".join(
        ["n = 0", "while True:", "    n += 1", "    open(f'f{n}', 'wb').write(bytes(2**20))"]
    )
    file = submission(tmp_path, "full", {"kl_of_rows": body})
    (sheet,) = grading.grade([file], COURSE)
    assert sheet.verdicts["01.1"].startswith("stopped: it wrote more than")


@pytest.mark.parametrize("jail", grading.jail.JAILS, ids=lambda jail: jail.name)
def test_each_way_into_a_jail_keeps_what_it_promises(jail, tmp_path):
    folder, hidden, other = (tmp_path / name for name in ("job", "hidden", "other"))
    for place in (folder, hidden, other):
        place.mkdir()
        (place / "known").write_text("x")
    probe = (
        "import os, pathlib\n"
        f"pathlib.Path({str(folder)!r}, 'in').write_text(' '.join(os.listdir({str(hidden)!r})))\n"
        f"pathlib.Path({str(other)!r}, 'out').write_text('x')"
    )
    command = jail.wrap(folder, [hidden], [grading.jail.sys.executable, "-c", probe])
    if not grading.jail.shutil.which(command[0]) or not grading.jail._works(jail):
        pytest.skip(f"{jail.name} does not work here")
    environment = grading.jail.environment(folder)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "Read-only file system" in run.stderr
    assert (folder / "in").read_text() == "" and not (other / "out").exists()


def test_without_a_jail_it_says_so_and_runs_only_trusted_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(room, "find_jail", lambda: None)
    monkeypatch.setattr(grading, "find_jail", lambda: None)
    file = submission(tmp_path, "one", RIGHT)
    command = ["grade", str(file), "--course", str(COURSE)]
    assert cli.main(command) == 2
    assert "nothing on this machine keeps a student's code" in capsys.readouterr().err
    assert cli.main([*command, "--trusted"]) == 0
    said = capsys.readouterr()
    assert "3 of 3" in said.out and "NOT shut in" in said.err


@JAILED
def test_files_that_are_no_copies_are_named(tmp_path):
    (tmp_path / "broken.ipynb").write_text("{")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    broken, empty = grading.grade([tmp_path / "broken.ipynb", tmp_path / "empty.ipynb"], COURSE)
    assert (
        "not a notebook" in broken.problem
        and "no cell of it is one of the course's" in empty.problem
    )
    assert "broken.ipynb" in grading.table([broken]) and "empty.ipynb" in grading.mark_book([empty])
    with pytest.raises(FileNotFoundError, match=r"gone\.ipynb: no such file"):
        grading.grade([tmp_path / "gone.ipynb"], COURSE)
    with pytest.raises(ValueError, match="seconds: expected"):
        grading.grade([], COURSE, seconds=-1)


@JAILED
@pytest.mark.longest
@pytest.mark.timeout(1800)
def test_every_solution_is_right():
    sheets = grading.grade(sorted(COURSE.glob("solutions/*.ipynb")), COURSE)
    assert all(set(sheet.verdicts.values()) == {OK} for sheet in sheets), grading.table(sheets)


def test_no_variable_of_the_teacher_s_goes_in(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET", "x")
    assert "SECRET" not in grading.jail.environment(tmp_path)
    assert os.environ["SECRET"] == "x"

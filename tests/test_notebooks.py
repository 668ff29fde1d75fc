import base64
import io
import re
from pathlib import Path

import forked
import nbformat
import pytest
from lesson import rules, word_count
from PIL import Image

from vaelab import notebooks

FOLDER = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(FOLDER.glob("src/*.py"))
READERS, SOLVED = (sorted(FOLDER.glob(names)) for names in ("*.ipynb", "solutions/*.ipynb"))
COPIES = [*READERS, *SOLVED]
SHORT = FOLDER / "00_from_scratch.ipynb"
OTHER = {"ATEN_CPU_CAPABILITY": "default"}  # Another processor's arithmetic.
RUNS = [
    pytest.param(SHORT, {}, id="short"),
    *(pytest.param(path, OTHER, id=path.stem, marks=pytest.mark.long) for path in SOLVED),
    *(
        pytest.param(path, {}, id=f"reader-{path.stem}", marks=pytest.mark.longest)
        for path in READERS
    ),
]

TINY = """\
# %% [markdown]
# # 01 · Tiny

# %%
# %matplotlib inline
import os
import sys

import matplotlib.pyplot as plt

# %% tags=["stub"]
def half(x):
    return ...


# %% tags=["solution"]
def half(x):
    return x / 2


# %%
print("noise", file=sys.stderr)
print(half(4), os.environ["VAELAB_PROFILE"])

# %% alt="A line that rises from left to right"
plt.plot([0, 1])
plt.show()

# %% tags=["widget", "nbval-ignore-output"]
__import__("ipywidgets").IntSlider()

# %%
plt.gcf().number
"""

VIEW = """\
__import__("vaelab").widgets.latent_explorer(lambda z: z[:, :1, None, None].expand(1, 1, 8, 8), 2)
"""


# ---- the course ---------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_keeps_the_rules_of_the_template(source):
    assert rules(source) == []


def test_every_copy_agrees_with_its_source():
    assert notebooks.build(FOLDER, check=True) == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("notebook", "arithmetic"), RUNS)
def test_a_notebook_prints_again_what_it_stores(notebook, arithmetic):
    """Strict nbval: every cell is run, and every output but images compared with the stored one."""
    run = nbval(notebook, FOLDER.parent, arithmetic)
    assert run.returncode == 0, run.stdout[-6000:]


STATED = (
    (r"(\d+) seconds", 1),
    (r"half a minute", 30),
    (r"under a minute|(?<!half )a minute(?! or)", 60),
    (r"a minute or two", 120),
)


def stated_seconds(header):
    """How long a lesson runs in the profile quick, as its header says."""
    row = re.search(r"^\| Time \| (.*) \|$", header, re.MULTILINE)[1]
    running = re.search(r"(?:quick: |; )(.*?)(?: to run|$)", row)[1]
    for words, seconds in STATED:
        match = re.search(words, running)
        if match:
            return seconds * int(match[1]) if match.groups() else seconds
    raise AssertionError(f"no running time in {row!r}")


@pytest.mark.parametrize("notebook", COPIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_check_prints_the_numbers_that_it_found(notebook):
    text = text_of(nbformat.read(notebook, as_version=4))
    for line in re.findall(r"^(?:ok|refuted)  .*$", text, re.MULTILINE):
        assert re.search(r"found [^()]*\d", line), f"without a number: {line}"


@pytest.mark.parametrize("notebook", COPIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_lesson_shows_a_picture_before_150_words(notebook):
    if notebook.stem.startswith("A"):
        pytest.skip("an appendix is for looking things up")
    words = 0
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "markdown":
            words += word_count(cell.source)
        elif any("image/png" in output.get("data", {}) for output in cell.outputs):
            break
    assert words < 150, f"{words} words before the first picture"


@pytest.mark.parametrize("notebook", COPIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_header_states_the_time_that_was_measured(notebook):
    stored = nbformat.read(notebook, as_version=4)
    stated = stated_seconds(stored.cells[0].source)
    measured = stored.metadata.get("vaelab", {}).get("seconds")
    if measured is None:
        pytest.skip("built before times were stored")
    assert measured <= 1.5 * stated, f"{measured} s of work; the header says {stated}"


def nbval(notebook, root, arithmetic=None):
    options = ("--nbval", "--nbval-current-env", "--nbval-cell-timeout", "300", "-q")
    plain = ("-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", root, "--color", "no")
    environment = {"VAELAB_PROFILE": "quick", **(arithmetic or {})}
    moved = forked.Moved(root, environment)
    return forked.run(forked.tests, *options, *plain, notebook, before=moved)


# ---- the builder, on a tiny notebook ------------------------------------------------------------


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course")
    (folder / "src").mkdir()
    (folder / "src" / "01_tiny.py").write_text(TINY)
    assert notebooks.build(folder, echo=lambda line: None) == []
    return folder


@pytest.fixture
def course(built, tmp_path):
    """A copy of the built course that a test may damage."""
    for path in sorted(path for path in built.rglob("*") if path.is_file()):
        target = tmp_path / path.relative_to(built)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


def edit(course, old, new):
    source = course / "src" / "01_tiny.py"
    assert old in source.read_text()
    source.write_text(source.read_text().replace(old, new))


def student(course):
    return nbformat.read(course / "01_tiny.ipynb", as_version=4)


def solution(course):
    return nbformat.read(course / "solutions" / "01_tiny.ipynb", as_version=4)


def text_of(notebook):
    return "".join(o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []))


def test_stub_and_solution_go_to_their_copies(built):
    assert "return ..." in student(built).cells[2].source
    assert "return x / 2" in solution(built).cells[2].source
    assert text_of(student(built)) == "Ellipsis quick\n"
    assert text_of(solution(built)) == "2.0 quick\n"


def test_a_copy_is_clean(built):
    notebook = student(built)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5, 6]
    assert [out.execution_count for out in code[-1].outputs if "execution_count" in out] == [6]
    assert not any(out.get("name") == "stderr" for cell in code for out in cell.outputs)
    assert code[4].outputs == []  # the widget
    assert code[3].outputs[0].metadata["image/png"]["alt"] == "A line that rises from left to right"
    assert set(notebook.metadata) == {"kernelspec", "language_info", "vaelab"}
    assert notebook.metadata.vaelab.seconds >= 1
    assert notebook.metadata.language_info == {"name": "python"}
    assert all(set(cell.metadata) <= {"tags", "alt"} for cell in notebook.cells)


def test_a_still_is_stored_where_a_view_stands(course):
    edit(course, '__import__("ipywidgets").IntSlider()\n', VIEW)
    assert notebooks.build(course, echo=lambda line: None) == []
    cell = next(cell for cell in student(course).cells if cell.source == VIEW.strip())
    (output,) = cell.outputs
    assert set(output.data) == {"image/png"} and output.metadata["image/png"]["alt"]
    still = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
    assert still.width == 8 * 24 and notebooks.build(course, check=True) == []


@pytest.mark.parametrize(("colour", "mode"), [(None, "L"), ((213, 94, 0, 255), "P")])
def test_a_figure_is_stored_in_few_colours_and_looks_the_same(colour, mode):
    drawn = Image.effect_noise((90, 60), 40).convert("RGBA")
    if colour:
        drawn.paste(colour, (0, 40, 20, 60))
    drawn.putpixel((3, 4), (0, 0, 0, 0))
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    small = base64.b64decode(
        notebooks.building._smaller(base64.b64encode(buffer.getvalue()).decode())
    )
    stored = Image.open(io.BytesIO(small))
    assert stored.mode == mode and stored.size == drawn.size and len(small) < len(buffer.getvalue())
    shown = stored.convert("RGB")
    assert shown.getpixel((3, 4)) == (255, 255, 255)
    assert all(abs(shown.getpixel((k, 30))[0] - drawn.getpixel((k, 30))[0]) <= 2 for k in range(90))


def test_ids_are_unique_and_move_with_their_cell(course):
    before = [cell.id for cell in student(course).cells]
    assert len(set(before)) == len(before)
    edit(course, "# %%\nprint(", "# %% [markdown]\n# A new cell.\n\n# %%\nprint(")
    _, fresh = notebooks.building.copies(course / "src" / "01_tiny.py")[0]
    after = [cell.id for cell in fresh.cells]
    assert [cell_id for cell_id in after if cell_id in before] == before
    assert len(after) == len(before) + 1


def test_two_equal_cells_have_two_ids(course):
    edit(course, "# %%\nplt.gcf().number\n", "# %%\nplt.gcf().number\n\n# %%\nplt.gcf().number\n")
    _, fresh = notebooks.building.copies(course / "src" / "01_tiny.py")[0]
    assert len({cell.id for cell in fresh.cells}) == len(fresh.cells)


def test_an_unchanged_notebook_is_kept(course):
    stamps = {path: path.stat().st_mtime_ns for path in course.rglob("*.ipynb")}
    lines = []
    assert notebooks.build(course, echo=lines.append) == []
    assert [line.split()[0] for line in lines] == ["kept", "kept"]
    assert stamps == {path: path.stat().st_mtime_ns for path in course.rglob("*.ipynb")}


def test_only_the_copy_that_changed_is_built(course):
    lines = []
    edit(course, "return x / 2", "return 0.5 * x")
    assert notebooks.build(course, ["01"], echo=lines.append) == []
    assert [line.split()[0] for line in lines] == ["kept", "built"]
    assert notebooks.build(course, check=True) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("half(4)", "half(6)", 'cell 4 (\'print("noise", file=sys.stderr)'),
        ("# # 01 · Tiny", "# # 01 · Large", "cell 1 ('# 01 · Large') stands in the source only"),
        ('"nbval-ignore-output"]', '"nbval-skip"]', "only, with this id and tags"),
        ('alt="A line that', 'alt="A curve that', "cell 5 ('plt.plot([0, 1])"),
        ("# %%\nplt.gcf().number\n", "", "cell 7 ('plt.gcf().number') stands in the copy only"),
        ("# %%\nplt.gcf()", "# %%\n1\n\n# %%\nplt.gcf()", "cell 7 ('1') stands in the source only"),
    ],
)
def test_drift_of_a_source_is_named(course, old, new, words):
    edit(course, old, new)
    problems = notebooks.build(course, check=True)
    assert sum(words in line for line in problems) >= 2, problems
    assert problems[0].startswith(str(course / "01_tiny.ipynb"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda nb: nb.cells[2].update(id="somethingelse"), "cell 3 ("),
        (lambda nb: nb.cells[3].update(source="1"), "cell 4 ('1') stands in the copy only"),
        (lambda nb: nb.cells.insert(1, nb.cells.pop(2)), "its cells stand in another order"),
        (lambda nb: nb.cells[3].update(execution_count=None), "not executed from top to bottom"),
        (lambda nb: nb.metadata.language_info.update(version="3.11"), "metadata differs"),
        (lambda nb: nb.cells[3].outputs[0].update(name="stderr"), "cell 4 holds stderr"),
        (
            lambda nb: nb.cells[3].outputs.append(
                nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
            ),
            "cell 4 holds an error",
        ),
    ],
)
def test_drift_of_a_copy_is_named(course, damage, words):
    notebook = student(course)
    damage(notebook)
    nbformat.write(notebook, course / "01_tiny.ipynb")
    problems = notebooks.build(course, check=True)
    assert all("01_tiny.ipynb" in line for line in problems) and words in problems[-1]


def test_a_missing_a_broken_and_a_stray_copy_are_named(course):
    (course / "01_tiny.ipynb").write_text("{")
    (course / "solutions" / "01_tiny.ipynb").rename(course / "solutions" / "02_stray.ipynb")
    broken, missing, stray = notebooks.build(course, check=True)
    assert "not a notebook" in broken
    assert "01_tiny.ipynb: missing; build it" in missing
    assert "02_stray.ipynb: has no source" in stray


def test_a_cell_that_fails_leaves_the_copy_as_it_was(course):
    before = (course / "01_tiny.ipynb").read_bytes()
    edit(course, "return ...", "return 1 / 0")
    problems = notebooks.build(course, echo=lambda line: None)
    assert problems == [
        f"{course / '01_tiny.ipynb'}: cell 4 raised ZeroDivisionError: division by zero"
    ]
    assert (course / "01_tiny.ipynb").read_bytes() == before
    assert not list(course.rglob("*partial*"))


def test_a_cell_that_hangs_is_stopped(course):
    edit(course, "return ...", "import time; time.sleep(60)")
    (problem,) = notebooks.build(course, timeout=1, echo=lambda line: None)
    assert "took longer than 1 s" in problem


@pytest.mark.parametrize(("name", "wanted"), [("10b_tiny", "10b"), ("A_tiny", "A")])
def test_appendices_and_lessons_between_are_found(course, name, wanted):
    (course / "src" / "01_tiny.py").rename(course / "src" / f"{name}.py")
    problems = notebooks.build(course, check=True)
    assert [line for line in problems if name in line and "missing; build it" in line]
    assert notebooks.build(course, [wanted], check=True) == problems[:2]


@pytest.mark.parametrize("name", ["1_tiny", "tiny", "01-tiny", "01B_tiny", "b_tiny", "AA_tiny"])
def test_a_source_whose_name_is_of_no_kind_is_an_error(course, name):
    (course / "src" / "01_tiny.py").rename(course / "src" / f"{name}.py")
    with pytest.raises(notebooks.NotebookError, match=f"{name}.py: expected a name like 01_slug"):
        notebooks.build(course, check=True)


def test_wrong_calls_say_what_was_expected(course, tmp_path):
    with pytest.raises(
        ValueError, match=r"notebook: .* '01_tiny', got '01_tinny'; did you mean '01_tiny'"
    ):
        notebooks.build(course, ["01_tinny"])
    with pytest.raises(notebooks.NotebookError, match="no notebook source in"):
        notebooks.build(tmp_path / "nowhere")
    (course / "src" / "01_tiny.py").write_text("")
    with pytest.raises(notebooks.NotebookError, match="no cell found"):
        notebooks.build(course)


@pytest.mark.parametrize(
    ("behind", "summary"),
    [(" 3.0", "1 failed, 5 passed"), (" (found 3.2, expected below 4)", "6 passed")],
    ids=["another output", "figures in brackets"],
)
def test_nbval_turns_red_on_another_output_but_for_a_checks_figures(course, behind, summary):
    (course / "conftest.py").write_text((FOLDER / "conftest.py").read_text())
    (course / "pytest.ini").write_text("[pytest]\n")
    notebook = student(course)
    output = notebook.cells[3].outputs[0]
    output.text = output.text.replace("\n", f"{behind}\n")
    nbformat.write(notebook, course / "01_tiny.ipynb")
    run = nbval(course / "01_tiny.ipynb", course)
    assert summary in run.stdout, run.stdout[-3000:]


# ---- profile and rules --------------------------------------------------------------------------


def test_the_profile_chooses(monkeypatch):
    monkeypatch.delenv("VAELAB_PROFILE", raising=False)
    assert notebooks.choose(quick=1, full=2) == 1
    monkeypatch.setenv("VAELAB_PROFILE", "full")
    assert notebooks.choose(quick=1, full=2) == 2
    monkeypatch.setenv("VAELAB_PROFILE", "ful")
    with pytest.raises(ValueError, match="did you mean 'full'"):
        notebooks.profile()


def write_course(folder, cells):
    """A notebook that keeps every rule, with `cells` in its middle."""
    header = "\n".join(
        f"# | {label} | x |" for label in ("You will be able to", "You need", "Time", "Source")
    )
    prose = "# %% [markdown]\n# " + "word " * 75 + "\n\n# %%\nx = 1\n\n"
    end = "\n#\n".join(
        f"# ## {title}" for title in ("Takeaways", "Where it breaks", "Next", "References")
    )
    first = (
        f"# %% [markdown]\n# # 01 · Title\n#\n{header}\n\n# %%\n# %matplotlib inline\nimport os\n\n"
    )
    source = folder / "01_rules.py"
    source.parent.mkdir(exist_ok=True)
    source.write_text(f"{first}{9 * prose}{cells}\n\n{9 * prose}# %% [markdown]\n{end}\n")
    return source


SEEN = (
    "\n\n# %% [markdown]\n# A paragraph on what is to be seen in the figure above, in ten "
    "words or more."
)
FIGURE = '# %% alt="What is to be seen"\nplt.plot([1])\nplt.show()' + SEEN
WIDGET = (
    '# %% tags=["widget", "nbval-ignore-output"]\nwidgets.explore()\n\n# %% [markdown]\n# '
    "What do you see?"
)
EXERCISE = (
    '# %% tags=["stub"]\ndef f():\n    return ...\n\n# %% tags=["solution"]\ndef f():\n    '
    "return 1\n\n"
    '# %%\nexercises.check("01.1", f)'
)


@pytest.mark.parametrize(
    "cells", ["", FIGURE, WIDGET, EXERCISE], ids=["nothing", "figure", "widget", "exercise"]
)
def test_what_keeps_the_rules_breaks_none(tmp_path, cells):
    assert rules(write_course(tmp_path / "src", cells)) == []


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ("# %%\n1\n\n# %%\n2\n\n# %%\n3\n\n# %%\n4", "four code cells in a row"),
        ("# %%\nx = 1;", "a line ends in a semicolon"),
        (f"# %%\nx = {'1 + ' * 24}1", "a line has 101 columns; expected at most 100: x = 1 + 1"),
        ("# %% [markdown]\n# It is Obviously so.", 'the word "Obviously"'),
        ('# %% tags=["stubb"]\n1', "unknown tag 'stubb'"),
        (FIGURE.replace("\nplt.show()", ""), "does not end in plt.show()"),
        (FIGURE.replace(' alt="What is to be seen"', ""), "draws without alternative text"),
        (FIGURE.replace(SEEN, "\n\n# %%\n1"), "not followed by a paragraph"),
        (WIDGET.replace('"widget", ', ""), "needs the tag widget"),
        (WIDGET.replace(', "nbval-ignore-output"', ""), "needs the tag nbval-ignore-output"),
        (WIDGET.replace("widgets.", "1\nwidgets."), "several lines"),
        (WIDGET.replace("see?", "see."), "not followed by a question"),
        (EXERCISE.replace("def f():\n    return 1", "g = 1"), "f has a stub but no solution"),
        (EXERCISE.replace("return ...", "pass"), "the stub f must return ..., or hold the fault"),
        (EXERCISE.replace('"01.1"', '"02.1"'), 'f is not checked by exercises.check("01.k", f)'),
        ("\n\n".join(["# %% [markdown]\n# more"] * 20), "cells; expected 25 to 45"),
        ("# %% [markdown]\n# " + "word " * 900, "words of prose"),
    ],
)
def test_what_breaks_a_rule_is_named(tmp_path, cells, words):
    problems = rules(write_course(tmp_path / "src", cells))
    assert any(words in line for line in problems), problems


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# | Time |", "# | Length |", "a table with the rows Time"),
        ("# ## Next", "# ## Later", "expected Takeaways, Where it breaks, Next, References"),
        ("# %matplotlib inline\n", "", "must begin with %matplotlib inline"),
        ("x = 1", "\n".join("abcdefghi"), "median of 9 statements"),
    ],
)
def test_what_breaks_the_frame_is_named(tmp_path, old, new, words):
    source = write_course(tmp_path / "src", "")
    source.write_text(source.read_text().replace(old, new))
    assert any(words in line for line in rules(source))


def test_no_function_stands_in_two_notebooks_and_no_copy_is_large(tmp_path):
    source = write_course(tmp_path / "src", "# %%\ndef area(r):\n    return r")
    (tmp_path / "src" / "02_other.py").write_text("# %%\ndef area(r):\n    return r\n")
    (tmp_path / "01_rules.ipynb").write_text(300_000 * " ")
    first, second = rules(source)
    assert "area is defined in 02_other too" in first
    assert "has 300,000 bytes" in second


def test_words_are_what_a_reader_reads():
    assert word_count("one $a = b$ [two](http://x.org) <br> | --- | $$\nc\n$$ three") == 3

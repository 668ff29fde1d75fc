"""The course's site: every page opened in a browser at two widths and in both themes; what the
guide and the paths promise.
"""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import urldefrag

import pytest
from chromium import launched, marks

pytestmark = pytest.mark.xdist_group("site")  # What is built once serves all.

ROOT = Path(__file__).parents[1]
LESSONS = sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
GUIDE = (ROOT / "docs" / "guide.md").read_text("utf-8")
PATHS = (ROOT / "docs" / "paths.md").read_text("utf-8")
BROWSER, CHROMIUM = marks("to open the site's pages")
PARTS = ("Aims", "Plan", "Confusions", "Answers", "Exam")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, but for the decoder that it trains."""
    pytest.importorskip("furo", reason="install vaelab[site]")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "docs/build.py", "--no-live", "--out", str(out)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    assert re.search(r"\d+ pages, \d+\.\d MB", run.stdout), run.stdout
    return out / "html"


def pages_of(site):
    return sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)


@pytest.mark.long
def test_every_lesson_room_and_deck_has_a_page(site):
    import vaelab

    assert all((site / "lessons" / f"{lesson}.html").exists() for lesson in LESSONS)
    assert all((site / "slides" / f"{lesson}.html").exists() for lesson in LESSONS)
    assert all((site / "reference" / f"{room}.html").exists() for room in vaelab._ROOMS)
    claims = (site / "claims.html").read_text("utf-8")
    assert 'id="claim-D1"' in claims and claims.count("<img") > 20
    words = (site / "searchindex.js").read_text("utf-8")
    assert "certified_optimum" in words and "knoth" in words.lower()


@pytest.mark.long
def test_no_link_is_broken(site):
    """Every link and picture of every page leads to a file, and every anchor to an id."""
    ids = {}
    broken = []
    for page in pages_of(site):
        text = page.read_text("utf-8")
        for target in re.findall(r'(?:href|src)="([^"]+)"', text):
            if re.match(r"(https?|data|mailto):", target):
                continue
            path, anchor = urldefrag(target)
            file = (page.parent / path.partition("?")[0]).resolve() if path else page
            if not file.exists():
                broken.append((page.name, target))
            elif anchor and file.suffix == ".html":
                if file not in ids:
                    ids[file] = set(re.findall(r'id="([^"]+)"', file.read_text("utf-8")))
                if anchor not in ids[file]:
                    broken.append((page.name, target))
    assert not broken, broken[:10]


LOOK = """() => ({
  wide: document.documentElement.scrollWidth - innerWidth,
  wrong: [...document.querySelectorAll('.katex-error')].map(e => e.title).slice(0, 3),
  left: [...document.querySelectorAll('.math')].filter(e => !e.querySelector('.katex')).length,
  still: [...document.images].filter(i => i.complete && !i.naturalWidth).length,
  text: document.body.innerText.length,
})"""


@pytest.mark.long
@pytest.mark.parametrize("width", [1366, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["pages", "slides"])
@BROWSER
@CHROMIUM
def test_pages_open_without_an_error_or_a_request(site, width, scheme, kind):
    pages = [
        page for page in pages_of(site) if (page.parent.name == "slides") == (kind == "slides")
    ]
    troubles = []
    with launched() as browser:
        size = {"width": width, "height": 800}
        context = browser.new_context(viewport=size, color_scheme=scheme, offline=True)
        view = context.new_page()
        view.on("console", lambda m: m.type == "error" and troubles.append((view.url, m.text)))
        view.on("pageerror", lambda error: troubles.append((view.url, str(error))))
        view.on(
            "request",
            lambda r: r.url.startswith(("file:", "data:")) or troubles.append((view.url, r.url)),
        )
        for page in pages:
            view.goto(page.as_uri())
            seen = view.evaluate(LOOK)
            fits = seen["wide"] <= 0 or kind == "slides"
            if seen["wrong"] or seen["left"] or seen["still"] or seen["text"] < 20 or not fits:
                troubles.append((page.name, seen))
    assert not troubles, troubles[:10]


@pytest.mark.long
@BROWSER
@CHROMIUM
def test_claims_are_filtered_by_paper_and_verdict(site):
    with launched() as browser:
        view = browser.new_page()
        view.goto((site / "claims.html").as_uri())
        rows = view.locator(".claims tbody tr:visible")
        everything = rows.count()
        view.select_option("#verdict", "does not hold")
        refuted = rows.count()
        assert 0 < refuted < everything
        view.select_option("#paper", index=1)
        assert rows.count() <= refuted
        assert view.locator("#shown").inner_text() == f"{rows.count()} of {everything} claims"


# ---- guide, paths, hosting ---------------------------------------------------------------------


def entries():
    """The guide's lessons by number, each with its text."""
    parts = re.split(r"^## (\w+) · ", GUIDE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize("lesson", entries())
def test_the_guide_says_all_of_a_lesson(lesson):
    assert all(f"**{part}.**" in entries()[lesson] for part in PARTS)
    assert any(name.startswith(f"{lesson}_") for name in LESSONS)


def test_the_guide_has_a_project_with_a_rubric():
    assert "## A project" in GUIDE and "| samples (15) |" in GUIDE


def sections(lesson):
    (source,) = ROOT.glob(f"notebooks/src/{lesson}_*.py")
    return re.findall(r"^# ## +(.*?)\s*$", source.read_text("utf-8"), re.MULTILINE)


def test_optional_sections_are_sections_of_their_lessons():
    rows = re.findall(r"^\| (\w+) \| \d+ \| (.*) \|$", PATHS, re.MULTILINE)
    assert len(rows) >= 12
    for lesson, names in rows:
        for name in re.findall(r"\*(.+?)\*", names):
            assert name in sections(lesson), (lesson, name)


def test_the_first_path_takes_ninety_minutes():
    table = PATHS.partition("## Ninety minutes")[2].partition("## A day")[0]
    minutes = [int(n) for n in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert sum(minutes) == 90


def test_hosts_are_linked_from_one_address():
    links = runpy.run_path(str(ROOT / "docs" / "hosting.py"))["links"]
    page = links("https://github.com/name/vaelab", LESSONS)
    assert page.count("mybinder.org/v2/gh/name/vaelab/main") == len(LESSONS)
    assert page.count("colab.research.google.com/github/name/vaelab/blob/main") == len(LESSONS)
    assert "git-pull?repo=https%3A%2F%2Fgithub.com%2Fname%2Fvaelab" in page
    with pytest.raises(ValueError, match="expected an address like"):
        links("name/vaelab", LESSONS)


def test_binder_installs_what_the_course_needs():
    text = (ROOT / ".binder" / "requirements.txt").read_text("utf-8")
    assert ".[course]" in text.splitlines()

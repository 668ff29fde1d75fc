"""Build the course's site: `python docs/build.py [--out build/site] [--no-live]`.

The pages are static, ask for nothing from elsewhere, and open from the disk. Notebooks are taken as
they are stored, none is run.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STILL = "*An interactive view stands here; it moves where the notebook runs.*"
LIVE = "live/decoder.html"


def main() -> None:
    """Lay out the sources, run Sphinx, say how large the result is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "site")
    parser.add_argument("--no-live", action="store_true", help="leave out the trained decoder")
    args = parser.parse_args()
    source = args.out / "source"
    shutil.rmtree(args.out, ignore_errors=True)
    lay_out(source, live=not args.no_live)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    pages = args.out / "html"
    subprocess.run([*command, str(source), str(pages)], check=True)
    files = [path for path in pages.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    count = len(list(pages.rglob("*.html")))
    print(f"{pages / 'index.html'}: {count} pages, {size:.1f} MB")


def lay_out(source: Path, live: bool) -> None:
    """Everything that Sphinx reads, in one folder."""
    shutil.copytree(HERE / "static", source / "_static")
    shutil.copytree(HERE / "vendor" / "katex", source / "_static" / "katex")
    shutil.copy(HERE / "conf.py", source)
    for page in HERE.glob("*.md"):
        text = page.read_text("utf-8").replace("](../notebooks/", "](lessons/")
        (source / page.name).write_text(text, "utf-8")
    extra = source / "extra"
    (source / "lessons").mkdir()
    (source / "figures").mkdir()
    books = {path.stem: json.loads(path.read_text("utf-8")) for path in NOTEBOOKS}
    write_slides(books, extra / "slides")
    for name, book in books.items():
        with_slides = {**book, "cells": lesson_cells(name, book, live)}
        (source / "lessons" / f"{name}.ipynb").write_text(json.dumps(with_slides), "utf-8")
    others = "\n".join(f"lessons/{name}" for name in books if not name.startswith("00"))
    index = (source / "index.md").read_text("utf-8").replace("LESSONS", others)
    (source / "index.md").write_text(index, "utf-8")
    (source / "claims.md").write_text(claims_page(books, source), "utf-8")
    write_reference(source / "reference")
    write_glossary(books["A_notation"], source)
    if live:
        write_live(extra / LIVE)


def optional_sections(name: str) -> list[str]:
    """The sections of a lesson that the paths call optional."""
    paths = (HERE / "paths.md").read_text("utf-8")
    row = re.search(rf"^\| {name.partition('_')[0]} \| \d+ \| (.*) \|$", paths, re.MULTILINE)
    return re.findall(r"\*(.+?)\*", row[1]) if row else []


def marked(text: str, name: str) -> str:
    """Markdown of a lesson whose optional sections say so."""
    for section in optional_sections(name):
        text = text.replace(f"## {section}\n", f"## {section} (optional)\n")
    return text


def text_of(cell: dict) -> str:
    """A cell's source as one string."""
    return "".join(cell["source"])


def lesson_cells(name: str, book: dict, live: bool) -> list[dict]:
    """The cells of a lesson as the site shows them: alternative texts where MyST finds them, a note
    where a view has no still, links that lead to the site's pages.
    """
    cells = []
    for cell in book["cells"]:
        cell = json.loads(json.dumps(cell))
        if cell["cell_type"] == "markdown":
            cell["source"] = marked(linked(text_of(cell)), name)
        alt = alternative(cell)
        if alt:
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        cells.append(cell)
        if "widget" in cell["metadata"].get("tags", []):
            where = f' <a href="../{LIVE}">A decoder, live</a>.' if live else ""
            cells.append(note(cell["id"], STILL + where))
        if len(cells) == 1:
            link = f'<a href="../slides/{name}.html">Slides of this lesson</a>'
            cells.append(note("slides", link))
    return cells


def alternative(cell: dict) -> str:
    """The alternative text of a cell's picture."""
    for output in cell.get("outputs", []):
        for described in output.get("metadata", {}).values():
            if isinstance(described, dict) and "alt" in described:
                return described["alt"]
    return ""


def note(cell_id: str, text: str) -> dict:
    """A Markdown cell."""
    return {"cell_type": "markdown", "id": f"{cell_id}-note", "metadata": {}, "source": text}


def linked(text: str) -> str:
    """Markdown whose claims lead to the ledger, in the TeX that KaTeX reads."""
    text = re.sub(r"_\\(min|max)\b", r"_{\\\1}", text)
    text = text.replace("](A_notation.ipynb#Glossary)", "](../glossary.md)")
    text = text.replace("](A_notation.ipynb#Symbols)", "](A_notation.ipynb#symbols)")
    return re.sub(
        r"\*\*Claim ([A-Z]\d+)", r'**Claim <a href="../claims.html#claim-\1">\1</a>', text
    )


# ---- the ledger --------------------------------------------------------------------------------


def claims_page(books: dict[str, dict], source: Path) -> str:
    """The ledger as a table that can be filtered, each claim with its figure."""
    from vaelab.course.claims import ledger

    claims = ledger()
    rows = "\n".join(claim_row(claim, books, source) for claim in claims)
    papers = options(dict.fromkeys(claim.paper for claim in claims))
    verdicts = options(dict.fromkeys(claim.status for claim in claims))
    return f"""# What the papers claim, and what was found

:::{{raw}} html
<p class="filters">
<label>Paper <select id="paper"><option value="">all</option>{papers}</select></label>
<label>Verdict <select id="verdict"><option value="">all</option>{verdicts}</select></label>
<span id="shown" role="status"></span></p>
<table class="claims"><thead><tr><th>claim</th><th>what it says</th><th>verdict</th></tr></thead>
<tbody>
{rows}
</tbody></table>
<script src="_static/claims.js"></script>
:::
"""


def options(names: dict) -> str:
    """The choices of a filter."""
    return "".join(f"<option>{html.escape(name)}</option>" for name in names)


def claim_row(claim: object, books: dict[str, dict], source: Path) -> str:
    """A claim as a row of the table."""
    e = html.escape
    places = "; ".join(place_link(place, books) for place in claim.where)
    figure = claim_figure(claim, books, source)
    more = f"<p>{e(claim.check)}</p>" + (f"<p>{e(claim.note)}</p>" if claim.note else "") + figure
    return (
        f'<tr id="claim-{claim.id}" data-paper="{e(claim.paper)}" data-verdict="{e(claim.status)}">'
        f"<td><b>{claim.id}</b></td><td>{e(claim.claim)}"
        f"<details><summary>how it is checked</summary>{more}</details></td>"
        f"<td>{e(claim.status)}<br>{places}</td></tr>"
    )


def place_link(place: str, books: dict[str, dict]) -> str:
    """Where a claim is checked: a link where that is a lesson."""
    name = place.partition(" § ")[0]
    if name not in books:
        return html.escape(place)
    return f'<a href="lessons/{name}.html">{html.escape(place)}</a>'


def claim_figure(claim: object, books: dict[str, dict], source: Path) -> str:
    """The first figure of the first section that checks a claim."""
    for place in claim.where:
        name, _, section = place.partition(" § ")
        found = first_figure(books[name], section) if name in books and section else None
        if found:
            png, alt = found
            path = source / "_static" / "figures" / f"{claim.id}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(png))
            address = f"_static/figures/{claim.id}.png"
            return f'<img loading="lazy" src="{address}" alt="{html.escape(alt)}">'
    return ""


def first_figure(book: dict, section: str) -> tuple[str, str] | None:
    """The first picture below a heading, before the next, with its alternative text."""
    inside = False
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            headings = re.findall(r"^## +(.*?)\s*$", text_of(cell), re.MULTILINE)
            if headings:
                inside = headings[-1] == section
            continue
        for output in cell.get("outputs", []) if inside else ():
            png = output.get("data", {}).get("image/png")
            if png:
                return "".join(png), alternative(cell) or section
    return None


# ---- reference, glossary, live page ------------------------------------------------------------


def write_reference(folder: Path) -> None:
    """One page a room of the package, from its docstrings."""
    import vaelab

    folder.mkdir()
    rooms = sorted(vaelab._ROOMS)
    for room in rooms:
        title = f"vaelab.{room}"
        page = f"{title}\n{'=' * len(title)}\n\n.. automodule:: {title}\n   :members:\n"
        (folder / f"{room}.rst").write_text(page, "utf-8")
    names = "\n".join(rooms)
    index = f"# Reference\n\nThe package, room by room.\n\n```{{toctree}}\n{names}\n```\n"
    (folder / "index.md").write_text(index, "utf-8")


def write_glossary(book: dict, source: Path) -> None:
    """The glossary of the appendix as Sphinx's own, so that words can be looked up and linked."""
    table = next(text_of(c) for c in book["cells"] if "## Glossary" in text_of(c))
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", table.partition("## Glossary")[2], re.MULTILINE)
    entries = [f"{word}\n: {meaning}\n" for word, meaning in rows if set(word) - set("- ")]
    page = "# Glossary\n\n" + "\n".join(entry for entry in entries if not entry.startswith("word"))
    (source / "glossary.md").write_text(page, "utf-8")


def write_live(path: Path) -> None:
    """A decoder trained on the spot, in one page that runs in the browser."""
    from vaelab import TwoStageVAE, load_images, save
    from vaelab.cli import main as vaelab

    pictures = load_images("fashion-small")
    model = TwoStageVAE(latent_dim=8, epochs=8, second_epochs=30, random_state=0)
    model.fit(pictures.train)
    path.parent.mkdir(parents=True)
    run = path.parent / "run"
    save(run, model)
    if vaelab(["export-page", str(run), "--images", "fashion-small", "--out", str(path)]):
        raise SystemExit("export-page failed")
    shutil.rmtree(run)


# ---- slides ------------------------------------------------------------------------------------

SLIDES = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<link rel="stylesheet" href="reveal.css"><link rel="stylesheet" href="katex/katex.min.css">
<link rel="stylesheet" href="slides.css">
<div class="reveal"><div class="slides">{slides}</div></div>
<script src="reveal.js"></script><script src="katex/katex.min.js"></script>
<script src="katex/auto-render.min.js"></script>
<script>renderMathInElement(document.body, {{delimiters: [
  {{left: "$$", right: "$$", display: true}}, {{left: "$", right: "$", display: false}}]}});
Reveal.initialize({{hash: true, center: false, width: 1100, height: 700}});</script></html>
"""
ENDINGS = ("Where it breaks", "Next", "References")


def write_slides(books: dict[str, dict], folder: Path) -> None:
    """A deck a lesson: of every section its first paragraph, and its figures."""
    folder.mkdir(parents=True)
    for name in ("reveal.js", "reveal.css"):
        shutil.copy(HERE / "vendor" / "reveal" / name, folder)
    shutil.copy(HERE / "slides.css", folder)
    shutil.copytree(HERE / "vendor" / "katex", folder / "katex")
    for name, book in books.items():
        title = text_of(book["cells"][0]).splitlines()[0].removeprefix("# ")
        slides = "".join(f"<section>{slide}</section>" for slide in slides_of(book))
        page = SLIDES.format(title=html.escape(title), slides=slides)
        (folder / f"{name}.html").write_text(page, "utf-8")


def slides_of(book: dict) -> list[str]:
    """The slides of a lesson as HTML."""
    slides = []
    skipped = False
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            for part in re.split(r"^(?=##? )", text_of(cell), flags=re.MULTILINE):
                heading = re.match(r"##? +(.*)", part)
                if heading:
                    skipped = heading[1] in ENDINGS
                if heading and not skipped:
                    slides.append(rendered(first_paragraphs(part)))
            continue
        for output in cell.get("outputs", []) if not skipped else ():
            png = output.get("data", {}).get("image/png")
            if png:
                alt = html.escape(alternative(cell))
                image = f'<img alt="{alt}" src="data:image/png;base64,{"".join(png)}">'
                slides.append(f"{image}<p>{alt}</p>")
    return slides


def first_paragraphs(part: str) -> str:
    """A heading and the first paragraph below it, with the formula that follows."""
    text = re.sub(r"<details>.*?</details>", "", part, flags=re.DOTALL)
    blocks = re.split(r"\n\n+", text.strip())
    kept = 3 if len(blocks) > 2 and blocks[2].startswith("$$") else 2
    return "\n\n".join(blocks[:kept])


def rendered(markdown: str) -> str:
    """Markdown as HTML, its formulas left for the browser."""
    from markdown_it import MarkdownIt

    formulas = []

    def keep(match: re.Match) -> str:
        formulas.append(html.escape(match[0]))
        return f"FORMULA{len(formulas) - 1}END"

    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$", keep, markdown, flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    page = MarkdownIt("commonmark").enable("table").render(text)
    return re.sub(r"FORMULA(\d+)END", lambda match: formulas[int(match[1])], page)


if __name__ == "__main__":
    main()

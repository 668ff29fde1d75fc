"""How Sphinx makes the pages of the course's site; `build.py` lays its sources out and runs it."""

import re

import vaelab

project = "vaelab"
author = "the vaelab authors"
version = release = vaelab.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx.ext.mathjax",  # It marks the formulas; KaTeX sets them.
]
html_theme = "furo"
html_title = "vaelab: variational autoencoders that check themselves"
html_static_path = ["_static"]
html_css_files = ["katex/katex.min.css", "course.css"]
html_js_files = ["katex/katex.min.js", "katex/auto-render.min.js"]
html_extra_path = ["extra"]
html_show_sourcelink = False
html_copy_source = False
nb_execution_mode = "off"  # Outputs are those stored in the notebooks.
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "attrs_inline", "deflist"]
myst_heading_anchors = 3
default_role = "py:obj"
autodoc_typehints = "description"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
# Docstrings are prose of the house, not reStructuredText: what reads oddly there stops no build.
suppress_warnings = ["docutils", "ref.python", "myst.header", "misc.highlighting_failure"]
myst_update_mathjax = False
mathjax_path = "math.js"
mathjax_options = {"defer": "defer"}

CODE = re.compile(r"`+[^`]+`+")


def mend_docstring(app, what, name, obj, options, lines):
    """Make a docstring of the house readable as reStructuredText: indented code is code, `names`
    are code, and stars and bars are themselves.
    """
    out = []
    prose = []
    literal = False
    for before, line in zip(["", *lines], lines, strict=False):
        is_code = line.startswith(("    ", "| "))
        if literal and (is_code or not line.strip()):
            out.append(f"    {line}")
            continue
        if is_code and not before.strip():
            out += [*escaped(prose), "::", "", f"    {line}"]
            prose = []
            literal = True
            continue
        if literal:
            out.append("")
        literal = False
        prose.append(line)
    lines[:] = [*out, *escaped(prose)]


def escaped(lines):
    """Escape what reStructuredText would read as markup, outside of code."""
    text = "\n".join(lines)
    codes = [f"``{code.strip('`')}``".replace("\n", " ") for code in CODE.findall(text)]
    codes = [re.sub(r" +", " ", code) for code in codes]
    plain = [re.sub(r"([*|])", r"\\\1", part) for part in CODE.split(text)]
    text = "".join(a + b for a, b in zip(plain, [*codes, ""], strict=True))
    return re.sub(r"(?<=[^`\s]``)(?=\w)", r"\\ ", text).split("\n")


def setup(app):
    app.connect("autodoc-process-docstring", mend_docstring, priority=100)

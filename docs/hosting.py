"""Write `docs/links.md`, every link to a host of the course, from one address:
`python docs/hosting.py https://github.com/your-name/vaelab`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")


def links(address: str, lessons: list[str], branch: str = "main") -> str:
    """The page, in Markdown.

    Raises:
        ValueError: not the address of a repository on GitHub.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(
            f"expected an address like https://github.com/name/vaelab, got {address!r}"
        )
    owner, name = match.groups()
    pull = (
        f"hub/user-redirect/git-pull?repo={quote(address, safe='')}&branch={branch}"
        f"&urlpath={quote(f'lab/tree/{name}/notebooks/{lessons[0]}.ipynb', safe='')}"
    )
    lines = [
        "---",
        "orphan: true",
        "---",
        "",
        "# Links",
        "",
        "| lesson | Binder | Colab |",
        "| --- | --- | --- |",
    ]
    for lesson in lessons:
        path = f"notebooks/{lesson}.ipynb"
        binder = (
            f"https://mybinder.org/v2/gh/{owner}/{name}/{branch}?labpath={quote(path, safe='')}"
        )
        colab = f"https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/{path}"
        lines.append(f"| {lesson} | [open]({binder}) | [open]({colab}) |")
    package = f'%pip install -q "vaelab[course] @ git+https://github.com/{owner}/{name}@{branch}"'
    lines += ["", "First cell on Colab:", "", "```", package, "```", ""]
    lines += ["On a JupyterHub, below its address:", "", "```", pull, "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    names = sorted(path.stem for path in (HERE.parent / "notebooks").glob("*.ipynb"))
    (HERE / "links.md").write_text(links(sys.argv[1], names), "utf-8")
    print(HERE / "links.md")

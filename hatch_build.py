"""What the package index shows: README with links that lead somewhere, and the addresses.

With VAELAB_REPOSITORY=https://github.com/name/vaelab set while the package is built, README's links
to files of the checkout lead there; without, they become plain text, as there they would lead
nowhere.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")
PAPERS = {
    "Diagnosing and Enhancing VAE Models": "https://arxiv.org/abs/1903.05789",
    "From Variational to Deterministic Autoencoders": "https://arxiv.org/abs/1903.12436",
}


def readme(text: str, repository: str) -> str:
    """The text with its relative links made absolute, or taken out where no repository is named.

    >>> readme("see [the guide](docs/guide.md)", "")
    'see the guide'
    >>> readme("see [the guide](docs/guide.md)", "https://github.com/a/b")
    'see [the guide](https://github.com/a/b/blob/main/docs/guide.md)'
    >>> readme("![A figure.](a.png)", "https://github.com/a/b/")
    '![A figure.](https://github.com/a/b/raw/main/a.png)'
    """

    def target(link: re.Match) -> str:
        mark, words, path = link.groups()
        if not repository:
            return "" if mark else words
        kind = "raw" if mark else "blob"
        return f"{mark}[{words}]({repository.rstrip('/')}/{kind}/main/{path})"

    return LINK.sub(target, text)


class CustomMetadataHook(MetadataHookInterface):
    """Gives `readme` and `urls`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict) -> None:
        """Put them among the metadata."""
        repository = os.environ.get("VAELAB_REPOSITORY", "")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": readme(text, repository)}
        metadata["urls"] = {**PAPERS, **({"Repository": repository} if repository else {})}

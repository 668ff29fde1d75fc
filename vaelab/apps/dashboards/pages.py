"""The three pages: a view each, and the notebook of a few lines that Voilà makes a page of."""

from __future__ import annotations

from pathlib import Path

import nbformat
import torch

from vaelab import widgets
from vaelab.apps.dashboards.preparing import open_model
from vaelab.apps.opening import opened
from vaelab.data import NAMES

PAGES = {
    "1-latent-traversal": (
        "traversal",
        "Latent traversal",
        "Pick an image, then drag its code along a direction. Directions are ordered by λ, their "
        "variance under the encoder: near 0 the image depends on them, near 1 they carry noise. "
        "*draw* starts from a sample.",
    ),
    "2-aggregated-posterior": (
        "posteriors",
        "Where the codes are",
        "The codes of all images, a density fitted to them, and N(0, I). Move over a panel to "
        "decode the place; drag a rectangle to see the same images in every panel.",
    ),
    "3-gamma-path": (
        "gamma_path",
        "What falling γ does",
        "One VAE at smaller and smaller decoder variance γ. Left, the split of the λ; right, "
        "both terms of the cost.",
    ),
}
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def traversal(folder: str | Path, images: str | None = None) -> widgets.LatentTraversal:
    """The first page's view, of a model folder; arguments as in `open_model`."""
    torch.set_num_threads(1)  # one visitor, one core
    shown = open_model(folder, images)
    return widgets.LatentTraversal(
        shown.model, shown.x, density=shown.densities, labels=shown.labels
    )


def posteriors(folder: str | Path, images: str | None = None) -> widgets.PosteriorComparison:
    """The second page's view, of a model folder; arguments as in `open_model`."""
    torch.set_num_threads(1)
    shown = open_model(folder, images)
    return widgets.PosteriorComparison(
        {shown.name: (shown.model, shown.densities)}, shown.x, shown.labels
    )


def gamma_path(folder: str | Path, images: str | None = None) -> widgets.GammaPath:
    """The third page's view: of a folder with model folders 0, 1, … in the order to show, of the
    same images.
    """
    torch.set_num_threads(1)
    steps = (path.name for path in Path(folder).iterdir() if path.name.isdigit())
    places = [Path(folder) / step for step in sorted(steps, key=int)]
    models = [opened(place).model for place in places]
    run = [(model.gamma or 0.0, model) for model in models]
    return widgets.GammaPath(run, open_model(places[-1], images).x[:400])


def write_pages(
    folder: str | Path, model: str | Path, path: str | Path, images: str | None = None
) -> list[Path]:
    """Write the pages' notebooks; they are given to Voilà as they are, without outputs.

    Args:
        folder: where they go; made if it does not exist.
        model: the model folder of the first two pages.
        path: the γ path's folder, see `gamma_path`.
        images: as in `open_model`, for the first two pages.

    Returns:
        The notebooks' paths.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, (view, title, words) in PAGES.items():
        place = path if view == "gamma_path" else model
        arguments = [str(Path(place).resolve())]
        if view != "gamma_path" and images:
            arguments.append(images if images in NAMES else str(Path(images).resolve()))
        call = f"dashboards.{view}({', '.join(map(repr, arguments))})"
        heading = f"## {title}\n\n{words} [All pages](../../)"
        code = f"from vaelab import dashboards\n\n{call}"
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_markdown_cell(heading, id="words"),
                nbformat.v4.new_code_cell(code, id="view"),
            ],
            metadata={"kernelspec": KERNEL},
        )
        written.append(folder / f"{name}.ipynb")
        nbformat.write(notebook, written[-1])
    return written

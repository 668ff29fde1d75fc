"""The images that a saved model was trained on, from what its run says of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaelab.checkpoints import Saved
from vaelab.data import NAMES, Images, load_images

_WAYS = "name a data set or the folder of pictures with images="


def images_for(
    saved: Saved,
    root: str | Path | None = None,
    name: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Images:
    """Load the images that a model was trained on, in the model's shape.

    A run knows its images by their fingerprint: a folder of pictures may have the name of a data
    set, and is then not taken for it.

    Args:
        saved: the model, from `vaelab.load`.
        root: where downloaded data sets lie; see `vaelab.data`.
        name: a data set or the path of a folder of pictures, to take instead of what the run names.
        reading: how a folder's pictures are read: `background`, `white` and `skip_bad` of
            `vaelab.load_images`.

    Raises:
        ValueError: without `name`, a run that names no data set, or one whose images were others;
            images of another shape than the model's.
        FileNotFoundError: the images are not there.
    """
    record = saved.data
    wanted = name or record.get("name")
    if wanted is None:
        raise ValueError(f"the model's run.json names no data set; {_WAYS}")
    if name is None and wanted not in NAMES:
        raise ValueError(f"the model was trained on {_description(record)}; {_WAYS}")
    shape = tuple(saved.model.image_shape)
    side = shape[-1] if shape[-2:] == 2 * shape[-1:] else None
    images = load_images(wanted, root, side=side, **(reading or {}))
    if images.shape != shape:
        raise ValueError(
            f"expected images of shape {shape}, as the model has, got {images.shape} from "
            f"{images.name}; name others with images="
        )
    if name is None and not was_trained_on(saved, images):
        raise ValueError(
            f"the model was trained on other images of this name, {_description(record)}; {_WAYS}"
        )
    return images


def was_trained_on(saved: Saved, images: Images) -> bool:
    """Whether these are the images of the run, by their fingerprint; true if it recorded none."""
    recorded = saved.data.get("fingerprint")
    return recorded is None or recorded == images.fingerprint()


def notes_on(saved: Saved, images: Images) -> list[str]:
    """What is to be said of images before a model sees them: how they were read, and whether it
    was trained on others.
    """
    if was_trained_on(saved, images):
        return list(images.notes)
    note = f"note: {images.name} is not what the model was trained on; all is read off it the same"
    return [*images.notes, note]


def _description(record: Mapping[str, Any]) -> str:
    source = record.get("source")
    return repr(record["name"]) + (f" ({source})" if source else "")

"""The classifiers that ship with the package: how they were trained, and how they are loaded."""

from __future__ import annotations

import json
import platform
from importlib import resources
from pathlib import Path

import safetensors.torch
import torch

from vaelab._inputs import check_choice
from vaelab.data import load_images
from vaelab.features.classifier import Classifier, accuracy, train_classifier

RECIPES = {
    "digits": {"epochs": 60, "batch_size": 64, "noise": 0.1, "learning_rate": 1e-2},
    "shapes": {"epochs": 6},
    "mnist": {"epochs": 12, "shift": 2, "weight_decay": 0.05},
    "fashion": {"epochs": 8, "noise": 0.05, "weight_decay": 0.05},
    "cifar10": {"epochs": 24, "shift": 3, "noise": 0.03, "weight_decay": 0.05},
}
TRAINED_ON = {"fashion-small": "fashion"}  # Judged by the classifier of the larger set.
SHIPPED = (*RECIPES, *TRAINED_ON)
_WEIGHTS = resources.files("vaelab") / "weights"


def ship_classifier(name: str, folder: Path, root: str | None = None, seed: int = 0) -> dict:
    """Train the classifier of a named data set and write it as `folder`/`name`.safetensors and
    .json.

    That of "fashion-small" is the classifier of "fashion", in whose file it lies, with its accuracy
    on the smaller set.

    Args:
        name: one of `SHIPPED`.
        folder: where to write; must exist.
        root: the data root, as for `load_images`.
        seed: as for `train_classifier`.

    Returns:
        The content of the .json: shape, classes, accuracy on the test images, and the training.
    """
    check_choice("name", name, SHIPPED)
    images = load_images(name, root)
    parent = TRAINED_ON.get(name, name)
    whole = load_images(parent, root)
    classifier = train_classifier(whole, seed, **RECIPES[parent])
    record = {
        "name": name,
        "image_shape": images.shape,
        "classes": images.classes,
        "description": classifier.description,
        "test_accuracy": accuracy(classifier, images.test, images.test_labels),
        "train_accuracy": accuracy(classifier, images.train, images.train_labels),
        "seed": seed,
        "training": RECIPES[parent],
        "data": {"source": whole.source, "fingerprint": whole.fingerprint()},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "made_by": f"python -m vaelab.features {name} --seed {seed}",
    }
    (folder / f"{parent}.safetensors").write_bytes(safetensors.torch.save(classifier.state_dict()))
    (folder / f"{name}.json").write_text(
        json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return record


def load_classifier(name: str) -> Classifier:
    """The classifier of a named data set that ships with the package, in evaluation mode.

    Args:
        name: one of `SHIPPED`.

    Raises:
        ValueError: another name.

    >>> load_classifier("digits").description
    '64-128-32-10'
    """
    record = record_of(name)
    classifier = Classifier(tuple(record["image_shape"]), len(record["classes"]))
    weights = _WEIGHTS / f"{TRAINED_ON.get(name, name)}.safetensors"
    classifier.load_state_dict(safetensors.torch.load(weights.read_bytes()))
    return classifier.eval()


def record_of(name: str) -> dict:
    """The .json beside a shipped classifier's weights."""
    check_choice("name", name, SHIPPED)
    return json.loads((_WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))

"""What the cells of one data set share: the images, and what samples are compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from vaelab._inputs import check_choice, pick_device
from vaelab.data import Images, load_images, unit
from vaelab.experiments import protocols
from vaelab.experiments.grid import Cell
from vaelab.experiments.measuring import Judge, judge_for
from vaelab.experiments.places import Place
from vaelab.features import features_for, inception

_SUBSET_SEED = 0


@dataclass(frozen=True)
class Shared:
    """A data set as a protocol has it, and the judge of its samples.

    Args:
        images: to train on (perhaps fewer than there are) and to compare with.
        judge: its floor is that of as many training images as there will be samples.
    """

    images: Images
    judge: Judge


def load_shared(cell: Cell, place: Place) -> Shared:
    """What the cells of a data set share; kept for the next cell of the same."""
    name = place.features or cell.profile.features
    check_choice("features", name, ("classifier", "inception"))
    # Cells that differ in nothing else share: model and trial are made equal for the cache.
    one = replace(cell, model="", trial=0)
    device = str(pick_device(place.device))
    return _load(one, Place(data=place.data, device=device, features=name, weights=place.weights))


@lru_cache(maxsize=1)
def _load(cell: Cell, place: Place) -> Shared:
    profile = cell.profile
    images = protocols.prepare(load_images(cell.data_set, root=place.data), cell.protocol)
    if place.features == "classifier":
        space = features_for(images)
    else:
        space = inception(images.shape, place.weights, place.data)
    generator = torch.Generator().manual_seed(_SUBSET_SEED)
    if profile.n_train is not None:
        chosen = torch.randperm(len(images.train_pixels), generator=generator)[: profile.n_train]
        labels = images.train_labels[chosen] if images.train_labels is not None else None
        images = replace(images, train_pixels=images.train_pixels[chosen], train_labels=labels)
    some = torch.randperm(len(images.train_pixels), generator=generator)[: profile.n_samples]
    pixels = unit(images.train_pixels[some])
    judge = judge_for(images, space, pixels, cell.protocol, place.device)
    return Shared(images, judge)

"""vaelab: variational autoencoders, taught in notebooks that check themselves.

    from vaelab import TwoStageVAE, load, load_images, save

    digits = load_images("digits")
    model = TwoStageVAE(latent_dim=16).fit(digits.train)
    model.sample(64)                        # images, in the data's own range and shape
    model.gamma_, model.active_dims_        # the decoder's variance; directions that carry data
    save("runs/mine", model)                # load("runs/mine") gives it back

`Generative` is the same for any model of `models` with any density of its codes. The parts of a
model are in `networks`, `posteriors`, `likelihoods`, `priors`, `terms` and `densities`, and the
base class of each shows how to write one.

Everything is imported on first use, so that `import vaelab` costs little beyond `import torch`.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "Generative": "estimators",
    "VAE": "estimators",
    "TwoStageVAE": "estimators",
    "load_images": "data",
    "load": "checkpoints",
    "save": "checkpoints",
}
_ROOMS = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
_INSIDE = {
    "claims": "course.claims",
    "dashboards": "apps.dashboards",
    "exercises": "course.exercises",
    "notebooks": "course.notebooks",
    "page": "apps.page",
}
__all__ = sorted([*_WHERE, *_ROOMS, *_INSIDE])


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(importlib.import_module(f"vaelab.{_WHERE[name]}"), name)
    if name in _ROOMS or name in _INSIDE:
        return importlib.import_module(f"vaelab.{_INSIDE.get(name, name)}")
    raise AttributeError(f"module 'vaelab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]

"""A density by its name, as on the command line."""

from __future__ import annotations

from vaelab._door import door
from vaelab._inputs import check_choice
from vaelab.densities.density import Density
from vaelab.densities.empirical import Empirical
from vaelab.densities.flow import Flow
from vaelab.densities.gaussian import DirichletMixture, Gaussian, GaussianMixture
from vaelab.densities.prior import ModelPrior
from vaelab.densities.second_stage import SecondStage
from vaelab.priors import Prior

DENSITIES = {
    "gaussian": Gaussian,
    "mixture": GaussianMixture,
    "empirical": Empirical,
    "flow": Flow,
    "second_stage": SecondStage,
}
SIZED = {"gmm": GaussianMixture, "dirichlet": DirichletMixture}


@door
def named(name: str, prior: Prior) -> Density:
    """The density of that name, not fitted yet.

    Args:
        name: "prior", "gaussian", "mixture" (of ten), "gmm-K" or "dirichlet-K" with K components,
            "empirical", "flow" or "second-stage"; - and _ are alike.
        prior: the model's own, for "prior".

    Raises:
        ValueError: an unknown name.

    >>> from vaelab.priors import StandardNormal
    >>> named("gmm-50", StandardNormal()).n_components
    50
    """
    spelled = name.replace("-", "_")
    kind, _, size = spelled.partition("_")
    if kind in SIZED and size.isdecimal() and int(size):
        return SIZED[kind](int(size))
    known = [each.replace("_", "-") for each in ("prior", *DENSITIES, "gmm_10", "dirichlet_10")]
    check_choice("density", spelled.replace("_", "-"), known)
    return ModelPrior(prior) if spelled == "prior" else DENSITIES[spelled]()

"""Every public function of theory, manifolds, toys and widgets with what it does not take: the
right value comes, or one line that says what was expected. A function that is added is asked too.
"""

import inspect
import math

import pytest
import torch

from vaelab import manifolds, models, networks, theory, toys, widgets
from vaelab.manifolds import charts
from vaelab.theory import tails

ROOMS = {"theory": theory, "tails": tails, "manifolds": manifolds, "charts": charts, "toys": toys}
ROOMS["widgets"] = widgets
NAN = torch.full((2, 2), math.nan, dtype=torch.float64)
BAD = (None, "abc", math.nan, math.inf, -1, 0, 1.5, True, torch.empty(0), torch.empty(0, 2), NAN)
BAD += (
    torch.tensor(1.0),
    torch.zeros(2, 2, 2),
    [1, [2]],
    ["a"],
    object(),
    {},
    NAN.to(torch.cfloat),
)

CURVE = manifolds.manifold("sine_curve", "skewed")
VAE = theory.optimal_vae(CURVE)
X = CURVE.sample(3, seed=0)
U = CURVE.density.sample(3, seed=0)
EYE = torch.eye(2, dtype=torch.float64)
PAIR = [models.vae(networks.mlp(2, 1, (4,)), gamma=0.1) for _ in range(2)]
GOOD = {
    "truth": CURVE, "curve": CURVE, "vae": VAE, "density": CURVE.density, "base": CURVE.density,
    "p": CURVE.density, "q": CURVE.density, "region": manifolds.HalfSpace([1.0, 0.0], 0.0),
    "x": X, "u": U, "z": U, "t": 100.0, "gamma": 0.1, "n_nodes": 40, "width": 0.1, "cutoff": 2.0,
    "decoder": lambda z: torch.cat([z, z], 1), "f": torch.sin, "J": X[:, :, None], "eps": U,
    "sigma": EYE[None], "expected": EYE[None], "eigenvalues": torch.tensor([[0.1, 0.9]]),
    "covariance": EYE, "weights": EYE, "encoder": EYE, "scale": EYE, "latent_dim": 2,
    "log_cdf": U.abs().neg() - 1, "log_sf": U.abs().neg() - 1, "hits": 2, "n": 5, "w": U,
    "gammas": (0.5, 0.1), "values": (1.0, 2.0), "dim": 1, "r": 1, "d": 2, "chart": CURVE.chart,
    "basis": EYE, "name": "gaussian", "embed": lambda u: u, "coordinates": lambda x: x,
    "centre": [0.0, 0.0], "radius": 1.0, "low": [0.0, 0.0], "high": [1.0, 1.0], "lows": (0.0,),
    "highs": (1.0,), "normal": [1.0, 0.0], "offset": 0.0, "means": [[0.0]],
    "parts": [CURVE.density],
    "scale_trils": [[[1.0]]], "forward": torch.exp, "inverse": torch.log, "log_slopes": lambda v: v,
    "g": lambda x: x[:, 0], "members": PAIR, "narrow": PAIR[0], "wide": PAIR[1], "neighbours": 3,
    "landmarks": 20, "draws": 2, "start": 1.0, "steps": 1, "n_seeds": 1, "batch_size": 4,
}  # fmt: skip
OF = {  # Where the letter means something else.
    "laplacian": {"x": U}, "sup_distance": {"x": U}, "sup_rate_exact": {"x": U},
    "squared_error": {"z": U[:, None]}, "StudentT": {"scale": 1.0}, "measure": {"n": 40},
    "wrong_measure": {"truth": manifolds.manifold("sine_curve")}, "Mixture": {"weights": [1.0]},
    "mass_of_tube": {"n_nodes": 5}, "truncated_error": {"n_nodes": 101}, "explain": {"n": 200},
    "geodesic_coordinates": {"x": CURVE.sample(1000, seed=0)}, "train": {"gammas": (0.1,)},
    "gaussian": {"mean": [0.0], "covariance": [[1.0]]}, "Transformed": {"low": 0.0, "high": 1.0},
    "log_integrand": {"z": 0.5}, "divergence_starts": {"z": 0.5}, "wilson_interval": {"z": 2.0},
}  # fmt: skip
with networks.seeded(0):
    SEEN = models.vae(networks.mlp((1, 8, 8), 2, (4,), output="sigmoid"), gamma=0.1)
    OF_LINES = models.grammar_rae(networks.sequence(9, 2, channels=(4,), hidden=4, width=4))
PICTURES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SEVERAL = {"a": SEEN, "b": SEEN}
OF |= {
    "GammaPath": {"run": [(0.1, SEEN), (0.01, SEEN)]},
    "ModelComparison": {"models": SEVERAL, "scale": 1},
    "LineInterpolator": {"model": OF_LINES, "first": "x", "second": "1"},
    "PosteriorComparison": {"entries": {"a": (SEEN, None)}, "n_codes": 4},
    "Quiz": {"question": "?", "choices": {"a": "b", "c": "d"}}, "gamma_path": {"epochs": 1},
    "TheoremOneView": {"density": "bimodal", "latent_dim": 1}, "latent_explorer": {"scale": 1},
    "TheoremTwoView": {"density": "bimodal", "chart": "arc", "n_pixels": 8, "latent_dim": 1},
    "figure_explorer": {"low": 0.1, "high": 1.0, "draw": lambda axes, g: axes.plot([g])},
    "gamma_explorer": {"low": 0.1, "high": 1.0, "draw": lambda g: PICTURES, "scale": 1},
    "lerp": {"t": torch.rand(3), "a": U[0], "b": U[1]},
    "slerp": {"t": torch.rand(3), "a": U[0], "b": U[1]},
}  # fmt: skip
for name in ("LatentTraversal", "Interpolator"):
    OF[name] = {"density": None, "n_sliders": 2, "size": 8}
GOOD |= {"model": SEEN, "images": PICTURES, "decode": lambda z: PICTURES[: len(z)]}
METHODS = {
    "Manifold": (CURVE, "sample log_density expectation entropy mass rotated"),
    "OptimalVAE": (VAE, "decode encode jacobian hessian scale covariance sample"),
}
RESULTS = ("ActiveDimensions", "LinearOptimum", "GeodesicCoordinates", "Measured", "Outlook")
RESULTS += ("View", "PosteriorRow")


def public(room):
    """The functions and classes that a room defines, but for plain records of results."""
    names = getattr(room, "__all__", [name for name in vars(room) if name[0].islower()])
    found = {name: getattr(room, name) for name in names if name not in RESULTS}
    if not hasattr(room, "__all__"):
        found = {n: f for n, f in found.items() if getattr(f, "__module__", "") == room.__name__}
    return {n: f for n, f in found.items() if callable(f) and not inspect.ismodule(f)}


ASKED = {f"{key}.{name}": f for key, room in ROOMS.items() for name, f in public(room).items()}
for kind, (thing, methods) in METHODS.items():
    ASKED |= {f"{kind}.{name}": getattr(thing, name) for name in methods.split()}


def is_number(result):
    if isinstance(result, (tuple, list)):
        return all(map(is_number, result))
    return not isinstance(result, (float, torch.Tensor)) or not bool(
        torch.as_tensor(result).isnan().any()
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ASKED)
def test_any_argument_is_taken_or_refused_in_words(name):
    f = ASKED[name]
    parameters = inspect.signature(f).parameters
    known = GOOD | OF.get(name.partition(".")[2], {})
    fit = {
        n: known[n] if p.default is p.empty or n in known else p.default
        for n, p in parameters.items()
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    assert is_number(f(**fit))  # What it does take.
    for argument in fit:
        for value in BAD:
            try:
                result = f(**fit | {argument: value})
            except (ValueError, TypeError) as error:
                said = str(error)
                assert any(w in said for w in ("expected", "pass ", "hold NaN")), (
                    argument,
                    value,
                    said,
                )
                assert "\n" not in said
            else:
                assert is_number(result), (argument, value, result)


def test_bytes_are_pixels_to_a_view():
    pixels = (255 * PICTURES).round().byte()
    first, second = (widgets.ModelComparison(SEVERAL, x, 1) for x in (pixels, pixels / 255.0))
    assert first.image.value == second.image.value
    assert first.error is None

"""What earlier versions wrote, as this version would have written it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_NAMES = {"KL": "kl", "SquaredNorm": "squared_norm", "MMD": "mmd", "Adversary": "adversary"}
_NETWORKS_OF_MODEL = 1  # The number of the networks' account, read after the model's own.


def from_format_1(
    record: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Record and tensors of a folder of "vaelab model 1", whose parts have names without rooms."""
    model = record["model"]
    posterior = _part("posteriors", model["posterior"])
    posterior["with"]["networks"] = {"same": _NETWORKS_OF_MODEL}
    latent, keys = _latent_term(model["latent_term"])
    if model["posterior"]["name"] == "FlowGaussian":
        keys["model.posterior.parameters_of_q."] = "model.posterior.base.parameters_of_q."
    parts = {
        "networks": _networks(model["networks"]),
        "posterior": posterior,
        "likelihood": _part("likelihoods", model["likelihood"]),
        "latent_term": latent,
    }
    density = dict(record["density"])
    upgraded = {
        **record,
        "model": {"part": "models.Autoencoder", "with": parts},
        "latent_dim": density.pop("latent_dim"),
        "density": _part("densities", density),
    }
    return upgraded, {_renamed(name, keys): value for name, value in tensors.items()}


def _part(room: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {key: value for key, value in spec.items() if key != "name"}
    return {"part": f"{room}.{spec['name']}", "with": arguments}


def _networks(spec: Mapping[str, Any]) -> dict[str, Any]:
    made = _part("networks", spec)
    if "networks" in spec:
        made["with"]["networks"] = _networks(spec["networks"])
    return made


def _latent_term(spec: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The term or terms, and what the keys of its tensors become."""
    if spec["name"] != "Joint":
        return _part("terms", spec), {"model.latent_term.": f"model.terms.{_NAMES[spec['name']]}."}
    second = {**_part("models", spec), "part": "models.SecondVAE"}
    kl = {"part": "terms.KL", "with": {}}
    return [kl, second], {"model.latent_term.second.": "model.terms.second_stage.vae."}


def _renamed(name: str, keys: Mapping[str, str]) -> str:
    for old, new in keys.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name

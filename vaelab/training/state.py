"""Everything that decides how training goes on, and the file it is kept in."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from vaelab import _files
from vaelab._processes import Share, place
from vaelab.models import Autoencoder
from vaelab.training.ensemble import Seeds


class _State:
    """Everything that decides how training goes on: weights, moments, noise, place in the data,
    history.
    """

    def __init__(
        self,
        model: Autoencoder,
        settings: dict,
        schedule: Callable[[float, int], float] | None,
        gamma_schedule: Callable[[float], float | None] | None,
        device: torch.device,
    ) -> None:
        self.model, self.settings, self.schedule, self.gamma_schedule = (
            model,
            settings,
            schedule,
            gamma_schedule,
        )
        self.generator = _generator(settings["seed"], device)
        self.steps_per_epoch = settings["n"] // settings["batch_size"]
        self.total = self.steps_per_epoch * settings["epochs"]
        self.step = 0
        self.terms: list[Tensor] = []  # (nll, latent) of each step of this epoch
        self.loss_terms: Callable[..., tuple[Tensor, Tensor]] = (
            model.loss_terms
        )  # what computes them
        self.history: dict[str, list[float]] = {
            "nll": [],
            "latent": [],
            "loss": [],
            "gamma": [],
            "lr": [],
        }
        self.keep_every, self.saved = (
            0,
            [],
        )  # epochs between two copies, and the copies with their γ
        parts = _groups(model)
        lr, gamma_lr = settings["lr"], settings["lr"] * settings["gamma_lr"]
        groups = [
            {"params": parts["weights"], "weight_decay": settings["weight_decay"], "lr": lr},
            {"params": parts["gammas"], "weight_decay": 0.0, "lr": gamma_lr},
            {
                "params": parts["adversary"],
                "weight_decay": 0.0,
                "lr": lr * getattr(model.latent_term, "rate", 1),
                "betas": (
                    0.5,
                    0.999,
                ),  # with the usual 0.9 the two players chase each other (Radford et al. 2016)
            },
        ]
        groups = [{**group, "full_lr": group["lr"]} for group in groups if group["params"]]
        fused = device.type in ("cpu", "cuda") and all(
            p.is_floating_point() for p in model.parameters()
        )
        self.optimizer = torch.optim.Adam(groups, betas=tuple(settings["betas"]), fused=fused)

    def set_rates(self) -> None:
        """Set the step size and γ to what the schedules say for this step."""
        if self.schedule is not None:
            factor = self.schedule(self.step / self.steps_per_epoch, self.settings["epochs"])
            for group in self.optimizer.param_groups:
                group["lr"] = factor * group["full_lr"]
        self.hold_gamma()

    def hold_gamma(self) -> None:
        """Set γ to what its schedule says for this step, if it says anything."""
        gamma = (
            self.gamma_schedule(self.step / self.total) if self.gamma_schedule is not None else None
        )
        if gamma is not None:
            self.model.likelihood.gamma = gamma

    def order(self, n: int, device: torch.device) -> Tensor:
        """The order in which this epoch visits the data, (n,) or (S, n): a function of seed and
        epoch alone.
        """
        epoch, seed = self.step // self.steps_per_epoch, self.settings["seed"]

        def shuffled(seed: int) -> Tensor:
            return torch.randperm(
                n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)
            )

        return (
            torch.stack([*map(shuffled, seed)]) if isinstance(seed, list) else shuffled(seed)
        ).to(device)

    def end_epoch(self) -> None:
        """Move the steps of the epoch that ends into the history."""
        nll, latent = torch.stack(self.terms).double().mean(0)
        terms, gamma = torch.stack([nll, latent, nll + latent]).tolist(), self.model.gamma
        values = (
            *terms,
            math.nan if gamma is None else gamma,
            self.optimizer.param_groups[0]["lr"],
        )
        for name, value in zip(self.history, values, strict=True):
            self.history[name].append(value)
        self.terms = []

    def keep(self) -> None:
        """Keep a copy of the model, where the epoch that has ended is one of those asked for."""
        epoch = self.step // self.steps_per_epoch
        if self.keep_every and (epoch % self.keep_every == 0 or self.step == self.total):
            self.saved.append((self.model.gamma, copy.deepcopy(self.model).cpu().eval()))

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors on the CPU."""
        out = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            out |= {f"optimizer.{i}.{k}": v for k, v in moments.items()}
        out["generator"] = self.generator.get_state()
        if self.terms:
            out["terms"] = torch.stack(self.terms)
        return {k: v.detach().cpu().contiguous() for k, v in out.items()}

    def load(self, tensors: dict[str, Tensor], step: int, history: dict[str, list[float]]) -> None:
        """Take over a state that `tensors` gave."""
        device = self.generator.device
        weights = {
            k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")
        }
        self.model.load_state_dict(weights)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, i, name = key.split(".")
                moments.setdefault(int(i), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.generator.set_state(tensors["generator"])
        self.terms = list(tensors["terms"].to(device)) if "terms" in tensors else []
        self.step, self.history = step, history


def _generator(seed: int | list[int], device: torch.device) -> Share | Seeds:
    if isinstance(seed, list):
        return Seeds(device, seed)
    generator = Share(device).manual_seed(seed)
    generator.rank, generator.processes = place()
    return generator


def _groups(model: Autoencoder) -> dict[str, list[Tensor]]:
    """The parameters by how they are stepped: every log γ, an adversary's discriminator, and the
    rest.
    """
    groups: dict[str, list[Tensor]] = {"weights": [], "gammas": [], "adversary": []}
    for name, parameter in model.named_parameters():
        is_gamma, is_adversary = (
            name.endswith("likelihood.log_gamma"),
            name.startswith("latent_term.discriminator."),
        )
        groups["gammas" if is_gamma else "adversary" if is_adversary else "weights"].append(
            parameter
        )
    return groups


class _Keeper:
    """Saves the state of training every so often, and finds it again."""

    def __init__(self, path: Path | None, every: float) -> None:
        self.path, self.every, self.last, self.saved_step = path, every, time.monotonic(), 0
        if path is not None and place()[0] == 0:
            _files.check_writable(path.parent)

    def resume(self, state: _State) -> None:
        """Go on from the checkpoint, if there is one and it is of this run."""
        if self.path is None or not self.path.exists():
            return
        tensors, told = _files.read_state(self.path)
        there, here = told["settings"], _plain(state.settings)
        other = [
            f"{k}: {there.get(k)!r} there, {v!r} here" for k, v in here.items() if there.get(k) != v
        ]
        if other:
            said = "; ".join(other)
            raise ValueError(
                f"{self.path} belongs to another run ({said}); use another folder, or delete "
                "the file"
            )
        state.load(tensors, told["step"], told["history"])
        self.saved_step = told["step"]

    def due(self) -> bool:
        """Whether it is time to save."""
        return self.path is not None and time.monotonic() - self.last >= self.every

    def save(self, state: _State) -> None:
        """Save, where there is a file to save in."""
        if self.path is None or place()[0]:  # of several processes, the first saves
            return
        told = {"settings": _plain(state.settings), "step": state.step, "history": state.history}
        try:
            _files.write_state(self.path, state.tensors(), told)
        except OSError as error:
            kept = (
                f"the checkpoint of step {self.saved_step} is intact"
                if self.saved_step
                else "none was saved before"
            )
            raise OSError(
                error.errno,
                f"could not save the state of step {state.step}: {error.strerror}; {kept}. "
                "Make room or choose another folder, then give the same command again",
            ) from error
        self.last, self.saved_step = time.monotonic(), state.step


def _plain(settings: dict) -> dict:
    return json.loads(json.dumps(settings))

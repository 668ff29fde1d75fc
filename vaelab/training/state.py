"""Everything that decides how training goes on, and the file it is kept in."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaelab import _files
from vaelab._files import joined, parted
from vaelab._inputs import check_weight
from vaelab._processes import place
from vaelab.parts import Module
from vaelab.training.adam import Adam
from vaelab.training.batches import Batches
from vaelab.training.plan import Plan, Session
from vaelab.training.validation import HeldOut

Copies = list[tuple[float | None, nn.Module]]


class State:
    """Everything that decides how training goes on: weights, moments, noise, place in the data,
    history.

    Args:
        model: what is trained.
        batches: its data.
        plan: what is computed.
        settings: what a checkpoint says of the run; one of other settings is another run's.
        held_out: rows whose loss each epoch ends with.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        plan: Plan,
        settings: dict[str, Any],
        held_out: HeldOut | None = None,
    ) -> None:
        self.model: Any = model
        self.batches = batches
        self.plan = plan
        self.settings = settings
        self.held_out = held_out
        self.batch_size: int = settings["batch_size"]
        self.steps_per_epoch = len(batches) // self.batch_size
        self.total = self.steps_per_epoch * plan.epochs
        self.lr = plan.lr
        self.step = 0
        self.names: list[str] = []  # Of the terms, once the first step has been taken.
        self.terms: list[Tensor] = []  # Their means over the batch, of each step of this epoch.
        self.history: dict[str, list[Any]] = {}
        self.loss_terms: Callable[..., dict[str, Tensor]] = self.model.loss_terms
        self.share: Tensor | None = None  # Of β, where it is annealed.
        self.copies: Copies = []  # With their γ, as `keep_every` asks for.
        self.order: Tensor | None = None  # Of the rows, in this epoch.
        on_device = batches.device.type in ("cpu", "cuda")
        self.parameters = list(model.parameters())
        fused = on_device and all(p.is_floating_point() for p in self.parameters)
        self.optimizer = Adam(groups(model, plan), betas=plan.betas, fused=fused)

    @property
    def epoch(self) -> int:
        """The number of the epoch that the next step belongs to, from 0."""
        return self.step // self.steps_per_epoch

    @property
    def is_done(self) -> bool:
        """Whether all steps are taken, or patience has run out: so many epochs have passed since
        the lowest loss of the rows held out.
        """
        losses = self.history.get("validation", [])
        if self.plan.patience is None or not losses:
            return self.step >= self.total
        finite = [loss if math.isfinite(loss) else math.inf for loss in losses]
        since = len(finite) - 1 - finite.index(min(finite))
        return self.step >= self.total or since >= self.plan.patience

    def rows(self) -> Tensor:
        """The numbers of the rows of the next batch, or of this process's share of it."""
        at = self.step % self.steps_per_epoch
        if self.order is None or at == 0:
            self.order = self.batches.order(self.epoch)
        rank, processes = place()
        ends = [at * self.batch_size + r * self.batch_size // processes for r in (rank, rank + 1)]
        return self.order[..., slice(*ends)]

    def set_rates(self) -> None:
        """Set the step size and γ to what the schedules say for this step."""
        if self.plan.schedule is not None:
            factor = self.plan.schedule(self.step / self.steps_per_epoch, self.plan.epochs)
            check_weight("schedule, the factor on the step size", factor)
            self.lr = factor * self.plan.lr
            for group in self.optimizer.param_groups:
                group["lr"] = factor * group["full_lr"]
        if self.plan.beta_schedule is not None:
            share = self.plan.beta_schedule(self.step / self.total)
            check_weight("beta_schedule, the factor on β", share)
            if self.share is None:
                self.share = self.parameters[0].new_ones(())
            if not hasattr(self.model, "anneal") or not self.model.anneal(self.share):
                raise ValueError("beta_schedule: this model has no KL; expected None")
            self.share.fill_(share)
        self.hold_gamma()

    def release_beta(self) -> None:
        """Give the KL its whole weight again, until the next step."""
        if self.share is not None:
            self.model.anneal(None)

    def hold_gamma(self) -> None:
        """Set γ to what its schedule says for this step, if it says anything."""
        schedule = self.plan.gamma_schedule
        gamma = schedule(self.step / self.total) if schedule is not None else None
        if gamma is not None:
            self.model.likelihood.gamma = gamma

    def end_epoch(self) -> None:
        """Move the steps of the epoch that ends into the history.

        What follows, until the next step, sees the objective with the whole weight of the KL.
        """
        self.release_beta()
        means = torch.stack(self.terms).double().mean(0)
        gamma = getattr(self.model, "gamma", None)
        values = dict(zip(self.names, means.tolist(), strict=True))
        values["loss"] = means.sum(0).tolist()
        if self.held_out is not None:
            values["validation"] = self.held_out.loss(self.model)
        values["gamma"] = math.nan if gamma is None else gamma
        values["lr"] = self.lr
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        self.terms = []

    def keep(self) -> None:
        """Keep a copy of the model, where the epoch that has ended is one of those asked for."""
        every = self.plan.keep_every
        if every and (self.epoch % every == 0 or self.is_done):
            twin = copy.deepcopy(self.model).cpu().eval()
            twin.autocast = None
            self.copies.append((getattr(self.model, "gamma", None), twin))

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors on the CPU."""
        moments = {
            f"{i}.{name}": value
            for i, values in self.optimizer.state_dict()["state"].items()
            for name, value in values.items()
        }
        loose = {"generator": self.batches.generator.get_state()}
        if self.terms:
            loose["terms"] = torch.stack(self.terms).cpu()
        return joined({"model": self.model.state_dict(), "optimizer": moments}) | loose

    def load(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Take over a state: the tensors, and the record beside them."""
        states = parted(tensors)
        self.model.load_state_dict(states["model"])
        parameters = parted(states.get("optimizer", {}))
        moments = {int(i): values for i, values in parameters.items()}
        param_groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": param_groups})
        self.batches.generator.set_state(tensors["generator"])
        self.terms = list(tensors["terms"].to(self.batches.device)) if "terms" in tensors else []
        self.step = record["step"]
        self.names = record["names"]
        self.history = record["history"]


def groups(model: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """The parameters by how they are stepped, as Adam takes them: each part may say it for its own.

    A parameter is stepped as the innermost part says that holds it and says anything.
    """
    usual = {"lr": plan.lr, "weight_decay": plan.weight_decay}
    options: dict[nn.Parameter, dict[str, Any]] = dict.fromkeys(model.parameters(), usual)
    for part in model.modules():  # An inner one comes after the outer one.
        asked = part.step(plan) if isinstance(part, Module) else None
        if asked is not None:
            own = {**usual, **asked}
            options |= dict.fromkeys(part.parameters(), own)
    made: dict[int, dict[str, Any]] = {}
    for parameter, option in options.items():
        group = {**option, "full_lr": option["lr"], "params": []}
        made.setdefault(id(option), group)["params"].append(parameter)
    return list(made.values())


class Keeper:
    """Saves the state of training every so often, as a session says, and finds it again."""

    def __init__(self, session: Session) -> None:
        self.path = None if session.checkpoint is None else Path(session.checkpoint)
        self.session = session
        self.last = time.monotonic()
        self.saved_step = 0
        self.lock: Path | None = None
        if self.path is not None and self.path.is_dir():
            raise IsADirectoryError(
                f"checkpoint: expected a file, got the folder {self.path}; name a file in it"
            )

    @property
    def kept(self) -> str:
        """What of the run is safe, in words."""
        if self.path is None or not self.saved_step:
            return "no checkpoint was saved"
        if not self.path.exists():
            return f"the checkpoint of step {self.saved_step} was removed meanwhile"
        return f"step {self.saved_step} is saved in {self.path}, the same call goes on from there"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the file for this process alone; of several that train one model, the first does.

        Raises:
            BlockingIOError: another process trains there now.
        """
        if self.path is None or place()[0]:
            yield
            return
        with _files.held(self.path) as self.lock:
            yield

    def resume(self, state: State) -> None:
        """Go on from the checkpoint, if there is one and it is of this run.

        Raises:
            ValueError: it is of another run, and says which settings differ; or a schedule that no
                later call could tell from others.
        """
        if self.path is None:
            return
        for name in ("schedule", "gamma_schedule", "beta_schedule"):
            if " at 0x" in str(state.settings[name]):
                raise ValueError(
                    f"{name}: expected what a checkpoint can name, a function of a module or an "
                    f"object with its own repr (such as HalveEvery), got {state.settings[name]}"
                )
        if not self.path.exists():
            return
        tensors, record = _files.read_state(self.path)
        saved, plan = record["settings"], state.plan
        may_grow = self.session.extends and not (plan.gamma_schedule or plan.beta_schedule)
        if may_grow and saved.get("epochs", math.inf) < plan.epochs:
            saved = {**saved, "epochs": plan.epochs}
        differences = [
            f"{name}: {saved.get(name)!r} there, {value!r} here"
            for name, value in state.settings.items()
            if saved.get(name) != value
        ]
        if differences:
            raise ValueError(
                f"{self.path} belongs to another run ({'; '.join(differences)}); use another "
                "folder, or delete the file"
            )
        state.load(tensors, record)
        self.saved_step = state.step

    def due(self) -> bool:
        """Whether it is time to save."""
        since = time.monotonic() - self.last
        return self.path is not None and since >= self.session.checkpoint_every

    def save(self, state: State) -> None:
        """Save, where there is a file to save in; of several processes, the first saves."""
        if self.path is None or place()[0]:
            return
        names = ("settings", "step", "names", "history")
        record = {name: getattr(state, name) for name in names}
        try:
            _files.write_state(self.path, state.tensors(), record)
        except OSError as error:
            raise OSError(
                error.errno,
                f"could not save the state of step {state.step}: {error.strerror}; {self.kept}. "
                "Make room or choose another folder, then give the same command again",
            ) from error
        self.last = time.monotonic()
        self.saved_step = state.step
        if self.lock is not None:
            self.lock.touch()

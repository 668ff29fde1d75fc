"""`fit`: the only training loop. Adam, schedules for step size and γ, checkpoints that resume to the same bytes."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab import _files
from vaelab._inputs import check_images, check_positive, check_positive_int, check_seed, check_weight, pick_device
from vaelab.likelihoods import CrossEntropy
from vaelab.models import Autoencoder
from vaelab.posteriors import Point

CHECK_EVERY = 50  # steps between two looks at the loss: on an accelerator each look waits for the queue to empty


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number. Says at which step, and where the last good checkpoint lies."""


@dataclass(frozen=True)
class HalveEvery:
    """Halve the step size every so many epochs, as the paper does (150, 300 or 48 of them)."""

    epochs: int

    def __post_init__(self) -> None:
        check_positive_int("epochs", self.epochs)

    def __call__(self, epoch: float, epochs: int) -> float:
        """The factor at a moment of training, `epoch` of `epochs`."""
        return 0.5 ** (int(epoch) // self.epochs)


@dataclass(frozen=True)
class Cosine:
    """Let the step size fall to zero along half a cosine."""

    def __call__(self, epoch: float, epochs: int) -> float:
        """The factor at a moment of training, `epoch` of `epochs`."""
        return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


@dataclass(frozen=True)
class Anneal:
    """Let γ fall geometrically from `start` to `stop` over a share of the training, then hold it there.

    Start it above the top PCA eigenvalue of the data (no direction is active there, N6) and stop it well above the
    decoder's error: then the eigenvalues of Σ_z split cleanly into 0 and 1.

    >>> Anneal(1.0, 0.01, over=0.5)(0.25), Anneal(1.0, 0.01, over=0.5)(0.9)
    (0.1, 0.01)
    """

    start: float
    stop: float
    over: float = 0.6

    def __post_init__(self) -> None:
        for name in ("start", "stop", "over"):
            check_positive(name, getattr(self, name))

    def __call__(self, progress: float) -> float:
        """γ at a moment of training, `progress` in [0, 1]."""
        share = min(progress / self.over, 1.0)
        return self.start ** (1 - share) * self.stop**share


@dataclass(frozen=True)
class Hold:
    """Keep γ at a value for a share of the training, then let the likelihood's own rule go on.

    Keeps a second stage from collapsing onto its prior before its decoder has learned anything.
    """

    gamma: float
    until: float = 0.5

    def __post_init__(self) -> None:
        check_positive("gamma", self.gamma)

    def __call__(self, progress: float) -> float | None:
        """γ at a moment of training, `progress` in [0, 1]; None once it is free."""
        return self.gamma if progress < self.until else None


@dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Args:
        model: trained, in evaluation mode.
        history: one value an epoch: "nll", "latent", "loss" (means a row, nats), "gamma" (at its end), "lr".
        settings: the arguments of the run, as stored in a checkpoint.
        seconds: wall time of this call.
    """

    model: Autoencoder
    history: dict[str, np.ndarray]
    settings: dict
    seconds: float


def fit(
    model: Autoencoder,
    data: Tensor | Point,
    *,
    epochs: int,
    batch_size: int = 100,
    lr: float = 1e-3,
    schedule: Callable[[float, int], float] | None = None,
    weight_decay: float = 0.0,
    gamma_lr: float = 10.0,
    gamma_schedule: Callable[[float], float | None] | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = True,
    label: str = "training",
) -> Run:
    """Train a model by Adam on the mean of its two loss terms. The data live on the device, in the model's dtype.

    A call that finds its own checkpoint goes on from there and ends, on one machine's CPU, in the same bytes as a call
    that was never stopped.

    Args:
        model: from the catalogue of `vaelab.models`, or built of its parts. Trained in place.
        data: images (n, *image_shape), or posteriors q(z given x) of n images, from which every step draws afresh.
        epochs: passes over the data; the last partial batch of each is dropped.
        batch_size: rows a step (all rows, where there are fewer).
        lr: Adam's step size.
        schedule: factor on `lr` as a function of (epoch, epochs), as `HalveEvery` or `Cosine`.
        weight_decay: weight of ½‖θ‖² on all parameters but γ, as Adam's L2 term.
        gamma_lr: factor on `lr` for log γ where it is learned. Adam moves a parameter by about `lr` a step, so a short
            run needs more than 1; 2 is what the authors' code does, which learns log √γ.
        gamma_schedule: γ as a function of progress in [0, 1], or None where the likelihood's own rule governs.
        seed: of batches and noise.
        device: "auto", "cpu", "cuda", ...
        checkpoint: file to save the state of training in, and to resume from.
        checkpoint_every: seconds between two saves; 0 saves after every epoch and every 50 steps.
        progress: whether to show a bar.
        label: its caption.

    Returns:
        The run; its history goes back to the first epoch also when resumed.

    Raises:
        ValueError, TypeError: data or a setting that cannot be trained on; a checkpoint of another run.
        TrainingDiverged: the loss became NaN or infinite.
        OSError: the checkpoint cannot be written; the last good one is still there.
    """
    started = time.perf_counter()
    device = pick_device(device, next(model.parameters()).dtype)
    check_seed(seed)
    check_positive_int("epochs", epochs), check_positive_int("batch_size", batch_size)
    check_positive("lr", lr), check_positive("gamma_lr", gamma_lr)
    check_weight("weight_decay", weight_decay), check_weight("checkpoint_every", checkpoint_every)
    if gamma_schedule is not None and model.gamma is None:
        raise ValueError("gamma_schedule: this model's likelihood has no γ; expected None")
    model.to(device)
    data = _prepare(model, data, device)
    settings = {
        "epochs": epochs, "batch_size": min(batch_size, len(data)), "lr": lr, "schedule": repr(schedule),
        "weight_decay": weight_decay, "gamma_lr": gamma_lr, "gamma_schedule": repr(gamma_schedule), "seed": seed,
        "n": len(data), "model": model.spec(), "data": _files.digest(_tensors(data)),
    }
    state = _State(model, settings, schedule, gamma_schedule, device)
    keeper = _Keeper(Path(checkpoint) if checkpoint is not None else None, checkpoint_every)
    keeper.resume(state)
    _loop(state, data, keeper, progress, label)
    model.eval()
    return Run(model, {k: np.array(v) for k, v in state.history.items()}, settings, time.perf_counter() - started)


def _prepare(model: Autoencoder, data: Tensor | Point, device: torch.device) -> Tensor | Point:
    dtype = next(model.parameters()).dtype
    if isinstance(data, Point):
        check_images(data.mean, model.image_shape, minimum=2)
        return data.to(device, dtype)
    unit = isinstance(model.likelihood, CrossEntropy)
    return check_images(data, model.image_shape, unit, minimum=2).to(device, dtype)


def _tensors(data: Tensor | Point) -> dict[str, Tensor]:
    return {"x": data} if isinstance(data, Tensor) else dict(vars(data))


class _State:
    """Everything that decides how training goes on: weights, moments, noise, place in the data, history."""

    def __init__(
        self,
        model: Autoencoder,
        settings: dict,
        schedule: Callable[[float, int], float] | None,
        gamma_schedule: Callable[[float], float | None] | None,
        device: torch.device,
    ) -> None:
        self.model, self.settings, self.schedule, self.gamma_schedule = model, settings, schedule, gamma_schedule
        self.generator = torch.Generator(device).manual_seed(settings["seed"])
        self.steps_per_epoch = settings["n"] // settings["batch_size"]
        self.total = self.steps_per_epoch * settings["epochs"]
        self.step = 0
        self.terms: list[Tensor] = []  # (nll, latent) of each step of this epoch
        self.history: dict[str, list[float]] = {"nll": [], "latent": [], "loss": [], "gamma": [], "lr": []}
        gammas = [p for name, p in model.named_parameters() if name == "likelihood.log_gamma"]
        weights = [p for name, p in model.named_parameters() if name != "likelihood.log_gamma"]
        lr, gamma_lr = settings["lr"], settings["lr"] * settings["gamma_lr"]
        groups = [{"params": weights, "weight_decay": settings["weight_decay"], "lr": lr, "full_lr": lr}]
        if gammas:
            groups.append({"params": gammas, "weight_decay": 0.0, "lr": gamma_lr, "full_lr": gamma_lr})
        fused = device.type in ("cpu", "cuda") and all(p.is_floating_point() for p in weights)
        self.optimizer = torch.optim.Adam(groups, fused=fused)

    def set_rates(self) -> None:
        """Set the step size and γ to what the schedules say for this step."""
        if self.schedule is not None:
            factor = self.schedule(self.step / self.steps_per_epoch, self.settings["epochs"])
            for group in self.optimizer.param_groups:
                group["lr"] = factor * group["full_lr"]
        self.hold_gamma()

    def hold_gamma(self) -> None:
        """Set γ to what its schedule says for this step, if it says anything."""
        gamma = self.gamma_schedule(self.step / self.total) if self.gamma_schedule is not None else None
        if gamma is not None:
            self.model.likelihood.gamma = gamma

    def order(self, n: int, device: torch.device) -> Tensor:
        """The order in which this epoch visits the data: a function of seed and epoch alone."""
        epoch = self.step // self.steps_per_epoch
        shuffle = torch.Generator().manual_seed(self.settings["seed"] * 1_000_003 + epoch)
        return torch.randperm(n, generator=shuffle).to(device)

    def end_epoch(self) -> None:
        """Move the steps of the epoch that ends into the history."""
        nll, latent = torch.stack(self.terms).double().mean(0).tolist()
        gamma = self.model.gamma
        values = (nll, latent, nll + latent, math.nan if gamma is None else gamma, self.optimizer.param_groups[0]["lr"])
        for name, value in zip(self.history, values, strict=True):
            self.history[name].append(value)
        self.terms = []

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
        weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
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


class _Keeper:
    """Saves the state of training every so often, and finds it again."""

    def __init__(self, path: Path | None, every: float) -> None:
        self.path, self.every, self.last, self.saved_step = path, every, time.monotonic(), 0
        if path is not None:
            _files.check_writable(path.parent)

    def resume(self, state: _State) -> None:
        """Go on from the checkpoint, if there is one and it is of this run."""
        if self.path is None or not self.path.exists():
            return
        tensors, told = _files.read_state(self.path)
        there, here = told["settings"], _plain(state.settings)
        other = [f"{k}: {there.get(k)!r} there, {v!r} here" for k, v in here.items() if there.get(k) != v]
        if other:
            said = "; ".join(other)
            raise ValueError(f"{self.path} belongs to another run ({said}); use another folder, or delete the file")
        state.load(tensors, told["step"], told["history"])
        self.saved_step = told["step"]

    def due(self) -> bool:
        """Whether it is time to save."""
        return self.path is not None and time.monotonic() - self.last >= self.every

    def save(self, state: _State) -> None:
        """Save, where there is a file to save in."""
        if self.path is None:
            return
        told = {"settings": _plain(state.settings), "step": state.step, "history": state.history}
        try:
            _files.write_state(self.path, state.tensors(), told)
        except OSError as error:
            kept = f"the checkpoint of step {self.saved_step} is intact" if self.saved_step else "none was saved before"
            raise OSError(
                error.errno,
                f"could not save the state of step {state.step}: {error.strerror}; {kept}. "
                "Make room or choose another folder, then give the same command again",
            ) from error
        self.last, self.saved_step = time.monotonic(), state.step


def _plain(settings: dict) -> dict:
    return json.loads(json.dumps(settings))


def _loop(state: _State, data: Tensor | Point, keeper: _Keeper, progress: bool, label: str) -> None:
    from tqdm.auto import tqdm

    state.model.train()
    with tqdm(total=state.total, initial=state.step, desc=label, unit="step", disable=not progress) as bar:
        try:
            _steps(state, data, keeper, bar)
        except KeyboardInterrupt as interrupt:
            where = "; nothing was saved (no checkpoint file was named)"
            if keeper.saved_step:
                where = f"; step {keeper.saved_step} is saved in {keeper.path}, the same call goes on from there"
            interrupt.add_note(f"stopped after step {state.step} of {state.total}{where}")
            raise


def _steps(state: _State, data: Tensor | Point, keeper: _Keeper, bar: Any) -> None:
    size, device, order = state.settings["batch_size"], state.generator.device, None
    with _interrupts_held() as interrupted:
        while state.step < state.total:
            place = state.step % state.steps_per_epoch
            if order is None or place == 0:
                order = state.order(len(data), device)
            _step(state, data[order[place * size : (place + 1) * size]])
            ends = state.step % state.steps_per_epoch == 0
            if ends or state.step % CHECK_EVERY == 0 or interrupted.is_set():
                saves = keeper.due() or state.step == state.total or interrupted.is_set()
                _check_finite(state, keeper, weights=saves)
                bar.update(state.step - bar.n)
                if ends:
                    state.end_epoch()
                    loss, gamma = state.history["loss"][-1], state.history["gamma"][-1]
                    bar.set_postfix({"nats": f"{loss:.4g}", "γ": f"{gamma:.3g}"}, refresh=False)
                if saves:
                    keeper.save(state)
                if interrupted.is_set():
                    raise KeyboardInterrupt


def _step(state: _State, rows: Tensor | Point) -> None:
    state.set_rates()
    x = rows if isinstance(rows, Tensor) else rows.rsample(state.generator)
    terms = torch.stack(state.model.loss_terms(x, state.generator)).mean(1)
    state.optimizer.zero_grad()
    terms.sum().backward()
    state.optimizer.step()
    state.hold_gamma()  # a learned γ has moved with the other parameters
    state.terms.append(terms.detach())
    state.step += 1


@contextlib.contextmanager
def _interrupts_held() -> Iterator[threading.Event]:
    """Hold Ctrl-C back until a step is complete: what is saved then is a state that an unstopped run passes through.

    Only the first one, and only in the main thread, where nobody else handles it.
    """
    interrupted = threading.Event()
    usual = signal.default_int_handler
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is usual

    def hold(*_: Any) -> None:
        signal.signal(signal.SIGINT, usual)
        interrupted.set()

    if ours:
        signal.signal(signal.SIGINT, hold)
    try:
        yield interrupted
    finally:
        if ours:
            signal.signal(signal.SIGINT, usual)


def _check_finite(state: _State, keeper: _Keeper, weights: bool) -> None:
    """Raise if the loss of a step since the last look, or a weight of what is to be saved, is NaN or infinite."""
    recent = state.terms[-CHECK_EVERY:]
    finite = torch.isfinite(torch.stack(recent)).all(1)
    broken = weights and any(not math.isfinite(p.detach().sum()) for p in state.model.parameters())
    if bool(finite.all()) and not broken:
        return
    step = state.step if finite.all() else state.step - len(recent) + int((~finite).int().argmax()) + 1
    if keeper.path is not None and keeper.saved_step:
        good = f"the last good checkpoint is {keeper.path}, of step {keeper.saved_step}"
    else:
        good = "no checkpoint was saved before it"
    raise TrainingDiverged(
        f"the loss is no longer finite at step {step} (epoch {(step - 1) // state.steps_per_epoch + 1}); {good}. "
        "Try a smaller lr, a larger γ to start from, or look for outliers in the data"
    )

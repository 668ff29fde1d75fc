"""The loop itself: one step of Adam after another, until the plan is done or something is wrong."""

from __future__ import annotations

import contextlib
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

from vaelab._inputs import (
    check_choice,
    check_positive,
    check_positive_int,
    check_seed,
    check_weight,
    pick_device,
)
from vaelab._processes import mean_of_all, place
from vaelab.models import Autoencoder
from vaelab.posteriors import Point
from vaelab.training.acceleration import (
    PRECISIONS,
    OutOfMemory,
    accelerated,
    is_out_of_memory,
    largest_batch,
)
from vaelab.training.ensemble import Ensemble, Feeds, feeds
from vaelab.training.feed import Feed, feed
from vaelab.training.parallel import check_share, parallel
from vaelab.training.state import _Keeper, _State

# steps between two looks at the loss: on an accelerator each look waits for the queue to empty
CHECK_EVERY = 50


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number. Says at which step, and where the last good checkpoint
    lies.
    """


@dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Args:
        model: trained, in evaluation mode.
        history: one value an epoch: "nll", "latent", "loss" (means a row, nats), "gamma" (at its
            end), "lr".
        settings: the arguments of the run, as stored in a checkpoint.
        seconds: wall time of this call.
        saved: (γ, a copy of the model) as `keep_every` asks for, of this call alone, on the CPU in
            evaluation mode.
    """

    model: Autoencoder
    history: dict[str, np.ndarray]
    settings: dict
    seconds: float
    saved: tuple[tuple[float | None, Autoencoder], ...] = ()


def fit(
    model: Autoencoder,
    data: Tensor | Point,
    *,
    epochs: int,
    batch_size: int = 100,
    lr: float = 1e-3,
    schedule: Callable[[float, int], float] | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    gamma_lr: float = 10.0,
    gamma_schedule: Callable[[float], float | None] | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
    progress: bool = True,
    label: str = "training",
    flip: bool = False,
    precision: str = "float32",
    compile: bool = False,
    keep_every: int = 0,
) -> Run:
    """Train a model by Adam on the mean of its two loss terms. The data live on the device, as
    bytes if they once were.

    A call that finds its own checkpoint goes on from there and ends, on one machine's CPU, in the
    same bytes as a call that was never stopped.

    In a process group (`torchrun`, `torch.distributed.init_process_group`) every process makes the
    same call, takes an equal share of each batch, and ends with the same model; the costs are those
    of one process, up to rounding. The first saves, and any number of processes can resume what it
    saved.

    Args:
        model: from the catalogue of `vaelab.models`, or built of its parts. Trained in place.
        data: images (n, *image_shape), or posteriors q(z given x) of n images, from which every
            step draws afresh.
        epochs: passes over the data; the last partial batch of each is dropped.
        batch_size: rows a step (all rows, where there are fewer).
        lr: Adam's step size.
        schedule: factor on `lr` as a function of (epoch, epochs), as `HalveEvery` or `Cosine`.
        betas: Adam's memory for the gradient and for its square. Where γ falls fast the gradients
            grow fast, and a second one of 0.99 keeps up with them.
        weight_decay: weight of ½‖θ‖² on all parameters but γ, as Adam's L2 term.
        gamma_lr: factor on `lr` for log γ where it is learned. Adam moves a parameter by about `lr`
            a step, so a short run needs more than 1; 2 is what the authors' code does, which learns
            log √γ.
        gamma_schedule: γ as a function of progress in [0, 1], or None where the likelihood's own
            rule governs.
        seed: of batches and noise.
        device: "auto", "cpu", "cuda", ...
        checkpoint: file to save the state of training in, and to resume from.
        checkpoint_every: seconds between two saves; 0 saves after every epoch and every 50 steps.
        progress: whether to show a bar.
        label: its caption.
        flip: whether to mirror each image, left to right, with probability ½ each time it is met.
        precision: "float32" (or the model's own float64); "tf32", NVIDIA's faster products; or
            "bfloat16" for encoder and decoder, with everything else as it was: an error of about
            2⁻⁹ a pixel, so γ cannot fall below 1e-6.
        compile: whether to run encoder and decoder through torch.compile, on CUDA as CUDA graphs.
            Takes a minute to start, and a C++ compiler on the CPU. What else was compiled in this
            process is compiled anew afterwards.
        keep_every: epochs between two copies of the model for `Run.saved`, the last epoch's too; 0
            for none.

    Returns:
        The run; its history goes back to the first epoch also when resumed.

    Raises:
        ValueError, TypeError: data or a setting that cannot be trained on; a checkpoint of another
            run.
        TrainingDiverged: the loss became NaN or infinite.
        OutOfMemory: the device's memory is too small; says which batch would fit.
        OSError: the checkpoint cannot be written; the last good one is still there.
    """
    started = time.perf_counter()
    device = pick_device(device, next(model.parameters()).dtype)
    if not isinstance(model, Ensemble):
        check_seed(seed)
    check_positive_int("epochs", epochs), check_positive_int("batch_size", batch_size)
    check_positive("lr", lr), check_positive("gamma_lr", gamma_lr)
    check_weight("weight_decay", weight_decay), check_weight("checkpoint_every", checkpoint_every)
    if keep_every:
        check_positive_int("keep_every", keep_every)
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas: expected two numbers in [0, 1), got {betas!r}")
    if gamma_schedule is not None and model.gamma is None:
        raise ValueError("gamma_schedule: this model's likelihood has no γ; expected None")
    check_choice("precision", precision, PRECISIONS)
    model.to(device)
    rows, digest = _feed(model, data, device, flip)
    check_share(model, min(batch_size, len(rows)), device)
    settings = {
        "epochs": epochs,
        "batch_size": min(batch_size, len(rows)),
        "lr": lr,
        "schedule": repr(schedule),
        "betas": list(betas),
        "weight_decay": weight_decay,
        "gamma_lr": gamma_lr,
        "gamma_schedule": repr(gamma_schedule),
        "seed": seed,
        "n": len(rows),
        "model": model.spec(),
        "data": digest,
        "flip": flip,
        "precision": precision,
        "compile": compile,
    }
    state = _State(model, settings, schedule, gamma_schedule, device)
    keeper = _Keeper(Path(checkpoint) if checkpoint is not None else None, checkpoint_every)
    keeper.resume(state)
    state.keep_every = keep_every
    with (
        accelerated(model, device, precision, compile),
        parallel(model, device) as state.loss_terms,
    ):
        _loop(state, rows, keeper, progress and place()[0] == 0, label)
    model.eval()
    history = {k: np.array(v) for k, v in state.history.items()}
    return Run(model, history, settings, time.perf_counter() - started, tuple(state.saved))


def _feed(
    model: Autoencoder, data: Tensor | Point, device: torch.device, flip: bool
) -> tuple[Feed | Feeds, str]:
    try:
        return (feeds if isinstance(model, Ensemble) else feed)(model, data, device, flip)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"the data do not fit into the memory of {device} ({str(error).splitlines()[0]}); "
            "pass fewer or smaller images, or close what else uses the device"
        ) from error


def _loop(state: _State, data: Feed | Feeds, keeper: _Keeper, progress: bool, label: str) -> None:
    from tqdm.auto import tqdm

    state.model.train()
    with tqdm(
        total=state.total, initial=state.step, desc=label, unit="step", disable=not progress
    ) as bar:
        try:
            _steps(state, data, keeper, bar)
        except KeyboardInterrupt as interrupt:
            where = "; nothing was saved (no checkpoint file was named)"
            if keeper.saved_step:
                where = (
                    f"; step {keeper.saved_step} is saved in {keeper.path}, the same call "
                    "goes on from there"
                )
            interrupt.add_note(f"stopped after step {state.step} of {state.total}{where}")
            raise


def _steps(state: _State, data: Feed | Feeds, keeper: _Keeper, bar: Any) -> None:
    size, device, order = state.settings["batch_size"], state.generator.device, None
    rank, processes = place()
    own = slice(rank * size // processes, (rank + 1) * size // processes)  # of each batch
    with _interrupts_held() as interrupted:
        while state.step < state.total:
            at = state.step % state.steps_per_epoch
            if order is None or at == 0:
                order = state.order(len(data), device)
            rows = order[..., at * size : (at + 1) * size][..., own]
            problem = _try_step(state, data, rows)
            if problem:  # out here, where the failed step's memory is free again
                raise OutOfMemory(_advice(state, data, rows, problem))
            ends = state.step % state.steps_per_epoch == 0
            if ends or state.step % CHECK_EVERY == 0 or interrupted.is_set():
                saves = keeper.due() or state.step == state.total or interrupted.is_set()
                _check_finite(state, keeper, weights=saves)
                bar.update(state.step - bar.n)
                if ends:
                    state.end_epoch()
                    state.keep()
                    loss, gamma = (np.mean(state.history[name][-1]) for name in ("loss", "gamma"))
                    bar.set_postfix({"nats": f"{loss:.4g}", "γ": f"{gamma:.3g}"}, refresh=False)
                if saves:
                    keeper.save(state)
                if interrupted.is_set():
                    raise KeyboardInterrupt


def _try_step(state: _State, data: Feed | Feeds, rows: Tensor) -> str:
    """Take a step; what torch said if memory did not suffice for it, else nothing."""
    try:
        _step(state, data.batch(rows, state.generator))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return str(error).splitlines()[0]
    return ""


def _step(state: _State, x: Tensor) -> None:
    state.set_rates()
    if state.settings["compile"]:
        torch.compiler.cudagraph_mark_step_begin()
    terms = torch.stack(state.loss_terms(x, state.generator)).mean(-1)
    state.optimizer.zero_grad()
    terms.sum().backward()
    state.optimizer.step()
    state.hold_gamma()  # a learned γ has moved with the other parameters
    state.terms.append(mean_of_all(terms.detach()))
    state.step += 1


def _advice(state: _State, data: Feed | Feeds, rows: Tensor, problem: str) -> str:
    size, where = rows.shape[-1], state.generator.device
    if isinstance(state.model, Ensemble):
        together = len(state.model.seeds)
        problem = (
            f"a batch of {size} for each of {together} models at step {state.step + 1} ({problem})"
        )
        fewer = (
            f"fewer of them together, such as {together // 2}"
            if together > 1
            else "with a smaller batch_size"
        )
        return f"{where} has too little memory for {problem}; train {fewer}"
    fits = largest_batch(state.model, state.optimizer, data.batch(rows, state.generator))
    advice = (
        f"batch_size={fits} fits"
        if fits
        else "not even two rows fit: choose smaller networks or another device"
    )
    return (
        f"{where} has too little memory for a batch of {size} at step {state.step + 1} "
        f"({problem}); {advice}"
    )


@contextlib.contextmanager
def _interrupts_held() -> Iterator[threading.Event]:
    """Hold Ctrl-C back until a step is complete: what is saved then is a state that an unstopped
    run passes through.

    Only the first one, and only in the main thread, where nobody else handles it.
    """
    interrupted = threading.Event()
    usual = signal.default_int_handler
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is usual
    )

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
    """Raise if the loss of a step since the last look, or a weight of what is to be saved, is NaN
    or infinite.
    """
    recent = state.terms[-CHECK_EVERY:]
    finite_terms = torch.isfinite(torch.stack(recent))
    finite = finite_terms.flatten(1).all(1)
    broken = weights and any(not math.isfinite(p.detach().sum()) for p in state.model.parameters())
    if bool(finite.all()) and not broken:
        return
    whose = _whose(state, finite_terms)
    step = (
        state.step if finite.all() else state.step - len(recent) + int((~finite).int().argmax()) + 1
    )
    if keeper.path is not None and keeper.saved_step:
        good = f"the last good checkpoint is {keeper.path}, of step {keeper.saved_step}"
    else:
        good = "no checkpoint was saved before it"
    raise TrainingDiverged(
        f"the loss{whose} is no longer finite at step {step} (epoch "
        f"{(step - 1) // state.steps_per_epoch + 1}); "
        f"{good}. Try a smaller lr, a larger γ to start from, or look for outliers in the data"
    )


def _whose(state: _State, finite: Tensor) -> str:
    """Of which model the loss (steps, 2, S) is not finite, where several are trained together."""
    if not isinstance(state.model, Ensemble):
        return ""
    broken = [i for i, ok in enumerate(finite.all(0).all(0).tolist()) if not ok]
    names = ", ".join(f"{i} (seed {state.model.seeds[i]})" for i in broken)
    return f" of model {names}" if names else ""

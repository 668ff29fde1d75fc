"""The loop itself: one step of Adam after another, until the plan is done or something is wrong."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vaelab._inputs import pick_device, shown
from vaelab._memory import is_out_of_memory, kept_memory
from vaelab._processes import mean_of_all
from vaelab._signals import interrupts_held
from vaelab.parts import Module, account, as_data
from vaelab.training.acceleration import OutOfMemory, accelerated, chosen
from vaelab.training.batches import Batches, Given, feed, share
from vaelab.training.parallel import BATCH_NORM, check_shared, parallel
from vaelab.training.plan import (
    BetaSchedule,
    Callback,
    GammaSchedule,
    Plan,
    Schedule,
    Session,
    check_plan,
)
from vaelab.training.progress import Progress
from vaelab.training.state import Keeper, State
from vaelab.training.validation import HeldOut, split

CHECK_EVERY = 50  # Steps between two looks at the loss: on a GPU each look waits for its queue.


class TrainingDiverged(RuntimeError):
    """The loss is no longer a finite number. Says at which step, and where the last good checkpoint
    lies.
    """


@dataclass(frozen=True)
class Run:
    """What a training run leaves.

    Args:
        model: trained, in evaluation mode.
        history: one value an epoch: each term of the objective by its name ("nll", "kl", …) and
            their sum "loss" (means a row, nats), "validation" (the same sum for rows held out, if
            any are, with the whole β), "gamma" (at its end), "lr".
        settings: the arguments of the run, as stored in a checkpoint.
        seconds: wall time of this call.
        saved: (γ, a copy of the model) as `keep_every` asks for, of this call alone, on the CPU in
            evaluation mode.
    """

    model: nn.Module
    history: dict[str, np.ndarray]
    settings: dict[str, Any]
    seconds: float
    saved: tuple[tuple[float | None, nn.Module], ...] = ()


def step(state: State, x: Tensor | Given) -> None:
    """One step of Adam on the mean over a batch of the sum of all terms."""
    state.set_rates()
    if state.settings["compile"]:
        torch.compiler.cudagraph_mark_step_begin()
    terms = state.loss_terms(x, state.batches.generator)
    for parameter in state.parameters:
        parameter.grad = None  # As `zero_grad` does, which costs a small model a percent.
    functools.reduce(torch.add, terms.values()).mean(-1).sum().backward()
    state.optimizer.advance()
    state.hold_gamma()  # A learned γ has moved with the other parameters.
    state.names = list(terms)
    nats = torch.stack([term.detach() for term in terms.values()])
    state.terms.append(mean_of_all(nats.mean(-1)))
    state.step += 1


def fit(
    model: nn.Module,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    lr: float = 1e-3,
    schedule: Schedule | None = None,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    gamma_lr: float = 10.0,
    gamma_schedule: GammaSchedule | None = None,
    beta_schedule: BetaSchedule | None = None,
    seed: int = 0,
    flip: bool = False,
    keep_every: int = 0,
    validation: Any = None,
    patience: int | None = None,
    device: str | torch.device = "auto",
    precision: str = "float32",
    compile: bool = False,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = 60.0,
    label: str = "training",
    callback: Callback | None = None,
) -> Run:
    """Train a model by Adam on the mean of the sum of its terms. The data live on the device, as
    bytes if they once were; or they are read a batch at a time, if they come as an `np.memmap`, a
    map-style `Dataset` or a `DataLoader`.

    A call that finds its own checkpoint goes on from there and ends, on one machine's CPU, in the
    same bytes as a call that was never stopped. Ctrl-C or SIGTERM end the step and save first.

    In a process group (`torchrun`, `torch.distributed.init_process_group`) every process makes the
    same call, takes an equal share of each batch, and ends with the same model; the costs are those
    of one process, up to rounding. The first saves, and any number of processes can resume what it
    saved.

    Args:
        model: from the catalogue of `vaelab.models`, or built of its parts, or any module with
            `loss_terms(x, generator)`, which gives named terms in nats a row. Trained in place.
        data: images (n, *image_shape), floating point or bytes (pixels 0 to 255): a tensor, an
            array, a list, a `TensorDataset`. Or posteriors q(z given x) of n images, from which
            every step draws afresh. Or rows larger than memory: an `np.memmap`; a `Dataset`, whose
            items are an image or begin with one, the same each time; a `DataLoader`, of which the
            data set is used, not the workers: the order follows from the seed. Or images and what
            is given with each, as `Given`, for a model that takes them (`models.Conditional`).
        epochs: passes over the data; the last partial batch of each is dropped.
        batch_size: rows a step (all rows, where there are fewer); a loader's own, or 100, unless
            given.
        lr: Adam's step size; a part may have its own (γ, a discriminator).
        schedule: factor on `lr` as a function of (epoch, epochs), as `HalveEvery` or `Cosine`.
        betas: Adam's memory for the gradient and for its square. Where γ falls fast the gradients
            grow fast, and a second one of 0.99 keeps up with them.
        weight_decay: weight of ½‖θ‖² on all parameters but those of parts that say otherwise, such
            as γ, as Adam's L2 term.
        gamma_lr: factor on `lr` for log γ where it is learned. Adam moves a parameter by about `lr`
            a step, so a short run needs more than 1; 2 is what the authors' code does, which learns
            log √γ.
        gamma_schedule: γ as a function of progress in [0, 1], or None where the likelihood's own
            rule governs.
        beta_schedule: factor on the β of the KL as a function of progress in [0, 1], as
            `Ramp`, or None for the whole of it throughout.
        seed: of batches and noise.
        flip: whether to mirror each image, left to right, with probability ½ each time it is met.
        keep_every: epochs between two copies of the model for `Run.saved`, the last epoch's too; 0
            for none.
        validation: a share of the rows to hold out, drawn with the seed, or images to hold out:
            their loss is "validation" in the history. Never the test images.
        patience: stop when so many epochs have passed since the lowest validation loss; the model
            is that of the last epoch.
        device: "auto", "cpu", "cuda", ...
        precision: "float32" (or the model's own float64); "tf32", NVIDIA's faster products; or
            "bfloat16" for encoder and decoder, with everything else as it was: an error of about
            2⁻⁹ a pixel, so γ cannot fall below 1e-6; or "auto", bfloat16 for convolutions on a
            processor with AMX and float32 elsewhere.
        compile: whether to run encoder and decoder through torch.compile, on CUDA as CUDA graphs.
            Takes a minute to start, and a C++ compiler on the CPU. What else was compiled in this
            process is compiled anew afterwards.
        progress: whether to show a bar, or, where standard error is no terminal, a line a minute.
        checkpoint: file to save the state of training in, and to resume from. It holds the names
            of schedules, so they cannot be lambdas then.
        checkpoint_every: seconds between two saves; 0 saves after every epoch and every 50 steps.
        label: caption of the bar.
        callback: called after each epoch with the run so far, the epoch's number from 1, and its
            values by name.

    Returns:
        The run; its history goes back to the first epoch also when resumed.

    Raises:
        ValueError, TypeError: data or a setting that cannot be trained on; a checkpoint of another
            run.
        TrainingDiverged: the loss became NaN or infinite.
        OutOfMemory: the device's memory is too small; says which batch would fit.
        OSError: the checkpoint cannot be written; the last good one is still there. Or another
            process trains there now.
    """
    arguments = locals()
    if batch_size is None:
        arguments["batch_size"] = getattr(data, "batch_size", None) or 100
    images = None if isinstance(validation, Real) else validation
    if images is not None:
        del arguments["validation"]
    return fit_plan(model, data, Plan.of(arguments), Session.of(arguments), images)


def fit_plan(
    model: nn.Module,
    data: Any,
    plan: Plan,
    session: Session | None = None,
    validation: Any = None,
) -> Run:
    """`fit`, with its arguments as two objects; `validation` are images, a share is the plan's."""
    check_trainable(model)
    session = check_plan(plan, session)
    device = pick_device(session.device, next(model.parameters()).dtype)
    model.to(device)
    rows = feed(model, data, device, plan.flip)
    held = None if validation is None else feed(model, validation, device)
    if plan.validation is not None:
        if held is not None:
            raise ValueError("validation: expected a share or held-out images, got both")
        rows, held = split(rows, plan.validation, plan.seed)
    if held is None and plan.patience is not None:
        raise ValueError("patience: expected None without held-out rows; pass validation=0.1 too")
    size = min(plan.batch_size, len(rows))
    held_out = None if held is None else HeldOut(held, device, plan.seed, size)
    check_shared(model, size, device)
    batches = Batches(rows, device, plan.seed, share(device, plan.seed))
    return run(model, batches, plan, session, kind(model), held_out)


def check_trainable(model: Any) -> None:
    """Raise unless it is what `fit` trains."""
    if not (isinstance(model, nn.Module) and hasattr(model, "loss_terms")):
        raise TypeError(
            "model: expected one of vaelab.models, or a module with loss_terms(x, generator), got "
            f"{shown(model)}"
        )


def kind(model: nn.Module) -> dict[str, Any]:
    """What a checkpoint says of the model: its account, or its class and the shapes of its
    weights.
    """
    if isinstance(model, Module):
        with contextlib.suppress(TypeError):  # Networks made by hand.
            return account(model)
    shapes = {name: list(value.shape) for name, value in model.state_dict().items()}
    return {"class": type(model).__name__, "shapes": shapes}


def run(
    model: nn.Module,
    batches: Batches,
    plan: Plan,
    session: Session,
    made: dict[str, Any],
    held_out: HeldOut | None = None,
) -> Run:
    """Train what has `loss_terms` on batches that are on its device."""
    started = time.perf_counter()
    if plan.gamma_schedule is not None and getattr(model, "gamma", None) is None:
        raise ValueError("gamma_schedule: this model's likelihood has no γ; expected None")
    batch_size = min(plan.batch_size, len(batches))
    if batch_size < 2 and any(isinstance(layer, BATCH_NORM) for layer in model.modules()):
        raise ValueError(
            f"batch_size: expected at least 2 rows, as batch normalisation needs, got {batch_size}"
        )
    settings: dict[str, Any] = {
        **plan.settings(),
        "batch_size": batch_size,
        "seed": batches.seed,
        "n": len(batches),
        "model": made,
        "data": batches.digest(),
        "precision": chosen(session.precision, model, batches.device),
        "compile": session.compile,
    }
    if held_out is not None and plan.validation is None:
        settings["validation"] = held_out.rows.digest()
    state = State(model, batches, plan, as_data(settings, "settings"), held_out)
    keeper = Keeper(session)
    with (
        keeper.held(),
        kept_memory(),
        accelerated(model, batches.device, settings["precision"], session.compile),
        parallel(model, batches.device) as state.loss_terms,
    ):
        keeper.resume(state)
        _loop(state, keeper, session)
    model.eval()
    return _run_so_far(state, started)


def _run_so_far(state: State, started: float) -> Run:
    history = {name: np.array(values) for name, values in state.history.items()}
    seconds = time.perf_counter() - started
    return Run(state.model, history, state.settings, seconds, tuple(state.copies))


def _loop(state: State, keeper: Keeper, session: Session) -> None:
    state.model.train()
    started = time.perf_counter()
    progress = Progress(state, session)
    try:
        with interrupts_held() as interrupted:
            while not state.is_done:
                _try_step(state, keeper)
                stops = interrupted.is_set()
                ends_epoch = state.step % state.steps_per_epoch == 0
                looks = ends_epoch or state.step % CHECK_EVERY == 0
                if stops or looks or progress.due():
                    _look(state, keeper, progress, stops)
                if ends_epoch and session.callback is not None:
                    _call(session.callback, state, started)
                if stops:
                    raise KeyboardInterrupt
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"stopped after step {state.step} of {state.total}; {keeper.kept}")
        raise
    finally:
        progress.close()
        state.release_beta()


def _try_step(state: State, keeper: Keeper) -> None:
    rows = state.rows()
    try:
        step(state, state.batches.batch(rows))
        return
    except RuntimeError as error:
        if not is_out_of_memory(error):
            _check_finite(state, keeper, weights=True)  # Some layers refuse NaN.
            raise
        problem = str(error).splitlines()[0]
    fits = _largest_batch(state, rows)  # The memory of the failed step is free again.
    advice = "not even two rows fit: choose smaller networks or another device"
    if fits:
        advice = f"batch_size={fits} fits"
    raise OutOfMemory(
        f"{state.batches.device} has too little memory for a batch of {rows.shape[-1]} at step "
        f"{state.step + 1} ({problem}); {advice}{state.batches.hint}"
    )


def _largest_batch(state: State, rows: Tensor) -> int | None:
    """The largest half, quarter, … of a batch that one step has memory for, found by trying; None
    if not even 2 rows. The model's running statistics move.
    """
    without_moments = [] if state.optimizer.state else state.parameters
    n = rows.shape[-1] // 2
    while n >= 2:
        torch.cuda.empty_cache()
        try:
            moments = [torch.empty_like(p) for p in without_moments for _ in range(2)]
            x = state.batches.batch(rows[..., :n])
            terms = state.model.loss_terms(x, state.batches.generator)
            functools.reduce(torch.add, terms.values()).mean().backward()
            del moments
            return n
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        finally:
            state.optimizer.zero_grad()
        n //= 2
    return None


def _look(state: State, keeper: Keeper, progress: Progress, stops: bool) -> None:
    """Look at the loss, tell of it, and save where it is time to."""
    saves = stops or keeper.due()
    ends_epoch = state.step % state.steps_per_epoch == 0
    is_used = state.step == state.total or (ends_epoch and state.held_out is not None)
    _check_finite(state, keeper, weights=saves or is_used)
    if ends_epoch:
        state.end_epoch()
        state.keep()
    progress.show(state)
    if saves or state.is_done:
        keeper.save(state)


def _call(callback: Callback, state: State, started: float) -> None:
    values = {name: series[-1] for name, series in state.history.items()}
    model = state.model.eval()
    autocast, model.autocast = getattr(model, "autocast", None), None
    callback(_run_so_far(state, started), state.epoch, values)
    model.train().autocast = autocast


def _check_finite(state: State, keeper: Keeper, weights: bool) -> None:
    """Raise if the loss of a step since the last look, or a weight of what is to be saved, is NaN
    or infinite.
    """
    recent = state.terms[-CHECK_EVERY:] or [torch.zeros(1, 1)]
    terms = torch.isfinite(torch.stack(recent))
    finite = [*terms.flatten(1).all(1).tolist(), False]
    broken = weights and any(not math.isfinite(p.detach().sum()) for p in state.parameters)
    if all(finite[:-1]) and not broken:
        return
    number = min(state.step - len(recent) + 1 + finite.index(False), state.step)
    epoch = (number - 1) // state.steps_per_epoch + 1
    raise TrainingDiverged(
        f"the loss{state.batches.whose(terms)} is no longer finite at step {number} (epoch "
        f"{epoch}); {keeper.kept}. Try a smaller lr, a larger γ to start from, or look for "
        "outliers in the data"
    )

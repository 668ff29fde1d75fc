"""What a run says of itself: a bar where somebody watches, a line a minute in a log."""

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vaelab import models, networks, training
from vaelab._bars import bar_of
from vaelab.training import progress
from vaelab.training.progress import Progress, duration


@pytest.fixture
def clock(monkeypatch):
    """Seconds, which pass when a test says so, in `clock.now`."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", clock)
    return clock


def lines(capsys):
    """What was written to a log meanwhile."""
    return capsys.readouterr().err.splitlines()


def state_of(step, total=1000, history=None, gamma=0.5):
    return SimpleNamespace(
        step=step,
        total=total,
        steps_per_epoch=10,
        epoch=step // 10,
        plan=SimpleNamespace(epochs=total // 10),
        history=history or {},
        newest=lambda name: float(np.mean(history[name][-1])),
        terms=[torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])],
        model=SimpleNamespace(gamma=gamma),
    )


def test_a_log_has_one_line_a_minute_with_epoch_loss_gamma_and_time_left(clock, capsys):
    log = Progress(state_of(0), training.Session(label="first stage"))
    for second in range(0, 301, 20):
        clock.now = float(second)
        log.show(state_of(second, history={"loss": [9.0, -12.345], "gamma": [1.0, 0.01234]}))
    written = lines(capsys)
    assert len(written) == 5
    assert written[0] == (
        "first stage: epoch 7 of 100, loss -12.35 nats, γ 0.0123, 16 min left"
    )  # 940 steps at a second each
    assert written[-1].endswith("epoch 31 of 100, loss -12.35 nats, γ 0.0123, 12 min left")


def test_the_time_left_is_that_of_the_steps_of_this_call_alone(clock, capsys):
    log = Progress(state_of(900), training.Session(label="resumed"))
    clock.now = 60.0
    log.show(state_of(930, history={"loss": [1.0], "gamma": [1.0]}))
    assert lines(capsys)[0].endswith(", 2 min left")  # 70 steps of 2 seconds.


def test_a_log_speaks_before_an_epoch_has_ended_and_of_models_without_gamma(clock, capsys):
    log = Progress(state_of(0), training.Session())
    assert not log.due()
    clock.now = 61.0
    assert log.due()
    log.show(state_of(2, gamma=None))
    assert "epoch 1 of 100, loss 5 nats, γ –, " in lines(capsys)[0]  # The mean of 1 + 2 and 3 + 4.
    assert not log.due()


@pytest.mark.parametrize("label", ["first stage", "second stage"])
def test_the_loop_writes_lines_where_standard_error_is_no_terminal(label, capsys, monkeypatch):
    monkeypatch.setattr(progress, "MINUTE", 0.0)
    with networks.seeded(0):
        model = models.vae(networks.mlp(3, 2, (4,)))
    training.fit(model, torch.randn(20, 3), epochs=2, batch_size=10, device="cpu", label=label)
    said = lines(capsys)
    assert len(said) == 4 and all(line.startswith(f"{label}: epoch ") for line in said)
    assert "\r" not in "".join(said) and "0 s left" in said[-1]


def test_a_short_run_leaves_nothing_in_a_log(capsys):
    with networks.seeded(0):
        model = models.vae(networks.mlp(3, 2, (4,)))
    training.fit(model, torch.randn(20, 3), epochs=2, device="cpu")
    assert capsys.readouterr().err == ""


def test_a_terminal_and_a_notebook_have_a_bar(monkeypatch):
    class Notebook:
        def isatty(self):
            return False

    Notebook.__module__ = "ipykernel.iostream"
    session = training.Session(label="a label")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert progress.is_watched()
    bar = Progress(state_of(0), session)
    assert not bar.bar.disable and not bar.logs
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert not progress.is_watched()
    log = Progress(state_of(0), session)
    assert log.bar.disable and log.logs
    monkeypatch.setattr(sys, "stderr", Notebook())
    assert progress.is_watched()


def test_a_side_errand_writes_no_bar_into_a_log_within_its_first_minute(monkeypatch, capsys):
    def errand():
        bar = bar_of(20, "reading pictures", delay=0)
        for _ in range(20):
            bar.set_description("again", refresh=False)
            bar.update()
            time.sleep(0.01)
        bar.close()
        return capsys.readouterr().err

    assert errand() == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "20" in errand()


def test_times_are_told_in_two_places():
    assert [duration(s) for s in (0, 99, 100, 3569, 3599, 48 * 3600)] == [
        "0 s",
        "99 s",
        "2 min",
        "59 min",
        "1 h 0 min",
        "2 d 0 h",
    ]

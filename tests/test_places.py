"""Two processes in one place: who holds it, and whose files may be cleared away."""

import contextlib
import errno
import functools
import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from vaelab import _files, models, networks, training

X = torch.rand(40, 4, generator=torch.Generator().manual_seed(0))


def train(path):
    model = models.vae(networks.mlp(4, latent_dim=2, hidden=(4,)))
    settings = {"epochs": 1, "batch_size": 10, "progress": False, "device": "cpu"}
    return training.fit(model, X, checkpoint=path, **settings)


@pytest.fixture
def dead():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def partial(folder, mark):
    path = folder / f".model.{mark}{_files._PARTIAL}"
    path.write_text("half")
    return path


def test_files_that_a_living_process_is_writing_stay(tmp_path, dead):
    mine, theirs = f"{os.getpid()}@{_files._MACHINE}", f"1@elsewhere{_files._MACHINE}"
    kept = [partial(tmp_path, mine), partial(tmp_path, theirs)]
    gone = [partial(tmp_path, f"{dead}@{_files._MACHINE}"), partial(tmp_path, f"2@x{theirs[2:]}")]
    os.utime(gone[1], (0, time.time() - 3600))
    _files.check_writable(tmp_path)
    assert all(path.exists() for path in kept) and not any(path.exists() for path in gone)


def test_a_place_that_is_held_names_its_holder(tmp_path):
    path = tmp_path / "state"
    held = pytest.raises(BlockingIOError, match=f"held by process {os.getpid()} on ")
    with _files.held(path), held:
        train(path)
    run = train(path)
    assert run.history["loss"].shape == (1,) and not list(tmp_path.glob(".*lock"))


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path, dead):
    path = tmp_path / "state"
    lock = tmp_path / ".state.vaelab-lock"
    lock.write_text(f"{dead}@{_files._MACHINE}")
    train(path)
    assert not lock.exists() and path.exists()
    lock.write_text("7@another-machine")
    with pytest.raises(BlockingIOError, match="process 7 on another-machine"):
        train(path)
    os.utime(lock, (0, time.time() - 3600))
    train(path)


def test_of_two_that_meet_a_dead_holder_one_takes_over(tmp_path, dead, monkeypatch):
    """The first has seen that the holder is dead when the second comes, and acts half a second
    after.
    """
    (tmp_path / ".state.vaelab-lock").write_text(f"{dead}@{_files._MACHINE}")
    alive, asked, done, inside = _files._is_alive, threading.Event(), threading.Event(), []

    def slowly(*args):
        found = alive(*args)
        if not asked.is_set():
            asked.set()
            time.sleep(0.5)
        return found

    def enter():
        with contextlib.suppress(BlockingIOError), _files.held(tmp_path / "state"):
            inside.append(threading.current_thread())
            done.wait(2)

    monkeypatch.setattr(_files, "_is_alive", slowly)
    both = [threading.Thread(target=enter) for _ in range(2)]
    both[0].start()
    asked.wait()
    both[1].start()
    time.sleep(1.5)
    done.set()
    for thread in both:
        thread.join()
    assert len(inside) == 1 and not list(tmp_path.glob(".*lock"))


def test_the_folder_of_a_place_is_made_where_it_was_removed(tmp_path):
    with _files.held(tmp_path / "removed" / "stage1.state.safetensors") as lock:
        assert lock.exists()


def test_a_checkpoint_that_was_removed_is_not_called_intact(tmp_path, monkeypatch):
    def fails(*_):
        raise FileNotFoundError(errno.ENOENT, "no folder")

    model = models.vae(networks.mlp(3, latent_dim=2))
    fit = functools.partial(training.fit, model, torch.zeros(4, 3), epochs=2, progress=False)
    write = _files.write_state
    each = iter([write, fails])
    monkeypatch.setattr(_files, "write_state", lambda *args: next(each)(*args))
    remove = lambda *_: (tmp_path / "state").unlink(missing_ok=True)  # noqa: E731
    with pytest.raises(OSError, match="the checkpoint of step 1 was removed meanwhile"):
        fit(checkpoint=tmp_path / "state", checkpoint_every=0, callback=remove)


def test_the_place_is_free_again_after_a_failure(tmp_path):
    path = tmp_path / "state"
    with pytest.raises(RuntimeError), _files.held(path):
        raise RuntimeError
    train(path)

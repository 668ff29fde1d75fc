"""What every test starts from."""

import gc
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

# A shell that starts the tests in the background has them ignore Ctrl-C; the tests of interruption
# want it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """What is longest is long too. The targets come first, so that no process waits for another at
    the end.
    """
    for item in items:
        if item.get_closest_marker("longest"):
            item.add_marker("long")
    items.sort(key=lambda item: "test_targets" not in item.nodeid)


def pytest_collection_finish():
    """What the imports made stays to the end; no collection of garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    """Networks that a test makes without a seed start alike in every run; SEED takes others."""
    seed = int(os.environ.get("SEED", "0"))
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


@pytest.fixture
def one_thread():
    """The same floats on every number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_root():
    """The folder with the real MNIST and Fashion-MNIST, or None where they are not at hand."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    for root in (os.environ.get("VAELAB_DATA"), beside):
        if root and all(
            (Path(root) / folder / "raw").is_dir() for folder in ("MNIST", "FashionMNIST")
        ):
            return Path(root)
    return None

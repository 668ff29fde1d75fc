"""What every test starts from."""

import os
import signal
from pathlib import Path

import pytest
import torch

# A shell that starts the tests in the background has them ignore Ctrl-C; the tests of interruption
# want it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)


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

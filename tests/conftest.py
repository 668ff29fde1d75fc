"""What every test starts from."""

import signal

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

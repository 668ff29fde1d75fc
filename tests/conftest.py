"""What every test starts from."""

import signal

# A shell that starts the tests in the background has them ignore Ctrl-C; the tests of interruption want it heard.
signal.signal(signal.SIGINT, signal.default_int_handler)

"""Distinguishes a real Ctrl-C from a KeyboardInterrupt that an action raises."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_ctrl_c(handle: Callable[[], None]) -> Iterator[None]:
    """Call ``handle`` at each Ctrl-C in the block, instead of raising KeyboardInterrupt in this, the main thread.

    Nothing changes in other threads, or if the application handles the signal itself.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: handle())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)

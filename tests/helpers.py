"""What several test modules share."""

import threading
import time
from contextlib import contextmanager


def wait_for(what, timeout=10.0):
    """Poll until ``what()`` is true and return its value; fail after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"nothing after {timeout} s"
        time.sleep(0.002)


@contextmanager
def running(scheduler):
    """Run any scheduler beside the test: a plain one in a thread that the test owns."""
    if type(scheduler).__name__ == "Scheduler":
        thread = threading.Thread(target=scheduler.start)
        thread.start()
        wait_for(lambda: scheduler.running)
        try:
            yield scheduler
        finally:
            scheduler.stop()
            thread.join(10)
            assert not thread.is_alive()
    else:
        scheduler.start()
        try:
            yield scheduler
        finally:
            scheduler.stop()


def total(counts):
    """Return the number of occurrences that came due."""
    return sum(counts.values())

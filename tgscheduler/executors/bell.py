"""A pipe that wakes a thread that polls descriptors."""

import os
import threading

from tgscheduler import forks


class Bell:
    """A pipe: one thread polls its read end, and any thread or signal handler rings."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ring in the middle of a ring
        #: Whether it was rung since this was last set to False; if so, there is no need to ring again.
        self.rung = False
        self.fd, self._write = forks.pipe()
        self._usable = True
        try:
            os.set_blocking(self.fd, False)
            os.set_blocking(self._write, False)
        except BaseException:
            self.close()
            raise

    def ring(self) -> None:
        """Wake the thread; raise OSError once if the pipe is broken. After that, or once closed, do nothing."""
        with self._lock:  # otherwise the number of a closed pipe may be another file by now
            if self._usable:
                self.rung = True
                try:
                    os.write(self._write, b"!")
                except BlockingIOError:
                    pass  # the pipe is full: the thread will wake
                except OSError:
                    self._usable = False
                    raise

    def empty(self) -> None:
        """Read the bytes that were rung."""
        os.read(self.fd, 4096)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            self._usable = False
        forks.close(self.fd)
        forks.close(self._write)

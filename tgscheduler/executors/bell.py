"""What a thread that polls descriptors is woken by: a pipe with one byte in it."""

import os
import threading

from tgscheduler import forks


class Bell:
    """A pipe: one thread polls its read end, and any thread or signal handler rings."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ring in the middle of a ring
        #: Whether it was rung since this was last set to False: then it need not be rung again.
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
        """Wake the thread; raise OSError, once, if the pipe is broken; do nothing after that, or once it is closed."""
        with self._lock:  # or the number of a pipe that was just closed might be another file's by now
            if self._usable:
                self.rung = True
                try:
                    os.write(self._write, b"!")
                except BlockingIOError:
                    pass  # full: it is awake
                except OSError:
                    self._usable = False
                    raise

    def empty(self) -> None:
        """Take out what was rung."""
        os.read(self.fd, 4096)

    def close(self) -> None:
        """Close both ends."""
        with self._lock:
            self._usable = False
        forks.close(self.fd)
        forks.close(self._write)

"""Whether a database is up, or since when and why it is down."""

from tgscheduler import clock as clocks


class Availability:
    """The state of a database; the writer's thread changes it, any thread reads it."""

    def __init__(self, name: str, timeout: float) -> None:
        self._name, self._timeout = name, timeout
        self.reset()

    def reset(self) -> None:
        """Start as up."""
        #: Why it is down, None while it is up.
        self.down: str | None = None
        self._since: float | None = None
        #: When (elapsed seconds) the present call began, None between calls.
        self.busy: float | None = None
        self.failures = 0

    def fail(self, reason: str, now: float, wall_time: float) -> bool:
        """Count a failed call; return whether the database went down by it.

        One failure does not make it down, unless it took ``timeout``: a connection may break.
        """
        began, self.busy = self.busy or now, None
        self.failures += 1
        fell = self.down is None and (self.failures > 1 or now - began >= self._timeout)
        if fell:
            self._since = wall_time - (now - began)
        if fell or self.down is not None:
            self.down = reason
        return fell

    def succeed(self) -> bool:
        """Note that a transaction was committed; return whether the database was down until now."""
        self.failures = 0
        was_down = self.down is not None
        if was_down:
            self.down = self._since = None
        return was_down

    def outage(self, wall_time: float) -> tuple[str | None, float | None]:
        """Return why it is down and since when (POSIX seconds), even while a call blocks; None, None if it is up."""
        down, since, busy = self.down, self._since, self.busy
        if down is None and busy is not None and (waits := clocks.elapsed() - busy) > self._timeout:
            return f"{self._name}: no answer for {waits:.0f} s", wall_time - waits
        return down, since

"""Whether a database does what it is asked to: up, or down since a moment and why."""

from tgscheduler import clock as clocks


class Availability:
    """What the thread that writes has found; other threads may read it at any moment."""

    def __init__(self, name: str, timeout: float) -> None:
        self._name, self._timeout = name, timeout
        self.reset()

    def reset(self) -> None:
        """Begin as up."""
        #: Why it is down, None while it is up.
        self.down: str | None = None
        self._since: float | None = None
        #: When (elapsed seconds) the call began that the thread is in, None between calls.
        self.busy: float | None = None
        self.failures = 0

    def fail(self, reason: str, now: float, wall_time: float) -> bool:
        """Count a call that has failed; return whether the database is down by that, and was not before.

        The first failure alone means nothing, if it came in time: a connection may break.
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
        """Note that the database has committed; return whether it was down until now."""
        self.failures = 0
        was_down = self.down is not None
        if was_down:
            self.down = self._since = None
        return was_down

    def outage(self, wall_time: float) -> tuple[str | None, float | None]:
        """Return why it is down and since when (POSIX seconds), also while a call is not answered; None: it is up."""
        down, since, busy = self.down, self._since, self.busy
        if down is None and busy is not None and (waits := clocks.elapsed() - busy) > self._timeout:
            return f"{self._name}: no answer for {waits:.0f} s", wall_time - waits
        return down, since

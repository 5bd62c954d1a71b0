"""The choices that a task makes beside its trigger: today, where its action runs."""

from tgscheduler.errors import InvalidValue


class method:  # the seed's spelling: ``method.threaded``
    """Where an action runs; pass one as ``processmethod``."""

    sequential = "sequential"
    """In the scheduler's own thread, one after another: for quick tasks."""

    threaded = "threaded"
    """In a thread of its own from a pool; the default."""

    forked = "forked"
    """In a forked process of its own: for work that burns CPU, or that may crash."""


METHODS = (method.sequential, method.threaded, method.forked)


def unknown_method(value: object) -> InvalidValue:
    """Return the error for a processmethod that is none."""
    return InvalidValue(f"processmethod: expected one of {', '.join(METHODS)}, got {value!r}")

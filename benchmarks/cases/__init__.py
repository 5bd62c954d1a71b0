"""The cases: one file each, with a function for each scheduler compared and a ``PLAN`` of the sizes.

A function returns the figures of one measurement at size ``n``; it runs in a process of its own. ``ROUNDS`` is the
number of rounds, if it is not three: a short case can be repeated.
"""

CASES = (
    "add",
    "cancel",
    "growth",
    "fire_threaded",
    "fire_sequential",
    "short_actions",
    "sleepers",
    "forked",
    "wakeup",
    "lateness",
    "cpu",
    "idle",
    "memory",
    "drift",
    "burst",
    "beside",
    "stores",
)

"""The cases: one file each, with a function for each of those compared and a ``PLAN`` of their sizes.

A function returns the figures of one measurement at size ``n``; it runs in a process of its own. ``ROUNDS`` says how
often, where it is not three times: what is short can be repeated.
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

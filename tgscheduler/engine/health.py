"""How the engine is: the one source for pages, logs and tests."""

import math
from typing import Any

from tgscheduler.engine.loop import Loop
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Executor
from tgscheduler.executors.forked import ForkedExecutor
from tgscheduler.executors.threaded import ThreadedExecutor
from tgscheduler.stores.base import Condition, Store, is_lasting
from tgscheduler.timetable.policy import method

#: A loop that is so many seconds behind its timetable is degraded.
LAG = 1.0


def health(
    loop: Loop | None, executors: dict[str, Executor], registry: Registry, store: Store, now: float
) -> dict[str, Any]:
    """Return state (stopped, ok, degraded, failed), reasons, and figures; times in seconds and POSIX seconds."""
    held = not registry.lock.acquire(timeout=1.0)
    try:
        tasks, next_due = len(registry), registry.agenda.next_due()
    finally:
        if not held:
            registry.lock.release()
    lag = 0.0
    if loop is None or not loop.placed:
        next_due = None
    elif next_due is not None:
        lag = max(0.0, now - next_due) if math.isfinite(next_due) else loop.lag  # minus infinity: more are due
        next_due = next_due if math.isfinite(next_due) else now
    reasons = [executor.trouble for executor in executors.values() if executor.trouble]
    if lag > LAG:
        reasons.append(f"the loop is {lag:.1f} s behind")
    if held:
        reasons.append("the timetable is locked for more than 1 s: a trigger that does not return?")
    reasons += _who_holds(loop, executors, now)
    condition = store.condition() if is_lasting(store) and loop is not None else Condition()
    if condition.down is not None:
        reasons.append(f"the store is down: {condition.down}; {condition.buffered} records wait for it")
    if condition.dropped:
        reasons.append(f"{condition.dropped} records were dropped while the store was down")
    if condition.unwritable:
        reasons.append(f"{condition.unwritable} records were dropped as the store could not hold them: see the log")
    if condition.skew:
        side = "ahead of" if condition.skew > 0 else "behind"
        reasons.append(f"the clock is {abs(condition.skew):.0f} s {side} the store's, which other processes use too")
    pool, forker = executors.get(method.threaded), executors.get(method.forked)
    threads = pool.threads if isinstance(pool, ThreadedExecutor) else 0
    if isinstance(pool, ThreadedExecutor) and pool.waiting and threads >= pool.bound:
        reasons.append(f"{len(pool.waiting)} due runs wait: all {pool.bound} threads are busy")
    if isinstance(forker, ForkedExecutor) and forker.waiting and forker.children >= forker.bound:
        reasons.append(f"{len(forker.waiting)} due runs wait: all {forker.bound} children are busy")
    state = "stopped" if loop is None else "degraded" if reasons else "ok"
    if loop is not None and loop.fault:
        state, reasons = "failed", [loop.fault, *reasons]
    return {
        "state": state,
        "reasons": reasons,
        "lag": lag,
        "waiting": sum(len(executor.waiting) for executor in executors.values()),
        "running": sum(len(executor.running) for executor in executors.values()),
        "threads": threads,
        "children": forker.children if isinstance(forker, ForkedExecutor) else 0,
        "abandoned": sum(executor.abandoned for executor in executors.values()),
        "tasks": tasks,
        "next_due": next_due,
        "buffered": condition.buffered,
        "dropped": condition.dropped + condition.unwritable,
    }


def _who_holds(loop: Loop | None, executors: dict[str, Executor], now: float) -> list[str]:
    """Name whose code the loop's thread has been in for more than LAG seconds."""
    found: list[str] = []
    sequential = executors.get(method.sequential)
    for run in list(sequential.running) if sequential is not None else ():
        if run.started is not None and now - run.started > LAG:
            found.append(f"{run.task}: its action holds the loop since {now - run.started:.1f} s")
    asking = None if loop is None else loop.asking
    if loop is not None and asking is not None and (since := loop.clock.elapsed() - asking[1]) > LAG:
        found.append(f"{asking[0]}: its {asking[2]} holds the loop since {since:.1f} s")
    return found

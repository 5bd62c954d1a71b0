"""The engine's health: the one source for pages, logs and tests."""

import math
from collections.abc import Iterable
from typing import Any

from tgscheduler.clock import Clock
from tgscheduler.engine.journal import Journal
from tgscheduler.engine.lifecycle import Lifecycle
from tgscheduler.engine.planner import Planner
from tgscheduler.engine.registry import Registry
from tgscheduler.executors.base import Executor
from tgscheduler.stores.base import StoreStatus, is_persistent

#: A loop that is this many seconds behind its timetable is degraded.
LAG = 1.0


def health(
    clock: Clock, registry: Registry, planner: Planner, journal: Journal, lifecycle: Lifecycle
) -> dict[str, Any]:
    """Return state (stopped, ok, degraded, failed), reasons and figures; ``next_due``: POSIX seconds."""
    loop, dispatcher, now = lifecycle.loop, lifecycle.dispatcher, clock.now()
    held = not registry.lock.acquire(timeout=1.0)
    try:
        tasks, next_due = len(registry), registry.agenda.next_fire()
    finally:
        if not held:
            registry.lock.release()
    lag = 0.0
    if loop is None or not planner.started:
        next_due = None
    elif next_due is not None:
        lag = max(0.0, now - next_due) if math.isfinite(next_due) else planner.lag  # minus infinity: more are due
        next_due = next_due if math.isfinite(next_due) else now
    executors = lifecycle.executors
    stages = executors if dispatcher is None else dispatcher.stages
    reasons = [stage.degraded for stage in stages if stage.degraded]
    if lag > LAG:
        reasons.append(f"the loop is {lag:.1f} s behind")
    if held:
        reasons.append("the timetable is locked for more than 1 s: a trigger that does not return?")
    reasons += _slow_code(planner, executors, clock)
    store = journal.store
    status = store.status() if is_persistent(store) and loop is not None else StoreStatus()
    if status.down is not None:
        reasons.append(f"the store is down: {status.down}; {status.buffered} records wait for it")
    if status.dropped:
        reasons.append(f"{status.dropped} records were dropped while the store was down")
    if status.unwritable:
        reasons.append(f"{status.unwritable} records were dropped as the store could not hold them: see the log")
    if status.skew:
        side = "ahead of" if status.skew > 0 else "behind"
        reasons.append(f"the clock is {abs(status.skew):.0f} s {side} the store's, which other processes use too")
    for executor in executors:
        capacity = executor.capacity
        if executor.places and executor.waiting and capacity is not None and executor.busy >= capacity:
            reasons.append(f"{len(executor.waiting)} due runs wait: all {capacity} {executor.places} are busy")
    state = "stopped" if loop is None else "degraded" if reasons else "ok"
    if loop is not None and loop.fault:
        state, reasons = "failed", [loop.fault, *reasons]
    busy = {"threads": 0, "children": 0}
    for executor in executors:
        if executor.places:
            busy[executor.places] = busy.get(executor.places, 0) + executor.busy
    return {
        "state": state,
        "reasons": reasons,
        "lag": lag,
        "waiting": sum(len(stage.waiting) for stage in stages) + len(dispatcher.requests if dispatcher else ()),
        "running": sum(len(executor.running) for executor in executors),
        **busy,
        "abandoned": sum(len(executor.abandoned_runs) for executor in executors),
        "tasks": tasks,
        "next_due": next_due,
        "buffered": status.buffered,
        "dropped": status.dropped + status.unwritable,
    }


def _slow_code(planner: Planner, executors: Iterable[Executor], clock: Clock) -> list[str]:
    """Return a reason for each action or custom code that has held the loop's thread for more than LAG seconds."""
    found: list[str] = []
    now = clock.now()
    for executor in executors:
        for run in list(executor.running) if executor.on_loop else ():
            if run.started is not None and now - run.started > LAG:
                found.append(f"{run.task}: its action holds the loop since {now - run.started:.1f} s")
    in_code = planner.in_user_code
    if in_code is not None and (since := clock.elapsed() - in_code[1]) > LAG:
        found.append(f"{in_code[0]}: its {in_code[2]} holds the loop since {since:.1f} s")
    return found

"""Fires to come, by the functions that the loop calls: of many tasks in a stretch of time, or the next few of one."""

import heapq
import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tgscheduler import clock as clocks
from tgscheduler.engine.views import TaskView
from tgscheduler.explain.preview import Forecast
from tgscheduler.logs import brief
from tgscheduler.timetable.compose import Trigger, next_fire
from tgscheduler.timetable.intervals import Interval

#: Maximum time (seconds) of one search for fires.
LONGEST = 0.5


class FireView(NamedTuple):
    """One fire to come: when it is due and when it fires (POSIX seconds), and whether a pause or a policy skips it."""

    task: str
    due: float
    fire_at: float
    note: str | None
    skipped: bool


class Fires(NamedTuple):
    """The fires of some tasks in a stretch of time, in order."""

    items: list[FireView]
    #: Tasks that fire more often than was asked for: of these there are only the first fires.
    dense: frozenset[str]
    #: What could not be found, by task: its trigger raised, or the search took too long.
    faults: dict[str, str]


class Collision(NamedTuple):
    """A minute (POSIX seconds of its beginning) in which other tasks fire as well, and some of these."""

    minute: float
    tasks: tuple[str, ...]


def coming(views: Iterable[TaskView], since: float, until: float, most: int) -> Fires:
    """Return the fires from ``since`` to ``until`` (not included) of tasks, at most ``most`` of each."""
    dense, faults, found = set[str](), dict[str, str](), list[list[FireView]]()
    deadline = clocks.elapsed() + LONGEST
    for view in views:
        if clocks.elapsed() > deadline:
            faults[view.name] = f"not looked for: the tasks before it took more than {LONGEST:g} s"
            continue
        fires: list[FireView] = []
        try:
            for fire in clocks.giving_way(_fires(view, since), 60):
                if fire.fire_at >= until:
                    break
                if fire.fire_at < since:
                    continue
                if len(fires) == most:
                    dense.add(view.name)
                    break
                fires.append(fire)
        except Exception as error:  # a custom trigger
            faults[view.name] = f"its trigger raised {brief(error)}"
        found.append(fires)
    return Fires(list(heapq.merge(*found, key=lambda fire: fire.fire_at)), frozenset(dense), faults)


def samples(view: TaskView, since: float, until: float, step: float) -> list[FireView]:
    """Return some of the fires of a task that has too many: the first from ``since`` on, then one after each step."""
    found: list[FireView] = []
    deadline = clocks.elapsed() + LONGEST
    try:
        for fire in clocks.giving_way(_after_each_step(view, since, step), 12):
            if fire.fire_at >= until or clocks.elapsed() > deadline:
                break
            found.append(fire)
    except Exception:  # a custom trigger, whose fault `coming` tells of
        return found
    return found


def _after_each_step(view: TaskView, since: float, step: float) -> Iterator[FireView]:
    moment = since
    while fire := next((fire for fire in _fires(view, moment) if fire.fire_at >= moment), None):
        yield fire
        moment = fire.fire_at + step


def next_fires(view: TaskView, n: int) -> list[FireView]:
    """Return the next ``n`` fires of a task, fewer if there are no more or the search takes too long."""
    found: list[FireView] = []
    deadline = clocks.elapsed() + LONGEST
    try:
        for fire in itertools.islice(_fires(view), n):
            found.append(fire)
            if clocks.elapsed() > deadline:
                break
    except Exception as error:  # a custom trigger
        found.append(FireView(view.name, view.now, view.now, f"its trigger raised {brief(error)}", True))
    return found


def _fires(view: TaskView, since: float = -math.inf) -> Iterator[FireView]:
    if view.has_ended:
        return
    for fire in Forecast.of(view).fires(since):
        yield FireView(view.name, fire.due, fire.fire_at, fire.note, fire.skipped)


def fires_of(trigger: Trigger, start: float, n: int) -> list[FireView]:
    """Return the next ``n`` fires of a trigger that no task has."""
    forecast = Forecast("", trigger, next_fire(trigger, start), now=start)
    return [FireView("", *fire) for fire in itertools.islice(forecast.fires(), n)]


def collisions(fires: Iterable[FireView], views: Iterable[TaskView], most: int = 5) -> list[Collision]:
    """Return the minutes of some fires in which tasks fire too; tasks are asked until the search takes too long."""
    minutes = sorted({fire.fire_at // 60 * 60 for fire in fires})
    found: dict[float, list[str]] = {minute: [] for minute in minutes}
    deadline = clocks.elapsed() + LONGEST / 10
    for view in views:
        if view.trigger is None or view.has_ended or view.held_until == math.inf:
            continue
        for minute in minutes:
            if len(found[minute]) < most and _fires_within(view, minute):
                found[minute].append(view.name)
        if clocks.elapsed() > deadline:
            break
    return [Collision(minute, tuple(tasks)) for minute, tasks in found.items() if tasks]


def _fires_within(view: TaskView, minute: float) -> bool:
    trigger = view.trigger
    assert trigger is not None
    if type(trigger) is Interval and trigger.seconds <= 60:
        return True
    try:
        fire = trigger.next_after(math.nextafter(max(minute, view.now), -math.inf))
    except Exception:  # a custom trigger
        return False
    return fire is not None and fire < min(minute + 60, view.end)

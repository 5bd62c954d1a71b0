"""A task's timetable in words, and its coming fires, computed by the functions that the loop calls."""

import itertools
import math
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from tgscheduler import clock as clocks
from tgscheduler.engine.views import TaskView
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.explain.phrases import policy_in_words, zone_in_words
from tgscheduler.explain.preview import Fire, Forecast
from tgscheduler.logs import brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import Between, Either, ExceptOn
from tgscheduler.timetable.trigger_phrases import none_until_in_words, stamp
from tgscheduler.timetable.triggers import Cron, Trigger, day_rule_warning, in_words

#: Maximum number of fires that are listed.
MOST_FIRES = 1000

#: Maximum time (seconds) of the search for fires: a date may come once in 28 years.
_LONGEST = 1.0

_WHERE = {
    "sequential": "in the scheduler's own thread",
    "threaded": "in a thread of its own",
    "forked": "in a process of its own",
}


def explain(task: Any, view: TaskView | None, n: int) -> str:
    """Return what a task is and when it fires, in words, with its next ``n`` fires (1 to 1000)."""
    if isinstance(n, bool) or not isinstance(n, int):
        raise InvalidType(f"n: expected a whole number, got {n!r}")
    if not 1 <= n <= MOST_FIRES:
        raise InvalidValue(f"n: expected 1 to {MOST_FIRES}, got {n}")
    if view is None:
        raise InvalidValue(f"explain: there is no task {task!r} here any more, or never was")
    tz = zones.zone(view.timezone)
    lines = [("fires", line) for line in _timetable(view, tz)]
    lines.append(("zone", zone_in_words(view.timezone)))
    lines.append(("runs", f"{_WHERE.get(view.method, view.method)} (method.{view.method})"))
    lines += [("policy", line) for line in policy_in_words(view.policy)]
    lines += _bounds(view, tz)
    lines += [("warning", line) for line in warnings(view.trigger)]
    lines += [("next", line) for line in _next(view, tz, n)]
    return "\n".join([view.name, *_table(lines)])


def _timetable(view: TaskView, tz: ZoneInfo) -> Iterator[str]:
    yield timetable_in_words(view, tz)
    if view.has_ended:
        yield "it fires no more: it was cancelled, or has had its last occurrence"
    elif not view.started:
        yield "the scheduler does not run: what follows is as if it started now"


def timetable_in_words(view: TaskView, tz: ZoneInfo) -> str:
    """Return when a task fires, in words."""
    if view.self_rescheduling:
        return f"as its class {view.kind} says after each run: only the next fire is known"
    if view.one_shot:
        return "once" if view.upcoming_due is None else f"once, {stamp(view.upcoming_due, tz)}"
    return "never" if view.trigger is None else in_words(view.trigger)


def _bounds(view: TaskView, tz: ZoneInfo) -> Iterator[tuple[str, str]]:
    for until, whose in ((view.paused_until, "paused"), (view.all_paused_until, "all tasks are paused")):
        if until > view.now:
            yield "paused", f"{whose}, until {'it is resumed' if until == math.inf else stamp(until, tz)}"
    if view.start is not None:
        yield "start", stamp(view.start, tz)
    if view.end != math.inf:
        yield "end", stamp(view.end, tz)
    if view.runs_left is not None:
        yield "runs left", str(view.runs_left)


def _next(view: TaskView, tz: ZoneInfo, n: int) -> Iterator[str]:
    if view.fault is not None:
        yield view.fault
        return
    forecast, told, fire, until = Forecast.of(view), 0, None, None
    deadline = clocks.elapsed() + _LONGEST
    try:
        for fire in itertools.islice(forecast.fires(), n):
            told += 1
            yield fire_in_words(fire, tz)
            if told < n and clocks.elapsed() > deadline:
                yield f"and no further than that: {told} fires took more than {_LONGEST:g} s to find"
                return
        if told < n:
            until = forecast.none_until(fire, told)
    except Exception as error:  # a custom trigger
        yield f"its trigger raised {brief(error)}"
        return
    if until is not None:
        yield none_until_in_words(until, tz)
    elif told == 0:
        yield "never" if view.held_until != math.inf or view.upcoming_due is None else "not while it is paused"
    elif told < n and view.trigger is not None:
        yield "and never after that"


def fire_in_words(fire: Fire, tz: ZoneInfo) -> str:
    """Return a fire in local time, with its jitter and its note."""
    spread = "" if fire.fire_at == fire.due else f", fires {stamp(fire.fire_at, tz)}"
    return f"{stamp(fire.due, tz)}{spread}" + (f"  ({fire.note})" if fire.note else "")


def warnings(trigger: Trigger | None) -> Iterator[str]:
    """Yield warnings about what many users do not expect of a trigger."""
    if type(trigger) is Either:
        for part in trigger.triggers:
            yield from warnings(part)
    elif type(trigger) is Between or type(trigger) is ExceptOn:
        yield from warnings(trigger.trigger)
    elif type(trigger) is Cron and not trigger.day_and:
        warning = day_rule_warning(trigger.line)
        if warning is not None:
            yield warning


def _table(lines: list[tuple[str, str]]) -> Iterator[str]:
    said = ""
    for head, line in lines:
        yield f"  {'' if head == said else head:<10} {line}"
        said = head

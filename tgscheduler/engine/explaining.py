"""Explaining: a task's timetable in words, and what comes of it by the functions that the loop calls."""

import copy
import itertools
import math
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from tgscheduler import clock as clocks
from tgscheduler.engine.looking import Looking
from tgscheduler.errors import InvalidType, InvalidValue
from tgscheduler.executors.base import brief
from tgscheduler.timetable import zones
from tgscheduler.timetable.compose import Between, Either, ExceptOn, ask
from tgscheduler.timetable.policy import PLAIN
from tgscheduler.timetable.preview import Fire, Outlook
from tgscheduler.timetable.tasks import Task
from tgscheduler.timetable.telling import none_until_in_words, policy_in_words, stamp, zone_in_words
from tgscheduler.timetable.triggers import Cron, Trigger, day_rule_warning, in_words

#: As many fires are told at most.
MOST_FIRES = 1000

#: No longer than this (seconds) fires are looked for: a date may come once in 28 years.
_LONGEST = 1.0

_WHERE = {
    "sequential": "in the scheduler's own thread",
    "threaded": "in a thread of its own",
    "forked": "in a process of its own",
}


class Explaining(Looking):
    """What tells of a scheduler's tasks; the functions of :mod:`tgscheduler.scheduler` document each."""

    def explain(self, task: str | Task, n: int = 5) -> str:
        """Return what a task is and when it fires, in words, with its next ``n`` fires (1 to 1000)."""
        if isinstance(n, bool) or not isinstance(n, int):
            raise InvalidType(f"n: expected a whole number, got {n!r}")
        if not 1 <= n <= MOST_FIRES:
            raise InvalidValue(f"n: expected 1 to {MOST_FIRES}, got {n}")
        found = self._find("explain", task)
        if found is None:
            raise InvalidValue(f"explain: there is no task {task!r} here any more, or never was")
        tz = zones.zone(found.timezone)
        outlook = self._outlook(found)
        lines = [("fires", line) for line in self._timetable(found, outlook, tz)]
        lines.append(("zone", zone_in_words(found.timezone)))
        lines.append(("runs", f"{_WHERE.get(found.method, found.method)} (method.{found.method})"))
        lines += [("policy", line) for line in policy_in_words(found.policy)]
        lines += self._bounds(found, tz)
        lines += [("warning", line) for line in warnings(outlook.trigger)]
        lines += [("next", line) for line in self._next(found, outlook, tz, n)]
        return "\n".join([outlook.label, *_table(lines)])

    # -- helpers -------------------------------------------------------------------------------------------------

    def _find(self, verb: str, task: str | Task) -> Task | None:
        """Return a task of ours, also one that is over; None where only its name is known, or nothing."""
        if not isinstance(task, (str, Task)):
            raise InvalidType(f"{verb}: expected a Task or the name of one, got {task!r}")
        named = self.get_task(task if isinstance(task, str) else task.name or "")  # raises where none can be had
        if isinstance(task, str):
            return named
        return task if task._home is self._registry.home else None

    def _name_of(self, task: Task) -> str:
        """Return what a task is called, also one that was let go and has no number any more."""
        with self._registry.lock:
            if task in self._registry or task._label is not None or task.name is not None or task._last is None:
                return self._registry.label(task)
        return task._last.task

    def _outlook(self, task: Task) -> Outlook:
        """Return what decides on a task's coming fires, as if the scheduler started now where it does not run."""
        name, registry, now = self._name_of(task), self._registry, self.clock.now()
        with registry.lock:
            placed = self._loop is not None and self._loop.placed
            waits, delay = task in registry.waiting, registry.waiting.get(task)
            entered, due, by_hand, trigger = task._entry is not None, task._due, task._by_hand, task._trigger
            terms, gone = task._terms, task._gone or (task._final and task._entry is None)
        unfound = due if entered and terms is not None and terms.unfound == due else None
        following = due if entered and unfound is None else None
        if waits or (entered and not placed):
            twin = copy.copy(task)
            twin._terms = copy.copy(terms)
            twin._adopt(registry.home)
            following = twin._first_due(now, delay) if waits else twin._due_after_stop(now)
            by_hand, trigger, terms = twin._by_hand, twin._trigger, twin._terms
            unfound = twin._none_until(now) if following is None else None
        elif not entered and not gone and trigger is not None:  # it is being decided on, or asked
            handled = now if terms is None else now - terms.policy.jitter
            following = ask(trigger, max(due, handled))
        held = registry.paused_until if terms is None else max(terms.paused_until, registry.paused_until)
        return Outlook(
            name,
            None if task._reschedules_itself else trigger,
            following,
            PLAIN if terms is None else terms.policy,
            math.inf if terms is None else terms.end,
            None if terms is None else terms.left,
            by_hand,
            held if held > now else -math.inf,
            trigger is None and not task._reschedules_itself,
            now,
            unfound,
        )

    def _timetable(self, task: Task, outlook: Outlook, tz: ZoneInfo) -> Iterator[str]:
        yield self._when(task, outlook, tz)
        if task._gone or (task._final and task._entry is None):
            yield "it fires no more: it was cancelled, or has had its last occurrence"
        elif self._loop is None or not self._loop.placed:
            yield "the scheduler does not run: what follows is as if it started now"

    def _when(self, task: Task, outlook: Outlook, tz: ZoneInfo) -> str:
        if task._reschedules_itself:
            return f"as its class {type(task).__name__} says after each run: only the next fire is known"
        if outlook.single:
            return "once" if outlook.due is None else f"once, {stamp(outlook.due, tz)}"
        return "never" if outlook.trigger is None else in_words(outlook.trigger)

    def _bounds(self, task: Task, tz: ZoneInfo) -> Iterator[tuple[str, str]]:
        terms, now = task._terms, self.clock.now()
        for until, whose in (
            (-math.inf if terms is None else terms.paused_until, "paused"),
            (self._registry.paused_until, "all tasks are paused"),
        ):
            if until > now:
                yield "paused", f"{whose}, until {'it is resumed' if until == math.inf else stamp(until, tz)}"
        if terms is not None:
            if terms.start is not None:
                yield "start", stamp(terms.start, tz)
            if terms.end != math.inf:
                yield "end", stamp(terms.end, tz)
            if terms.left is not None:
                yield "runs left", str(terms.left)

    def _next(self, task: Task, outlook: Outlook, tz: ZoneInfo, n: int) -> Iterator[str]:
        told, fire, until, end = 0, None, None, clocks.elapsed() + _LONGEST
        try:
            for fire in itertools.islice(outlook.fires(), n):
                told += 1
                yield fire_in_words(fire, tz)
                if clocks.elapsed() > end and told < n:
                    yield f"and no further than that: {told} fires took more than {_LONGEST:g} s to find"
                    return
            until = outlook.none_until(fire, told) if told < n else None
        except Exception as error:  # a trigger of the application's own
            yield f"its trigger raised {brief(error)}"
            return
        if until is not None:
            yield none_until_in_words(until, tz)
        elif told == 0:
            yield "never" if outlook.paused_until != math.inf or outlook.due is None else "not while it is paused"
        elif told < n and outlook.trigger is not None:
            yield "and never after that"


def fire_in_words(fire: Fire, tz: ZoneInfo) -> str:
    """Return a fire in local time, with its jitter and its note."""
    spread = "" if fire.fire_at == fire.due else f", fires {stamp(fire.fire_at, tz)}"
    return f"{stamp(fire.due, tz)}{spread}" + (f"  ({fire.note})" if fire.note else "")


def warnings(trigger: Trigger | None) -> Iterator[str]:
    """Yield what half the users do not expect of a trigger."""
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

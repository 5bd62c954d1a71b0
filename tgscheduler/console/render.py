"""Markup: the Jinja environment, and what every page shares.

::

    page(request, "task.html", {"console": ..., ...})     a whole page
    the same with ?fragment=live                          what changes while it is looked at: all but the bar
    the same with ?fragment=confirm                       the template's block of that name, one of BLOCKS

``ui`` in a template is ``macros.html``, ``times`` the reader's :class:`~tgscheduler.console.times.Times`. All text is
escaped; a template that names an unknown value is an error. ``request.root`` begins every link.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jinja2

from tgscheduler.clock import giving_way
from tgscheduler.console import assets, svg
from tgscheduler.console.findings import STATES, findings
from tgscheduler.console.http import Problem, Request, Response, segment
from tgscheduler.console.times import DASH, Times, duration, iso
from tgscheduler.timetable.triggers import Cron
from tgscheduler.views import Failures, TaskSummary

#: The pages that the bar names: path below the mount, title.
PAGES = (("", "Schedule"), ("runs", "Runs"), ("calendar", "Calendar"), ("simulate", "Simulate"), ("health", "Health"))

#: The fragment that a page asks for again and again.
LIVE = "live"

#: The blocks of a template that may be asked for alone: they need nothing that it sets outside of them.
BLOCKS = ("confirm",)

THEMES = ("auto", "light", "dark")

#: (tone, shape) of each state of a run and each status of a task; the shapes are drawn in ``macros.html``.
TONES = {
    "ok": ("ok", "dot"),
    "new": ("skip", "ring"),
    "waiting": ("skip", "ring"),
    "running": ("run", "play"),
    "failing": ("bad", "cross"),
    "failed": ("bad", "cross"),
    "timed_out": ("bad", "clock"),
    "lost": ("bad", "question"),
    "late": ("warn", "clock"),
    "paused": ("warn", "bars"),
    "cancelled": ("skip", "square"),
    "skipped": ("skip", "dash"),
    "missed": ("warn", "dash"),
    "off": ("skip", "bars"),
    "stopped": ("skip", "square"),
    "ended": ("skip", "square"),
    "degraded": ("warn", "mark"),
}


class Banner(NamedTuple):
    """Something that holds for the whole scheduler: tone (bad, warn, info), what it is, and what to do."""

    tone: str
    text: str
    advice: str = ""


def page(request: Request, template: str, values: Mapping[str, Any]) -> Response:
    """Return a page, or the fragment of it that the request asks for; ``values`` has the console."""
    found = environment().get_template(template)
    shared = _shared(values["console"], request)
    shared["ui"] = environment().get_template("macros.html").make_module(shared)
    name = request.query.get("fragment", [None])[0]
    shared["fragment"] = name
    if name in (None, LIVE):
        return Response(_joined(found.generate({**shared, **values})))
    parts = [LIVE, *(block for block in BLOCKS if block in found.blocks)]
    if name not in parts:
        raise Problem(404, "No such fragment", f"Expected one of {', '.join(parts)}, got {name!r}.")
    return Response(_joined(found.blocks[name](found.new_context({**shared, **values}))))


#: Number of a template's pieces that take about a millisecond.
_PIECES = 80


def _joined(pieces: Iterable[str]) -> str:
    """Return a page from its pieces, and let the scheduler run meanwhile."""
    return "".join(giving_way(pieces, _PIECES))


def times_of(console: Any, request: Request) -> Times:
    """Return the times of a page in the zone that its reader chose."""
    return Times.chosen(request.cookies.get("tgs_zone"), console.reader.timezone, console.reader.now)


def may_act(console: Any, request: Request) -> bool:
    """Return whether the page offers actions to its reader. (The server decides again when one is asked for.)"""
    return request.caller is not None and request.caller.role == "operator" and not console.settings.read_only


def _shared(console: Any, request: Request) -> dict[str, Any]:
    theme = request.cookies.get("tgs_theme")
    return {
        "site": console.title,
        "root": request.root,
        "here": here(request),
        "nav": "",
        "live": False,
        "caller": request.caller,
        "may_act": may_act(console, request),
        "read_only": console.settings.read_only,
        "times": times_of(console, request),
        "server_zone": console.reader.timezone,
        "theme": theme if theme in THEMES else "auto",
        "banners": banners(console) if request.caller else [],
        "notice": console.notices.take(request.query.get("notice", [""])[0]),
    }


def here(request: Request) -> str:
    """Return the path and query of this page below the mount, for forms that come back to it."""
    query = {name: values for name, values in request.query.items() if name not in ("fragment", "notice")}
    path = "/".join(segment(name) for name in request.path)
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def banners(console: Any) -> list[Banner]:
    """Return what holds for the whole scheduler, each with what to do."""
    health, found = console.reader.health(), []
    if console.settings.read_only:
        why = "tg.scheduler.console.read_only is True."
        found.append(Banner("info", "Read only: this console shows and changes nothing.", why))
    if health.state == "stopped":
        found.append(Banner("warn", "The scheduler is stopped.", STATES["stopped"]))
    elif health.state == "failed":
        found.append(Banner("bad", f"The scheduler has failed: {'; '.join(health.reasons)}.", STATES["failed"]))
    elif health.state == "degraded":
        found += [Banner("warn", "Degraded:", f"{each.text}. {each.advice}") for each in findings(health)]
    return found


# -- the environment -------------------------------------------------------------------------------------------------


@functools.cache
def environment() -> jinja2.Environment:
    """Return the environment of all pages; the first call compiles them, so that the first reader need not wait."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tgscheduler.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update({each.__name__: each for each in _FILTERS})
    made.globals.update(
        PAGES=PAGES, THEMES=THEMES, TONES=TONES, svg=svg, asset=assets.address, query=query, inf=math.inf
    )
    for name in made.list_templates():
        made.get_template(name)
    return made


def number(value: float) -> str:
    """Return a count with its thousands apart: 4,312."""
    return f"{value:,.0f}"


def percent(share: float | None) -> str:
    """Return a share of 1 as a percentage, never 100 % for less than all."""
    if share is None:
        return DASH
    shown = f"{share * 100:.1f}".removesuffix(".0")
    return "99.9 %" if shown == "100" and share < 1 else f"{shown} %"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count and its noun: 1 task, 2 tasks.

    >>> plural(1, "entry", "entries"), plural(1200, "run")
    ('1 entry', '1,200 runs')
    """
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def often(found: Failures) -> str:
    """Return how many times a task has failed: 3 times, at least 30 times."""
    return f"{'at least ' if found.more else ''}{plural(found.times, 'time')}"


class Timetable(NamedTuple):
    """When a task fires: in words, and its cron line, empty if it has none."""

    words: str
    line: str


def timetable(task: TaskSummary, zone: str) -> Timetable:
    """Return when a task fires, without the zone if it is the one that goes without saying."""
    if task.view.one_shot:
        return Timetable("once", "")  # the moment stands where the next fire does, in the reader's zone
    trigger = task.view.trigger
    line = trigger.line if isinstance(trigger, Cron) else ""
    return Timetable(task.timetable.removesuffix(f" (cron {line})").removesuffix(f", {zone}"), line)


def last_line(error: str | None) -> str:
    """Return the last line of a traceback: the exception."""
    lines = [line for line in (error or "").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def query(values: Mapping[str, Any], **changes: Any) -> str:
    """Return a query string (``?a=1&b=2``, or empty) of values with changes; what is None or empty is left out."""
    left = {name: value for name, value in {**values, **changes}.items() if value not in (None, "", [])}
    return f"?{urlencode(left, doseq=True)}" if left else "?"


_FILTERS = (duration, iso, last_line, number, often, percent, plural, segment, timetable)

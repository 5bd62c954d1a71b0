"""Drawings: inline SVG made on the server.

Widths are in percent and heights in pixels, so that one drawing fits a phone and a desktop with its text unscaled.
Colours are classes of ``console.css``. Each drawing says in words what it shows.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup

from tgscheduler.console.times import Times, duration
from tgscheduler.timetable import zones
from tgscheduler.views import BAD_STATES, RunView

#: The strip: its number of runs; width and distance of a bar, height of all (pixels).
RUNS, _BAR, _STEP, _TALL = 30, 3.5, 5, 20

#: The timeline: height of a lane and of the scale above (pixels).
LANE, _SCALE = 26, 28

#: The chart's height (pixels), and how many steps its scale has at least.
_HEIGHT, _STEPS = 170, 3


# -- the strip ---------------------------------------------------------------------------------------------------------


def strip(recent: Sequence[RunView], now: float) -> Markup:
    """Return the last runs (newest first) as bars: the height is the duration, a failure is taller than a success."""
    runs = recent[:RUNS][::-1]
    longest = max((_took(run, now) for run in runs if run.state == "ok"), default=0.0) or 1.0
    drawn: dict[str, list[str]] = {}
    for place, run in enumerate(runs, RUNS - len(runs)):
        kind = _kind(run.state)
        height = {"bad": 18.0, "skip": 3.0, "run": 14.0}.get(kind, 4 + 9 * min(1.0, _took(run, now) / longest))
        drawn.setdefault(kind, []).append(f"M{place * _STEP} {_TALL}v-{height:.0f}h{_BAR}v{height:.0f}z")
    paths = Markup("").join(Markup('<path class="{}" d="{}"/>').format(kind, "".join(d)) for kind, d in drawn.items())
    return Markup('<svg class="strip" width="{}" height="{}" role="img" aria-label="{}">{}</svg>').format(
        RUNS * _STEP, _TALL, _strip_in_words(runs), paths
    )


def _strip_in_words(runs: Sequence[RunView]) -> str:
    if not runs:
        return "no runs yet"
    counts = Counter(run.state.replace("_", " ") for run in runs)
    said = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    last = runs[-1].state.replace("_", " ")
    return f"{said}; the last one: {last}" if len(runs) > 1 else f"one run: {last}"


def _kind(state: str) -> str:
    if state in BAD_STATES:
        return "bad"
    return "ok" if state == "ok" else "run" if state in ("running", "waiting") else "skip"


def _took(run: RunView, now: float) -> float:
    if run.started is None:
        return 0.0
    return max(0.0, (now if run.ended is None else run.ended) - run.started)


# -- the timeline ------------------------------------------------------------------------------------------------------


class Mark(NamedTuple):
    """A fire in a lane; ``skipped``: it will not run."""

    at: float
    skipped: bool = False


class Bar(NamedTuple):
    """A stretch of fires too dense to draw."""

    since: float
    until: float
    skipped: bool = False


class Lane(NamedTuple):
    """What one task does in the time that is shown."""

    task: str
    marks: Sequence[Mark]
    bars: Sequence[Bar]


def lane(task: str, fires: Sequence[Mark], looks: Sequence[Mark], since: float, until: float, step: float) -> Lane:
    """Return a lane: fires that stand close together are a bar.

    ``looks``: fires that stand for many, found by looking every ``step`` seconds after the ``fires``.
    """
    marks: list[Mark] = []
    bars: list[Bar] = []
    for group in _groups(fires, (until - since) / 100):
        if len(group) > 3:
            bars.append(Bar(group[0].at, group[-1].at, group[0].skipped))
        else:
            marks += group
    for group in _groups([*fires[-1:], *looks], 1.6 * step) if looks else ():
        bar = Bar(group[0].at, until if until - group[-1].at < step else group[-1].at, group[0].skipped)
        if bars and (bars[-1].until, bars[-1].skipped) == (bar.since, bar.skipped):
            bar = bar._replace(since=bars.pop().since)
        bars.append(bar)
    return Lane(task, marks, bars)


def _groups(marks: Iterable[Mark], close: float) -> Iterator[list[Mark]]:
    """Yield the marks in groups that are at most ``close`` seconds from each other, and alike."""
    group: list[Mark] = []
    for mark in marks:
        if group and (mark.at - group[-1].at > close or mark.skipped != group[-1].skipped):
            yield group
            group = []
        group.append(mark)
    if group:
        yield group


def timeline(lanes: Sequence[Lane], since: float, until: float, times: Times, label: str) -> Markup:
    """Return the lanes below a scale in the reader's zone, with a line for now."""
    height, span = _SCALE + LANE * len(lanes), until - since

    def x(moment: float) -> str:
        return f"{(moment - since) / span * 100:.2f}%"

    def line(kind: str, at: str, top: int = 24) -> Markup:
        return _LINE.format(kind, at, top, height)

    parts = []
    for place, (moment, words) in enumerate(scale(since, until, times)):
        odd = " odd" if place % 2 else ""
        parts += [line("rule", x(moment)), _TEXT.format(f"tick{odd}", x(moment), 15, words)]
    change = zones.next_change(math.floor(since), times.tz, math.floor(until))
    if change is not None:
        words = f"{times.abbreviation(change - 1)} \u2192 {times.abbreviation(change)}"
        parts += [line("change", x(change)), _TEXT.format("change", x(change), height - 4, words)]
    for place, each in enumerate(lanes):
        middle = _SCALE + LANE * place + LANE // 2
        for bar in each.bars:
            words = f"often, from {times.plain(bar.since)} to {times.plain(bar.until)}"
            width = f"{max(bar.until - bar.since, span / 200) / span * 100:.2f}%"
            parts.append(_BAR_.format(_fire(bar.skipped), x(bar.since), middle - 3, width, words))
        parts += [_DOT.format(_fire(mark.skipped), x(mark.at), middle, times.plain(mark.at)) for mark in each.marks]
    if since <= times.now <= until:
        parts.append(line("now", x(times.now), 20))
    return _TIMELINE.format(height, label, Markup("").join(parts))


_TIMELINE = Markup('<svg class="timeline" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')
_LINE = Markup('<line class="{0}" x1="{1}" x2="{1}" y1="{2}" y2="{3}"/>')
_TEXT = Markup('<text class="{}" x="{}" y="{}">{}</text>')
_DOT = Markup('<circle class="{}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>')
_BAR_ = Markup('<rect class="{} many" x="{}" y="{}" width="{}" height="6" rx="3"><title>{}</title></rect>')


def _fire(skipped: bool) -> str:
    return "fire held" if skipped else "fire"


def scale(since: float, until: float, times: Times) -> Iterator[tuple[float, str]]:
    """Yield round times of the reader's zone within [since, until], and how each is written."""
    hours = (until - since) / 3600
    step = 600 if hours < 2 else 3 * 3600
    if hours > 48:
        for day in times.days(since, until):
            wall = times.wall(day)
            yield day, f"{wall:%a} {wall.day}"
        return
    moment = math.ceil(since) - 1
    while (moment := _round_time(moment, step, times)) <= until:
        wall = times.wall(moment)
        yield moment, f"{wall:%a} {wall.day}" if step > 600 and wall.hour == wall.minute == 0 else f"{wall:%H:%M}"


def _round_time(moment: int, step: int, times: Times) -> int:
    """Return the first multiple of a step on the wall after a moment; after a clock change that comes before it."""
    ahead = zones.offset(moment, times.tz)
    found = ((moment + ahead) // step + 1) * step - ahead
    change = zones.next_change(moment, times.tz, found)
    if change is None:
        return found
    ahead = zones.offset(change, times.tz)
    return -(-(change + ahead) // step) * step - ahead


# -- the chart ---------------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    """A run in the chart: when it was due, its seconds, whether it failed."""

    at: float
    seconds: float
    failed: bool = False


class Chart(NamedTuple):
    """The durations of runs: drawn here, and as data for a drawing that can be zoomed."""

    drawing: Markup
    #: JSON: the moments of the points, the seconds of those that went well, of those that failed, and the lines.
    data: str
    points: int


def chart(points: Sequence[Point], lines: Sequence[tuple[str, float]], times: Times) -> Chart:
    """Return durations over time, oldest first, with a dashed line for each figure: (its name, seconds)."""
    since, until = points[0].at, points[-1].at
    span = (until - since) or 1.0
    steps = rounded_steps(max(max(each.seconds for each in points), *(seconds for _, seconds in lines), 0.0))

    def x(moment: float) -> str:
        return f"{(moment - since) / span * 100:.2f}%"

    def y(seconds: float) -> str:
        return f"{_HEIGHT - 24 - min(1.0, seconds / steps[-1]) * (_HEIGHT - 36):.1f}"

    parts = []
    for step in steps:
        parts += [_LEVEL.format("rule", y(step)), _LEVEL_TEXT.format(y(step), duration(step) if step else "0")]
    for name, seconds in lines:
        parts += [_LEVEL.format("figure", y(seconds)), _FIGURE_TEXT.format(y(seconds), name)]
    for end, moment in (("first", since), ("last", until)):
        wall = times.wall(moment)
        words = f"{wall.day} {wall:%b %H:%M} {times.abbreviation(moment)}"
        parts.append(_TEXT.format(f"tick {end}", x(moment) if end == "first" else "100%", _HEIGHT - 4, words))
    for each in points:
        words = f"{times.plain(each.at)}: {duration(each.seconds)}{', failed' if each.failed else ''}"
        parts.append(_DOT.format("point failed" if each.failed else "point", x(each.at), y(each.seconds), words))
    label = _chart_in_words(points, lines)
    return Chart(_CHART.format(_HEIGHT, label, Markup("").join(parts)), _data(points, lines), len(points))


def _chart_in_words(points: Sequence[Point], lines: Sequence[tuple[str, float]]) -> str:
    took = [each.seconds for each in points]
    failed = sum(each.failed for each in points)
    said = [*(f"{name} {duration(seconds)}" for name, seconds in lines), f"{failed} failed"]
    return f"{len(points)} runs took {duration(min(took))} to {duration(max(took))}; {', '.join(said)}"


def _data(points: Sequence[Point], lines: Sequence[tuple[str, float]]) -> str:
    return json.dumps(
        {
            "at": [each.at for each in points],
            "ok": [None if each.failed else each.seconds for each in points],
            "failed": [each.seconds if each.failed else None for each in points],
            "figures": lines,
        }
    )


_CHART = Markup('<svg class="chart" width="100%" height="{}" role="img" aria-label="{}">{}</svg>')
_LEVEL = Markup('<line class="{0}" x1="0" x2="100%" y1="{1}" y2="{1}"/>')
_LEVEL_TEXT = Markup('<text class="level" x="-8" y="{}" dy="4">{}</text>')
_FIGURE_TEXT = Markup('<text class="figure" x="100%" y="{}" dy="-4">{}</text>')


def rounded_steps(most: float) -> list[float]:
    """Return the steps of a scale from zero to at least ``most``, in units that people count in.

    >>> rounded_steps(4.1), rounded_steps(100)
    ([0, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 30, 60, 90, 120])
    """
    for unit in _UNITS:
        if most / unit <= _STEPS + 2:
            return [unit * step for step in range(max(1, math.ceil(most / unit)) + 1)]
    unit = most / _STEPS
    return [unit * step for step in range(_STEPS + 1)]


#: Steps of a scale of seconds: 1, 2 and 5 of each power of ten up to a few seconds, then those of a clock.
_UNITS = [
    *(digit * 10.0**power for power in range(-4, 1) for digit in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400),
]

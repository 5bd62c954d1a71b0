"""Triggers drawn at random, each with the truth about it: what the minute scan says of its fires."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from wallscan import DAY, EPOCH, Scan, changes, date_of, fires, on_weekdays

from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays, either

ZONES = [
    "Europe/Berlin",
    "Europe/Dublin",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Asia/Kathmandu",
]
LAST_MINUTE = int((datetime(2101, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) // 60

TIMES = st.tuples(st.integers(0, 23), st.integers(0, 59))

#: One time of day, or several in one of the ways in which they may be written.
TIMEONDAYS = TIMES | st.lists(TIMES, min_size=1, max_size=4) | st.sets(TIMES, min_size=2, max_size=4).map(frozenset)

ORDINALS = {
    "1st": 1,
    "First": 1,
    "2nd": 2,
    "second": 2,
    "3RD": 3,
    "third": 3,
    "4th": 4,
    "5th": 5,
    "fifth": 5,
    "last": 0,
}
NAMES = ("Monday", "tuesday", "Wed", "thu", "FRI", "saturday", "Sun")
MONTHDAYS = (
    st.integers(1, 31)
    | st.integers(-31, -1)
    | st.builds("{} {}".format, st.sampled_from([*ORDINALS]), st.sampled_from(NAMES))
)


@st.composite
def windows(draw):
    """Draw a zone, and a stretch of minutes from 1970 to 2100 in it."""
    zone = draw(st.sampled_from(ZONES))
    length = draw(st.integers(1, 40 * DAY))
    start = draw(st.integers(0, LAST_MINUTE - length))
    if changes(zone) and draw(st.booleans()):
        start = max(0, draw(st.sampled_from(changes(zone))) - draw(st.integers(0, length)))
    return zone, start, start + length


def numbers(low, high):
    """Draw a cron field of numbers in one of its forms: its text and what it stands for."""
    ends = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    steps = st.integers(1, 20 if high > 20 else high)
    return st.one_of(
        st.integers(low, high).map(lambda n: (str(n), {n})),
        st.sets(st.integers(low, high), min_size=2, max_size=4).map(lambda s: (",".join(map(str, sorted(s))), s)),
        ends.map(lambda e: (f"{e[0]}-{e[1]}", set(range(e[0], e[1] + 1)))),
        st.tuples(ends, steps).map(lambda e: (f"{e[0][0]}-{e[0][1]}/{e[1]}", set(range(e[0][0], e[0][1] + 1, e[1])))),
        st.tuples(st.integers(low, high), steps).map(lambda e: (f"{e[0]}/{e[1]}", set(range(e[0], high + 1, e[1])))),
    )


def stars(low, high):
    """Draw a cron field that begins with an asterisk."""
    whole = range(low, high + 1)
    steps = st.integers(2, 20 if high > 20 else high)
    return st.just(("*", set(whole))) | steps.map(lambda n: (f"*/{n}", set(whole[::n])))


@st.composite
def cron_lines(draw):
    """Draw a cron line: its text, whether both days must match, its minutes of the day, a test for its days."""
    wildcard = draw(st.booleans())
    minute, hour = draw(numbers(0, 59)), draw(numbers(0, 23))
    if wildcard:
        which = draw(st.integers(0, 2))
        minute = draw(stars(0, 59)) if which != 1 else minute
        hour = draw(stars(0, 23)) if which != 0 else hour
    dom = draw(st.just(("*", set(range(1, 32)))) | numbers(1, 31) | stars(1, 31))
    dow = draw(st.just(("*", set(range(8)))) | numbers(0, 7) | stars(0, 6))
    day_and = draw(st.booleans())
    both = day_and or dom[0].startswith("*") or dow[0].startswith("*")

    def has_day(day):
        when = date_of(day)
        by_dom, by_dow = when.day in dom[1], bool({when.isoweekday(), when.isoweekday() % 7} & dow[1])
        return by_dom and by_dow if both else by_dom or by_dow

    times = {h * 60 + m for h in hour[1] for m in minute[1]}
    return f"{minute[0]} {hour[0]} {dom[0]} * {dow[0]}", day_and, wildcard, times, has_day


@st.composite
def moments(draw, zone):
    """Draw a moment, half of them within three days of a clock change, with a fraction."""
    minute = draw(st.integers(0, LAST_MINUTE))
    if changes(zone) and draw(st.booleans()):
        minute = draw(st.sampled_from(changes(zone))) + draw(st.integers(-3 * DAY, 3 * DAY))
    return max(0, minute) * 60 + draw(st.sampled_from([0, -1, 1, 30])) + draw(st.sampled_from([0.0, 0.25, 0.999999]))


# -- a trigger and the truth about it ----------------------------------------------------------------------------------


class Case(NamedTuple):
    """A trigger, the minutes of the day that its scan must keep, its fires by a scan, and the zones of its dates."""

    trigger: Any
    minutes: set[int]
    truth: Callable[[Scan], list[float]]
    zones: set[str]


def minutes_of(timeonday):
    """Return times of day, one or several, as minutes of the day."""
    pairs = [timeonday] if isinstance(timeonday, tuple) else timeonday
    return {hour * 60 + minute for hour, minute in pairs}


def is_monthday(day):
    """Return a test for dates: a day of the month in one of its forms, by looking around in the calendar."""

    def away(when, days):
        return (when + timedelta(days=days)).month != when.month

    if isinstance(day, int):
        if day > 0:
            return lambda when: when.day == day
        return lambda when: away(when, -day) and not away(when, -day - 1)
    ordinal, name = day.split()
    n, weekday = ORDINALS[ordinal], NAMES.index(name) + 1
    if n:
        return lambda when: when.isoweekday() == weekday and away(when, -7 * n) and not away(when, 7 - 7 * n)
    return lambda when: when.isoweekday() == weekday and away(when, 7)


def weekdays(draw, window):
    zone, days, at = window[0], draw(st.sets(st.integers(1, 7), min_size=1)), draw(TIMEONDAYS)
    minutes = minutes_of(at)
    return Case(Weekdays(days, at, zone), minutes, lambda scan: scan.fixed(minutes, on_weekdays(days)), {zone})


def monthdays(draw, window):
    zone, days, at = window[0], draw(st.lists(MONTHDAYS, min_size=1, max_size=5)), draw(TIMEONDAYS)
    minutes, tests = minutes_of(at), [is_monthday(day) for day in days]

    def has_day(day):
        return any(test(date_of(day)) for test in tests)

    return Case(Monthdays(days, at, zone), minutes, lambda scan: scan.fixed(minutes, has_day), {zone})


def cron(draw, window):
    text, day_and, wildcard, times, has_day = draw(cron_lines())
    trigger = Cron(text, window[0], day_and)
    return Case(trigger, times, lambda scan: (scan.real if wildcard else scan.fixed)(times, has_day), {window[0]})


def cron_with_seconds(draw, window):
    text, day_and, wildcard, times, has_day = draw(cron_lines())
    field, seconds = draw(numbers(0, 59) | stars(0, 59))
    if len(times) * len(seconds) > 3000:  # the truth would be a list of millions
        field, seconds = "7", {7}
    wildcard = wildcard or field.startswith("*")
    trigger = Cron(f"{field} {text}", window[0], day_and)
    return Case(
        trigger, times, lambda scan: (scan.real if wildcard else scan.fixed)(times, has_day, seconds), {window[0]}
    )


def interval(draw, window):
    step, anchor = draw(st.integers(1, 5000)), window[1] + draw(st.integers(-50000, 50000))

    def truth(scan):
        return [real * 60.0 for real in range(scan.start, scan.end) if real >= anchor and (real - anchor) % step == 0]

    return Case(Interval(step * 60, anchor * 60), set(), truth, set())


def once(draw, window):
    minute = draw(st.integers(window[1], window[2]))
    return Case(
        Once(minute * 60.0), set(), lambda scan: [minute * 60.0] if scan.start <= minute < scan.end else [], set()
    )


PLAIN = {
    "weekdays": weekdays,
    "monthdays": monthdays,
    "cron": cron,
    "cron with seconds": cron_with_seconds,
    "interval": interval,
    "once": once,
}


def either_of(draw, window, depth=1):
    cases = [any_case(draw, window, depth - 1) for _ in range(draw(st.integers(1, 3)))]
    return Case(
        either(*(case.trigger for case in cases)),
        set().union(*(case.minutes for case in cases)),
        lambda scan: sorted(set().union(*(case.truth(scan) for case in cases))),
        set().union(*(case.zones for case in cases)),
    )


def except_on(draw, window, depth=1):
    case = any_case(draw, window, depth - 1)
    zone = draw(st.sampled_from(["Pacific/Kiritimati", *([None, None] if len(case.zones) < 2 else [])]))
    day = date_of(window[1] // DAY)
    days = {day + timedelta(days=n) for n in draw(st.sets(st.integers(-1, 41), max_size=30))}
    calendar = draw(st.sampled_from([days, sorted(days), tuple(days), dict.fromkeys(days), days.__contains__]))
    tz = ZoneInfo(zone or next(iter(case.zones), "UTC"))

    def truth(scan):
        return [fire for fire in case.truth(scan) if datetime.fromtimestamp(fire, tz).date() not in days]

    return Case(case.trigger.except_on(calendar, zone), case.minutes, truth, case.zones or ({zone} if zone else set()))


def between(draw, window, depth=1):
    case = any_case(draw, window, depth - 1)
    bounds = st.none() | st.integers(window[1] - 5, window[2] + 5).map(lambda minute: minute * 60)
    start, end = draw(bounds), draw(bounds)
    if start is not None and end is not None:
        start, end = min(start, end), max(start, end)

    def truth(scan):
        low, high = -1 if start is None else start, 1e12 if end is None else end
        return [fire for fire in case.truth(scan) if low <= fire <= high]

    return Case(case.trigger.between(start, end), case.minutes, truth, case.zones)


COMPOSED = {"either": either_of, "except_on": except_on, "between": between}
KINDS = {**PLAIN, **COMPOSED}


def any_case(draw, window, depth):
    """Draw a plain trigger, or one composed of such up to ``depth``."""
    name = draw(st.sampled_from(sorted(KINDS if depth else PLAIN)))
    return COMPOSED[name](draw, window, depth) if name in COMPOSED else PLAIN[name](draw, window)


def assert_true(case, window, data, most=250):
    """Compare the fires of a trigger in a window with the truth: all of them, or as many as ``most`` in a row."""
    zone, start, end = window
    expected = case.truth(Scan(zone, start, end, case.minutes))
    after, before = start * 60 - 0.5, end * 60.0
    if len(expected) > most:
        first = data.draw(st.integers(0, len(expected) - most))
        after, before = expected[first] - 0.001, expected[first + most - 1] + 0.001
        expected = expected[first : first + most]
    assert fires(case.trigger, after, before) == expected

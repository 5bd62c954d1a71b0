"""The drawings: what they show, where, and that they say it in words."""

import json
import re
from datetime import datetime
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest

from tgscheduler.console import svg
from tgscheduler.console.svg import Bar, Mark, Point
from tgscheduler.console.times import Times
from tgscheduler.views import RunView

BERLIN = "Europe/Berlin"
HOUR, DAY = 3600, 86400


def moment(*fields):
    return datetime(*fields, tzinfo=ZoneInfo(BERLIN)).timestamp()


NOW = moment(2026, 11, 23, 8, 41, 22)


def times_at(now=NOW, zone=BERLIN):
    return Times.chosen(None, zone, now)


def run(state="ok", took=1.0, due=NOW - 60):
    started = None if state in ("skipped", "missed", "waiting") else due
    ended = None if started is None or state == "running" else started + took
    known = {"id": "1", "task": "a", "due": due, "until": due, "count": 1, "state": state, "attempt": 1, "log": ""}
    return RunView(**{**dict.fromkeys(RunView._fields), **known, "started": started, "ended": ended})


def parsed(drawing):
    return ElementTree.fromstring(str(drawing))


def classed(drawing, name):
    return [each for each in parsed(drawing).iter() if name in each.get("class", "").split()]


def bars(drawing):
    """Return the bars of a strip from left to right: (class, height)."""
    found = [
        (float(left), path.get("class"), float(height))
        for path in parsed(drawing)
        for left, height in re.findall(r"M([\d.]+) 20v-([\d.]+)", path.get("d"))
    ]
    return [(kind, height) for _, kind, height in sorted(found)]


# -- the strip ---------------------------------------------------------------------------------------------------------


def test_a_strip_shows_the_newest_run_at_the_right():
    assert [kind for kind, _ in bars(svg.strip([run("failed"), run(), run("skipped")], NOW))] == ["skip", "ok", "bad"]


def test_a_strip_is_as_high_as_runs_took_long_and_red_is_taller_than_green():
    failed, slow, quick, skipped = (height for _, height in bars(svg.strip(
        [run("skipped"), run(took=0.1), run(took=10), run("failed", took=0.01)], NOW
    )))  # fmt: skip
    assert failed > slow > quick > skipped


def test_a_strip_has_thirty_runs_at_most():
    assert len(bars(svg.strip([run()] * 50, NOW))) == 30


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "no runs yet"),
        ([run("timed_out")], "one run: timed out"),
        ([run("failed"), run(), run()], "2 ok, 1 failed; the last one: failed"),
        ([run("running"), run("skipped")], "1 skipped, 1 running; the last one: running"),
    ],
)
def test_a_strip_says_in_words_what_it_shows(runs, words):
    drawing = parsed(svg.strip(runs, NOW))
    assert (drawing.get("role"), drawing.get("aria-label")) == ("img", words)


# -- the timeline ------------------------------------------------------------------------------------------------------


def labels(since, until, zone=BERLIN):
    return [words for _, words in svg.scale(since, until, times_at(since, zone))]


def test_the_scale_of_an_hour_has_round_times_of_the_readers_zone():
    assert labels(NOW, NOW + HOUR) == ["08:50", "09:00", "09:10", "09:20", "09:30", "09:40"]
    assert labels(NOW, NOW + HOUR, "Asia/Kathmandu")[0] == "13:30"


def test_the_scale_of_a_day_names_midnight_by_its_date():
    assert labels(NOW, NOW + DAY) == ["09:00", "12:00", "15:00", "18:00", "21:00", "Tue 24", "03:00", "06:00"]


def test_the_scale_of_a_week_has_its_days():
    assert labels(NOW, NOW + 7 * DAY) == ["Tue 24", "Wed 25", "Thu 26", "Fri 27", "Sat 28", "Sun 29", "Mon 30"]


@pytest.mark.parametrize(
    ("day", "apart"),
    [((2026, 3, 29), 2 * HOUR), ((2026, 10, 25), 4 * HOUR)],
    ids=["an hour is left out", "an hour comes twice"],
)
def test_the_scale_is_right_where_the_clock_changes(day, apart):
    since = moment(*day)
    found = list(svg.scale(since, since + DAY, times_at(since)))
    assert [words for _, words in found][:4] == [f"{datetime(*day):%a} {day[2]}", "03:00", "06:00", "09:00"]
    assert found[1][0] - found[0][0] == apart


def test_a_clock_change_is_marked():
    since = moment(2026, 10, 24, 20)
    drawing = svg.timeline([], since, since + DAY, times_at(since), "day")
    assert [each.text for each in classed(drawing, "change") if each.text] == ["CEST \u2192 CET"]
    assert classed(svg.timeline([], NOW, NOW + DAY, times_at(), "day"), "change") == []


def test_a_timeline_has_a_line_for_now_and_says_what_it_is():
    drawing = svg.timeline([], NOW - 60, NOW + 540, times_at(), "the next minutes")
    assert [each.get("x1") for each in classed(drawing, "now")] == ["10.00%"]
    assert parsed(drawing).get("aria-label") == "the next minutes"


def test_fires_are_marks_with_their_exact_time_and_those_that_will_not_run_are_hollow():
    lane = svg.lane("a", [Mark(NOW + 60), Mark(NOW + 300, True)], [], NOW, NOW + 600, 12)
    marks = classed(svg.timeline([lane], NOW, NOW + 600, times_at(), ""), "fire")
    assert [(each.get("cx"), "held" in each.get("class"), each[0].text) for each in marks] == [
        ("10.00%", False, "Mon 23 Nov 2026 08:42:22 CET"),
        ("50.00%", True, "Mon 23 Nov 2026 08:46:22 CET"),
    ]


def test_fires_that_stand_too_close_are_a_bar():
    dense, apart = [Mark(NOW + 10 * n) for n in range(6)], [Mark(NOW + HOUR / 2)]
    lane = svg.lane("a", [*dense, *apart], [], NOW, NOW + HOUR, 60)
    assert (lane.marks, lane.bars) == (apart, [Bar(NOW, NOW + 50)])


def test_a_bar_ends_where_a_pause_begins():
    fires = [Mark(NOW + n, n < 5) for n in range(10)]
    assert svg.lane("a", fires, [], NOW, NOW + HOUR, 60).bars == [Bar(NOW, NOW + 4, True), Bar(NOW + 5, NOW + 9)]


def test_what_was_looked_at_in_steps_goes_on_with_the_bar_and_leaves_gaps():
    known = [Mark(NOW + n) for n in range(10)]
    looks = [Mark(NOW + 60), Mark(NOW + 120), Mark(NOW + 1800), Mark(NOW + 1860)]
    bars = svg.lane("a", known, looks, NOW, NOW + HOUR, 60).bars
    assert bars == [Bar(NOW, NOW + 120), Bar(NOW + 1800, NOW + 1860)]
    assert svg.lane("a", known, [Mark(NOW + 60)], NOW, NOW + 100, 60).bars == [Bar(NOW, NOW + 100)]


# -- the chart ---------------------------------------------------------------------------------------------------------

POINTS = [Point(NOW - 200, 2.0), Point(NOW - 100, 4.0), Point(NOW, 0.5, failed=True)]


def test_a_chart_says_in_words_what_it_shows():
    chart = svg.chart(POINTS, [("median", 2.0)], times_at())
    assert parsed(chart.drawing).get("aria-label") == "3 runs took 0.50 s to 4.0 s; median 2.0 s, 1 failed"
    assert chart.points == 3


def test_a_chart_has_a_point_for_each_run_and_a_line_for_each_figure():
    drawing = svg.chart(POINTS, [("median", 2.0), ("p95", 4.0)], times_at()).drawing
    points = classed(drawing, "point")
    assert [each.get("cx") for each in points] == ["0.00%", "50.00%", "100.00%"]
    assert float(points[1].get("cy")) < float(points[0].get("cy")) < float(points[2].get("cy"))
    assert ["failed" in each.get("class") for each in points] == [False, False, True]
    assert [each.text for each in classed(drawing, "figure") if each.text] == ["median", "p95"]


def test_the_data_of_a_chart_are_those_of_its_points():
    data = json.loads(svg.chart(POINTS, [("median", 2.0)], times_at()).data)
    assert data == {
        "at": [NOW - 200, NOW - 100, NOW],
        "ok": [2.0, 4.0, None],
        "failed": [None, None, 0.5],
        "figures": [["median", 2.0]],
    }


@pytest.mark.parametrize("points", [[Point(NOW, 0.0)], [Point(NOW, 1e7)], [Point(NOW, 1.0)] * 3])
def test_a_chart_of_one_moment_stays_within_its_frame(points):
    for each in classed(svg.chart(points, [], times_at()).drawing, "point"):
        assert 0 <= float(each.get("cx").rstrip("%")) <= 100
        assert 0 <= float(each.get("cy")) <= 170


@pytest.mark.parametrize("most", [0.0, 0.003, 0.41, 4.1, 59, 100, 4000, 90000, 1e7])
def test_a_scale_of_durations_has_a_few_steps_and_reaches_the_longest(most):
    steps = svg.rounded_steps(most)
    assert 2 <= len(steps) <= 7
    assert steps[0] == 0
    assert steps[-1] >= most


def test_no_drawing_has_a_style_of_its_own():
    lane = svg.lane("a", [Mark(NOW)], [], NOW, NOW + HOUR, 60)
    drawings = [svg.strip([run()], NOW), svg.timeline([lane], NOW, NOW + HOUR, times_at(), "")]
    for drawing in (*drawings, svg.chart(POINTS, [], times_at()).drawing):
        assert "style" not in {name for each in parsed(drawing).iter() for name in each.attrib}

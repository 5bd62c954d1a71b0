"""What is foreseen is what comes: the preview, ``simulate`` and ``explain`` against the loop, from any moment on."""

import itertools
import re
from datetime import UTC, date, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tgscheduler.explain.preview import Forecast
from tgscheduler.explain.task import fire_in_words
from tgscheduler.rehearsal import simulate
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable import zones
from tgscheduler.timetable.triggers import Cron, Interval, Monthdays, Once, Weekdays, either

DAY = 86400.0
ZONE = "Europe/Berlin"


class Every:
    """A trigger of an application's own."""

    def next_after(self, moment):
        return moment // 7000 * 7000.0 + 7000


TRIGGERS = [
    Interval(7200, anchor=100),
    either(Weekdays([6, 7], 2, ZONE), Cron("30 2 * * *", "America/New_York"), Interval(50_000)),
    Weekdays(range(1, 8), [(2, 30), (14, 0)], ZONE).except_on([date(2025, 3, 30)]),
    Monthdays(["last", 1], (2, 30), ZONE).between(0),
    Once(datetime(2025, 3, 29, 12, tzinfo=UTC).timestamp()),
    Every(),
]
KINDS = {
    "interval": lambda engine, at, **options: engine.add_interval_task(int, 5400, **options),
    "often": lambda engine, at, **options: engine.add_interval_task(int, 617.3, initialdelay=90_000, **options),
    "weekdays": lambda engine, at, **options: engine.add_weekday_task(int, range(1, 8), [(2, 30), (3, 0)], **options),
    "monthdays": lambda engine, at, **options: engine.add_monthday_task(int, ["last"], (2, 30), **options),
    "cron": lambda engine, at, **options: engine.add_cron_task(int, "*/40 1-4,9 * * *", **options),
    "cron-like": lambda engine, at, **options: engine.add_cron_like_task(int, "*/30 2,3,14 * * *", **options),
    "once": lambda engine, at, **options: engine.add_single_task(int, at=at, **options),
    "soon": lambda engine, at, **options: engine.add_single_task(int, initialdelay=40_000, **options),
    **{
        f"trigger {number}": lambda engine, at, trigger=trigger, **options: engine.add_task(int, trigger, **options)
        for number, trigger in enumerate(TRIGGERS)
    },
}
AHEAD = st.sampled_from([-DAY, -5000.0, 100.0, 50_000.0, 2.5 * DAY])


@st.composite
def options(draw, now):
    chosen = draw(st.sampled_from([{}, {"misfire": "skip"}, {"misfire": "run_all", "misfire_cap": 3}]))
    chosen = chosen | draw(st.sampled_from([{}, {"overlap": "queue"}, {"overlap": "allow", "max_instances": 2}]))
    chosen = chosen | {
        "jitter": draw(st.sampled_from([0, 0, 1.5, 90, 10_000])),
        "grace": draw(st.sampled_from([None, None, 30, 20_000])),
        "max_runs": draw(st.sampled_from([None, None, 1, 7])),
        "start": draw(st.none() | st.none() | AHEAD.map(lambda seconds: now + seconds)),
        "end": draw(st.sampled_from([None, None, now + 3 * DAY + 1000])),
    }
    if chosen["start"] is not None and chosen["end"] is not None:
        chosen["start"] = min(chosen["start"], chosen["end"])
    return chosen


STEPS = st.lists(
    st.tuples(st.just("tick"), st.floats(0, 1.5 * DAY))
    | st.tuples(st.sampled_from(["late", "stop", "pause", "pause all"]), st.floats(1, DAY))
    | st.tuples(st.sampled_from(["for ever", "resume", "by hand"]), st.floats(0, DAY)),
    max_size=5,
)


def take(engine, name, step, seconds):
    """Let one thing happen; a task that is over has none of it."""
    task = engine.get_task(name)
    if step == "tick":
        engine.tick(seconds)
    elif step == "late":
        engine.clock.advance(seconds)
    elif step == "stop":
        engine.stop()
        engine.clock.advance(seconds)
        engine.start()
    elif step == "pause all":
        engine.pause_all(engine.clock.now() + seconds)
    elif step == "resume":
        engine.resume_all()
    elif task is not None and step == "by hand":
        engine.schedule_task(task, seconds)
    elif task is not None:
        engine.pause(task, None if step == "for ever" else engine.clock.now() + seconds)


def records(engine, name):
    return {
        run: (run.due, run.started if run.state == "ok" else None, run.count) for run in engine.runs(name, limit=9999)
    }


@settings(max_examples=100, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(KINDS)), steps=STEPS, later=st.sampled_from([0, 0, 3000.0, DAY]))
def test_what_is_foreseen_is_what_the_loop_does(data, kind, steps, later):
    start = data.draw(
        st.sampled_from([datetime(2025, 3, 28, tzinfo=UTC), datetime(2025, 10, 24, 20, 17, 3, tzinfo=UTC)])
    )
    engine = TickedScheduler(start=start, timezone=ZONE, history=10_000)
    now = engine.clock.now()
    chosen = data.draw(options(now))
    at = now + data.draw(AHEAD)
    if kind == "once" and not (chosen["start"] or at) <= at <= (chosen["end"] or at):
        chosen["start"] = chosen["end"] = None
    KINDS[kind](engine, at, taskname="it", **chosen)
    for step, seconds in steps:
        take(engine, "it", step, seconds)
    now = engine.clock.now()
    until = now + 2 * DAY + later
    before = records(engine, "it")
    task = engine.get_task("it")
    fires = (
        []
        if task is None
        else list(itertools.takewhile(lambda fire: fire.fire_at < until, Forecast.of(engine.view(task)).fires()))
    )
    simulated = simulate(engine, now + later, 2.0).by_task.get("it", [])
    explained = "" if task is None else engine.explain(task, 30)
    engine.tick_to(until - 0.001)
    came = [record for run, record in records(engine, "it").items() if run not in before][::-1]
    silent = [fire.note is not None and "does not run" in fire.note for fire in fires]
    assert [fire.due for fire in fires] == [due for due, _, _ in came]
    assert [None if none else fire.fire_at for fire, none in zip(fires, silent, strict=True)] == [
        at for _, at, _ in came
    ]
    assert [
        int(re.match(r"one run for ([\d,]+)|", fire.note or "")[1] or 1)
        for fire, none in zip(fires, silent, strict=True)
        if not none
    ] == [count for _, at, count in came if at is not None]
    assert [fire[:2] for fire in fires if fire.fire_at >= now + later] == [fire[:2] for fire in simulated]
    for fire in fires[:30]:
        assert fire_in_words(fire, zones.zone(ZONE)) in explained


def test_a_fire_that_is_being_spread_at_the_start_is_still_to_come():
    engine = TickedScheduler(start=0)
    engine.add_interval_task(int, 10_000, taskname="it", jitter=9000)
    fire = next(Forecast.of(engine.view("it")).fires())
    engine.tick(fire.fire_at - 1)
    assert fire.due < engine.clock.now() < fire.fire_at
    assert simulate(engine, engine.clock.now(), 1).fires[0][:2] == fire[:2]


def test_what_is_past_already_runs_at_once_and_both_forms_show_it():
    start = datetime(2025, 3, 28, tzinfo=UTC).timestamp()
    engine = TickedScheduler(start=start)

    def schedule():
        from tgscheduler import scheduler

        scheduler.add_single_task(int, at=start - 3600, taskname="it")

    engine.add_single_task(int, at=start - 3600, taskname="it")
    for found in (simulate(engine, start, 1), simulate(schedule, start, 1)):
        assert [(fire.due, fire.fire_at) for fire in found.fires] == [(start - 3600, start)]
    engine.tick()
    assert [(run.due, run.started) for run in engine.runs("it")] == [(start - 3600, start)]

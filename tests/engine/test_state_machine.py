"""Anything in any order on a ticked scheduler: each occurrence is in exactly one record, at every moment.

Each entry makes only the moves from state to state that ``entry.MOVES`` has.
"""

import math
from collections import Counter

import pytest
from helpers import total
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from moves import watched_moves

from tgscheduler.errors import DuplicateTask, InvalidValue
from tgscheduler.scheduler import Retry
from tgscheduler.testing import TickedScheduler
from tgscheduler.timetable.entry import EntryState
from tgscheduler.timetable.policy import METHODS
from tgscheduler.timetable.run import RUNNING, WAITING
from tgscheduler.timetable.triggers import Cron, Interval

START = 1_750_000_000.0
OPEN = (WAITING, RUNNING)

misfires = st.sampled_from(
    [{}, {"misfire": "skip"}, *({"misfire": "run_all", "misfire_cap": cap} for cap in (1, 2, 40))]
)
overlaps = st.sampled_from([{}, {"overlap": "queue"}, {"overlap": "allow"}, {"overlap": "allow", "max_instances": 2}])
others = st.fixed_dictionaries(
    {},
    optional={
        "grace": st.sampled_from([0, 1, 30, 4000]),
        "retry": st.sampled_from([1, Retry(3, delay=7), Retry(2, delay=0, on=ValueError), Retry(1, on=KeyError)]),
        "timeout": st.sampled_from([1, 20]),
        "jitter": st.sampled_from([3, 50]),
        "max_runs": st.sampled_from([1, 2, 5]),
        "start": st.sampled_from([START - 50, START + 100]),
        "end": st.sampled_from([START + 200, START + 90_000]),
        "timezone": st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]),
    },
)
options = st.builds(
    lambda *parts: {name: value for part in parts for name, value in part.items()}, misfires, overlaps, others
)
behaviours = st.lists(st.sampled_from(["ok", "fails", 0.5, 15, 100, (25, "fails")]), min_size=1, max_size=4)


class CustomTrigger:
    """A trigger of the application's own: every so many seconds from the moment that it is asked for."""

    def __init__(self, seconds):
        self.seconds = seconds

    def next_after(self, moment):
        return (math.floor(moment / self.seconds) + 1) * self.seconds


triggers = st.sampled_from(
    [Interval(13), Cron("*/2 * * * *"), CustomTrigger(11.0), Interval(40).between(None, START + 5000)]
)


class Anything(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    def __init__(self):
        super().__init__()
        self.scheduler = TickedScheduler(start=START, history=1_000_000)
        self.events = []
        self.scheduler.subscribe(self.events.append)
        self.number = 0
        self.recorded = 0
        #: Plain intervals that nobody touched: when each began, how often it fires, and its task.
        self.watched = {}
        self.requested = set()
        #: The clock was set back by so much that what has run may run again.
        self.corrected = False

    def action(self, behaviour):
        calls = []

        def act():
            calls.append(1)
            what = behaviour[len(calls) % len(behaviour)]
            for part in what if isinstance(what, tuple) else (what,):
                if isinstance(part, (int, float)):
                    self.scheduler.clock.advance(part)
                elif part == "fails":
                    raise ValueError("as planned")

        return act

    def name(self):
        self.number += 1
        return f"task {self.number}"

    # -- what may happen ---------------------------------------------------------------------------------------------

    @rule(
        target=tasks,
        seconds=st.sampled_from([1.0, 10.0, 60.0, 3600.0]),
        behaviour=behaviours,
        options=options,
        processmethod=st.sampled_from(METHODS),
        delay=st.sampled_from([0, 5]),
    )
    def add_interval(self, seconds, behaviour, options, processmethod, delay):
        return self.scheduler.add_interval_task(
            self.action(behaviour), seconds, initialdelay=delay, processmethod=processmethod,
            taskname=self.name(), **options,
        )  # fmt: skip

    @rule(target=tasks, behaviour=behaviours, options=options, delay=st.sampled_from([0, 5, 700]))
    def add_single(self, behaviour, options, delay):
        return self.scheduler.add_single_task(
            self.action(behaviour), initialdelay=delay, taskname=self.name(), **options
        )

    @rule(target=tasks, behaviour=behaviours, options=options, trigger=triggers)
    def add_by_trigger(self, behaviour, options, trigger):
        return self.scheduler.add_task(self.action(behaviour), trigger, taskname=self.name(), **options)

    @rule(seconds=st.sampled_from([2.0, 30.0]))
    def add_watched(self, seconds):
        """A quick interval task, of which we know by ourselves how often it comes due."""
        if self.scheduler.running and not self.scheduler._registry.paused_until > -math.inf:
            name = self.name()
            self.scheduler.add_interval_task(int, seconds, taskname=name)
            self.watched[name] = (self.scheduler.clock.elapsed(), seconds)

    @rule(task=consumes(tasks), by_name=st.booleans())
    def cancel(self, task, by_name):
        self.scheduler.cancel(task.name if by_name else task)
        assert self.scheduler.get_task(task.name) is not task
        self.scheduler.tick()

    def steer(self, verb, task, *args):
        """Call a verb; of a task that has ended it says so."""
        known = self.scheduler.get_task(task.name) is task
        try:
            found = getattr(self.scheduler, verb)(task, *args)
        except InvalidValue as error:
            if known and "would never fire" not in str(error):
                raise
            return None
        assert known
        return found

    @rule(task=tasks, seconds=st.sampled_from([None, 20, 5000]))
    def pause(self, task, seconds):
        until = None if seconds is None else self.scheduler.clock.now() + seconds
        if self.steer("pause", task, until) is not None:
            assert task.paused

    @rule(task=tasks)
    def resume(self, task):
        paused = task.paused
        if (found := self.steer("resume", task)) is not None:
            assert (found, task.paused) == (paused, False)

    @rule()
    def pause_all(self):
        self.scheduler.pause_all()
        self.watched.clear()

    @rule()
    def resume_all(self):
        self.scheduler.resume_all()

    @rule(task=tasks, trigger=triggers)
    def reschedule(self, task, trigger):
        due = self.steer("reschedule_task", task, trigger)
        if due is not None and self.scheduler.running:
            assert task.next_due == due

    @rule(task=tasks)
    def run_now(self, task):
        run = self.steer("run_now", task)
        if run is not None:
            self.requested.add(run)
            self.scheduler.tick()
            assert run.state != WAITING or run in self.scheduler.runs(limit=1_000_000)

    @rule(target=tasks, task=consumes(tasks))
    def rename(self, task):
        if self.scheduler.get_task(task.name) is task:
            self.scheduler.rename(task, self.name())
        return task

    @rule(first=tasks, second=tasks)
    def rename_onto_another(self, first, second):
        if first is not second and all(self.scheduler.get_task(task.name) is task for task in (first, second)):
            with pytest.raises(DuplicateTask):
                self.scheduler.rename(first, second.name)

    @rule(index=st.integers(0, 5))
    def cancel_run(self, index):
        waiting = self.scheduler.runs(state=WAITING)
        if waiting:
            run = waiting[index % len(waiting)]
            assert self.scheduler.cancel_run(run)
            assert run.state == "cancelled"
            self.scheduler.tick()

    @rule(seconds=st.sampled_from([5, 1800, -5, -1800, -2 * 3600, 4 * 3600, -4 * 3600]))
    def step_the_clock(self, seconds):
        if self.scheduler.running:
            self.scheduler.clock.step_by(seconds)
            self.scheduler.tick()
            if seconds < -3 * 3600:
                self.corrected = True

    @rule(seconds=st.sampled_from([0, 0.3, 1, 10, 61, 500]))
    def tick(self, seconds):
        self.scheduler.tick(seconds)

    @rule(seconds=st.sampled_from([5, 300, 5000]))
    def sleep(self, seconds):
        """The process is asleep, and then makes up for it."""
        self.scheduler.clock.advance(seconds)
        self.scheduler.tick()

    @rule(seconds=st.sampled_from([0, 100]))
    def stop_and_start(self, seconds):
        self.scheduler.stop()
        assert not self.scheduler.counts()[RUNNING] + self.scheduler.counts()[WAITING]
        self.scheduler.tick(seconds)
        self.scheduler.start()
        self.watched.clear()

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def everything_is_recorded_once(self):
        counts, runs = self.scheduler.counts(), self.scheduler.runs(limit=1_000_000)
        assert total(counts) == sum(run.count for run in runs)
        assert total(counts) >= self.recorded  # nothing vanishes
        self.recorded = total(counts)
        states = Counter()
        for run in runs:
            states[run.state] += run.count
            assert (run.ended is None) == (run.state in OPEN), run
            assert run.until >= run.due
            assert run.count >= 1
            assert run.reason or run.state not in ("missed", "skipped", "cancelled"), run
        assert dict(states) == {state: count for state, count in counts.items() if count}
        assert len(set(runs)) == len(runs)

    @invariant()
    def no_occurrence_runs_twice(self):
        plain = [run for run in self.scheduler.runs(limit=1_000_000) if run not in self.requested]
        seen = Counter((run.task, run.due, run.attempt) for run in plain)
        if not self.corrected:
            assert [key for key, count in seen.items() if count > 1] == []

    @invariant()
    def health_agrees_with_the_journal(self):
        health, counts = self.scheduler.health(), self.scheduler.counts()
        waiting = sum(1 for run in self.scheduler.runs(state=WAITING, limit=1_000_000))
        assert health["waiting"] == waiting
        assert (health["running"], counts[RUNNING], health["abandoned"]) == (0, 0, 0)
        assert health["state"] in ("ok", "degraded", "stopped")

    @invariant()
    def what_we_count_by_ourselves_is_what_was_counted(self):
        elapsed = self.scheduler.clock.elapsed()
        self.scheduler.tick()  # actions may have taken the clock on, and one that takes time is not watched
        if self.scheduler.clock.elapsed() != elapsed:
            return
        for name, (begun, seconds) in self.watched.items():
            expected = math.floor((elapsed - begun) / seconds + 1e-6) + 1
            assert sum(run.count for run in self.scheduler.runs(name, limit=1_000_000)) == expected, name

    @invariant()
    def events_tell_the_same_as_the_journal(self):
        told = [event.run for event in self.events if event.name in ("run-finished", "run-skipped")]
        assert len(told) == len(set(told))
        assert set(told) == {run for run in self.scheduler.runs(limit=1_000_000) if run.ended is not None}

    def teardown(self):
        self.scheduler.stop()
        self.everything_is_recorded_once()
        assert not self.scheduler.counts()[WAITING]


checks = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def run_anything(examples, steps):
    chosen = settings(
        derandomize=True,
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=checks,
    )
    with watched_moves() as seen:
        run_state_machine_as_test(Anything, settings=chosen)
    assert {state for move in seen for state in move} == set(EntryState)


def test_anything_in_any_order_records_each_occurrence_once():
    run_anything(25, 25)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_anything_in_any_order_for_long_records_each_occurrence_once():
    run_anything(120, 40)

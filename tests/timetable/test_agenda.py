"""The agenda: tasks in the order of their fire times, in bounded batches."""

import math
import random

import pytest

from tgscheduler.clock import Clock
from tgscheduler.timetable.agenda import DUE_BATCH, Agenda
from tgscheduler.timetable.entry import Entry
from tgscheduler.timetable.tasks import SchedulerContext, SingleTask

CONTEXT = SchedulerContext(Clock(), "UTC")


def tasks(count):
    return [Entry(SingleTask(f"t{number}", int), CONTEXT, 0.0) for number in range(count)]


def names(found):
    return [entry.task.name for entry in found]


def filled(*dues):
    """Return an agenda and its tasks, t0 due at the first moment and so on."""
    agenda, made = Agenda(), tasks(len(dues))
    for task, due in zip(made, dues, strict=True):
        agenda.put(task, due)
    return agenda, made


def test_what_is_due_comes_in_the_order_of_fire_times():
    agenda, _ = filled(30.0, 10.0, 20.0)
    assert names(agenda.pop_due(25.0)) == ["t1", "t2"]
    assert names(agenda.pop_due(30.0)) == ["t0"]
    assert len(agenda) == 0


def test_of_one_fire_time_the_first_put_comes_first():
    agenda, _ = filled(*[5.0] * 20)
    assert names(agenda.pop_due(5.0)) == [f"t{number}" for number in range(20)]


def test_a_task_is_due_at_its_moment_and_not_before():
    agenda, _ = filled(10.0)
    assert agenda.pop_due(9.999999) == []
    assert agenda.earliest == 10.0
    assert names(agenda.pop_due(10.0)) == ["t0"]
    assert agenda.earliest == math.inf


def test_a_task_waits_while_it_is_in():
    agenda, [task] = filled(10.0)
    assert task.next_due == 10.0
    agenda.pop_due(10.0)
    assert task.next_due is None


def test_putting_a_task_again_moves_it():
    agenda, [task, _] = filled(10.0, 20.0)
    agenda.put(task, 30.0)
    assert len(agenda) == 2
    assert names(agenda.pop_due(15.0)) == []
    assert names(agenda.pop_due(30.0)) == ["t1", "t0"]
    agenda.put(task, 5.0)
    agenda.put(task, 3.0)
    assert names(agenda.pop_due(5.0)) == ["t0"]


def test_a_cancelled_task_does_not_come():
    agenda, [first, second, _] = filled(10.0, 20.0, 30.0)
    agenda.cancel(first)
    agenda.cancel(first)
    agenda.cancel(tasks(1)[0])
    agenda.cancel(second)
    assert len(agenda) == 1
    assert names(agenda.pop_due(100.0)) == ["t2"]
    assert agenda.earliest == math.inf


def test_the_earliest_is_never_later_than_the_next_fire():
    agenda, [first, second] = filled(10.0, 20.0)
    agenda.put(tasks(1)[0], 5.0)
    assert agenda.earliest == 5.0
    agenda.pop_due(5.0)
    assert agenda.earliest == 10.0
    agenda.cancel(first)
    assert agenda.earliest <= 20.0
    agenda.pop_due(15.0)
    assert agenda.earliest == 20.0
    agenda.cancel(second)
    agenda.pop_due(20.0)
    assert agenda.earliest == math.inf


def test_a_burst_comes_in_batches_and_the_rest_is_due_still():
    agenda, made = filled(*[1.0] * (2 * DUE_BATCH + 10))
    sizes, found = [], []
    while agenda.earliest <= 1.0:
        batch = agenda.pop_due(1.0)
        sizes.append(len(batch))
        found += batch
    assert sizes[:3] == [DUE_BATCH, DUE_BATCH, 10]
    assert sum(sizes) == len(made)
    assert found == made


def test_an_exact_batch_leaves_nothing_behind():
    agenda, made = filled(*[1.0] * DUE_BATCH, 9.0)
    assert agenda.pop_due(1.0) == made[:-1]
    assert agenda.pop_due(1.0) == []
    assert agenda.earliest == 9.0


def test_cancelled_tasks_do_not_count_in_a_batch():
    agenda, made = filled(*[1.0] * (3 * DUE_BATCH))
    for task in made[:DUE_BATCH]:
        agenda.cancel(task)
    assert agenda.pop_due(1.0) == made[DUE_BATCH : 2 * DUE_BATCH]


def test_tasks_are_listed_in_order():
    agenda, [_, second, _] = filled(30.0, 10.0, 20.0)
    assert names(agenda.entries()) == ["t1", "t2", "t0"]
    agenda.cancel(second)
    assert names(agenda.entries()) == ["t2", "t0"]


def test_clear_takes_all_out_in_order():
    agenda, made = filled(30.0, 10.0, 20.0)
    assert names(agenda.clear()) == ["t1", "t2", "t0"]
    assert len(agenda) == 0
    assert agenda.earliest == math.inf
    assert all(task.next_due is None for task in made)
    agenda.put(made[0], 7.0)
    assert names(agenda.pop_due(100.0)) == ["t0"]


def test_cancelled_tasks_do_not_stay_in_memory():
    agenda, [far] = filled(1e9)
    for round_ in range(50):
        for task in tasks(100):
            agenda.put(task, 1e6 + round_)
            agenda.cancel(task)
    assert len(agenda._sched.queue) < 300  # not the 5,000 that were put
    assert agenda.pop_due(2e9) == [far]


@pytest.mark.parametrize("seed", range(5))
def test_it_does_what_a_sorted_list_does(seed):
    dice = random.Random(seed)
    agenda, model, made, now, stamp = Agenda(), {}, tasks(60), 0.0, 0
    for _ in range(3000):
        task, stamp = dice.choice(made), stamp + 1
        match dice.randrange(4):
            case 0 | 1:
                due = now + dice.choice([0.0, 0.5, 3.0, 100.0, 1e9])
                agenda.put(task, due)
                model[task] = (due, stamp)
            case 2:
                agenda.cancel(task)
                model.pop(task, None)
            case 3:
                now += dice.choice([0.0, 0.5, 2.0])
                expected = sorted((task for task in model if model[task][0] <= now), key=model.__getitem__)
                assert agenda.pop_due(now) == expected
                for task in expected:
                    del model[task]
        assert len(agenda) == len(model)
        assert agenda.earliest <= min((due for due, _ in model.values()), default=math.inf)
    assert list(agenda.entries()) == sorted(model, key=model.__getitem__)

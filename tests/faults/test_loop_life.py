"""What starts, stops, signals and forks of the application can do to the loop."""

import logging
import multiprocessing
import os
import signal
import threading
import time

import pytest
from fault_injection import done, program
from helpers import wait_for
from probe import on_time

from tgscheduler.scheduler import ThreadedScheduler
from tgscheduler.stores.memory import MemoryStore

# -- start and stop ------------------------------------------------------------------------------------------------


@pytest.mark.realtime
@pytest.mark.slow
def test_a_hammer_of_starts_and_stops_from_threads_and_a_signal_handler(tmp_path):
    done(
        tmp_path,
        """
        scheduler = ThreadedScheduler(stop_timeout=1)
        scheduler.add_interval_task(int, 0.001, taskname="it")
        scheduler.add_interval_task(int, 0.05, taskname="forked", processmethod="forked")
        handled = []
        def handle(number, frame):
            scheduler.stop()
            handled.append(number)
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.017)
        end, faults = time.monotonic() + 3, []
        def hammer(verb):
            while time.monotonic() < end:
                try:
                    verb()
                except ValueError:          # a start while another thread stops, beyond its bound
                    pass
                except BaseException as error:
                    faults.append(error)
                time.sleep(0.002)
        threads = [threading.Thread(target=hammer, args=(verb,)) for verb in (scheduler.start, scheduler.stop) * 2]
        for thread in threads:
            thread.start()
        hammer(scheduler.start)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert not faults, faults
        assert len(handled) > 20, len(handled)
        scheduler.stop()
        until(lambda: not [each for each in threading.enumerate() if each.name.startswith("tgscheduler")])
        assert list(scheduler.get_tasks()) == ["it", "forked"]
        counts = scheduler.counts()
        assert counts["running"] == counts["waiting"] == 0, counts
        scheduler.cancel("forked")
        start(scheduler)
        on_time()
        scheduler.stop()
        """,
    )


@pytest.mark.slow
@pytest.mark.realtime
def test_an_exit_in_a_signal_handler_stops_a_plain_scheduler_in_the_main_thread(tmp_path):
    text = """
        def handle(number, frame):
            sys.exit(7)
        signal.signal(signal.SIGTERM, handle)
        scheduler = Scheduler(stop_timeout=0.1)
        scheduler.add_single_task(time.sleep, args=(60,), processmethod="forked")
        scheduler.add_single_task(lambda: print("ready", flush=True), initialdelay=0.3)
        try:
            scheduler.start()
        finally:
            print("running", scheduler.running, scheduler.counts()["cancelled"], flush=True)
    """
    with program(tmp_path, text) as process:
        process.printed("ready")
        os.kill(process.pid, signal.SIGTERM)
        assert process.ended() == 7, process.output
        assert "running False 1" in process.output


@pytest.mark.slow
def test_a_new_process_knows_nothing_of_the_last_one(tmp_path):
    look = "print(scheduler.get_tasks(), scheduler.runs(), sum(scheduler.counts().values()))"
    work = f"""
        scheduler = ThreadedScheduler(stop_timeout=0)
        {look}
        scheduler.add_interval_task(int, 0.01, taskname="it")
        scheduler.add_single_task(int, initialdelay=3600, taskname="waits")
        scheduler.start()
        until(lambda: scheduler.runs("it", state="ok"))
    """
    assert [done(tmp_path, work) for _ in range(2)] == ["{} [] 0\n"] * 2


# -- the application forks -----------------------------------------------------------------------------------------


def in_a_fork(action):
    """Run ``action`` in a plain fork; return what it returns, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(15)
        try:
            os.write(write, str(action()).encode())
        except BaseException as error:
            os.write(write, repr(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


@pytest.mark.realtime
def test_a_fork_has_a_silent_copy_that_warns_once_and_can_be_started_afresh(caplog):
    with on_time(ThreadedScheduler()) as probe:
        scheduler = probe.scheduler

        def use():
            found = [scheduler.running, scheduler.health()["state"], sum(scheduler.counts().values())]
            messages = []
            handler = logging.Handler()
            handler.emit = lambda record: messages.append(record.getMessage())
            logging.getLogger("tgscheduler").addHandler(handler)
            scheduler.add_single_task(int, taskname="one")
            scheduler.add_single_task(int, taskname="two")
            return found[:2], len(messages), "this process is a fork" in messages[0]

        before = scheduler.get_tasks()
        assert in_a_fork(use) == "([False, 'stopped'], 1, True)"
        assert scheduler.get_tasks() == before


@pytest.mark.realtime
@pytest.mark.slow
def test_a_fork_at_any_moment_of_a_busy_loop_copies_a_whole_timetable():
    scheduler = ThreadedScheduler()
    names = {f"t{number}" for number in range(50)}
    for name in names:
        scheduler.add_interval_task(time.sleep, 0.003, args=(0.001,), taskname=name)

    def restart():
        assert sum(scheduler.counts().values()) >= 0  # the journal is whole
        scheduler.start()
        last = time.time()
        wait_for(lambda: {run.task for run in scheduler.runs(since=last, state="ok", limit=10_000)} >= names, 10)
        scheduler.stop(0)
        return "all"

    scheduler.start()
    try:
        wait_for(lambda: scheduler.counts()["ok"] > 50)
        assert {in_a_fork(restart) for _ in range(10)} == {"all"}
        assert scheduler.running
    finally:
        scheduler.stop()


@pytest.mark.realtime
def test_a_task_that_runs_at_a_fork_is_no_overlap_in_the_copy():
    release, scheduler = threading.Event(), ThreadedScheduler()
    scheduler.add_interval_task(release.wait, 0.1, kw={"timeout": 20}, taskname="it")
    with on_time(scheduler):
        wait_for(lambda: scheduler.runs("it", state="running"))

        def restart():
            scheduler.get_task("it").action = int
            scheduler.get_task("it").kw = {}
            at = time.time()
            scheduler.start()
            wait_for(lambda: scheduler.runs("it", state="ok"), 5)
            scheduler.stop()
            return {run.reason for run in scheduler.runs("it", since=at)}

        try:
            assert in_a_fork(restart) == "{None}"
        finally:
            release.set()


@pytest.mark.realtime
@pytest.mark.slow
def test_a_journal_that_is_being_written_at_a_fork_is_whole_in_the_copy():
    class Slow(MemoryStore):
        writing = threading.Event()

        def record(self, runs):
            self.writing.set()
            time.sleep(0.2)
            super().record(runs)

    store = Slow()
    scheduler = ThreadedScheduler(store=store)
    scheduler.add_interval_task(int, 0.05, taskname="it")
    scheduler.start()
    try:
        for _ in range(2):
            store.writing.clear()
            assert store.writing.wait(5)
            assert in_a_fork(lambda: (scheduler.counts()["running"], scheduler.runs() == [])) in (
                "(0, True)",
                "(0, False)",
            )
    finally:
        scheduler.stop()


def is_inert(scheduler, answers):
    answers.put((scheduler.running, scheduler.health()["state"]))


@pytest.mark.realtime
def test_a_process_of_multiprocessing_forked_beside_a_running_scheduler_is_inert():
    context = multiprocessing.get_context("fork")
    with on_time(ThreadedScheduler()) as probe:
        answers = context.SimpleQueue()
        process = context.Process(target=is_inert, args=(probe.scheduler, answers))
        process.start()
        process.join(10)
        assert (process.exitcode, answers.get()) == (0, (False, "stopped"))
        process.close()
        answers.close()


@pytest.mark.realtime
@pytest.mark.slow
def test_a_process_of_multiprocessing_spawned_beside_a_running_scheduler_knows_nothing_of_it(tmp_path):
    (tmp_path / "work.py").write_text(
        "def look(answers):\n"
        "    from tgscheduler import scheduler as functions\n"
        "    answers.put((functions._get_scheduler().running, len(functions.get_tasks())))\n"
    )
    done(
        tmp_path,
        """
        import multiprocessing, work
        if __name__ == "__main__":
            scheduler = start(ThreadedScheduler())
            context = multiprocessing.get_context("spawn")
            answers = context.SimpleQueue()
            process = context.Process(target=work.look, args=(answers,))
            process.start()
            process.join(15)
            assert (process.exitcode, answers.get()) == (0, (False, 0))
            on_time()
            scheduler.stop()
        """,
    )

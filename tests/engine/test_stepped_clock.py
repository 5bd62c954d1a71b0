"""The wall clock of a real process is stepped while it runs: libfaketime moves ``time.time`` and nothing else."""

import textwrap
from pathlib import Path

import pytest
from helpers import need
from processes import Process

pytestmark = [pytest.mark.slow, pytest.mark.realtime]

PROGRAM = """
import faulthandler, os, select, threading, time
faulthandler.dump_traceback_later(25, exit=True)
# libfaketime 0.9 fails time.sleep where the monotonic clock is not faked: clock_nanosleep answers EINVAL.
time.sleep = lambda seconds: select.select([], [], [], seconds)
from tgscheduler.scheduler import ThreadedScheduler

def set_clock(seconds):
    with open("new", "w") as file:
        file.write("%+d" % seconds)
    os.replace("new", os.environ["FAKETIME_TIMESTAMP_FILE"])

def until(what, timeout=10.0):
    end = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.005)
    return what()

def at(moment):
    "A cron line for that second of the day."
    wall = time.gmtime(moment)
    return f"{{wall.tm_sec}} {{wall.tm_min}} {{wall.tm_hour}} * * *"

STEP = {step}
real = time.time(), time.monotonic()
scheduler = ThreadedScheduler(timezone="UTC", history=100_000)
beats, told = [], []
scheduler.subscribe(told.append, "clock-stepped")
scheduler.add_interval_task(lambda: beats.append(time.monotonic()), 0.2, taskname="interval", overlap="allow")
scheduler.add_cron_task(int, "*/3 * * * * *", taskname="each third")
scheduler.add_cron_task(int, at(time.time() + 1800), taskname="in between")
scheduler.start()
until(lambda: len(scheduler.runs("each third", state="ok")) >= 1 and len(beats) > 3)
scheduler.add_cron_task(int, at(time.time() + STEP + 5), taskname="at the new time")
scheduler.add_single_task(int, initialdelay=2.5, taskname="single")
set_clock(STEP)
[event] = until(lambda: told, 4.0)
assert abs(event.facts["seconds"] - STEP) < 0.5, event
assert abs(event.facts["after"] - event.facts["before"] - STEP) < 0.5, event
[run] = until(lambda: [run for run in scheduler.runs("at the new time") if run.ended])
assert run.state == "ok" and run.late < 1, run
until(lambda: scheduler.runs("single", state="ok"))
# A stop cancels what is handed over and has not begun: nothing is on its way when it comes.
scheduler.pause("interval")
until(lambda: all(run.ended for run in scheduler.runs(limit=100_000)))
scheduler.stop()

# The monotonic clock was left alone: else the pauses would say nothing.
assert abs(time.time() - real[0] - (time.monotonic() - real[1]) - STEP) < 0.5
pauses = [after - before for before, after in zip(beats, beats[1:])]
assert len(beats) > 5 and max(pauses) < 0.2 + 2, pauses
runs = scheduler.runs(limit=100_000)
assert all(run.state == "ok" or run.reason == "paused" for run in runs), runs
calendar = [(run.task, run.due) for run in runs if run.task != "interval"]
assert len(calendar) == len(set(calendar)), "an occurrence has run twice"
spans = sorted((run.due, run.until) for run in runs if run.task == "each third")
assert all(until < due for (_, until), (due, _) in zip(spans, spans[1:])), spans
single, = scheduler.runs("single")
assert abs(single.late) < 2, "a delay counts real seconds"
{then}
print("all held")
"""

THEN = {
    3600: """
# What the clock jumped over is late, and runs once.
[late] = [run for run in runs if run.task == "in between"]
assert 1700 < late.late < 1900, late
[many] = [run for run in runs if run.task == "each third" and run.count > 100]
assert 1190 < many.count < 1210, many
""",
    -3600: """
assert not [run for run in runs if run.task == "in between"]
# What has run does not run again: it is silent until the clock passes it.
assert scheduler.get_task("each third").next_due > time.time() + 3500
""",
}


@pytest.mark.parametrize("step", [3600, -3600], ids=["an hour forward", "an hour back"])
def test_a_step_of_a_real_wall_clock(tmp_path, step):
    need("faketime", "its library steps the wall clock of one process (Debian: faketime)")
    found = [*Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1")]
    assert found, "faketime is there and its library is not"
    (tmp_path / "clock").write_text("+0")
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM).format(step=step, then=THEN[step]))
    process = Process(
        "program.py",
        cwd=tmp_path,
        environment={
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
    )
    try:
        code = process.ended(40)
    finally:
        process.clean_up()
    assert code == 0, process.output
    assert "all held" in process.output

"""Policies and runs in words, for ``explain``, ``why`` and ``simulate``."""

import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

from tgscheduler import clock as clocks
from tgscheduler.timetable.policy import Policy, Retry
from tgscheduler.timetable.run import FAILED, MISSED, RUNNING, SKIPPED, WAITING, Run
from tgscheduler.timetable.trigger_phrases import stamp

#: Moments within the reasons of runs.
_MOMENT = re.compile(r"\b(due|until) (-?\d+\.\d{3})\b")

#: Maximum number of characters shown of an error's last line.
_LONGEST = 200


def zone_in_words(name: str) -> str:
    """Return a zone's name with the version of the time zone data."""
    return f"{name} (time zone data {clocks.zone_data_version()})"


def seconds_in_words(seconds: float) -> str:
    """Return a duration in a suitable unit."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.4g} {unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " s"


def policy_in_words(policy: Policy) -> list[str]:
    """Return a sentence for each choice of a policy that is not the default."""
    said = []
    if policy.misfire == "skip":
        said.append("missed occurrences are not made up for")
    elif policy.misfire == "run_all":
        said.append(f"missed occurrences are made up for one by one, {policy.misfire_cap} at most")
    if policy.grace is not None:
        said.append(f"an occurrence more than {seconds_in_words(policy.grace)} late does not run")
    if policy.overlap == "queue":
        said.append("an occurrence waits for the run before it to end")
    elif policy.overlap == "allow":
        most = "any number of" if policy.max_instances is None else str(policy.max_instances)
        said.append(f"{most} runs at a time")
    if policy.timeout is not None:
        said.append(f"a run may take {seconds_in_words(policy.timeout)}")
    if policy.retry is not None:
        said.append(_retry(policy.retry))
    if policy.jitter:
        said.append(f"each fire is spread over the {seconds_in_words(policy.jitter)} after its due time")
    if policy.max_runs is not None:
        said.append(f"{policy.max_runs} runs at most")
    return said


def _retry(retry: Retry) -> str:
    times = "once" if retry.times == 1 else f"up to {retry.times} times"
    grows = "" if retry.times == 1 or retry.factor == 1 else f", then {retry.factor:g} times as long each"
    kinds = "" if retry.on == (Exception,) else f" for {' or '.join(kind.__name__ for kind in retry.on)}"
    return f"a failed run is tried again {times}{kinds}, after {seconds_in_words(retry.delay)}{grows}"


def reason_in_words(reason: str, tz: ZoneInfo, say: Callable[[float, ZoneInfo], str] = stamp) -> str:
    """Return a run's reason with the moments in it as wall time, as ``say`` writes it."""
    return _MOMENT.sub(lambda found: f"{found[1]} {say(float(found[2]), tz)}", reason)


def run_in_words(run: Run, tz: ZoneInfo) -> str:
    """Return a run's state and times as a sentence."""
    many = "" if run.count == 1 else f" for {run.count} occurrences until {stamp(run.until, tz)}"
    reason = "" if run.reason is None else f": {reason_in_words(run.reason, tz)}"
    due = f"due {stamp(run.due, tz)}{many}"
    if run.state in (SKIPPED, MISSED):
        return f"it did not run ({due}): {run.state}{reason}"
    if run.state == WAITING:
        return f"it waits ({due}){reason}"
    if run.started is None:
        return f"it did not begin ({due}): {run.state}{reason}"
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    began = f"it began {stamp(run.started, tz)}, {seconds_in_words(run.late or 0.0)} late{attempt}"
    if run.state == RUNNING:
        return f"it is running ({due}): {began}{reason}"
    took = "" if run.ended is None else f", and took {seconds_in_words(run.ended - run.started)}"
    error = f"; {last_line(run.error)}" if run.error and run.state == FAILED else ""
    return f"it ran ({due}): {run.state}{reason}; {began}{took}{error}"


def last_line(error: str) -> str:
    """Return the last line of a traceback's text: the exception, shortened."""
    lines = [line for line in error.splitlines() if line.strip()] or [""]
    return lines[-1][:_LONGEST]

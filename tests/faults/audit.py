"""A fleet's marks against what its store has on record, and against what its processes said of themselves.

==========================  =========================================================================================
twice                       an occurrence began a second time, neither as a retry nor as a takeover
from the living             a run was taken over from a process that was not killed
attempt not on record       the record has fewer attempts than have begun
unrecorded                  it began, and no record covers it
recorded twice, wrongly     two records cover one occurrence; a record says what has not happened
missing                     neither began nor on record
open                        on record as running after the last process has ended
early                       it began long before it was due
silent                      nothing began for a while, and no process that lives said that something is wrong
unwell                      health is not ok at the end, or something was dropped
bug                         a traceback that no action has planned
==========================  =========================================================================================
"""

import itertools
import json
import re
from bisect import bisect_right
from collections import defaultdict

from marks import BEGAN, DONE, KILLED, RAISED, READY, SKEWED, STOPPING
from node import OWN, OWN_STEP, SHARED, SINGLE

from tgscheduler.timetable.run import CANCELLED, FAILED, LOST, MISSED, OK, RUNNING, SKIPPED, TIMED_OUT, WAITING

#: So many seconds may pass without a start.
QUIET = 2.5
#: So many seconds before it is due an occurrence may begin: a store allows clocks to differ by five.
EARLY = 5.5
#: What was due in the last seconds of a fleet may be on nobody's record.
TAIL = 2.0
#: A node that has noted its health less often than this in a silence was standing still itself.
AWAKE = 10

_LINE = re.compile(r"(\d+\.\d+) (WARNING|ERROR|CRITICAL) ")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\n(?:[ \t].*\n)+(\S.*)")


class Audit:
    """Finds what does not hold; ``store`` is only read."""

    def __init__(self, marks, folder, store):
        self._marks, self._store = marks, store
        self._zero = marks[0].when
        self._found = defaultdict(list)
        self._by_task = defaultdict(list)
        for mark in marks:
            self._by_task[mark.task].append(mark)
        self._ends = {(m.what, m.node, m.task, m.due, m.attempt) for m in marks if m.what in (DONE, RAISED)}
        self._killed = {mark.node: mark.when for mark in self._by_task[""] if mark.what == KILLED}
        self._lives = self._find_lives()
        self._healths = {node: _healths(folder / f"{node}.health") for node in self._lives}
        self._logs = {node: (folder / f"{node}.log").read_text(errors="replace") for node in self._lives}

    def _find_lives(self):
        """Return node -> when it was ready, and when it was told to stop or was killed."""
        lives = {}
        for mark in self._by_task[""]:
            if mark.what == READY:
                lives[mark.node] = (mark.when, self._marks[-1].when)
            elif mark.what in (STOPPING, KILLED) and mark.node in lives:
                lives[mark.node] = (lives[mark.node][0], mark.when)
        return lives

    def findings(self):
        """Return kind -> what was found of it, for each kind that anything was found of."""
        end = max(until for _, until in self._lives.values())
        begin = min(since for since, _ in self._lives.values())
        for name, step in SHARED.items():
            self._compare(name, step, begin, end)
        skewed = {mark.node[0] for mark in self._by_task[""] if mark.what == SKEWED}
        for slot in sorted({node[0] for node in self._lives} - skewed):  # with a wrong clock a process runs nothing
            own = self._by_task[OWN.format(slot)]
            if own:
                self._compare(own[0].task, OWN_STEP, own[0].due, own[-1].due)
        for name, seconds in SINGLE.items():
            if self._zero + seconds + TAIL < end:
                self._compare(name, 1e9, begin, end)
        self._look_for_silence(begin, end)
        self._look_at_nodes()
        self._compare_sums()
        return dict(self._found)

    # -- one task -----------------------------------------------------------------------------------------------------

    def _compare(self, task, step, begin, end):
        began = defaultdict(list)
        for mark in self._by_task[task]:
            if mark.what == BEGAN:
                began[mark.due].append(mark)
        records = sorted(self._store.runs(task=task, limit=1_000_000), key=lambda run: (run.due, run.until))
        self._look_for_doubles(began, step)
        for one, two in itertools.pairwise(records):
            if two.due - one.until < step / 2:
                self._add("recorded twice", task, f"{self._record(one)} and {self._record(two)}")
        dues = [record.due for record in records]
        for due, starts in began.items():
            place = bisect_right(dues, due + 1e-3) - 1
            record = records[place] if place >= 0 and due <= records[place].until + 1e-3 else None
            if record is None:
                self._add("unrecorded", task, self._starts(starts))
            else:
                self._judge(record, starts)
        for record in records:
            if record.due not in began and record.state in (OK, FAILED, TIMED_OUT):
                self._add("recorded wrongly", task, f"{self._record(record)}, and it never began")
            if record.state in (RUNNING, WAITING):
                self._add("open", task, self._record(record))
        self._look_for_holes(task, records, began, step, begin, end)

    def _look_for_doubles(self, began, step):
        spans = []
        for starts in began.values():
            attempts = defaultdict(list)
            for mark in starts:
                attempts[mark.attempt].append(mark)
                if mark.when < mark.due - EARLY:
                    self._add("early", mark.task, self._starts([mark]))
            for same in attempts.values():
                if len(same) > 1:
                    self._add("twice", same[0].task, self._starts(same))
            self._look_at_attempts(attempts)
            spans.append((starts[0].due, max(mark.until for mark in starts), starts))
        spans.sort(key=lambda span: span[:2])
        for (_, until, starts), (due, _, others) in itertools.pairwise(spans):
            if due - until < step / 2:
                self._add("twice", starts[0].task, self._starts([*starts, *others]))

    def _look_at_attempts(self, attempts):
        for number, starts in attempts.items():
            before = attempts.get(number - 1, ())
            if number == 1 or self._ended(before, RAISED):
                continue
            dead = [self._killed.get(mark.node) for mark in before]
            if not before:  # it was claimed there, and had not begun
                dead = [min(self._killed.values(), default=None)]
            if any(when is None or when > starts[0].when for when in dead):
                self._add("from the living", starts[0].task, self._starts([*before, *starts]))

    def _judge(self, record, starts):
        """Compare what a record says with what its occurrence has done."""
        last = max(starts, key=lambda mark: mark.attempt)
        if record.attempt < last.attempt and record.state not in (RUNNING, WAITING):
            self._add("attempt not on record", record.task, f"{self._record(record)}; {self._starts(starts)}")
        lives = last.node not in self._killed
        done = self._ended([last], DONE)
        if (
            record.state in (MISSED, SKIPPED)
            or (record.state == CANCELLED and done)
            or (record.state == LOST and lives)
            or (record.state == OK and not done)
            or (done and lives and record.state not in (OK, RUNNING, WAITING))
        ):
            self._add("recorded wrongly", record.task, f"{self._record(record)}; {self._starts(starts)}")

    def _ended(self, starts, how):
        """Say whether any of these attempts has ended so."""
        return any((how, mark.node, mark.task, mark.due, mark.attempt) in self._ends for mark in starts)

    def _look_for_holes(self, task, records, began, step, begin, end):
        spans = [(record.due, record.until) for record in records]
        spans += [(mark.due, mark.until) for starts in began.values() for mark in starts]
        if not spans:
            self._add("missing", task, "all of it")
            return
        if task in SINGLE:
            return
        covered = begin + TAIL
        for due, until in sorted(spans):
            if covered < end - TAIL and due - covered > step * 1.5:
                self._add("missing", task, f"{self._at(covered)} to {self._at(min(due, end))}")
            covered = max(covered, until)
        if covered < end - TAIL - step * 1.5:
            self._add("missing", task, f"{self._at(covered)} to the end at {self._at(end)}")

    # -- processes ----------------------------------------------------------------------------------------------------

    def _look_for_silence(self, begin, end):
        shared = [mark.when for task in SHARED for mark in self._by_task[task] if mark.what == BEGAN]
        for since, until in _silences(shared, begin, end):
            awake = [node for node in self._lives if self._is_awake(node, since, until)]
            if awake and not any(self._has_said(node, since, until) for node in awake):
                self._add("silent", "the fleet", f"{self._at(since)} to {self._at(until)}, awake: {' '.join(awake)}")
        for node, (since, until) in self._lives.items():
            own = [m.when for m in self._by_task[OWN.format(node[0])] if (m.what, m.node) == (BEGAN, node)]
            for gap in _silences(own, since, until):
                if self._is_awake(node, *gap) and not self._has_said(node, *gap):
                    self._add("silent", node, f"{self._at(gap[0])} to {self._at(gap[1])}")

    def _is_awake(self, node, since, until):
        return sum(since < when < until for when, *_ in self._healths[node]) >= AWAKE

    def _has_said(self, node, since, until):
        """Say whether a node's health or log has told of trouble in a stretch of time, or right after it."""
        until += 1.0
        told = [float(when) for when, _ in _LINE.findall(self._logs[node])]
        told += [when for when, state, *_ in self._healths[node] if state != "ok"]
        return any(since < when < until for when in told)

    def _look_at_nodes(self):
        for node, healths in self._healths.items():
            if not healths:
                self._add("unwell", node, "it never told its health")
                continue
            when, state, reasons, dropped = healths[-1]
            if (state != "ok" or dropped) and node not in self._killed:
                self._add("unwell", node, f"at {self._at(when)}: {state} {reasons}, {dropped} dropped")
            for error in _TRACEBACK.findall(self._logs[node]):
                if "Planned" not in error:
                    self._add("bug", node, error)

    def _compare_sums(self):
        total = sum(run.count for run in self._store.runs(limit=1_000_000) if run.state not in (RUNNING, WAITING))
        counted = sum(self._store.counts().values())
        if total != counted:
            self._add("recorded wrongly", "the store", f"counts of {counted} for records of {total} occurrences")

    def said(self, pattern):
        """Return the nodes of which health, or a warning in the log, has something like it."""
        lines = {node: [line for line in log.splitlines() if _LINE.match(line)] for node, log in self._logs.items()}
        for node, healths in self._healths.items():
            lines[node] += [reason for _, _, reasons, _ in healths for reason in reasons]
        return {node for node, found in lines.items() if any(re.search(pattern, line) for line in found)}

    # -- words --------------------------------------------------------------------------------------------------------

    def _add(self, kind, what, text):
        self._found[kind].append(f"{what}: {text}")

    def _at(self, moment):
        return f"{moment - self._zero:.3f}"

    def _starts(self, starts):
        told = [f"attempt {m.attempt} in {m.node} at {self._at(m.when)}, due {self._span(m)}" for m in starts]
        return "; ".join(told)

    def _record(self, run):
        where = "" if run.where is None else f" in {run.where.process}"
        reason = f" ({run.reason})" if run.reason else ""
        return f"on record due {self._span(run)} {run.state}{where}, attempt {run.attempt}{reason}"

    def _span(self, it):
        return self._at(it.due) if it.count == 1 else f"{self._at(it.due)} to {self._at(it.until)} ({it.count})"


def report(findings, most=6):
    """Return findings as text, the first few of each kind."""
    lines = []
    for kind, found in findings.items():
        lines += [f"{kind}: {len(found)}", *(f"    {line}" for line in found[:most])]
    return "\n".join(lines)


def _healths(path):
    """Return when, state, reasons and dropped of each time that a node noted its health; the last line may be cut."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _silences(moments, since, until):
    """Return the stretches between two moments in which there was none for longer than QUIET."""
    moments = sorted([since, until, *(moment for moment in moments if since < moment < until)])
    return [(one, two) for one, two in itertools.pairwise(moments) if two - one > QUIET]

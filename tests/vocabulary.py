"""Names and words that went, and must not come back: what ``test_architecture`` looks for.

``NAMES`` holds one definition a word: ``name`` anywhere, or ``Owner.name`` with the classes or modules (``A|B``: under
its old and its new name) that had it. Only definitions are looked at: classes, functions, attributes, constants.
"""

import re

#: Files, below the root of the project; a module of the tests under any folder.
FILES = {
    *(f"tgscheduler/engine/{name}.py" for name in (
        "lobby", "clerk", "ledger", "keeping", "recalling", "placing", "deciding", "looking", "explaining", "answering",
        "timetabling", "verbs", "steering", "schedulers", "ctrlc",
    )),
    *(f"tgscheduler/timetable/{name}.py" for name in (
        "terms", "daytasks", "asking", "realtime", "walltime", "telling", "words", "preview",
    )),
    *(f"tgscheduler/executors/{name}.py" for name in ("capturing", "forkedrun")),
    *(f"tgscheduler/stores/{name}.py" for name in ("lasting", "line", "tallies", "reading", "statements")),
    "tgscheduler/building.py", "tgscheduler/fixtures.py",
    *(f"tests/{name}.py" for name in (
        "keeping", "keepers", "named", "timetable/drawn", "timetable/test_terms", "timetable/test_asking",
        "timetable/test_walltime", "timetable/test_words", "timetable/test_judge", "faults/inject",
        "faults/test_action_terms", "executors/test_capturing", "stores/test_line",
        "conformance/test_lasting_stores", "engine/test_books", "engine/test_bounds", "engine/test_explaining",
        "engine/test_remembering", "engine/test_remembering_terms", "engine/test_steering",
    )),
}  # fmt: skip

NAMES = """
    Decider Turn Clerk _Case Answer Lobby Ledger Recall Keeper Looking Explaining Answering Verbs Steering Timetabling
    Placing Home _REAL_HOME Voice _Numbers Terms Part Verdict Outlook Notes NOBODY Known Claimed Condition Readable
    LastingStore Line Dropped Contested _Itself agenda.Entry line|write_buffer.Entry tasks.Planner

    _gone _final _by_hand _reschedules_itself _first_due _due_after _due_after_stop _put_at _adopt is_own foreign
    Task._mark Task._last Task._label Task._numbers Task._added Task._shift Task._build Task._home Task._terms
    Known|TaskRecord.mark Claimed|ClaimResult.mark Claim.by_hand Terms|TaskOptions|Limits.open
    Terms|TaskOptions|Limits.line Terms|TaskOptions|Limits.left Terms|TaskOptions|Limits.busy
    Terms|TaskOptions|Limits.needless Terms|TaskOptions|Limits.over Registry.lives Registry.home everybody
    release_over

    by_terms judge _judge Planner._file _enact place_foreign _place_foreign park _blame Planner.put Planner.plain
    Planner.by_hand _proceed _carry_out _hand_out Loop|Dispatcher._send _send_on _let_go _settle_terms _settle_last
    _ask_to_reschedule ask_for Loop|Dispatcher.refuse Loop|Dispatcher.settle Loop|Dispatcher.leave
    Loop|Dispatcher._tell slack asking sleeps_until Loop|Planner.placed hand_in answered _go_on _compare run_anyway
    _run_anyway patience patience_left waits_for_store ClaimQueue.answer ClaimQueue.full Journal.enter Journal.drop
    Journal.settle Journal.has Journal._look _edition tallies Restore.first_due Restore._afresh Restore._keep
    Restore.commit Restore.agree Restore._agree Restore.confirm Restore.note_pause Restore.note_resumed Restore.gone

    carry_out give_up Executor.abandon Executor.held Executor.trouble Executor.retry Executor.limits Executor.expire
    Executor.shift Executor.withdraw takes_many _note_begin child.settle Run._again Run._former Run.successor
    Run.try_again Run.was_lost

    is_lasting lasts PersistentStore|LastingStore|DatabaseStore.lost
    PersistentStore|LastingStore|DatabaseStore|Writer.condition Database|SqliteDatabase|PostgresDatabase.tidy
    Database|SqliteDatabase|PostgresDatabase.is_tidying Database|SqliteDatabase|PostgresDatabase.leave
    Database|SqliteDatabase|PostgresDatabase.many Database|SqliteDatabase|PostgresDatabase.hint enrol _enrol
    Batch.doubles Batch.careful Pruner._spread

    stretch compose.ask no_later on_its_day policy.spread plan.slots plan.overlaps plan._leave plan._misfire PLAIN
    LATE CORRECTION MOST LAST AGREE PATIENCE AGAIN LONG LOOK MOVING IDLE _hurry Scheduler|Lifecycle._life _stopper
    _door _copied _become_a_copy forget scheduler._here scheduler._making scheduler._configured

    Planner.restored _look_elsewhere ClaimQueue.on_committed ThreadedExecutor._bell flush_saves sql.MOVES
    control.collected control.collecting Scheduler.collecting find_first_slowly
"""

#: Words for which the field has another: in pages, comments, docstrings, log lines and the names of tests.
METAPHORS = re.compile(
    r"(?<![a-z])(lobby|clerks?|ledger|the[ _]books|booked|recall|keepers?|the attic|the house|no wall was|one door|"
    r"hand(?:ed|s)?[ _]in|LastingStore|lasting stores?)(?![a-z])",
    re.IGNORECASE,
)

#: What plain engineering English says otherwise.
WORDING = re.compile(r"\b(nobody|somebody|whoever|whom|So (many|long)|[Ss]ay whether)\b")

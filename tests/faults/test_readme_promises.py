"""The README's table of what survives what has a test behind each line."""

import re

from conftest import ROOT
from named import expand, missing

TESTS = expand(
    {
        "An action raises, also SystemExit or KeyboardInterrupt": """
            conformance/test_executors::test_whatever_is_raised_is_a_failure_logged_once_with_name_and_traceback
            faults/test_action_raises::test_what_is_raised_ends_neither_loop_nor_pool_nor_forker
            faults/test_action_raises::test_an_evil_exception_is_a_failure_with_a_bounded_text
            """,
        "A forked action crashes, or is killed": """
            executors/test_forked::test_a_child_that_dies_is_a_failure_that_says_how
            faults/test_action_process::test_a_forked_action_that_dies_harms_nobody
            faults/test_executor::test_no_zombie_is_left_while_the_scheduler_runs
            """,
        "An action hangs": """
            faults/test_action_process::test_a_threaded_action_that_does_not_return_holds_one_thread_and_stop_is_bounded
            faults/test_action_process::test_a_sequential_action_that_blocks_is_named_by_health_and_warned_about
            faults/test_executor::test_a_child_that_hangs_in_a_lock_held_at_the_fork_is_ended_at_stop
            """,
        "More is due than there are threads": """
            executors/test_threaded::test_past_the_bound_runs_wait_in_order_and_none_is_dropped
            executors/test_threaded::test_the_bound_of_the_scheduler_is_visible_while_runs_wait
            """,
        "The wall clock is stepped": """
            engine/test_loop::test_a_step_forward_keeps_intervals_and_makes_calendar_tasks_late
            engine/test_loop::test_a_step_back_runs_no_occurrence_twice
            engine/test_loop::test_a_large_step_back_is_a_correction
            faults/test_loop_clock::test_a_step_of_the_wall_clock_doubles_no_occurrence_and_keeps_every_task
            """,
        "graceful (SIGUSR1)": """
            host/test_signals::test_graceful_leaves_the_timetable_as_it_is
            """,
        "SIGTERM, Ctrl-C, engine.restart(), the autoreloader": """
            host/test_signals::test_a_signal_ends_running_tasks_within_the_bound
            host/test_signals::test_two_ctrl_c
            host/test_signals::test_a_restart_binds_the_port_again_and_leaves_no_child
            """,
        "The process ends": """
            faults/test_action_process::test_a_threaded_action_that_ends_the_host_leaves_no_child
            host/test_plugin::test_start_stop_start_in_one_process
            guide/test_promises::test_jobs_are_scheduled_anew_at_each_start
            """,
    }
)


def rows(text):
    """Return the first cells of the table under ``What survives what``, its heading left out, as plain text."""
    table = text.partition("What survives what:")[2].partition("\n\n\n")[0]
    cells = re.findall(r"^   \* - (.*?)(?=^     - )", table, re.MULTILINE | re.DOTALL)
    return [" ".join(cell.replace("``", "").split()) for cell in cells][1:]


def test_each_line_of_the_readmes_table_has_its_tests():
    assert rows((ROOT / "README.rst").read_text(encoding="utf-8")) == list(TESTS)


def test_the_tests_behind_the_table_are_there():
    assert missing(test for tests in TESTS.values() for test in tests) == []


def test_a_line_without_a_test_would_be_found():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    planted = text.replace(
        "   * - The process ends\n", "   * - The moon\n       falls\n     - Nothing.\n   * - The process ends\n"
    )
    assert [row for row in rows(planted) if row not in TESTS] == ["The moon falls"]
    assert missing(["tests/engine/test_loop.py::test_that_nobody_wrote", "tests/engine/test_moon.py::test_x"])

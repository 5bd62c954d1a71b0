"""Each promise of the README, and each line of its table of what survives what, has a test behind it."""

import re

from helpers import ROOT
from tests_by_name import expand, missing

PROMISES = expand(
    {
        "Each occurrence is accounted for.": """
            engine/test_journal_invariant::test_twenty_threads_that_add_cancel_and_rename_lose_and_double_nothing
            engine/test_journal_invariant::test_fifty_threads_for_thirty_seconds_lose_and_double_nothing
            engine/test_journal_invariant::test_counts_name_every_state_and_add_up_to_what_came_due
            engine/test_loop::test_a_task_that_still_runs_is_not_started_again_and_the_reason_names_its_run
            """,
        "No drift.": """
            engine/test_loop::test_an_interval_starts_on_its_grid_whatever_the_action_takes
            engine/test_loop::test_a_million_steps_of_a_tenth_do_not_drift
            timetable/test_tasks_in_time::test_an_interval_that_is_no_whole_number_does_not_drift
            """,
        "Exact days.": """
            timetable/test_tasks_in_time::test_calendar_tasks_run_at
            timetable/test_vectors::test_the_next_fires_are_the_known_ones
            timetable/test_zones::test_a_wall_time_is_due_at
            test_docs::test_clock_changes_row_by_row_zones
            """,
        "Heard at once.": """
            engine/test_loop::test_a_task_added_while_the_loop_sleeps_fires_at_its_own_time
            """,
        "One run makes up for all that was missed": """
            engine/test_loop::test_what_was_missed_runs_as_one_run_that_says_how_many
            engine/test_loop::test_missed_calendar_days_are_counted_one_by_one
            engine/test_loop::test_a_task_that_still_runs_is_not_started_again_and_the_reason_names_its_run
            faults/test_loop_clock::test_a_stopped_and_continued_process_makes_up_by_one_run_and_says_how_late
            """,
        "Bounded.": """
            executors/test_threaded::test_three_hundred_that_are_due_at_once_run_a_hundred_at_a_time_in_order
            executors/test_forked::test_children_are_bounded_and_wait_in_order
            engine/test_journal_invariant::test_history_is_bounded_and_counts_are_not
            engine/test_lifecycle::test_stop_leaves_an_action_that_never_returns_behind
            engine/test_lifecycle::test_stop_ends_children_by_process_group
            """,
    }
)

TESTS = expand(
    {
        "An action raises, also SystemExit or KeyboardInterrupt": """
            conformance/test_executors::test_whatever_is_raised_is_a_failure_logged_once_with_name_and_traceback
            faults/test_action_raises::test_what_is_raised_ends_neither_loop_nor_pool_nor_forker
            faults/test_action_raises::test_an_evil_exception_is_a_failure_with_a_bounded_text
            guide/test_promises::test_exceptions_do_not_kill_the_scheduler
            """,
        "An action fails, and its task has retry": """
            faults/test_action_policies::test_a_failing_action_is_tried_again_and_is_one_run
            faults/test_action_policies::test_retries_end_and_the_last_error_is_in_the_record
            faults/test_action_policies::test_an_exception_that_is_not_to_be_tried_again_fails_at_once
            """,
        "A forked action crashes, or is killed": """
            executors/test_forked::test_a_child_that_dies_is_a_failure_that_says_how
            faults/test_action_process::test_a_forked_action_that_dies_harms_no_one
            faults/test_executor::test_no_zombie_is_left_while_the_scheduler_runs
            """,
        "An action hangs": """
            faults/test_action_process::test_a_threaded_action_that_does_not_return_holds_one_thread_and_stop_is_bounded
            faults/test_action_process::test_a_forked_action_that_does_not_return_holds_one_child_and_stop_is_bounded
            faults/test_action_process::test_a_sequential_action_that_blocks_is_named_by_health_and_warned_about
            faults/test_executor::test_a_child_that_hangs_in_a_lock_held_at_the_fork_is_ended_at_stop
            """,
        "An action hangs, and its task has a timeout": """
            faults/test_action_policies::test_a_threaded_action_past_its_timeout_is_timed_out_and_its_task_goes_on
            faults/test_action_policies::test_a_forked_action_past_its_timeout_is_ended_with_its_process
            """,
        "A listener to events raises": """
            host/test_bus_events::test_a_listener_that_raises_is_logged_and_not_felt
            """,
        "More is due than there are threads": """
            executors/test_threaded::test_past_the_bound_runs_wait_in_order_and_none_is_dropped
            executors/test_threaded::test_the_bound_of_the_scheduler_is_visible_while_runs_wait
            executors/test_threaded::test_three_hundred_that_are_due_at_once_run_a_hundred_at_a_time_in_order
            """,
        "The wall clock is stepped": """
            engine/test_steps::test_a_step_forward_keeps_intervals_and_makes_calendar_tasks_late
            engine/test_steps::test_a_step_back_runs_no_occurrence_twice
            engine/test_steps::test_a_large_step_back_is_a_correction
            faults/test_loop_clock::test_a_step_of_the_wall_clock_doubles_no_occurrence_and_keeps_every_task
            faults/test_loop_clock::test_what_has_run_runs_again_after_a_step_back_of_more_than_three_hours_only
            engine/test_stepped_clock::test_a_step_of_a_real_wall_clock
            """,
        "The process is stopped by a signal and goes on, or the machine sleeps": """
            faults/test_loop_clock::test_a_stopped_and_continued_process_makes_up_by_one_run_and_says_how_late
            test_clock::test_a_night_in_which_the_machine_is_suspended_is_no_step
            """,
        "graceful (SIGUSR1)": """
            host/test_signals::test_graceful_leaves_the_timetable_as_it_is
            """,
        "SIGTERM, Ctrl-C, engine.restart(), the autoreloader": """
            host/test_signals::test_a_signal_ends_running_tasks_within_the_bound
            host/test_signals::test_what_ends_by_itself_during_the_drain_is_whole
            host/test_signals::test_a_running_child_has_five_seconds_unless_the_setting_says_otherwise
            host/test_signals::test_two_ctrl_c
            host/test_signals::test_a_restart_binds_the_port_again_and_leaves_no_child
            engine/test_lifecycle::test_stop_ends_children_by_process_group
            faults/test_action_process::test_the_children_of_a_child_end_with_it_at_stop
            """,
        "The process ends": """
            faults/test_action_process::test_a_threaded_action_that_ends_the_host_leaves_no_child
            faults/test_loop_life::test_a_new_process_knows_nothing_of_the_last_one
            faults/test_security::test_the_package_creates_no_file
            host/test_plugin::test_start_stop_start_in_one_process
            guide/test_promises::test_jobs_are_scheduled_anew_at_each_start
            host/test_store::test_runs_and_pauses_outlive_the_server
            engine/test_restore::test_what_a_calendar_task_missed_while_nothing_ran_is_up_to_its_misfire_policy
            """,
        "The process is killed, and there is a store": """
            engine/test_shared_store::test_a_run_whose_process_was_killed_is_lost_or_runs_again_and_its_record_says_so
            faults/test_store_kills::test_two_hundred_kills_while_a_thousand_tasks_run_on_sqlite
            faults/test_store_kills::test_fifty_kills_on_postgresql
            """,
        "The store is locked, full, or gone": """
            engine/test_store_down::test_runs_go_on_while_the_store_is_down_and_their_records_arrive_when_it_is_back
            faults/test_store_kills::test_a_full_disk_and_its_return
            faults/test_store_kills::test_a_postgresql_server_that_is_restarted_and_one_that_crashes_in_mid_run
            conformance/test_store_outages::test_what_is_beyond_the_buffer_is_dropped_oldest_successes_first_and_the_sums_are_kept
            """,
    }
)


def rows(text):
    """Return the first cells of the table under ``What survives what``, its heading left out, as plain text."""
    table = text.partition("What survives what:")[2].partition("\n\n\n")[0]
    cells = re.findall(r"^   \* - (.*?)(?=^     - )", table, re.MULTILINE | re.DOTALL)
    return [" ".join(cell.replace("``", "").split()) for cell in cells][1:]


def promises(text):
    """Return how each promise begins, as plain text."""
    listed = text.partition("\nPromises\n")[2].partition("\nWhat survives what:")[0]
    return [" ".join(words.split()) for words in re.findall(r"^\* \*\*(.+?)\*\*", listed, re.MULTILINE | re.DOTALL)]


def test_each_line_of_the_readmes_table_has_its_tests():
    assert rows((ROOT / "README.rst").read_text(encoding="utf-8")) == list(TESTS)


def test_each_promise_of_the_readme_has_its_tests():
    assert promises((ROOT / "README.rst").read_text(encoding="utf-8")) == list(PROMISES)


def test_the_tests_behind_promises_and_table_are_there():
    assert missing(test for tests in [*PROMISES.values(), *TESTS.values()] for test in tests) == []


def test_a_line_without_a_test_would_be_found():
    text = (ROOT / "README.rst").read_text(encoding="utf-8")
    planted = text.replace(
        "   * - The process ends\n", "   * - The moon\n       falls\n     - Nothing.\n   * - The process ends\n"
    )
    assert [row for row in rows(planted) if row not in TESTS] == ["The moon falls"]
    assert missing(["tests/engine/test_loop.py::test_that_nobody_wrote", "tests/engine/test_moon.py::test_x"])

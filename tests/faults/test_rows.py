"""Each fault that somebody has met, by a short name, and the tests that provoke it.

``TESTS`` holds what there is, ``LEFT`` what has to wait for a feature that is not there yet. A row whose test was
renamed or taken out fails here.
"""

from tests_by_name import expand, missing

TESTS = expand(
    {
        # -- action
        "action: Exception, BaseException": """
            conformance/test_executors::test_whatever_is_raised_is_a_failure_logged_once_with_name_and_traceback
            faults/test_action_raises::test_what_is_raised_ends_neither_loop_nor_pool_nor_forker
            """,
        "action: SystemExit, KeyboardInterrupt, GeneratorExit": """
            faults/test_action_raises::test_what_is_raised_ends_neither_loop_nor_pool_nor_forker
            engine/test_lifecycle::test_ctrl_c_stops_a_plain_scheduler_but_a_raised_keyboardinterrupt_does_not
            """,
        "action: evil exceptions, huge locals": """
            faults/test_action_raises::test_an_evil_exception_is_a_failure_with_a_bounded_text
            faults/test_action_raises::test_the_locals_of_a_failed_action_are_gone_after_its_record
            faults/test_action_raises::test_an_exception_that_the_application_keeps_keeps_none_of_our_frames
            conformance/test_executors::test_endless_recursion_is_a_failure
            """,
        "action: endless loop, blocking call": """
            faults/test_action_process::test_a_threaded_action_that_does_not_return_holds_one_thread_and_stop_is_bounded
            faults/test_action_process::test_a_forked_action_that_does_not_return_holds_one_child_and_stop_is_bounded
            faults/test_action_process::test_a_sequential_action_that_blocks_is_named_by_health_and_warned_about
            engine/test_lifecycle::test_stop_leaves_an_action_that_never_returns_behind
            engine/test_lifecycle::test_stop_ends_children_by_process_group
            engine/test_timeouts::test_a_sequential_run_past_its_timeout_is_marked_when_it_returns
            engine/test_timeouts::test_a_threaded_run_is_marked_at_its_deadline_and_its_thread_counts_until_it_returns
            engine/test_timeouts::test_a_timeout_is_tried_again_while_the_first_attempt_still_holds_its_thread
            engine/test_timeouts::test_a_forked_run_is_gone_soon_after_its_deadline_with_its_group
            """,
        "action: os._exit, SIGSEGV, SIGKILL": """
            executors/test_forked::test_a_child_that_dies_is_a_failure_that_says_how
            engine/test_timeouts::test_a_forked_run_is_tried_again_for_what_is_listed
            faults/test_action_process::test_a_forked_action_that_dies_harms_no_one
            faults/test_action_process::test_a_threaded_action_that_ends_the_host_leaves_no_child
            engine/test_shared_store::test_a_run_whose_process_was_killed_is_lost_or_runs_again_and_its_record_says_so
            """,
        "action: fork bomb, no memory": """
            executors/test_forked::test_children_are_bounded_and_wait_in_order
            faults/test_action_process::test_the_children_of_a_child_end_with_it_at_stop
            faults/test_action_raises::test_an_evil_exception_is_a_failure_with_a_bounded_text
            """,
        "action: a lot of output or log lines": """
            executors/test_forked::test_output_larger_than_the_pipe_arrives
            faults/test_action_process::test_five_megabytes_of_output_do_not_block_the_parent
            faults/test_action_process::test_fifty_megabytes_of_output_do_not_block_the_parent
            executors/test_log_capture::test_a_run_in_memory_has_its_lines_too_and_only_the_last_ones
            """,
        "action: returns what cannot be pickled": """
            faults/test_action_process::test_what_an_action_returns_is_never_looked_at
            faults/test_security::test_a_forked_run_unpickles_and_evaluates_nothing_on_either_side
            """,
        "action: closes files, dups over the pipe": """
            executors/test_forked::test_a_child_that_dies_is_a_failure_that_says_how
            faults/test_action_process::test_a_child_that_breaks_its_pipe_fails_and_harms_no_one
            faults/test_action_process::test_a_threaded_action_that_closes_all_files_costs_the_children_of_that_moment_at_most
            """,
        "action: changes its process": """
            faults/test_action_process::test_what_a_child_changes_of_its_process_its_parent_keeps
            faults/test_action_process::test_the_engine_needs_neither_a_folder_nor_a_locale_nor_an_output
            executors/test_forked::test_the_child_has_default_signals_an_empty_stdin_and_no_exit_handlers
            """,
        "action: arguments, name, cancelled, not callable, reschedule raises": """
            faults/test_action_calls::test_the_next_run_gets_the_very_arguments_that_the_last_one_changed
            faults/test_action_calls::test_an_action_that_is_not_callable_any_more_fails_and_its_task_goes_on
            faults/test_action_calls::test_an_action_whose_names_cannot_be_had_runs_all_the_same
            engine/test_names::test_rename_in_mid_run_leaves_the_run_its_name
            engine/test_names::test_cancel_of_a_running_task_lets_the_run_end_and_frees_the_name
            engine/test_loop::test_a_reschedule_that_raises_ends_the_task_with_its_reason
            """,
        "action: calls the API": """
            faults/test_action_calls::test_an_action_may_call_every_verb_within_two_seconds
            faults/test_action_calls::test_in_a_forked_run_each_verb_is_an_error_that_says_why
            engine/test_control::test_each_verb_answers_from_inside_an_action
            engine/test_control::test_in_a_forked_run_each_verb_is_an_error
            faults/test_action_calls::test_a_forked_run_that_stops_its_copy_of_the_scheduler_stops_nothing
            engine/test_lifecycle::test_an_action_may_stop_its_scheduler
            """,
        # -- trigger
        "trigger: raises": """
            faults/test_trigger::test_a_trigger_without_a_later_answer_disables_its_task_with_the_reason
            faults/test_trigger::test_one_broken_trigger_at_the_start_or_at_a_step_costs_no_other_task_its_time
            engine/test_loop::test_a_trigger_that_raises_disables_its_task_and_no_other
            faults/test_trigger::test_a_custom_trigger_that_is_wrong_at_once_is_an_error_at_the_call
            faults/test_trigger::test_a_custom_trigger_that_is_wrong_at_the_start_or_at_a_step_costs_no_other_task_its_time
            engine/test_reschedule::test_a_trigger_that_does_not_fire_leaves_the_task_as_it_is
            """,
        "trigger: never returns": """
            faults/test_trigger::test_a_reschedule_that_does_not_return_is_named_by_health
            faults/test_trigger::test_a_trigger_that_does_not_return_locks_the_timetable_and_health_says_so
            faults/test_trigger::test_a_custom_trigger_that_does_not_return_is_named_by_health_and_locks_nothing
            faults/test_trigger::test_a_custom_trigger_is_never_asked_while_the_timetable_is_locked
            """,
        "trigger: the past, the same moment, NaN, inf, a string, a datetime, None": """
            faults/test_trigger::test_a_trigger_without_a_later_answer_disables_its_task_with_the_reason
            faults/test_trigger::test_a_custom_trigger_without_a_later_answer_disables_its_task_with_the_reason
            faults/test_trigger::test_a_trigger_that_answers_none_has_ended_and_its_last_occurrence_runs
            faults/test_trigger::test_a_trigger_that_goes_astray_within_a_missed_stretch_is_an_error_and_no_endless_count
            faults/test_trigger::test_a_reschedule_without_an_answer_ends_its_task_with_the_reason
            faults/test_trigger::test_a_reschedule_that_puts_itself_into_the_past_again_and_again_lets_everybody_else_run
            """,
        # -- executor
        "executor: no new thread": """
            executors/test_threaded::test_threads_that_cannot_be_started_delay_runs_and_nothing_is_lost
            faults/test_executor::test_threads_that_cannot_be_started_at_random_calls_lose_no_run
            faults/test_executor::test_a_forker_that_cannot_be_started_is_tried_again_and_its_run_waits
            faults/test_executor::test_threads_and_processes_really_at_their_limit_delay_runs_and_nothing_is_lost
            engine/test_restart::test_a_start_without_threads_is_an_error_that_leaves_nothing
            """,
        "executor: fork EAGAIN and ENOMEM, pipe EMFILE": """
            faults/test_executor::test_what_the_host_refuses_is_tried_again_and_leaks_no_file
            faults/test_executor::test_a_fork_that_is_refused_until_the_stop_is_cancelled_there
            faults/test_executor::test_files_really_at_their_limit_delay_forked_runs_and_nothing_is_lost
            """,
        "executor: a child hangs in a lock held at the fork": """
            faults/test_executor::test_a_child_that_hangs_before_its_action_is_ended_and_says_why
            faults/test_executor::test_a_child_that_hangs_in_a_lock_held_at_the_fork_is_ended_at_stop
            executors/test_forked::test_children_do_not_hang_beside_threads_that_log_and_print
            executors/test_forked::test_a_thousand_forks_beside_eight_threads_that_log_and_print
            """,
        "executor: zombies, thieves of children, numbers used again": """
            faults/test_executor::test_no_zombie_is_left_while_the_scheduler_runs
            faults/test_executor::test_a_thief_of_children_costs_outcomes_at_most_of_those_that_said_nothing
            faults/test_executor::test_the_number_of_a_child_that_someone_else_has_reaped_is_signalled_no_more
            executors/test_forked::test_an_application_that_ignores_sigchld_or_reaps_for_itself_gets_outcomes_all_the_same
            """,
        "executor: a worker ended; completion late, twice, of a cancelled run": """
            faults/test_executor::test_a_run_whose_worker_is_ended_from_outside_is_lost_and_says_so
            faults/test_executor::test_a_forker_that_meets_a_fault_loses_its_children_of_that_moment_and_is_followed_by_another
            faults/test_executor::test_a_run_that_ends_twice_is_recorded_once_and_the_first_end_stands
            faults/test_executor::test_a_run_that_ends_after_the_stop_stays_cancelled
            faults/test_executor::test_a_run_that_was_cancelled_does_not_begin
            faults/test_executor::test_an_executor_that_cannot_take_a_run_ends_it_with_the_reason
            """,
        # -- loop
        "loop: wake-ups for nothing, storms of rings": """
            faults/test_loop_clock::test_a_hundred_thousand_rings_start_nothing_early
            engine/test_loop::test_a_thousand_rings_start_nothing_early
            """,
        "loop: wall clock by hours, by years, each second": """
            faults/test_loop_clock::test_a_step_of_the_wall_clock_doubles_no_occurrence_and_keeps_every_task
            faults/test_loop_clock::test_what_has_run_runs_again_after_a_step_back_of_more_than_three_hours_only
            faults/test_loop_clock::test_a_clock_that_steps_each_second_spins_nothing_and_doubles_nothing
            faults/test_loop_clock::test_a_real_loop_follows_a_step_and_does_not_spin
            faults/test_loop_clock::test_no_wait_is_longer_than_half_a_minute_however_far_the_next_fire_is
            """,
        "loop: stopped and continued, the interpreter held": """
            faults/test_loop_clock::test_a_stopped_and_continued_process_makes_up_by_one_run_and_says_how_late
            faults/test_loop_clock::test_a_c_call_that_holds_the_interpreter_makes_everybody_late_once
            faults/test_loop_clock::test_a_long_collection_makes_no_one_late_for_long
            """,
        "loop: 100,000 due at once": """
            faults/test_loop_clock::test_a_hundred_thousand_due_at_once_run_in_order_of_time_and_insertion
            faults/test_loop_clock::test_while_a_hundred_thousand_are_due_adding_and_cancelling_answer
            """,
        "loop: storms of add, cancel, rename": """
            engine/test_journal_invariant::test_twenty_threads_that_add_cancel_and_rename_lose_and_double_nothing
            engine/test_journal_invariant::test_fifty_threads_for_thirty_seconds_lose_and_double_nothing
            engine/test_state_machine::test_anything_in_any_order_records_each_occurrence_once
            engine/test_names::test_get_tasks_is_a_new_dict
            """,
        "loop: start and stop in any order and from anywhere": """
            engine/test_lifecycle::test_a_hundred_start_stop_cycles_leave_nothing_behind
            engine/test_lifecycle::test_stop_before_any_start_is_harmless
            engine/test_lifecycle::test_starting_in_many_threads_starts_one_loop
            engine/test_lifecycle::test_stopping_in_many_threads_stops_once_and_returns_everywhere
            engine/test_lifecycle::test_sigterm_at_any_moment_of_a_busy_main_thread_ends_it_within_the_bound
            faults/test_loop_life::test_a_hammer_of_starts_and_stops_from_threads_and_a_signal_handler
            faults/test_loop_life::test_an_exit_in_a_signal_handler_stops_a_plain_scheduler_in_the_main_thread
            """,
        "loop: the host forks": """
            conformance/test_store_outages::test_a_forked_child_lets_its_parents_connections_alone
            faults/test_loop_life::test_a_fork_has_a_silent_copy_that_warns_once_and_can_be_started_afresh
            faults/test_loop_life::test_a_fork_at_any_moment_of_a_busy_loop_copies_a_whole_timetable
            faults/test_loop_life::test_a_task_that_runs_at_a_fork_is_no_overlap_in_the_copy
            faults/test_loop_life::test_a_journal_that_is_being_written_at_a_fork_is_whole_in_the_copy
            faults/test_loop_life::test_a_process_of_multiprocessing_forked_beside_a_running_scheduler_is_inert
            faults/test_loop_life::test_a_process_of_multiprocessing_spawned_beside_a_running_scheduler_knows_nothing_of_it
            host/test_signals::test_a_daemon
            host/test_plugin::test_a_child_of_the_application_does_not_shut_its_parent_down
            """,
        "loop: it dies all the same": """
            faults/test_loop_breaks::test_a_fault_in_the_middle_of_a_turn_costs_no_task_its_time
            faults/test_loop_breaks::test_a_fault_that_stays_ends_the_loop_loudly_and_a_new_start_is_a_new_loop
            faults/test_loop_breaks::test_a_store_that_fails_once_loses_no_record
            engine/test_loop::test_one_fault_of_the_loop_is_survived_and_two_are_shouted_about
            """,
        # -- host
        "host: daemon, autoreload, signals once and twice": """
            host/test_signals::test_a_daemon
            host/test_signals::test_a_restart_binds_the_port_again_and_leaves_no_child
            host/test_signals::test_a_signal_ends_running_tasks_within_the_bound
            host/test_signals::test_a_second_signal_ends_the_drain_at_once
            host/test_signals::test_two_ctrl_c
            host/test_signals::test_sigterm_during_a_slow_hook
            host/test_signals::test_ctrl_c_during_a_slow_hook
            host/test_signals::test_sigterm_while_tasks_are_being_added_on_the_main_thread
            """,
        "host: port taken, hooks and listeners that raise, broken configuration": """
            host/test_plugin::test_a_start_that_fails_runs_no_task
            host/test_plugin::test_a_hook_that_raises_stops_the_start_with_its_name
            host/test_plugin::test_without_a_begun_start_nothing_is_shut_down
            host/test_server::test_what_cherrypy_refuses_in_start_server_is_one_line_and_exit_70
            host/test_server::test_a_bad_key_in_cherrypys_config_is_one_line_and_exit_70
            """,
        "host: stdout closed or full, log without room": """
            faults/test_host_faults::test_a_log_without_room_is_not_felt
            faults/test_executor::test_a_log_handler_that_raises_is_not_felt
            """,
        # -- store
        "store: disk full, locked, slow, vanished": """
            conformance/test_store_files::test_a_full_disk_and_its_return
            faults/test_store_kills::test_a_full_disk_and_its_return
            conformance/test_store_outages::test_a_file_that_is_locked_for_a_while
            engine/test_store_down::test_runs_go_on_while_the_store_is_down_and_their_records_arrive_when_it_is_back
            engine/test_store_down::test_with_pause_runs_wait_for_the_store
            conformance/test_store_outages::test_a_slow_database_is_said_and_keeps_no_one_waiting
            conformance/test_store_outages::test_a_server_that_restarts
            conformance/test_store_outages::test_connections_that_are_ended_at_random
            faults/test_store_kills::test_a_postgresql_server_that_is_restarted_and_one_that_crashes_in_mid_run
            """,
        "store: cut after COMMIT": """
            conformance/test_store_outages::test_a_connection_that_is_cut_at_its_commit
            conformance/test_store_outages::test_a_commit_that_is_not_answered_is_neither_lost_nor_done_twice
            """,
        "store: corrupt page, wrong file, directory, mode 0400, newer schema": """
            conformance/test_store_faults::test_a_damaged_file
            conformance/test_store_files::test_a_page_that_is_damaged_while_it_runs
            conformance/test_store_faults::test_a_file_that_is_no_database
            conformance/test_store_faults::test_a_folder_a_missing_folder_and_a_link_to_nothing
            conformance/test_store_faults::test_no_permission
            conformance/test_store_faults::test_a_newer_schema
            host/test_store::test_a_store_that_cannot_be_opened_ends_the_start_with_one_line_and_no_task_runs
            """,
        "store: file removed under us": """
            conformance/test_store_files::test_a_file_that_is_removed_is_put_back_with_all_that_was_in_it
            conformance/test_store_files::test_a_backup_that_is_put_in_its_place_is_taken_up
            """,
        # -- security
        "security: config": """
            test_config::test_reading_evaluates_nothing
            test_configfile::test_a_bad_line_is_named
            faults/test_security::test_no_room_evaluates_or_unpickles
            """,
        "security: interpolation": """
            test_configfile::test_a_bad_line_is_named
            test_configfile::test_the_folders_of_the_packages
            """,
        "security: no pickle": """
            faults/test_security::test_no_room_evaluates_or_unpickles
            faults/test_security::test_a_forked_run_unpickles_and_evaluates_nothing_on_either_side
            """,
        "security: log injection": """
            faults/test_security::test_a_name_that_is_not_printable_is_refused_wherever_it_is_given
            faults/test_security::test_the_name_of_an_action_cannot_forge_a_line
            faults/test_security::test_reasons_and_health_stay_one_line_whatever_an_exception_says
            faults/test_security::test_a_config_error_stays_one_line
            """,
        "security: secrets": """
            faults/test_security::test_arguments_and_locals_are_in_no_log_no_run_and_no_health
            """,
        "security: files": """
            faults/test_security::test_the_package_creates_no_file
            conformance/test_store_faults::test_the_files_are_their_owners_alone
            conformance/test_store_faults::test_a_wrong_password_and_a_wrong_name
            """,
        "security: signals and children": """
            faults/test_security::test_a_child_holds_no_listening_socket_and_no_pipe_of_its_siblings
            faults/test_security::test_a_childs_environment_is_the_applications_own
            faults/test_executor::test_a_group_kill_never_hits_our_own_group
            faults/test_executor::test_the_number_of_a_child_that_someone_else_has_reaped_is_signalled_no_more
            executors/test_forked::test_listening_sockets_are_closed_in_the_child_and_others_are_not
            """,
        "security: dependencies": """
            faults/test_security::test_what_is_asked_for_is_bounded
            faults/test_security::test_a_planted_unbounded_requirement_is_found
            """,
    }
)

#: Parts of rows that wait for a feature.
LEFT = {
    "action: fork bomb, no memory": "limits on the memory and the processes of a child",
    "executor: fork EAGAIN and ENOMEM, pipe EMFILE": "a limit on the wait: grace is asked when a run is handed out",
    "executor: a worker ended; completion late, twice, of a cancelled run": "a pool of processes",
    "security: files": "a pid file, exports",
    "security: dependencies": "pip-audit in the nightly gate",
}


def test_every_row_has_tests_that_are_there():
    assert missing(test for tests in TESTS.values() for test in tests) == []
    assert [row for row, tests in TESTS.items() if not tests] == []


def test_every_layer_has_its_rows():
    layers = [row.partition(":")[0] for row in TESTS]
    assert {layer: layers.count(layer) for layer in layers} == {
        "action": 12, "trigger": 3, "executor": 5, "loop": 8, "host": 3, "store": 4, "security": 8,
    }  # fmt: skip


def test_what_is_left_out_is_a_part_of_a_row():
    assert set(LEFT) <= set(TESTS)

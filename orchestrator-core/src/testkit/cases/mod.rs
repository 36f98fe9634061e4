//! The list of cases.

mod answers;
mod calls;
mod children;
mod commits;
mod deaths;
mod documents;
mod fences;
mod flow;
mod inbox;
mod keys;
mod lists;
mod model;
mod odd;
mod offers;
mod owners;
mod paths;
mod prune;
mod rates;
mod registry;
mod rows;
mod tasks;
mod values;
mod whole;

use crate::testkit::{Case, Group};

macro_rules! cases {
    ($($group:ident { $($module:ident::$name:ident covers [$($method:ident),+ $(,)?];)+ })+) => {
        /// Every case. At least one for each method of [`crate::port::store::Store`].
        pub const CASES: &[Case] = &[$($(Case {
            group: Group::$group,
            name: stringify!($name),
            covers: &[$(stringify!($method)),+],
            check: cases!(@check $group $module::$name),
        }),+),+];
    };
    // Many places, one for each world.
    (@check Model $module:ident::$name:ident) => { |backend| Box::pin($module::$name(backend)) };
    (@check $group:ident $module:ident::$name:ident) => {
        |backend| Box::pin(async move { $module::$name(backend.fresh().await).await })
    };
}

cases! {
    Store {
        commits::a_created_run_is_there_whole covers [commit, load, run];
        commits::every_kind_of_event_comes_back covers [commit, load, events_after];
        commits::events_are_numbered_without_gaps covers [commit, load];
        commits::a_stale_member_changes_nothing covers [commit, load, steps];
        commits::a_run_is_created_once covers [commit, load];
        commits::of_sixteen_members_one_wins covers [commit, load];
        commits::of_sixteen_handles_one_wins covers [commit, load];
        commits::a_bad_member_harms_no_other covers [commit, load];
        commits::a_member_that_cannot_be_is_invalid covers [commit, run];
        commits::a_run_has_one_member_in_a_batch covers [commit, load];
        commits::a_member_written_twice_is_a_conflict covers [commit, load];
        commits::everything_can_be_in_the_first_member covers [commit, load, steps, value, decisions, approvals, logs];
        commits::big_batches_and_big_members_are_taken covers [commit, load];
        commits::an_unknown_kind_of_event_is_corrupt covers [load, events_after];
        commits::what_is_kept_outlives_the_handle_and_what_is_not_is_gone covers [commit, load, close, describe, find_key];
        commits::another_handle_sees_what_was_written covers [commit, load, run];
        children::children_are_created_with_their_parents_member covers [commit, load, run, value];
        children::a_member_that_is_refused_creates_no_child covers [commit, run];
        children::a_child_that_exists_makes_the_member_a_conflict covers [commit, run, load];
        children::a_child_must_be_of_the_run_that_creates_it covers [commit, run];
        children::children_are_listed_apart covers [list_runs];
        children::a_child_goes_with_the_first_of_its_runs covers [prune, run];
        fences::a_driver_must_hold_the_run covers [commit];
        fences::an_asserted_death_must_be_true covers [commit, retire];
        fences::a_key_starts_one_run covers [commit, find_key];
        fences::a_key_is_its_projects_own covers [commit, find_key];
        fences::a_key_counts_within_a_batch covers [commit, find_key, run];
        whole::a_member_is_never_seen_in_part covers [commit, load, steps, decisions, logs, value, claim_due];
        whole::a_caller_that_goes_away_leaves_a_member_whole covers [commit, load, steps, decisions, logs];
        whole::an_answer_that_was_lost_is_found_by_reading covers [commit, events_after];
        odd::numbers_keep_every_digit covers [commit, value, steps, load];
        odd::texts_keep_every_character covers [commit, value, steps, load];
        odd::values_of_every_size_and_depth_come_back covers [commit, value, steps, load];
        odd::a_text_with_nul_is_refused_or_kept_whole covers [commit, value, logs];
        odd::events_are_in_order_whatever_their_times covers [commit, load, steps, run];
        odd::approvals_are_in_order_of_any_times covers [approvals];
        odd::runs_are_in_order_whatever_their_times covers [list_runs, claim_due];
        values::a_value_given_twice_is_kept_once covers [commit, value, prune];
        values::a_value_belongs_to_its_run covers [commit, value];
        values::a_revision_is_kept_once covers [commit, revision, load];
        values::lines_are_numbered_per_run covers [append_logs, logs];
        values::lines_can_be_filtered_and_cut covers [append_logs, logs];
        values::lines_of_a_member_are_numbered_with_the_others covers [commit, append_logs, logs];
        values::lines_of_no_run_are_refused covers [append_logs];
        owners::an_owner_lives_by_renewal covers [register, renew, owner, now];
        owners::who_is_past_the_deadline_stays_dead covers [register, renew, owner];
        owners::who_is_not_dead_is_listed covers [owners, register, retire, sweep];
        owners::who_retires_is_dead covers [register, retire, renew, owner];
        owners::sweeping_names_each_dead_owner_once covers [register, sweep, owner];
        owners::an_owner_is_registered_once covers [register];
        owners::due_runs_that_nobody_drives_are_claimed covers [claim_due, commit];
        owners::runs_of_dead_drivers_are_claimed covers [claim_due, sweep, retire];
        owners::runs_that_are_due_longest_come_first covers [claim_due];
        owners::due_runs_of_projects_take_turns covers [claim_due];
        owners::the_priority_of_a_run_is_a_head_start covers [claim_due];
        offers::an_offer_is_claimed_once covers [commit, claim];
        offers::of_sixteen_claims_one_wins covers [claim];
        offers::a_claim_names_the_right_that_is_offered covers [claim];
        offers::nothing_of_a_run_that_has_ended_is_claimed covers [commit, claim, offers];
        offers::the_dead_claim_nothing covers [claim, retire, offers];
        offers::a_step_has_one_offer_at_a_time covers [commit, offers];
        offers::what_is_claimed_is_not_taken_back covers [commit, claim, offers];
        offers::what_is_taken_back_cannot_be_claimed covers [commit, claim];
        offers::a_claim_is_seen_in_the_row_of_its_step covers [commit, claim, steps];
        offers::offers_are_listed_by_queue_oldest_first covers [offers];
        offers::an_offer_that_nobody_can_read_hides_no_other covers [offers, retire];
        offers::who_executes_is_told_to_stop covers [commit, stops];
        offers::owners_say_what_they_serve covers [register, owner, owners];
        tasks::a_member_claims_a_task covers [commit, offers, steps, retire];
        tasks::a_task_is_claimed_for_the_living_alone covers [commit, offers];
        tasks::a_claim_takes_what_the_task_holds_or_is_none covers [commit, holds];
        tasks::tasks_are_listed_apart_the_urgent_first covers [offers];
        tasks::a_task_says_no_more_than_can_be_listed covers [commit];
        tasks::who_comes_from_outside_lives_by_its_time covers [register, sweep, owner];
        inbox::the_first_that_is_delivered_counts covers [deliver, inbox];
        inbox::who_has_not_claimed_delivers_nothing covers [deliver, inbox];
        inbox::what_is_delivered_comes_with_its_values_and_lines covers [deliver, value, logs];
        inbox::what_the_dead_had_claimed_is_lost covers [retire, sweep, inbox, deliver];
        inbox::what_was_delivered_outlives_its_owner covers [retire, inbox, deliver];
        inbox::what_is_over_is_not_claimed_again covers [claim, deliver];
        inbox::what_is_taken_in_is_gone covers [commit, inbox, offers, deliver];
        inbox::runs_with_something_in_their_inbox_are_due covers [claim_due, deliver];
        inbox::what_cannot_be_read_is_told_and_hides_no_other covers [inbox, claim_due, deliver];
        keys::no_more_are_held_than_a_key_allows covers [commit, holds];
        keys::of_sixteen_that_want_three_places_three_win covers [commit, holds];
        keys::members_of_a_batch_share_the_places covers [commit];
        keys::a_place_is_given_to_the_one_that_has_waited_longest covers [commit, holds, waiters];
        keys::runs_of_the_dead_leave_every_line covers [commit, sweep, retire, waiters];
        keys::who_leaves_the_line_gives_its_place_on covers [commit, holds, waiters];
        keys::a_place_that_is_free_is_given_at_once covers [commit, waiters];
        keys::a_member_takes_all_its_places_or_none covers [commit, holds];
        keys::a_project_has_keys_of_its_own covers [commit, holds];
        keys::a_run_holds_a_place_beside_its_steps covers [commit, holds, waiters];
        keys::places_are_listed_by_their_keys covers [holds, waiters];
        paths::paths_that_clash_are_with_one_alone covers [commit, holds];
        paths::those_who_read_share_paths covers [commit, waiters];
        paths::paths_are_given_to_all_who_are_in_nobodys_way covers [commit, waiters];
        paths::a_run_waits_once_for_each_set_of_paths covers [commit, waiters];
        rates::no_more_begin_than_a_rate_allows covers [commit, holds];
        rates::members_of_a_batch_share_a_rate covers [commit];
        rates::of_sixteen_that_want_to_begin_three_do covers [commit];
        rates::who_waits_under_a_rate_has_its_turn covers [commit, waiters];
        rates::each_that_waits_under_a_rate_has_one_turn covers [commit];
        rates::what_has_begun_is_of_the_past_after_its_time covers [commit, now];
        rates::the_store_s_clock_alone_counts covers [commit];
        rates::pruning_forgets_nothing_that_counts covers [commit, prune];
        rows::a_runs_row_says_all_of_it covers [run, commit];
        rows::step_rows_are_replaced covers [steps, commit];
        rows::items_are_kept_apart covers [steps, approvals, decisions, logs, commit];
        rows::decisions_are_kept_in_order covers [decisions];
        rows::approvals_are_opened_and_settled covers [approvals];
        rows::approvals_are_listed_oldest_first covers [approvals];
        registry::a_changed_text_is_a_new_revision covers [register_workflow, workflows, workflow_revisions, revision];
        registry::the_text_that_is_there_already_changes_nothing covers [register_workflow, workflow_revisions];
        registry::what_is_not_expected_is_stale covers [register_workflow];
        registry::of_racing_registrations_each_has_its_number covers [register_workflow, workflow_revisions];
        registry::a_name_is_its_projects_own covers [register_workflow, workflows, workflow_revisions];
        registry::workflows_are_listed_by_name_in_pages covers [workflows];
        registry::revisions_are_listed_newest_first_in_pages covers [workflow_revisions];
        registry::what_cannot_be_a_name_is_refused covers [register_workflow];
        documents::a_document_comes_back_as_it_was_put covers [put_document, documents, change_mark];
        documents::a_document_is_changed_by_who_knows_its_number covers [put_document, documents];
        documents::of_racing_changes_one_wins covers [put_document, documents];
        documents::a_document_is_its_kinds_and_its_projects_own covers [put_document, documents, delete_document];
        documents::documents_are_listed_by_name_in_pages covers [put_document, documents];
        documents::what_is_due_is_listed_the_soonest_first covers [put_document, documents];
        documents::what_is_deleted_is_gone_and_its_name_is_free covers [delete_document, put_document, documents];
        documents::what_was_changed_meanwhile_is_not_deleted covers [delete_document];
        documents::what_cannot_be_a_document_is_refused covers [put_document, delete_document, documents];
        documents::pruning_leaves_documents_whole covers [prune, documents];
        prune::runs_that_have_ended_go_whole covers [prune, load, run, steps, value, decisions, approvals, logs];
        prune::open_and_younger_runs_stay_whole covers [prune, load, logs, value];
        prune::a_dry_run_counts_and_removes_nothing covers [prune];
        prune::the_oldest_go_first covers [prune, run];
        prune::keys_of_what_is_gone_are_free covers [prune, find_key, commit];
        prune::what_nothing_names_goes_at_the_end covers [prune, revision, owner];
        lists::events_can_be_read_on covers [events_after];
        lists::heads_are_those_of_runs_that_exist covers [heads];
        lists::the_change_mark_moves_with_every_change covers [change_mark, changed_since];
        lists::runs_are_listed_newest_first covers [list_runs];
        lists::runs_can_be_filtered covers [list_runs];
        lists::runs_are_found_by_prefix covers [find_runs];
        lists::a_store_says_what_it_is covers [describe, health, now];
        calls::what_does_not_exist_is_not_there covers [
            commit, load, events_after, heads, value, revision, renew, retire, sweep, owner, owners, claim_due, run, list_runs, find_runs,
            find_key, steps, approvals, decisions, append_logs, logs, register_workflow, workflows, workflow_revisions, prune,
    claim, delete_document, deliver, documents, holds, inbox, offers, put_document, stops, waiters,
        ];
        calls::a_closed_store_is_unavailable covers [
            commit, load, events_after, heads, value, revision, renew, retire, sweep, owner, owners, claim_due, run, list_runs, find_runs,
            find_key, steps, approvals, decisions, append_logs, logs, register_workflow, workflows, workflow_revisions, prune,
    change_mark, claim, close, delete_document, deliver, documents, health, holds, inbox, now, offers, put_document, register, stops, waiters,
        ];
    }    Model {
        model::it_answers_as_the_store_in_memory_does covers [
            commit, register, renew, retire, sweep, claim_due, append_logs, events_after, logs, list_runs, register_workflow,
            prune, load, steps, decisions, approvals, value, owner, find_key, workflows, workflow_revisions, revision,
            heads, offers, claim, deliver, inbox, put_document, documents, delete_document
        ];
    }
    Engine {
        flow::a_chain_runs_to_its_end covers [register, commit, load, value, steps, decisions, run];
        flow::what_fans_out_comes_together covers [commit, load, value, steps];
        flow::an_approval_comes_from_another_handle covers [commit, approvals, change_mark, heads, events_after];
        flow::a_timer_outlives_the_engine_that_set_it covers [now, commit, run, claim_due, retire, load];
        deaths::a_run_goes_on_after_its_engine_has_died covers [commit, load, retire, owner];
        deaths::the_late_outcome_of_a_zombie_does_not_count covers [commit, retire, load, run];
        deaths::a_run_goes_on_in_a_place_that_was_closed_if_that_keeps covers [commit, close, load, value];
        answers::an_unclear_answer_to_any_commit_changes_nothing covers [commit, events_after];
        answers::a_poisoned_batch_harms_no_run covers [commit];
    }
}

//! What there is of wrong stores, and which case is there for each.

macro_rules! wrong_stores {
    ($($name:ident caught by $case:ident;)+) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Wrong {
            /// Nothing: it must pass.
            Nothing,
            /// Nothing, in a place that does not keep.
            NothingKept,
            $($name),+
        }

        /// All that are wrong, each with the case that must notice it.
        pub(super) const ALL: &[(Wrong, &str)] = &[$((Wrong::$name, stringify!($case))),+];
    };
}

wrong_stores! {
    // Fences.
    IgnoresTheNumber caught by a_stale_member_changes_nothing;
    IgnoresTheDriver caught by a_driver_must_hold_the_run;
    IgnoresTheEpoch caught by a_driver_must_hold_the_run;
    IgnoresTheOwner caught by a_driver_must_hold_the_run;
    IgnoresAssertedDeaths caught by an_asserted_death_must_be_true;
    IgnoresKeys caught by a_key_starts_one_run;
    MixesKeysOfProjects caught by a_key_is_its_projects_own;
    LooksForKeysBeforeTheBatch caught by a_key_counts_within_a_batch;
    CreatesAgain caught by a_run_is_created_once;
    TakesTwoOfARun caught by a_run_has_one_member_in_a_batch;
    TakesWhatCannotBe caught by a_member_that_cannot_be_is_invalid;
    LetsTwoWin caught by of_sixteen_members_one_wins;
    LetsOneOfEachHandleWin caught by of_sixteen_handles_one_wins;
    // Whole or not at all.
    AppliesAllOrNone caught by a_bad_member_harms_no_other;
    AnswersAppliedAlways caught by a_member_written_twice_is_a_conflict;
    TakesSmallBatchesOnly caught by big_batches_and_big_members_are_taken;
    KeepsRowsOfTheRefused caught by a_stale_member_changes_nothing;
    KeepsValuesOfTheRefused caught by a_stale_member_changes_nothing;
    RowsInASecondTransaction caught by a_caller_that_goes_away_leaves_a_member_whole;
    EventsInASecondTransaction caught by a_member_is_never_seen_in_part;
    SchedulesInASecondTransaction caught by a_caller_that_goes_away_leaves_a_member_whole;
    ValuesInASecondTransaction caught by a_member_is_never_seen_in_part;
    NamesTransitionsAnew caught by an_answer_that_was_lost_is_found_by_reading;
    // What is written comes back.
    LosesTheText caught by a_created_run_is_there_whole;
    LosesTheLastEvent caught by every_kind_of_event_comes_back;
    NumbersAcrossRuns caught by events_are_numbered_without_gaps;
    LosesTheFirstRows caught by everything_can_be_in_the_first_member;
    PassesOverUnknownKinds caught by an_unknown_kind_of_event_is_corrupt;
    CannotBeForged caught by an_unknown_kind_of_event_is_corrupt;
    ForgetsWhenClosed caught by what_is_kept_outlives_the_handle_and_what_is_not_is_gone;
    KeepsInPart caught by what_is_kept_outlives_the_handle_and_what_is_not_is_gone;
    SeesItsOwnHandleOnly caught by another_handle_sees_what_was_written;
    LosesValues caught by a_value_given_twice_is_kept_once;
    CountsValuesTwice caught by a_value_given_twice_is_kept_once;
    SharesValues caught by a_value_belongs_to_its_run;
    LosesRevisions caught by a_revision_is_kept_once;
    RoundsNumbers caught by numbers_keep_every_digit;
    ChangesCharacters caught by texts_keep_every_character;
    CutsValues caught by values_of_every_size_and_depth_come_back;
    LosesEmptyValues caught by values_of_every_size_and_depth_come_back;
    CutsAtNul caught by a_text_with_nul_is_refused_or_kept_whole;
    BeginsTimeIn1970 caught by events_are_in_order_whatever_their_times;
    ListsApprovalsByRun caught by approvals_are_in_order_of_any_times;
    ListsRunsByTime caught by runs_are_in_order_whatever_their_times;
    LosesSteps caught by step_rows_are_replaced;
    LosesDecisions caught by decisions_are_kept_in_order;
    LosesApprovals caught by approvals_are_listed_oldest_first;
    KeepsApprovalsOpen caught by approvals_are_opened_and_settled;
    ForgetsItems caught by items_are_kept_apart;
    ForgetsTheDriver caught by a_runs_row_says_all_of_it;
    ForgetsWhatIsDue caught by due_runs_that_nobody_drives_are_claimed;
    // Lines.
    LosesLogs caught by lines_of_a_member_are_numbered_with_the_others;
    NumbersLinesAcrossRuns caught by lines_are_numbered_per_run;
    IgnoresTail caught by lines_can_be_filtered_and_cut;
    TakesLinesOfNoRun caught by lines_of_no_run_are_refused;
    // Children.
    LosesChildren caught by children_are_created_with_their_parents_member;
    KeepsChildrenOfTheRefused caught by a_member_that_is_refused_creates_no_child;
    AdoptsTheStrange caught by a_child_must_be_of_the_run_that_creates_it;
    ForgetsTheParent caught by children_are_created_with_their_parents_member;
    OverlooksChildrenThatExist caught by a_child_that_exists_makes_the_member_a_conflict;
    MixesChildren caught by children_are_listed_apart;
    PrunesChildren caught by a_child_goes_with_the_first_of_its_runs;
    // Owners.
    LivesByTheClockOfTheHandle caught by an_owner_lives_by_renewal;
    RenewsTheDead caught by who_retires_is_dead;
    RenewsWhoIsPast caught by who_is_past_the_deadline_stays_dead;
    RegistersAgain caught by an_owner_is_registered_once;
    SweepsNobody caught by sweeping_names_each_dead_owner_once;
    ReportsTwice caught by sweeping_names_each_dead_owner_once;
    RetiresNobody caught by who_retires_is_dead;
    ClaimsTheDriven caught by runs_of_dead_drivers_are_claimed;
    ClaimsTheYoungestFirst caught by runs_that_are_due_longest_come_first;
    LetsAFloodGoFirst caught by due_runs_of_projects_take_turns;
    ClaimsTheFirstOfEachAlone caught by due_runs_of_projects_take_turns;
    IgnoresUrgency caught by the_priority_of_a_run_is_a_head_start;
    LetsTheUrgentGoFirst caught by the_priority_of_a_run_is_a_head_start;
    // Offers.
    GivesTwoClaims caught by an_offer_is_claimed_once;
    LooksBeforeItClaims caught by of_sixteen_claims_one_wins;
    RefusesOnesOwn caught by an_offer_is_claimed_once;
    ClaimsByTheStepAlone caught by a_claim_names_the_right_that_is_offered;
    BeginsAgainWhatIsOver caught by what_is_over_is_not_claimed_again;
    ClaimsOfTheEnded caught by nothing_of_a_run_that_has_ended_is_claimed;
    LetsTheDeadClaim caught by the_dead_claim_nothing;
    OffersTwice caught by a_step_has_one_offer_at_a_time;
    WithdrawsTheClaimed caught by what_is_claimed_is_not_taken_back;
    ForgetsWithdrawals caught by what_is_taken_back_cannot_be_claimed;
    HidesClaims caught by a_claim_is_seen_in_the_row_of_its_step;
    MixesQueues caught by offers_are_listed_by_queue_oldest_first;
    ListsOffersBackwards caught by offers_are_listed_by_queue_oldest_first;
    TellsNobodyToStop caught by who_executes_is_told_to_stop;
    ForgetsWhatIsServed caught by owners_say_what_they_serve;
    LetsTheLastWordCount caught by the_first_that_is_delivered_counts;
    TakesWhatOthersDeliver caught by who_has_not_claimed_delivers_nothing;
    LosesValuesOfDeliveries caught by what_is_delivered_comes_with_its_values_and_lines;
    ForgetsWhatIsLost caught by what_the_dead_had_claimed_is_lost;
    LosesWhatWasDelivered caught by what_was_delivered_outlives_its_owner;
    KeepsWhatIsTakenIn caught by what_is_taken_in_is_gone;
    OverlooksTheInbox caught by runs_with_something_in_their_inbox_are_due;
    FailsForTheUnreadable caught by what_cannot_be_read_is_told_and_hides_no_other;
    HidesTheUnreadable caught by what_cannot_be_read_is_told_and_hides_no_other;
    ComesForTheUnreadable caught by what_cannot_be_read_is_told_and_hides_no_other;
    FailsForUnreadableOffers caught by an_offer_that_nobody_can_read_hides_no_other;
    // Tasks.
    ClaimsNoTask caught by a_member_claims_a_task;
    ClaimsTasksTwice caught by a_member_claims_a_task;
    ClaimsTasksForTheDead caught by a_task_is_claimed_for_the_living_alone;
    ClaimsWithoutHolding caught by a_claim_takes_what_the_task_holds_or_is_none;
    MixesTasksWithWork caught by tasks_are_listed_apart_the_urgent_first;
    ListsTasksByAge caught by tasks_are_listed_apart_the_urgent_first;
    TakesWhateverATaskSays caught by a_task_says_no_more_than_can_be_listed;
    BuriesWhoComesFromOutside caught by who_comes_from_outside_lives_by_its_time;
    // Keys.
    LetsTooManyHold caught by no_more_are_held_than_a_key_allows;
    KeepsWhatIsReleased caught by no_more_are_held_than_a_key_allows;
    LetsOneTooManyWin caught by of_sixteen_that_want_three_places_three_win;
    LooksAtKeysBeforeTheBatch caught by members_of_a_batch_share_the_places;
    IgnoresPriority caught by a_place_is_given_to_the_one_that_has_waited_longest;
    KeepsTheDeadInLine caught by runs_of_the_dead_leave_every_line;
    KeepsThoseThatLeave caught by who_leaves_the_line_gives_its_place_on;
    HidesThatPlacesAreGiven caught by a_place_that_is_free_is_given_at_once;
    TakesPlacesInPart caught by a_member_takes_all_its_places_or_none;
    TakesRunsForSteps caught by a_run_holds_a_place_beside_its_steps;
    MixesKeysUnderOneName caught by a_project_has_keys_of_its_own;
    ListsHoldsBackwards caught by places_are_listed_by_their_keys;
    // Paths.
    TakesOtherPathsForOthers caught by paths_that_clash_are_with_one_alone;
    LetsNobodyReadTogether caught by those_who_read_share_paths;
    GivesPathsToOneAtATime caught by paths_are_given_to_all_who_are_in_nobodys_way;
    LetsRunsWaitOnce caught by a_run_waits_once_for_each_set_of_paths;
    // Rates.
    LetsTooManyBegin caught by no_more_begin_than_a_rate_allows;
    ForgetsNothingUnderARate caught by what_has_begun_is_of_the_past_after_its_time;
    LooksAtRatesBeforeTheBatch caught by members_of_a_batch_share_a_rate;
    LetsOneTooManyBegin caught by of_sixteen_that_want_to_begin_three_do;
    LetsNobodyWaitUnderARate caught by who_waits_under_a_rate_has_its_turn;
    GivesAllToTheFirst caught by each_that_waits_under_a_rate_has_one_turn;
    BelievesAnyClock caught by the_store_s_clock_alone_counts;
    PrunesWhatCounts caught by pruning_forgets_nothing_that_counts;
    // Reading.
    ShiftsEventsAfter caught by events_can_be_read_on;
    IgnoresLimits caught by events_can_be_read_on;
    KnowsEveryRun caught by heads_are_those_of_runs_that_exist;
    NeverChanges caught by the_change_mark_moves_with_every_change;
    ListsOldestFirst caught by runs_are_listed_newest_first;
    IgnoresFilters caught by runs_can_be_filtered;
    FindsAnyPrefix caught by runs_are_found_by_prefix;
    InventsWhatIsNotThere caught by what_does_not_exist_is_not_there;
    CountsSeconds caught by a_store_says_what_it_is;
    SaysItIsDurable caught by a_store_says_what_it_is;
    StaysOpen caught by a_closed_store_is_unavailable;
    ReadsWhenClosed caught by a_closed_store_is_unavailable;
    // Registered workflows.
    RegistersTheSameAgain caught by the_text_that_is_there_already_changes_nothing;
    IgnoresWhatIsExpected caught by what_is_not_expected_is_stale;
    GivesNumbersTwice caught by of_racing_registrations_each_has_its_number;
    MixesProjects caught by a_name_is_its_projects_own;
    ListsWorkflowsBackwards caught by workflows_are_listed_by_name_in_pages;
    ForgetsOldRevisions caught by a_changed_text_is_a_new_revision;
    ListsRevisionsBackwards caught by revisions_are_listed_newest_first_in_pages;
    TakesAnyName caught by what_cannot_be_a_name_is_refused;
    // Other documents.
    LosesTheState caught by a_document_comes_back_as_it_was_put;
    ChangesWhateverIsThere caught by a_document_is_changed_by_who_knows_its_number;
    LetsTwoChangeADocument caught by of_racing_changes_one_wins;
    MixesKinds caught by a_document_is_its_kinds_and_its_projects_own;
    ListsDocumentsBackwards caught by documents_are_listed_by_name_in_pages;
    ListsAllAsDue caught by what_is_due_is_listed_the_soonest_first;
    ListsTheLatestAsDueFirst caught by what_is_due_is_listed_the_soonest_first;
    DeletesNothing caught by what_is_deleted_is_gone_and_its_name_is_free;
    DeletesWhateverIsThere caught by what_was_changed_meanwhile_is_not_deleted;
    TakesAnyDocument caught by what_cannot_be_a_document_is_refused;
    PrunesTextsOfDocuments caught by pruning_leaves_documents_whole;
    // Pruning.
    PrunesTheYoung caught by open_and_younger_runs_stay_whole;
    PrunesWhenDry caught by a_dry_run_counts_and_removes_nothing;
    PrunesWithoutLimit caught by the_oldest_go_first;
    PrunesNothing caught by runs_that_have_ended_go_whole;
    CountsNoRows caught by runs_that_have_ended_go_whole;
    KeepsKeysOfThePruned caught by keys_of_what_is_gone_are_free;
    PrunesTextsTooSoon caught by what_nothing_names_goes_at_the_end;
}

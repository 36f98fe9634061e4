//! What there is of wrong queues, and which case is there for each.

macro_rules! wrong_queues {
    ($($name:ident caught by $case:ident;)+) => {
        /// What is wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Wrong {
            /// Nothing: it must pass.
            Nothing,
            /// Nothing, in a place that does not keep.
            NothingKept,
            /// Nothing, and it can do nothing beyond what it must: it gives what there is in an order of its own.
            NothingAble,
            /// Nothing: it has an order, and does not care whose tickets are.
            NothingFair,
            /// Nothing: it takes projects in turn, and knows no priorities.
            NothingUrgent,
            /// Nothing: it folds equal tickets that wait into one.
            NothingTwice,
            $($name),+
        }

        /// All that are wrong, each with the case that must notice it.
        pub(super) const ALL: &[(Wrong, &str)] = &[$((Wrong::$name, stringify!($case))),+];
    };
}

/// All that are not.
pub(super) const RIGHT: [Wrong; 6] = [
    Wrong::Nothing,
    Wrong::NothingKept,
    Wrong::NothingAble,
    Wrong::NothingFair,
    Wrong::NothingUrgent,
    Wrong::NothingTwice,
];

wrong_queues! {
    // Publishing.
    LosesTheFirstItem caught by a_published_ticket_comes_as_it_was;
    CutsPriorities caught by a_published_ticket_comes_as_it_was;
    CutsEpochs caught by a_published_ticket_comes_as_it_was;
    SeesItsOwnHandleOnly caught by another_handle_gives_what_was_published;
    SettlesItsOwnHandleOnly caught by another_handle_gives_what_was_published;
    PublishesUpToTheFault caught by one_that_is_refused_keeps_all_from_being_published;
    PublishesOneByOne caught by who_goes_away_publishes_all_or_nothing;
    TakesSmallPublishesOnly caught by the_largest_publish_is_taken;
    CutsNames caught by the_largest_publish_is_taken;
    MixesQueues caught by a_queue_gives_its_own_tickets_only;
    LooksAtTheFirstQueueOnly caught by several_queues_are_one_line;
    EmptiesQueueByQueue caught by several_queues_are_one_line;
    IgnoresMax caught by no_more_come_than_are_asked_for;
    GivesAtLeastOne caught by no_more_come_than_are_asked_for;
    KeepsATwin caught by an_equal_ticket_comes_once_or_twice;
    FoldsIntoWhatIsWithSomebody caught by one_like_a_ticket_that_is_with_somebody_is_another;
    // What cannot be, and what not every queue can do.
    PassesOverWhatCannotBePublished caught by what_cannot_be_published_is_refused;
    PassesOverWhatCannotBeAskedFor caught by what_cannot_be_asked_for_is_refused;
    RefusesStrangeReceipts caught by what_cannot_be_asked_for_is_refused;
    IgnoresDelays caught by a_ticket_can_be_due_later_or_that_is_refused;
    LosesTheDelayed caught by a_ticket_can_be_due_later_or_that_is_refused;
    DelaysThoughItCannot caught by a_ticket_can_be_due_later_or_that_is_refused;
    PublishesTheRestOfWhatItRefuses caught by a_ticket_can_be_due_later_or_that_is_refused;
    ReleasesAtOnce caught by a_release_can_be_for_later_or_that_is_refused;
    ReleasesWhatItRefuses caught by a_release_can_be_for_later_or_that_is_refused;
    IgnoresPriorities caught by the_urgent_come_first_or_urgency_is_refused;
    OrdersThoughItCannot caught by the_urgent_come_first_or_urgency_is_refused;
    // Who has a ticket.
    DeliversWhileHidden caught by a_ticket_that_is_with_somebody_is_hidden;
    HidesForAMinute caught by a_ticket_that_is_with_somebody_is_hidden;
    GivesToTwoAtOnce caught by each_ticket_of_many_receivers_is_with_one;
    ForgetsTheUnsettled caught by what_is_not_settled_comes_again;
    HidesForASecondAtLeast caught by what_is_not_settled_comes_again;
    CountsToOne caught by each_delivery_is_counted;
    NamesTicketsByReceipts caught by each_delivery_is_counted;
    KeepsWhatIsDone caught by what_is_done_is_gone;
    LosesTheReleased caught by what_is_released_comes_again_at_once;
    ReleasesWhenItsTimeIsOver caught by what_is_released_comes_again_at_once;
    LetsTheLateSettle caught by a_late_settle_changes_nothing;
    SaysTakenAlways caught by a_late_settle_changes_nothing;
    SettlesByTicket caught by a_receipt_settles_its_own_delivery_only;
    LosesWhatNobodyTook caught by a_receiver_that_goes_away_loses_no_ticket;
    // How much there is.
    CountsWhatIsHidden caught by how_much_there_is_is_counted;
    CountsAllQueues caught by how_much_there_is_is_counted;
    // Dead letters.
    BuriesInSilence caught by what_is_buried_is_kept_with_its_reason;
    KeepsTheBuriedInLine caught by what_is_buried_is_kept_with_its_reason;
    CutsReasons caught by what_is_buried_is_kept_with_its_reason;
    CountsLettersFromOne caught by what_is_buried_is_kept_with_its_reason;
    BuriesTheLate caught by a_late_burial_changes_nothing;
    BuriesTwice caught by a_late_burial_changes_nothing;
    ListsTheOldestFirst caught by letters_come_by_page_in_their_order;
    ListsLettersOfAllQueues caught by letters_come_by_page_in_their_order;
    BeginsEachPageAnew caught by letters_come_by_page_in_their_order;
    LosesThePlaceOfWhatIsGone caught by letters_come_by_page_in_their_order;
    KeepsTheCount caught by a_letter_is_published_again_as_a_new_ticket;
    PublishesAgainUnheard caught by a_letter_is_published_again_as_a_new_ticket;
    ForgetsWhatItPublishesAgain caught by a_letter_is_published_again_as_a_new_ticket;
    KeepsTheLetterItPublishes caught by a_letter_is_published_again_as_a_new_ticket;
    PublishesWhatIsDropped caught by a_letter_that_is_dropped_is_gone;
    KeepsWhatIsDropped caught by a_letter_that_is_dropped_is_gone;
    KeepsLettersForEver caught by the_oldest_letters_of_a_queue_make_room;
    MakesRoomAmongAll caught by the_oldest_letters_of_a_queue_make_room;
    DropsTheNewestLetter caught by the_oldest_letters_of_a_queue_make_room;
    FailsForTheUnreadable caught by what_nobody_can_read_is_buried;
    PassesOverTheUnreadable caught by what_nobody_can_read_is_buried;
    DropsTheUnreadable caught by what_nobody_can_read_is_buried;
    PublishesTheUnreadable caught by what_nobody_can_read_is_buried;
    TakesAnyReason caught by what_cannot_be_buried_is_refused;
    // Who comes first.
    GivesTheLastFirst caught by equally_urgent_tickets_come_as_they_were_published;
    NeverAges caught by waiting_makes_urgent;
    PutsBackInFront caught by what_comes_back_stands_behind_what_has_waited;
    StarvesProjects caught by projects_take_turns;
    PrefersWhoIsNew caught by who_always_comes_back_holds_up_nobody;
    StarvesByUrgency caught by the_urgent_of_one_project_hold_up_no_other;
    LosesOneOfForty caught by what_chance_does_is_accounted_for;
    // Rings.
    LosesWakeUps caught by what_is_there_already_rings;
    TakesWhatItRingsFor caught by what_is_there_already_rings;
    NeverRings caught by who_waits_hears_of_what_is_published;
    RingsInItsOwnHandleOnly caught by who_waits_hears_of_what_is_published;
    DoesNotRingForReleases caught by who_waits_hears_of_what_is_released;
    DoesNotLookAtTheClock caught by who_waits_hears_of_what_comes_out;
    RingsForAnyQueue caught by other_queues_do_not_ring;
    RingsForWhatIsHidden caught by what_is_hidden_does_not_ring;
    RingsOnce caught by a_ring_is_for_everybody_each_time;
    RingsForOne caught by a_ring_is_for_everybody_each_time;
    RingsTheFirstWhoCame caught by who_goes_away_takes_no_ring_along;
    ListensTooLate caught by who_waits_hears_of_what_is_published;
    RingsSeldom caught by who_looks_and_waits_in_turn_misses_nothing;
    WaitsForEver caught by waiting_ends_when_its_time_is_over;
    WaitsBeyondTheEnd caught by who_waits_is_told_of_the_end;
    // Ends.
    SaysItIsDurable caught by a_queue_says_what_it_is;
    ForgetsWhenClosed caught by what_is_kept_outlives_the_handles_and_what_is_not_is_gone;
    KeepsInPart caught by what_is_kept_outlives_the_handles_and_what_is_not_is_gone;
    ForgetsLettersWhenClosed caught by what_is_kept_outlives_the_handles_and_what_is_not_is_gone;
    StaysOpen caught by a_closed_queue_is_unavailable;
    SettlesWhenClosed caught by a_closed_queue_is_unavailable;
}

//! The list of cases for queues.

use super::{QueueBackend, chance, deliveries, ends, letters, limits, order, publishing, rings};
use crate::testkit::{Case, Group};

macro_rules! cases {
    ($($module:ident::$name:ident covers [$($method:ident),+];)+) => {
        /// Every case for queues. At least one for each method of [`crate::port::queue::Queue`].
        pub const QUEUE_CASES: &[Case<dyn QueueBackend>] = &[$(Case {
            group: Group::Queue,
            name: stringify!($name),
            covers: &[$(stringify!($method)),+],
            check: |backend| Box::pin(async move { $module::$name(backend.fresh().await).await }),
        }),+];
    };
}

cases! {
    publishing::a_published_ticket_comes_as_it_was covers [publish, receive, settle];
    publishing::another_handle_gives_what_was_published covers [publish, receive, settle];
    publishing::one_that_is_refused_keeps_all_from_being_published covers [publish, receive];
    publishing::who_goes_away_publishes_all_or_nothing covers [publish, receive];
    publishing::the_largest_publish_is_taken covers [publish, receive];
    publishing::a_queue_gives_its_own_tickets_only covers [publish, receive];
    publishing::several_queues_are_one_line covers [publish, receive];
    publishing::no_more_come_than_are_asked_for covers [receive];
    publishing::an_equal_ticket_comes_once_or_twice covers [publish, receive, settle];
    publishing::one_like_a_ticket_that_is_with_somebody_is_another covers [publish, receive, settle];
    limits::what_cannot_be_published_is_refused covers [publish];
    limits::what_cannot_be_asked_for_is_refused covers [receive, settle, count, wait];
    limits::a_ticket_can_be_due_later_or_that_is_refused covers [describe, publish, receive];
    limits::a_release_can_be_for_later_or_that_is_refused covers [describe, settle, receive];
    limits::the_urgent_come_first_or_urgency_is_refused covers [describe, publish, receive];
    deliveries::a_ticket_that_is_with_somebody_is_hidden covers [receive, settle];
    deliveries::each_ticket_of_many_receivers_is_with_one covers [receive];
    deliveries::what_is_not_settled_comes_again covers [receive];
    deliveries::each_delivery_is_counted covers [receive, settle];
    deliveries::what_is_done_is_gone covers [receive, settle];
    deliveries::what_is_released_comes_again_at_once covers [receive, settle];
    deliveries::a_late_settle_changes_nothing covers [receive, settle];
    deliveries::a_receipt_settles_its_own_delivery_only covers [publish, receive, settle];
    deliveries::a_receiver_that_goes_away_loses_no_ticket covers [receive];
    ends::how_much_there_is_is_counted covers [describe, publish, receive, settle, count];
    letters::what_is_buried_is_kept_with_its_reason covers [describe, publish, receive, settle, letters];
    letters::a_late_burial_changes_nothing covers [receive, settle, letters];
    letters::letters_come_by_page_in_their_order covers [settle, letters, clear];
    letters::a_letter_is_published_again_as_a_new_ticket covers [letters, clear, receive, wait];
    letters::a_letter_that_is_dropped_is_gone covers [letters, clear, receive];
    letters::the_oldest_letters_of_a_queue_make_room covers [describe, settle, letters];
    letters::what_nobody_can_read_is_buried covers [receive, letters, clear];
    letters::what_cannot_be_buried_is_refused covers [settle, letters, clear];
    order::equally_urgent_tickets_come_as_they_were_published covers [describe, publish, receive];
    order::waiting_makes_urgent covers [describe, publish, receive];
    order::what_comes_back_stands_behind_what_has_waited covers [describe, receive, settle];
    order::projects_take_turns covers [describe, publish, receive];
    order::who_always_comes_back_holds_up_nobody covers [describe, publish, receive, settle];
    order::the_urgent_of_one_project_hold_up_no_other covers [describe, publish, receive];
    rings::what_is_there_already_rings covers [wait, publish];
    rings::who_waits_hears_of_what_is_published covers [wait, publish];
    rings::who_waits_hears_of_what_is_released covers [wait, settle];
    rings::who_waits_hears_of_what_comes_out covers [wait, receive, settle];
    rings::other_queues_do_not_ring covers [wait, publish];
    rings::what_is_hidden_does_not_ring covers [wait, publish, receive];
    rings::a_ring_is_for_everybody_each_time covers [wait, publish];
    rings::who_goes_away_takes_no_ring_along covers [wait, publish];
    rings::who_looks_and_waits_in_turn_misses_nothing covers [wait, publish, receive];
    rings::waiting_ends_when_its_time_is_over covers [wait];
    rings::who_waits_is_told_of_the_end covers [wait, close];
    chance::what_chance_does_is_accounted_for covers [publish, receive, settle, wait, letters, clear];
    ends::a_queue_says_what_it_is covers [describe, close];
    ends::what_is_kept_outlives_the_handles_and_what_is_not_is_gone covers [close, publish, receive, settle, letters];
    ends::a_closed_queue_is_unavailable covers [close, publish, receive, settle, wait, letters, clear, count];
}

//! F-23: connections that end before the answer to a commit has come.

use std::fmt::Write as _;
use std::time::Duration;

use crate::place::{Place, last};
use crate::slow::mistaken;
use crate::table::{Row, size};

/// Nobody is to be taken for dead meanwhile.
const TTL: Duration = Duration::from_secs(30);

/// How many steps a run has, one after the other, each with an effect.
const STEPS: usize = 30;

/// What a commit holds that records the success of a step.
const SUCCESS: &[u8] = b"step.succeeded";

/// How long connections are left alone before all of them are ended again.
const SPAN: Duration = Duration::from_millis(60);

/// A chain of steps, each of which must happen once.
fn chain() -> String {
    let mut text = String::from(
        "name: chain\ninputs: { place: { type: string } }\nenv: { PLACE: \"${{ inputs.place }}\" }\nsteps:\n",
    );
    for step in 0..STEPS {
        let needs = if step == 0 { String::new() } else { format!("    needs: pay_{}\n", step - 1) };
        let effect = if step % 2 == 0 { "idempotent" } else { "at_most_once" };
        let run =
            format!("echo \"$ORCHESTRATOR_RUN_ID pay_{step} $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"");
        let _ =
            write!(text, "  pay_{step}:\n{needs}    effect: {effect}\n    sandbox: none\n    run: {run}\n");
    }
    text
}

#[test]
fn a_commit_whose_answer_is_lost_is_applied_once() {
    let wanted = size(100, 300, 1_000);
    let place = Place::new(&[("chain.yaml", &chain())], TTL);
    let mut row = Row::new("F-23 lost answers");
    let mut worker = place.worker("worker", &place.disturbed());
    place.proxy.cut_at(Some(SUCCESS));
    let mut runs = 0;
    while (place.proxy.cuts() as usize) < wanted {
        let before = place.proxy.cuts();
        let run = place.leave("chain.yaml");
        place.completed(&run);
        let seen = row.look(&place.sandbox, &run, usize::try_from(place.proxy.cuts() - before).unwrap());
        assert_eq!(mistaken(&seen.events), 0, "{:#?}", seen.events);
        worker.lives();
        runs += 1;
    }
    worker.drain();
    row.tell(&format!(
        "{runs} runs of {STEPS} steps; the connection was cut before the commit was there, while it was carried out, and after it"
    ));
}

#[test]
fn connections_that_the_server_ends_are_opened_again() {
    let wanted = size(20, 100, 400);
    let place = Place::new(&[("chain.yaml", &chain())], TTL);
    let mut row = Row::new("F-23 ended connections");
    let mut worker = place.worker("worker", place.database.url());
    let mut ended = 0;
    while ended < wanted {
        let run = place.leave("chain.yaml");
        let before = ended;
        while place.lines("ledger").iter().filter(|line| line.starts_with(&run)).count() < STEPS {
            last(SPAN);
            let gone = place.runtime.block_on(place.database.ask(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            ));
            ended += usize::from(gone > 0);
        }
        place.completed(&run);
        let seen = row.look(&place.sandbox, &run, ended - before);
        assert_eq!(mistaken(&seen.events), 0, "{:#?}", seen.events);
        worker.lives();
    }
    worker.drain();
    row.tell("all connections were ended at a time, in the middle of commits and between them");
}

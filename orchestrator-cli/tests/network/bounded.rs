//! F-30: a database that ends what takes long, and a pooler in front of it.

use std::time::Duration;

use orchestrator_postgres::testkit::Pooler;

use crate::place::{Place, last};
use crate::row::Losses;
use crate::sandbox::until;
use crate::slow::mistaken;
use crate::table::{Row, size};

const FLOW: &str = "
name: bounded
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  wait:
    effect: idempotent
    sandbox: none
    run: |
      echo \"$ORCHESTRATOR_RUN_ID\" >> \"$PLACE/begun\"
      while [ ! -e \"$PLACE/go\" ]; do sleep 0.02; done
  pay:
    needs: wait
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

/// Several times what the database allows: a server that is busy with something else makes nobody count as dead.
const TTL: Duration = Duration::from_secs(6);

/// What a database says of those who say nothing themselves.
const SETTINGS: [&str; 3] = ["idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"];

#[test]
fn a_database_that_ends_what_takes_long_is_worked_with() {
    let mut row = Row::new("F-30 bounds of a database");
    for round in 0..size(2, 4, 20) {
        let place = Place::new(&[("bounded.yaml", FLOW)], TTL);
        let (_, name) = place.database.url().rsplit_once('/').unwrap();
        for setting in SETTINGS {
            place
                .runtime
                .block_on(place.database.tell(&format!("ALTER DATABASE {name} SET {setting} = '1s'")));
        }
        let pooler = place.runtime.block_on(Pooler::start(&place.database, "session"));
        let store = if round % 2 == 0 { place.database.url() } else { pooler.url() };
        place.settle_on(store);
        let worker = place.worker("worker", store);
        let run = place.leave("bounded.yaml");
        until(|| place.lines("begun").len() == 1);
        // Somebody who holds the row for longer than the database lets others wait.
        let hex = run.strip_prefix("run_").unwrap();
        let lock = format!("SELECT seq FROM orchestrator_runs WHERE id = '{hex}' FOR UPDATE");
        let holds = place.runtime.block_on(place.database.begin(&lock));
        place.sandbox.write("go", "");
        last(Duration::from_millis(1_600));
        drop(holds);
        place.completed(&run);
        let seen = row.look(&place.sandbox, &run, 1);
        row.add(0, Losses { lost: mistaken(&seen.events), ..Losses::default() });
        assert_eq!(mistaken(&seen.events), 0, "{:#?}\n{}", seen.events, worker.said());
        worker.drain();
    }
    row.tell("1 s for a statement, for a lock and for a transaction; directly and behind PgBouncer");
}

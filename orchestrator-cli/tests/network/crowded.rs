//! F-28: a server that has no room for another connection.

use std::time::Duration;

use orchestrator_postgres::testkit::Server;
use tokio::runtime::Runtime;

use crate::place::{Place, last};
use crate::sandbox::until;
use crate::slow::mistaken;
use crate::table::{Row, size};

const FLOW: &str = "
name: crowded
inputs: { place: { type: string } }
env: { PLACE: \"${{ inputs.place }}\" }
steps:
  wait:
    effect: idempotent
    sandbox: none
    run: |
      echo begun >> \"$PLACE/begun\"
      while [ ! -e \"$PLACE/go\" ]; do sleep 0.02; done
  pay:
    needs: wait
    effect: idempotent
    sandbox: none
    run: echo \"$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT\" >> \"$PLACE/ledger\"
";

const TTL: Duration = Duration::from_secs(2);

#[test]
fn a_worker_lives_on_where_nobody_else_finds_room() {
    let mut row = Row::new("F-28 no room");
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start_with(&["max_connections=24"]));
    let place = Place::on(runtime, &server, &[("crowded.yaml", FLOW)], TTL);
    for round in 0..size(2, 4, 20) {
        let worker = place.worker("worker", place.database.url());
        let run = place.leave("crowded.yaml");
        until(|| place.lines("begun").len() == 1);
        let is_settled = round % 2 == 0;
        if is_settled {
            // It has all connections that it needs.
            place.renewed();
        }
        let crowd = place.runtime.block_on(place.database.crowd());
        // Two lives of an owner.
        last(TTL * 2);
        for command in ["runs list", "run crowded.yaml -i place=/ --detach", "worker"] {
            let said = place.sandbox.run(command).exits(7);
            let (room, place) = (said.err.contains("no room"), said.err.contains("postgres@127.0.0.1"));
            assert!(room && place, "{command}: {}", said.err);
        }
        drop(crowd);
        place.sandbox.write("go", "");
        until(|| place.sandbox.run("runs list").code == 0);
        place.completed(&run);
        let seen = row.look(&place.sandbox, &run, 1);
        // One that has just begun may die for want of a connection, but not again and again.
        let mistaken = mistaken(&seen.events);
        assert!(mistaken == 0 || !is_settled && mistaken <= 2, "{:#?}\n{}", seen.events, worker.said());
        worker.drain();
        for file in ["begun", "go", "ledger"] {
            std::fs::remove_file(place.sandbox.path(file)).unwrap();
        }
    }
    row.tell("nobody is taken for dead; a command says that there is no room, and ends with 7");
}

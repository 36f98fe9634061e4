//! `quickstart.rs`

use crate::bench::Bench;

#[test]
fn the_host_program_keeps_its_runs() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_quickstart");
    let first = bench.command(program, &["world"]);
    assert_eq!((first.code, &*first.stdout), (Some(0), "hello world, 11 characters\n"), "{first:?}");
    let again = bench.command(program, &["world"]);
    assert_eq!((again.code, &*again.stdout), (Some(0), "hello world, 11 characters\n"), "{again:?}");
    // The same name is the same run: the second call has found what the first one has left.
    let runs = bench.orchestrator(&["--store", "sqlite:quickstart.db", "runs", "list", "--json"]).json();
    assert_eq!(runs["items"].as_array().map(Vec::len), Some(1), "{runs}");
}

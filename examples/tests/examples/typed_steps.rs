//! `typed_steps`

use crate::bench::Bench;

const PROGRAM: &str = env!("CARGO_BIN_EXE_typed_steps");

#[test]
fn what_one_step_gives_reaches_the_next_as_it_is() {
    let bench = Bench::new();
    let done = bench.command(PROGRAM, &["cake", "3"]);
    assert_eq!((done.code, &*done.stdout), (Some(0), "3 × cake: 12.60\n"), "{done:?}");
}

#[test]
fn what_a_function_refuses_is_told() {
    let bench = Bench::new();
    let done = bench.command(PROGRAM, &["gold", "1"]);
    assert_eq!((done.code, &*done.stdout), (Some(1), ""), "{done:?}");
    assert!(done.stderr.contains("`gold` is not for sale"), "{done:?}");
}

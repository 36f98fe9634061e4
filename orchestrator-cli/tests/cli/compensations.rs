//! Compensations, as they are counted and shown.

use crate::Sandbox;

const SAGA: &str = "\
name: saga
steps:
  room:
    run: echo room
    effect: pure
    compensate: { run: echo room again, effect: pure }
  seat:
    needs: room
    run: echo seat
    effect: pure
    compensate: { run: echo seat again, effect: pure }
  pay:
    needs: seat
    run: exit 1
    effect: pure
";

#[test]
fn compensations_are_counted_apart_from_steps() {
    let sandbox = Sandbox::with(&[("saga.yaml", SAGA)]);
    let said = sandbox.run("validate saga.yaml").exits(0);
    assert_eq!(said.out, "saga.yaml: ok (3 steps, 2 compensations)\n");
    let told = sandbox.run("validate saga.yaml --json").exits(0).json();
    let file = &told["items"][0];
    assert_eq!((&file["steps"], &file["compensations"]), (&3.into(), &2.into()), "{told}");
}

#[test]
fn compensations_are_shown_in_the_order_in_which_things_are_undone() {
    let sandbox = Sandbox::with(&[("saga.yaml", SAGA)]);
    sandbox.run("run saga.yaml").exits(1);
    let shown = sandbox.run("runs show @last").exits(0).out;
    let at = |name: &str| shown.find(name).unwrap_or_else(|| panic!("no {name} in\n{shown}"));
    assert!(at("seat.compensate") < at("room.compensate"), "{shown}");
    let told = sandbox.run("runs show @last --json").exits(0).json();
    let names: Vec<&str> =
        told["steps"].as_array().unwrap().iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(names, ["room", "seat", "pay", "room.compensate", "seat.compensate"]);
}

//! The real binary, as people and scripts use it.

mod approvals;
mod bad_input;
mod bell;
mod bounded;
mod children;
mod compensations;
mod concurrency;
mod confined;
mod doctor;
mod evidence;
mod fleet;
mod graph;
mod help;
mod init;
mod injection;
mod judging;
mod looking;
mod mcp;
mod moving;
mod mutants;
mod network;
mod outside;
mod pausing;
mod plan;
mod prices;
mod queues;
mod registry;
mod reports;
mod rows;
mod run;
mod sandbox;
mod scheduling;
mod schema;
mod secrets;
mod settings;
mod signalling;
mod signals;
mod steering;
mod streams;
mod tasks;
mod terminal;
mod tools;
mod trying;
mod upkeep;
mod validate;
mod watching;

use sandbox::{Said, Sandbox, stable, stable_json};

/// A workflow of one step that does nothing much.
const HELLO: &str = "\
name: hello
inputs:
  name: { type: string, default: world }
steps:
  greet:
    run: echo \"Hello, $NAME!\"
    effect: pure
    env: { NAME: \"${{ inputs.name }}\" }
outputs:
  greeting: ${{ steps.greet.stdout }}
";

/// A workflow that asks.
const ASK: &str = "\
name: ask
steps:
  review:
    uses: approval
    with: { message: \"Publish these notes?\", show: \"first line\\nsecond line\" }
  publish:
    needs: review
    if: steps.review.approved
    run: echo published
    effect: pure
";

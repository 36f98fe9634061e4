//! What a secret leaves behind where a text is cut: nothing.

use std::sync::Arc;

use orchestrator_core::machine::StepError;
use orchestrator_core::mask::Mask;
use orchestrator_core::port::plugin::Stream;
use serde_json::json;

use crate::stage::{Log, context, request};
use crate::{manifest, obedient, unknown};

const SECRET: &str = "c4nary-that-sings-in-the-mine";

/// Its beginning, which would stand before a cut.
const HALF: &str = "c4nary";

/// Ends in the middle of what it does with `SECRET`.
async fn dies(what: &str) -> (StepError, Arc<Log>) {
    let it = obedient(&manifest(&json!({}))).await;
    let (mut context, log) = context(it.folder.path());
    context.mask = Mask::of([SECRET]);
    let what = what.replace("SECRET", &format!("'{SECRET}'"));
    let outcome = it.plugin.execute(context, request(json!({ "do": what }))).await;
    (unknown(outcome), log)
}

#[tokio::test]
async fn nonsense_is_masked_before_it_is_cut() {
    let (error, _) = dies("print('x' * 70 + SECRET, flush=True)\ntime.sleep(1000)").await;
    assert!(error.message.contains("xxx***`") && !error.message.contains(HALF), "{}", error.message);
}

#[tokio::test]
async fn last_words_are_masked_before_they_are_cut() {
    let (error, log) = dies("print('x' * 290 + SECRET, file=sys.stderr)\nsys.exit(3)").await;
    assert!(error.message.contains("xxx***;") && !error.message.contains(HALF), "{}", error.message);
    assert!(log.lines(Stream::Stderr)[0].ends_with("xxx***"), "{}", log.text());
}

#[tokio::test]
async fn a_secret_at_the_end_of_a_line_that_is_too_long_is_left_out() {
    let (_, log) = dies("print('x' * (65536 - 10) + SECRET, file=sys.stderr)\nsys.exit(3)").await;
    assert!(
        log.lines(Stream::Stderr)[0].ends_with("xxx … (cut)"),
        "{}",
        &log.lines(Stream::Stderr)[0][65_500..]
    );
}

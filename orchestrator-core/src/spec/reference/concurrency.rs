//! The keys of `concurrency`.

use crate::spec::concurrency::MAX_PLACES;
use crate::spec::reference::form::{Form, Key, Section};

/// How many attempts of the same key may be executed at once, or how many runs be under way.
pub static CONCURRENCY: Section = Section {
    name: "concurrency",
    of: "`concurrency`",
    keys: &[
        Key::new(
            "key",
            Form::Text,
            "Which attempts count together, and which runs: in a project, those whose keys are equal. Expressions of a step see what those of `with` see, those of a workflow `inputs`, `env` and `run`.",
            "{ key: \"deploy-${{ run.workflow }}\" }",
        )
        .required(),
        Key::new(
            "limit",
            Form::Whole(1, MAX_PLACES),
            "How many of them may be executed, or be under way, at once.",
            "{ key: licence, limit: 3 }",
        )
        .without("1"),
        Key::new(
            "on_full",
            Form::Word(&["wait", "refuse", "cancel_oldest", "cancel_newest"]),
            "What becomes of one that is too many: it waits, and those that have waited longest go first; the step fails, or the run does; the runs that came before it are cancelled; or its own run is.",
            "{ key: deploy, on_full: refuse }",
        )
        .without("`wait`"),
    ],
    foreign: &[("group", "key"), ("name", "key"), ("max", "limit"), ("limits", "limit"), ("strategy", "on_full")],
    elsewhere: &[("max-parallel", "`strategy`"), ("per", "`rate`")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    concurrency:\n      …\n",
    filler: ("", &[]),
};

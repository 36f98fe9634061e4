//! The keys of `strategy`.

use crate::spec::reference::form::{Form, Key, Section};

/// A list, or an expression that gives one.
pub(super) const ITEMS: Form = Form::Either(&[Form::List(&Form::Value, 0), Form::Expression]);

/// What a step runs once for each of, and how many at once.
pub static STRATEGY: Section = Section {
    name: "strategy",
    of: "`strategy`",
    keys: &[
        Key::new(
            "matrix",
            Form::Named(&ITEMS),
            "Lists of values: the step runs once for each combination, whose values `with` and `env` see as `matrix.NAME`. `exclude` and `include` are lists of combinations to leave out and to add.",
            "matrix: { os: [linux, macos], version: [1, 2], exclude: [{ os: macos, version: 1 }] }",
        ),
        Key::new(
            "max-parallel",
            Form::Whole(1, 1_000_000),
            "How many items may be open at once.",
            "{ matrix: { a: [1, 2] }, max-parallel: 1 }",
        )
        .without("as many as there are slots"),
        Key::new(
            "fail-fast",
            Form::Boolean,
            "Whether the others are stopped when one has failed.",
            "{ matrix: { a: [1, 2] }, fail-fast: false }",
        )
        .later(),
    ],
    foreign: &[
        ("parallel", "max-parallel"),
        ("concurrency", "max-parallel"),
        ("max_parallelism", "max-parallel"),
    ],
    elsewhere: &[("for_each", "a step")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    strategy:\n      …\n",
    filler: ("matrix: { v: [1] }", &["matrix"]),
};

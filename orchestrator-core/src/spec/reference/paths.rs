//! The keys of `paths`.

use crate::spec::reference::form::{Form, Key, Section};

/// Paths as they are written: one, several, or an expression that gives them.
pub(super) static GLOBS: Form = Form::Either(&[Form::Text, Form::List(&Form::Text, 0)]);

/// What of a workspace a step reads and writes.
pub static PATHS: Section = Section {
    name: "paths",
    of: "`paths`",
    keys: &[
        Key::new(
            "read",
            GLOBS,
            "What it reads: nobody writes that meanwhile. Expressions see what those of `with` see, and may give a list.",
            "{ read: [docs, \"**/*.toml\"] }",
        ),
        Key::new(
            "write",
            GLOBS,
            "What it writes: nobody else reads or writes that meanwhile.",
            "{ write: \"services/${{ run.workflow }}\" }",
        ),
        Key::new(
            "workspace",
            Form::Text,
            "What the paths are relative to: steps of a project that name the same are in each other's way.",
            "{ write: src, workspace: site }",
        )
        .without("`default`"),
    ],
    foreign: &[
        ("reads", "read"),
        ("writes", "write"),
        ("shared", "read"),
        ("exclusive", "write"),
        ("root", "workspace"),
        ("repository", "workspace"),
    ],
    elsewhere: &[],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    paths:\n      …\n",
    filler: ("", &[]),
};

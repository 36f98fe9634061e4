//! The keys of `rate`.

use crate::spec::concurrency::MAX_PLACES;
use crate::spec::reference::form::{Form, Key, Section};

/// How many attempts of the same key may begin within some time.
pub static RATE: Section = Section {
    name: "rate",
    of: "`rate`",
    keys: &[
        Key::new(
            "key",
            Form::Text,
            "Which attempts count together: of all runs of a project, those whose keys and whose `per` are equal. Expressions see what those of `with` see.",
            "{ key: \"api-${{ run.workflow }}\", limit: 10, per: 1m }",
        )
        .required(),
        Key::new(
            "limit",
            Form::Whole(1, MAX_PLACES),
            "How many of them may begin within any such time.",
            "{ key: some-api, limit: 10, per: 1m }",
        )
        .required(),
        Key::new(
            "per",
            Form::Duration,
            "The time, from 100ms to 31d.",
            "{ key: some-api, limit: 5000, per: 1h }",
        )
        .required(),
    ],
    foreign: &[
        ("name", "key"),
        ("group", "key"),
        ("max", "limit"),
        ("count", "limit"),
        ("requests", "limit"),
        ("period", "per"),
        ("interval", "per"),
        ("window", "per"),
        ("every", "per"),
        ("duration", "per"),
    ],
    elsewhere: &[("on_full", "`concurrency`")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    rate:\n      …\n",
    filler: ("", &[]),
};

//! The keys of `sandbox`.

use crate::spec::reference::form::{Form, Key, Section};

/// How a script is confined.
pub(super) const SANDBOXES: Form = Form::Either(&[Form::Word(&["strict", "none"]), Form::Section(&SANDBOX)]);

/// What a confined script is granted.
pub static SANDBOX: Section = Section {
    name: "sandbox",
    of: "`sandbox`",
    keys: &[
        Key::new("network", Form::Boolean, "Whether it may use IPv4 and IPv6.", "network: true")
            .without("`false`"),
        Key::new(
            "read",
            Form::List(&Form::Text, 0),
            "What it may read and execute besides what every script may: relative to the folder of the run, absolute, or such as `~/data`.",
            "read: [../shared, ~/data]",
        ),
        Key::new(
            "write",
            Form::List(&Form::Text, 0),
            "What it may also write and remove besides the folder of the run. A path that ends with `/` is made where it does not exist.",
            "write: [../out/]",
        ),
        Key::new(
            "memory",
            Form::Size,
            "How much memory each of its processes may use, and all of them together; at least `16MiB`.",
            "memory: 512MiB",
        )
        .without("`4GiB`"),
        Key::new(
            "cpu",
            Form::Duration,
            "How long each of its processes may compute; whole seconds, rounded up.",
            "cpu: 60s",
        )
        .without("`1h`"),
        Key::new(
            "processes",
            Form::Whole(1, 1_000_000),
            "How many processes it may have at once.",
            "processes: 64",
        )
        .without("`512`"),
        Key::new("file_size", Form::Size, "How long each file that it writes may be.", "file_size: 1GiB")
            .without("`4GiB`"),
        Key::new(
            "open_files",
            Form::Whole(16, 1_000_000),
            "How many files each of its processes may have open.",
            "open_files: 256",
        )
        .without("`1024`"),
    ],
    foreign: &[("net", "network"), ("mem", "memory"), ("pids", "processes")],
    elsewhere: &[("timeout", "a step")],
    frame: "name: example\nsteps:\n  example:\n    run: echo hello\n    sandbox:\n      …\n",
    filler: ("", &[]),
};

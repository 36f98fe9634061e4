//! The keys of what starts runs.

use crate::spec::reference::form::{Form, Key, Section};

/// What starts runs of a registered workflow.
pub static ON: Section = Section {
    name: "on",
    of: "`on`",
    keys: &[
        Key::new(
            "schedule",
            Form::Either(&[Form::Section(&SCHEDULE), Form::List(&Form::Section(&SCHEDULE), 0)]),
            "At which times a worker starts one.",
            "schedule: [{ cron: \"*/30 * * * *\" }]",
        ),
        Key::new("webhook", Form::Value, "Which calls from outside.", "webhook: {}").later(),
    ],
    foreign: &[("cron", "schedule"), ("schedules", "schedule")],
    elsewhere: &[],
    frame: "name: example\non:\n  …\nsteps:\n  nothing: { run: \"true\", effect: pure }\n",
    filler: ("", &[]),
};

/// When runs are started.
pub static SCHEDULE: Section = Section {
    name: "schedule",
    of: "a schedule",
    keys: &[
        Key::new(
            "cron",
            Form::Text,
            "The times: minute, hour, day of the month, month, day of the week; with six fields, the second comes first.",
            "cron: \"0 9 * * 1-5\"",
        )
        .required(),
        Key::new(
            "zone",
            Form::Text,
            "The time zone, as the IANA database calls it.",
            "{ cron: \"0 9 * * 1-5\", zone: Europe/Berlin }",
        )
        .without("`UTC`"),
        Key::new(
            "inputs",
            Form::Named(&Form::Constant),
            "What the runs are given.",
            "{ cron: \"@daily\", inputs: {} }",
        ),
        Key::new(
            "time_input",
            Form::Text,
            "The input that is given the time for which a run is started.",
            "{ cron: \"@daily\", time_input: at }",
        ),
        Key::new(
            "missed",
            Form::Word(&["skip", "run_once", "run_all"]),
            "What becomes of times at which no worker was there.",
            "{ cron: \"@daily\", missed: skip }",
        )
        .without("`run_once`"),
        Key::new(
            "overlap",
            Form::Word(&["allow", "skip", "cancel_oldest"]),
            "What happens at a time when the last run has not ended.",
            "{ cron: \"@hourly\", overlap: skip }",
        )
        .without("`allow`"),
        Key::new(
            "window",
            Form::Duration,
            "How far back missed times are made up for.",
            "{ cron: \"@hourly\", missed: run_all, window: 12h }",
        )
        .without("as far as there are any"),
    ],
    foreign: &[("timezone", "zone"), ("tz", "zone"), ("with", "inputs"), ("catchup", "missed"), ("misfire", "missed")],
    elsewhere: &[],
    frame: "name: example\ninputs: { at: { type: string, default: \"\" } }\non:\n  schedule:\n    …\nsteps:\n  nothing: { run: \"true\", effect: pure }\n",
    filler: ("", &[]),
};

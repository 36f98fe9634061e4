//! `on: schedule:` as it is read, and what is wrong with it.

use std::time::Duration;

use orchestrator_core::schedule::{Missed, Overlap, Schedule};
use orchestrator_core::spec::{Workflow, parse, parse_stored};

use crate::catalog::plugins;
use crate::{Row, table};

/// A workflow that is started by these schedules.
const HEAD: &str = "name: a\ninputs: { day: { type: string, default: x }, n: { type: integer } }\nsteps: { a: { uses: noop } }\non:\n";

const WRONG: &[Row] = &[
    ("what is no schedule", "name: a\nsteps: { a: { uses: noop } }\non: push\n", &["invalid_type"]),
    (
        "keys of other languages, and one that comes later",
        "name: a\nsteps: { a: { uses: noop } }\non:\n  schedule: { cron: '@daily', timezone: UTC, misfire: skip }\n  webhook: {}\n  push: {}\n",
        &["unknown_field", "unknown_field", "not_supported_yet", "unknown_field"],
    ),
    (
        "values that are none",
        "name: a\nsteps: { a: { uses: noop } }\non:\n  schedule:\n    - { zone: UTC }\n    - { cron: 5, zone: 1 }\n    - { cron: '@daily', missed: once, overlap: queue, window: 5 }\n    - 7\n",
        &[
            "missing_field",
            "invalid_type",
            "invalid_type",
            "invalid_value",
            "invalid_value",
            "invalid_duration",
            "invalid_type",
        ],
    ),
    (
        "inputs that do not fit",
        "name: a\ninputs: { day: { type: string, default: x }, n: { type: integer } }\nsteps: { a: { uses: noop } }\non:\n  schedule:\n    - { cron: '@daily' }\n    - { cron: '@daily', inputs: { n: x, dya: 1 } }\n    - { cron: '@daily', time_input: n }\n    - { cron: '@daily', time_input: nn, inputs: { n: 1, day: '${{ inputs.n }}' } }\n",
        &[
            "missing_input",
            "invalid_type",
            "unknown_input",
            "type_mismatch",
            "unknown_input",
            "invalid_value",
        ],
    ),
];

fn read(text: &str) -> Workflow {
    parse(text, &plugins()).unwrap_or_else(|problems| panic!("{problems}\n{text}")).workflow
}

#[test]
fn what_is_wrong_with_schedules() {
    insta::assert_snapshot!(table(WRONG));
}

#[cfg(feature = "schedule")]
const INVALID_CRON: &[Row] = &[(
    "expressions and zones that are none",
    "name: a\nsteps: { a: { uses: noop } }\non:\n  schedule:\n    - cron: '61 * * * *'\n    - cron: '@reboot'\n    - cron: '* * * * * * *'\n    - cron: '0 0 30 2 *'\n    - cron: ''\n    - { cron: '0 9 * * 1-5', zone: Berlin }\n    - { cron: '0 9 * * 1-5', zone: Mars/Base }\n",
    &["invalid_cron"; 7],
)];

#[cfg(feature = "schedule")]
#[test]
fn an_invalid_cron_is_told_with_its_place_and_what_would_be_right() {
    insta::assert_snapshot!(table(INVALID_CRON));
}

#[test]
fn one_schedule_or_a_list_of_them_is_read() {
    let one = format!("{HEAD}  schedule: {{ cron: '@daily', inputs: {{ n: 3 }} }}\n");
    let mut expected = Schedule::new("a", "@daily", "UTC");
    expected.inputs.insert("n".into(), 3.into());
    assert_eq!(read(&one).schedules, [expected.clone()]);
    let more = format!(
        "{HEAD}  schedule:\n    - {{ cron: '@daily', inputs: {{ n: 3 }} }}\n    - {{ cron: '*/5 * * * *', zone: Europe/Berlin, inputs: {{ n: 4 }}, time_input: day, missed: run_all, overlap: skip, window: 1h }}\n"
    );
    let mut second = Schedule::new("a", "*/5 * * * *", "Europe/Berlin");
    second.inputs.insert("n".into(), 4.into());
    second.time_input = Some("day".into());
    (second.missed, second.overlap) = (Missed::RunAll, Overlap::Skip);
    second.set_window(Some(Duration::from_secs(3_600)));
    assert_eq!(read(&more).schedules, [expected, second]);
    assert!(read("name: a\nsteps: { a: { uses: noop } }\n").schedules.is_empty());
}

#[test]
fn a_run_goes_on_where_a_time_zone_is_no_longer_known() {
    let text =
        "name: a\nsteps: { a: { uses: noop } }\non: { schedule: { cron: '@daily', zone: Atlantis/City } }\n";
    assert_eq!(parse_stored(text, "a").unwrap().schedules[0].zone, "Atlantis/City");
}

//! The catalogue of bad input (workflows, templates, command lines): every row has tests, or says with what it will come.

use std::fs;
use std::path::Path;

/// What holds a row.
#[derive(Debug)]
enum Held {
    /// Names of tests, or of rows of their tables, by the file that has them, from the root.
    By(&'static [(&'static str, &'static str)]),
    /// It needs something that is not built.
    With(&'static str),
}

use Held::{By, With};

const REFUSED: &str = "orchestrator-core/tests/spec/refused.rs";
const EXPRESSIONS: &str = "orchestrator-core/tests/spec/expressions.rs";
const EXTREMES: &str = "orchestrator-core/tests/spec/extremes.rs";
const EXPR: &str = "orchestrator-core/src/spec/expr/tests.rs";
const PARSE: &str = "orchestrator-core/src/spec/parse.rs";
const HERE: &str = "orchestrator-cli/tests/cli/bad_input.rs";
const VALIDATE: &str = "orchestrator-cli/tests/cli/validate.rs";
const STREAMS: &str = "orchestrator-cli/tests/cli/streams.rs";
const TERMINAL: &str = "orchestrator-cli/tests/cli/terminal.rs";
const SETTINGS: &str = "orchestrator-cli/tests/cli/settings.rs";

const ROWS: &[(&str, &str, Held)] = &[
    ("Y01", "nothing in it", By(&[(REFUSED, "Y01 empty"), (REFUSED, "Y01 null")])),
    ("Y02", "two documents", By(&[(REFUSED, "Y02 two documents")])),
    (
        "Y03",
        "syntax",
        By(&[(REFUSED, "Y03 tab"), (REFUSED, "Y03 unclosed quote"), (REFUSED, "Y03 bad indent")]),
    ),
    (
        "Y04",
        "encodings",
        By(&[(REFUSED, "fn encodings"), (HERE, "fn what_cannot_be_read_as_a_workflow_is_refused_in_time")]),
    ),
    ("Y05", "duplicate keys", By(&[(REFUSED, "Y05 duplicate key")])),
    ("Y06", "aliases", By(&[(REFUSED, "Y06 recursive alias"), (EXTREMES, "fn aliases_cannot_multiply")])),
    ("Y07", "nesting", By(&[(EXTREMES, "fn nesting_without_end_is_refused")])),
    (
        "Y08",
        "size",
        By(&[
            (EXTREMES, "fn what_is_too_large_is_refused"),
            (PARSE, "fn nodes_steps_and_needs_are_counted"),
            (HERE, "/dev/zero"),
        ]),
    ),
    ("Y09", "tags", By(&[(REFUSED, "Y09 tags")])),
    ("Y10", "merge keys", By(&[(REFUSED, "Y10 merge key")])),
    (
        "Y11",
        "texts that are none",
        By(&[
            (REFUSED, "Y11 texts that are none"),
            (REFUSED, "Y11 octal"),
            (REFUSED, "Y11 words and times are texts"),
        ]),
    ),
    ("Y12", "unknown keys", By(&[(REFUSED, "Y12 unknown keys"), (REFUSED, "Y12 dashes and underscores")])),
    (
        "Y13",
        "missing keys",
        By(&[
            (REFUSED, "what must hold"),
            (REFUSED, "what must be passed"),
            (REFUSED, "Y13 nothing but a name"),
            (REFUSED, "Y13 neither run nor uses"),
        ]),
    ),
    ("Y14", "equal names", By(&[(REFUSED, "Y14 duplicate steps")])),
    ("Y15", "names", By(&[(REFUSED, "Y15 names of steps"), (REFUSED, "fn a_nul_is_told_where_it_stands")])),
    ("Y16", "unknown needs", By(&[(REFUSED, "Y16 unknown needs")])),
    ("Y17", "circles", By(&[(REFUSED, "Y17 circles"), (EXTREMES, "fn a_large_circle_is_told_shortly")])),
    ("Y18", "needs of a wrong type", By(&[(REFUSED, "Y18 needs of a wrong type")])),
    ("Y19", "needs named twice", By(&[(REFUSED, "Y19 twice")])),
    ("Y20", "not an ancestor", By(&[(EXPRESSIONS, "Y20 not an ancestor")])),
    ("Y21", "names that are not there", By(&[(EXPRESSIONS, "T02 Y21 what is not there")])),
    (
        "Y22",
        "never true",
        By(&[
            (EXPRESSIONS, "Y22 never true"),
            (VALIDATE, "fn warnings_are_errors_only_where_that_is_asked_for"),
        ]),
    ),
    ("Y23", "durations", By(&[(REFUSED, "Y23 durations")])),
    ("Y24", "retry", By(&[(REFUSED, "Y24 retry")])),
    ("Y25", "cron", With("schedules")),
    ("Y26", "plugins", By(&[(REFUSED, "Y26 plugins")])),
    ("Y27", "configs", By(&[(REFUSED, "Y27 configs"), (REFUSED, "Y27 the silence of a signal")])),
    (
        "Y28",
        "credentials",
        By(&[(REFUSED, "Y28 credentials"), (REFUSED, "fn the_value_of_a_credential_is_not_repeated")]),
    ),
    ("Y29", "too many steps", By(&[(PARSE, "fn nodes_steps_and_needs_are_counted")])),
    ("Y30", "too many items", With("`for_each`")),
    ("Y31", "the same name with another text", With("the registry of workflows")),
    ("Y32", "JSON as YAML", By(&[(REFUSED, "fn json_is_yaml_and_a_few_anchors_are_fine")])),
    ("Y33", "numbers", By(&[(REFUSED, "Y33 numbers"), (REFUSED, "Y33 other spellings")])),
    ("Y34", "a few anchors", By(&[(REFUSED, "fn json_is_yaml_and_a_few_anchors_are_fine")])),
    ("Y35", "environment", By(&[(REFUSED, "Y35 environment")])),
    ("T01", "syntax of expressions", By(&[(EXPRESSIONS, "T01 syntax"), (EXPRESSIONS, "T01 in a block")])),
    (
        "T02",
        "undefined names",
        By(&[(EXPRESSIONS, "T02 Y21 what is not there"), (EXPR, "fn what_is_not_defined_is_an_error")]),
    ),
    ("T03", "endless work", By(&[(EXPR, "fn work_and_output_are_bounded")])),
    (
        "T04",
        "endless output",
        By(&[(EXPR, "fn work_and_output_are_bounded"), (EXPRESSIONS, "T06 depth and T04 length")]),
    ),
    ("T05", "statements, macros, includes", By(&[(EXPRESSIONS, "fn statements_are_text")])),
    (
        "T06",
        "depth of expressions",
        By(&[
            (EXPRESSIONS, "T06 depth and T04 length"),
            (EXPR, "fn depth_and_length_are_bounded_before_compilation"),
        ]),
    ),
    ("T07", "ways out", By(&[(EXPRESSIONS, "T07 ways out")])),
    (
        "T08",
        "expressions in data",
        By(&[
            (EXPR, "fn what_comes_out_of_data_is_never_evaluated_again"),
            (HERE, "fn what_is_given_is_never_read_as_code"),
        ]),
    ),
    ("T09", "secrets in expressions", With("secrets")),
    (
        "T10",
        "values in scripts",
        By(&[
            (EXPRESSIONS, "T09 T10 expressions in scripts"),
            (HERE, "fn what_is_given_is_never_read_as_code"),
        ]),
    ),
    ("T11", "patterns", By(&[(EXPRESSIONS, "T11 there are no patterns")])),
    ("T12", "arithmetic", By(&[(EXPR, "fn arithmetic_that_has_no_result_is_an_error")])),
    ("T13", "texts of any kind", By(&[(EXPR, "fn texts_of_any_kind_pass_unharmed")])),
    (
        "T14",
        "results of a wrong type",
        By(&[(HERE, "fn a_value_of_a_wrong_type_fails_the_step_that_wants_it")]),
    ),
    (
        "C01",
        "no command, or a wrong one",
        By(&[
            ("orchestrator-cli/tests/cli/help.rs", "fn a_misspelt_command_is_met_with_the_right_one"),
            (HERE, "fn slips_are_met_with_a_suggestion"),
        ]),
    ),
    ("C02", "files that are none", By(&[(HERE, "fn what_cannot_be_read_as_a_workflow_is_refused_in_time")])),
    ("C03", "stdin", By(&[(HERE, "fn stdin_may_be_closed_empty_or_endless")])),
    (
        "C04",
        "inputs",
        By(&[
            (HERE, "fn inputs_that_cannot_be_are_refused"),
            ("orchestrator-core/tests/spec/run_inputs.rs", "fn all_that_is_wrong_is_told_at_once"),
        ]),
    ),
    ("C05", "ids of runs", By(&[(HERE, "fn runs_that_cannot_be_told_are_not_found")])),
    ("C06", "stores", By(&[(HERE, "fn a_refused_command_creates_nothing"), (HERE, "fn refusals_read_well")])),
    ("C07", "a server that is not there", With("`serve`")),
    ("C08", "client and server of two versions", With("`serve`")),
    (
        "C09",
        "outputs",
        By(&[
            (STREAMS, "fn a_reader_that_goes_away_is_no_accident"),
            (STREAMS, "fn a_full_disk_is_told"),
            (STREAMS, "fn a_plain_locale_gets_plain_signs"),
            (TERMINAL, "fn a_narrow_terminal_is_no_accident"),
            (TERMINAL, "fn colours_can_be_declined"),
        ]),
    ),
    (
        "C10",
        "Ctrl-C",
        By(&[
            ("orchestrator-cli/tests/cli/signals.rs", "fn ctrl_c_ends_waiting_and_not_the_run"),
            (
                "orchestrator-cli/tests/cli/signals.rs",
                "fn the_first_ctrl_c_stops_in_order_and_prints_the_way_back",
            ),
        ]),
    ),
    (
        "C11",
        "limits and times",
        By(&[
            (HERE, "fn a_refused_command_creates_nothing"),
            (HERE, "fn numbers_beyond_all_bounds_are_refused"),
        ]),
    ),
    (
        "C12",
        "deciding twice",
        By(&[
            ("orchestrator-cli/tests/cli/approvals.rs", "fn there_is_one_decision"),
            ("orchestrator-cli/tests/cli/judging.rs", "fn a_verdict_is_given_once_and_on_what_was_shown"),
            (
                "orchestrator-cli/tests/cli/signalling.rs",
                "fn a_name_that_nobody_waits_for_is_met_with_the_right_one",
            ),
        ]),
    ),
    (
        "C13",
        "a newer schema",
        By(&[(
            "orchestrator-cli/tests/upgrade/main.rs",
            "fn a_newer_schema_is_refused_and_nothing_is_changed",
        )]),
    ),
    (
        "C14",
        "configuration files",
        By(&[
            (SETTINGS, "fn a_wrong_file_is_refused_by_every_command_and_named_by_doctor"),
            (HERE, "fn a_configuration_of_a_wrong_kind_names_the_key"),
        ]),
    ),
    ("C15", "which setting wins", By(&[(SETTINGS, "fn every_value_has_a_source")])),
    ("C16", "arguments that look like flags", By(&[(HERE, "fn arguments_may_be_anything")])),
    ("C17", "arguments that are no text", By(&[(HERE, "fn arguments_may_be_anything")])),
];

/// How many rows each table of the catalogue has.
const TABLES: [(char, usize); 3] = [('Y', 35), ('T', 14), ('C', 17)];

fn missing(rows: &[(&str, &str, Held)], read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for (row, _, held) in rows {
        let By(tests) = held else { continue };
        for (file, name) in *tests {
            let text = read(file).unwrap_or_default();
            // A function has its name followed by its arguments, a row of a table stands in quotes.
            let there = if name.starts_with("fn ") {
                text.contains(&format!("#[test]\n{name}(")) || text.contains(&format!("#[test]\n    {name}("))
            } else {
                text.contains(&format!("\"{name}\""))
            };
            if !there {
                missing.push(format!("{row}: {file} has no {name}"));
            }
        }
        if tests.is_empty() {
            missing.push(format!("{row}: nothing holds it"));
        }
    }
    missing
}

#[test]
fn every_row_has_the_tests_that_it_names() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(missing(ROWS, &|file| fs::read_to_string(root.join(file)).ok()), [""; 0]);
}

#[test]
fn every_row_of_the_catalogue_is_there_once() {
    let mut expected =
        TABLES.iter().flat_map(|(table, rows)| (1..=*rows).map(move |row| format!("{table}{row:02}")));
    for (row, what, held) in ROWS {
        assert_eq!(Some((*row).to_owned()), expected.next());
        assert!(!what.is_empty() && !matches!(held, With("")), "{row}");
    }
    assert_eq!(expected.next(), None);
}

#[test]
fn a_row_that_names_no_test_is_caught() {
    let text = "#[test]\nfn a() {}\n(\"T1 x\", 1)";
    let read = |file: &str| (file == "f").then(|| text.to_owned());
    let rows = [
        ("A", "", By(&[("f", "fn a"), ("f", "T1 x")])),
        ("B", "", By(&[("f", "fn b")])),
        ("C", "", By(&[("g", "fn a")])),
        ("D", "", By(&[])),
        ("E", "", With("x")),
    ];
    let found = missing(&rows, &read);
    assert_eq!(found.iter().map(|row| &row[..1]).collect::<Vec<_>>(), ["B", "C", "D"]);
}

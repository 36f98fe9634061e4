//! Scripts that write more than anybody wants, and what is no text.

use serde_json::Value;

use crate::peak;
use crate::row::Losses;
use crate::sandbox::Sandbox;
use crate::seen::EFFECT;
use crate::table::{Row, size};

/// The most memory that the process may take, in MiB.
const MOST: u64 = 256;

/// A script, the memory that its process may take, and what must be so of its step.
type Kind = (&'static str, fn(usize) -> String, fn(&Value, usize) -> bool);

const KINDS: [Kind; 6] = [
    (
        "many lines",
        |mebibytes| format!("head -c {} /dev/zero | tr '\\0' x | fold -w 100", mebibytes << 20),
        |step, mebibytes| is_cut(step, mebibytes << 20),
    ),
    (
        "one line",
        |mebibytes| format!("head -c {} /dev/zero | tr '\\0' x", mebibytes << 20),
        |step, mebibytes| is_cut(step, mebibytes << 20),
    ),
    (
        "both streams",
        |mebibytes| {
            format!(
                "head -c {0} /dev/zero | tr '\\0' x; head -c {0} /dev/zero | tr '\\0' y >&2",
                mebibytes << 19
            )
        },
        |step, mebibytes| is_cut(step, mebibytes << 19),
    ),
    (
        "a file of fields",
        |mebibytes| {
            format!(
                "{{ printf 'x='; head -c {} /dev/zero | tr '\\0' x; }} >> \"$ORCHESTRATOR_OUTPUT\"",
                mebibytes << 20
            )
        },
        |step, _| step["status"] == "failed" && said(step).contains("ORCHESTRATOR_OUTPUT"),
    ),
    (
        "NULs",
        |_| "head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2".to_owned(),
        |step, _| {
            let stdout = step["output"]["stdout"].as_str().unwrap_or_default();
            stdout.chars().count() == 100_000 && stdout.chars().all(|c| c == '\u{fffd}')
        },
    ),
    (
        "no UTF-8",
        |_| "printf 'a\\377\\300b\\355\\240\\200c'".to_owned(),
        |step, _| {
            let stdout = step["output"]["stdout"].as_str().unwrap_or_default();
            stdout.starts_with('a') && stdout.ends_with('c') && stdout.contains('\u{fffd}')
        },
    ),
];

/// The output's beginning is kept, and it says how long it was.
fn is_cut(step: &Value, bytes: usize) -> bool {
    let output = &step["output"];
    output["truncated"] == true
        && output["stdout_bytes"].as_u64() >= Some(bytes as u64)
        && output["stdout"].as_str().is_some_and(|text| text.len() == 1 << 20)
}

fn said(step: &Value) -> &str {
    step["error"].as_str().unwrap_or_default()
}

#[test]
fn an_output_without_end_is_cut_or_refused_and_memory_stays_bounded() {
    let mebibytes = size(32, 64, 200);
    let mut row = Row::new("F-53 huge outputs");
    let mut peaks = Vec::new();
    for (kind, script, holds) in KINDS {
        let text = format!(
            "name: huge\nsteps:\n  huge:\n    effect: pure\n    run: |\n      {}\n  pay:\n    needs: huge\n    if: always()\n    run: sh effect.sh\n",
            script(mebibytes)
        );
        let place = Sandbox::with(&[("huge.yaml", &text), EFFECT]);
        let (ended, peak) = peak::of(&place, "run huge.yaml -q");
        assert!([0, 1].contains(&ended.code), "{kind}: {ended:?}");
        let seen = row.look(&place, &place.last_id(), 1);
        let huge = seen.step("huge");
        assert!(
            holds(huge, mebibytes),
            "{kind}: {}, {}, {}",
            huge["status"],
            said(huge),
            huge["output"]["stdout_bytes"]
        );
        // What holds of it does not hold of a step that has said nothing.
        assert!(
            !holds(&serde_json::json!({ "status": "completed", "output": { "stdout": "" } }), mebibytes),
            "{kind}"
        );
        assert_eq!(seen.step("pay")["status"], "completed", "{kind}");
        for words in ["runs show @last", "runs logs @last", "runs logs @last --json", "store check"] {
            let (ended, peak) = peak::of(&place, words);
            assert!(ended.code == 0 && peak <= MOST, "{kind}, {words}: {} with {peak} MiB", ended.code);
        }
        assert!(peak <= MOST, "{kind}: {peak} MiB");
        peaks.push(format!("{kind} {peak}"));
        row.add(0, Losses::default());
    }
    row.tell(&format!("{mebibytes} MiB each; peak of the process in MiB: {}", peaks.join(", ")));
}

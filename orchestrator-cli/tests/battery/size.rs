//! How much a battery tries, by `ORCHESTRATOR_BATTERY`.

/// One of three numbers: for `smoke`, `change` and `release`. `unset`: the size where nobody says one.
pub(crate) fn size(unset: &str, [smoke, change, release]: [usize; 3]) -> usize {
    let asked = std::env::var("ORCHESTRATOR_BATTERY").unwrap_or_default();
    match if asked.is_empty() { unset } else { &asked } {
        "smoke" => smoke,
        "change" => change,
        "release" => release,
        other => panic!("ORCHESTRATOR_BATTERY is smoke, change or release, not `{other}`"),
    }
}

//! `kill` at every named point, the first, second and third time that it is reached.
//!
//! Only in builds with `--features failpoints`; the ordinary binary must not even know the names.

/// Every named point. Each is reached by the two flows.
pub(crate) const POINTS: [&str; 16] = [
    "migrate.before",
    "owner.register.after",
    "run.takeover.before",
    "driver.decided",
    "driver.applied",
    "timer.fire.before",
    "commit.before",
    "commit.after",
    "step.dispatch.before",
    "step.complete.before",
    "script.spawn.before",
    "step.dispatch.after_spawn",
    "script.ended",
    "step.effect.before_send",
    "step.effect.after_reply",
    "script.spawn.before_noted",
];

#[cfg(not(feature = "failpoints"))]
#[test]
fn the_ordinary_binary_knows_no_failpoint() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_orchestrator")).unwrap();
    let binary = String::from_utf8_lossy(&binary);
    let knows = |name: &str| binary.contains(name);
    // A text that it does know is found in this way.
    assert!(knows("ORCHESTRATOR_STORE"));
    let known: Vec<_> =
        POINTS.into_iter().chain(["ORCHESTRATOR_FAILPOINT"]).filter(|name| knows(name)).collect();
    assert!(known.is_empty(), "{known:?}");
}

#[cfg(feature = "failpoints")]
mod killed {
    use super::POINTS;
    use crate::Battery;
    use crate::flows::CALM;

    /// The exit code of a process that has died at a point; nothing else ends with it.
    const DIED: i32 = 137;

    #[test]
    fn a_run_survives_its_death_at_every_point() {
        let mut battery = Battery::new(1);
        let mut table = Vec::new();
        for point in POINTS {
            let died = (1..=3).filter(|k| battery.die_at(&CALM, &format!("{point}=exit({DIED})@{k}"), DIED));
            table.push((point, died.count()));
        }
        battery.nothing_is_lost();
        table.iter().for_each(|(point, died)| println!("  {died}  {point}"));
        let never: Vec<_> = table.iter().filter(|(_, died)| *died == 0).collect();
        assert!(never.is_empty(), "never reached: {never:?}");
        assert!(battery.planted > 0, "nothing was planted");
        battery.kills = table.iter().map(|(_, died)| *died as u64).sum();
        battery.report("F-01 death at every named point");
    }
}

//! The sandbox of scripts: what gets out of it (nothing), and what works inside.
#![cfg(target_os = "linux")]

#[path = "../stage/mod.rs"]
mod stage;

mod hostile;
mod legitimate;
mod yard;

use std::sync::Arc;
use std::time::Duration;

use hostile::{ROWS, Row};
use orchestrator_core::port::plugin::Outcome;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{Confinement, Sandbox};
use orchestrator_plugins::SandboxReport;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use yard::Yard;

/// Gives up what root can and others cannot, for this thread and all that it starts from here on.
fn without_the_power_to_mount() {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn confined(row: &Row) -> Sandbox {
    let mut confinement = Confinement::default();
    for (name, bound) in row.bounds {
        match *name {
            "processes" => confinement.processes = u32::try_from(*bound).unwrap(),
            "memory" => confinement.memory = *bound,
            "file_size" => confinement.file_size = *bound,
            "cpu" => confinement.cpu = Duration::from_secs(*bound),
            "open_files" => confinement.open_files = u32::try_from(*bound).unwrap(),
            other => panic!("{other}"),
        }
    }
    confinement.into()
}

/// Plays a row, and tells whether it has got out, and what came of the script.
async fn escapes(row: &Row, sandbox: Sandbox) -> (bool, String) {
    let yard = Yard::new();
    let (outcome, log) = yard.run(sandbox, row.shell, row.text).await;
    let out = match row.afterwards {
        Some(look) => look(&yard),
        None => {
            log.lines(orchestrator_core::port::plugin::Stream::Stdout).iter().any(|line| line == "ESCAPED")
        }
    };
    (out, format!("{outcome:?}\n{}", log.text()))
}

/// Plays several rows, a few at a time: most of them wait.
async fn play(rows: Vec<&'static Row>, sandbox: fn(&Row) -> Sandbox) -> Vec<(&'static Row, bool, String)> {
    let seats = Arc::new(Semaphore::new(6));
    let mut all = JoinSet::new();
    for row in rows {
        let seats = seats.clone();
        all.spawn(async move {
            let _seat = seats.acquire().await.unwrap();
            let (out, told) = escapes(row, sandbox(row)).await;
            (row, out, told)
        });
    }
    all.join_all().await
}

async fn none_escapes(mounts: bool) {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| mounts || !row.mounts).collect();
    let played = rows.len();
    let mut escaped = Vec::new();
    for (row, out, told) in play(rows, confined).await {
        assert!(!told.contains("sandbox_unavailable"), "{}: {told}", row.name);
        if out {
            escaped.push(format!("{}: {told}", row.name));
        }
    }
    println!("sandbox escapes: {} of {played} hostile scripts (may mount: {mounts})", escaped.len());
    assert!(escaped.is_empty(), "{}", escaped.join("\n"));
}

#[tokio::test]
async fn no_hostile_script_gets_out() {
    none_escapes(is_root()).await;
}

#[tokio::test]
async fn no_hostile_script_gets_out_where_nothing_can_be_mounted() {
    without_the_power_to_mount();
    none_escapes(false).await;
}

#[tokio::test]
async fn every_hostile_script_works_without_a_sandbox() {
    assert!(ROWS.len() >= 30);
    let rows: Vec<&Row> = ROWS.iter().filter(|row| is_root() || !row.root).collect();
    let played = rows.len();
    let all = play(rows, |_| Sandbox::None).await;
    let harmless: Vec<String> = all
        .into_iter()
        .filter(|(_, out, _)| !out)
        .map(|(row, _, told)| format!("{}: {told}", row.name))
        .collect();
    println!("without a sandbox: {} of {played} hostile scripts get out", played - harmless.len());
    assert!(harmless.is_empty(), "{}", harmless.join("\n"));
}

async fn all_work() {
    let mut broken = Vec::new();
    for (name, shell, grant, text) in legitimate::SCRIPTS {
        let yard = Yard::new();
        let mut confinement = Confinement::default();
        let granted = |name: &str| vec![yard.path(name).to_str().unwrap().to_owned()];
        match *grant {
            "network" => confinement.network = true,
            "write" => confinement.write = granted("granted"),
            "read" => confinement.read = granted("outside"),
            _ => {}
        }
        let (outcome, log) = yard.run(confinement.into(), shell, text).await;
        let worked = matches!(&outcome, Outcome::Succeeded { output } if output["stdout"].as_str().unwrap().ends_with("done"));
        if !worked {
            broken.push(format!("{name}: {outcome:?}\n{}", log.text()));
        }
    }
    let all = legitimate::SCRIPTS.len();
    println!("inside of the sandbox: {} of {all} legitimate scripts work", all - broken.len());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test]
async fn legitimate_scripts_work() {
    all_work().await;
}

#[tokio::test]
async fn legitimate_scripts_work_where_nothing_can_be_mounted() {
    without_the_power_to_mount();
    all_work().await;
}

#[tokio::test]
async fn where_the_store_cannot_be_hidden_new_names_beside_it_are_refused_and_the_way_out_is_told() {
    without_the_power_to_mount();
    let yard = Yard::new();
    let (outcome, log) = yard.run(Sandbox::strict(), "bash", "ls -a; echo x > new").await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(log.text().contains("nothing new can be made directly in"), "{}", log.text());
    let mut confinement = Confinement::default();
    confinement.write = vec!["dist/".to_owned()];
    let (outcome, log) = yard.run(confinement.into(), "bash", "echo x > dist/new && echo y > work/new").await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}\n{}", log.text());
    // A link that an earlier script has left leads to nothing that is granted.
    std::os::unix::fs::symlink(yard.path("outside"), yard.workdir().join("link")).unwrap();
    let (outcome, _) = yard.run(Sandbox::strict(), "bash", "cat link/config.toml").await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_cannot_be_granted_says_so() {
    let yard = Yard::new();
    let refused = async |edit: fn(&mut Confinement)| {
        let mut confinement = Confinement::default();
        edit(&mut confinement);
        stage::failure(yard.run(confinement.into(), "bash", "echo ran").await.0)
    };
    let (class, told) = refused(|all| all.read = vec!["../nowhere".to_owned()]).await;
    assert_eq!(class, ErrorClass::Invalid);
    assert!(told.starts_with("`sandbox.read`: `../nowhere` cannot be granted"), "{told}");
    let (_, told) = refused(|all| all.write = vec!["../nowhere".to_owned()]).await;
    assert!(told.ends_with("make it before, or let its name end with `/` to have it made"), "{told}");
    // Even its own name does not open the store.
    let mut confinement = Confinement::default();
    confinement.write = vec![".orchestrator".to_owned(), "../run/.orchestrator/".to_owned()];
    let (outcome, _) = yard.run(confinement.into(), "bash", "cat .orchestrator/state.db").await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
}

/// A kernel without a piece: its calls are unknown to this thread, and to all that it starts from here on.
fn without(calls: &[i64]) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, arch).unwrap();
    let program: BpfProgram = filter.try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

async fn is_refused() {
    let yard = Yard::new();
    let (class, told) = stage::failure(yard.run(Sandbox::strict(), "bash", "echo ran > work/ran").await.0);
    assert_eq!(class, ErrorClass::Denied);
    assert!(told.starts_with("sandbox_unavailable: the script was not run"), "{told}");
    assert!(!yard.workdir().join("work/ran").exists());
    let (outcome, _) = yard.run(Sandbox::None, "bash", "echo ran > work/ran").await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_kernel_without_landlock_refuses_scripts() {
    without(&[libc::SYS_landlock_create_ruleset]);
    assert!(!SandboxReport::of_this_machine().available);
    is_refused().await;
}

#[tokio::test]
async fn a_kernel_whose_landlock_holds_nothing_refuses_scripts() {
    without(&[libc::SYS_landlock_restrict_self]);
    is_refused().await;
}

#[tokio::test]
async fn a_kernel_without_seccomp_refuses_scripts() {
    without(&[libc::SYS_seccomp]);
    is_refused().await;
}

#[test]
fn this_machine_can_confine_scripts() {
    let report = SandboxReport::of_this_machine();
    assert!(report.available && report.landlock == 6 && report.seccomp, "{report:?}");
}

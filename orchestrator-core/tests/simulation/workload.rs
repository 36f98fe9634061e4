//! Workflows from a seed, and what must become of them whatever goes wrong: a small model that knows nothing of engines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::claimers::TTL;
use crate::dice::Chance;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Ok,
    Fail,
    Flaky,
    Nap,
    Ask { approved: bool },
    Each { items: u32 },
    Child { fails: bool },
    Task,
}

/// What must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Skipped,
}

/// A step of a workflow.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) does: Does,
    pub(crate) needs: Vec<usize>,
    pub(crate) is_undone: bool,
    /// Runs whatever has become of what it needs.
    is_always: bool,
    tolerated: bool,
    /// Runs only if the approval at this place was given.
    if_approved: Option<usize>,
    pub(crate) is_once: bool,
    /// Under which of two keys it needs a place: of the first there is one, of the second there are two.
    key: Option<u64>,
    /// Whether it begins under a rate.
    is_rated: bool,
}

/// A workflow with what must become of a run of it.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    handles_failure: bool,
    tidies: bool,
    /// Whether no more than two runs of such workflows are under way at once.
    is_bounded: bool,
}

/// The workflow that some steps run.
pub(crate) const CHILD: &str = "\
inputs: { how: { type: string } }
concurrency: { key: below, limit: 2 }
steps:
  first: { uses: sim, with: { do: ok, ms: 200, sturdy: true }, retry: { max_attempts: 60, initial: 100ms, max: 1s, on: [failed, transient, timeout, lost, plugin_panicked] }, timeout: 3s }
  second: { uses: sim, needs: first, with: { do: \"${{ inputs.how }}\", ms: 100 } }
";

/// How many attempts may begin under the one rate there is, and in which time.
pub(crate) const RATE: usize = 3;
pub(crate) const PER_MILLIS: u64 = 1_000;

pub(crate) const STURDY: &str = "retry: { max_attempts: 60, initial: 100ms, max: 1s, on: [failed, transient, timeout, lost, plugin_panicked] }, timeout: 3s";

impl Flow {
    pub(crate) fn drawn(chance: &mut Chance, number: usize) -> Self {
        let count = chance.between(1, 7) as usize;
        let mut steps: Vec<Step> = Vec::new();
        for at in 0..count {
            let does = match chance.below(20) {
                0 => Does::Fail,
                1..=3 => Does::Flaky,
                4 | 5 => Does::Nap,
                6..=8 => Does::Ask { approved: chance.below(4) > 0 },
                9 | 10 => Does::Each { items: chance.below(4) as u32 },
                11 | 12 => Does::Child { fails: chance.below(6) == 0 },
                13 | 14 => Does::Task,
                _ => Does::Ok,
            };
            let needs: Vec<usize> = (0..at).filter(|_| chance.below(3) == 0).collect();
            let asked = needs.iter().copied().find(|need| matches!(steps[*need].does, Does::Ask { .. }));
            let works = matches!(does, Does::Ok | Does::Flaky | Does::Fail);
            steps.push(Step {
                name: format!("s{at}"),
                does,
                if_approved: asked.filter(|_| chance.below(2) == 0),
                is_undone: works && chance.below(4) == 0,
                is_always: asked.is_none() && chance.below(8) == 0,
                tolerated: chance.below(8) == 0,
                is_once: works && chance.below(3) == 0,
                key: (chance.below(4) == 0).then(|| chance.below(5)),
                is_rated: (number + at) % 5 == 3,
                needs,
            });
        }
        // A condition on an approval is asked of what must have completed.
        for step in &mut steps {
            step.is_always &= step.if_approved.is_none();
        }
        let (handles_failure, tidies) = (chance.below(3) == 0, chance.below(3) == 0);
        Self { name: format!("w{number}"), steps, handles_failure, tidies, is_bounded: number % 3 == 1 }
    }

    /// As an author would write it.
    pub(crate) fn text(&self) -> String {
        let bound = if self.is_bounded { "concurrency: { key: runs, limit: 2 }\n" } else { "" };
        let mut text = format!("name: {}\n{bound}steps:\n", self.name);
        for step in &self.steps {
            let _ = writeln!(text, "  {}: {{ {} }}", step.name, self.keys(step));
        }
        if self.handles_failure {
            let _ = writeln!(
                text,
                "on-failure:\n  handler: {{ uses: sim, with: {{ do: ok, ms: 50, sturdy: true }}, {STURDY} }}"
            );
        }
        if self.tidies {
            let _ = writeln!(
                text,
                "finally:\n  tidy: {{ uses: sim, with: {{ do: ok, ms: 50, sturdy: true }}, {STURDY} }}"
            );
        }
        text
    }

    fn keys(&self, step: &Step) -> String {
        let effect = if step.is_once { "at_most_once" } else { "idempotent" };
        let work = |what: &str| {
            format!(
                "uses: sim, with: {{ do: {what}, ms: 300, sturdy: true, effect: {effect} }}, effect: {effect}, {STURDY}"
            )
        };
        let mut keys = match step.does {
            Does::Ok => work("ok"),
            Does::Flaky => work("flaky, times: 2"),
            Does::Fail => {
                format!("uses: sim, with: {{ do: fail, ms: 100, effect: {effect} }}, effect: {effect}")
            }
            Does::Nap => "uses: sim, with: { do: nap, ms: 2500 }, effect: pure".to_owned(),
            Does::Ask { .. } => "uses: sim, with: { do: ask }, effect: pure".to_owned(),
            Does::Each { items } => {
                let list: Vec<String> = (0..items).map(|item| item.to_string()).collect();
                format!(
                    "for_each: [{}], strategy: {{ max-parallel: 2 }}, {}",
                    list.join(", "),
                    work("ok, item: \"${{ item }}\"")
                )
            }
            Does::Task => format!("uses: task, with: {{ title: {}, claim_ttl: {TTL} }}", step.name),
            Does::Child { fails } => {
                let how = if fails { "fail" } else { "ok" };
                format!("uses: workflow, with: {{ workflow: child, inputs: {{ how: {how} }} }}")
            }
        };
        if !step.needs.is_empty() {
            let names: Vec<&str> = step.needs.iter().map(|need| &*self.steps[*need].name).collect();
            let _ = write!(keys, ", needs: [{}]", names.join(", "));
        }
        match step.if_approved {
            Some(asked) => drop(write!(keys, ", if: steps.{}.approved", self.steps[asked].name)),
            None if step.is_always => keys.push_str(", if: always()"),
            None => {}
        }
        keys.push_str(match step.key {
            Some(0) => ", concurrency: { key: k0, limit: 1 }",
            Some(1) => ", concurrency: { key: k1, limit: 2 }",
            Some(2) => ", paths: { write: [src], workspace: site }",
            Some(3) => ", paths: { read: [src/*.rs], write: [docs], workspace: site }",
            Some(_) => ", paths: { read: [docs/a.md], workspace: site }, concurrency: { key: k1, limit: 2 }",
            None => "",
        });
        if step.is_rated {
            let _ = write!(keys, ", rate: {{ key: r, limit: {RATE}, per: {PER_MILLIS}ms }}");
        }
        if step.tolerated {
            keys.push_str(", continue-on-error: true");
        }
        if step.is_undone {
            let _ = write!(
                keys,
                ", compensate: {{ uses: sim, with: {{ do: ok, ms: 100, sturdy: true }}, {STURDY} }}"
            );
        }
        keys
    }

    /// What must become of each step, and of the run.
    pub(crate) fn ends(&self) -> (BTreeMap<String, End>, End) {
        let mut ends: Vec<End> = Vec::new();
        for step in &self.steps {
            let fits = step.needs.iter().all(|need| {
                ends[*need] == End::Completed || (ends[*need] == End::Failed && self.steps[*need].tolerated)
            });
            let given =
                step.if_approved.is_none_or(|asked| self.steps[asked].does == Does::Ask { approved: true });
            ends.push(match step.does {
                _ if !(step.is_always || fits && given) => End::Skipped,
                Does::Fail | Does::Child { fails: true } => End::Failed,
                _ => End::Completed,
            });
        }
        let failed = self.steps.iter().zip(&ends).any(|(step, end)| *end == End::Failed && !step.tolerated);
        let run = if failed { End::Failed } else { End::Completed };
        let mut named: BTreeMap<String, End> =
            self.steps.iter().zip(&ends).map(|(step, end)| (step.name.clone(), *end)).collect();
        if self.handles_failure {
            named.insert("handler".into(), if failed { End::Completed } else { End::Skipped });
        }
        if self.tidies {
            named.insert("tidy".into(), End::Completed);
        }
        (named, run)
    }

    /// Whether someone says yes to a step that asks.
    pub(crate) fn approves(&self, step: &str) -> bool {
        let asks = self.steps.iter().find(|it| it.name == step);
        asks.is_some_and(|it| it.does == Does::Ask { approved: true })
    }
}

//! Workflows of chance, from a seed, as an author would write them.

use std::fmt::Write as _;

use crate::chance::Chance;

/// The most steps that a workflow and all below it have together.
const MOST_STEPS: usize = 20;

/// How many workflows stand one below the other at most.
const LAYERS: usize = 3;

/// Enough attempts for whatever chance and kills do to a step that is to succeed in the end.
const STURDY: &str = "retry: { max_attempts: 60, backoff: fixed, initial: 40ms }";

/// The same for steps of which some items are to fail: what is refused, or says so by its exit code, is not repeated.
const UNLESS_TOLD: &str =
    "retry: { max_attempts: 60, backoff: fixed, initial: 40ms, on: [transient, timeout, lost] }";

/// What fails each time is not tried for long.
const HOPELESS: &str = "retry: { max_attempts: 3, backoff: fixed, initial: 40ms }";

/// How the service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Prompt,
    /// After a while.
    Late,
    /// The first so many requests get no answer, and the connection ends.
    Drops(usize),
    /// The first so many requests get a 500.
    Errs(usize),
    /// The first request gets no answer as long as somebody waits for it.
    Hangs,
    /// Every request gets a 500.
    Refuses,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Does {
    /// Sends a request that has its effect once, however often it comes.
    Post(Mood),
    /// Appends a line in each attempt, at most once for each that may be made; the first so many fail after that.
    Append {
        fails: usize,
    },
    /// Fails twice, then succeeds.
    Flaky,
    /// Fails in every attempt.
    Doomed {
        once: bool,
    },
    /// Takes longer than it may.
    Late,
    Nap(usize),
    Ask {
        approved: bool,
    },
    /// Once for each of many: requests, or lines; one of them may fail.
    Each {
        posts: bool,
        items: usize,
        fails: Option<usize>,
    },
    /// Asks the model that is built in.
    Think,
    Child(Flow),
}

/// When a step runs, beside what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    AllIsWell,
    Always,
    Failure,
    Never,
    /// Only if the approval at this place was given.
    Approved(usize),
}

/// A step of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) does: Does,
    pub(crate) needs: Vec<usize>,
    pub(crate) when: When,
    /// The run goes on, and can complete, when it has failed.
    pub(crate) tolerated: bool,
    /// How long a script of it takes after its effect.
    pub(crate) ms: usize,
}

/// What a script holds while it is executed, over all runs of an episode.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The keys that say so.
    pub(crate) keys: &'static str,
    /// What is held, and how many may hold it at once.
    pub(crate) holds: &'static [(&'static str, usize)],
}

/// One who only reads holds one of many places of what it reads; who writes holds all of them.
const CLAIMS: [Claim; 5] = [
    Claim { keys: "concurrency: narrow", holds: &[("narrow", 1)] },
    Claim { keys: "concurrency: { key: wide, limit: 2 }", holds: &[("wide", 2)] },
    Claim { keys: "paths: [src]", holds: &[("src", 1)] },
    Claim { keys: "paths: { read: [\"src/*.rs\"], write: [docs] }", holds: &[("src", READERS), ("docs", 1)] },
    Claim {
        keys: "paths: { read: [src/lib.rs, docs/a.md] }\n    concurrency: narrow",
        holds: &[("src", READERS), ("docs", READERS), ("narrow", 1)],
    },
];

/// More than there ever are.
const READERS: usize = 1000;

/// A workflow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Has a step for failures.
    pub(crate) handles: bool,
    /// Has a step for the end.
    pub(crate) tidies: bool,
}

impl Flow {
    /// A workflow of 1 to 20 steps in up to three layers.
    pub(crate) fn drawn(chance: &mut Chance, name: &str) -> Self {
        let mut left = 1 + chance.below(MOST_STEPS);
        Self::layer(chance, name.to_owned(), 1, &mut left)
    }

    fn layer(chance: &mut Chance, name: String, layer: usize, left: &mut usize) -> Self {
        let most = if layer == 1 { MOST_STEPS } else { 1 + chance.below(4) };
        let mut steps: Vec<Step> = Vec::new();
        while *left > 0 && steps.len() < most {
            *left -= 1;
            let at = steps.len();
            let does = match chance.below(24) {
                0..=2 if layer < LAYERS && *left > 0 => {
                    Does::Child(Self::layer(chance, format!("{name}_{at}"), layer + 1, left))
                }
                kind => Does::drawn(chance, kind),
            };
            let needs: Vec<usize> = match chance.below(6) {
                // What joins all that came before.
                0 => (0..at).collect(),
                _ => (0..at).filter(|_| chance.below(4) == 0).collect(),
            };
            let asked = needs.iter().copied().find(|need| matches!(steps[*need].does, Does::Ask { .. }));
            let when = match (asked, chance.below(16)) {
                (Some(asked), 0..=9) => When::Approved(asked),
                (_, 10 | 11) => When::Always,
                (_, 12) => When::Failure,
                (_, 13) => When::Never,
                _ => When::AllIsWell,
            };
            let tolerated = chance.below(6) == 0;
            let ms = 30 + chance.below(300);
            steps.push(Step { name: format!("s{at}"), does, needs, when, tolerated, ms });
        }
        Self { name, steps, handles: chance.below(4) == 0, tidies: chance.below(4) == 0 }
    }

    /// Stays open at least so long, in milliseconds.
    pub(crate) fn hold(&mut self, ms: usize) {
        let (name, when) = ("hold".to_owned(), When::Always);
        self.steps.push(Step { name, does: Does::Nap(ms), needs: Vec::new(), when, tolerated: false, ms: 0 });
    }

    /// All workflows, this one first.
    pub(crate) fn all(&self) -> Vec<&Self> {
        let below = self.steps.iter().filter_map(|step| match &step.does {
            Does::Child(child) => Some(child.all()),
            _ => None,
        });
        std::iter::once(vec![self]).chain(below).flatten().collect()
    }

    pub(crate) fn text(&self) -> String {
        self.placed(false)
    }

    /// The same for a fleet: some of its steps go to those who serve another queue.
    pub(crate) fn placed(&self, far: bool) -> String {
        let mut text = format!(
            "name: {}\npermissions: {{ network: [\"127.0.0.1:*\"] }}\ninputs: {{ sink: {{ type: string }}, ledger: {{ type: string }} }}\n",
            self.name
        );
        text.push_str("env: { LEDGER: \"${{ inputs.ledger }}\" }\nsteps:\n");
        for step in &self.steps {
            let _ = write!(text, "  {}:\n{}", step.name, self.keys(step));
            if far && step.goes_far() {
                text.push_str("    queue: far\n");
            }
            // Who dies alone is only followed by others in a fleet: elsewhere what it holds would keep them.
            if far && let Some(claim) = step.claim() {
                let _ = writeln!(text, "    {}", claim.keys);
            }
        }
        for (has, stage, name) in [(self.handles, "on-failure", "handler"), (self.tidies, "finally", "tidy")]
        {
            if has {
                let _ = write!(text, "{stage}:\n  {name}:\n    effect: pure\n    run: exit 0\n");
            }
        }
        let outputs: Vec<String> = self
            .steps
            .iter()
            .filter(|step| matches!(step.does, Does::Append { .. }))
            .map(|step| format!("  {0}: ${{{{ steps.{0}.receipt }}}}\n", step.name))
            .collect();
        if !outputs.is_empty() {
            let _ = write!(text, "outputs:\n{}", outputs.concat());
        }
        text
    }

    fn keys(&self, step: &Step) -> String {
        let mut keys = does(step);
        if !step.needs.is_empty() {
            let names: Vec<&str> = step.needs.iter().map(|need| &*self.steps[*need].name).collect();
            let _ = writeln!(keys, "    needs: [{}]", names.join(", "));
        }
        match step.when {
            When::AllIsWell => {}
            When::Always => keys.push_str("    if: always()\n"),
            When::Failure => keys.push_str("    if: failure()\n"),
            When::Never => keys.push_str("    if: run.id == \"\"\n"),
            When::Approved(asked) => {
                let _ = writeln!(keys, "    if: steps.{}.approved", self.steps[asked].name);
            }
        }
        if step.tolerated {
            keys.push_str("    continue-on-error: true\n");
        }
        keys
    }
}

impl Step {
    /// Whether it goes to another queue, where there is one.
    fn goes_far(&self) -> bool {
        !matches!(self.does, Does::Child(_)) && self.name.bytes().last().is_some_and(|last| last % 2 == 1)
    }

    /// What it holds while it is executed, and nobody else, if it writes down when that is.
    pub(crate) fn claim(&self) -> Option<&'static Claim> {
        let tells = matches!(self.does, Does::Append { .. } | Does::Each { posts: false, .. });
        CLAIMS.get(self.ms % (CLAIMS.len() + 1)).filter(|_| tells)
    }

    /// How many attempts there may be, as its author says.
    pub(crate) const fn max_attempts(&self) -> usize {
        match self.does {
            Does::Post(Mood::Refuses) | Does::Doomed { .. } => 3,
            Does::Post(_) | Does::Append { .. } | Does::Flaky | Does::Each { .. } => 60,
            Does::Late | Does::Nap(_) | Does::Ask { .. } | Does::Think | Does::Child(_) => 1,
        }
    }
}

impl Does {
    fn drawn(chance: &mut Chance, kind: usize) -> Self {
        let count = 1 + chance.below(2);
        match kind {
            0 | 3 => Self::Post(Mood::Prompt),
            1 => Self::Post(Mood::Late),
            4 => Self::Post(Mood::Drops(count)),
            5 => Self::Post(Mood::Errs(count)),
            6 => Self::Post(Mood::Hangs),
            7 if chance.coin() => Self::Post(Mood::Refuses),
            8 => Self::Append { fails: count },
            9 => Self::Flaky,
            10 if chance.coin() => Self::Doomed { once: chance.coin() },
            11 if chance.coin() => Self::Late,
            12 | 13 => Self::Nap(50 + chance.below(1_000)),
            14..=16 => Self::Ask { approved: chance.below(4) > 0 },
            17..=19 => {
                let items = chance.below(4);
                let fails = (items > 0 && chance.below(6) == 0).then(|| chance.below(items));
                Self::Each { posts: chance.coin(), items, fails }
            }
            20 => Self::Think,
            _ => Self::Append { fails: 0 },
        }
    }
}

/// The keys that say what a step does.
fn does(step: &Step) -> String {
    let name = &step.name;
    match &step.does {
        Does::Post(mood) => post(name, *mood, "-"),
        Does::Append { fails } => {
            append(step, "", &format!("[ \"$ORCHESTRATOR_ATTEMPT\" -gt {fails} ] || exit 1"), STURDY)
        }
        Does::Flaky => {
            let script = format!("sleep 0.{:03}; [ \"$ORCHESTRATOR_ATTEMPT\" -gt 2 ]", step.ms / 4);
            format!("    effect: pure\n    run: '{script}'\n    {STURDY}\n")
        }
        Does::Doomed { once } => format!(
            "    effect: {}\n    run: sleep 0.03; exit 3\n    {HOPELESS}\n",
            if *once { "at_most_once" } else { "pure" }
        ),
        Does::Late => "    effect: pure\n    run: sleep 20\n    timeout: 150ms\n".to_owned(),
        Does::Nap(ms) => format!("    uses: sleep\n    with: {{ for: {ms}ms }}\n"),
        // Whoever answers is told how.
        Does::Ask { approved } => {
            format!(
                "    uses: approval\n    with: {{ message: say {} }}\n",
                if *approved { "yes" } else { "no" }
            )
        }
        Does::Each { posts, items, fails } => {
            let list: Vec<String> = (0..*items).map(|item| item.to_string()).collect();
            let each = format!("    for_each: [{}]\n    strategy: {{ max-parallel: 2 }}\n", list.join(", "));
            let fails = fails.map_or_else(|| "-1".to_owned(), |item| item.to_string());
            if *posts {
                let mood = format!("${{{{ 'reject 0' if item == {fails} else 'prompt 0' }}}}");
                return each + &post_as(name, &mood, "${{ index }}", UNLESS_TOLD);
            }
            let env = "    env: { ITEM: \"${{ index }}\" }\n";
            each + env + &append(step, &format!("[ \"$ITEM\" != {fails} ] || exit 1"), "", UNLESS_TOLD)
        }
        Does::Think => format!("    uses: llm\n    with: {{ prompt: What is {name}? }}\n"),
        Does::Child(child) => format!(
            "    uses: workflow\n    with:\n      workflow: ./{}.yaml\n      inputs: {{ sink: \"${{{{ inputs.sink }}}}\", ledger: \
             \"${{{{ inputs.ledger }}}}\" }}\n",
            child.name
        ),
    }
}

fn post(name: &str, mood: Mood, item: &str) -> String {
    let (word, retry) = match mood {
        Mood::Prompt => ("prompt 0".to_owned(), STURDY),
        Mood::Late => ("late 0".to_owned(), STURDY),
        Mood::Drops(times) => (format!("drop {times}"), STURDY),
        Mood::Errs(times) => (format!("err {times}"), STURDY),
        Mood::Hangs => ("hang 1".to_owned(), STURDY),
        Mood::Refuses => ("refuse 0".to_owned(), HOPELESS),
    };
    post_as(name, &word, item, retry)
}

fn post_as(name: &str, mood: &str, item: &str, retry: &str) -> String {
    format!(
        "    uses: http\n    with:\n      method: POST\n      url: ${{{{ inputs.sink }}}}\n      timeout: 800ms\n      json: {{ run: \
         \"${{{{ run.id }}}}\", step: {name}, item: \"{item}\", mood: \"{mood}\" }}\n    {retry}\n"
    )
}

/// A script that appends a line, and does what decides how it ends before or after that.
fn append(step: &Step, before: &str, after: &str, retry: &str) -> String {
    let name = &step.name;
    let line = format!(
        "append $EPOCHREALTIME $ORCHESTRATOR_RUN_ID {name} ${{ITEM:--}} $ORCHESTRATOR_ATTEMPT \
         $ORCHESTRATOR_IDEMPOTENCY_KEY $ORCHESTRATOR_FENCING_TOKEN -"
    );
    let held = |word: &str| {
        let told = format!("{word} $ORCHESTRATOR_RUN_ID {name} ${{ITEM:--}} $ORCHESTRATOR_ATTEMPT");
        format!("echo \"{told}\" >> \"$LEDGER.held\"")
    };
    let (begins, ends) = match step.claim() {
        Some(_) => (held("in"), held("out")),
        None => Default::default(),
    };
    let sleep = format!("sleep 0.{:03}", step.ms / 2);
    let line = format!("echo \"{line}\" >> \"$LEDGER\"");
    let script = [&begins, before, &sleep, &line, &sleep, &ends, after];
    let script: Vec<String> =
        script.iter().filter(|line| !line.is_empty()).map(|line| format!("      {line}\n")).collect();
    format!(
        "    run: |\n{}      echo receipt={name} >> \"$ORCHESTRATOR_OUTPUT\"\n    {retry}\n",
        script.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_workflow_each_time_and_all_kinds_are_drawn() {
        let drawn = |seed| Flow::drawn(&mut Chance::new(seed), "w");
        let flows: Vec<Flow> = (0..200).map(drawn).collect();
        assert!((0..200).map(drawn).eq(flows.iter().cloned()));
        let steps = || flows.iter().flat_map(Flow::all).flat_map(|flow| &flow.steps);
        let has = |is: fn(&Does) -> bool| assert!(steps().any(|step| is(&step.does)));
        has(|does| matches!(does, Does::Post(Mood::Hangs)));
        has(|does| matches!(does, Does::Post(Mood::Refuses)));
        has(|does| matches!(does, Does::Append { fails: 2 }));
        has(|does| matches!(does, Does::Doomed { once: true }));
        has(|does| matches!(does, Does::Late));
        has(|does| matches!(does, Does::Ask { approved: false }));
        has(|does| matches!(does, Does::Each { posts: true, fails: Some(_), .. }));
        has(|does| matches!(does, Does::Child(child) if child.all().len() == 2));
        let held: std::collections::BTreeSet<&str> =
            steps().filter_map(|step| step.claim()).map(|claim| claim.keys).collect();
        assert_eq!(held.len(), CLAIMS.len());
        let steps_of = |flow: &Flow| flow.all().iter().map(|flow| flow.steps.len()).sum::<usize>();
        assert!(flows.iter().all(|flow| (1..=MOST_STEPS).contains(&steps_of(flow))));
        assert!(flows.iter().any(|flow| steps_of(flow) == MOST_STEPS));
    }
}

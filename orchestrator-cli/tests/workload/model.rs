//! What must become of a workflow, whatever is killed meanwhile: knows nothing of engines.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::flow::{Does, Flow, Mood, Step, When};

/// How a step, an item or a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Skipped,
}

impl End {
    /// As it is shown.
    pub(crate) const fn shown(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    const fn of(fails: bool) -> Self {
        if fails { Self::Failed } else { Self::Completed }
    }
}

/// A step, or an item of one.
pub(crate) type Unit = (String, Option<usize>);

/// What must become of a run that nobody cancels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fate {
    pub(crate) run: End,
    pub(crate) units: BTreeMap<Unit, End>,
    pub(crate) outputs: Value,
}

impl Flow {
    /// What must become of a run, and of each step and item in it.
    pub(crate) fn fate(&self) -> Fate {
        let mut units = BTreeMap::new();
        let mut ends: Vec<End> = Vec::new();
        for step in &self.steps {
            let end = if self.runs(step, &ends) { does(step, &mut units) } else { End::Skipped };
            units.insert((step.name.clone(), None), end);
            ends.push(end);
        }
        let fails = self.steps.iter().zip(&ends).any(|(step, end)| *end == End::Failed && !step.tolerated);
        if self.handles {
            let end = if fails { End::Completed } else { End::Skipped };
            units.insert(("handler".to_owned(), None), end);
        }
        if self.tidies {
            units.insert(("tidy".to_owned(), None), End::Completed);
        }
        Fate { run: End::of(fails), units, outputs: if fails { Value::Null } else { self.outputs(&ends) } }
    }

    fn runs(&self, step: &Step, ends: &[End]) -> bool {
        let counts = |need: &usize| {
            ends[*need] == End::Completed || ends[*need] == End::Failed && self.steps[*need].tolerated
        };
        let well = step.needs.iter().all(counts);
        match step.when {
            When::AllIsWell => well,
            When::Always => true,
            When::Failure => self.is_tainted(step, ends),
            When::Never => false,
            When::Approved(asked) => well && self.steps[asked].does == Does::Ask { approved: true },
        }
    }

    /// Whether a step before this one has failed and was not tolerated, directly needed or not.
    fn is_tainted(&self, step: &Step, ends: &[End]) -> bool {
        step.needs.iter().any(|need| {
            ends[*need] == End::Failed && !self.steps[*need].tolerated
                || self.is_tainted(&self.steps[*need], ends)
        })
    }

    fn outputs(&self, ends: &[End]) -> Value {
        let appends =
            self.steps.iter().zip(ends).filter(|(step, _)| matches!(step.does, Does::Append { .. }));
        let outputs = appends.map(|(step, end)| {
            let receipt = if *end == End::Completed { Value::from(&*step.name) } else { Value::Null };
            (step.name.clone(), receipt)
        });
        Value::Object(outputs.collect::<Map<_, _>>())
    }
}

/// How a step ends that begins; notes how its items do.
fn does(step: &Step, units: &mut BTreeMap<Unit, End>) -> End {
    match &step.does {
        Does::Post(Mood::Refuses) | Does::Doomed { .. } | Does::Late => End::Failed,
        Does::Post(_) | Does::Append { .. } | Does::Flaky | Does::Nap(_) | Does::Ask { .. } | Does::Think => {
            End::Completed
        }
        Does::Each { items, fails, .. } => {
            for item in 0..*items {
                units.insert((step.name.clone(), Some(item)), End::of(*fails == Some(item)));
            }
            End::of(fails.is_some())
        }
        Does::Child(child) => child.fate().run,
    }
}

/// How many effects a step, or an item of it, has had if it ends so.
pub(crate) fn logical(step: &Step, item: Option<usize>, end: End) -> usize {
    let has = match &step.does {
        Does::Post(_) => end != End::Skipped,
        Does::Append { .. } => end == End::Completed,
        Does::Each { posts, .. } => item.is_some() && (*posts || end == End::Completed),
        _ => false,
    };
    usize::from(has)
}

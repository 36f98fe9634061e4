//! The place of a run under the key of its workflow: what it is, and how a driver takes it before anything of the run begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::batch::Batch;
use crate::engine::colleagues::Site;
use crate::engine::driver::Driver;
use crate::engine::loaded::Loaded;
use crate::engine::member::Draft;
use crate::engine::places::{gives_way, key_of_places, refusal};
use crate::engine::prepare::{Misrender, render_env};
use crate::id::RunId;
use crate::machine::{Command, Hold, StepError};
use crate::spec::OnFull;
use crate::spec::expr::Scope;

/// What bounds how many runs like a new one are under way.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The place that it needs.
    pub(crate) place: Option<Arc<Hold>>,
    /// The keys under which those above it hold places for as long as it is under way: to wait for another would have no end.
    pub(crate) within: Vec<Arc<str>>,
}

impl Entry {
    /// That of a run with these inputs, below what holds places under the keys in `within`. The key is rendered here, once.
    pub(crate) fn of(
        loaded: &Loaded,
        run: RunId,
        inputs: Value,
        within: Vec<Arc<str>>,
    ) -> Result<Self, StepError> {
        let Some(limited) = &loaded.workflow.concurrency else {
            return Ok(Self { place: None, within });
        };
        let mut scope = Scope { inputs: Arc::new(inputs), ..Scope::default() };
        scope.run = BTreeMap::from([
            ("id".into(), run.to_string().into()),
            ("workflow".into(), (*loaded.workflow.name).into()),
        ]);
        scope.env = render_env("the workflow's env", &loaded.workflow.env, &scope, &mut Vec::new())?;
        let key = limited.key.render_text(&scope);
        let key = key_of_places(key.map_err(|error| Misrender::of("concurrency.key", &error))?)?;
        Ok(Self { place: Some(Arc::new(Hold::place(&key, limited.limit))), within })
    }
}

impl Batch {
    /// Takes the run's place, if it needs one and something of the run could begin; or does what is to be done where others have
    /// all of them.
    pub(crate) fn enter(&mut self, driver: &mut Driver, draft: &mut Draft) {
        let Some(hold) = driver.state.wanted_place().cloned() else { return };
        if !self.could_begin(driver) {
            return;
        }
        let (owner, spot) = (driver.owner(), hold.spot());
        if self.is_free(driver, &spot) {
            self.say(driver, draft, &Command::Enter { owner });
            *self.taken.entry(spot).or_default() += 1;
            return;
        }
        let limited = driver.loaded.workflow.concurrency.as_ref();
        let is_new = driver.state.waited_place().is_none();
        let on_full = limited.map(|limited| limited.on_full).filter(|_| is_new).unwrap_or_default();
        let command = match on_full {
            OnFull::Refuse => Command::TurnAway { owner, error: refusal(&hold) },
            OnFull::CancelNewest => gives_way(&hold),
            // Once it waits, those that came before it are cancelled.
            OnFull::Wait | OnFull::CancelOldest => Command::StandInLine { owner },
        };
        self.say(driver, draft, &command);
    }

    /// Whether something of the run could begin if the run had its place: a place is for those that do something with it.
    fn could_begin(&mut self, driver: &mut Driver) -> bool {
        let mut last = None;
        while let Some(unit) = driver.state.actionable_behind(last) {
            last = Some(unit);
            if driver.unserved.contains(&unit.step) {
                continue;
            }
            if driver.state.spec(unit).options().child.is_some() {
                let queue = driver.placement(unit).queue.clone();
                if driver.is_held(unit, &queue) {
                    driver.leave_for_later(unit);
                    continue;
                }
                return true;
            }
            match driver.site(unit) {
                Site::Elsewhere(_) => return true,
                Site::Nowhere => driver.leave_for_later(unit),
                Site::Here => match driver.permit() {
                    Some(permit) => {
                        driver.permits.push(permit);
                        return true;
                    }
                    None if driver.surplus(unit).is_some() => return true,
                    None => driver.wants_slot = true,
                },
            }
        }
        false
    }
}

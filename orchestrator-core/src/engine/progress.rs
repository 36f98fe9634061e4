//! How far a run is, as its driver tells whoever watches.

use crate::engine::driver::Driver;
use crate::engine::handle::Progress;
use crate::engine::note::Note;
use crate::id::{RunId, Unit};
use crate::machine::RunState;

impl Driver {
    /// Whether only a person can move the child of a step has changed.
    pub(crate) fn on_blocked(&mut self, step: Unit, child: RunId, is_blocked: bool) {
        let awaited = self.state.find(step).and_then(|slot| slot.state.child());
        let changed = match is_blocked && awaited == Some(child) {
            true => self.blocked.insert(step),
            false => self.blocked.remove(&step),
        };
        if changed {
            self.publish(true);
        }
    }

    /// Says how far the run is, to whoever watches and to the run whose step it carries out.
    pub(crate) fn publish(&mut self, driven: bool) {
        let mut progress = progress_of(&self.state, driven);
        let children = self.state.children();
        if children > 0 && self.state.is_blocked_beside_children() {
            let Self { state, blocked, .. } = self;
            blocked.retain(|step| state.find(*step).is_some_and(|slot| slot.state.child().is_some()));
            if blocked.len() == children && progress.status == "running" {
                progress.status = "blocked";
            }
        }
        if progress.status == "blocked" && self.inquiries.are_open() {
            // A plugin may spare a person.
            progress.status = "running";
        }
        // Also one of which nothing has begun yet.
        if matches!(progress.status, "pending" | "running") && self.waits_for_a_worker() {
            progress.status = "blocked";
        }
        self.watch_the_inbox();
        self.watch_for_places();
        self.make_room();
        let was_blocked = self.progress.borrow().status == "blocked";
        let is_blocked = progress.status == "blocked";
        self.progress.send_replace(progress);
        if let Some(parent) = self.origin.parent.filter(|_| was_blocked != is_blocked) {
            self.shared.tell(parent.run, Note::Blocked(parent.unit, self.run, is_blocked));
        }
    }
}

pub(crate) fn progress_of(state: &RunState, driven: bool) -> Progress {
    Progress {
        status: state.status(),
        seq: state.head().seq,
        done: state.done(),
        steps: state.workflow().counted_steps(),
        ended: state.head().ended.is_some(),
        driven,
    }
}

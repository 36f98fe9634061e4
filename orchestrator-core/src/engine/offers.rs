//! What a driver does with what is offered: so far, take it back.

use crate::engine::batch::{Batch, EVENT_LIMIT};
use crate::engine::driver::Driver;
use crate::engine::member::Draft;
use crate::machine::{Command, Effect, outstanding, withdraws};

impl Batch {
    /// Takes back what is to be taken back. A store that gives claims refuses the member where it has given one; none does
    /// yet, so nobody can have claimed anything.
    pub(crate) fn withdraw(&mut self, driver: &mut Driver, draft: &mut Draft) {
        if !withdraws(&driver.state) {
            return;
        }
        for effect in outstanding(&driver.state) {
            if draft.events.len() >= EVENT_LIMIT {
                return;
            }
            if let Effect::Withdraw { step, epoch } = effect {
                self.say(driver, draft, &Command::Withdraw { step, epoch });
            }
        }
    }
}

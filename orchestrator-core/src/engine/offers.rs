//! What a driver does with what is offered: so far, take it back.

use crate::engine::batch::Batch;
use crate::engine::driver::Driver;
use crate::engine::member::Draft;
use crate::machine::{Command, Effect, StepKind, outstanding};

impl Batch {
    /// Takes back what is to be taken back. A store that gives claims refuses the member where it has given one; none does
    /// yet, so nobody can have claimed anything.
    pub(crate) fn withdraw(&mut self, driver: &mut Driver, draft: &mut Draft) {
        if driver.state.count(StepKind::Offered) == 0 {
            return;
        }
        for effect in outstanding(&driver.state) {
            if let Effect::Withdraw { step, epoch } = effect {
                self.say(driver, draft, &Command::Withdraw { step, epoch });
            }
        }
    }
}

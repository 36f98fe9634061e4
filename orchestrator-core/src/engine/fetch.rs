//! What a driver cannot tell by itself, and has looked up on a task beside it: values, and the policy's word.

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::driver::Driver;
use crate::engine::note::Note;
use crate::engine::prepare::Adjourned;
use crate::engine::values::load_value;
use crate::id::Unit;
use crate::value::ValueRef;

impl Driver {
    /// Loads values, and says so to itself.
    pub(crate) fn load(
        &self,
        step: Option<Unit>,
        references: Vec<ValueRef>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        let (shared, run, driver) = (self.shared.clone(), self.run, self.own_mailbox.clone());
        self.shared.tasks.spawn(async move {
            let mut loaded = Ok(Vec::with_capacity(references.len()));
            for reference in references {
                match (load_value(&shared, run, &reference).await, &mut loaded) {
                    (Ok(value), Ok(values)) => values.push((reference, value)),
                    (Err(error), _) => {
                        loaded = Err(error);
                        break;
                    }
                    (Ok(_), Err(_)) => break,
                }
            }
            let _ = driver.send(Note::Loaded(step, loaded, permit));
        });
    }

    pub(crate) fn judge(&self, case: Adjourned, permit: Option<OwnedSemaphorePermit>) {
        let (shared, driver, step) = (self.shared.clone(), self.own_mailbox.clone(), case.case.step);
        let generation = self.state.head().generation;
        self.shared.tasks.spawn(async move {
            let done = case.judge(&shared).await;
            let _ = driver.send(Note::Ruled(step, generation, Box::new(done), permit));
        });
    }
}

//! What a driver cannot tell by itself, and has looked up on a task beside it: values, and the policy's word.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::sync::OwnedSemaphorePermit;

use crate::engine::driver::Driver;
use crate::engine::note::Note;
use crate::engine::prepare::{Adjourned, Done};
use crate::engine::shared::Shared;
use crate::engine::tasks::guarded;
use crate::engine::values::load_value;
use crate::id::Unit;
use crate::port::policy::{PolicyError, Ruling};
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

impl Adjourned {
    /// Asks a policy that needs time.
    async fn judge(self, shared: &Shared) -> Done {
        let Self { case, project, by, loaded } = self;
        let digest = case.digest();
        let ruling = {
            let mut ruling =
                pin!(shared.policy.evaluate(case.question(&loaded.workflow, &project, &by, digest)));
            poll_fn(|cx| poll_policy(ruling.as_mut(), cx)).await
        };
        let now = shared.clock.now();
        case.close(shared, ruling, digest, now)
    }
}

/// Polls a policy. One that panics has not decided.
pub(crate) fn poll_policy(
    ruling: Pin<&mut impl Future<Output = Result<Ruling, PolicyError>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<Ruling, PolicyError>> {
    guarded(|| ruling.poll(cx))
        .unwrap_or_else(|said| Poll::Ready(Err(PolicyError(format!("it panicked: {said}")))))
}

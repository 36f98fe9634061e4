//! Those who claim tasks from outside: they work for a while, go away for ever, or come back when others have gone on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orchestrator_core::engine::{ClaimTask, ClaimedTask, TaskEnd, TaskError, TaskRight};
use orchestrator_core::id::{RunId, Unit};
use serde_json::json;

use crate::dice::{CLAIMED, Die, OVERTAKEN};
use crate::people::People;
use crate::truth::short;

/// How long a claim lasts in these worlds without renewal.
pub(crate) const TTL: &str = "3s";

/// Nobody waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The attempts that somebody was told to have ended.
pub(crate) type Ended = Mutex<BTreeMap<(RunId, Unit), u32>>;

impl People {
    /// Claims tasks and does them, for ever.
    pub(crate) async fn claim(self: Arc<Self>) {
        let world = self.site.world.clone();
        loop {
            world.pass(world.chance(|chance| chance.between(200, 900))).await;
            let running = self.someone().await;
            let wish = ClaimTask { by: "claimer".into(), ..ClaimTask::default() };
            let claimed = tokio::time::timeout(PATIENCE, running.engine.claim_task(&wish)).await;
            // Where the answer is lost, the claim is over in time.
            if let Ok(Ok(Some(claimed))) = claimed {
                world.saw(CLAIMED);
                self.work(claimed).await;
            }
        }
    }

    async fn work(&self, claimed: ClaimedTask) {
        let world = &self.site.world;
        if world.roll(Die::Gone, 200) {
            return;
        }
        let late = world.roll(Die::Overtaken, 200);
        let takes = |low, high| world.chance(|chance| chance.between(low, high));
        world.pass(if late { takes(3_500, 9_000) } else { takes(50, 2_000) }).await;
        let right = TaskRight { run: claimed.task.ticket.run, token: claimed.token };
        // Whoever gets no answer says it again, to whomever answers.
        for _ in 0..20 {
            let running = self.someone().await;
            let ending = running.engine.end_task(right, TaskEnd::Done(json!({})));
            match tokio::time::timeout(PATIENCE, ending).await {
                Ok(Ok(())) => return self.told_of_the_end(&claimed),
                Ok(Err(TaskError::Over { .. } | TaskError::NotFound(_))) => return world.saw(OVERTAKEN),
                _ => world.pass(300).await,
            }
        }
    }

    /// Of each task one attempt ends, as far as anybody is told.
    fn told_of_the_end(&self, claimed: &ClaimedTask) {
        let ticket = claimed.task.ticket;
        let before = self.ended.lock().unwrap().insert((ticket.run, ticket.unit()), ticket.attempt);
        if let Some(before) = before.filter(|before| *before != ticket.attempt) {
            let (run, unit) = (short(ticket.run), ticket.unit());
            let why = format!("{run}: attempts {before} and {} of {unit:?} have both ended", ticket.attempt);
            self.site.world.broken(why);
        }
    }
}

//! Watching the store: what others have committed to runs driven here, and runs that nobody drives.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::engine::error::DriveError;
use crate::engine::note::Note;
use crate::engine::shared::Shared;
use crate::id::RunId;

/// How often to ask whether another process has committed something.
const LOOK: Duration = Duration::from_millis(20);

/// How many due runs are taken up per look.
const CLAIM: usize = 64;

/// Tells drivers when the log of their run has grown by another's hand.
pub(crate) async fn watch_changes(shared: Weak<Shared>) {
    let mut seen = None;
    loop {
        let Some(clock) = shared.upgrade().map(|shared| shared.clock.clone()) else { return };
        clock.sleep_until(clock.now() + LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.actors().is_empty() {
            continue;
        }
        shared.look_for_the_lost();
        match shared.store.change_mark().await {
            Ok(mark) if seen != Some(mark) => {
                if tell_the_changed(&shared).await {
                    seen = Some(mark);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "cannot look for changes"),
        }
    }
}

/// Whether everybody concerned was told.
async fn tell_the_changed(shared: &Arc<Shared>) -> bool {
    let runs: Vec<RunId> = shared.actors().keys().copied().collect();
    let Ok(heads) = shared.store.heads(&runs).await else { return false };
    for (run, seq) in heads {
        if let Some(actor) = shared.actor(run)
            && actor.progress.borrow().seq < seq
        {
            let _ = actor.mailbox.send(Note::Changed);
        }
    }
    shared.look_elsewhere().await.is_ok()
}

/// Takes up due runs that nobody alive drives.
pub(crate) async fn claim_due_runs(shared: Weak<Shared>, every: Duration) {
    // Runs that need what this engine does not have: asking again would find the same.
    let mut strangers: HashSet<RunId> = HashSet::new();
    loop {
        let Some(held) = shared.upgrade() else { return };
        if held.is_stopping() {
            return;
        }
        claim(&held, &mut strangers).await;
        let (clock, stopping) = (held.clock.clone(), held.stopping.subscribe());
        let next = clock.now() + every;
        let bell = held.bell.notified();
        let mut stopping = stopping;
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = bell => {}
            () = clock.sleep_until(next) => {}
        }
    }
}

async fn claim(shared: &Arc<Shared>, strangers: &mut HashSet<RunId>) {
    if let Err(error) = shared.store.sweep().await {
        tracing::debug!(%error, "cannot look for dead owners");
    }
    let due = match shared.store.claim_due(CLAIM + strangers.len()).await {
        Ok(due) => due,
        Err(error) => {
            tracing::warn!(%error, "cannot look for due runs");
            return;
        }
    };
    for run in due {
        if strangers.contains(&run) {
            continue;
        }
        match shared.drive(run).await {
            Ok(_) => tracing::debug!(%run, "took up a due run"),
            Err(DriveError::Driven { .. } | DriveError::Stopping) => {}
            Err(error @ DriveError::UnknownPlugin { .. }) => {
                tracing::warn!(%run, %error, "leaving a due run to an engine that can execute it");
                strangers.insert(run);
            }
            Err(error) => tracing::warn!(%run, %error, "cannot take up a due run"),
        }
    }
}

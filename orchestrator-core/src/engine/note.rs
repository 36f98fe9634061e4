//! What a driver is told, and what it has to decide on.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::engine::attempt::Ended;
use crate::engine::attend::Returned;
use crate::engine::error::CommandError;
use crate::engine::handle::Receipt;
use crate::engine::prepare::Done;
use crate::id::{OwnerId, RunId, Unit};
use crate::machine::{Command, RunCreated, Spot};
use crate::port::store::{Commit, InboxRow, NewRun, StoreError};
use crate::time::Timestamp;
use crate::value::ValueRef;

/// What others tell a driver.
#[derive(Debug)]
pub(crate) enum Note {
    /// A user's command.
    Command(Command, oneshot::Sender<Result<Receipt, CommandError>>),
    /// An attempt has ended.
    Ended(Box<Ended>),
    /// A policy that needed time has ruled, in this generation.
    Ruled(Unit, u32, Box<Done>, Option<OwnedSemaphorePermit>),
    /// Values have been loaded; or could not be.
    Loaded(Option<Unit>, Result<Vec<(ValueRef, Arc<Value>)>, StoreError>, Option<OwnedSemaphorePermit>),
    /// The driver of the child of a step has left it; and whether it has ended.
    Left(Unit, RunId, bool),
    /// The child of a step has ended.
    Returned(Box<Returned>),
    /// Whether only a person can move the child of a step.
    Blocked(Unit, RunId, bool),
    /// What a plugin has found out about an attempt has been written, or it could not tell.
    Inquired(Unit, u32),
    /// The run's log has grown by another's hand.
    Changed,
    /// Something may have been delivered for what others execute.
    Delivered,
    /// The run was given a place under this key.
    Given(Spot),
    /// What others serve has changed, or there is room for more offers.
    Served,
    /// Begin nothing new; at this time stop what still runs; then release the run.
    Stop(Timestamp),
}

/// What a driver has to decide on. Kept until it is committed, because a lost race means deciding again.
#[derive(Debug)]
pub(crate) enum Input {
    /// The run is new, and this is its first event.
    Create(Box<NewRun>, Box<RunCreated>, Option<oneshot::Sender<Commit>>),
    /// Take the run from nobody, or from the dead.
    Take { dead: Option<OwnerId>, reply: Option<oneshot::Sender<Commit>> },
    /// The attempts of a dead owner are lost.
    Lost(OwnerId),
    /// A user's command.
    Command(Command, Option<oneshot::Sender<Result<Receipt, CommandError>>>),
    /// An attempt has ended.
    Ended(Ended),
    /// What others execute has ended: a row of the inbox, to be taken in.
    Delivered(Box<InboxRow>),
    /// A policy has ruled, in this generation.
    Ruled(Unit, u32, Box<Done>),
    /// The child of a step has ended.
    Returned(Box<Returned>),
    /// A timer is due.
    Wake,
    /// Let the run go.
    Release,
}

impl Input {
    pub(crate) fn ended_step(&self) -> Option<Unit> {
        match self {
            Self::Ended(ended) => Some(ended.step),
            _ => None,
        }
    }

    /// Tells whoever waits that this driver does nothing more. Whoever has sent a command sees the dropped reply, and
    /// tries again without a driver.
    pub(crate) fn refuse(self) {
        match self {
            Self::Create(_, _, Some(reply)) => {
                drop(reply.send(Commit::Unavailable("the driver has stopped".into())));
            }
            // Others have changed the run in between, without taking it perhaps: whoever wants it looks again.
            Self::Take { reply: Some(reply), .. } => drop(reply.send(Commit::Conflict)),
            _ => {}
        }
    }
}

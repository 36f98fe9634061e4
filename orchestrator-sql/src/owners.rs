//! Owners: who is alive.
//!
//! None of these writes is synced by itself. Whoever relies on one relies on a commit that came after it, and that
//! brought it to the disk; a process whose last words a power cut has taken is dead by the same cut.

use std::time::Duration;

use orchestrator_core::failpoint;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{NewOwner, OwnerRow, Renewal, StoreError};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::dialect::Dialect;
use crate::entity::owners;
use crate::rows;
use crate::script::{Arg, IntoArg, Script};
use crate::store::Shared;

const REGISTER: &str = "INSERT INTO orchestrator_owners (id, label, deadline, dead) VALUES (?, ?, ?, 0)";
const RENEW: &str = "UPDATE orchestrator_owners SET deadline = ? WHERE id = ? AND dead = 0 AND deadline > ?";
/// However the clock is set later: whoever was told that it is dead stays past its time.
const EXPIRE: &str =
    "UPDATE orchestrator_owners SET deadline = 0 WHERE id = ? AND dead = 0 AND deadline <= ?";
const RETIRE: &str = "UPDATE orchestrator_owners SET dead = 1 WHERE id = ? AND dead = 0";
const BURY: &str = "UPDATE orchestrator_owners SET dead = 1 WHERE id = ? AND dead = 0 AND deadline <= ?";

fn script<const N: usize>(text: &'static str, args: [Arg; N]) -> Script {
    Script { text: text.into(), args: args.into() }
}

fn id(owner: OwnerId) -> Arg {
    Arg::Id(owner.as_uuid())
}

impl<D: Dialect> Shared<D> {
    pub(crate) async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        let NewOwner { id: owner, ttl, label } = owner;
        // What proves that it lives is there before anyone can look for it.
        self.dialect.hold(owner).await?;
        let deadline = self.dialect.now().await? + ttl;
        let written = self.pen.run_relaxed(script(REGISTER, [id(owner), label.arg(), deadline.arg()])).await;
        match written {
            Ok(_) => Ok(()),
            // The key is taken: whoever holds it keeps what proves that it lives.
            Err(StoreError::Invalid(_)) => Err(StoreError::Invalid(format!("{owner} is registered already"))),
            Err(error) => {
                self.dialect.let_go(owner).await;
                Err(error)
            }
        }
    }

    pub(crate) async fn renew(&self, owner: OwnerId, ttl: Duration) -> Result<Renewal, StoreError> {
        let now = self.dialect.now().await?;
        let until = now + ttl;
        let renewed = self.pen.run_relaxed(script(RENEW, [until.arg(), id(owner), now.arg()])).await?;
        if renewed > 0 {
            return Ok(Renewal::Alive(until));
        }
        self.pen.run_relaxed(script(EXPIRE, [id(owner), now.arg()])).await?;
        Ok(Renewal::Dead)
    }

    pub(crate) async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.pen.run_relaxed(script(RETIRE, [id(owner)])).await?;
        failpoint!("owner.retire.after");
        self.dialect.let_go(owner).await;
        Ok(())
    }

    pub(crate) async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        let alive = owners::Entity::find().filter(owners::Column::Dead.eq(0)).all(self.db()).await;
        let alive: Vec<OwnerRow> = self.read(alive)?.into_iter().map(rows::owner).collect();
        let now = self.dialect.now().await?;
        let proven = self.dialect.proven_dead(alive.iter().map(|row| row.id).collect()).await;
        let mut newly = Vec::new();
        for row in alive {
            let bury = if proven.contains(&row.id) {
                script(RETIRE, [id(row.id)])
            } else if row.deadline <= now {
                script(BURY, [id(row.id), now.arg()])
            } else {
                continue;
            };
            // Of several who sweep at the same time, one marks it; one renews, and it is not marked.
            if self.pen.run_relaxed(bury).await? > 0 {
                failpoint!("owner.sweep.after");
                self.dialect.let_go(row.id).await;
                newly.push(row.id);
            }
        }
        Ok(newly)
    }

    pub(crate) async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        let found = owners::Entity::find_by_id(owner.as_uuid()).one(self.db()).await;
        Ok(self.read(found)?.map(rows::owner))
    }
}

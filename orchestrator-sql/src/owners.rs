//! Owners: who is alive.
//!
//! None of these writes is synced by itself. Whoever relies on one relies on a commit that came after it, and that
//! brought it to the disk; a process whose last words a power cut has taken is dead by the same cut.

use std::time::Duration;

use orchestrator_core::failpoint;
use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{NewOwner, OwnerRow, Renewal, StoreError};
use orchestrator_core::time::Timestamp;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use crate::dialect::Dialect;
use crate::encoding::labels_json;
use crate::entity::owners;
use crate::rows;
use crate::script::Kind::{Id, Int, Text};
use crate::script::{Arg, Batch, IntoArg, Kind, Rows, Script, Section, Verb};
use crate::store::Shared;

const REGISTER: usize = 0;
const RENEW: usize = 1;
/// However the clock is set later: whoever was told that it is dead stays past its time.
const EXPIRE: usize = 2;
const RETIRE: usize = 3;
const BURY: usize = 4;

static SECTIONS: [Section; 5] = [
    Section::new(
        Verb::Insert,
        "orchestrator_owners (id, label, deadline, dead, queues, labels) SELECT v.column1, v.column2, {clock} + v.column3, 0, v.column4, v.column5 FROM ",
        &[Id, Text, Int, Text, Text],
        " AS v",
    ),
    update(
        "orchestrator_owners SET deadline = {clock} + v.column2 FROM ",
        &[Id, Int],
        " AS v WHERE id = v.column1 AND dead = 0 AND deadline > {clock} RETURNING deadline",
    ),
    update(
        "orchestrator_owners SET deadline = 0 FROM ",
        &[Id],
        " AS v WHERE id = v.column1 AND dead = 0 AND deadline <= {clock}",
    ),
    update("orchestrator_owners SET dead = 1 FROM ", &[Id], " AS v WHERE id = v.column1 AND dead = 0"),
    update(
        "orchestrator_owners SET dead = 1 FROM ",
        &[Id, Int],
        " AS v WHERE id = v.column1 AND dead = 0 AND deadline <= v.column2",
    ),
];

const fn update(head: &'static str, columns: &'static [Kind], tail: &'static str) -> Section {
    Section::new(Verb::Update, head, columns, tail)
}

/// Where the database's clock stands in a section.
const CLOCK: &str = "{clock}";

fn script<D: Dialect, const N: usize>(section: usize, args: [Arg; N]) -> Script {
    let script = Batch::of_one(&SECTIONS, section, Rows::one(args)).alone(D::WORDS);
    Script { text: script.text.replace(CLOCK, D::CLOCK).into(), ..script }
}

/// A span that the clock can be moved on by.
fn millis(span: Duration) -> Arg {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 2).arg()
}

fn id(owner: OwnerId) -> Arg {
    Arg::Id(owner.as_uuid())
}

impl<D: Dialect> Shared<D> {
    pub(crate) async fn register(&self, owner: NewOwner) -> Result<(), StoreError> {
        let NewOwner { id: owner, ttl, label, serves, outside } = owner;
        // What proves that it lives is there before anyone can look for it.
        if !outside {
            self.dialect.hold(owner).await?;
        }
        let queues = (!serves.queues.is_empty()).then(|| serves.queues.join(" "));
        let labels = (!serves.labels.is_empty()).then(|| labels_json(&serves.labels));
        let row = [id(owner), label.arg(), millis(ttl), queues.arg(), labels.arg()];
        match self.pen.run_relaxed(script::<D, _>(REGISTER, row)).await {
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
        let renewed = self.keeper().number(script::<D, _>(RENEW, [id(owner), millis(ttl)])).await?;
        if let Some(until) = renewed {
            return Ok(Renewal::Alive(Timestamp::from_millis(until)));
        }
        self.keeper().run_relaxed(script::<D, _>(EXPIRE, [id(owner)])).await?;
        Ok(Renewal::Dead)
    }

    pub(crate) async fn retire(&self, owner: OwnerId) -> Result<(), StoreError> {
        self.pen.run_relaxed(script::<D, _>(RETIRE, [id(owner)])).await?;
        failpoint!("owner.retire.after");
        self.lose().await?;
        self.forsake().await?;
        self.dialect.committed();
        self.dialect.let_go(owner).await;
        Ok(())
    }

    pub(crate) async fn sweep(&self) -> Result<Vec<OwnerId>, StoreError> {
        let alive = self.owners().await?;
        let now = self.dialect.now().await?;
        let proven = self.dialect.proven_dead(alive.iter().map(|row| row.id).collect()).await;
        let mut newly = Vec::new();
        for row in alive {
            let bury = if proven.contains(&row.id) {
                script::<D, _>(RETIRE, [id(row.id)])
            } else if row.deadline <= now {
                script::<D, _>(BURY, [id(row.id), now.arg()])
            } else {
                continue;
            };
            // Of several who sweep at the same time, one marks it; one renews, and it is not marked.
            let buried = self.pen.run_relaxed(bury).await.unwrap_or_else(|error| {
                tracing::debug!(%error, "cannot mark an owner as dead now");
                0
            });
            if buried > 0 {
                failpoint!("owner.sweep.after");
                self.dialect.committed();
                self.dialect.let_go(row.id).await;
                newly.push(row.id);
            }
        }
        // Also what others have left undone, who were ended between the two.
        self.lose().await?;
        self.forsake().await?;
        Ok(newly)
    }

    pub(crate) async fn owners(&self) -> Result<Vec<OwnerRow>, StoreError> {
        let alive =
            owners::Entity::find().filter(owners::Column::Dead.eq(0)).order_by_asc(owners::Column::Id);
        self.read(alive.all(self.db())).await?.into_iter().map(rows::owner).collect()
    }

    pub(crate) async fn owner(&self, owner: OwnerId) -> Result<Option<OwnerRow>, StoreError> {
        let found = owners::Entity::find_by_id(owner.as_uuid()).one(self.db());
        self.read(found).await?.map(rows::owner).transpose()
    }
}

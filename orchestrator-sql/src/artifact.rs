//! Large values: their bytes go to the artifact store of the dialect, and their rows hold a mark.
//!
//! The bytes are on the disk before the transaction begins that writes the mark, so that what is committed can be
//! read. Where the transaction does not come about they are named by no row, which harms nobody; pruning removes them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use orchestrator_core::id::RunId;
use orchestrator_core::port::artifact::ArtifactStore;
use orchestrator_core::port::store::{Member, StoreError};
use orchestrator_core::value::{Digest, StoredValue};
use sea_orm::sea_query::Expr;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::dialect::{Dialect, WriteError};
use crate::encoding::{corrupt, digest_of};
use crate::entity::{outputs, revisions};
use crate::store::Shared;

/// The longest value, in bytes of its encoding, that is kept in the database where there is an artifact store (256 KiB).
/// Up to there, a file of its own costs more than the pages do: two more syncs for each value. Beyond, a value would be
/// written twice, to the log and to the database, and would make every copy of the database longer.
pub const ARTIFACT_FROM: usize = 256 << 10;

/// What a row holds instead of a large value, before the length of the value: no JSON begins with an `a`.
const MARK: &str = "artifact:";

/// The condition on rows that hold a mark; that of their index.
pub(crate) const IS_MARKED: &str = "substr(body, 1, 9) = 'artifact:'";

/// Asks for the digests of all artifacts that a store names. Can be asked of a store of any version.
pub const NAMED_ARTIFACTS: &str =
    "SELECT DISTINCT digest FROM orchestrator_outputs WHERE substr(body, 1, 9) = 'artifact:'";

/// How long what no row names is kept, for a commit may be about to name it. No commit takes so long.
const IDLE: Duration = Duration::from_secs(60 * 60);

/// Whether a value is kept as an artifact, where there are any.
pub(crate) fn is_large(body: &str) -> bool {
    // What only looks like a mark must not be taken for one.
    body.len() > ARTIFACT_FROM || body.starts_with(MARK)
}

/// What a row holds of a value, where large ones are kept as artifacts.
pub(crate) fn held(value: &StoredValue) -> Arc<str> {
    if is_large(&value.body) { format!("{MARK}{}", value.body.len()).into() } else { value.body.clone() }
}

/// What is wrong with the bytes of an artifact, if anything is.
#[must_use]
pub fn artifact_fault(digest: Digest, bytes: Option<&[u8]>) -> Option<&'static str> {
    match bytes {
        None => Some("missing"),
        Some(bytes) if Digest::of(bytes) != digest => Some("damaged"),
        Some(_) => None,
    }
}

impl<D: Dialect> Shared<D> {
    /// Keeps what is large of these members, and says whether their rows are to hold marks.
    pub(crate) async fn spill<'m>(
        &self,
        members: impl IntoIterator<Item = &'m Member> + Send,
    ) -> Result<bool, StoreError> {
        let members = members.into_iter().flat_map(Member::with_children);
        let values: Vec<&StoredValue> = members.flat_map(|member| &member.values).collect();
        self.spill_values(values).await
    }

    /// As [`Shared::spill`], for these values.
    pub(crate) async fn spill_values<'v>(
        &self,
        values: impl IntoIterator<Item = &'v StoredValue> + Send,
    ) -> Result<bool, StoreError> {
        let Some(artifacts) = self.dialect.artifacts() else { return Ok(false) };
        let large: Vec<&StoredValue> = values.into_iter().filter(|value| is_large(&value.body)).collect();
        for value in large {
            artifacts.put(value.digest, value.body.clone()).await?;
        }
        Ok(true)
    }

    /// A value from what its row holds.
    pub(crate) async fn unfold(
        &self,
        run: RunId,
        digest: Digest,
        held: String,
    ) -> Result<Arc<str>, StoreError> {
        let Some(artifacts) = self.dialect.artifacts().filter(|_| held.starts_with(MARK)) else {
            return match artifact_fault(digest, Some(held.as_bytes())) {
                Some(fault) => {
                    Err(StoreError::Corrupt(format!("{run} needs the value {digest}, which is {fault}")))
                }
                None => Ok(held.into()),
            };
        };
        let bytes = artifacts.get(digest).await?;
        if let Some(fault) = artifact_fault(digest, bytes.as_deref()) {
            return Err(StoreError::Corrupt(told(&*artifacts, run, digest, fault)));
        }
        let text = String::from_utf8(bytes.unwrap_or_default());
        text.map(Arc::from).map_err(|_| corrupt("value", &digest.to_string()))
    }

    async fn named(&self) -> Result<Vec<(RunId, Digest)>, StoreError> {
        let found = outputs::Entity::find()
            .select_only()
            .columns([outputs::Column::Run, outputs::Column::Digest])
            .filter(Expr::cust(IS_MARKED))
            .into_tuple::<(Uuid, Vec<u8>)>()
            .all(self.db());
        let rows = self.read(found).await?.into_iter();
        rows.map(|(run, digest)| Ok((RunId::from_uuid(run), digest_of(&digest)?))).collect()
    }

    /// Removes the artifacts that no row names.
    pub(crate) async fn sweep_artifacts(&self) -> Result<(), StoreError> {
        let Some(artifacts) = self.dialect.artifacts() else { return Ok(()) };
        let named = self.named().await?.into_iter().map(|(_, digest)| digest).collect();
        let gone = artifacts.sweep(named, IDLE).await?;
        tracing::debug!(gone, "artifacts that no run names");
        Ok(())
    }

    /// The number of artifacts, and of their bytes.
    pub(crate) async fn artifacts(&self) -> Result<(u64, u64), StoreError> {
        let Some(artifacts) = self.dialect.artifacts() else { return Ok((0, 0)) };
        let all = artifacts.list().await?;
        Ok((all.len() as u64, all.iter().map(|artifact| artifact.len).sum()))
    }

    /// What is wrong with the artifacts that rows name.
    pub(crate) async fn artifact_faults(&self) -> Result<Vec<String>, StoreError> {
        let Some(artifacts) = self.dialect.artifacts() else { return Ok(Vec::new()) };
        let mut known = HashMap::new();
        let mut faults = Vec::new();
        for (run, digest) in self.named().await? {
            let fault = match known.get(&digest) {
                Some(fault) => *fault,
                None => {
                    let fault = artifact_fault(digest, artifacts.get(digest).await?.as_deref());
                    known.insert(digest, fault);
                    fault
                }
            };
            faults.extend(fault.map(|fault| told(&*artifacts, run, digest, fault)));
        }
        Ok(faults)
    }
}

/// How many values are held in memory at a time while all are looked at.
const AT_ONCE: u64 = 64;

impl<D: Dialect> Shared<D> {
    /// What is wrong with the values in the database, and with the texts of workflows: those that no longer fit their
    /// digest. An error that is one of a value is a fault like any other.
    pub(crate) async fn value_faults(&self) -> Result<Vec<String>, StoreError> {
        let mut faults = Vec::new();
        let mut after: Option<(Uuid, Vec<u8>)> = None;
        loop {
            let mut query = outputs::Entity::find()
                .order_by_asc(outputs::Column::Run)
                .order_by_asc(outputs::Column::Digest);
            if let Some((run, digest)) = after.take() {
                let later = outputs::Column::Run.eq(run).and(outputs::Column::Digest.gt(digest));
                query = query.filter(outputs::Column::Run.gt(run).or(later));
            }
            let rows = self.read(query.limit(AT_ONCE).all(self.db())).await?;
            for row in &rows {
                let digest = digest_of(&row.digest)?;
                let is_artifact = self.dialect.artifacts().is_some() && row.body.starts_with(MARK);
                if !is_artifact && Digest::of(row.body.as_bytes()) != digest {
                    faults.push(format!(
                        "{} needs the value {digest}, which is damaged",
                        RunId::from_uuid(row.run)
                    ));
                }
            }
            let Some(last) = rows.into_iter().last() else { break };
            after = Some((last.run, last.digest));
        }
        let texts = revisions::Entity::find()
            .select_only()
            .column(revisions::Column::Digest)
            .into_tuple::<Vec<u8>>()
            .all(self.db());
        for digest in self.read(texts).await? {
            if let Err(StoreError::Corrupt(why)) = self.revision(digest_of(&digest)?).await {
                faults.push(why);
            }
        }
        Ok(faults)
    }
}

fn told(artifacts: &dyn ArtifactStore, run: RunId, digest: Digest, fault: &str) -> String {
    format!("{run} needs the artifact {digest}, which is {fault}: {}", artifacts.place(digest))
}

impl From<StoreError> for WriteError {
    /// What stands in the way before anything was written.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::Unavailable(why) => Self::Unavailable(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

//! Starting a run inside a host's own transaction.

use orchestrator_core::id::RunId;
use orchestrator_core::port::store::{Commit, Member, NewRun, StoreError};
use orchestrator_core::time::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, Statement, Value};

use crate::dialect::Dialect;
use crate::encoding::{digest_of, start_scope};
use crate::entity::{dedupe, runs};
use crate::member;
use crate::script::Script;
use crate::sections::{INSERT_RUNS, KEYS};
use crate::store::SqlStore;

impl<D: Dialect> SqlStore<D> {
    /// Creates a run inside a host's own transaction, which decides whether it will have been: its run, its events and
    /// all that belongs to them become visible with the host's commit, and are gone with its rollback.
    ///
    /// The member must have a run to create, and its summary a time at which the run is due, so that an engine finds
    /// it. The transaction must be of the database of this store, and one that may write from its beginning: on
    /// SQLite, begin it with [`sea_orm::SqliteTransactionMode::Immediate`].
    ///
    /// The answer is [`Commit::Applied`], [`Commit::Conflict`] (there is such a run), [`Commit::Duplicate`] or
    /// [`Commit::Invalid`]. Where it is not `Applied`, nothing was written and the transaction can go on.
    ///
    /// # Errors
    /// Where the database refuses: then the transaction should be rolled back.
    pub async fn create_in(
        &self,
        transaction: &DatabaseTransaction,
        member: &Member,
    ) -> Result<Commit, StoreError> {
        let Some(new) = member.create.as_deref() else {
            return Ok(Commit::Invalid("a member that creates no run".to_owned()));
        };
        if let Some(fault) = member.fault() {
            return Ok(Commit::Invalid(fault.to_owned()));
        }
        let marks = self.shared.spill([member]).await?;
        let batch = match member::batch([member], marks, Timestamp::default()) {
            Ok(batch) => batch,
            Err(error) => return Ok(Commit::Invalid(format!("an event cannot be encoded: {error}"))),
        };
        for (section, script) in batch.into_statements(D::WORDS, " ON CONFLICT DO NOTHING") {
            let written = self.execute(transaction, script).await?;
            if written == 0 && section == INSERT_RUNS {
                return Ok(Commit::Conflict);
            }
            if written == 0 && section == KEYS {
                return self.duplicate(transaction, member, new).await;
            }
        }
        Ok(Commit::Applied)
    }

    /// The key is taken: takes the run back, and says by which run.
    async fn duplicate(
        &self,
        transaction: &DatabaseTransaction,
        member: &Member,
        new: &NewRun,
    ) -> Result<Commit, StoreError> {
        let taken_back = runs::Entity::delete_by_id(member.run.as_uuid()).exec(transaction);
        self.shared.read(taken_back).await?;
        // It was the key that made the difference, so there is one.
        let Some(key) = &new.key else { return Ok(Commit::Busy) };
        let id = (start_scope(&new.project).to_string(), key.key.to_string());
        let found = dedupe::Entity::find_by_id(id).one(transaction);
        let Some(row) = self.shared.read(found).await? else { return Ok(Commit::Busy) };
        let same = digest_of(&row.digest)? == key.content;
        Ok(Commit::Duplicate { run: RunId::from_uuid(row.answer), same })
    }

    async fn execute(&self, transaction: &DatabaseTransaction, script: Script) -> Result<u64, StoreError> {
        let values = script.args.into_iter().map(Value::from);
        let backend = transaction.get_database_backend();
        let statement = Statement::from_sql_and_values(backend, script.text.as_ref(), values);
        let answer = transaction.execute_raw(statement);
        self.shared.read(answer).await.map(|answer| answer.rows_affected())
    }
}

//! The way from one store into another.
//!
//! Whatever cuts it short, no run can go on in both stores, and none is lost: the target is sealed before the first row is
//! written and opened after the source is sealed, each by a transaction of its own. In between both may be sealed, and
//! copying again opens the target.

use orchestrator_core::port::store::{Store as _, StoreError};

use super::held::Held;
use super::report::{Copied, CopyError, CopyProgress};
use super::row::Sum;
use crate::dialect::Dialect;
use crate::standing::Standing;
use crate::store::SqlStore;
use crate::tables::{self, TABLES};

/// Who hears how far copying is.
type Listener<'t> = &'t (dyn Fn(CopyProgress) + Send + Sync);

impl<A: Dialect> SqlStore<A> {
    /// Moves all that this store holds into another, which must be empty: runs with their ids, events, values, decisions,
    /// approvals and lines of output, those that are open among them; idempotency keys; registered workflows. Every table
    /// is compared before the copy counts. From then on this store is only looked at.
    ///
    /// Nobody else can write to either store meanwhile, and nobody may be alive who works with one: the owners that runs
    /// name are copied as the dead that they are. Where this is cut short, copying again begins anew.
    ///
    /// The target is opened with [`crate::Options::as_it_is`]; `told` hears of each page of rows.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn copy_to<B: Dialect>(
        &self,
        to: &SqlStore<B>,
        told: &(dyn Fn(CopyProgress) + Send + Sync),
    ) -> Result<Vec<Copied>, CopyError> {
        let of_source = |error| store_error(self, error);
        let of_target = |error| store_error(to, error);
        if self.url() == to.url() {
            return Err(CopyError::Itself { place: self.url() });
        }
        // Whoever has died is known to be dead from here on.
        self.sweep().await.map_err(of_source)?;
        let from = Held::take(self).await.map_err(of_source)?;
        let standing = from.standing().await.map_err(of_source)?;
        match &standing {
            Standing::Here => require_unused(self, &from, true).await?,
            Standing::Moved(target) if *target == to.url() => {}
            Standing::Moved(target) => {
                return Err(CopyError::Moved { place: self.url(), to: target.clone() });
            }
            Standing::Unfinished(source) => return Err(unfinished(self, source)),
        }
        let sums = if standing == Standing::Here {
            prepare(self, to).await?;
            let sums = carry(&from, self, to, told).await?;
            from.mark(&Standing::Moved(to.url())).await.map_err(of_source)?;
            from.commit().await.map_err(of_source)?;
            sums
        } else {
            again(&from, self, to, told).await?
        };
        let target = Held::take(to).await.map_err(of_target)?;
        target.mark(&Standing::Here).await.map_err(of_target)?;
        target.commit().await.map_err(of_target)?;
        let names = TABLES.iter().map(|table| tables::shown(table.name));
        let copied = names.zip(sums).map(|(table, sum)| Copied { table, rows: sum.rows, digest: sum.digest });
        Ok(copied.collect())
    }

    /// How others name this store.
    pub(crate) fn url(&self) -> String {
        let info = self.describe();
        if info.location.contains("://") { info.location } else { format!("{}:{}", info.kind, info.location) }
    }
}

fn store_error<D: Dialect>(store: &SqlStore<D>, error: StoreError) -> CopyError {
    CopyError::Store { place: store.url(), error }
}

fn unfinished<D: Dialect>(store: &SqlStore<D>, source: &str) -> CopyError {
    CopyError::Unfinished { place: store.url(), source_url: source.to_owned() }
}

/// Refuses a store that somebody works with.
async fn require_unused<D: Dialect>(
    store: &SqlStore<D>,
    held: &Held<'_, D>,
    is_source: bool,
) -> Result<(), CopyError> {
    match held.alive().await.map_err(|error| store_error(store, error))? {
        Some(owner) => Err(CopyError::InUse { place: store.url(), is_source, owner }),
        None => Ok(()),
    }
}

/// Makes the tables of the target, and seals it as the unfinished copy that it is.
async fn prepare<A: Dialect, B: Dialect>(from: &SqlStore<A>, to: &SqlStore<B>) -> Result<(), CopyError> {
    let failed = |error| store_error(to, error);
    to.make_tables().await.map_err(failed)?;
    let held = Held::take(to).await.map_err(failed)?;
    match held.standing().await.map_err(failed)? {
        Standing::Unfinished(source) if source == from.url() => {
            return held.release().await.map_err(failed);
        }
        Standing::Unfinished(source) => return Err(unfinished(to, &source)),
        Standing::Moved(target) => return Err(CopyError::Moved { place: to.url(), to: target }),
        Standing::Here => {}
    }
    require_unused(to, &held, false).await?;
    for table in &TABLES {
        let rows = held.count(table).await.map_err(failed)?;
        if rows > 0 {
            let table = tables::shown(table.name);
            return Err(CopyError::NotEmpty { place: to.url(), table, rows });
        }
    }
    held.mark(&Standing::Unfinished(from.url())).await.map_err(failed)?;
    held.commit().await.map_err(failed)
}

/// Fills the target with what the source holds, compares both, and leaves the target sealed.
async fn carry<A: Dialect, B: Dialect>(
    from: &Held<'_, A>,
    source: &SqlStore<A>,
    to: &SqlStore<B>,
    told: Listener<'_>,
) -> Result<Vec<Sum>, CopyError> {
    let of_source = |error| store_error(source, error);
    let of_target = |error| store_error(to, error);
    let target = Held::take(to).await.map_err(of_target)?;
    target.clear().await.map_err(of_target)?;
    let all = count(from).await.map_err(of_source)?;
    let mut done = 0;
    let mut sums = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let mut sum = Sum::new();
        let mut rows = from.page(table, None).await.map_err(of_source)?;
        while let Some(last) = rows.last() {
            let after = last.key.clone();
            rows.iter().for_each(|row| sum.add(&row.cells));
            done += rows.len() as u64;
            target.write(table, rows).await.map_err(of_target)?;
            told(CopyProgress { done, all, comparing: false });
            rows = from.page(table, Some(&after)).await.map_err(of_source)?;
        }
        sums.push(sum);
    }
    compare(&target, to, &sums, told).await?;
    target.mark(&Standing::Unfinished(source.url())).await.map_err(of_target)?;
    target.commit().await.map_err(of_target)?;
    Ok(sums)
}

/// The source has been sealed, and perhaps the target was not opened: both hold the same.
async fn again<A: Dialect, B: Dialect>(
    from: &Held<'_, A>,
    source: &SqlStore<A>,
    to: &SqlStore<B>,
    told: Listener<'_>,
) -> Result<Vec<Sum>, CopyError> {
    let of_source = |error| store_error(source, error);
    let of_target = |error| store_error(to, error);
    let target = Held::take(to).await.map_err(of_target)?;
    if target.standing().await.map_err(of_target)? != Standing::Unfinished(source.url()) {
        return Err(CopyError::Moved { place: source.url(), to: to.url() });
    }
    let mut sums = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        sums.push(from.sum(table, |_| ()).await.map_err(of_source)?);
    }
    compare(&target, to, &sums, told).await?;
    target.release().await.map_err(of_target)?;
    Ok(sums)
}

async fn count<D: Dialect>(held: &Held<'_, D>) -> Result<u64, StoreError> {
    let mut all = 0;
    for table in &TABLES {
        all += held.count(table).await?;
    }
    Ok(all)
}

/// Reads all that was written, and compares it with what was read.
async fn compare<D: Dialect>(
    target: &Held<'_, D>,
    to: &SqlStore<D>,
    sums: &[Sum],
    told: Listener<'_>,
) -> Result<(), CopyError> {
    let all = sums.iter().map(|sum| sum.rows).sum();
    let mut done = 0;
    for (table, expected) in TABLES.iter().zip(sums) {
        let found = target.sum(table, |rows| {
            done += rows;
            told(CopyProgress { done, all, comparing: true });
        });
        if found.await.map_err(|error| store_error(to, error))? != *expected {
            let table = tables::shown(table.name);
            return Err(CopyError::Differs { place: to.url(), table });
        }
    }
    Ok(())
}

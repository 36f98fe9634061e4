//! Where a store keeps values that are too large for its tables.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::port::store::StoreError;
use crate::value::Digest;

/// What is known of an artifact without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact {
    /// What it is called by: SHA-256 of its bytes, as they were put.
    pub digest: Digest,
    /// Its length in bytes.
    pub len: u64,
}

/// Bytes by digest, outside of the database. A store [`put`](ArtifactStore::put)s what is large before the commit that
/// names it, so that what is committed can always be read; what no commit came to name is harmless, and is
/// [`sweep`](ArtifactStore::sweep)ed one day.
///
/// Whoever reads compares the digest: an artifact store may be damaged, and need not notice.
#[async_trait]
pub trait ArtifactStore: fmt::Debug + Send + Sync + 'static {
    /// Keeps `body`, whose digest this is. It is on the disk when this returns. Where it is there already, it counts
    /// as put now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], naming the place: nothing may name the artifact then.
    async fn put(&self, digest: Digest, body: Arc<str>) -> Result<(), StoreError>;

    /// The bytes, as they are found; `None` where there are none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], naming the place.
    async fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError>;

    /// All that is kept, in no order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], naming the place.
    async fn list(&self) -> Result<Vec<Artifact>, StoreError>;

    /// Removes what is not in `named` and was not put during the last `idle`, and what was never finished; gives the
    /// number of artifacts that are gone. What is put meanwhile stays.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], naming the place; some may be gone.
    async fn sweep(&self, named: HashSet<Digest>, idle: Duration) -> Result<u64, StoreError>;

    /// Where an artifact is, for people.
    fn place(&self, digest: Digest) -> String;
}

//! The one connection that writes: used by one task at a time, given up when it cannot be trusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orchestrator_core::port::store::StoreError;
use tokio::sync::{Mutex, MutexGuard};

use crate::dialect::{Dialect, WriteError, Writer};
use crate::script::{Arg, Kind, Script, Texts};

/// What is said of a store that was closed.
const CLOSED: &str = "it is closed";

/// The one connection that writes, behind a lock that is fair.
#[derive(Debug)]
pub(crate) struct Pen<D: Dialect> {
    dialect: Arc<D>,
    hand: Mutex<Hand<D::Writer>>,
    closed: AtomicBool,
}

/// What is behind the lock.
#[derive(Debug)]
pub(crate) struct Hand<W> {
    /// `None` before the first use, while a statement runs, and after an error that the connection did not survive.
    /// Whoever is stopped in the middle of a statement thus takes the connection with him, and with it the
    /// transaction.
    writer: Option<W>,
    /// One that was given up, until another is open. A database may take what a connection could not commit for
    /// committed once nobody has it open any longer who knows better.
    given_up: Option<W>,
    pub(crate) texts: Texts,
}

/// How a script is run.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// It is on the disk when the call returns.
    Synced,
    /// It is on the disk at the latest with what is written next.
    Relaxed,
    /// As synced; and nobody else writes meanwhile.
    Undisturbed,
}

impl<D: Dialect> Pen<D> {
    pub(crate) fn new(dialect: Arc<D>) -> Self {
        let hand = Hand { writer: None, given_up: None, texts: Texts::default() };
        Self { dialect, hand: Mutex::new(hand), closed: AtomicBool::new(false) }
    }

    pub(crate) async fn take(&self) -> MutexGuard<'_, Hand<D::Writer>> {
        self.hand.lock().await
    }

    /// As [`Pen::take`], if nobody has it.
    pub(crate) fn try_take(&self) -> Option<MutexGuard<'_, Hand<D::Writer>>> {
        self.hand.try_lock().ok()
    }

    /// Runs a script; afterwards no transaction is open, however it went.
    pub(crate) async fn run(&self, hand: &mut Hand<D::Writer>, script: Script) -> Result<u64, WriteError> {
        self.write(hand, script, Way::Synced).await
    }

    async fn write(&self, hand: &mut Hand<D::Writer>, script: Script, way: Way) -> Result<u64, WriteError> {
        let mut writer = self.writer(hand).await?;
        let answer = match way {
            Way::Synced => writer.run(script).await,
            Way::Relaxed => writer.run_relaxed(script).await,
            Way::Undisturbed => writer.run_undisturbed(script).await,
        };
        self.put_back(hand, writer, way, answer).await
    }

    /// What has become of the connection that has answered so.
    async fn put_back<T>(
        &self,
        hand: &mut Hand<D::Writer>,
        mut writer: D::Writer,
        way: Way,
        answer: Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let may_be_written = matches!(answer, Ok(_) | Err(WriteError::Ambiguous(_)));
        if may_be_written && !matches!(way, Way::Relaxed) {
            self.dialect.committed();
        }
        let sound = match &answer {
            Ok(_) => true,
            Err(error) => {
                let clean = writer.rollback().await.is_ok();
                if clean && matches!(error, WriteError::Ambiguous(_)) {
                    hand.given_up = Some(writer);
                    tracing::warn!("gave up the connection that writes; the next write opens another");
                    return answer;
                }
                clean
            }
        };
        if sound {
            hand.writer = Some(writer);
            hand.given_up = None;
        } else {
            tracing::warn!("gave up the connection that writes; the next write opens another");
        }
        answer
    }

    /// The connection, opened if there is none.
    async fn writer(&self, hand: &mut Hand<D::Writer>) -> Result<D::Writer, WriteError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(WriteError::Unavailable(CLOSED.to_owned()));
        }
        match hand.writer.take() {
            Some(writer) => Ok(writer),
            None => self.dialect.connect_writer().await.map_err(|error| match error {
                StoreError::Busy => WriteError::Busy,
                other => WriteError::Unavailable(other.to_string()),
            }),
        }
    }

    /// As [`Pen::run`], for what must see all that others have written, and nothing of it changes meanwhile.
    pub(crate) async fn run_undisturbed(
        &self,
        hand: &mut Hand<D::Writer>,
        script: Script,
    ) -> Result<u64, WriteError> {
        self.write(hand, script, Way::Undisturbed).await
    }

    /// One statement that stands alone, and that is on the disk at the latest with the next commit.
    pub(crate) async fn run_relaxed(&self, script: Script) -> Result<u64, StoreError> {
        let mut hand = self.take().await;
        self.write(&mut hand, script, Way::Relaxed).await.map_err(StoreError::from)
    }

    /// As [`Pen::run_relaxed`], of a statement that gives a number for each row: that of the first.
    pub(crate) async fn number(&self, script: Script) -> Result<Option<i64>, StoreError> {
        let mut hand = self.take().await;
        let mut writer = self.writer(&mut hand).await?;
        let answer = writer.number(script).await;
        self.put_back(&mut hand, writer, Way::Relaxed, answer).await.map_err(StoreError::from)
    }

    /// As [`Pen::run_relaxed`], of a text that gives rows with columns of these kinds.
    pub(crate) async fn rows(
        &self,
        hand: &mut Hand<D::Writer>,
        script: Script,
        kinds: &'static [Kind],
    ) -> Result<Vec<Vec<Arg>>, StoreError> {
        let mut writer = self.writer(hand).await?;
        let answer = writer.rows(script, kinds).await;
        self.put_back(hand, writer, Way::Relaxed, answer).await.map_err(StoreError::from)
    }

    pub(crate) fn require_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Unavailable(CLOSED.to_owned()))
        } else {
            Ok(())
        }
    }

    /// Lets what runs run to its end, then closes.
    pub(crate) async fn close(&self) {
        let mut hand = self.take().await;
        self.closed.store(true, Ordering::Release);
        for writer in [hand.given_up.take(), hand.writer.take()].into_iter().flatten() {
            writer.close().await;
        }
    }
}

impl From<WriteError> for StoreError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Busy | WriteError::Refused => Self::Busy,
            WriteError::Ambiguous(why) | WriteError::Unavailable(why) => Self::Unavailable(why),
            WriteError::Invalid(why) => Self::Invalid(why),
            WriteError::Corrupt(why) => Self::Corrupt(why),
        }
    }
}

//! Lines of output on their way to the store: live at once, kept within moments, and before the attempt's end is.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use crate::engine::handle::Live;
use crate::engine::shared::Shared;
use crate::id::{RunId, Unit};
use crate::port::notice::Notice;
use crate::port::plugin::{LogSink, Signal, Stoppable, Stream};
use crate::port::store::LogLine;

/// How long a line waits for company before it is kept.
const GATHER: Duration = Duration::from_millis(100);

/// How many bytes of output one attempt may keep (16 MiB); what follows is dropped, and the log says so.
const LIMIT: usize = 16 << 20;

/// What one attempt has of the engine: what tells it to stop, and where its output goes. Most have none: what keeps
/// lines is made with the first of them.
#[derive(Debug)]
pub(crate) struct Lines {
    shared: Arc<Shared>,
    run: RunId,
    step: Unit,
    attempt: u32,
    gathered: OnceLock<Arc<Gathered>>,
    signal: Signal,
}

/// The lines of one attempt that wait for being kept.
#[derive(Debug)]
struct Gathered {
    shared: Arc<Shared>,
    run: RunId,
    held: Mutex<Held>,
    /// Held while lines are being kept, so that they stay in order.
    keeping: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    lines: Vec<LogLine>,
    bytes: usize,
}

impl Lines {
    pub(crate) fn new(shared: Arc<Shared>, run: RunId, step: Unit, attempt: u32) -> Self {
        Self { shared, run, step, attempt, gathered: OnceLock::new(), signal: Signal::default() }
    }

    /// The lines that are not kept yet; those before them are.
    pub(crate) async fn finish(&self) -> Vec<LogLine> {
        let Some(gathered) = self.gathered.get() else { return Vec::new() };
        let _in_order = gathered.keeping.lock().await;
        std::mem::take(&mut gathered.held().lines)
    }

    /// As [`Lines::finish`]; `None` while those before them are being kept.
    pub(crate) fn finish_now(&self) -> Option<Vec<LogLine>> {
        let Some(gathered) = self.gathered.get() else { return Some(Vec::new()) };
        let _in_order = gathered.keeping.try_lock().ok()?;
        Some(std::mem::take(&mut gathered.held().lines))
    }

    fn gathered(&self) -> &Gathered {
        self.gathered.get_or_init(|| {
            let (shared, run) = (self.shared.clone(), self.run);
            let (held, keeping) = (Mutex::default(), tokio::sync::Mutex::default());
            let gathered = Arc::new(Gathered { shared, run, held, keeping });
            self.shared.tasks.spawn(Gathered::keep(Arc::downgrade(&gathered)));
            gathered
        })
    }
}

impl Gathered {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what gathers, until the attempt is gone.
    async fn keep(own: Weak<Self>) {
        loop {
            let Some(lines) = own.upgrade() else { return };
            let due = lines.shared.clock.now() + GATHER;
            let clock = lines.shared.clock.clone();
            drop(lines);
            clock.sleep_until(due).await;
            let Some(lines) = own.upgrade() else { return };
            let _in_order = lines.keeping.lock().await;
            let batch = std::mem::take(&mut lines.held().lines);
            if batch.is_empty() {
                continue;
            }
            if let Err(error) = lines.shared.store.append_logs(lines.run, batch.clone()).await {
                // They go with the attempt's end, if nothing else.
                tracing::warn!(run = %lines.run, %error, "lines of output could not be kept yet");
                let mut held = lines.held();
                let newer = std::mem::replace(&mut held.lines, batch);
                held.lines.extend(newer);
            }
            crate::failpoint!("lines.kept");
        }
    }
}

impl Stoppable for Lines {
    fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl LogSink for Lines {
    fn line(&self, stream: Stream, text: &str) {
        let mask = self.shared.vault.mask();
        let mut line = LogLine {
            step: self.step.step,
            item: self.step.item(),
            attempt: self.attempt,
            stream,
            at: self.shared.clock.now(),
            text: mask.text(text).replace('\0', "\u{fffd}").into(),
        };
        let mut held = self.gathered().held();
        if held.bytes > LIMIT {
            return;
        }
        held.bytes += line.text.len() + 1;
        if held.bytes > LIMIT {
            line.stream = Stream::System;
            line.text = format!("output beyond {} MiB is not kept", LIMIT >> 20).into();
        }
        held.lines.push(line.clone());
        drop(held);
        if self.shared.live.receiver_count() > 0 {
            let _ = self.shared.live.send(Live::Line { run: self.run, line });
        }
    }

    fn notice(&self, notice: &Notice) {
        // Before it is taken apart: a value may stand on several of its lines.
        let notice = notice.masked(&self.shared.vault.mask());
        notice.lines().for_each(|line| self.line(Stream::System, &line));
        if self.shared.live.receiver_count() > 0 {
            let (run, step) = (self.run, self.step);
            let _ = self.shared.live.send(Live::Notice { run, step, notice });
        }
    }

    fn progress(&self, text: &str) {
        if self.shared.live.receiver_count() > 0 {
            let (run, step) = (self.run, self.step);
            let text = self.shared.vault.mask().text(text).into();
            let _ = self.shared.live.send(Live::Progress { run, step, text });
        }
    }
}

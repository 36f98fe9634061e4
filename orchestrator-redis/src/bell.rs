//! Hearing that there may be something: every publication and release is told on a channel, with the name of the queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinHandle;

use crate::link::Link;

/// How many rings may lie unheard by one who waits: who misses one looks.
const UNHEARD: usize = 64;

/// The wait before a connection is opened again that was lost or could not be had.
const AGAIN: Duration = Duration::from_millis(200);

/// How long nothing may be heard before the connection that listens is asked for a sign of life.
const QUIET: Duration = Duration::from_secs(15);

/// How long a sign of life may take.
const SIGN: Duration = Duration::from_secs(5);

/// How often who waits looks though nothing was heard, while somebody listens and while nobody does. What the first finds
/// was told by somebody who may not use the channel.
const NET: Duration = Duration::from_secs(1);
const BARE_NET: Duration = Duration::from_millis(200);

/// The queue for which was rung, or `None`: it may have been any.
type Ring = Option<Arc<str>>;

/// Hears what is told on the channel, from when somebody waits for the first time.
#[derive(Debug)]
pub(crate) struct Bell {
    link: Arc<Link>,
    channel: String,
    rings: broadcast::Sender<Ring>,
    listens: Arc<AtomicBool>,
    task: Mutex<Task>,
}

#[derive(Debug, Default)]
struct Task {
    listening: Option<JoinHandle<()>>,
    is_over: bool,
}

/// Somebody who listens.
#[derive(Debug)]
pub(crate) struct Ear {
    rings: broadcast::Receiver<Ring>,
    listens: Arc<AtomicBool>,
}

impl Bell {
    pub(crate) fn new(link: Arc<Link>, prefix: &str) -> Self {
        Self {
            link,
            channel: format!("{prefix}:bell"),
            rings: broadcast::Sender::new(UNHEARD),
            listens: Arc::default(),
            task: Mutex::default(),
        }
    }

    /// Hears all that is told from here on.
    pub(crate) fn ear(&self) -> Ear {
        let rings = self.rings.subscribe();
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let is_needed = task.listening.as_ref().is_none_or(JoinHandle::is_finished);
        if is_needed && !task.is_over {
            let (link, listens) = (self.link.clone(), self.listens.clone());
            task.listening =
                Some(tokio::spawn(listen(link, self.channel.clone(), self.rings.clone(), listens)));
        }
        Ear { rings, listens: self.listens.clone() }
    }

    pub(crate) fn close(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.is_over = true;
        if let Some(listening) = task.listening.take() {
            listening.abort();
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.close();
    }
}

impl Ear {
    /// Returns when one of these queues may have something.
    pub(crate) async fn hears(&mut self, queues: &[Arc<str>]) {
        loop {
            match self.rings.recv().await {
                Ok(Some(queue)) if !queues.contains(&queue) => {}
                // The bell is gone with its queue, whose handle is held by who waits.
                Ok(_) | Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            }
        }
    }

    /// How long to go without a look.
    pub(crate) fn net(&self) -> Duration {
        if self.listens.load(Ordering::Relaxed) { NET } else { BARE_NET }
    }
}

async fn listen(link: Arc<Link>, channel: String, rings: broadcast::Sender<Ring>, listens: Arc<AtomicBool>) {
    // Nobody who hears is no fault.
    let ring = |of: Ring| _ = rings.send(of);
    loop {
        let mut losses = link.losses();
        match link.listener(&channel).await {
            Ok(listener) => {
                listens.store(true, Ordering::Relaxed);
                // Whatever was told meanwhile was not heard.
                ring(None);
                tokio::select! {
                    () = pass_on(listener, &ring) => {}
                    _ = losses.changed() => {}
                }
                listens.store(false, Ordering::Relaxed);
                // Who waits looks, and is told that the server is gone, if it is.
                ring(None);
            }
            Err(error) => tracing::debug!(%error, "cannot hear what is told of the queue"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Passes on what is told until the connection is lost.
async fn pass_on(listener: PubSub, ring: &impl Fn(Ring)) {
    let (mut asks, mut told) = listener.split();
    loop {
        match tokio::time::timeout(QUIET, told.next()).await {
            Ok(Some(message)) => {
                let queue = message.get_payload::<String>().ok();
                ring(queue.filter(|queue| !queue.is_empty()).map(Into::into));
            }
            Ok(None) => return,
            // Nobody has anything to tell, or the network has lost the connection without a word.
            Err(_) => match tokio::time::timeout(SIGN, asks.ping::<redis::Value>()).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

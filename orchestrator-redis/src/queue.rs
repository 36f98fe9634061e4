//! The queue itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use apalis_redis::Client;
use async_trait::async_trait;
use orchestrator_core::port::queue::{
    Capabilities, Clear, Clearing, Count, Counted, DeadLetter, Delivery, ListLetters, Publish, Queue,
    QueueError, QueueInfo, Receipt, Receive, Settle, Settled, Ticket, Wait, Woken, require_readable,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::bell::Bell;
use crate::link::{Link, client_of};
use crate::options::Options;
use crate::scripts::{Bytes, Scripts, came, letters};

/// A queue in Redis: a handle with a connection of its own, and with another one that listens, from when somebody waits for
/// the first time. Recovers by itself from every loss of its server.
pub struct RedisQueue {
    link: Arc<Link>,
    scripts: Scripts,
    bell: Bell,
    info: QueueInfo,
    options: Options,
    closed: watch::Sender<bool>,
}

impl fmt::Debug for RedisQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { info, options, .. } = self;
        f.debug_struct("RedisQueue").field("info", info).field("options", options).finish_non_exhaustive()
    }
}

impl RedisQueue {
    /// Opens a queue on the server that a URL names, `redis://USER:PASSWORD@HOST:PORT/DATABASE` or
    /// `unix:///PATH?db=N&user=USER&pass=PASSWORD`; `valkey://` is as good.
    ///
    /// # Errors
    /// As [`RedisQueue::connect_with`].
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        Self::connect_with(url, Options::default()).await
    }

    /// As [`RedisQueue::connect`], with options.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] if the URL or the options cannot be used, [`QueueError::Unavailable`] if the server cannot be
    /// reached or refuses who comes. No error tells a password.
    pub async fn connect_with(url: &str, options: Options) -> Result<Self, QueueError> {
        Self::from_client(client_of(url)?, options).await
    }

    /// As [`RedisQueue::connect_with`], with a client that a host has already, for storages of apalis on the same server.
    ///
    /// # Errors
    /// As [`RedisQueue::connect_with`].
    pub async fn from_client(client: Client, options: Options) -> Result<Self, QueueError> {
        let mut queue = Self::of_client(client, options)?;
        let _: redis::Value = queue.link.ask(&redis::cmd("PING")).await?;
        // Whoever may not ask this may still ring.
        let said: Bytes = queue.link.ask(redis::cmd("INFO").arg("server")).await.unwrap_or_default();
        queue.info.version = version_of(&String::from_utf8_lossy(&said));
        Ok(queue)
    }

    /// As [`RedisQueue::connect_with`], without asking for the server: the first call does, and each later one while there is
    /// none. For those who go on without a queue for as long as they have to. What version the server has is not known.
    ///
    /// # Errors
    /// [`QueueError::Invalid`] if the URL or the options cannot be used.
    pub fn open(url: &str, options: Options) -> Result<Self, QueueError> {
        Self::of_client(client_of(url)?, options)
    }

    fn of_client(client: Client, options: Options) -> Result<Self, QueueError> {
        options.require_fit()?;
        let link = Arc::new(Link::new(client, options.answer_timeout));
        let info = QueueInfo {
            kind: "redis",
            location: link.location().to_owned(),
            version: version_of(""),
            can: Capabilities { letters: options.letters, ..Capabilities::ALL },
        };
        let bell = Bell::new(link.clone(), &options.prefix);
        let scripts = Scripts::new(&options.prefix);
        Ok(Self { link, scripts, bell, info, options, closed: watch::Sender::new(false) })
    }

    fn require_open(&self) -> Result<(), QueueError> {
        if *self.closed.borrow() { Err(self.link.unavailable("it is closed")) } else { Ok(()) }
    }

    /// Buries what nobody can read. What is not buried comes again, when its time is over.
    async fn bury_unreadable(&self, unreadable: Vec<(Receipt, Arc<str>)>) {
        for (receipt, reason) in unreadable {
            tracing::warn!(%receipt, %reason, "a ticket that cannot be read");
            if self.options.letters == 0 {
                continue;
            }
            let bury = self.scripts.bury(&receipt, &reason, self.options.letters, true);
            if let Err(error) = self.link.run::<bool>(&bury).await {
                tracing::warn!(%error, %receipt, "it cannot be buried");
            }
        }
    }

    /// In how long there is something in these queues; `None`: as far as is known, never.
    async fn look(&self, queues: &[Arc<str>]) -> Result<Option<Duration>, QueueError> {
        let said: i64 = self.link.run(&self.scripts.look(queues)).await?;
        Ok(u64::try_from(said).ok().map(Duration::from_millis))
    }
}

/// The version of a server, of what it says of itself.
fn version_of(said: &str) -> String {
    let of = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    of("redis_version:").filter(|version| !version.is_empty()).unwrap_or("unknown").to_owned()
}

#[async_trait]
impl Queue for RedisQueue {
    fn describe(&self) -> QueueInfo {
        self.info.clone()
    }

    async fn publish(&self, publish: Publish) -> Result<(), QueueError> {
        publish.require_fit(&self.info.can)?;
        self.require_open()?;
        if publish.tickets.is_empty() {
            return Ok(());
        }
        let capacity = self.options.capacity;
        let taken: bool = self.link.run(&self.scripts.publish(capacity, &publish.tickets)?).await?;
        if taken {
            return Ok(());
        }
        Err(self.link.unavailable(&format!("there are {capacity} tickets, and there may not be more")))
    }

    async fn receive(&self, receive: Receive) -> Result<Vec<Delivery>, QueueError> {
        receive.require_fit()?;
        self.require_open()?;
        if receive.max == 0 {
            return Ok(Vec::new());
        }
        let (max, mut given) = (receive.max, Vec::new());
        let mut asked = receive;
        // Each call puts some more in line of what has come out, until all of it is.
        loop {
            let call = self.scripts.receive(&asked, self.options.letters);
            let answer: Vec<Bytes> = match self.link.run(&call).await {
                Ok(answer) => answer,
                // What has been given is not lost for what cannot be asked.
                Err(_) if !given.is_empty() => return Ok(given),
                Err(error) => return Err(error),
            };
            let Some(came) = came(&answer) else { continue };
            given.extend(came.deliveries);
            asked.max = max - given.len();
            // What is hidden for no time would be in one answer twice.
            let is_all = came.unreadable.is_empty() || asked.max == 0 || asked.visibility.as_millis() == 0;
            self.bury_unreadable(came.unreadable).await;
            if is_all {
                return Ok(given);
            }
        }
    }

    async fn settle(&self, settle: Settle) -> Result<Settled, QueueError> {
        settle.require_fit(&self.info.can)?;
        self.require_open()?;
        let call = self.scripts.settle(&settle, self.options.letters);
        let Some(call) = call else { return Ok(Settled::Late) };
        let taken: bool = self.link.run(&call).await?;
        Ok(if taken { Settled::Taken } else { Settled::Late })
    }

    async fn letters(&self, list: ListLetters) -> Result<Vec<DeadLetter>, QueueError> {
        list.require_fit(&self.info.can)?;
        self.require_open()?;
        let answer: Vec<Bytes> = self.link.run(&self.scripts.letters(&list)?).await?;
        Ok(letters(&answer))
    }

    async fn clear(&self, clear: Clear) -> Result<Settled, QueueError> {
        clear.require_fit(&self.info.can)?;
        self.require_open()?;
        let Some(look) = self.scripts.clear(&clear.letter, None) else { return Ok(Settled::Late) };
        if clear.how == Clearing::Publish {
            let found: Vec<Bytes> = self.link.run(&look).await?;
            let Some(text) = found.first() else { return Ok(Settled::Late) };
            require_readable(&clear.letter, serde_json::from_slice::<Ticket>(text).is_ok())?;
        }
        let Some(call) = self.scripts.clear(&clear.letter, Some(clear.how)) else { return Ok(Settled::Late) };
        let cleared: Vec<Bytes> = self.link.run(&call).await?;
        Ok(if cleared.is_empty() { Settled::Late } else { Settled::Taken })
    }

    async fn count(&self, count: Count) -> Result<Vec<Counted>, QueueError> {
        count.require_fit()?;
        self.require_open()?;
        let numbers: Vec<u64> = self.link.run(&self.scripts.count(&count.queues)).await?;
        let counted = count.queues.into_iter().zip(numbers.chunks_exact(3));
        let counted = counted.map(|(queue, numbers)| Counted {
            queue,
            ready: numbers[0],
            hidden: numbers[1],
            letters: numbers[2],
        });
        Ok(counted.collect())
    }

    async fn wait(&self, wait: Wait) -> Result<Woken, QueueError> {
        wait.require_fit()?;
        let mut closed = self.closed.subscribe();
        let deadline = Instant::now() + wait.timeout;
        // First the ear, then the look: what is told from here on ends the waiting below.
        let mut ear = (!wait.timeout.is_zero()).then(|| self.bell.ear());
        loop {
            self.require_open()?;
            let next = self.look(&wait.queues).await?;
            let now = Instant::now();
            if next == Some(Duration::ZERO) {
                return Ok(Woken::Rung);
            }
            let Some(ear) = ear.as_mut().filter(|_| now < deadline) else {
                return Ok(Woken::TimedOut);
            };
            let net = next.map_or(ear.net(), |due| due.min(ear.net()));
            tokio::select! {
                () = ear.hears(&wait.queues) => {}
                () = tokio::time::sleep_until(deadline.min(now + net)) => {}
                // The sender lives as long as this.
                _ = closed.wait_for(|closed| *closed) => {}
            }
        }
    }

    async fn close(&self) -> Result<(), QueueError> {
        self.closed.send_replace(true);
        self.bell.close();
        self.link.close().await;
        Ok(())
    }
}

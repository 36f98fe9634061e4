//! The connection to the server: opened when it is needed, given up when it is spent, and what errors mean.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use apalis_redis::{Client, RedisError};
use orchestrator_core::port::queue::QueueError;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, FromRedisValue, ScriptInvocation, ServerErrorKind};
use tokio::sync::{Mutex, watch};

/// What stands in a text where a password stood.
const MASK: &str = "***";

/// A server, and the connection to it that all calls of a handle share.
///
/// The manager of connections that the driver has is none for us: one that is refused while it connects anew, by a server
/// that loads its data or has another password for a moment, answers with that refusal for ever.
pub(crate) struct Link {
    client: Client,
    location: String,
    password: Option<String>,
    patience: Duration,
    open: Mutex<Open>,
    /// How often it was tried to open a connection.
    tries: AtomicU64,
    /// Moves when a connection is given up: others to the same server are no better.
    lost: watch::Sender<()>,
}

#[derive(Default)]
struct Open {
    connection: Option<MultiplexedConnection>,
    /// Which connection it is: one more with each.
    nth: u64,
    /// Why there is none.
    failure: Option<QueueError>,
}

// Its own field has the password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("location", &self.location).finish_non_exhaustive()
    }
}

/// The client of a URL.
pub(crate) fn client_of(url: &str) -> Result<Client, QueueError> {
    // What the driver says names a part of the URL, and nothing that stands in it.
    Client::open(url).map_err(|error| {
        QueueError::Invalid(format!(
            "the URL of a Redis server is redis://HOST:PORT/DATABASE or unix:///PATH, and this one cannot be used: {}",
            error.category()
        ))
    })
}

/// Where a server is, without passwords.
fn location_of(client: &Client) -> String {
    let info = client.get_connection_info();
    let (user, database) = (info.redis_settings().username(), info.redis_settings().db());
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    match info.addr() {
        ConnectionAddr::Unix(path) => format!("unix://{user}{}?db={database}", path.display()),
        ConnectionAddr::Tcp(host, port) if host.contains(':') => {
            format!("redis://{user}[{host}]:{port}/{database}")
        }
        address => format!("redis://{user}{address}/{database}"),
    }
}

impl Link {
    pub(crate) fn new(client: Client, patience: Duration) -> Self {
        let password = client.get_connection_info().redis_settings().password();
        let password = password.filter(|password| !password.is_empty()).map(str::to_owned);
        let location = location_of(&client);
        Self {
            client,
            location,
            password,
            patience,
            open: Mutex::default(),
            tries: AtomicU64::new(0),
            lost: watch::Sender::new(()),
        }
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The connection, and which it is. Who comes while another opens it has its answer, so that nobody waits for more than
    /// one that is not to be had.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64), QueueError> {
        let tried = self.tries.load(Ordering::SeqCst);
        let mut open = self.open.lock().await;
        if let Some(connection) = &open.connection {
            return Ok((connection.clone(), open.nth));
        }
        if let Some(failure) = &open.failure
            && self.tries.load(Ordering::SeqCst) != tried
        {
            return Err(failure.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(self.patience));
        let opening = self.client.get_multiplexed_async_connection_with_config(&config);
        let opened = self.within(opening).await;
        self.tries.fetch_add(1, Ordering::SeqCst);
        match opened {
            Ok(connection) => {
                *open = Open { connection: Some(connection.clone()), nth: open.nth + 1, failure: None };
                Ok((connection, open.nth))
            }
            Err(error) => {
                open.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// What comes of it, if that is in time.
    async fn within<T>(&self, work: impl Future<Output = Result<T, RedisError>>) -> Result<T, QueueError> {
        match tokio::time::timeout(self.patience, work).await {
            Ok(done) => done.map_err(|error| self.told(&error)),
            Err(_) => Err(self.unavailable(&format!("no answer within {:?}", self.patience))),
        }
    }

    /// Gives a connection up, unless there is another by now.
    async fn give_up(&self, nth: u64) {
        let mut open = self.open.lock().await;
        if open.nth == nth {
            open.connection = None;
            self.lost.send_replace(());
        }
    }

    /// Tells of connections that are given up from here on.
    pub(crate) fn losses(&self) -> watch::Receiver<()> {
        self.lost.subscribe()
    }

    /// Carries out a script: in one round trip, unless the server has not seen it yet.
    pub(crate) async fn run<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        let (mut connection, nth) = self.connection().await?;
        let ran = call.invoke_async(&mut connection).await;
        self.answer(ran, nth).await
    }

    /// Carries out a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, QueueError> {
        let (mut connection, nth) = self.connection().await?;
        let asked = command.query_async(&mut connection).await;
        self.answer(asked, nth).await
    }

    async fn answer<T>(&self, answer: Result<T, RedisError>, nth: u64) -> Result<T, QueueError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if is_spent(&error) {
                    self.give_up(nth).await;
                }
                Err(self.told(&error))
            }
        }
    }

    /// A connection of its own that listens to a channel.
    pub(crate) async fn listener(&self, channel: &str) -> Result<PubSub, QueueError> {
        let listening = async {
            let mut listener = self.client.get_async_pubsub().await?;
            listener.subscribe(channel).await?;
            Ok(listener)
        };
        self.within(listening).await
    }

    pub(crate) async fn close(&self) {
        self.open.lock().await.connection = None;
    }

    /// What an error means: trying again may help, for whatever stands in the way can be put right at the server.
    fn told(&self, error: &RedisError) -> QueueError {
        let mut why = error.to_string();
        if let Some(password) = &self.password {
            // Servers repeat what they do not understand.
            why = why.replace(password.as_str(), MASK);
        }
        let advice = if why.contains("WRONGTYPE") {
            "; a key with the prefix of this queue holds something else: delete it, or choose another prefix"
        } else if why.contains("OOM") {
            "; the server has no memory left for more tickets"
        } else {
            ""
        };
        self.unavailable(&format!("{why}{advice}"))
    }

    pub(crate) fn unavailable(&self, why: &str) -> QueueError {
        QueueError::Unavailable(format!("{}: {why}", self.location))
    }
}

/// Whether nothing more is to be expected of a connection: it is broken, it is silent, or its server has become a copy of
/// another and takes nothing.
fn is_spent(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || error.is_timeout()
        || error.kind() == redis::ErrorKind::Server(ServerErrorKind::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(url: &str) -> Link {
        Link::new(client_of(url).unwrap(), Duration::from_secs(1))
    }

    #[test]
    fn no_password_is_told() {
        let urls = [
            ("redis://me:s3cret@db.example:6000/3", "redis://me@db.example:6000/3"),
            ("redis://:s3cret@[::1]", "redis://[::1]:6379/0"),
            ("unix:///run/redis.sock?db=2&user=me&pass=s3cret", "unix://me@/run/redis.sock?db=2"),
        ];
        for (url, location) in urls {
            let link = link(url);
            assert_eq!(link.location(), location);
            assert!(!format!("{link:?}").contains("s3cret"), "{link:?}");
            let said = "unknown command 'AUTH', with args beginning with: 's3cret'";
            let error = RedisError::from(std::io::Error::other(said));
            let told = link.told(&error).to_string();
            assert!(told.contains(location) && told.contains("AUTH") && !told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_invalid_and_not_repeated() {
        let urls = [
            "",
            "http://s3cret@h",
            "redis://:s3cret@",
            "redis://h:s3cret",
            "redis://h/s3cret",
            "rediss://:s3cret@h",
        ];
        for url in urls {
            let error = client_of(url).unwrap_err();
            assert!(matches!(error, QueueError::Invalid(_)), "{url}: {error:?}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}

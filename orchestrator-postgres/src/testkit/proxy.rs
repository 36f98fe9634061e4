//! A network that can be disturbed: a proxy on 127.0.0.1 that passes bytes on, late, in pieces, not now, or never.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Database;

/// What becomes of bytes on their way in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are passed on at once.
    Open,
    /// Each chunk is passed on after so long.
    Late(Duration),
    /// They are passed on in pieces of so many bytes, each with a moment of this length before it.
    Pieces(usize, Duration),
    /// They are passed on when the way is open again, as what TCP sends again after a partition.
    Held,
    /// They are gone, and nothing passes on this connection any more in this direction, not even its end: as where somebody
    /// in between has forgotten it.
    Lost,
}

/// Where a connection is cut at which a client sends what is looked for.
const PLACES: u64 = 3;

/// What the network is like.
#[derive(Debug, Clone)]
struct Weather {
    /// The port on 127.0.0.1 to which new connections go.
    target: u16,
    /// From clients to the server.
    up: Way,
    /// From the server to clients.
    down: Way,
    /// One more with each order to reset all connections.
    resets: u64,
    /// One more with each order to forget all connections.
    oblivions: u64,
    /// A connection is cut whose client sends this.
    needle: Option<Arc<[u8]>>,
}

/// What all connections go through.
#[derive(Debug)]
struct Cable {
    weather: watch::Sender<Weather>,
    /// How many connections were cut for what their client has sent.
    cuts: AtomicU64,
}

/// A proxy. All of it is gone when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    cable: Arc<Cable>,
    port: u16,
    over: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Begins one in front of a port on 127.0.0.1.
    ///
    /// # Panics
    /// If there is no port or no thread to be had.
    #[must_use]
    pub fn to(target: u16) -> Self {
        let weather =
            Weather { target, up: Way::Open, down: Way::Open, resets: 0, oblivions: 0, needle: None };
        let cable = Arc::new(Cable { weather: watch::Sender::new(weather), cuts: AtomicU64::new(0) });
        let over = watch::Sender::new(false);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        listener.set_nonblocking(true).expect("a listener that does not block");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (its, mut ends) = (cable.clone(), over.subscribe());
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = accept(&listener, &its) => {}
                    _ = ends.wait_for(|over| *over) => {}
                }
            });
        });
        Self { cable, port, over, thread: Some(thread.expect("a thread")) }
    }

    /// The URL of a database of the server behind it.
    ///
    /// # Panics
    /// If the database has no URL.
    #[must_use]
    pub fn url(&self, database: &Database) -> String {
        let options: PgConnectOptions = database.url().parse().expect("a URL");
        let name = options.get_database().unwrap_or_default();
        format!("postgres://{}@127.0.0.1:{}/{name}", options.get_username(), self.port)
    }

    /// The port on 127.0.0.1 on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From here on bytes fare so on their way up to the server, and so on their way down.
    pub fn set(&self, up: Way, down: Way) {
        self.cable.weather.send_modify(|weather| (weather.up, weather.down) = (up, down));
    }

    /// Connections that begin from here on go to another port. Those that there are stay as they are.
    pub fn lead_to(&self, target: u16) {
        self.cable.weather.send_modify(|weather| weather.target = target);
    }

    /// Resets all connections.
    pub fn reset(&self) {
        self.cable.weather.send_modify(|weather| weather.resets += 1);
    }

    /// Passes nothing on any more, in either direction, on the connections that there are, and ends none of them.
    pub fn forget(&self) {
        self.cable.weather.send_modify(|weather| weather.oblivions += 1);
    }

    /// Cuts every connection whose client sends these bytes in one chunk: in turn after the answer has come, which nobody
    /// hears; as soon as the server has what was sent; and before it has. `None`: no longer.
    pub fn cut_at(&self, needle: Option<&[u8]>) {
        self.cable.weather.send_modify(|weather| weather.needle = needle.map(Arc::from));
    }

    /// How many connections were cut for what their client has sent.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cable.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: &TcpListener, cable: &Arc<Cable>) {
    // A client that is gone already was none.
    loop {
        if let Ok((client, _)) = listener.accept().await {
            let link = Link::new(cable.clone());
            tokio::spawn(link.carry(client));
        }
    }
}

/// In which direction bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// A connection.
#[derive(Debug)]
struct Link {
    cable: Arc<Cable>,
    weather: watch::Receiver<Weather>,
    /// How often connections had been reset and forgotten before this one began.
    before: (u64, u64),
    /// Whether the next answer is to be swallowed, and the connection cut.
    cut: AtomicBool,
}

impl Link {
    fn new(cable: Arc<Cable>) -> Self {
        let mut weather = cable.weather.subscribe();
        let before = {
            let now = weather.borrow_and_update();
            (now.resets, now.oblivions)
        };
        Self { cable, weather, before, cut: AtomicBool::new(false) }
    }

    /// Passes bytes on until both sides have ended, or it is reset or cut.
    async fn carry(self, mut client: TcpStream) {
        let mut watched = self.weather.clone();
        let resets = self.before.0;
        let carried = async {
            // What cannot be sent does not arrive: not even the wish for a connection.
            self.passable(Direction::Up).await;
            let target = SocketAddr::from((Ipv4Addr::LOCALHOST, self.weather.borrow().target));
            let mut server = TcpStream::connect(target).await?;
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            tokio::try_join!(
                self.pump(Direction::Up, from_client, to_server),
                self.pump(Direction::Down, from_server, to_client),
            )
            .map(drop)
        };
        let is_reset = tokio::select! {
            _ = carried => false,
            changed = watched.wait_for(|weather| weather.resets != resets) => changed.is_ok(),
        };
        if is_reset {
            // Then closing it sends a RST. To the server it looks like an end.
            let _ = client.set_zero_linger();
        }
    }

    fn way(&self, direction: Direction) -> Way {
        let weather = self.weather.borrow();
        match direction {
            _ if weather.oblivions != self.before.1 => Way::Lost,
            Direction::Up => weather.up,
            Direction::Down => weather.down,
        }
    }

    /// Returns how the way is when something can be sent on it. Never where it is lost.
    async fn passable(&self, direction: Direction) -> Way {
        let mut watched = self.weather.clone();
        loop {
            match self.way(direction) {
                Way::Lost => pending::<()>().await,
                // The sender lives as long as the connection.
                Way::Held => drop(watched.changed().await),
                way => return way,
            }
        }
    }

    async fn pump(
        &self,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = from.read(&mut buffer).await?;
            let way = self.passable(direction).await;
            if read == 0 {
                return to.shutdown().await;
            }
            let chunk = &buffer[..read];
            match way {
                Way::Late(by) => self.wait(direction, by).await,
                Way::Pieces(size, moment) => {
                    for piece in chunk.chunks(size.max(1)) {
                        tokio::time::sleep(moment).await;
                        to.write_all(piece).await?;
                    }
                    continue;
                }
                Way::Open | Way::Held | Way::Lost => {}
            }
            if direction == Direction::Down && self.cut.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if direction == Direction::Up && self.is_looked_for(chunk) {
                match self.cable.cuts.fetch_add(1, Ordering::SeqCst) % PLACES {
                    0 => self.cut.store(true, Ordering::SeqCst),
                    1 => {
                        to.write_all(chunk).await?;
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    _ => return Err(io::ErrorKind::ConnectionAborted.into()),
                }
            }
            to.write_all(chunk).await?;
        }
    }

    /// Waits, but not on a way that has changed meanwhile.
    async fn wait(&self, direction: Direction, by: Duration) {
        let mut watched = self.weather.clone();
        let way = self.way(direction);
        let changed = async {
            while self.way(direction) == way {
                let _ = watched.changed().await;
            }
        };
        tokio::select! {
            () = tokio::time::sleep(by) => {}
            () = changed => {}
        }
    }

    fn is_looked_for(&self, chunk: &[u8]) -> bool {
        let weather = self.weather.borrow();
        let Some(needle) = &weather.needle else { return false };
        chunk.windows(needle.len()).any(|window| window == &**needle)
    }
}

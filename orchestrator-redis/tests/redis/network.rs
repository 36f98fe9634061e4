//! A network that loses connections, with and without a word.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use orchestrator_core::port::queue::{QueueError, Woken};
use orchestrator_redis::testkit::Server;
use orchestrator_redis::{Options, RedisQueue};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::place::{Desk, LONG, numbered, numbers};

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Nothing arrives any more on the connections that there are, and on new ones; none of them ends.
    Lost,
    /// All connections are cut, and new ones as well.
    Cut,
}

/// A port on 127.0.0.1 in front of a server's socket.
struct Proxy {
    way: watch::Sender<Way>,
    port: u16,
}

impl Proxy {
    async fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let way = watch::Sender::new(Way::Open);
        let watched = way.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, socket.clone(), watched.clone()));
            }
        });
        Self { way, port }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}

async fn carry(mut client: TcpStream, socket: PathBuf, mut way: watch::Receiver<Way>) {
    let carried = async {
        let mut server = UnixStream::connect(socket).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    let began = *way.borrow();
    let turned = async {
        if began == Way::Open {
            let _ = way.wait_for(|way| *way != Way::Open).await;
        }
        *way.borrow()
    };
    tokio::select! {
        biased;
        turned = turned => if turned == Way::Lost {
            // Held open until it is cut.
            let _ = way.wait_for(|way| *way == Way::Cut).await;
        },
        _ = carried => {}
    }
}

async fn queue(proxy: &Proxy) -> RedisQueue {
    let options = Options::default().with_answer_timeout(Duration::from_millis(300));
    RedisQueue::connect_with(&proxy.url(), options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_network_is_unavailable_in_time_and_heals() {
    let server = Server::start();
    let proxy = Proxy::to(server.socket()).await;
    let queue = queue(&proxy).await;
    queue.put(vec![numbered(1)]).await.unwrap();
    let came = queue.take(9).await.unwrap();
    assert_eq!(queue.wait_for(Duration::from_millis(50)).await, Ok(Woken::TimedOut));
    for way in [Way::Lost, Way::Cut] {
        proxy.way.send_replace(way);
        let begun = Instant::now();
        let all = tokio::join!(
            queue.put(vec![numbered(2)]),
            queue.take(9),
            queue.done(&came[0]),
            queue.wait_for(LONG),
            queue.put(vec![numbered(3)]),
        );
        let errors = [all.0.err(), all.1.err(), all.2.err(), all.3.err(), all.4.err()];
        for error in &errors {
            assert!(error.as_ref().is_some_and(QueueError::is_retryable), "{way:?}: {errors:?}");
        }
        // Once the old connection is given up, nobody waits for a new one longer than one may take.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let begun = Instant::now();
        let again = tokio::join!(queue.take(9), queue.take(9), queue.take(9), queue.take(9), queue.take(9));
        assert!(again.0.is_err() && again.4.is_err());
        assert!(begun.elapsed() < Duration::from_millis(1200), "{:?}", begun.elapsed());
        proxy.way.send_replace(Way::Open);
        while let Err(error) = queue.wait_for(Duration::ZERO).await {
            assert!(error.is_retryable(), "{error}");
        }
        // What was not answered may have come through, and nothing else.
        let rest = queue.take(9).await.unwrap();
        assert!(numbers(&rest).iter().all(|number| [2, 3].contains(number)), "{rest:?}");
        // A connection that only listens is asked for a sign of life once in a while; it is given up with the other.
        let begun = Instant::now();
        let (woken, published) = tokio::join!(queue.wait_for(LONG), queue.put(vec![numbered(4)]));
        assert_eq!((woken, published), (Ok(Woken::Rung), Ok(())));
        assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
        assert_eq!(numbers(&queue.take(9).await.unwrap()), [4]);
    }
    queue.done(&came[0]).await.unwrap();
}

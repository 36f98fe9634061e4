//! A listener on every address of this machine that only counts who comes.

#![allow(dead_code, reason = "each test binary uses its own part of the listener")]

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) port: u16,
    seen: Arc<AtomicUsize>,
}

impl Listener {
    /// Every address, IPv6 included where the machine has it.
    pub(crate) fn everywhere() -> Self {
        Self::over(TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap())
    }

    /// One address and port.
    pub(crate) fn on(address: &str) -> Self {
        Self::over(TcpListener::bind(address).unwrap())
    }

    fn over(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { port, seen }
    }

    /// How many have come so far. Connections are taken in the order in which they were made: when one of our own has been
    /// taken, all before it have.
    pub(crate) fn seen(&self) -> usize {
        let mut own = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let _ = own.read(&mut [0]);
        // Our own does not count, now or the next time.
        self.seen.fetch_sub(1, Ordering::SeqCst) - 1
    }
}

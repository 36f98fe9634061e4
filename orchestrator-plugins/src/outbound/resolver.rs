//! Names to addresses, of which only those pass that may be reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::reach::{Reach, Refused, plain_name};

/// Finds the addresses of a name.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`, the best first. What may not be reached is sorted out by the caller.
    ///
    /// # Errors
    /// Where the name has none, or nobody can be asked.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the system does it: its files first, then its name servers.
#[derive(Debug)]
pub(super) struct System;

#[async_trait]
impl Resolver for System {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The resolver of one client: gives the addresses that its connections may be made to, and no others.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) resolver: Arc<dyn Resolver>,
    pub(super) reach: Reach,
    /// The name of the proxy, which the host program has chosen.
    pub(super) proxy: Option<Box<str>>,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, reach) = (self.resolver.clone(), self.reach.clone());
        let plain = plain_name(name.as_str());
        let is_proxy = self.proxy.as_deref() == Some(&plain);
        Box::pin(async move {
            let (mut passed, mut refused) = (Vec::new(), None);
            for address in resolver.resolve(name.as_str()).await? {
                match reach.check(Some(&plain), address) {
                    // The port is that of the URL.
                    Ok(()) => passed.push(SocketAddr::new(address, 0)),
                    Err(_) if is_proxy => passed.push(SocketAddr::new(address, 0)),
                    Err(block) => _ = refused.get_or_insert(Refused { address, block }),
                }
            }
            match refused {
                Some(refused) if passed.is_empty() => Err(refused.into()),
                _ if passed.is_empty() => {
                    Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into())
                }
                _ => Ok(Box::new(passed.into_iter()) as Addrs),
            }
        })
    }
}

//! The clients, and what the host program has settled for all of them.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orchestrator_core::spec::permissions::{NetworkGrant, NetworkPermissions};
use reqwest::{Client, ClientBuilder, Proxy, Url, redirect};
use tokio::sync::OnceCell;

use super::answer::NoAnswer;
use super::cause;
use super::circuit::{Circuit, Circuits};
use super::reach::{Destination, Reach, Refused, Target, plain_name};
use super::resolver::{Checked, Resolver, System};

/// How long connecting may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// The most clients that are kept, one for each set of permissions in use; the one that was used longest ago goes first.
const CLIENTS: usize = 64;

/// The way out of this process, for plugins that connect to what a workflow names.
///
/// It reaches the public internet; anything else only where the step's `permissions` or [`OutboundBuilder::allow`] grant it.
/// A host that fails five times in a row (no connection, no answer in time, 408, 5xx) is left alone for a second, then for
/// twice as long each time that the one call which finds out fails too, up to a minute; calls meanwhile fail at once as
/// `transient` and say how long to wait. That is kept in memory alone.
///
/// No proxy is taken from the environment. Connections are kept; use one instance in one runtime. Plugins may share one.
///
/// ```
/// use std::sync::Arc;
/// use orchestrator_plugins::{Http, Outbound};
///
/// let outbound = Outbound::builder().allow("127.0.0.1:11434").allow("10.0.0.0/8:443").build()?;
/// let http = Http::over(Arc::new(outbound));
/// # Ok::<(), orchestrator_plugins::Misconfigured>(())
/// ```
pub struct Outbound {
    granted: NetworkPermissions,
    resolver: Arc<dyn Resolver>,
    proxy: Option<Via>,
    circuits: Circuits,
    clients: Mutex<VecDeque<(Reach, Arc<OnceCell<Client>>)>>,
}

/// A proxy, and its name.
#[derive(Clone)]
struct Via {
    proxy: Proxy,
    host: Box<str>,
}

/// Describes an [`Outbound`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct OutboundBuilder {
    allowed: Vec<String>,
    resolver: Arc<dyn Resolver>,
    proxy: Option<Secret>,
}

/// An address that may hold a password.
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a host program has described wrongly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misconfigured(String);

impl fmt::Display for Misconfigured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Misconfigured {}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            granted: NetworkPermissions::default(),
            resolver: Arc::new(System),
            proxy: None,
            circuits: Circuits::default(),
            clients: Mutex::default(),
        }
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxied = self.proxy.is_some();
        f.debug_struct("Outbound")
            .field("granted", &self.granted)
            .field("proxied", &proxied)
            .finish_non_exhaustive()
    }
}

impl Outbound {
    /// Describes one.
    pub fn builder() -> OutboundBuilder {
        OutboundBuilder { allowed: Vec::new(), resolver: Arc::new(System), proxy: None }
    }

    /// The hosts that have failed lately, by their origin.
    #[must_use]
    pub fn circuits(&self) -> Vec<Circuit> {
        self.circuits.list()
    }

    pub(super) const fn breakers(&self) -> &Circuits {
        &self.circuits
    }

    pub(super) const fn granted(&self) -> &NetworkPermissions {
        &self.granted
    }

    /// Behind a proxy nobody here sees which addresses a name has. That this machine's own name is not meant for the proxy's
    /// machine can be seen.
    pub(super) fn check_behind_proxy(
        &self,
        reach: &Reach,
        destination: &Destination,
    ) -> Result<(), NoAnswer> {
        let Target::Name(name) = &destination.host else { return Ok(()) };
        let is_this_machine = &**name == "localhost" || name.ends_with(".localhost");
        if self.proxy.is_none() || !is_this_machine {
            return Ok(());
        }
        let address = std::net::Ipv4Addr::LOCALHOST.into();
        let checked = reach.check(Some(name), address);
        checked.map_err(|block| NoAnswer::Denied(Refused { address, block }.told(destination)))
    }

    /// The client for those who may reach the same. It follows no redirects, sends no `Referer` and asks for no compression, so
    /// a limit on a body holds for what was sent as well as for what comes of it.
    pub(super) async fn client(&self, reach: &Reach) -> Result<Client, NoAnswer> {
        let cell = {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            match clients.iter().position(|(known, _)| known == reach) {
                Some(0) => {}
                Some(at) => {
                    if let Some(used) = clients.remove(at) {
                        clients.push_front(used);
                    }
                }
                None => {
                    clients.push_front((reach.clone(), Arc::default()));
                    clients.truncate(CLIENTS);
                }
            }
            clients.front().map(|(_, cell)| cell.clone()).unwrap_or_default()
        };
        let build = || async {
            let resolver = Checked {
                resolver: self.resolver.clone(),
                reach: reach.clone(),
                proxy: self.proxy.as_ref().map(|via| via.host.clone()),
            };
            let (resolver, proxy) = (Arc::new(resolver), self.proxy.as_ref().map(|via| via.proxy.clone()));
            // Reading the system's certificates takes longer than many a step.
            let built = tokio::task::spawn_blocking(move || build(&resolver, proxy.as_ref())).await;
            built.map_err(|error| error.to_string())?.map_err(|error| cause(&error))
        };
        let client = cell.get_or_try_init(build).await;
        client
            .cloned()
            .map_err(|error: String| NoAnswer::NotSent(format!("no HTTP client can be made: {error}")))
    }
}

fn build(resolver: &Arc<Checked>, proxy: Option<&Proxy>) -> reqwest::Result<Client> {
    let builder = || -> ClientBuilder {
        let builder = Client::builder()
            .user_agent(concat!("orchestrator/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .dns_resolver(resolver.clone())
            .connect_timeout(CONNECT);
        match proxy {
            Some(proxy) => builder.proxy(proxy.clone()),
            None => builder,
        }
    };
    // A machine without certificates can still talk to its own services without TLS.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

impl OutboundBuilder {
    /// Grants a destination beyond the public internet to every step: `HOST:PORT`, as
    /// [`NetworkGrant`](orchestrator_core::spec::permissions::NetworkGrant) reads it.
    pub fn allow(mut self, destination: impl Into<String>) -> Self {
        self.allowed.push(destination.into());
        self
    }

    /// Resolves names in another way than the system does.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Sends every request through a proxy: `http://[USER:PASSWORD@]HOST:PORT`. It may stand anywhere. Which addresses a name
    /// has is then for the proxy to know: only addresses that stand in a URL, and `localhost`, are refused here.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(Secret(url.into()));
        self
    }

    /// The way out as described.
    ///
    /// # Errors
    /// A destination or a proxy that does not read.
    pub fn build(self) -> Result<Outbound, Misconfigured> {
        let read = |text: &String| -> Result<NetworkGrant, Misconfigured> {
            text.parse().map_err(|why| Misconfigured(format!("`{text}` is not a destination: {why}")))
        };
        let granted = self.allowed.iter().map(read).collect::<Result<_, _>>()?;
        let proxy = self.proxy.as_ref().map(via).transpose()?;
        Ok(Outbound { granted, resolver: self.resolver, proxy, ..Outbound::default() })
    }
}

fn via(url: &Secret) -> Result<Via, Misconfigured> {
    let wrong = |why: String| Misconfigured(format!("the proxy is not `http://HOST:PORT`: {why}"));
    let parsed = Url::parse(&url.0).map_err(|error| wrong(error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong(format!("its scheme is `{}`", parsed.scheme())));
    }
    let host = plain_name(parsed.host_str().unwrap_or_default());
    let proxy = Proxy::all(parsed).map_err(|error| wrong(cause(&error)))?;
    Ok(Via { proxy, host })
}

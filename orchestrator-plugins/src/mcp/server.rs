//! A server, and how it is spoken to.

use std::fmt;

use orchestrator_core::machine::StepError;
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use crate::config::invalid;
use crate::outbound;
use crate::resident::Executable;

/// A server that a host program names for its workflows.
#[derive(Clone)]
pub struct McpServer(pub(super) Way);

/// How a server is spoken to.
#[derive(Clone)]
pub(super) enum Way {
    /// Over its standard streams: it is started for each attempt, and ended with it.
    Stdio(Executable),
    /// By streamable HTTP.
    Http {
        url: Url,
        headers: Vec<(HeaderName, HeaderValue)>,
        /// Who has named the address may reach it, wherever it is.
        trusted: bool,
    },
}

impl McpServer {
    /// A program, which is started for each attempt and ended with it.
    #[must_use]
    pub const fn command(executable: Executable) -> Self {
        Self(Way::Stdio(executable))
    }

    /// A service. What the address names may be reached, also if it is not on the public internet; where it redirects to must
    /// be, or be granted.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn url(url: &str) -> Result<Self, String> {
        Ok(Self(Way::Http { url: outbound::address(url)?, headers: Vec::new(), trusted: true }))
    }

    /// A header that goes along with every request. It is shown to nobody, but secrets belong to the step, whose values are
    /// masked.
    ///
    /// # Errors
    /// What is wrong with it, or that the server is no service.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, String> {
        match &mut self.0 {
            Way::Http { headers, .. } => headers.push(header(name, value)?),
            Way::Stdio(_) => return Err("a program takes no headers".to_owned()),
        }
        Ok(self)
    }
}

impl fmt::Debug for McpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "McpServer({})", self.0.shown())
    }
}

impl Way {
    /// As messages name it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Stdio(executable) => executable.program().to_owned(),
            Self::Http { url, .. } => outbound::shown(url),
        }
    }

    /// With headers of the step's own.
    ///
    /// # Errors
    /// Class `invalid`, where one does not read or the server takes none.
    pub(super) fn with_headers<'a>(
        mut self,
        more: impl Iterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, StepError> {
        for (name, value) in more {
            let Self::Http { headers, .. } = &mut self else {
                return Err(invalid("`headers` are for a server that is reached by HTTP"));
            };
            let read = header(name, value).map_err(|why| invalid(format!("`headers`: {why}")))?;
            headers.retain(|(known, _)| *known != read.0);
            headers.push(read);
        }
        Ok(self)
    }
}

/// Headers that belong to the protocol.
const OURS: [&str; 8] = [
    "accept",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "transfer-encoding",
];

/// Reads a header; its value is not quoted, for it may be secret.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let read: HeaderName = name.parse().map_err(|_| format!("`{name}` is not the name of a header"))?;
    if OURS.contains(&read.as_str()) {
        return Err(format!("`{name}` belongs to the protocol"));
    }
    let mut value: HeaderValue =
        value.parse().map_err(|_| format!("the value of `{name}` cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok((read, value))
}

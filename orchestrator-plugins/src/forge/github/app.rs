//! Tokens of apps: a word signed with the app's key gets one for an installation, which many steps share until it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::{Timestamp, wall_clock};
use orchestrator_core::value::Digest;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::hub::Id;
use crate::config::invalid;
use crate::forge::action::App;
use crate::forge::halt::Halt;
use crate::forge::line::{Call, Line};
use crate::forge::login;
use crate::outbound;

/// How long before its end a token is replaced. No call takes as long.
const MARGIN: Duration = Duration::from_secs(300);

/// How far back a signed word is dated: clocks differ.
const BACK: i64 = 60;

/// How long it holds from now on, in seconds. GitHub takes ten minutes, by its own clock.
const HOLDS: i64 = 540;

/// The most tokens that are kept; more, and they are asked for anew.
const KEPT: usize = 256;

/// A token of an installation.
#[derive(Deserialize)]
struct Token {
    token: String,
    expires_at: String,
}

/// A token that is kept.
struct Kept {
    token: String,
    until: Timestamp,
}

type Cell = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// The tokens that this process has. Each is known by all that it was asked for with, the key included: who has another
/// key, or none, is given none of them.
#[derive(Default)]
pub(super) struct Tokens(Mutex<BTreeMap<Digest, Cell>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

impl Tokens {
    fn cell(&self, of: Digest) -> Cell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= KEPT && !cells.contains_key(&of) {
            cells.clear();
        }
        cells.entry(of).or_default().clone()
    }
}

/// An app at one repository.
#[derive(Clone)]
pub(super) struct Login<'a> {
    app: &'a App,
    owner: &'a str,
    name: &'a str,
    cell: Cell,
}

impl<'a> Login<'a> {
    /// The app at `base_url` in a repository.
    pub(super) fn of(
        tokens: &Tokens,
        app: &'a App,
        base_url: Option<&str>,
        (owner, name): (&'a str, &'a str),
    ) -> Self {
        let asked = json!([base_url, app.id.text(), app.installation, owner, name, app.private_key]);
        Self { app, owner, name, cell: tokens.cell(Digest::of(asked.to_string().as_bytes())) }
    }

    /// The name under which it writes.
    ///
    /// # Errors
    /// Where GitHub does not say.
    pub(super) async fn name(&self, line: &Line<'_>) -> Result<String, Halt> {
        #[derive(Deserialize)]
        struct Own {
            slug: String,
        }
        let answer = line.ask_as(&Call::get(&["app"]), &self.word()?).await?;
        Ok(format!("{}[bot]", line.understood::<Own>(&answer)?.slug))
    }

    /// The word that says who the app is.
    fn word(&self) -> Result<String, StepError> {
        // Of two providers that other crates of the program may enable, neither would be taken by itself.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let now = wall_clock().as_millis() / 1_000;
        let claims = json!({ "iat": now - BACK, "exp": now + HOLDS, "iss": self.app.id.text() });
        // In variables of the environment, line ends are often written out.
        let key = self.app.private_key.replace("\\n", "\n");
        EncodingKey::from_rsa_pem(key.as_bytes())
            .and_then(|key| jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key))
            // What is wrong with it might quote it.
            .map_err(|_| invalid("`app.private_key` is no RSA key as GitHub gives it (PEM)"))
    }

    async fn installation(&self, line: &Line<'_>, word: &str) -> Result<u64, Halt> {
        if let Some(given) = self.app.installation {
            return Ok(given);
        }
        let path = ["repos", self.owner, self.name, "installation"];
        let answer = line.ask_as(&Call::get(&path), word).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let message = format!(
                "the app is not installed where it sees {}/{}, or there is no such repository",
                self.owner, self.name
            );
            return Err(StepError::new(ErrorClass::Denied, message).into());
        }
        Ok(line.understood::<Id>(&answer)?.id)
    }

    async fn fetch(&self, line: &Line<'_>) -> Result<Kept, Halt> {
        let word = self.word()?;
        let installation = self.installation(line, &word).await?.to_string();
        let path = ["app", "installations", &installation, "access_tokens"];
        // For this repository alone, whatever else the app may see.
        let body = json!({ "repositories": [self.name] });
        let call = Call::change(Method::POST, &path, body).harmless();
        let answer = line.ask_as(&call, &word).await?;
        let Token { token, expires_at } = line.understood(&answer)?;
        let until = expires_at
            .parse()
            .map_err(|error| Halt::failed(format!("{}: a token ends at no time: {error}", answer.what)))?;
        Ok(Kept { token, until })
    }
}

#[async_trait]
impl login::Login for Login<'_> {
    async fn token(&self, line: &Line<'_>) -> Result<Option<String>, Halt> {
        // Whoever comes first asks; the others wait for the answer.
        let mut kept =
            outbound::until_stopped(line.context, false, self.cell.lock()).await.map_err(Halt::Stopped)?;
        let fresh = kept.as_ref().filter(|kept| kept.until.since(wall_clock()) > MARGIN);
        if let Some(fresh) = fresh {
            return Ok(Some(fresh.token.clone()));
        }
        let fetched = self.fetch(line).await?;
        let token = fetched.token.clone();
        *kept = Some(fetched);
        Ok(Some(token))
    }

    async fn forget(&self, token: &str) -> bool {
        let mut kept = self.cell.lock().await;
        if kept.as_ref().is_some_and(|kept| kept.token == token) {
            *kept = None;
        }
        true
    }
}

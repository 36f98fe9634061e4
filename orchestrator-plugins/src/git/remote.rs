//! The other side: its address, and how it is reached.

use orchestrator_core::machine::StepError;
use orchestrator_core::spec::retry::ErrorClass;

use super::action::{Auth, Config};
use super::address::{Address, Way};
use super::call::{Line, Login};
use super::name;
use super::process::Halt;
use super::repository::Repository;
use crate::config::invalid;

/// The remote where nobody says.
const REMOTE: &str = "origin";

/// The username where nobody says: GitHub takes any beside a token, and this one beside that of an app.
const USERNAME: &str = "x-access-token";

/// A repository elsewhere.
pub(super) struct Remote {
    /// What the repository calls it, if it has a name.
    pub(super) name: Option<String>,
    pub(super) address: Address,
    pub(super) line: Line,
}

impl Remote {
    /// The one at an address.
    ///
    /// # Errors
    /// Where it is not to be reached like this.
    pub(super) fn at(address: Address, auth: Option<&Auth>) -> Result<Self, StepError> {
        let login = auth.map(|auth| login(&address, auth)).transpose()?;
        let line = Line { protocols: address.way.protocols(), login };
        Ok(Self { name: None, address, line })
    }

    /// The one that a step names, by its name or by an address.
    ///
    /// # Errors
    /// Where there is none, or it is not to be reached from here.
    pub(super) async fn of(repository: &Repository<'_>, with: &Config, push: bool) -> Result<Self, Halt> {
        repository.check_not_diverted()?;
        let text = with.remote.as_deref().unwrap_or(REMOTE);
        let wrong = |why: String| invalid(format!("`remote`: {why}"));
        if !name::is_remote(text) {
            let address = Address::read(text, &repository.context.workdir).map_err(wrong)?;
            return Ok(Self::at(address, with.auth.as_ref())?);
        }
        let mut found = Vec::new();
        if push {
            found = addresses(repository, &format!("remote.{text}.pushurl")).await?;
        }
        if found.is_empty() {
            found = addresses(repository, &format!("remote.{text}.url")).await?;
        }
        let folder = repository.folder.display();
        let [address] = found.as_slice() else {
            let why =
                if found.is_empty() { "knows no such remote" } else { "knows more than one address of it" };
            return Err(wrong(format!("`{text}`: {folder} {why}; give the address instead")).into());
        };
        let base = repository.top.as_deref().unwrap_or(&repository.folder);
        let address = Address::read(address, base).map_err(|why| wrong(format!("`{text}`: {why}")))?;
        let remote = Self::at(address, with.auth.as_ref())?;
        Ok(Self { name: Some(text.to_owned()), ..remote })
    }

    /// The commit of a branch there; `None` if it has no such branch.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub(super) async fn tip(
        &self,
        repository: &Repository<'_>,
        branch: &str,
    ) -> Result<Option<String>, Halt> {
        let reference = format!("refs/heads/{branch}");
        let wanted = format!("asking {} for `{branch}`", self.address.shown());
        let args =
            ["ls-remote", "--refs", "--upload-pack=git-upload-pack", "--", &self.address.text, &reference];
        let listed = repository.reach(&wanted, &args, &self.line).await?.line();
        // A pattern fits the ends of longer names too.
        let lines = listed.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines.filter(|(_, name)| *name == reference).map(|(sha, _)| sha.to_owned()).next())
    }
}

async fn addresses(repository: &Repository<'_>, key: &str) -> Result<Vec<String>, Halt> {
    let ran = repository.ask(&["config", "--get-all", key]).await?;
    Ok(ran.line().lines().filter(|_| ran.success()).map(str::to_owned).collect())
}

fn login(address: &Address, auth: &Auth) -> Result<Login, StepError> {
    let Some(origin) = address.origin.clone() else {
        return Err(match address.way {
            Way::Ssh => invalid("`auth` is for https; ssh takes the keys of its agent"),
            _ => invalid(format!("`auth` is for https, and {} is none", address.shown())),
        });
    };
    if address.way == Way::Http && !address.loopback {
        let message =
            format!("`auth`: {} is not encrypted, so no token is sent to it; use https", address.shown());
        return Err(StepError::new(ErrorClass::Denied, message));
    }
    let username = auth.username.clone().unwrap_or_else(|| USERNAME.to_owned());
    let unfit = |text: &str| text.is_empty() || text.contains(['\n', '\r', '\0']);
    if unfit(&username) || unfit(&auth.token) {
        return Err(invalid("`auth`: neither username nor token may be empty or hold a line end"));
    }
    Ok(Login { origin, username, token: auth.token.clone() })
}

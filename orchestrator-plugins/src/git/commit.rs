//! `commit`: what has changed, as a commit on the branch that is checked out.
//!
//! The commit is made first and remembered under this step's key; only then does the branch move to it. An attempt that
//! finds it goes on from there, so that a step whose process died commits once.

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::Context;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::{Value, json};

use super::action::{Author, Config, needed};
use super::call::Call;
use super::name;
use super::process::Halt;
use super::repository::Repository;
use crate::config::invalid;

/// What is said of a repository in which a merge waits for a person.
pub(super) const BEGUN_BY_HAND: &str =
    "a merge has been begun there by hand; finish it or give it up (`git merge --abort`)";

/// Who it is where nobody says.
const NOBODY: (&str, &str) = ("orchestrator", "orchestrator@localhost");

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    if let Some(done) = look(context, with).await? {
        return Ok(done);
    }
    let repository = Repository::open(context, &with.folder(context)?).await?;
    repository.working_tree()?;
    let message = needed("message", with.message.as_deref())?;
    let head = repository.commit("HEAD").await?;
    let wanted = format!("committing in {}", repository.folder.display());
    if repository.commit("MERGE_HEAD").await?.is_some() {
        let message = format!("{wanted}: {BEGUN_BY_HAND}");
        return Err(StepError::new(ErrorClass::Failed, message).into());
    }
    stage(&repository, &wanted, with).await?;
    let tree = repository.must(&wanted, &["write-tree"]).await?.line();
    let allow_empty = with.allow_empty.unwrap_or(false);
    if !allow_empty && before(&repository, head.as_deref()).await?.as_deref() == Some(&*tree) {
        return output(&repository, head.as_deref(), false).await;
    }
    let made = match remembered(&repository, &tree, head.as_deref()).await? {
        Some(made) => made,
        None => {
            let identity = identity(&repository, with.author.as_ref()).await?;
            let parents: Vec<&str> = head.as_deref().into_iter().collect();
            let made = make(&repository, &wanted, &tree, &parents, message, identity).await?;
            repository.must(&wanted, &["update-ref", &mark(context), &made]).await?;
            made
        }
    };
    let nothing = "0".repeat(made.len());
    let old = head.as_deref().unwrap_or(&nothing);
    // Fails where somebody else has moved the branch meanwhile.
    repository.must(&wanted, &["update-ref", "-m", "commit (orchestrator)", "HEAD", &made, old]).await?;
    output(&repository, Some(&made), true).await
}

/// The commit that an attempt before this one has made, if it is what this one would make. One that never came onto a
/// branch and is not is forgotten.
async fn remembered(
    repository: &Repository<'_>,
    tree: &str,
    head: Option<&str>,
) -> Result<Option<String>, Halt> {
    let Some(made) = repository.commit(&mark(repository.context)).await? else { return Ok(None) };
    let same = repository.commit(&format!("{made}^")).await?.as_deref() == head
        && before(repository, Some(&made)).await?.as_deref() == Some(tree);
    Ok(Some(made).filter(|_| same))
}

/// Whether the commit of this step is on the branch.
pub(super) async fn look(context: &Context, with: &Config) -> Result<Option<Value>, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let (Some(made), Some(head)) =
        (repository.commit(&mark(context)).await?, repository.commit("HEAD").await?)
    else {
        return Ok(None);
    };
    match repository.is_ancestor(&made, &head).await? {
        true => output(&repository, Some(&made), true).await.map(Some),
        false => Ok(None),
    }
}

/// Where the commit of this step is remembered.
fn mark(context: &Context) -> String {
    format!("refs/orchestrator/{}", context.idempotency_key())
}

async fn output(repository: &Repository<'_>, sha: Option<&str>, committed: bool) -> Result<Value, Halt> {
    Ok(json!({ "sha": sha, "branch": repository.branch().await?, "committed": committed }))
}

async fn stage(repository: &Repository<'_>, wanted: &str, with: &Config) -> Result<(), Halt> {
    let mut args = vec!["add", "--all", "--"];
    match &with.paths {
        Some(paths) if paths.is_empty() => return Ok(()),
        Some(paths) => args.extend(paths.iter().map(String::as_str)),
        None => {}
    }
    // Everything, and not only what is below the folder.
    let top = repository.starting_at(repository.working_tree()?);
    let at = if with.paths.is_some() { repository } else { &top };
    let ran = at.must(wanted, &args).await?;
    repository.tell(&ran.stderr);
    Ok(())
}

/// The tree of a commit; that of nothing, where there is none yet.
async fn before(repository: &Repository<'_>, head: Option<&str>) -> Result<Option<String>, Halt> {
    match head {
        Some(head) => {
            let ran =
                repository.ask(&["rev-parse", "--verify", "--quiet", &format!("{head}^{{tree}}")]).await?;
            Ok(ran.success().then(|| ran.line()))
        }
        None => {
            let ran =
                repository.must("looking at nothing", &["hash-object", "-t", "tree", "--stdin"]).await?;
            Ok(Some(ran.line()))
        }
    }
}

/// Makes a commit that no branch has yet.
///
/// # Errors
/// Class `invalid`, where the message cannot be one.
pub(super) async fn make(
    repository: &Repository<'_>,
    wanted: &str,
    tree: &str,
    parents: &[&str],
    message: &str,
    identity: Vec<(&'static str, String)>,
) -> Result<String, Halt> {
    if message.trim().is_empty() || message.contains('\0') {
        return Err(invalid("`message`: a message is not blank and holds no NUL character").into());
    }
    let message = format!("{}\n", message.trim_end());
    let mut args = vec!["commit-tree", tree];
    for parent in parents {
        args.extend(["-p", parent]);
    }
    args.extend(["-F", "-"]);
    let call = Call::new(&args).input(message.as_bytes()).env(identity);
    Ok(repository.must_run(wanted, call).await?.line())
}

/// Whom a commit is of.
///
/// # Errors
/// Class `invalid`, where a name or an address cannot be one.
pub(super) async fn identity(
    repository: &Repository<'_>,
    author: Option<&Author>,
) -> Result<Vec<(&'static str, String)>, Halt> {
    let (name, email) = match author {
        Some(Author { name, email }) => (name.clone(), email.clone()),
        None => {
            match (configured(repository, "user.name").await?, configured(repository, "user.email").await?) {
                (Some(name), Some(email)) => (name, email),
                _ => (NOBODY.0.to_owned(), NOBODY.1.to_owned()),
            }
        }
    };
    for (key, text) in [("author.name", &name), ("author.email", &email)] {
        name::person(text).map_err(|why| invalid(format!("`{key}`: {why}")))?;
    }
    Ok(vec![
        ("GIT_AUTHOR_NAME", name.clone()),
        ("GIT_AUTHOR_EMAIL", email.clone()),
        ("GIT_COMMITTER_NAME", name),
        ("GIT_COMMITTER_EMAIL", email),
    ])
}

/// Who the user is: what the repository says, or what the user's own configuration says.
async fn configured(repository: &Repository<'_>, key: &str) -> Result<Option<String>, Halt> {
    let own = repository.ask(&["config", "--get", key]).await?;
    if own.success() {
        return Ok(Some(own.line()).filter(|text| name::person(text).is_ok()));
    }
    let home = |name: &'static str| std::env::var(name).ok().map(|value| (name, value));
    let env: Vec<_> = ["HOME", "XDG_CONFIG_HOME"].into_iter().filter_map(home).collect();
    if env.is_empty() {
        return Ok(None);
    }
    // The only look at the user's configuration. Reading a value starts nothing.
    let args = ["config", "--global", "--get", key];
    let users = repository.run(Call::new(&args).env(env).with_users_configuration()).await?;
    Ok(Some(users.line()).filter(|text| users.success() && name::person(text).is_ok()))
}

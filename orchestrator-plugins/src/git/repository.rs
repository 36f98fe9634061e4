//! A repository on this machine, and commands in it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Context, Stream};

use super::call::{Call, Line};
use super::process::{Halt, Launch, Ran, run};
use super::{complaint, tame};
use crate::config::invalid;

/// How long a lock that somebody else holds is waited for: commands of git take far less.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long between two tries. There is no event to wait for.
const PAUSE: Duration = Duration::from_millis(100);

/// How many repositories inside of the repository are looked at.
const NESTED: usize = 200;

/// How many lines of what git says are logged.
const LINES: usize = 200;

/// A repository, or a folder in which one is to be made.
#[derive(Debug, Clone)]
pub(super) struct Repository<'a> {
    pub(super) context: &'a Context,
    /// Where commands start.
    pub(super) folder: PathBuf,
    /// The top of the working tree; `None` if there is none.
    pub(super) top: Option<PathBuf>,
    /// The names in its configuration, and in those of the repositories inside of it.
    names: BTreeSet<String>,
}

impl<'a> Repository<'a> {
    /// No repository: a folder that is there.
    pub(super) fn outside(context: &'a Context, folder: &Path) -> Self {
        Self { context, folder: folder.to_owned(), top: None, names: BTreeSet::new() }
    }

    /// The repository that `folder` is in.
    ///
    /// # Errors
    /// Class `invalid` where there is none, or its configuration points elsewhere.
    pub(super) async fn open(context: &'a Context, folder: &Path) -> Result<Self, Halt> {
        let mut this = Self::outside(context, folder);
        if !folder.is_dir() {
            return Err(invalid(format!("there is no folder {}", folder.display())).into());
        }
        let wanted = format!("looking at {}", folder.display());
        let own =
            this.must(&wanted, &["rev-parse", "--absolute-git-dir", "--is-inside-work-tree"]).await?.line();
        let (directory, inside) = own.rsplit_once('\n').unwrap_or((&own, "false"));
        this.take_names(folder).await?;
        if inside == "true" {
            let top = this.must(&wanted, &["rev-parse", "--show-toplevel"]).await?.line();
            this.check_top(directory, &top).await?;
            this.top = Some(top.into());
        }
        this.look_inside().await?;
        Ok(this)
    }

    /// A configuration can say that the working tree is another folder, whose files a commit would then take.
    async fn check_top(&self, directory: &str, top: &str) -> Result<(), Halt> {
        if !self.names.contains("core.worktree") {
            return Ok(());
        }
        let found = self.ask(&["rev-parse", "--resolve-git-dir", &format!("{top}/.git")]).await?;
        let canonical = |path: &str| std::fs::canonicalize(Path::new(top).join(path)).ok();
        if found.success() && canonical(&found.line()) == canonical(directory) {
            return Ok(());
        }
        let message = format!(
            "{}: `core.worktree` in its configuration names {top}, which is not its own; remove it (`git config --unset core.worktree`)",
            self.folder.display()
        );
        Err(invalid(message).into())
    }

    /// The top of the working tree.
    ///
    /// # Errors
    /// Class `invalid` where there is none.
    pub(super) fn working_tree(&self) -> Result<&Path, Halt> {
        let none =
            || invalid(format!("{} has no working tree; clone it, or add a worktree", self.folder.display()));
        Ok(self.top.as_deref().ok_or_else(none)?)
    }

    /// The same, with commands starting elsewhere in it.
    pub(super) fn starting_at(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    /// Overrides what the configuration in another folder names, too: a worktree can have one of its own.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) async fn take_names(&mut self, folder: &Path) -> Result<(), Halt> {
        let at = self.starting_at(folder);
        let wanted = format!("reading the configuration of {}", folder.display());
        let args = ["config", "--list", "--show-scope", "--name-only", "--includes", "-z"];
        let listed = at.must(&wanted, &args).await?;
        let mut words = listed.stdout.split(|byte| *byte == 0);
        while let (Some(scope), Some(name)) = (words.next(), words.next()) {
            // Our own settings are listed too.
            if scope == b"command" {
                continue;
            }
            // The configuration of a process is text; a name that is none could not be overridden.
            let name = String::from_utf8(name.to_vec()).map_err(|_| {
                invalid(format!("a name in the configuration of {} is not valid UTF-8", folder.display()))
            })?;
            self.names.insert(name);
        }
        let wild = self.names.iter().filter(|name| tame::instead(name).is_some()).count();
        if wild > tame::MOST {
            let (folder, most) = (self.folder.display(), tame::MOST);
            return Err(
                invalid(format!("the configuration of {folder} names more than {most} programs")).into()
            );
        }
        Ok(())
    }

    /// The names of repositories inside of it that it knows as submodules: git looks whether they have changed, with their
    /// own configuration.
    async fn look_inside(&mut self) -> Result<(), Halt> {
        let mut left = NESTED;
        let mut tops: Vec<PathBuf> = self.top.clone().into_iter().collect();
        while let Some(top) = tops.pop() {
            let at = self.starting_at(&top);
            let listed = at.must("listing what is in the index", &["ls-files", "--stage", "-z"]).await?;
            let links = listed.stdout.split(|byte| *byte == 0).filter_map(|entry| {
                let path = entry.strip_prefix(b"160000 ")?.splitn(2, |byte| *byte == b'\t').nth(1)?;
                Some(top.join(std::str::from_utf8(path).ok()?))
            });
            for nested in links.filter(|path| path.join(".git").exists()).collect::<Vec<_>>() {
                left = left.checked_sub(1).ok_or_else(|| {
                    invalid(format!("{} holds more than {NESTED} repositories", self.folder.display()))
                })?;
                self.take_names(&nested).await?;
                tops.push(nested);
            }
        }
        Ok(())
    }

    /// What overrides the configuration: first what could start a program, then what always holds.
    fn settings(&self) -> Vec<(String, String)> {
        let wild = self.names.iter().filter_map(|name| Some((name.clone(), tame::instead(name)?.to_owned())));
        let always = tame::ALWAYS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        wild.chain(always).collect()
    }

    /// Refuses to reach out where the repository's configuration leads elsewhere.
    ///
    /// # Errors
    /// Class `invalid`, naming what does.
    pub(super) fn check_not_diverted(&self) -> Result<(), StepError> {
        match self.names.iter().find(|name| tame::diverts(name)) {
            None => Ok(()),
            Some(name) => Err(invalid(format!(
                "{}: `{name}` in its configuration could lead the connection elsewhere; remove it (`git config --unset-all {name}`)",
                self.folder.display()
            ))),
        }
    }

    /// Runs a command that may fail.
    ///
    /// # Errors
    /// Where it cannot be started, or was told to stop.
    pub(super) async fn ask(&self, args: &[&str]) -> Result<Ran, Halt> {
        self.run(Call::new(args)).await
    }

    /// Runs a command that has to succeed. `wanted` says what for.
    ///
    /// # Errors
    /// As [`Self::ask`], and where it fails.
    pub(super) async fn must(&self, wanted: &str, args: &[&str]) -> Result<Ran, Halt> {
        self.must_run(wanted, Call::new(args)).await
    }

    /// As [`Self::must`].
    pub(super) async fn must_run(&self, wanted: &str, call: Call<'_>) -> Result<Ran, Halt> {
        let ran = self.run(call).await?;
        match ran.success() {
            true => Ok(ran),
            false => Err(complaint::error(wanted, &ran).into()),
        }
    }

    /// As [`Self::ask`]. Waits a while for locks that somebody else holds.
    pub(super) async fn run(&self, call: Call<'_>) -> Result<Ran, Halt> {
        let mut waited = Duration::ZERO;
        loop {
            let launch = Launch {
                args: call.args,
                folder: &self.folder,
                env: call.environment(&self.settings()),
                input: call.input,
                limit: call.limit,
                mask: call.mask.clone(),
            };
            let ran = run(self.context, launch).await?;
            if ran.success() || waited >= PATIENCE || !ran.stderr.contains(".lock': File exists") {
                return Ok(ran);
            }
            tokio::select! {
                reason = self.context.stop.requested() => return Err(Halt::Stopped(reason)),
                () = tokio::time::sleep(PAUSE) => waited += PAUSE,
            }
        }
    }

    /// Tells whoever watches what git has said.
    pub(super) fn tell(&self, said: &str) {
        let lines = said.lines().filter(|line| !line.trim().is_empty());
        lines.take(LINES).for_each(|line| self.context.log(Stream::Stderr, line));
    }

    /// The commit that a name stands for; `None` if there is none.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub(super) async fn commit(&self, name: &str) -> Result<Option<String>, Halt> {
        let name = format!("{name}^{{commit}}");
        let ran = self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name]).await?;
        Ok(ran.success().then(|| ran.line()))
    }

    /// As [`Self::commit`], for one that has to be there; `key` gave the name.
    ///
    /// # Errors
    /// Class `invalid` where there is none.
    pub(super) async fn need(&self, key: &str, name: &str) -> Result<String, Halt> {
        super::name::revision(name).map_err(|why| invalid(format!("`{key}`: {why}")))?;
        let folder = self.folder.display();
        let none = || invalid(format!("`{key}`: there is no commit `{name}` in {folder}; was it fetched?"));
        Ok(self.commit(name).await?.ok_or_else(none)?)
    }

    /// The branch that is checked out; `None` if none is.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub(super) async fn branch(&self) -> Result<Option<String>, Halt> {
        let ran = self.ask(&["symbolic-ref", "--quiet", "HEAD"]).await?;
        Ok(ran.line().strip_prefix("refs/heads/").map(str::to_owned).filter(|_| ran.success()))
    }

    /// Whether a commit is among those that `of` is made of.
    ///
    /// # Errors
    /// Where git cannot be asked.
    pub(super) async fn is_ancestor(&self, commit: &str, of: &str) -> Result<bool, Halt> {
        let ran = self.ask(&["merge-base", "--is-ancestor", commit, of]).await?;
        match ran.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(complaint::error("comparing commits", &ran).into()),
        }
    }

    /// Runs `call` over a line.
    ///
    /// # Errors
    /// As [`Self::must_run`].
    pub(super) async fn reach(&self, wanted: &str, args: &[&str], line: &Line) -> Result<Ran, Halt> {
        self.must_run(wanted, Call::new(args).over(line)).await
    }
}

//! Finding a registered workflow and one of its revisions.

use std::sync::Arc;

use orchestrator_core::engine::StartRun;
use orchestrator_core::port::store::{RevisionQuery, RevisionRow, Store, WorkflowQuery, WorkflowRow};

use crate::exit::Exit;
use crate::output::{Problem, suggest};
use crate::shell::Shell;

/// The project of this command line.
pub(crate) const PROJECT: &str = StartRun::DEFAULT_PROJECT;

/// What the beginning of a digest begins with.
const DIGEST: &str = "sha256:";

/// The fewest hex digits that name a revision.
const SHORTEST: usize = 4;

/// How many names are looked through for one that was meant.
const NEIGHBOURS: usize = 500;

/// Which revision is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    Latest,
    Number(u64),
    /// The beginning of a digest, with `sha256:`.
    Digest(String),
}

impl Which {
    /// Reads a revision as it is typed.
    ///
    /// # Errors
    /// Exit 2 if it is neither a number nor the beginning of a digest.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let hex = text.strip_prefix(DIGEST);
        if let Some(number) = text.parse().ok().filter(|number| *number > 0) {
            return Ok(Self::Number(number));
        }
        let is_hex = |hex: &str| {
            (SHORTEST..=64).contains(&hex.len())
                && hex.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        };
        if hex.is_some_and(is_hex) {
            return Ok(Self::Digest(text.to_owned()));
        }
        let title = format!("`{text}` names no revision");
        Err(Problem::new(Exit::Usage, "usage", title)
            .hint("a number such as 2, or the beginning of a digest such as sha256:1f8a"))
    }

    /// Reads `NAME` or `NAME@REV`.
    ///
    /// # Errors
    /// As [`Which::parse`].
    pub(crate) fn split(text: &str) -> Result<(&str, Self), Problem> {
        match text.rsplit_once('@') {
            Some((name, revision)) => Ok((name, Self::parse(revision)?)),
            None => Ok((text, Self::Latest)),
        }
    }
}

/// The registered workflow of this name.
///
/// # Errors
/// Exit 4 if there is none.
pub(crate) async fn workflow(
    store: &Arc<dyn Store>,
    name: &str,
    shell: &Shell,
) -> Result<WorkflowRow, Problem> {
    let of_project = WorkflowQuery { project: Some(PROJECT.to_owned()), ..WorkflowQuery::default() };
    let query = WorkflowQuery { name: Some(name.to_owned()), limit: 1, ..of_project.clone() };
    if let Some(row) = store.workflows(query).await?.items.pop() {
        return Ok(row);
    }
    let all = store.workflows(WorkflowQuery { limit: NEIGHBOURS, ..of_project }).await?.items;
    let title = format!("there is no registered workflow `{name}`");
    let problem = Problem::new(Exit::NotFound, "workflow_not_found", title);
    Err(if let Some(near) = suggest::nearest(name, all.iter().map(|row| &*row.name)) {
        problem.hint(format!("did you mean `{near}`?"))
    } else if name.ends_with(".yaml") || name.ends_with(".yml") {
        problem.tries(shell.command(&format!("workflow register {}", crate::shell::quoted(name))))
    } else if all.is_empty() {
        problem.tries(shell.command("workflow register FILE"))
    } else {
        problem.tries(shell.command("workflow list"))
    })
}

/// One revision of a workflow.
///
/// # Errors
/// Exit 4 if there is none, or several digests begin so.
pub(crate) async fn revision(
    store: &Arc<dyn Store>,
    workflow: &WorkflowRow,
    which: &Which,
    shell: &Shell,
) -> Result<RevisionRow, Problem> {
    let name = &*workflow.name;
    let unknown = |named: &str| {
        let title = format!("`{name}` has no revision {named}");
        let show = shell.command(&format!("workflow show {}", crate::shell::quoted(name)));
        Problem::new(Exit::NotFound, "revision_not_found", title).tries(show)
    };
    match which {
        Which::Latest => Ok(workflow.latest.clone()),
        Which::Number(number) => {
            let before = Some(number.saturating_add(1));
            let found = store.workflow_revisions(query(name, before, 1)).await?.items.pop();
            found.filter(|row| row.number == *number).ok_or_else(|| unknown(&number.to_string()))
        }
        Which::Digest(prefix) => {
            let mut found: Vec<RevisionRow> = Vec::new();
            let mut before = None;
            loop {
                let page = store.workflow_revisions(query(name, before, 0)).await?;
                before = page.items.last().map(|row| row.number);
                let these = page.items.into_iter().filter(|row| row.revision.to_string().starts_with(prefix));
                found.extend(these);
                if !page.more {
                    break;
                }
            }
            // The same text may have been registered again: the latest of them is meant.
            found.dedup_by_key(|row| row.revision);
            let same = found.iter().all(|row| row.revision == found[0].revision);
            match found.into_iter().next() {
                Some(row) if same => Ok(row),
                Some(_) => {
                    let title = format!("several revisions of `{name}` begin with {prefix}");
                    Err(Problem::new(Exit::NotFound, "revision_ambiguous", title)
                        .hint("give more of the digest"))
                }
                None => Err(unknown(prefix)),
            }
        }
    }
}

/// The text of a revision.
///
/// # Errors
/// Exit 7 if the store has lost it.
pub(crate) async fn text(store: &Arc<dyn Store>, row: &RevisionRow) -> Result<Arc<str>, Problem> {
    store.revision(row.revision).await?.ok_or_else(|| {
        let title = format!("the store has lost the text of {}", row.revision);
        Problem::new(Exit::Unavailable, "store_corrupt", title)
    })
}

/// Asks for revisions of a name.
pub(crate) fn query(name: &str, before: Option<u64>, limit: usize) -> RevisionQuery {
    RevisionQuery { project: PROJECT.to_owned(), name: name.to_owned(), before, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_numbers_or_digests() {
        assert_eq!(Which::split("a b").unwrap(), ("a b", Which::Latest));
        assert_eq!(Which::split("a@12").unwrap(), ("a", Which::Number(12)));
        assert_eq!(Which::split("a@sha256:12ab").unwrap(), ("a", Which::Digest("sha256:12ab".to_owned())));
        for wrong in ["a@", "a@x", "a@0", "a@-1", "a@sha256:", "a@sha256:12", "a@sha256:12AB", "a@1.0"] {
            assert_eq!(Which::split(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}

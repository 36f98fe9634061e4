//! `-i name=value`: the values that a run is given.

use std::collections::BTreeMap;
use std::path::Path;

use orchestrator_core::spec::inputs::{self, Given};
use orchestrator_core::spec::{Diagnostics, Workflow};

use crate::exit::Exit;
use crate::output::{Item, Problem};
use crate::source;

/// The longest value that is read from a file, in bytes: what a store keeps.
const LIMIT: u64 = orchestrator_core::value::VALUE_LIMIT as u64;

/// Splits `NAME=VALUE` arguments of a flag.
///
/// # Errors
/// No `=`, no name, or a name given twice.
pub(crate) fn pairs(flag: &str, arguments: &[String]) -> Result<BTreeMap<String, String>, Problem> {
    let mut pairs = BTreeMap::new();
    for argument in arguments {
        let Some((name, value)) = argument.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let title = format!("`{flag} {argument}` is not of the form NAME=VALUE");
            return Err(Problem::new(Exit::Usage, "usage", title).tries(format!("{flag} NAME=VALUE")));
        };
        if pairs.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Problem::new(Exit::Usage, "usage", format!("`{flag} {name}=…` is given twice")));
        }
    }
    Ok(pairs)
}

/// What a workflow's inputs are given, found to fit.
///
/// # Errors
/// Every name the workflow does not declare, every value that is not of the declared type, every required input
/// without a value.
pub(crate) fn read(
    arguments: &[String],
    workflow: &Workflow,
    spec_name: &str,
) -> Result<BTreeMap<String, Given>, Problem> {
    let given = given(arguments)?;
    match inputs::resolve(workflow, &given) {
        Ok(_) => Ok(given),
        Err(diagnostics) => Err(refused(&diagnostics, spec_name)),
    }
}

/// What inputs are given, whether they fit or not.
///
/// # Errors
/// An argument that is none, a file that cannot be read.
pub(crate) fn given(arguments: &[String]) -> Result<BTreeMap<String, Given>, Problem> {
    let pairs = pairs("-i", arguments)?.into_iter();
    pairs
        .map(|(name, text)| content(&format!("input `{name}`"), &text).map(|text| (name, Given::Text(text))))
        .collect()
}

/// Inputs that do not fit.
pub(crate) fn refused(Diagnostics(diagnostics): &Diagnostics, spec_name: &str) -> Problem {
    let items = diagnostics.iter().map(|diagnostic| Item::of(diagnostic, spec_name, "")).collect();
    Problem::new(Exit::Invalid, "invalid_input", format!("the inputs do not fit {spec_name}"))
        .tries("-i NAME=VALUE")
        .items(items)
}

/// The text of what is called so: as given, from a file (`@FILE`), from stdin (`@-`), or after an `@` that is meant (`@@`).
pub(crate) fn content(name: &str, text: &str) -> Result<String, Problem> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    if path.starts_with('@') {
        return Ok(path.to_owned());
    }
    let source = source::read(Path::new(path), LIMIT, "value")?;
    String::from_utf8(source.bytes).map_err(|_| {
        let title = format!("the value of {name} in {} is not valid UTF-8", source.name);
        Problem::new(Exit::Invalid, "encoding", title)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_split_at_the_first_sign() {
        let given = ["a=b=c".to_owned(), "d=".to_owned()];
        let split = BTreeMap::from([("a".into(), "b=c".into()), ("d".into(), String::new())]);
        assert_eq!(pairs("-i", &given).unwrap(), split);
        assert!(pairs("-i", &["a".to_owned()]).is_err());
        assert!(pairs("-i", &["=a".to_owned()]).is_err());
        assert!(pairs("-i", &["a=1".to_owned(), "a=2".to_owned()]).is_err());
    }

    #[test]
    fn an_at_sign_that_is_meant_is_doubled() {
        assert_eq!(content("a", "@@home").unwrap(), "@home");
        assert_eq!(content("a", "me@home").unwrap(), "me@home");
        assert_eq!(content("a", "@/nowhere/at/all").unwrap_err().exit(), Exit::NotFound);
    }
}

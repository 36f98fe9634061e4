//! `diff`: what differs between two commits, or between a commit and the working tree.

use orchestrator_core::port::plugin::Context;
use serde_json::{Map, Value, json};

use super::action::Config;
use super::call::Call;
use super::process::Halt;
use super::repository::Repository;
use super::schema::{PATCH, PATCH_MAX};

/// How many files are listed.
const FILES: usize = 5000;

/// What git never does here: start a program, look into submodules, be guided by the user's taste.
const PLAIN: [&str; 8] = [
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--find-renames",
    "--ignore-submodules=dirty",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

pub(super) async fn carry_out(context: &Context, with: &Config) -> Result<Value, Halt> {
    let repository = Repository::open(context, &with.folder(context)?).await?;
    let from = repository.need("from", with.from.as_deref().unwrap_or("HEAD")).await?;
    let to = match with.to.as_deref() {
        Some(to) => Some(repository.need("to", to).await?),
        None => {
            repository.working_tree()?;
            None
        }
    };
    let mut what: Vec<&str> = vec![&from];
    what.extend(to.as_deref());
    what.push("--");
    what.extend(with.paths.iter().flatten().map(String::as_str));
    let wanted = format!("comparing in {}", repository.folder.display());
    let args = |form: &[&'static str]| [&PLAIN, form, &what].concat();
    let raw = repository.must(&wanted, &args(&["--raw", "--no-abbrev", "-z"])).await?;
    let counts = repository.must(&wanted, &args(&["--numstat", "-z"])).await?;
    let mut files = files(&raw.stdout, &counts.stdout);
    let mut truncated = files.len() > FILES || raw.cut;
    files.truncate(FILES);
    let mut output = json!({ "files": files });
    if !with.stat.unwrap_or(false) {
        let limit = usize::try_from(with.max_bytes.unwrap_or(PATCH).min(PATCH_MAX)).unwrap_or(usize::MAX);
        let (args, mask) = (args(&["--patch"]), &context.mask);
        let ran = repository.must_run(&wanted, Call::new(&args).kept(limit, mask)).await?;
        truncated |= ran.cut;
        output["patch"] = text(&ran.stdout, ran.cut).into();
    }
    output["truncated"] = truncated.into();
    Ok(output)
}

/// What is text in it. A character that was cut in two goes; so does NUL, which no store can keep.
fn text(bytes: &[u8], cut: bool) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if cut && error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).replace('\0', "\u{fffd}")
}

/// The list of files, from git's two forms of it: the kinds of changes, and the numbers of lines.
fn files(raw: &[u8], counts: &[u8]) -> Vec<Value> {
    let mut counts = numbers(counts).into_iter();
    let mut words = raw.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut files = Vec::new();
    while let Some(head) = words.next().filter(|head| head.starts_with(':')) {
        let letter = head.rsplit(' ').next().and_then(|status| status.chars().next()).unwrap_or('X');
        let Some(first) = words.next() else { break };
        let mut file = Map::new();
        let path = match letter {
            'R' | 'C' => {
                file.insert("from".to_owned(), first.into());
                words.next().unwrap_or_default()
            }
            _ => first,
        };
        file.insert("path".to_owned(), path.into());
        file.insert("status".to_owned(), status(letter).into());
        let (added, deleted) = counts.next().unwrap_or_default();
        file.insert("added".to_owned(), json!(added));
        file.insert("deleted".to_owned(), json!(deleted));
        files.push(file.into());
    }
    files
}

fn status(letter: char) -> &'static str {
    match letter {
        'A' => "added",
        'D' => "deleted",
        'R' => "renamed",
        'C' => "copied",
        'T' => "type_changed",
        'U' => "unmerged",
        _ => "modified",
    }
}

/// Added and deleted lines, in git's order of files; none for what is not text.
fn numbers(counts: &[u8]) -> Vec<(Option<u64>, Option<u64>)> {
    let mut words = counts.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let mut numbers = Vec::new();
    while let Some(word) = words.next().filter(|word| !word.is_empty()) {
        let mut parts = word.splitn(3, '\t');
        let mut number = || parts.next().and_then(|text| text.parse().ok());
        numbers.push((number(), number()));
        if parts.next().is_none_or(str::is_empty) {
            // A renamed file: where it was and where it is follow.
            words.next();
            words.next();
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_lists_are_one() {
        let raw =
            b":100644 100644 a b M\0one\0:100644 100644 a b R090\0old name\0new\0:000000 100644 0 b A\0bin\0";
        let counts = b"1\t2\tone\x003\t0\t\0old name\0new\0-\t-\tbin\0";
        assert_eq!(
            files(raw, counts),
            [
                json!({ "path": "one", "status": "modified", "added": 1, "deleted": 2 }),
                json!({ "path": "new", "from": "old name", "status": "renamed", "added": 3, "deleted": 0 }),
                json!({ "path": "bin", "status": "added", "added": null, "deleted": null }),
            ]
        );
        assert_eq!(files(b"", b""), [Value::Null; 0]);
    }

    #[test]
    fn a_cut_patch_ends_at_a_character() {
        assert_eq!(text("aé".as_bytes(), false), "aé");
        assert_eq!(text(&"aé".as_bytes()[..2], true), "a");
        assert_eq!(text(b"a\0\xff", false), "a\u{fffd}\u{fffd}");
    }
}

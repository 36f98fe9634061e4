//! `schema`: what editors need to help with workflows.

use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_core::engine::Registry;
use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::spec;
use orchestrator_core::spec::reference::{Kind, json_schema};
use serde_json::json;

use crate::app::App;
use crate::args::Schema;
use crate::exit::Exit;
use crate::files;
use crate::output::Problem;
use crate::source;

/// The schema's file in the `.orchestrator` folder.
pub(crate) const FILE: &str = "workflow.schema.json";

/// How the line begins in which a file names its schema.
const MODELINE: &str = "# yaml-language-server: $schema=";

/// What the byte order mark is, where a text has one.
const MARK: char = '\u{feff}';

pub(crate) fn carry_out(app: &App, args: &Schema) -> Result<Exit, Problem> {
    if !args.install {
        app.output.print(text(&app.plugins()?).trim_end())?;
        return Ok(Exit::Ok);
    }
    let folder = app.settings.place.folder();
    // Everything is read before anything is written.
    let read = args.files.iter().map(|path| Ok((path, read(path)?))).collect::<Result<Vec<_>, Problem>>()?;
    super::init::make_place(folder)?;
    let schema = folder.join(FILE);
    let mut done = vec![(write(&schema, &text(&app.plugins()?))?, schema.clone())];
    let schema = fs::canonicalize(&schema).map_err(|error| files::cannot_write(&schema, &error))?;
    for (path, old) in read {
        let new = with_modeline(&old, &place(path, &schema)?);
        let word = if new == old { "kept   " } else { "changed" };
        if new != old {
            files::replace(path, new.as_bytes())?;
        }
        done.push((word, path.clone()));
    }
    tell(app, &done)
}

fn tell(app: &App, done: &[(&str, PathBuf)]) -> Result<Exit, Problem> {
    if app.output.json().is_some() {
        let files: Vec<_> = done
            .iter()
            .map(|(word, path)| json!({ "file": path.display().to_string(), "done": word.trim_end() }))
            .collect();
        app.output.print_json(&json!({ "items": files, "next": null }))?;
        return Ok(Exit::Ok);
    }
    let lines: Vec<String> = done.iter().map(|(word, path)| format!("{word}  {}", path.display())).collect();
    app.output.print(&lines.join("\n"))?;
    if let [_] = done {
        let command = app.shell.command("schema --install FILE");
        app.output.note(&format!("\nto let a workflow name it: {command}"));
    }
    Ok(Exit::Ok)
}

/// The schema of workflows that use these kinds of steps.
pub(crate) fn text(plugins: &Registry) -> String {
    let kinds: Vec<Kind<'_>> = plugins.iter().map(|plugin| kind(&**plugin)).collect();
    // A value of JSON is always encodable.
    let mut text = serde_json::to_string_pretty(&json_schema(&kinds)).unwrap_or_default();
    text.push('\n');
    text
}

fn kind(plugin: &dyn Plugin) -> Kind<'_> {
    Kind {
        name: plugin.kind(),
        summary: plugin.summary(),
        config: plugin.config_schema(),
        output: plugin.output_schema(),
    }
}

/// Writes what is not there, or is not this.
pub(crate) fn write(path: &Path, text: &str) -> Result<&'static str, Problem> {
    match fs::read(path) {
        Ok(old) if old == text.as_bytes() => Ok("kept   "),
        Ok(_) => files::replace(path, text.as_bytes()).map(|()| "changed"),
        Err(_) => files::replace(path, text.as_bytes()).map(|()| "created"),
    }
}

/// A workflow's text; any text will do.
fn read(path: &Path) -> Result<String, Problem> {
    if path.as_os_str() == "-" {
        let title = "stdin cannot be changed: name a file";
        return Err(Problem::new(Exit::Usage, "usage", title));
    }
    let source = source::read(path, spec::parse::MAX_BYTES as u64, "workflow")?;
    String::from_utf8(source.bytes).map_err(|_| {
        Problem::new(Exit::Invalid, "encoding", format!("{} is not UTF-8", source.name))
            .hint("save it as UTF-8")
    })
}

/// How the schema is called from where a file is.
fn place(file: &Path, schema: &Path) -> Result<String, Problem> {
    let file = fs::canonicalize(file).map_err(|error| files::cannot_write(file, &error))?;
    let from = file.parent().unwrap_or(Path::new("/"));
    let path = files::relative(from, schema).display().to_string();
    // An address: what could end it or begin something else is escaped.
    let escaped = path.chars().map(|c| match c {
        ' ' => "%20".to_owned(),
        '%' => "%25".to_owned(),
        '#' => "%23".to_owned(),
        '?' => "%3F".to_owned(),
        c => c.to_string(),
    });
    let path: String = escaped.collect();
    Ok(if path.starts_with("..") { path } else { format!("./{path}") })
}

/// The text with a first line that names the schema. One among the comments at its beginning is changed in place.
fn with_modeline(text: &str, schema: &str) -> String {
    let line = format!("{MODELINE}{schema}");
    let (mark, body) = match text.strip_prefix(MARK) {
        Some(body) => (&text[..MARK.len_utf8()], body),
        None => ("", text),
    };
    let mut at = 0;
    for old in body.split_inclusive('\n') {
        let content = old.trim_end_matches(['\n', '\r']);
        if !content.is_empty() && !content.starts_with('#') {
            break;
        }
        if is_modeline(content) {
            let rest = &body[at + content.len()..];
            return format!("{mark}{}{line}{rest}", &body[..at]);
        }
        at += old.len();
    }
    let end = if body.split_inclusive('\n').next().is_some_and(|first| first.ends_with("\r\n")) {
        "\r\n"
    } else {
        "\n"
    };
    format!("{mark}{line}{end}{body}")
}

fn is_modeline(line: &str) -> bool {
    let comment = line.trim_start_matches('#').trim_start();
    let named = comment.strip_prefix("yaml-language-server").map(str::trim_start);
    named
        .and_then(|rest| rest.strip_prefix(':'))
        .is_some_and(|rest| rest.trim_start().starts_with("$schema="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modeline_is_put_first_or_changed_where_it_is() {
        let line = "# yaml-language-server: $schema=./s.json";
        for (before, after) in [
            ("", format!("{line}\n")),
            ("name: a\n", format!("{line}\nname: a\n")),
            ("name: a", format!("{line}\nname: a")),
            ("name: a\r\nx: 1\r\n", format!("{line}\r\nname: a\r\nx: 1\r\n")),
            ("\u{feff}name: a\n", format!("\u{feff}{line}\nname: a\n")),
            (
                "# why\n\n#yaml-language-server : $schema=old.json\n\nname: a",
                format!("# why\n\n{line}\n\nname: a"),
            ),
            ("# yaml-language-server: $schema=old\r\nname: a\r\n", format!("{line}\r\nname: a\r\n")),
            // Not among the comments at the beginning: it is text of the author.
            (
                "run: |\n# yaml-language-server: $schema=x\n",
                format!("{line}\nrun: |\n# yaml-language-server: $schema=x\n"),
            ),
        ] {
            assert_eq!(with_modeline(before, "./s.json"), after, "{before:?}");
            assert_eq!(with_modeline(&after, "./s.json"), after, "again: {before:?}");
        }
    }
}

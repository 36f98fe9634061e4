//! `init`: a folder for state, and a sample to begin with. Nothing that exists is overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use orchestrator_core::port::store::Store as _;
use serde_json::json;

use crate::app::App;
use crate::args::Init;
use crate::commands::schema;
use crate::exit::Exit;
use crate::files::{cannot_write, create};
use crate::output::Problem;
use crate::settings::FOLDER;
use crate::shell::quoted;
use crate::store;

/// The sample: runs at once, and shows inputs, needs, env and outputs.
const SAMPLE: &str = include_str!("init/hello.yaml");

/// The configuration file: everything is a comment.
const CONFIG: &str = include_str!("init/config.toml");

/// What in the folder is worth keeping under version control.
const IGNORE: &str = "# The state of runs is this machine's own; only the configuration and the schema are shared.\n*\n!.gitignore\n!config.toml\n!workflow.schema.json\n";

/// One file that was made, or was there.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    new: bool,
}

pub(crate) async fn carry_out(app: &App, args: &Init) -> Result<Exit, Problem> {
    let root = args.folder.clone().unwrap_or_default();
    let above = if args.folder.is_none() && !app.cwd.join(FOLDER).exists() && app.settings.place.exists() {
        Some(app.settings.place.folder().to_owned())
    } else {
        None
    };
    let mut made = make(&root.join(FOLDER))?;
    made.push(write_new(&root.join("hello.yaml"), SAMPLE)?);
    made.push(write_new(&root.join(FOLDER).join(schema::FILE), &schema::text(&app.plugins()?))?);
    let database = root.join(FOLDER).join("state.db");
    let new = !database.exists();
    let store = store::connect(&database, &app.settings).await?;
    store.close().await?;
    made.push(Made { path: database, new });
    tell(app, &root, &made, above.as_deref())
}

/// Makes an `.orchestrator` folder with what belongs into it, apart from the store.
pub(crate) fn make_place(folder: &Path) -> Result<(), Problem> {
    make(folder).map(drop)
}

fn tell(app: &App, root: &Path, made: &[Made], above: Option<&Path>) -> Result<Exit, Problem> {
    let sample = root.join("hello.yaml");
    let next = app.shell.command(&format!("run {}", quoted(&sample.display().to_string())));
    if app.output.json().is_some() {
        let names = |new: bool| -> Vec<String> {
            made.iter().filter(|file| file.new == new).map(|file| file.path.display().to_string()).collect()
        };
        app.output.print_json(&json!({ "created": names(true), "kept": names(false), "next": next }))?;
        return Ok(Exit::Ok);
    }
    let mut lines = Vec::new();
    for file in made {
        let word = if file.new { "created" } else { "kept   " };
        lines.push(format!("{word}  {}", file.path.display()));
    }
    if let Some(above) = above {
        lines.push(format!("note: below here, this folder is used instead of {}", above.display()));
    }
    lines.push(format!("next:    {next}"));
    app.output.print(&lines.join("\n"))?;
    Ok(Exit::Ok)
}

fn make(folder: &Path) -> Result<Vec<Made>, Problem> {
    fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
    Ok(vec![write_new(&folder.join(".gitignore"), IGNORE)?, write_new(&folder.join("config.toml"), CONFIG)?])
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> Result<Made, Problem> {
    let new = create(path, text.as_bytes())?;
    Ok(Made { path: path.to_owned(), new })
}

//! The configuration file: TOML; an unknown key or a wrong type is refused by name.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use config::{Config, FileFormat, Map, Source, Value, ValueKind};
use rustix::process::geteuid;

use crate::exit::Exit;
use crate::output::{Problem, suggest};
use crate::settings::outside::{self, MCP, OutsidePlugin, OutsideServer, PLUGINS};
use crate::settings::{FOLDER, KEYS, Key, Origin, Sourced, trust};

/// The longest configuration file that is read, in bytes (1 MiB).
const LIMIT: u64 = 1 << 20;

/// The keys that name what is started.
const STARTING: [&str; 3] = [PLUGINS, MCP, "secrets_command"];

/// A configuration file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    values: Map<String, Value>,
    plugins: Vec<OutsidePlugin>,
    servers: Vec<OutsideServer>,
}

impl File {
    /// A file that was named: it must be there, and whoever named it trusts it.
    pub(super) fn required(path: &Path) -> Result<Self, Problem> {
        let (file, _) = Self::read(path)?.ok_or_else(|| {
            let title = format!("there is no configuration file {}", path.display());
            Problem::new(Exit::Usage, "config_not_found", title)
        })?;
        Ok(file)
    }

    /// A file that may have been found: nobody has said that it is one to trust. What it names is started only where nobody
    /// else can have written it.
    pub(super) fn found(path: &Path) -> Result<Option<Self>, Problem> {
        let Some((file, held)) = Self::read(path)? else { return Ok(None) };
        match STARTING.into_iter().find(|key| file.values.contains_key(*key)) {
            Some(key) => trust::check(path, &held, geteuid().as_raw(), key).map(|()| Some(file)),
            None => Ok(Some(file)),
        }
    }

    /// A file, if it is there, and what the system says of it.
    fn read(path: &Path) -> Result<Option<(Self, Metadata)>, Problem> {
        let wrong =
            |why: String| Problem::new(Exit::Usage, "config_invalid", format!("{}: {why}", path.display()));
        let (text, held) = match read(path) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
        };
        let source = config::File::from_str(&text, FileFormat::Toml);
        let parsed =
            Config::builder().add_source(source).build().map_err(|error| wrong(error.to_string()))?;
        let values = parsed.collect().map_err(|error| wrong(error.to_string()))?;
        for name in values.keys() {
            if !names().any(|known| known == name) {
                return Err(unknown_key(path, name));
            }
        }
        for key in KEYS {
            if let Some(value) = values.get(key.name) {
                check_type(key, value).map_err(|why| wrong(format!("{}: {why}", key.name)))?;
            }
        }
        let plugins = outside::plugins(&values, path, base(path)).map_err(wrong)?;
        let servers = outside::servers(&values, path, base(path)).map_err(wrong)?;
        Ok(Some((Self { path: path.to_owned(), values, plugins, servers }, held)))
    }

    /// The executables that it names, each with its place.
    pub(super) fn plugins(&self) -> &[OutsidePlugin] {
        &self.plugins
    }

    /// The MCP servers that it names, by name.
    pub(super) fn servers(&self) -> &[OutsideServer] {
        &self.servers
    }

    /// A setting, as text. A relative path of a store, of secrets or of prices starts at the folder that holds `.orchestrator`, or
    /// else at the file's own.
    pub(super) fn get(&self, key: &Key) -> Option<Sourced> {
        let text = self.values.get(key.name)?.clone().into_string().ok()?;
        let value = match (key.name, text.strip_prefix("sqlite:")) {
            ("store", Some(path)) if Path::new(path).is_relative() => {
                format!("sqlite:{}", base(&self.path).join(path).display())
            }
            ("secrets_file" | "prices", _) if Path::new(&text).is_relative() => {
                base(&self.path).join(&text).display().to_string()
            }
            _ => text,
        };
        Some(Sourced { value, origin: Origin::File(self.path.clone()) })
    }
}

/// Where relative paths of a file start.
fn base(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.file_name().is_some_and(|name| name == FOLDER) {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    }
}

/// What may stand in a file: settings of one value, and lists of executables.
fn names() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().map(|key| key.name).chain([PLUGINS, MCP])
}

fn read(path: &Path) -> std::io::Result<(String, Metadata)> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    let held = file.metadata()?;
    file.take(LIMIT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(std::io::Error::other(format!("it is longer than {LIMIT} bytes")));
    }
    Ok((text, held))
}

fn unknown_key(path: &Path, name: &str) -> Problem {
    let hint = suggest::nearest(name, names()).map_or_else(
        || format!("settings are {}", names().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Problem::new(Exit::Usage, "config_unknown_key", format!("{}: unknown key `{name}`", path.display()))
        .hint(hint)
}

/// Text for texts, a whole number (or one as text) for numbers.
fn check_type(key: &Key, value: &Value) -> Result<(), String> {
    let found = match &value.kind {
        ValueKind::String(_) => "text",
        ValueKind::I64(_) | ValueKind::U64(_) | ValueKind::I128(_) | ValueKind::U128(_) => "a whole number",
        ValueKind::Float(_) => "a number with a fraction",
        ValueKind::Boolean(_) => "a boolean",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
        ValueKind::Nil => "nothing",
    };
    let wanted = if key.name == "slots" { "a whole number" } else { "text" };
    if found == wanted { Ok(()) } else { Err(format!("expected {wanted}, found {found}")) }
}

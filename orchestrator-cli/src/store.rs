//! Opening the store that a URL names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orchestrator_core::memory::MemoryStore;
use orchestrator_core::port::store::{Store, StoreError};
use orchestrator_postgres::PostgresStore;
use orchestrator_sqlite::{Options, SqliteStore};

use crate::exit::Exit;
use crate::output::{Problem, suggest};
use crate::settings::{Origin, Settings};

/// Where runs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, by its URL.
    Postgres(String),
    /// The memory of this process.
    Memory,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For changing what is in it; one that is not there is made.
    Create,
    /// For changing what is in it; it must be there.
    Existing,
    /// For looking at what is in it; it must be there.
    Looking,
}

/// Every scheme of a store URL that anybody may type.
const SCHEMES: [&str; 4] = ["sqlite", "memory", "postgres", "postgresql"];

impl Location {
    /// Reads a store URL.
    ///
    /// # Errors
    /// Exit 2; passwords in the URL are not repeated.
    pub(crate) fn parse(url: &str) -> Result<Self, Problem> {
        let wrong = |title: String| Problem::new(Exit::Usage, "invalid_store_url", title);
        let (scheme, rest) = match url.split_once(':') {
            Some(("memory", _)) | None if url == "memory" || url == "memory:" => return Ok(Self::Memory),
            Some((scheme, rest)) => (scheme, rest),
            None => {
                return Err(wrong(format!("`{}` is not a store URL", masked(url)))
                    .tries(format!("--store sqlite:{}", masked(url))));
            }
        };
        match scheme {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                match path {
                    "" => Err(wrong("the store URL names no file".to_owned()).tries("--store sqlite:PATH")),
                    ":memory:" => {
                        Err(wrong("`sqlite::memory:` would be gone at once".to_owned())
                            .tries("--store memory"))
                    }
                    _ if path.contains('?') => {
                        Err(wrong("a store URL takes no options after `?`".to_owned())
                            .tries("--store sqlite:PATH"))
                    }
                    _ => Ok(Self::Sqlite(PathBuf::from(path))),
                }
            }
            "postgres" | "postgresql" if rest.starts_with("//") => Ok(Self::Postgres(url.to_owned())),
            "postgres" | "postgresql" => Err(wrong(format!("`{}` is not a store URL", masked(url)))
                .tries("--store postgres://USER@HOST/DATABASE")),
            _ => {
                let hint = suggest::nearest(scheme, SCHEMES).map_or_else(
                    || "sqlite:PATH, postgres://USER@HOST/DATABASE or memory".to_owned(),
                    |near| format!("did you mean `{near}:`?"),
                );
                Err(wrong(format!("unknown kind of store `{scheme}` in {}", masked(url))).hint(hint))
            }
        }
    }
}

/// A URL without its password: whatever stands between the user's name and the host, and the values of options that
/// look like secrets.
pub(crate) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may itself hold any of these signs: what stands before the last `@` is never shown.
    let at = rest.rfind('@').or_else(|| rest[..end].rfind('@'));
    let (login, host) = at.map_or((None, rest), |at| (Some(&rest[..at]), &rest[at + 1..]));
    let login = login.map_or(String::new(), |login| match login.split_once(':') {
        Some((user, _)) => format!("{user}:***@"),
        None => format!("{login}@"),
    });
    let (path, options) = host.split_once('?').map_or((host, None), |(path, options)| (path, Some(options)));
    let options = options.map_or(String::new(), |options| {
        let options: Vec<String> = options
            .split('&')
            .map(|option| match option.split_once('=') {
                Some((key, _))
                    if ["pass", "secret", "key", "token"].iter().any(|word| key.contains(word)) =>
                {
                    format!("{key}=***")
                }
                _ => option.to_owned(),
            })
            .collect();
        format!("?{}", options.join("&"))
    });
    format!("{scheme}://{login}{path}{options}")
}

/// Opens the store of the settings.
///
/// # Errors
/// Exit 2 for a wrong URL, 4 where there is no store yet and none is to be made, 6 where it has moved and is to be changed,
/// 7 where it cannot be opened.
pub(crate) async fn open(settings: &Settings, access: Access) -> Result<Arc<dyn Store>, Problem> {
    let changes = access != Access::Looking;
    match Location::parse(&settings.store().value)? {
        Location::Memory => Ok(Arc::new(MemoryStore::new())),
        Location::Sqlite(path) => {
            match access {
                Access::Create => make_folder(&path, settings)?,
                _ if !path.exists() => return Err(missing(&path, &settings.store().origin)),
                _ => {}
            }
            let store = connect(&path, settings).await?;
            refuse_moved(store.moved_to().filter(|_| changes))?;
            Ok(Arc::new(store))
        }
        Location::Postgres(url) => {
            let store = match access {
                Access::Create => PostgresStore::open(&url, options(settings)).await?,
                _ => {
                    let store = existing_postgres(&url, options(settings)).await?;
                    store.migrate().await?;
                    store
                }
            };
            refuse_moved(store.moved_to().filter(|_| changes))?;
            Ok(Arc::new(store))
        }
    }
}

/// Opens a PostgreSQL database with tables as they are, which must be there.
pub(crate) async fn existing_postgres(url: &str, options: Options) -> Result<PostgresStore, Problem> {
    let store = PostgresStore::open(url, options.as_it_is()).await?;
    let pending = store.pending().await?;
    if pending.len() < PostgresStore::migrations().len() {
        return Ok(store);
    }
    let location = store.describe().location;
    store.close().await?;
    let title = format!("there is no store in {location}");
    let problem = Problem::new(Exit::NotFound, "store_not_found", title);
    Err(problem.detail("nothing has run there").tries("orchestrator run FILE"))
}

/// What has moved is changed where it is now.
pub(crate) fn refuse_moved(target: Option<&str>) -> Result<(), Problem> {
    let Some(target) = target else { return Ok(()) };
    let title = format!("the store has moved to {target}");
    let problem = Problem::new(Exit::Conflict, "store_moved", title);
    Err(problem
        .detail("what has stayed here can be looked at, and not be changed")
        .tries(format!("--store {}", crate::shell::quoted(target))))
}

/// The store of the settings, for one look at what has been: nothing is made, nothing is brought up to date, nothing is
/// tidied up. `None` where there is no store that can be read so.
pub(crate) async fn glance(settings: &Settings) -> Option<Arc<dyn Store>> {
    let Ok(Location::Sqlite(path)) = Location::parse(&settings.store().value) else { return None };
    let location = path.to_str().filter(|_| path.exists())?;
    let options = Options::default().without_migration();
    let store = SqliteStore::open(&format!("sqlite:{location}"), options).await.ok()?;
    let store: Arc<dyn Store> = Arc::new(store);
    // Closing it would move its log into its file.
    std::mem::forget(store.clone());
    Some(store)
}

/// How long the store's log may grow, in bytes: 1 MiB. Nearly every command is the first that opens the store and reads
/// the log through, which takes about a third of a millisecond a megabyte.
const LOG_LIMIT: u64 = 1 << 20;

/// How a store is opened with these settings.
pub(crate) fn options(settings: &Settings) -> Options {
    let options = Options::default();
    if settings.durable() { options } else { options.relaxed() }
}

/// Opens a SQLite file; makes it if it is not there.
pub(crate) async fn connect(path: &Path, settings: &Settings) -> Result<SqliteStore, Problem> {
    let location = sqlite_url(path)?;
    // One command reads one thing after the other; a second connection would only have to be opened.
    let options = options(settings).log_limit(LOG_LIMIT).readers(1);
    Ok(SqliteStore::open(&location, options).await?)
}

/// A path as a store takes it.
pub(crate) fn sqlite_url(path: &Path) -> Result<String, Problem> {
    path.to_str().map(|path| format!("sqlite:{path}")).ok_or_else(|| {
        let title = format!("the path of the store is not valid UTF-8: {}", path.display());
        Problem::new(Exit::Usage, "invalid_store_url", title)
    })
}

/// What no script may touch: the project's own folder, the store with all that lies beside it, the configuration.
pub(crate) fn places(settings: &Settings) -> Vec<PathBuf> {
    const BESIDE: [&str; 5] = ["", "-wal", "-shm", "-owners", "-artifacts"];
    let mut places = vec![settings.place.folder().to_owned()];
    places.extend(settings.file.clone());
    if let Ok(Location::Sqlite(path)) = Location::parse(&settings.store().value) {
        places.extend(BESIDE.map(|ending| {
            let mut path = path.clone().into_os_string();
            path.push(ending);
            PathBuf::from(path)
        }));
    }
    places
}

/// Makes the folder of a store: the project's own with all that belongs into it; any other must be there.
pub(crate) fn make_folder(path: &Path, settings: &Settings) -> Result<(), Problem> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Some(folder) = folder.filter(|folder| !folder.exists()) else { return Ok(()) };
    if folder == settings.place.folder() {
        return crate::commands::init::make_place(folder);
    }
    let title = format!("there is no folder {} for the store", folder.display());
    Err(Problem::new(Exit::Unavailable, "store_unavailable", title)
        .tries(format!("mkdir -p {}", crate::shell::quoted(&folder.display().to_string()))))
}

/// There is no store.
pub(crate) fn missing(path: &Path, origin: &Origin) -> Problem {
    let problem =
        Problem::new(Exit::NotFound, "store_not_found", format!("there is no store at {}", path.display()));
    match origin {
        Origin::Default => {
            problem.detail("nothing has run in this folder or above it").tries("orchestrator run FILE")
        }
        origin => problem.detail(format!("the path comes from: {origin}")),
    }
}

/// A store's failure as a problem.
pub(crate) fn of_error(error: &StoreError) -> Problem {
    let (code, hint) = match error {
        StoreError::Unavailable(_) => ("store_unavailable", None),
        StoreError::Busy => ("store_busy", Some("try again")),
        StoreError::Corrupt(_) => ("store_corrupt", Some("`orchestrator store check` looks at all of it")),
        StoreError::Incompatible(_) => {
            ("store_incompatible", Some("use the version of orchestrator that wrote it, or a newer one"))
        }
        StoreError::Invalid(_) => ("store_invalid", None),
        _ => ("store_failed", None),
    };
    let problem = Problem::new(Exit::Unavailable, code, error.to_string());
    match hint {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        of_error(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_stores() {
        assert_eq!(Location::parse("sqlite:a/b.db").unwrap(), Location::Sqlite("a/b.db".into()));
        assert_eq!(Location::parse("sqlite:///a/b.db").unwrap(), Location::Sqlite("/a/b.db".into()));
        assert_eq!(Location::parse("memory").unwrap(), Location::Memory);
        let url = "postgresql://me@h/d";
        assert_eq!(Location::parse(url).unwrap(), Location::Postgres(url.to_owned()));
        for wrong in ["", "state.db", "sqlite:", "mysql://h", "sqlite::memory:", "postgres:h/d", "memory:x"] {
            assert_eq!(Location::parse(wrong).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
        assert_eq!(Location::parse("sqllite:x").unwrap_err().way_out(), Some("did you mean `sqlite:`?"));
    }

    #[test]
    fn passwords_are_not_repeated() {
        assert_eq!(masked("mysql://me:s3cret@h:1/d"), "mysql://me:***@h:1/d");
        assert_eq!(masked("postgres://me:a/b@c?d@h/d"), "postgres://me:***@h/d");
        assert_eq!(masked("postgres://h/d?password=x&ssl=1"), "postgres://h/d?password=***&ssl=1");
        assert_eq!(masked("sqlite:a.db"), "sqlite:a.db");
    }
}

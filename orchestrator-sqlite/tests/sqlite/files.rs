//! What is a store, what is not, and what is made on the way.

use std::fs;

use crate::place::Folder;
use orchestrator_core::port::store::{Store, StoreError};
use orchestrator_core::testkit::Story;
use orchestrator_sqlite::{Options, SqliteStore};
use sqlx::Executor;

async fn refused(path: &std::path::Path) -> StoreError {
    SqliteStore::connect(path.to_str().unwrap()).await.map(drop).expect_err("no store")
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let contents =
        [b"hello, world\n".repeat(400), vec![0xff; 8192], b"SQLite format 3\0 and then nothing".to_vec()];
    for content in contents {
        fs::write(folder.file(), &content).unwrap();
        let error = refused(&folder.file()).await;
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        assert!(error.to_string().contains("state.db"), "{error}");
        assert!(fs::read(folder.file()).unwrap() == content, "the file was changed");
    }
}

#[tokio::test]
async fn a_damaged_database_is_corrupt() {
    let folder = Folder::new();
    let store = folder.store().await;
    let story = Story::begun(&store).await;
    store.close().await.unwrap();
    drop(store);
    let mut content = fs::read(folder.file()).unwrap();
    // The first page, with the list of tables, but for its header.
    content[100..4096].fill(0xa5);
    fs::write(folder.file(), &content).unwrap();
    let error = refused(&folder.file()).await;
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(story.seq, 1);
}

#[tokio::test]
async fn what_cannot_be_a_path_is_refused() {
    let folder = Folder::new();
    let error = refused(folder.file().parent().unwrap()).await;
    assert!(matches!(&error, StoreError::Invalid(why) if why.contains("is a folder")), "{error:?}");
    fs::write(folder.file(), "").unwrap();
    let error = refused(&folder.file().join("below.db")).await;
    assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("below.db")), "{error:?}");
    let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
    let error = SqliteStore::from_pool(pool).await.map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Invalid(why) if why.contains("memory")), "{error:?}");
}

#[tokio::test]
async fn odd_names_of_files_are_only_names() {
    let folder = Folder::new();
    for name in ["with space.db", "ünï çøde 🦀.db", "new\nline.db", "percent%20.db", "a?b=c.db", "file:x.db"]
    {
        let path = folder.file().with_file_name("deep").join(name);
        let store = SqliteStore::connect(path.to_str().unwrap()).await.unwrap();
        Story::begun(&store).await;
        assert!(path.is_file(), "{name}");
        assert_eq!(store.describe().location, path.display().to_string());
        store.close().await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_made_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.file().with_file_name("new").join("state.db");
    let store = SqliteStore::connect(path.to_str().unwrap()).await.unwrap();
    let _story = Story::begun(&store).await;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(&path.with_file_name(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn opening_a_store_writes_nothing() {
    let folder = Folder::new();
    let store = folder.store().await;
    Story::begun(&store).await;
    store.close().await.unwrap();
    let before = (fs::read(folder.file()).unwrap(), fs::metadata(folder.file()).unwrap().modified().unwrap());
    let store = folder.store().await;
    store.health().await.unwrap();
    let wal = fs::metadata(folder.file().with_file_name("state.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "nothing was written to the log");
    store.close().await.unwrap();
    let after = (fs::read(folder.file()).unwrap(), fs::metadata(folder.file()).unwrap().modified().unwrap());
    assert!(before == after);
}

async fn tables(folder: &Folder) -> Vec<String> {
    let query = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
    sqlx::query_scalar(query).fetch_all(&mut folder.bare().await).await.unwrap()
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up() {
    let folder = Folder::new();
    let store = folder.store().await;
    folder.bare().await.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)").await.unwrap();
    let story = Story::begun(&store).await;
    let made = tables(&folder).await;
    store.revert().await.unwrap();
    assert_eq!(tables(&folder).await, ["orchestrator_migrations", "orders"], "a host's tables stay");
    assert!(matches!(store.health().await, Err(StoreError::Incompatible(_))));

    store.migrate().await.unwrap();
    assert_eq!(tables(&folder).await, made);
    assert_eq!(store.run(story.run).await.unwrap(), None);
    Story::begun(&store).await;
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = Folder::new();
    folder.store().await.close().await.unwrap();
    let future = "INSERT INTO orchestrator_migrations (version, applied_at) VALUES ('m9999_future', 0)";
    folder.bare().await.execute(future).await.unwrap();
    let before = tables(&folder).await;
    let error = refused(&folder.file()).await;
    assert!(matches!(&error, StoreError::Incompatible(why) if why.contains("m9999_future")), "{error:?}");
    let unmigrated = Options::default().without_migration();
    let error = SqliteStore::open(folder.file().to_str().unwrap(), unmigrated).await.map(drop).unwrap_err();
    assert!(matches!(error, StoreError::Incompatible(_)), "{error:?}");
    assert_eq!(tables(&folder).await, before);
}

#[tokio::test]
async fn without_migration_an_empty_file_is_refused() {
    let folder = Folder::new();
    let options = Options::default().without_migration();
    let error = SqliteStore::open(folder.file().to_str().unwrap(), options).await.map(drop).unwrap_err();
    assert!(matches!(&error, StoreError::Incompatible(why) if why.contains("m0001")), "{error:?}");
    assert_eq!(tables(&folder).await, [] as [&str; 0]);
}

#[tokio::test]
async fn one_connection_serves_whoever_reads() {
    let folder = Folder::new();
    let options = Options::default().readers(1);
    let store = SqliteStore::open(folder.file().to_str().unwrap(), options).await.unwrap();
    let story = Story::begun(&store).await;
    let (row, steps, heads) =
        tokio::join!(store.run(story.run), store.steps(story.run), async { store.heads(&[story.run]).await });
    assert_eq!(heads.unwrap(), [(story.run, row.unwrap().unwrap().seq)]);
    assert!(steps.is_ok(), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_may_open_a_new_file_at_once() {
    let folder = std::sync::Arc::new(Folder::new());
    let openers: Vec<_> = (0..6)
        .map(|_| {
            let folder = folder.clone();
            tokio::spawn(async move { Story::begun(&folder.store().await).await })
        })
        .collect();
    for opener in openers {
        let story = opener.await.unwrap();
        assert!(folder.store().await.run(story.run).await.unwrap().is_some());
    }
}

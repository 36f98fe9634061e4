//! Large values are files beside the database.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::place::Folder;
use orchestrator_core::port::store::{Commit, Prune, Store, StoreError};
use orchestrator_core::testkit::{Story, new_run};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::{StoredValue, ValueRef};
use orchestrator_sqlite::{SqliteStore, upkeep};
use sea_orm::TransactionTrait;

const MIB: usize = 1 << 20;

/// A value of about this length, unlike that of any other letter.
fn large(letter: char, len: usize) -> StoredValue {
    let text = letter.to_string().repeat(len);
    ValueRef::encode(&text.into()).unwrap().1.expect("too long to be inline")
}

fn folder_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-artifacts");
    name.into()
}

/// The one file of a value.
fn file_of(database: &Path, value: &StoredValue) -> PathBuf {
    let digest = value.digest.to_string();
    let digits = digest.strip_prefix("sha256:").unwrap();
    folder_of(database).join(&digits[..2]).join(&digits[2..])
}

fn files(database: &Path) -> usize {
    let Ok(folders) = fs::read_dir(folder_of(database)) else { return 0 };
    folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

fn age(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
}

async fn keep(store: &SqliteStore, story: &mut Story, values: &[StoredValue]) {
    let mut member = story.step_due();
    member.values = values.to_vec();
    story.write(store, member).await;
}

async fn assert_read(store: &SqliteStore, story: &Story, value: &StoredValue) {
    let found = store.value(story.run, value.digest).await.unwrap().expect("the value");
    assert!(*found == *value.body, "{} bytes became {}", value.body.len(), found.len());
}

#[tokio::test]
async fn large_values_are_files_and_come_back() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let values = [large('s', 1000), large('e', (256 << 10) - 2), large('m', MIB), large('l', 20 * MIB)];
    keep(&store, &mut story, &values).await;
    // Once more, and by another run.
    keep(&store, &mut story, &values).await;
    let mut other = Story::begun(&store).await;
    keep(&store, &mut other, &values[2..]).await;
    store.close().await.unwrap();

    assert_eq!(files(&folder.file()), 2, "what is no longer than the bound is no file");
    assert!(fs::read(file_of(&folder.file(), &values[3])).unwrap() == values[3].body.as_bytes());
    assert!(fs::metadata(folder.file()).unwrap().len() < MIB as u64, "the database stays small");
    let store = folder.store().await;
    for value in &values {
        assert_read(&store, &story, value).await;
    }
    assert_read(&store, &other, &values[2]).await;
    assert_eq!(store.faults().await.unwrap(), [] as [String; 0]);
    let survey = store.survey().await.unwrap();
    let bytes: usize = values[2..].iter().map(|value| value.body.len()).sum();
    assert_eq!((survey.artifacts, survey.artifact_bytes), (2, bytes as u64));
}

#[cfg(unix)]
#[tokio::test]
async fn artifacts_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let value = large('x', MIB);
    keep(&store, &mut story, std::slice::from_ref(&value)).await;
    let file = file_of(&folder.file(), &value);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!(mode(&folder_of(&folder.file())), 0o700);
}

#[tokio::test]
async fn what_no_commit_came_to_name_harms_nobody_and_is_pruned() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let (orphan, kept, young) = (large('o', MIB), large('k', MIB), large('y', MIB));
    for value in [&orphan, &young] {
        // Its bytes are written, and then the transaction does not come about, as after a crash in between.
        let mut late = story.step_due();
        late.expected += 7;
        late.values = vec![value.clone()];
        assert_eq!(store.commit(vec![late]).await, [Commit::Conflict]);
        assert!(file_of(&folder.file(), value).exists());
        assert_eq!(store.value(story.run, value.digest).await.unwrap(), None);
    }
    keep(&store, &mut story, std::slice::from_ref(&kept)).await;
    assert_eq!(store.faults().await.unwrap(), [] as [String; 0]);
    age(&file_of(&folder.file(), &orphan));
    age(&file_of(&folder.file(), &kept));
    let prune = Prune { project: None, before: Timestamp::from_millis(0), limit: 10, dry: true };
    store.prune(prune.clone()).await.unwrap();
    assert_eq!(files(&folder.file()), 3, "only asked");
    store.prune(Prune { dry: false, ..prune }).await.unwrap();
    assert!(!file_of(&folder.file(), &orphan).exists());
    assert!(file_of(&folder.file(), &young).exists(), "a commit may be about to name it");
    assert_read(&store, &story, &kept).await;
    // It can be kept after all.
    keep(&store, &mut story, std::slice::from_ref(&orphan)).await;
    assert_read(&store, &story, &orphan).await;
}

#[tokio::test]
async fn artifacts_go_with_the_last_run_that_names_them() {
    let folder = Folder::new();
    let store = folder.store().await;
    let (shared, own) = (large('s', MIB), large('o', MIB));
    let (mut ended, mut stays) = (Story::begun(&store).await, Story::begun(&store).await);
    let mut member = ended.step_due();
    member.values = vec![shared.clone(), own.clone()];
    member.summary.status = "completed";
    member.summary.finished_at = Some(Timestamp::from_millis(1000));
    ended.write(&store, member).await;
    keep(&store, &mut stays, std::slice::from_ref(&shared)).await;
    age(&file_of(&folder.file(), &shared));
    age(&file_of(&folder.file(), &own));
    let prune = Prune { project: None, before: Timestamp::from_millis(2000), limit: 10, dry: false };
    assert_eq!(store.prune(prune).await.unwrap().runs, 1);
    assert!(!file_of(&folder.file(), &own).exists());
    assert_read(&store, &stays, &shared).await;
}

#[tokio::test]
async fn a_lost_or_damaged_artifact_is_named() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let (lost, damaged, whole) = (large('l', MIB), large('d', MIB), large('w', MIB));
    keep(&store, &mut story, &[lost.clone(), damaged.clone(), whole.clone()]).await;
    fs::remove_file(file_of(&folder.file(), &lost)).unwrap();
    fs::write(file_of(&folder.file(), &damaged), damaged.body.replacen('d', "e", 1)).unwrap();
    let mut faults = store.faults().await.unwrap();
    assert_eq!(faults.len(), 2, "{faults:?}");
    faults.sort_by_key(|fault| fault.contains("missing"));
    for ((value, word), fault) in [(&damaged, "damaged"), (&lost, "missing")].into_iter().zip(&faults) {
        let error = store.value(story.run, value.digest).await.expect_err(word);
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
        let place = file_of(&folder.file(), value).display().to_string();
        for text in [&error.to_string(), fault] {
            for part in [&story.run.to_string(), &value.digest.to_string(), &place, &word.to_owned()] {
                assert!(text.contains(part.as_str()), "{part} in {text}");
            }
        }
    }
    assert_read(&store, &story, &whole).await;
}

#[tokio::test]
async fn what_cannot_be_written_is_not_committed() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let value = large('x', MIB);
    fs::write(folder_of(&folder.file()), "in the way").unwrap();
    let mut member = story.step_due();
    member.values = vec![value.clone()];
    let answers = store.commit(vec![member]).await;
    assert!(
        matches!(&answers[..], [Commit::Unavailable(why)] if why.contains("state.db-artifacts")),
        "{answers:?}"
    );
    assert_eq!(store.heads(&[story.run]).await.unwrap(), [(story.run, story.seq)]);
    fs::remove_file(folder_of(&folder.file())).unwrap();
    keep(&store, &mut story, std::slice::from_ref(&value)).await;
    assert_read(&store, &story, &value).await;
}

#[tokio::test]
async fn a_copy_has_its_artifacts() {
    let folder = Folder::new();
    let store = folder.store().await;
    let mut story = Story::begun(&store).await;
    let (value, later) = (large('v', 20 * MIB), large('n', MIB));
    keep(&store, &mut story, std::slice::from_ref(&value)).await;
    let location = folder.file().display().to_string();
    let copy = folder.file().with_file_name("copy.db");
    upkeep::backup(&location, &copy, false).await.unwrap();
    keep(&store, &mut story, std::slice::from_ref(&later)).await;
    let second = folder.file().with_file_name("second.db");
    upkeep::backup(&location, &second, false).await.unwrap();
    assert_eq!((files(&copy), files(&second)), (1, 2));
    store.close().await.unwrap();

    fs::remove_dir_all(folder_of(&folder.file())).unwrap();
    upkeep::restore(&copy, &location, true).await.unwrap();
    let store = folder.store().await;
    assert_read(&store, &story, &value).await;
    assert_eq!(store.value(story.run, later.digest).await.unwrap(), None);
    upkeep::backup(&location, &second, true).await.unwrap();
    assert_eq!(files(&second), 1, "what the copy before has left is gone");
    store.close().await.unwrap();

    // A copy that has lost one is refused before anything changes.
    fs::remove_file(file_of(&copy, &value)).unwrap();
    let error = upkeep::restore(&copy, &location, true).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Corrupt(why)
            if why.contains(&value.digest.to_string()) && why.contains("copy.db-artifacts")),
        "{error:?}"
    );
    // So is a store that has lost one, before it is copied.
    fs::remove_file(file_of(&folder.file(), &value)).unwrap();
    let third = folder.file().with_file_name("third.db");
    let error = upkeep::backup(&location, &third, false).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert!(!third.exists());
}

#[tokio::test]
async fn a_run_in_a_hosts_transaction_may_have_large_inputs() {
    let folder = Folder::new();
    let store = folder.store().await;
    let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", folder.file().display())).await.unwrap();
    let database: sea_orm::DatabaseConnection = pool.into();
    let mut story = Story::new();
    let mut member = story.create(new_run());
    let value = large('h', MIB);
    member.values = vec![value.clone()];
    let transaction = database.begin().await.unwrap();
    assert_eq!(store.create_in(&transaction, &member).await.unwrap(), Commit::Applied);
    transaction.commit().await.unwrap();
    story.seq = 1;
    assert_eq!(files(&folder.file()), 1);
    assert_read(&store, &story, &value).await;
}

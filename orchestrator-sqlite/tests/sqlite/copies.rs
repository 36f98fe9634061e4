//! A store that moves into another file.

use std::collections::BTreeSet;
use std::time::Duration;

use orchestrator_core::id::OwnerId;
use orchestrator_core::port::store::{Commit, NewOwner, Serves, Store, StoreError};
use orchestrator_core::testkit::Story;
use orchestrator_sqlite::{CopyError, Options, SqliteStore};
use uuid::Uuid;

use crate::place::Folder;

async fn target(folder: &Folder) -> SqliteStore {
    SqliteStore::open(folder.file().to_str().unwrap(), Options::default().as_it_is()).await.unwrap()
}

fn owner() -> NewOwner {
    NewOwner {
        id: OwnerId::from_uuid(Uuid::from_u128(7)),
        ttl: Duration::from_secs(3600),
        label: "me".into(),
        serves: Serves::default(),
        outside: false,
    }
}

#[tokio::test]
async fn who_has_had_it_open_for_long_writes_nothing_more() {
    let (here, there) = (Folder::new(), Folder::new());
    let store = here.store().await;
    let story = Story::begun(&store).await;
    let other = here.store().await;
    let copied = store.copy_to(&target(&there).await, &|_| ()).await.unwrap();
    assert_eq!((copied[0].table, copied[0].rows), ("runs", 1));
    for store in [&store, &other] {
        let answers = store.commit(vec![story.step_due()]).await;
        assert!(matches!(&answers[..], [Commit::Unavailable(why)] if why.contains("sealed")), "{answers:?}");
        let refused = store.register(owner()).await;
        assert!(
            matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("sealed")),
            "{refused:?}"
        );
        assert!(store.load(story.run).await.unwrap().is_some(), "it can be looked at");
    }
    let moved = there.store().await;
    assert_eq!(moved.commit(vec![story.step_due()]).await, [Commit::Applied]);
    assert_eq!(moved.moved_to(), None);
    let url = format!("sqlite:{}", there.file().display());
    assert_eq!(here.store().await.moved_to(), Some(&*url));
}

#[tokio::test]
async fn nobody_writes_meanwhile_and_nobody_who_is_alive_is_copied() {
    let (here, there) = (Folder::new(), Folder::new());
    let store = here.store().await;
    Story::begun(&store).await;
    store.register(owner()).await.unwrap();
    let used = store.copy_to(&target(&there).await, &|_| ()).await.unwrap_err();
    assert!(matches!(&used, CopyError::InUse { is_source: true, .. }), "{used}");
    store.retire(owner().id).await.unwrap();
    // The target is looked at as well.
    let other = there.store().await;
    other.register(owner()).await.unwrap();
    let used = store.copy_to(&target(&there).await, &|_| ()).await.unwrap_err();
    assert!(matches!(&used, CopyError::InUse { is_source: false, .. }), "{used}");
    other.retire(owner().id).await.unwrap();
    store.copy_to(&target(&there).await, &|_| ()).await.unwrap();
}

#[tokio::test]
async fn all_columns_of_all_tables_are_copied() {
    let folder = Folder::new();
    folder.store().await;
    let query = "SELECT m.name || '.' || c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c \
                 WHERE m.type = 'table' AND m.name GLOB 'orchestrator_*' AND m.name <> 'orchestrator_migrations'";
    let mut there: BTreeSet<String> =
        sqlx::query_scalar(query).fetch_all(&mut folder.bare().await).await.unwrap().into_iter().collect();
    // Given by each database to its own rows.
    assert!(there.remove("orchestrator_decisions.key"));
    let columns = orchestrator_sql::copied_columns().into_iter();
    let copied = columns
        .flat_map(|(table, columns)| columns.into_iter().map(move |column| format!("{table}.{column}")));
    assert_eq!(copied.collect::<BTreeSet<_>>(), there);
}

//! What is refused, and in which words.

use orchestrator_core::port::queue::{NewTicket, Queue, QueueError};
use orchestrator_core::testkit::QueuePlace;
use orchestrator_redis::testkit::Server;
use orchestrator_redis::{Options, RedisQueue};

use crate::place::{Base, Desk, LONG, numbered, numbers};

const SECRET: &str = "s3cret-w0rd";

async fn error_of(url: &str) -> QueueError {
    let error = RedisQueue::connect(url).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
    error
}

#[tokio::test]
async fn a_url_that_is_none_is_invalid() {
    for url in [
        "",
        "redis",
        "postgres://h/d",
        "redis://h/x",
        &format!("redis://:{SECRET}@"),
        &format!("http://{SECRET}@h"),
    ] {
        let error = error_of(url).await;
        assert!(
            matches!(&error, QueueError::Invalid(why) if why.contains("redis://HOST")),
            "{url}: {error:?}"
        );
    }
    let base = Base::new();
    let wrong = Options::default().with_prefix("a b");
    let error = RedisQueue::connect_with(&base.url, wrong).await.unwrap_err();
    assert!(matches!(&error, QueueError::Invalid(why) if why.contains("prefix")), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("none.sock");
    for url in
        [format!("unix://{}?pass={SECRET}", nowhere.display()), format!("redis://me:{SECRET}@127.0.0.1:1/2")]
    {
        let error = error_of(&url).await;
        assert!(error.is_retryable(), "{url}: {error:?}");
        let place = if url.starts_with("unix") { "none.sock" } else { "redis://me@127.0.0.1:1/2: " };
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[tokio::test]
async fn passwords_open_and_are_never_told() {
    let server = Server::start_with(&["--requirepass", SECRET]);
    let with = |words: &str| format!("{}{words}", server.url());
    for url in [with(""), with("?pass=wrong"), with("?user=nobody&pass=wrong")] {
        let error = error_of(&url).await;
        let told = error.to_string().to_lowercase();
        let is_told = told.contains("authentication") || told.contains("password");
        assert!(error.is_retryable() && is_told, "{url}: {error}");
        assert!(!told.contains("wrong@") && !told.contains("pass=wrong"), "{error}");
    }
    let queue = RedisQueue::connect(&with(&format!("?pass={SECRET}"))).await.unwrap();
    queue.put(vec![numbered(1)]).await.unwrap();
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [1]);
    assert!(!format!("{queue:?} {:?}", queue.describe()).contains(SECRET), "{queue:?}");
    server.stop();
    let error = queue.take(9).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains(SECRET), "{error:?}");
}

#[tokio::test]
async fn who_is_refused_for_a_while_goes_on_afterwards() {
    let server = Server::start();
    let base = Base { url: format!("{}?pass={SECRET}&user=me", server.url()), prefix: "p".to_owned() };
    let root = Base::of(&server);
    let grant = |word: &'static str| {
        let root = &root;
        async move {
            root.ask::<String>(&["ACL", "SETUSER", "me", "on", "resetpass", word, "~*", "&*", "+@all"]).await
        }
    };
    grant(">s3cret-w0rd").await;
    let queue = base.queue().await;
    queue.put(vec![numbered(1)]).await.unwrap();
    // Another password, and the connections that have used the old one are cut.
    grant(">another").await;
    let _: u32 = root.ask(&["CLIENT", "KILL", "USER", "me"]).await;
    for _ in 0..3 {
        let error = queue.take(9).await.unwrap_err();
        assert!(error.is_retryable() && !error.to_string().contains(SECRET), "{error}");
    }
    grant(">s3cret-w0rd").await;
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [1]);
}

#[tokio::test]
async fn whoever_may_not_ask_about_the_server_may_ring() {
    let server = Server::start();
    let root = Base::of(&server);
    let granted = ["ACL", "SETUSER", "me", "on", ">word", "~p:*", "&p:*", "+@all", "-@dangerous", "-@admin"];
    let _: String = root.ask(&granted).await;
    let base = Base { url: format!("{}?user=me&pass=word", server.url()), prefix: "p".to_owned() };
    let queue = base.queue().await;
    assert_eq!(queue.describe().version, "unknown");
    queue.put(vec![numbered(1)]).await.unwrap();
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [1]);
    // Keys that are not his.
    let options = Options::default().with_prefix("other");
    let other = RedisQueue::connect_with(&base.url, options).await.unwrap();
    let error = other.put(vec![numbered(1)]).await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("ermission"), "{error}");
}

#[tokio::test]
async fn a_key_of_another_kind_is_told_and_nothing_is_done_in_part() {
    let base = Base::new();
    let queue = base.queue().await;
    let names = ["tickets", "folds", "projects", "number", "queues", "hidden:q", "turns:q", "ready:q:p"];
    for name in names {
        let key = format!("{}:{name}", base.prefix);
        if name == "number" {
            let _: u32 = base.ask(&["HSET", &key, "field", "value"]).await;
        } else {
            let _: String = base.ask(&["SET", &key, "something else"]).await;
        }
        let error = queue.put(vec![numbered(1), numbered(2)]).await.unwrap_err();
        let told = error.to_string();
        assert!(
            error.is_retryable() && told.contains("WRONGTYPE") && told.contains("another prefix"),
            "{told}"
        );
        assert_eq!(base.keys().await, [name], "nothing is written");
        let _: u32 = base.ask(&["DEL", &key]).await;
        queue.put(vec![numbered(1)]).await.unwrap();
        let came = queue.take(9).await.unwrap();
        assert_eq!(numbers(&came), [1], "once {name} is put right");
        queue.done(&came[0]).await.unwrap();
        for key in base.keys().await {
            let _: u32 = base.ask(&["DEL", &format!("{}:{key}", base.prefix)]).await;
        }
    }
}

#[tokio::test]
async fn a_key_of_another_kind_hinders_no_other_queue() {
    let base = Base::new();
    let queue = base.queue().await;
    let other = NewTicket { queue: "other".into(), after: LONG, ..numbered(1) };
    queue.put(vec![other, numbered(2)]).await.unwrap();
    base.pass(LONG * 2).await;
    let _: String = base.ask(&["SET", &format!("{}:ready:other:p", base.prefix), "something else"]).await;
    assert_eq!(numbers(&queue.take(9).await.unwrap()), [2]);
    assert_eq!(queue.take(9).await, Ok(Vec::new()));
}

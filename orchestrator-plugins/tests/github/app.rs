//! GitHub Apps: a signed word gets a token, which many steps share.

use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::time::wall_clock;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::double::hub::App;
use crate::double::{Fault, Reply};
use crate::place::{Place, open};
use crate::stage;

const KEY: &str = include_str!("app.test.pem");
const PUBLIC: &str = include_str!("app.test.pub.pem");

#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: String,
}

/// What GitHub checks of a word: the signature, that it was not given in the future, and that it holds ten minutes at most.
fn knows(word: &str) -> bool {
    let key = jsonwebtoken::DecodingKey::from_rsa_pem(PUBLIC.as_bytes()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_required_spec_claims(&["exp", "iss"]);
    let Ok(word) = jsonwebtoken::decode::<Claims>(word, &key, &rules) else { return false };
    let (claims, now) = (word.claims, wall_clock().as_millis() / 1_000);
    claims.iss == "4711" && claims.iat <= now - 30 && claims.exp <= now + 600 && claims.exp > now
}

/// A place whose hub knows the app; its tokens hold so many seconds.
fn place(seconds: i64) -> Place {
    let place = Place::new();
    let until = orchestrator_core::time::Timestamp::from_millis(wall_clock().as_millis() + seconds * 1_000);
    let app = App { knows: Box::new(knows), installed: true, until: until.to_string(), issued: 0 };
    place.hub.with(|hub| hub.app = Some(app));
    place
}

fn app(more: &Value) -> Value {
    let mut app = json!({ "id": 4711, "private_key": KEY });
    for (key, value) in more.as_object().unwrap() {
        app[key] = value.clone();
    }
    let mut with = open();
    (with["token"], with["app"]) = (Value::Null, app);
    with
}

fn issued(place: &Place) -> usize {
    place.hub.with(|hub| hub.app.as_ref().unwrap().issued)
}

#[tokio::test]
async fn one_token_serves_many_steps() {
    let place = place(3_600);
    let all = (0..8).map(|_| place.execute(app(&json!({}))));
    let outcomes: Vec<_> = join(all).await;
    for (outcome, log) in outcomes {
        stage::output(outcome);
        assert!(!log.text().contains("ghs_"), "{}", log.text());
    }
    place.gives(app(&json!({}))).await;
    assert_eq!((issued(&place), place.hub.count("GET", "installation")), (1, 1));
    assert_eq!(place.hub.with(|hub| hub.pulls.len()), 1);
    let asked = place.hub.received().into_iter().find(|request| request.is("POST", "access_tokens")).unwrap();
    assert_eq!(asked.body, json!({ "repositories": ["site"] }), "for this repository alone");
}

/// All of them at once.
async fn join<F: Future>(all: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in all.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(cx)
            {
                *done = Some(output);
            }
        }
        match done.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    done.into_iter().flatten().collect()
}

#[tokio::test]
async fn an_installation_that_is_given_is_not_looked_for() {
    let place = place(3_600);
    place.gives(app(&json!({ "installation": 55 }))).await;
    assert_eq!((issued(&place), place.hub.count("GET", "installation")), (1, 0));
    // A key as it often stands in a variable; and a client id is a text.
    let key = KEY.replace('\n', "\\n");
    place.gives(app(&json!({ "id": "4711", "private_key": key }))).await;
    assert_eq!(issued(&place), 2);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends() {
    let place = place(200);
    place.gives(app(&json!({}))).await;
    let before = issued(&place);
    place.gives(app(&json!({}))).await;
    assert!(issued(&place) > before, "a token that ends within five minutes is not begun with");
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_replaced_once() {
    let place = place(3_600);
    place.gives(app(&json!({}))).await;
    place.hub.with(|hub| hub.tokens.remove("ghs_1"));
    place.gives(app(&json!({}))).await;
    assert_eq!(issued(&place), 2);
    // A new one that is not taken either is not replaced again and again.
    for _ in 0..2 {
        place.hub.fault("GET", "pulls", Fault::Instead(Reply::message(401, "Bad credentials")));
    }
    let (class, message) = place.fails(app(&json!({}))).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.contains("Bad credentials; GitHub does not take these credentials"), "{message}");
    assert_eq!(issued(&place), 3);
}

#[tokio::test]
async fn who_has_another_key_is_given_no_token() {
    let place = place(3_600);
    place.gives(app(&json!({}))).await;
    let other = json!({ "private_key": KEY.replace("-----BEGIN", "x\n-----BEGIN") });
    // Another text of the same key is asked for anew; what is no key at all is refused before anything is sent.
    place.gives(app(&other)).await;
    assert_eq!(issued(&place), 2);
    let before = place.hub.received().len();
    for wrong in
        ["hunter2", PUBLIC, "-----BEGIN RSA PRIVATE KEY-----\naGVsbG8=\n-----END RSA PRIVATE KEY-----\n"]
    {
        let (class, message) = place.fails(app(&json!({ "private_key": wrong }))).await;
        assert_eq!(class, ErrorClass::Invalid);
        assert_eq!(message, "`app.private_key` is no RSA key as GitHub gives it (PEM)");
    }
    assert_eq!(place.hub.received().len(), before);
    let (class, message) = place.fails(app(&json!({ "id": 12 }))).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.contains("JSON web token"), "{message}");
}

#[tokio::test]
async fn an_app_that_is_not_installed_says_so() {
    let place = place(3_600);
    place.hub.with(|hub| hub.app.as_mut().unwrap().installed = false);
    let (class, message) = place.fails(app(&json!({}))).await;
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.starts_with("the app is not installed where it sees acme/site"), "{message}");
}

#[tokio::test]
async fn an_app_knows_its_own_comments() {
    let place = place(3_600);
    place.gives(app(&json!({}))).await;
    let comment = |body: &str| {
        let mut with = app(&json!({}));
        for key in ["head", "base", "title"] {
            with.as_object_mut().unwrap().remove(key);
        }
        (with["do"], with["number"], with["body"], with["marker"]) =
            ("comment".into(), 1.into(), body.into(), "report".into());
        with
    };
    let planted = "x <!-- orchestrator: report -->".to_owned();
    place.hub.with(|hub| hub.comments.push((1, "other[bot]".to_owned(), planted.clone())));
    assert_eq!(place.gives(comment("a")).await["created"], true);
    assert_eq!(place.gives(comment("b")).await["created"], false);
    place.hub.with(|hub| {
        assert_eq!(hub.comments[0].2, planted);
        assert_eq!((&*hub.comments[1].1, hub.comments.len()), ("robot[bot]", 2));
        assert!(hub.comments[1].2.starts_with("b\n"));
    });
}

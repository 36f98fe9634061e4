//! What goes out, and what does not: addresses that are not public, names that lead to them, redirects.

mod listener;
mod server;
mod stage;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use listener::Listener;
use orchestrator_core::port::plugin::{Outcome, Plugin};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_plugins::{CircuitState, Http, Llm, Outbound, Resolver};
use serde_json::{Value, json};
use server::{Server, reply, reply_json};
use stage::{execute_with, failure, output};

/// Ways to write an address of this machine. `P` is the port.
const SPELLINGS: [&str; 70] = [
    "http://127.0.0.1:P/",
    "HTTP://127.0.0.1:P/",
    "http://127.0.0.1.:P/",
    "http://127.0.0.2:P/",
    "http://127.255.255.254:P/",
    "http://127.000.000.001:P/",
    "http://127.1:P/",
    "http://127.0.1:P/",
    "http://127.0x1:P/",
    "http://2130706433:P/",
    "http://017700000001:P/",
    "http://0x7f000001:P/",
    "http://0x7f.1:P/",
    "http://0x7f.0.1:P/",
    "http://0x7F.0x0.0x0.0x1:P/",
    "http://0177.0.0.1:P/",
    "http://0177.0000.00.01:P/",
    "http://0000000000000000000000000177.0.0.1:P/",
    "http://0:P/",
    "http://00:P/",
    "http://0x0:P/",
    "http://0.0:P/",
    "http://0.0.0.0:P/",
    "http://[::1]:P/",
    "http://[0:0:0:0:0:0:0:1]:P/",
    "http://[0000::0001]:P/",
    "http://[::]:P/",
    "http://[::ffff:127.0.0.1]:P/",
    "http://[::ffff:7f00:1]:P/",
    "http://[::FFFF:7F00:0001]:P/",
    "http://[0:0:0:0:0:ffff:7f00:1]:P/",
    "http://[::ffff:0:127.0.0.1]:P/",
    "http://[::127.0.0.1]:P/",
    "http://[::7f00:1]:P/",
    "http://[64:ff9b::7f00:1]:P/",
    "http://[64:ff9b::127.0.0.1]:P/",
    "http://[2002:7f00:1::]:P/",
    "http://[::1%25lo]:P/",
    "http://localhost:P/",
    "http://LOCALHOST:P/",
    "http://localhost.:P/",
    "http://LoCaLhOsT.:P/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:P/",
    "http://loc\u{ad}alhost:P/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:P/",
    "http://localhost%2e:P/",
    "http://127%2e0%2e0%2e1:P/",
    "http://%31%32%37.0.0.1:P/",
    "http://127。0。0。1:P/",
    "http://127．0．0．1:P/",
    "http://127｡0｡0｡1:P/",
    "http://１２７.０.０.１:P/",
    "http://①②⑦.⓪.⓪.①:P/",
    "http://user@127.0.0.1:P/",
    "http://user:pass@127.0.0.1:P/",
    "http://public.example@127.0.0.1:P/",
    "http://public.example:80@127.0.0.1:P/",
    "http://127.0.0.1:P#@public.example/",
    "http://127.0.0.1:P?@public.example/",
    "http://127.0.0.1:P\\@public.example/",
    "http:\\\\127.0.0.1:P/",
    "http:/127.0.0.1:P/",
    "http:127.0.0.1:P/",
    "http:///127.0.0.1:P/",
    "\thttp://127.0.0.1:P/",
    "http://127.0.\t0.1:P/",
    "ht\ntp://127.0.0.1:P/",
    "  http://127.0.0.1:P/  ",
    "http+unix://127.0.0.1:P/",
    "unix://127.0.0.1:P/",
];

/// Longer than anything here takes.
const HANG: Duration = Duration::from_secs(60);

/// Knows this machine by its name, in every spelling that some system knows, and nobody else: nothing asks the real name
/// servers.
#[derive(Debug)]
struct Hosts;

#[async_trait]
impl Resolver for Hosts {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match host.to_ascii_lowercase().trim_end_matches('.') {
            "localhost" => Ok(vec![[127, 0, 0, 1].into()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn outbound() -> Arc<Outbound> {
    Arc::new(Outbound::builder().resolver(Hosts).build().unwrap())
}

/// A call of each plugin to the same address.
fn calls(outbound: &Arc<Outbound>, url: &str) -> [(Box<dyn Plugin>, Value); 2] {
    [
        (Box::new(Http::over(outbound.clone())), json!({ "url": url })),
        (Box::new(Llm::over(outbound.clone())), json!({ "model": "m", "base_url": url, "prompt": "x" })),
    ]
}

async fn call(plugin: &dyn Plugin, with: Value, granted: &[&str]) -> Outcome {
    tokio::time::timeout(HANG, execute_with(plugin, with, granted)).await.expect("the call hangs").0
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_this_machine_gets_out_while_what_is_granted_does() {
    let listener = Listener::everywhere();
    let allowed =
        Server::always(reply_json(200, &json!({ "choices": [{ "message": { "content": "Hi" } }] }))).await;
    let grant = format!("127.0.0.1:{}", allowed.port());
    let (mut tried, mut denied) = (0, 0);
    let shared = outbound();
    for spelling in SPELLINGS {
        for (plugin, with) in calls(&shared, &spelling.replace('P', &listener.port.to_string())) {
            let (class, message) = failure(call(&*plugin, with, &[&grant]).await);
            assert!(
                matches!(class, ErrorClass::Denied | ErrorClass::Invalid),
                "{} {spelling:?}: {class:?} {message}",
                plugin.kind()
            );
            denied += usize::from(class == ErrorClass::Denied);
            tried += 1;
        }
        for (plugin, with) in calls(&shared, &allowed.url) {
            output(call(&*plugin, with, &[&grant]).await);
        }
    }
    let seen = listener.seen();
    let reached = allowed.received().len();
    println!(
        "{tried} calls, {denied} denied by address, {} refused as no URL that can be called",
        tried - denied
    );
    println!(
        "connects seen by the listener: {seen}; requests seen by what was granted, in between: {reached}"
    );
    assert_eq!((seen, reached), (0, tried));
    // That it is the guard: where everything is granted, most of them do get there.
    let everything = ["0.0.0.0/0:*", "[::/0]:*", "localhost:*"];
    for spelling in SPELLINGS {
        // Of its own, for a listener that answers nobody is soon left alone.
        let [(http, with), _] = calls(&outbound(), &spelling.replace('P', &listener.port.to_string()));
        call(&*http, with, &everything).await;
    }
    let would = listener.seen();
    println!("without the guard: {would} of {} spellings reach the listener", SPELLINGS.len());
    assert!(would >= 40, "{would}");
}

#[tokio::test]
async fn a_refusal_prints_the_line_that_allows_it() {
    for url in ["http://127.0.0.1:11434/v1", "http://0x7f.1:11434/v1?token=secret"] {
        for (plugin, with) in calls(&outbound(), url) {
            let (class, message) = failure(call(&*plugin, with, &[]).await);
            assert_eq!(class, ErrorClass::Denied);
            let line = "add `permissions: { network: [\"127.0.0.1:11434\"] }`";
            assert!(message.ends_with(line) && !message.contains("secret"), "{message}");
        }
    }
    let (_, message) = failure(call(&Http::default(), json!({ "url": "http://localhost:9/" }), &[]).await);
    assert!(
        message.contains("localhost:9 (") && message.ends_with("network: [\"localhost:9\"] }`"),
        "{message}"
    );
}

/// Gives one answer after the other, the last again and again.
#[derive(Debug, Default)]
struct Scripted {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let read = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(read).collect()), asked: AtomicUsize::new(0) })
    }
}

#[derive(Debug)]
struct Asked(Arc<Scripted>);

#[async_trait]
impl Resolver for Asked {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        next.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn over(answers: &[&[&str]]) -> (Arc<Outbound>, Arc<Scripted>) {
    let script = Scripted::new(answers);
    (Arc::new(Outbound::builder().resolver(Asked(script.clone())).build().unwrap()), script)
}

/// A server that stands for the public internet, because its address is granted, and a listener on the same port of an address
/// that is not.
async fn public_and_private() -> (Server, Listener, String) {
    let public = Server::start_on("127.0.0.2:0", |_| reply(200, "", "public")).await;
    let private = Listener::on(&format!("127.0.0.1:{}", public.port()));
    let grant = format!("127.0.0.2:{}", public.port());
    (public, private, grant)
}

#[tokio::test]
async fn a_name_server_that_changes_its_mind_gains_nothing() {
    let (public, private, grant) = public_and_private().await;
    let (outbound, script) = over(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let http = Http::over(outbound);
    let with = json!({ "url": format!("http://rebound.example:{}/", public.port()) });
    assert_eq!(output(call(&http, with.clone(), &[&grant]).await)["body"], "public");
    assert_eq!(script.asked.load(Ordering::SeqCst), 1, "what was checked is what was connected to");
    let (class, message) = failure(call(&http, with, &[&grant]).await);
    assert_eq!(class, ErrorClass::Denied, "{message}");
    assert_eq!((private.seen(), public.received().len()), (0, 1));
}

#[tokio::test]
async fn of_several_addresses_only_those_are_tried_that_may_be() {
    let (public, private, grant) = public_and_private().await;
    let (outbound, _) = over(&[&["127.0.0.1", "::1", "169.254.169.254", "127.0.0.2", "10.0.0.1"]]);
    let with = json!({ "url": format!("http://mixed.example:{}/", public.port()) });
    for _ in 0..5 {
        assert_eq!(
            output(call(&Http::over(outbound.clone()), with.clone(), &[&grant]).await)["body"],
            "public"
        );
    }
    assert_eq!((private.seen(), public.received().len()), (0, 5));
}

#[tokio::test]
async fn a_redirect_is_a_destination_like_any_other() {
    let private = Listener::everywhere();
    let (outbound, _) = over(&[&["127.0.0.1"]]);
    let http = Http::over(outbound);
    let mut tried = 0;
    for status in [301, 302, 303, 307, 308] {
        for (host, class) in [
            ("http://127.0.0.1:P/", ErrorClass::Denied),
            ("//2130706433:P/", ErrorClass::Denied),
            ("http://[::ffff:7f00:1]:P/", ErrorClass::Denied),
            ("http://named.example:P/", ErrorClass::Denied),
            ("http://user:secret@127.0.0.1:P/", ErrorClass::Failed),
            ("file:///etc/passwd", ErrorClass::Failed),
            ("ftp://127.0.0.1:P/", ErrorClass::Failed),
            ("gopher://127.0.0.1:P/", ErrorClass::Failed),
            ("unix:///var/run/docker.sock", ErrorClass::Failed),
        ] {
            let to = host.replace('P', &private.port.to_string());
            let server = Server::always(reply(status, &format!("location: {to}\r\n"), "")).await;
            let grant = format!("127.0.0.1:{}", server.port());
            for method in ["GET", "POST"] {
                let with = json!({ "method": method, "url": server.url });
                let (found, message) = failure(call(&http, with, &[&grant]).await);
                assert_eq!(found, class, "{method} {status} {host}: {message}");
                assert!(!message.contains("secret"), "{message}");
                tried += 1;
            }
        }
    }
    println!("{tried} redirects, {} connects", private.seen());
    assert_eq!(private.seen(), 0);
}

#[tokio::test]
async fn a_connection_that_is_open_is_for_those_who_may_open_it() {
    // It says nothing of `connection: close`, so it stays open.
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let server = Server::always(server::Reply::Hang(answer.to_owned())).await;
    let (outbound, _) = over(&[&["127.0.0.1"]]);
    let http = Http::over(outbound);
    let with = json!({ "url": format!("http://named.example:{}/", server.port()), "timeout": "10s" });
    let grant = format!("named.example:{}", server.port());
    assert_eq!(output(call(&http, with.clone(), &[&grant]).await)["body"], "ok");
    // Over the connection that is open nobody would be asked for an address.
    assert_eq!(failure(call(&http, with, &[]).await).0, ErrorClass::Denied);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_host_program_can_grant_and_is_told_what_does_not_read() {
    let server = Server::always(reply(200, "", "ok")).await;
    let outbound = Outbound::builder().allow(format!("127.0.0.1:{}", server.port())).build().unwrap();
    let http = Http::over(Arc::new(outbound));
    assert_eq!(output(call(&http, json!({ "url": server.url }), &[]).await)["body"], "ok");
    let error = Outbound::builder().allow("localhost").build().unwrap_err().to_string();
    assert!(error.contains("`localhost` is not a destination: it has no port"), "{error}");
    for (proxy, why) in [("nonsense", "relative URL"), ("socks5://x:1", "its scheme is `socks5`")] {
        let error = Outbound::builder().proxy(proxy).build().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let shown = format!("{:?}", Outbound::builder().proxy("http://me:secret@proxy:1"));
    assert!(!shown.contains("secret"), "{shown}");
    let shown = format!("{:?}", Outbound::builder().proxy("http://me:secret@proxy:1").build().unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_proxy_that_is_configured_is_asked_and_this_machine_is_not_asked_of_it() {
    let proxy = Server::always(reply(200, "", "proxied")).await;
    let outbound = Outbound::builder().proxy(&proxy.url).build().unwrap();
    let http = Http::over(Arc::new(outbound));
    let with = json!({ "url": "http://public.example/x" });
    assert_eq!(output(call(&http, with, &[]).await)["body"], "proxied");
    assert_eq!(proxy.received()[0].target, "http://public.example/x");
    for url in
        ["http://127.0.0.1:1/", "http://localhost:1/", "http://a.localhost:1/", "http://169.254.169.254/"]
    {
        assert_eq!(failure(call(&http, json!({ "url": url }), &[]).await).0, ErrorClass::Denied, "{url}");
    }
    assert_eq!(proxy.received().len(), 1);
}

#[tokio::test]
async fn a_host_that_fails_again_and_again_is_left_alone_for_a_while() {
    let well = Arc::new(Mutex::new(false));
    let says = well.clone();
    let server = Server::start(move |_| reply(if *says.lock().unwrap() { 200 } else { 503 }, "", "")).await;
    let outbound = Arc::new(Outbound::default());
    let (http, llm) = (Http::over(outbound.clone()), Llm::over(outbound.clone()));
    let with = json!({ "url": server.url });
    let grants = ["127.0.0.1:*"];
    for _ in 0..5 {
        assert_eq!(failure(call(&http, with.clone(), &grants).await).0, ErrorClass::Transient);
    }
    assert_eq!(outbound.circuits()[0].state, CircuitState::Open);
    assert_eq!(outbound.circuits()[0].origin, server.url);
    // Whoever shares the way out, finds it closed too.
    let asks = json!({ "model": "m", "base_url": server.url, "prompt": "x" });
    for (plugin, with) in [(&http as &dyn Plugin, &with), (&llm, &asks)] {
        let outcome = call(plugin, with.clone(), &grants).await;
        let Outcome::Failed { error, retry_after: Some(wait) } = outcome else { panic!("{outcome:?}") };
        assert!(wait <= Duration::from_secs(1) && error.class == ErrorClass::Transient, "{error:?}");
        assert!(error.message.contains("left alone"), "{}", error.message);
    }
    assert_eq!(server.received().len(), 5, "it has been left alone");
    // What is not transient does not count, nor does a refusal.
    *well.lock().unwrap() = true;
    let other = Outbound::default();
    let http = Http::over(Arc::new(other));
    let denied = Server::always(reply(403, "", "")).await;
    for _ in 0..6 {
        assert_eq!(failure(call(&http, json!({ "url": denied.url }), &grants).await).0, ErrorClass::Denied);
        assert_eq!(failure(call(&http, with.clone(), &[]).await).0, ErrorClass::Denied);
    }
    assert_eq!(denied.received().len(), 6);
    output(call(&http, with, &grants).await);
}

//! A call of the plugin `http` to a service on this machine, above the same call of the bare client.

use std::path::Path;
use std::sync::Arc;

use orchestrator_core::port::plugin::{Context, Outcome, Plugin, Request};
use orchestrator_plugins::Http;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sample::{Figure, Must, interleaved, runtime, time};

/// How many calls one repetition makes, one after the other over one connection.
const CALLS: usize = 1_000;

/// What a call may take above the bare client, in milliseconds.
const ABOVE: f64 = 0.3;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n{\"state\":\"done\"}";

pub(crate) fn measure(repeat: usize) -> Vec<Figure> {
    let (service, caller) = (runtime(), runtime());
    let listener = service.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let port = listener.local_addr().expect("it has an address").port();
    service.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let url = format!("http://127.0.0.1:{port}/");
    let http = Http::default();
    let run = "run_0193b5a0000070008000000000000001".parse().expect("the id of a run");
    let mut context = Context::detached(run, "call", Path::new("."));
    context.network = Arc::new(std::iter::once("127.0.0.1:*".parse().expect("a destination")).collect());
    let ours = || {
        caller.block_on(async {
            for _ in 0..CALLS {
                let with = json!({ "url": url, "check": "self.json.state == 'done'" });
                let outcome = http.execute(context.clone(), Request { with, ..Request::default() }).await;
                assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
            }
        });
    };
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let bare = || {
        caller.block_on(async {
            for _ in 0..CALLS {
                let answer = client.get(&url).send().await.expect("an answer");
                assert_eq!(answer.bytes().await.expect("a body").len(), 16);
            }
        });
    };
    // The first calls connect.
    ours();
    bare();
    let mean = |calls: &dyn Fn()| time(calls).1.as_secs_f64() * 1e3 / CALLS as f64;
    let (measured, limit) = interleaved(repeat, || mean(&ours), || mean(&bare));
    vec![Figure {
        name: "http: a call, above the bare client".to_owned(),
        measured,
        limit,
        unit: "ms",
        must: Must::WithinAbove(ABOVE),
    }]
}

/// Answers each request on a connection; none has a body, and each comes in one piece.
async fn serve(mut stream: TcpStream) {
    let mut request = [0; 4_096];
    while let Ok(1..) = stream.read(&mut request).await {
        if stream.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}

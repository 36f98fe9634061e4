//! `embed_in_a_service`

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;

/// Nothing here takes this long; what does, hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running shop. Dropping it kills it.
struct Shop {
    process: Child,
    address: String,
}

impl Shop {
    /// Opens the shop of a folder, on a port that is free.
    fn open(bench: &Bench) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_embed_in_a_service"))
            .args(["shop.db", "127.0.0.1:0"])
            .current_dir(bench.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the shop opens");
        let mut line = String::new();
        let mut said = BufReader::new(process.stdout.take().expect("its output"));
        said.read_line(&mut line).expect("it says where it is");
        let address = line.trim().strip_prefix("listening on http://").expect("an address").to_owned();
        Self { process, address }
    }

    /// A request: the status, and what is answered.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(&self.address).expect("somebody is there");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("the request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// Takes an order: the number of the order and its run.
    fn order(&self, item: &str, count: u32) -> (u16, Value) {
        self.ask("POST", "/orders", Some(&json!({ "item": item, "count": count })))
    }

    fn orders(&self) -> usize {
        let (status, answer) = self.ask("GET", "/orders", None);
        assert_eq!(status, 200, "{answer}");
        answer["orders"].as_array().map_or(0, Vec::len)
    }

    /// The order, once it is as wanted.
    fn until(&self, order: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let (status, found) = self.ask("GET", &format!("/orders/{order}"), None);
            assert_eq!(status, 200, "{found}");
            if wanted(&found) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "{found}");
        }
    }

    fn courier(&self) {
        assert_eq!(self.ask("POST", "/courier", None).0, 204);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // SIGKILL: it has no time to put anything in order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Every run in the shop's database, however it stands.
fn runs(bench: &Bench) -> Vec<Value> {
    let listed = bench.orchestrator(&["--store", "sqlite:shop.db", "runs", "list", "--json"]).json();
    listed["items"].as_array().cloned().expect("a list")
}

#[test]
fn an_order_is_carried_out_by_the_run_that_came_with_it() {
    let bench = Bench::new();
    let shop = Shop::open(&bench);
    let (status, placed) = shop.order("tea", 2);
    assert_eq!(status, 201, "{placed}");
    shop.courier();
    let order = shop.until(&placed["id"], |order| order["status"] == "completed");
    assert_eq!(order["run"], placed["run"]);
    assert_eq!(order["packed"], true);
    assert_eq!(order["parcel"], format!("parcel {}", placed["id"]));
    assert_eq!(runs(&bench).len(), 1);
}

#[test]
fn a_handler_that_fails_leaves_neither_order_nor_run() {
    let bench = Bench::new();
    let shop = Shop::open(&bench);
    // The run has been written when the shelf is found empty.
    let (status, refused) = shop.order("cake", 4);
    assert_eq!((status, &refused["error"]), (409, &json!("there are not 4 of `cake`")));
    assert_eq!(shop.order("tea", 0).0, 409, "an order of nothing is none");
    assert_eq!((shop.orders(), runs(&bench)), (0, Vec::new()));
    // Nothing of it stands in the way of who comes next.
    assert_eq!(shop.order("cake", 3).0, 201);
    assert_eq!(shop.order("cake", 1).0, 409, "sold out");
    assert_eq!((shop.orders(), runs(&bench).len()), (1, 1));
}

#[test]
fn a_shop_that_was_killed_goes_on_with_its_orders() {
    let bench = Bench::new();
    let shop = Shop::open(&bench);
    let (_, placed) = shop.order("tea", 1);
    shop.until(&placed["id"], |order| order["packed"] == true);
    drop(shop);
    assert_eq!(runs(&bench)[0]["status"], "running", "no courier has come");
    let shop = Shop::open(&bench);
    shop.courier();
    let order = shop.until(&placed["id"], |order| order["status"] == "completed");
    assert_eq!(order["parcel"], format!("parcel {}", placed["id"]));
    assert_eq!(runs(&bench).len(), 1, "the same run, not another");
}

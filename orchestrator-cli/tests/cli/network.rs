//! What steps may reach, from the file to the wire.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Sandbox;
use crate::sandbox::Said;

/// A service on this machine that answers everything with `{}`. It ends with the process.
struct Service {
    port: u16,
    seen: Arc<AtomicUsize>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                answer(stream);
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Errors are the other side going away.
fn answer(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
}

fn run(flow: &str) -> Said {
    Sandbox::with(&[("flow.yaml", flow)]).run("run flow.yaml --json")
}

#[test]
fn a_step_reaches_this_machine_only_where_its_workflow_says_so() {
    let service = Service::start();
    let port = service.port;
    let step = format!("steps:\n  call: {{ uses: http, with: {{ url: 'http://127.0.0.1:{port}/' }} }}\n");
    let report = run(&format!("name: bare\n{step}")).exits(1).json();
    let call = &report["steps"][0];
    let line = format!("permissions: {{ network: [\"127.0.0.1:{port}\"] }}");
    assert!(call["error"].as_str().unwrap().ends_with(&format!("add `{line}`")), "{call}");
    assert_eq!(service.seen(), 0);
    // What the refusal prints is what helps.
    let report = run(&format!("name: granted\n{line}\n{step}")).exits(0).json();
    assert_eq!(report["steps"][0]["output"]["body"], "{}");
    assert_eq!(service.seen(), 1);
    let replaced = step.replace(" } }\n", " }, permissions: {} }\n");
    run(&format!("name: replaced\n{line}\n{replaced}")).exits(1);
    let added = step.replace(" } }\n", &format!(" }}, {line} }}\n"));
    assert_eq!(service.seen(), 1);
    run(&format!("name: own\n{added}")).exits(0);
    assert_eq!(service.seen(), 2);
}

#[test]
fn a_workflow_below_has_the_permissions_of_its_own_text() {
    let service = Service::start();
    let line = format!("permissions: {{ network: [\"127.0.0.1:{}\"] }}", service.port);
    let below =
        format!("steps:\n  call: {{ uses: http, with: {{ url: 'http://127.0.0.1:{}/' }} }}\n", service.port);
    let above = "steps:\n  child: { uses: workflow, with: { workflow: ./below.yaml } }\n";
    let sandbox = Sandbox::with(&[
        ("below.yaml", &format!("name: below\n{below}")),
        ("above.yaml", &format!("name: above\n{line}\n{above}")),
    ]);
    sandbox.run("run above.yaml --json").exits(1);
    assert_eq!(service.seen(), 0);
    sandbox.write("below.yaml", format!("name: below\n{line}\n{below}"));
    sandbox.write("above.yaml", format!("name: above\n{above}"));
    sandbox.run("run above.yaml --json").exits(0);
    assert_eq!(service.seen(), 1);
}

#[test]
fn a_proxy_of_the_environment_is_not_asked() {
    let (service, proxy) = (Service::start(), Service::start());
    let flow = format!(
        "name: direct\npermissions: {{ network: ['127.0.0.1:*'] }}\nsteps:\n  call: {{ uses: http, with: {{ url: 'http://127.0.0.1:{}/' }} }}\n",
        service.port
    );
    let sandbox = Sandbox::with(&[("flow.yaml", &flow)]);
    let mut command = sandbox.command(["run", "flow.yaml", "--json"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, format!("http://127.0.0.1:{}", proxy.port));
    }
    Said::of(&command.output().unwrap()).exits(0);
    assert_eq!((service.seen(), proxy.seen()), (1, 0));
    // One that is meant is.
    let flow = "name: proxied\nsteps:\n  call: { uses: http, with: { url: 'http://public.example/' } }\n";
    sandbox.write("flow.yaml", flow);
    let mut command = sandbox.command(["run", "flow.yaml", "--json"]);
    command.env("ORCHESTRATOR_PROXY", format!("http://127.0.0.1:{}", proxy.port));
    Said::of(&command.output().unwrap()).exits(0);
    assert_eq!(proxy.seen(), 1);
    let mut command = sandbox.command(["config", "show"]);
    command.env("ORCHESTRATOR_PROXY", "http://me:s3cret@proxy.internal:3128");
    let said = Said::of(&command.output().unwrap()).exits(0).out;
    assert!(said.contains("http://me:***@proxy.internal:3128") && !said.contains("s3cret"), "{said}");
}

#[test]
fn what_may_be_reached_is_told_before_it_is() {
    let flow = "\
name: granting
permissions: { network: [\"10.0.0.0/8:443\"] }
steps:
  a: { uses: http, with: { url: 'https://a.internal/' } }
  b: { uses: http, with: { url: 'https://b.internal/' } }
  c: { uses: http, with: { url: 'https://c.internal/' }, permissions: { network: [\"c.internal:443\", \"[::1]:*\"] } }
  d: { uses: sleep, with: { for: 1ms } }
";
    let sandbox = Sandbox::with(&[("flow.yaml", flow)]);
    let said = sandbox.run("plan flow.yaml").exits(0).out;
    let expected = "what it may reach beyond the public internet:\n  a, b: 10.0.0.0/8:443\n  c: c.internal:443, [::1]:*\n";
    assert!(said.contains(expected), "{said}");
    let plan = sandbox.run("plan flow.yaml --json").exits(0).json();
    assert_eq!(plan["steps"][2]["network"], serde_json::json!(["c.internal:443", "[::1]:*"]));
    let said = sandbox.run("validate flow.yaml").exits(0).out;
    assert!(said.contains("may reach 10.0.0.0/8:443, [::1]:*, c.internal:443"), "{said}");
}

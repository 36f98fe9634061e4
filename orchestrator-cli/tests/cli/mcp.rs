//! Steps that call tools, and the servers that the configuration file names.

use serde_json::json;

use crate::outside::{ends, hanging, program};
use crate::{Said, Sandbox};

/// A server with the tool `shout`; with `hang` it never answers.
const SERVER: &str = r#"#!/usr/bin/env python3
import json, os, sys, time
TOOL = {"name": "shout", "description": "Says it louder.", "inputSchema": {
    "type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "hang": {"type": "boolean"}}}}
def answer(message):
    if message["method"] == "initialize":
        return {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "shouter", "version": "1"}}
    if message["method"] == "tools/list":
        return {"tools": [TOOL]}
    arguments = message["params"]["arguments"]
    print("shouting " + arguments["text"], file=sys.stderr, flush=True)
    if arguments.get("hang"):
        open("pid", "w").write(str(os.getpid()))
        time.sleep(1000)
    return {"content": [{"type": "text", "text": arguments["text"].upper() + os.environ.get("LOUD", "")}]}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}), flush=True)
"#;

const CONFIG: &str = "[mcp.shouter]\ncommand = [\"./shouter.py\"]\nenv = [\"LOUD\"]\n";

fn flow(with: &str) -> String {
    format!(
        "name: loud\nsteps:\n  shout:\n    uses: mcp\n    with: {with}\noutputs:\n  said: ${{{{ steps.shout.text }}}}\n"
    )
}

fn sandbox(flow: &str) -> Sandbox {
    let sandbox = Sandbox::with(&[(".orchestrator/config.toml", CONFIG), ("loud.yaml", flow)]);
    program(&sandbox, "shouter.py", SERVER);
    sandbox
}

#[test]
fn a_server_of_the_configuration_file_is_called_and_shown() {
    let sandbox = sandbox(&flow("{ server: shouter, tool: shout, arguments: { text: hello } }"));
    sandbox.run("validate loud.yaml").exits(0);
    let planned = sandbox.run("plan loud.yaml").exits(0);
    assert!(planned.out.contains("calls the tool shout of the server shouter"), "{}", planned.out);
    let mut run = sandbox.command(["run", "loud.yaml", "--json"]);
    let ran = Said::of(&run.env("LOUD", "!").env("QUIET", "?").output().unwrap()).exits(0).json();
    assert_eq!(
        (&ran["outputs"]["said"], &ran["steps"][0]["effect"]),
        (&json!("HELLO!"), &json!("at_most_once"))
    );
    assert!(sandbox.run("runs logs @last").exits(0).out.contains("shouting hello"));

    let shown = sandbox.run("config show").exits(0);
    let row = shown.out.lines().find(|line| line.starts_with("mcp.shouter")).unwrap();
    assert!(row.contains("shouter.py") && row.contains("config.toml: mcp.shouter"), "{row}");
    let shown = sandbox.run("plugins schema mcp --server shouter").exits(0);
    assert!(shown.out.starts_with("shout: Says it louder.\narguments: {"), "{}", shown.out);
    let shown = sandbox.run("plugins schema mcp --server shouter --json").exits(0).json();
    assert_eq!(shown["tools"][0]["input_schema"]["required"], json!(["text"]));
    let said = sandbox.run("plugins schema mcp --server shoter").exits(4);
    assert!(said.err.contains("did you mean `shouter`?"), "{}", said.err);
    sandbox.run("plugins schema http --server shouter").exits(2);
    program(&sandbox, "shouter.py", "#!/bin/sh\necho no licence >&2\nexit 4\n");
    let said = sandbox.run("plugins schema mcp --server shouter").exits(1);
    assert!(said.err.contains("the server has ended (exit code 4): no licence"), "{}", said.err);
}

#[test]
fn what_can_be_found_before_is() {
    for (with, told) in [
        ("{ server: shoter, tool: shout }", "there is no server `shoter`"),
        ("{ tool: shout }", "exactly one of `server`, `command` and `url` is needed"),
        ("{ server: shouter }", "missing `tool`"),
        ("{ server: shouter, tool: shout, argumnets: {} }", "did you mean \"arguments\"?"),
    ] {
        let said = sandbox(&flow(with)).run("validate loud.yaml").exits(3);
        assert!(said.err.contains(told), "{with}: {}", said.err);
    }
    for (text, told) in [
        ("mcp = []", "mcp: expected a mapping, found a list"),
        ("[mcp.a]\n", "mcp.a: it takes either `command` or `url`"),
        ("[mcp.a]\ncommand = [\"x\"]\nurl = \"http://a\"", "mcp.a: it takes either `command` or `url`"),
        ("[mcp.a]\ncommand = []", "mcp.a: `command` names no program"),
        ("[mcp.a]\ncomand = [\"x\"]", "mcp.a.comand: unknown key \"comand\" (did you mean \"command\"?)"),
        ("[mcp.a]\nurl = \"http://a\"\nenv = [\"X\"]", "mcp.a: `env` is for a server with `command`"),
        ("[mcp.a]\nurl = \"ftp://a\"", "mcp.a: url: `ftp` is not a scheme"),
        ("[mcp.a]\nurl = \"http://a\"\nheaders = { Mcp-Session-Id = \"x\" }", "belongs to the protocol"),
    ] {
        let said = Sandbox::with(&[(".orchestrator/config.toml", text)]).run("plugins list").exits(2);
        assert!(said.err.contains(told), "{text}: {}", said.err);
    }
}

#[test]
fn a_program_of_a_workflow_is_let_out_by_its_author() {
    let confined = flow("{ command: [./shouter.py], tool: shout, arguments: { text: hello } }");
    let sandbox = sandbox(&confined);
    let said = sandbox.run("run loud.yaml").exits(1);
    assert!(said.err.contains("add `sandbox: none` to the step"), "{}", said.err);
    sandbox.write("loud.yaml", confined.replace("    uses: mcp\n", "    uses: mcp\n    sandbox: none\n"));
    let valid = sandbox.run("validate loud.yaml").exits(0);
    assert!(valid.out.contains("outside of the sandbox: shout"), "{}", valid.out);
    sandbox.run("run loud.yaml").exits(0);
}

#[test]
fn a_server_ends_when_we_are_killed_and_its_step_is_unknown() {
    let sandbox = sandbox(&flow("{ server: shouter, tool: shout, arguments: { text: hello, hang: true } }"));
    let mut run = sandbox.spawn("run loud.yaml");
    let process = hanging(&sandbox);
    run.kill().unwrap();
    run.wait().unwrap();
    ends(&process);
    sandbox.run("runs resume @last").exits(9);
    let shown = sandbox.run("runs show @last --json").exits(0).json();
    assert_eq!(shown["steps"][0]["status"], "outcome_unknown");
}

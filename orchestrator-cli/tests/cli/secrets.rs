//! Secrets from the outside: where they come from, and that they are nowhere to be found afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::json;

use crate::{Said, Sandbox};

/// Values of every shape that there is trouble with.
fn canaries() -> Vec<(&'static str, String)> {
    let long: String = (0..4_096_u32).map(|at| char::from(b'!' + (at * 7 % 94) as u8)).collect();
    let line = |from: u8| (0..64).map(|at| char::from(b'A' + (at + from) % 26)).collect::<String>();
    let pem = format!("-----BEGIN CANARY KEY-----\n{}\n{}\n-----END CANARY KEY-----\n", line(3), line(11));
    vec![
        ("SHORT", "q7Zk".to_owned()),
        ("LONG", long),
        ("PEM", pem),
        ("JSON", "{\"canary\": \"v4lue\\n\", \"n\": [1, 2]}".to_owned()),
        ("REGEX", "c4nary.*+?(x|y)[a-z]{2}$^".to_owned()),
        ("URL", "c4n&ry=%2F+ /?#@:;,\"'<>".to_owned()),
        ("TEXT", "канарейка-日本-🦜-é".to_owned()),
        ("PREFIX", "c4nary-prefix".to_owned()),
        ("PREFIXED", "c4nary-prefix-and-more".to_owned()),
    ]
}

/// The forms that are promised to be masked, made without the code under test.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let value = value.trim_end();
    let mut forms = vec![("as it is", value.to_owned())];
    for shift in 0..3 {
        let encoded = STANDARD_NO_PAD.encode([vec![0; shift], value.as_bytes().to_vec()].concat());
        // Without the characters that also hold bits of what stands beside it.
        let (from, to) = ((shift * 8).div_ceil(6), (shift + value.len()) * 8 / 6);
        forms.push(("base64", encoded[from..to].to_owned()));
    }
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = value.bytes().map(|byte| match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    forms.push(("percent-encoded", percent.collect()));
    forms.push(("hexadecimal", hex.to_ascii_uppercase()));
    forms.push(("hexadecimal", hex));
    let quoted = json!(value).to_string();
    forms.push(("JSON", quoted[1..quoted.len() - 1].to_owned()));
    forms
}

/// How much of a canary is looked for, in bytes.
const PIECE: usize = 64;

/// Looks for the canaries. Line ends in the middle of one hide nothing.
struct Search {
    automaton: AhoCorasick,
    told: Vec<String>,
}

impl Search {
    fn new() -> Self {
        let mut told = Vec::new();
        let mut pieces = Vec::new();
        for (name, value) in canaries() {
            for (how, form) in forms(&value) {
                let form = form.replace(['\r', '\n'], "").into_bytes();
                // Of a long one its two ends: half of a secret is one too.
                let end = form.len().saturating_sub(PIECE);
                for piece in [&form[..form.len().min(PIECE)], &form[end..]] {
                    pieces.push(piece.to_vec());
                    told.push(format!("{name} {how}"));
                }
            }
        }
        Self { automaton: AhoCorasick::new(pieces).unwrap(), told }
    }

    /// Which canaries stand in some bytes, and in which form.
    fn found(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let flat: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
        self.automaton.find_overlapping_iter(&flat).map(|found| &*self.told[found.pattern()]).collect()
    }
}

fn files(folder: &Path, then: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, then),
            false => then(&path, &fs::read(&path).unwrap()),
        }
    }
}

/// Shows every canary in every way, on both outputs, in its result and in its failure.
const SHOW: &str = r#"
import base64, gzip, json, os, sys, urllib.parse
names = os.environ["NAMES"].split()
out = {}
for name in names:
    value = os.environ[name]
    raw = value.encode()
    for stream in (sys.stdout, sys.stderr):
        say = lambda text: (stream.write(text + "\n"), stream.flush())
        say(f"{name} raw: {value}")
        for shift in range(3):
            say(f"{name} base64: " + base64.b64encode(b"x" * shift + raw).decode())
        say(f"{name} wrapped: " + base64.encodebytes(b"user:" + raw).decode())
        say(f"{name} hex: {raw.hex()} {raw.hex().upper()}")
        say(f"{name} url: {urllib.parse.quote(value, safe='')} {urllib.parse.quote_plus(value)}")
        say(f"{name} json: {json.dumps(value)} {json.dumps(value, ensure_ascii=False)} {json.dumps(json.dumps(value))}")
        # Split across two writes, and across the edges of buffers.
        middle = len(raw) // 2
        os.write(stream.fileno(), raw[:middle])
        os.write(stream.fileno(), raw[middle:] + b"\n")
        os.write(stream.fileno(), b"." * (65536 - middle) + raw + b"\n")
    out[name] = {"value": value, "list": [value, raw.hex()], value: 1}
with open(os.environ["ORCHESTRATOR_OUTPUT"], "w") as file:
    json.dump(out, file)
if os.environ["FAIL"] == "yes":
    sys.exit(os.environ[names[0]] + " is not right")
"#;

fn flow() -> String {
    let names: Vec<&str> = canaries().iter().map(|(name, _)| *name).collect();
    let env: String =
        names.iter().map(|name| format!("      {name}: \"${{{{ secrets.{name} }}}}\"\n")).collect();
    let script: String = SHOW.lines().map(|line| format!("      {line}\n")).collect();
    let step = |id: &str, fail: &str, more: &str| {
        let shared = format!("    env:\n      NAMES: {}\n      FAIL: \"{fail}\"\n{env}", names.join(" "));
        format!(
            "  {id}:\n{more}    with: {{ shell: python3, output_limit: 100000 }}\n    run: |\n{script}{shared}"
        )
    };
    format!(
        "name: canaries\nsecrets: [{}]\nsteps:\n{}{}  after:\n    needs: show\n    run: printf '%s' \"$SEEN\"\n    env: {{ SEEN: \"${{{{ steps.show.PEM.value }}}} ${{{{ steps.show.stdout }}}}\" }}\n",
        names.join(", "),
        step("show", "no", ""),
        step("fails", "yes", "    continue-on-error: true\n"),
    )
}

/// Runs the canaries in a folder of their own, with everything that can be written in it, and the values elsewhere.
fn released(words: &str, expected: i32) -> (Sandbox, tempfile::TempDir, Vec<(String, Vec<u8>)>) {
    let sandbox = Sandbox::with(&[("canaries.yaml", &flow()), ("tmp/x", "")]);
    let vault = tempfile::tempdir().unwrap();
    for (name, value) in canaries() {
        fs::write(vault.path().join(name), value).unwrap();
    }
    let ask = |words: &str| {
        let mut command = sandbox.command(words.split_whitespace());
        command.env("ORCHESTRATOR_SECRETS_FILE", vault.path()).env("TMPDIR", sandbox.path("tmp"));
        command.env("ORCHESTRATOR_LOG", "trace,sqlx=debug");
        command.output().unwrap()
    };
    let mut shown = Vec::new();
    let first = ask(words);
    assert_eq!(first.status.code(), Some(expected), "{}", String::from_utf8_lossy(&first.stderr));
    for (words, output) in [(words, first)].into_iter().chain(
        [
            "runs show @last --json",
            "runs show @last",
            "runs events @last --json",
            "runs logs @last",
            "runs list",
            "doctor",
        ]
        .map(|words| (words, ask(words))),
    ) {
        shown.push((format!("{words} (stdout)"), output.stdout));
        shown.push((format!("{words} (stderr)"), output.stderr));
    }
    (sandbox, vault, shown)
}

#[test]
fn canaries_are_nowhere_to_be_found() {
    let search = Search::new();
    let words = "run canaries.yaml --logs --json=stream --report junit=report.xml";
    let (sandbox, _vault, shown) = released(words, 0);
    let mut looked = 0;
    let mut look = |place: &str, bytes: &[u8]| {
        looked += 1;
        let found = search.found(bytes);
        assert!(found.is_empty(), "{place}: {found:?}");
    };
    shown.iter().for_each(|(place, bytes)| look(place, bytes));
    files(&sandbox.path(""), &mut |path, bytes| look(&path.display().to_string(), bytes));
    // The steps did show them, and what they showed is kept.
    let logs = String::from_utf8(
        shown.iter().find(|(place, _)| place == "runs logs @last (stdout)").unwrap().1.clone(),
    )
    .unwrap();
    for (name, _) in canaries() {
        for how in ["raw", "base64", "wrapped", "hex", "url", "json"] {
            let line = format!("{name} {how}: ");
            assert!(logs.contains(&line), "nothing was shown as {line}");
        }
        assert!(logs.contains(&format!("{name} raw: ***")), "{name}");
    }
    let report = sandbox.last();
    let step =
        |id: &str| report["steps"].as_array().unwrap().iter().find(|step| step["id"] == id).unwrap().clone();
    assert_eq!(step("show")["output"]["TEXT"]["value"], "***");
    assert!(
        step("fails")["error"].as_str().unwrap().contains("*** is not right"),
        "{}",
        step("fails")["error"]
    );
    println!(
        "canaries: {} values in {} forms, {looked} places, 0 found",
        canaries().len(),
        search.told.len()
    );
}

#[test]
fn the_search_for_canaries_finds_them() {
    let search = Search::new();
    for (name, value) in canaries() {
        for (how, form) in forms(&value) {
            let planted = format!("before {} after", form.replace("CANARY", "CANA\nRY"));
            let told = format!("{name} {how}");
            assert!(search.found(planted.as_bytes()).contains(&*told), "{told} is not noticed");
        }
    }
    assert!(search.found(b"nothing at all").is_empty());
}

const HELLO_SECRET: &str = "\
name: hello
secrets: [TOKEN, OTHER]
steps:
  greet: { run: 'printf \"%s\" \"${#TOKEN}\"', effect: pure, env: { TOKEN: \"${{ secrets.TOKEN }}\" } }
outputs: { length: \"${{ steps.greet.stdout }}\" }
";

#[test]
fn what_is_missing_is_told_before_anything_begins() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO_SECRET)]);
    let said = sandbox.run("run hello.yaml").exits(3);
    assert!(said.err.contains("2 secrets cannot be had"), "{}", said.err);
    for name in ["TOKEN", "OTHER"] {
        let told = format!(
            "{name}: it is not set: looked for the environment variable ORCHESTRATOR_SECRET_{name}, {name} in the file .orchestrator/secrets.env"
        );
        assert!(said.err.contains(&told), "{}", said.err);
    }
    assert_eq!(sandbox.run("runs list --json").exits(0).json()["items"].as_array().unwrap().len(), 0);
    sandbox.write(".orchestrator/secrets.env", "TOKEN=value\nOTHER=value\n");
    let said = sandbox.run("run hello.yaml").exits(3);
    assert!(said.err.contains("others can read"), "{}", said.err);
    assert!(sandbox.run("doctor").exits(1).out.contains("chmod 600"));
}

#[test]
fn secrets_come_from_the_environment_the_file_and_the_command_in_this_order() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO_SECRET), (".orchestrator/x", "")]);
    let length = |env: &[(&str, &str)]| {
        let mut command = sandbox.command(["run", "hello.yaml", "--json"]);
        command.envs(env.iter().copied()).env("ORCHESTRATOR_SECRET_OTHER", "other");
        Said::of(&command.output().unwrap()).exits(0).json()["outputs"]["length"].clone()
    };
    let command =
        ("ORCHESTRATOR_SECRETS_COMMAND", "sh -c 'printf 666666; test \"$SECRET_NAME\" = TOKEN' sh {name}");
    assert_eq!(length(&[command]), "6");
    sandbox.write(".orchestrator/secrets.env", "TOKEN=55555\n");
    let path = sandbox.path(".orchestrator/secrets.env");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(length(&[command]), "5");
    assert_eq!(length(&[command, ("ORCHESTRATOR_SECRET_TOKEN", "4444")]), "4");
    assert!(sandbox.run("doctor").exits(0).out.contains(".orchestrator/secrets.env"));
}

#[test]
fn a_killed_run_goes_on_with_its_secrets_and_not_without_them() {
    let flow = HELLO_SECRET.replace("printf \"%s\"", "cat gate; printf \"%s\"");
    let sandbox = Sandbox::with(&[("hello.yaml", &flow)]);
    sandbox.pipe("gate");
    let begin = |words: &str, value: Option<&str>| {
        let mut command = sandbox.command(words.split_whitespace());
        for name in ["TOKEN", "OTHER"] {
            command.envs(value.map(|value| (format!("ORCHESTRATOR_SECRET_{name}"), value)));
        }
        command.spawn().unwrap()
    };
    let mut child = begin("run hello.yaml", Some("before"));
    crate::sandbox::until(|| {
        sandbox.path(".orchestrator/state.db").exists() && sandbox.run("runs logs @last").code == 0 && {
            let shown = sandbox.run("runs show @last --json");
            shown.code == 0 && shown.json()["steps"][0]["status"] == "running"
        }
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let said = Said::by(begin("runs resume @last", None)).exits(3);
    assert!(said.err.contains("2 secrets cannot be had"), "{}", said.err);
    fs::remove_file(sandbox.path("gate")).unwrap();
    sandbox.write("gate", "");
    // The value may have changed meanwhile: it was never part of what is stored.
    let said = Said::by(begin("runs resume @last --json", Some("later one"))).exits(0);
    assert_eq!(said.json()["outputs"]["length"], "9");
}

//! `schema`: what editors are told is what the parser takes.

use std::fs;
use std::path::Path;

use jsonschema::Validator;
use orchestrator_core::engine::Registry;
use orchestrator_core::spec::reference::sections;
use orchestrator_core::spec::{ParseOptions, parse_with};
use serde_json::Value;

use crate::{HELLO, Sandbox};

/// Set to `1`, files that are printed from the code are written anew instead of compared.
const WRITE: &str = "WRITE_DOCS";

/// Steps that the parser and the schema both refuse.
const WRONG_STEPS: [&str; 36] = [
    "{}",
    "echo",
    "{ run: x, uses: http }",
    "{ needs: a }",
    "{ run: 5 }",
    "{ run: \"\" }",
    "{ run: \"echo ${{ inputs.x }}\" }",
    "{ run: x, nedes: [] }",
    "{ run: x, continue-on-errors: true }",
    "{ run: x, budget: { usd: 1 } }",
    "{ run: x, needs: 5 }",
    "{ run: x, needs: [a-b] }",
    "{ run: x, timeout: 5 }",
    "{ run: x, timeout: soon }",
    "{ run: x, timeout: { then: reject } }",
    "{ run: x, timeout: { after: 1h, then: explode } }",
    "{ run: x, retry: 3 }",
    "{ run: x, retry: { max_attempts: 0 } }",
    "{ run: x, retry: { max_attempts: 1001 } }",
    "{ run: x, retry: { backoff: linear } }",
    "{ run: x, retry: { on: [] } }",
    "{ run: x, retry: { on: [nothing] } }",
    "{ run: x, effect: at-most-once }",
    "{ run: x, sandbox: loose }",
    "{ run: x, sandbox: { network: maybe } }",
    "{ run: x, sandbox: { memory: 512 } }",
    "{ run: x, if: 5 }",
    "{ run: x, env: { A: [] } }",
    "{ run: x, env: { A-B: c } }",
    "{ run: x, with: { run: y } }",
    "{ run: x, with: { interpeter: bash } }",
    "{ uses: htpt, with: { url: x } }",
    "{ uses: http }",
    "{ uses: http, with: { url: 'http://x', method: FETCH } }",
    "{ uses: llm, with: { prompt: x, temperature: 3 } }",
    "{ uses: llm, with: { messages: [{ role: nobody, content: x }] } }",
];

/// Tops that the parser and the schema both refuse.
const WRONG_TOPS: [&str; 11] = [
    "steps: {}",
    "steps: [{ run: x }]",
    "steps: { a-b: { run: x } }",
    "name: a/b\nsteps: { a: { run: x } }",
    "name: 5\nsteps: { a: { run: x } }",
    "jobs: {}\nsteps: { a: { run: x } }",
    "secrets: A\nsteps: { a: { run: x } }",
    "inputs: { a: string }\nsteps: { a: { run: x } }",
    "inputs: { a: { type: strnig } }\nsteps: { a: { run: x } }",
    "inputs: { a: { type: integer, default: x } }\nsteps: { a: { run: x } }",
    "inputs: { a: { default: x } }\nsteps: { a: { run: x } }",
];

fn schema() -> Value {
    Sandbox::new().run("schema").exits(0).json()
}

pub(crate) fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).expect("the schema is one")
}

fn plugins() -> Registry {
    orchestrator_plugins::builtin().into_iter().collect()
}

/// Whether the parser takes a text.
pub(crate) fn parses(text: &str) -> bool {
    parse_with(text, &plugins(), &ParseOptions::default().default_name("example")).is_ok()
}

/// What the schema has against a text; `None` if the text cannot be read as YAML.
pub(crate) fn objections(validator: &Validator, text: &str) -> Option<Vec<String>> {
    // YAML 1.2: `on` and `yes` are texts.
    let options = serde_yaml::options! { strict_booleans: true };
    let value: Value = serde_yaml::from_str_with_options(text, options).ok()?;
    Some(validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect())
}

/// Whether the schema takes a text, which must be YAML.
fn takes(validator: &Validator, text: &str) -> bool {
    let objections = objections(validator, text).unwrap_or_else(|| panic!("no YAML: {text}"));
    println!("{text}: {objections:#?}");
    objections.is_empty()
}

#[test]
fn the_printed_schema_is_in_the_docs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/workflow.schema.json");
    let printed = Sandbox::new().run("schema").exits(0).out;
    if std::env::var(WRITE).is_ok_and(|set| set == "1") {
        fs::write(&path, &printed).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == printed,
        "docs/workflow.schema.json is not what `orchestrator schema` prints: run `{WRITE}=1 cargo test -p \
         orchestrator-cli --test cli schema`"
    );
}

#[test]
fn it_takes_every_example() {
    let validator = validator();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    assert!(files.len() >= 4);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(takes(&validator, &text), "{}", path.display());
    }
    for section in sections() {
        for key in section.keys {
            let text = section.whole(key.example);
            assert_eq!(parses(&text), !key.later, "{text}");
            assert_eq!(takes(&validator, &text), !key.later, "{text}");
        }
    }
}

#[test]
fn it_takes_the_examples_of_every_plugin_and_expressions_in_their_place() {
    let validator = validator();
    for plugin in plugins().iter() {
        let examples = plugin.config_schema()["examples"].as_array().cloned().unwrap_or_default();
        for example in examples {
            let before = "log: { run: x }, notes: { uses: llm, with: { prompt: x } }, fetch: { uses: http, with: { url: \"http://x\" } }";
            let needs = "needs: [log, notes, fetch]";
            let kind = plugin.kind();
            let text = format!(
                "secrets: [FORGE_TOKEN]\nsteps: {{ {before}, a: {{ uses: {kind}, {needs}, with: {example} }} }}"
            );
            assert!(parses(&text), "{text}");
            assert!(takes(&validator, &text), "{text}");
        }
    }
    let text = "\
inputs: { t: { type: number }, m: { type: string }, n: { type: array } }
steps:
  a: { uses: llm, with: { prompt: x, temperature: \"${{ inputs.t }}\", messages: \"${{ inputs.n }}\" } }
  b: { uses: http, with: { url: 'http://x', method: \"${{ inputs.m }}\", headers: \"${{ inputs.n }}\" } }
  c: { run: x, with: { args: \"${{ inputs.n }}\" } }
  d: { run: x, with: }
";
    assert!(takes(&validator, text));
}

#[test]
fn it_refuses_what_the_parser_refuses() {
    let validator = validator();
    let steps = WRONG_STEPS.map(|step| format!("steps: {{ a: {{ run: x }}, b: {step} }}"));
    for text in steps.iter().map(String::as_str).chain(WRONG_TOPS) {
        assert!(!parses(text), "the parser takes {text}");
        assert!(!takes(&validator, text), "the schema takes {text}");
    }
    // A slip in each key is refused.
    for section in sections() {
        for key in section.keys.iter().filter(|key| !key.later) {
            let slip = key.example.replacen(key.name, &format!("{}x", key.name), 1);
            let text = section.whole(&slip);
            assert!(!takes(&validator, &text), "{text}");
        }
    }
}

#[test]
fn every_key_says_what_it_is() {
    let schema = schema();
    let told = |place: &Value| {
        for (name, key) in place["properties"].as_object().into_iter().flatten() {
            assert!(key["description"].as_str().is_some_and(|text| text.len() > 10), "{name}: {key}");
        }
    };
    told(&schema);
    let definitions = schema["definitions"].as_object().unwrap();
    definitions.values().for_each(told);
    assert_eq!(definitions.len(), sections().len(), "each section but the top, and expressions");
}

#[test]
fn installing_puts_one_line_into_each_file() {
    let odd = "\u{feff}# mine\r\nname: odd\r\nsteps: {a: {run:   echo  \"x\" }}   \r\n\r\n# end";
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO), ("deep/er/odd one.yaml", odd)]);
    let said = sandbox.run_args(&["schema", "--install", "hello.yaml", "deep/er/odd one.yaml"]).exits(0);
    assert_eq!(
        said.out,
        "created  .orchestrator/workflow.schema.json\nchanged  hello.yaml\nchanged  deep/er/odd one.yaml\n"
    );
    assert_eq!(
        sandbox.read("hello.yaml"),
        format!("# yaml-language-server: $schema=./.orchestrator/workflow.schema.json\n{HELLO}")
    );
    let line = "\u{feff}# yaml-language-server: $schema=../../.orchestrator/workflow.schema.json\r\n";
    assert_eq!(sandbox.read("deep/er/odd one.yaml"), odd.replacen('\u{feff}', line, 1));
    assert_eq!(sandbox.read(".orchestrator/workflow.schema.json"), Sandbox::new().run("schema").out);
    let before = sandbox.listing();
    let again = sandbox.run("schema --install hello.yaml --json").exits(0).json();
    assert_eq!(again["items"][1]["done"], "kept");
    assert_eq!(sandbox.listing(), before);
    // From below, the schema above is the one that is meant.
    sandbox.write("deep/new.yaml", HELLO);
    let below =
        sandbox.command(["schema", "--install", "new.yaml"]).current_dir(sandbox.path("deep")).output();
    assert!(below.unwrap().status.success());
    assert!(sandbox.read("deep/new.yaml").starts_with("# yaml-language-server: $schema=../.orchestrator/"));
    assert!(!sandbox.path("deep/.orchestrator").exists());
    sandbox.run("validate hello.yaml deep/new.yaml").exits(0);
}

#[test]
fn nothing_is_installed_if_a_file_cannot_be_read() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.write("latin.yaml", b"name: caf\xe9\n");
    let before = sandbox.listing();
    for (words, code) in [
        ("schema --install hello.yaml nothing.yaml", 4),
        ("schema --install hello.yaml latin.yaml", 3),
        ("schema --install hello.yaml -", 2),
        ("schema hello.yaml", 2),
    ] {
        sandbox.run(words).exits(code);
        assert_eq!(sandbox.listing(), before, "{words}");
    }
}

#[test]
fn a_newcomer_has_the_schema_at_once() {
    let sandbox = Sandbox::new();
    sandbox.run("init").exits(0);
    let first = sandbox.read("hello.yaml");
    let line = first.lines().next().unwrap();
    let named = line.strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert_eq!(sandbox.read(named), Sandbox::new().run("schema").out);
    assert_eq!(sandbox.run("schema --install hello.yaml").exits(0).out.matches("kept").count(), 2);
}

#[test]
fn links_and_modes_of_files_are_kept() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let sandbox = Sandbox::with(&[("real/hello.yaml", HELLO)]);
    symlink("real/hello.yaml", sandbox.path("link.yaml")).unwrap();
    fs::set_permissions(sandbox.path("real/hello.yaml"), PermissionsExt::from_mode(0o640)).unwrap();
    sandbox.run("schema --install link.yaml").exits(0);
    assert!(fs::symlink_metadata(sandbox.path("link.yaml")).unwrap().is_symlink());
    assert_eq!(fs::metadata(sandbox.path("real/hello.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(sandbox.read("real/hello.yaml").starts_with("# yaml-language-server: $schema=../.orchestrator/"));
}

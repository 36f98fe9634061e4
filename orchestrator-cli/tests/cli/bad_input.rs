//! What is refused: with which code, in which words, and without a trace.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::{HELLO, Said, Sandbox};

/// Command lines, and the code with which each is refused.
const REFUSED: [(&str, i32); 54] = [
    ("run bad.yaml", 3),
    ("run nothing.yaml", 4),
    ("run folder", 3),
    ("run hello.yaml -i nme=x", 3),
    ("run hello.yaml -i name", 2),
    ("run hello.yaml -i name=a -i name=b", 2),
    ("run hello.yaml -i name=@nothing.txt", 4),
    ("run hello.yaml --label x", 2),
    ("run hello.yaml --slots 0", 2),
    ("run hello.yaml --slots many", 2),
    ("run hello.yaml --grace 10", 2),
    ("run hello.yaml --idempotency-key=", 2),
    ("run hello.yaml --in soon", 2),
    ("run hello.yaml --in 5", 2),
    ("run hello.yaml --in 400d", 2),
    ("run hello.yaml --at tomorrow", 2),
    ("run hello.yaml --at 2020-01-01T00:00:00Z", 2),
    ("run hello.yaml --at 2999-01-01", 2),
    ("run hello.yaml --in 1s --at 2999-01-01T00:00:00Z", 2),
    ("run hello.yaml --store postgres://me:s3cret@127.0.0.1:1/d", 7),
    ("run hello.yaml --store mysql://me:s3cret@h/d", 2),
    ("run hello.yaml --store state.db", 2),
    ("run hello.yaml --store sqlite:no/such/folder/x.db", 7),
    ("run --jsn hello.yaml", 2),
    ("run", 2),
    ("runs list", 4),
    ("runs show @last", 4),
    ("runs list --limit 0", 2),
    ("runs list --limit -1", 2),
    ("runs list --limit 99999999999", 2),
    ("runs list --status complete", 2),
    ("runs list --json=stream", 2),
    ("runs logs run_1 --tail x", 2),
    ("runs events run_1 --after -1", 2),
    ("runs wait run_1 --timeout 5", 2),
    ("runs cancel @last", 4),
    ("runs resume 0192", 4),
    ("runs resolve @last step", 2),
    ("runs resolve @last step --applied --not-applied", 2),
    ("runs resolve @last step --not-applied --output 1", 2),
    ("runs resolve @last step --applied --output {", 3),
    ("runs qa @last step", 2),
    ("runs qa @last step --pass", 4),
    ("runs signal @last", 2),
    ("runs signal @last paid", 4),
    ("runs signal @last paid --data {", 3),
    ("runs signal @last paid --data @nothing.json", 4),
    ("approval list", 4),
    ("approval approve @last", 4),
    ("approval approve @last --digest xyz", 2),
    ("plugins schema htp", 4),
    ("rnu hello.yaml", 2),
    ("config sho", 2),
    ("doctor --store nonsense:x", 1),
];

#[test]
fn a_refused_command_creates_nothing() {
    let sandbox = Sandbox::with(&[
        ("hello.yaml", HELLO),
        ("bad.yaml", "name: bad\nsteps: {a: {uses: nothing}}\n"),
        ("folder/x", ""),
    ]);
    let before = sandbox.listing();
    for (words, code) in REFUSED {
        let said = sandbox.run(words);
        assert_eq!(said.code, code, "{words}: {said:?}");
        assert!(!said.err.contains("s3cret") && !said.err.contains("panicked"), "{words}: {}", said.err);
        assert!(said.code == 1 || (said.out.is_empty() && !said.err.is_empty()), "{words}: {said:?}");
        assert_eq!(sandbox.listing(), before, "{words}");
        // The same, as one object.
        let json = sandbox.run(&format!("{words} --json"));
        if said.code != 1 {
            assert_eq!(
                (json.code, json.problem()["exit_code"].as_i64()),
                (code, Some(code.into())),
                "{words}: {json:?}"
            );
        }
    }
}

#[test]
fn slips_are_met_with_a_suggestion() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    for (words, suggestion) in [
        ("rnu hello.yaml", "'run'"),
        ("run hello.yaml --inptu name=x", "'--input'"),
        ("run hello.yaml -i nmae=x", "\"name\""),
        ("run hello.yaml --store sqlit:x.db", "`sqlite:`"),
        ("run hello.yaml --store x.db", "sqlite:x.db"),
        ("plugins schema scirpt", "`script`"),
    ] {
        let said = sandbox.run(words);
        assert!(said.err.contains(suggestion), "{words}: {}", said.err);
    }
}

#[test]
fn refusals_read_well() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    for (name, words) in [
        ("no-store", "runs list"),
        ("unknown-input", "run hello.yaml -i nmae=x"),
        ("postgres", "runs list --store postgres://me:s3cret@127.0.0.1:1/d"),
        ("unknown-scheme", "runs list --store mysql://me:s3cret@h/d"),
        ("no-file", "run nothing.yaml"),
        ("unknown-command", "rnu"),
    ] {
        insta::assert_snapshot!(format!("refusal {name}").replace(' ', "-"), sandbox.run(words).stable());
    }
}

#[test]
fn runs_that_cannot_be_told_are_not_found() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml").exits(0);
    sandbox.run("run hello.yaml").exits(0);
    let id = sandbox.last_id();
    // Two runs of the same minute share the beginning of their ids.
    let ambiguous = sandbox.run(&format!("runs show {}", &id[..8])).exits(4);
    assert!(
        ambiguous.err.contains("several runs begin with") && ambiguous.err.contains(&id),
        "{}",
        ambiguous.err
    );
    for unknown in
        ["run_ffff", "ffffffffffffffffffffffffffffffff", "nonsense", "run_", "@first", "../../etc/passwd"]
    {
        let said = sandbox.run(&format!("runs show {unknown}")).exits(4);
        assert!(said.err.starts_with(&format!("error: there is no run `{unknown}`")), "{}", said.err);
    }
    let dashed = format!("{}-{}", &id[4..12], &id[12..]);
    for known in [&id[..], &id[4..], &id[..35], &id.to_uppercase().replace("RUN_", "run_"), &dashed, "@last"]
    {
        sandbox.run(&format!("runs show {known}")).exits(0);
    }
}

#[test]
fn what_cannot_be_read_as_a_workflow_is_refused_in_time() {
    let sandbox = Sandbox::with(&[("empty.yaml", ""), ("latin.yaml", "")]);
    sandbox.write("latin.yaml", b"name: caf\xe9\n");
    sandbox.write("secret.yaml", HELLO);
    std::fs::set_permissions(sandbox.path("secret.yaml"), PermissionsExt::from_mode(0o000)).unwrap();
    sandbox.pipe("pipe.yaml");
    for (path, code, text) in [
        ("empty.yaml", 3, "empty.yaml:1:1: "),
        ("latin.yaml", 3, "latin.yaml:1:10: "),
        ("/dev/zero", 3, "is longer than"),
        ("pipe.yaml", 3, "is a pipe that nobody writes to"),
        ("/", 3, "is a folder"),
    ] {
        let said = sandbox.run(&format!("validate {path}")).exits(code);
        assert!(said.err.contains(text), "{path}: {}", said.err);
    }
    // The superuser may read everything.
    if !rustix::process::geteuid().is_root() {
        sandbox.run("validate secret.yaml").exits(5);
    }
}

#[test]
fn stdin_may_be_closed_empty_or_endless() {
    let sandbox = Sandbox::new();
    let said = sandbox.run("run -").exits(3);
    assert!(said.err.contains("<stdin>:1:1: "), "{}", said.err);
    sandbox.run_with_stdin("run -", &vec![b'#'; 9 << 20]).exits(3);
    let mut shell = std::process::Command::new("sh");
    let closed = shell.arg("-c").arg(format!("exec {} run - <&-", env!("CARGO_BIN_EXE_orchestrator")));
    let closed = closed.current_dir(sandbox.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    Said::of(&closed.output().unwrap()).exits(3);
    assert!(sandbox.listing().is_empty());
}

#[test]
fn arguments_may_be_anything() {
    let sandbox = Sandbox::with(&[("-odd.yaml", HELLO)]);
    sandbox.run("validate -- -odd.yaml").exits(0);
    let invalid = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for args in
        [["runs".as_ref(), "show".as_ref(), invalid], ["plugins".as_ref(), "schema".as_ref(), invalid]]
    {
        let said = Sandbox::new().command(args).output().unwrap();
        assert_eq!(said.status.code(), Some(2), "{said:?}");
    }
    // A path may be any bytes: it is only not there.
    let said = Sandbox::new().command(["validate".as_ref(), invalid]).output().unwrap();
    assert_eq!(said.status.code(), Some(4), "{said:?}");
    let said = sandbox.run("runs show --store memory -- -x").exits(4);
    assert!(said.err.contains("there is no run `-x`"), "{}", said.err);
    let long = "x".repeat(100_000);
    sandbox.run_args(&["runs", "show", &long, "--store", "memory"]).exits(4);
}

#[test]
fn inputs_that_cannot_be_are_refused() {
    let flow = "name: in\ninputs: { list: { type: array, default: [] }, n: { type: integer, default: 1 } }\nsteps: { a: { run: x } }\n";
    let sandbox = Sandbox::with(&[("in.yaml", flow)]);
    let before = sandbox.listing();
    for (words, code, text) in [
        ("run in.yaml -i n", 2, "NAME=VALUE"),
        ("run in.yaml -i =1", 2, "NAME=VALUE"),
        ("run in.yaml -i n=1 -i n=2", 2, "is given twice"),
        ("run in.yaml -i list=[1", 3, "\"[1\" is not of type array"),
        ("run in.yaml -i n=1.5", 3, "\"1.5\" is not of type integer"),
        ("run in.yaml -i lits=[]", 3, "did you mean \"list\"?"),
        ("run in.yaml -i n=@", 4, ""),
        ("run in.yaml -i n=@/", 3, "is a folder"),
    ] {
        let said = sandbox.run(words).exits(code);
        assert!(said.err.contains(text), "{words}: {}", said.err);
        assert_eq!(sandbox.listing(), before, "{words}");
    }
}

#[test]
fn numbers_beyond_all_bounds_are_refused() {
    let sandbox = Sandbox::with(&[("hello.yaml", HELLO)]);
    sandbox.run("run hello.yaml").exits(0);
    for words in [
        "runs list --limit 1e3",
        "runs list --limit 1001",
        "runs events @last --after 18446744073709551616",
        "runs wait @last --timeout 99999999999d",
        "runs wait @last --timeout -1s",
        "runs logs @last --tail 0",
        "run hello.yaml --slots 4097",
        "run hello.yaml --grace 10000d",
    ] {
        sandbox.run(words).exits(2);
    }
    assert_eq!(sandbox.run("runs list --json").json()["items"].as_array().unwrap().len(), 1);
    // What is only beyond the end is empty.
    assert_eq!(sandbox.run("runs events @last --after 18446744073709551615").exits(0).out, "");
}

#[test]
fn a_configuration_of_a_wrong_kind_names_the_key() {
    for (text, said) in [
        ("slots = \"many\"\n", "slots"),
        ("slots = 0\n", "slots"),
        ("grace = 10\n", "grace"),
        ("store = [1]\n", "store"),
        ("store = \n", "config.toml"),
        ("\u{0}", "config.toml"),
    ] {
        let sandbox = Sandbox::with(&[(".orchestrator/config.toml", text)]);
        let err = sandbox.run("runs list").exits(2).err;
        assert!(err.contains(said) && !err.contains("panicked"), "{text:?}: {err}");
    }
}

#[test]
fn what_is_given_is_never_read_as_code() {
    let nasty = "a'b\"c\n$(touch pwned) `touch pwned` ; touch pwned # ${{ inputs.text }} {{ x }} %s \\n";
    let flow = "\
name: nasty
inputs: { text: { type: string } }
steps:
  print:
    run: printf '%s' \"$TEXT\"
    effect: pure
    env: { TEXT: \"${{ inputs.text }}\" }
  again:
    needs: print
    run: cat
    effect: pure
    with: { stdin: \"${{ steps.print.stdout }}\" }
outputs: { text: \"${{ steps.again.stdout }}\" }
";
    let sandbox = Sandbox::with(&[("nasty.yaml", flow)]);
    let said = sandbox.run_args(&["run", "nasty.yaml", "--json", "-i", &format!("text={nasty}")]).exits(0);
    assert_eq!(said.json()["outputs"]["text"], nasty);
    assert!(!sandbox.path("pwned").exists());
}

#[test]
fn a_value_of_a_wrong_type_fails_the_step_that_wants_it() {
    let flow = "\
name: typed
inputs: { heat: { type: string, default: hot } }
steps:
  ask: { uses: llm, with: { prompt: x, temperature: \"${{ inputs.heat }}\" } }
";
    let sandbox = Sandbox::with(&[("typed.yaml", flow)]);
    let report = sandbox.run("run typed.yaml --json").exits(1).json();
    assert_eq!(report["steps"][0]["status"], "failed");
    let error = report["steps"][0]["error"].to_string();
    assert!(error.contains("with.temperature (line 4): expected a number, found the text"), "{error}");
}

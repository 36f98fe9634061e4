use super::*;
use crate::settings::FOLDER;

fn read(files: &[(&str, &str)], env: &[(&str, &str)], flags: &Flags) -> Result<Settings, Problem> {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let below = dir.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    Settings::read_with(&below, flags, |name| {
        env.iter().find(|(held, _)| *held == name).map(|(_, value)| OsString::from(value))
    })
}

const CONFIG: &str = ".orchestrator/config.toml";

#[test]
fn the_later_source_wins_and_is_named() {
    let file = [(CONFIG, "slots = 3\ngrace = \"1s\"")];
    let settings = read(&file, &[], &Flags::default()).unwrap();
    assert_eq!(settings.slots(), 3);
    assert!(matches!(settings.get("slots").origin, Origin::File(_)));
    assert_eq!(settings.get("store").origin, Origin::Default);

    let env = [("ORCHESTRATOR_SLOTS", "4"), ("ORCHESTRATOR_GRACE", "")];
    let settings = read(&file, &env, &Flags::default()).unwrap();
    assert_eq!((settings.slots(), settings.grace()), (4, Duration::from_secs(1)));
    assert_eq!(settings.get("slots").origin, Origin::Env("ORCHESTRATOR_SLOTS"));

    let flags = Flags { slots: Some("5".to_owned()), ..Flags::default() };
    let settings = read(&file, &env, &flags).unwrap();
    assert_eq!(settings.slots(), 5);
    assert_eq!(settings.get("slots").origin, Origin::Flag("--slots"));
}

#[test]
fn a_proxy_is_one_that_is_set_here_and_no_other() {
    let proxy = |env: &[(&str, &str)]| read(&[], env, &Flags::default()).unwrap().proxy().map(str::to_owned);
    assert_eq!(proxy(&[("http_proxy", "http://a:1"), ("HTTPS_PROXY", "http://a:1")]), None);
    assert_eq!(proxy(&[("ORCHESTRATOR_PROXY", "none")]), None);
    assert_eq!(proxy(&[("ORCHESTRATOR_PROXY", "http://me:x@a:1")]).as_deref(), Some("http://me:x@a:1"));
}

#[test]
fn a_path_in_the_file_starts_at_the_folder_that_holds_it() {
    let settings = read(&[(CONFIG, "store = \"sqlite:runs.db\"")], &[], &Flags::default()).unwrap();
    let store = &settings.store().value;
    assert!(store.ends_with("/runs.db") && !store.contains("a/b") && !store.contains(FOLDER), "{store}");
}

#[test]
fn wrong_keys_types_and_values_are_refused_by_name() {
    for (text, title) in [
        ("stor = \"memory\"", "unknown key `stor`"),
        ("slots = \"many\"", "slots: expected a whole number, found text"),
        ("slots = 0", "slots: expected a whole number from 1 to 4096, not `0`"),
        ("grace = 10", "grace: expected text, found a whole number"),
        ("grace = \"10\"", "grace: expected a duration such as 500ms, 90s, 5m or 1h30m, not `10`"),
        ("proxy = \"socks5://x:1\"", "proxy: expected none or http://HOST:PORT, not `socks5://x:1`"),
        ("slots = [", "config.toml:"),
    ] {
        let problem = read(&[(CONFIG, text)], &[], &Flags::default()).unwrap_err();
        assert!(problem.title().contains(title), "{}", problem.title());
        assert_eq!(problem.exit(), Exit::Usage);
    }
    let problem = read(&[], &[("ORCHESTRATOR_SLOTS", "x")], &Flags::default()).unwrap_err();
    assert!(
        problem.title().starts_with("ORCHESTRATOR_SLOTS: expected a whole number"),
        "{}",
        problem.title()
    );
}

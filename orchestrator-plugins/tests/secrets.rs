//! Providers of secrets against real files, variables and programs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use orchestrator_core::port::secret::{SecretError, SecretProvider};
use orchestrator_plugins::{CommandSecrets, EnvSecrets, FileSecrets};

async fn get(provider: &dyn SecretProvider, name: &str) -> Result<Option<String>, SecretError> {
    provider.fetch(name).await.map(|found| found.map(|secret| secret.reveal().to_owned()))
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_environment_gives_only_what_begins_with_the_prefix() {
    // The variables of a test are those of its runner: PATH is always there.
    assert_eq!(get(&EnvSecrets::default(), "PATH").await, Ok(None));
    assert!(get(&EnvSecrets::new("PA"), "TH").await.unwrap().is_some());
    assert_eq!(EnvSecrets::default().place("KEY"), "the environment variable ORCHESTRATOR_SECRET_KEY");
}

#[tokio::test]
async fn a_file_must_be_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.env");
    let provider = FileSecrets::new(&path);
    assert_eq!(get(&provider, "KEY").await, Ok(None), "a file that is not there holds none");
    write(&path, "KEY=value\n", 0o600);
    assert_eq!(get(&provider, "KEY").await, Ok(Some("value".to_owned())));
    assert_eq!(get(&provider, "OTHER").await, Ok(None));
    for mode in [0o640, 0o604, 0o666] {
        write(&path, "KEY=value\n", mode);
        let Err(SecretError::Refused(why)) = get(&provider, "KEY").await else { panic!("{mode:o} is taken") };
        assert!(why.contains("chmod 600") && !why.contains("value"), "{why}");
    }
    write(&path, "KEY value\n", 0o600);
    let Err(SecretError::Refused(why)) = get(&provider, "KEY").await else { panic!("it is no line") };
    assert!(why.ends_with("secrets.env:1: expected NAME=VALUE"), "{why}");
    write(&path, &format!("KEY={}\n", "x".repeat(1 << 20)), 0o600);
    assert!(matches!(get(&provider, "KEY").await, Err(SecretError::Refused(_))), "it is too long");
}

#[tokio::test]
async fn a_folder_holds_a_file_for_each_secret() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("KEY"), "of several\nlines\n", 0o644);
    let provider = FileSecrets::new(folder.path());
    assert_eq!(get(&provider, "KEY").await, Ok(Some("of several\nlines".to_owned())));
    assert_eq!(get(&provider, "OTHER").await, Ok(None));
    assert!(provider.place("KEY").ends_with("/KEY"));
}

#[tokio::test]
async fn a_command_prints_the_value() {
    let command = |script: &str| CommandSecrets::new(["sh", "-c", script, "sh", "{name}"]).unwrap();
    let provider = command("printf '%s-%s\\n' \"$1\" \"$SECRET_NAME\"");
    assert_eq!(get(&provider, "KEY").await, Ok(Some("KEY-KEY".to_owned())));
    assert_eq!(get(&command("true"), "KEY").await, Ok(None));
    // What would be a command to a shell is one argument.
    let provider = CommandSecrets::new(["printf", "%s", "$(id)`id`{name}"]).unwrap();
    assert_eq!(get(&provider, "KEY").await, Ok(Some("$(id)`id`KEY".to_owned())));
    let Ok(Some(value)) = get(&command("head -c 300000 /dev/zero | tr '\\0' x"), "KEY").await else {
        panic!("a long value is read to its end")
    };
    assert!(value.len() > 64 << 10, "and the engine refuses it: {}", value.len());
}

#[tokio::test]
async fn a_command_that_fails_tells_why_and_no_value() {
    let provider =
        CommandSecrets::new(["sh", "-c", "echo hunter2secret; echo sealed: hunter2secret >&2; exit 3"])
            .unwrap();
    let expected = Err(SecretError::Unavailable("`sh`: sealed: ***".to_owned()));
    assert_eq!(get(&provider, "KEY").await, expected);
    let provider = CommandSecrets::new(["no-such-program-here"]).unwrap();
    let expected = Err(SecretError::Refused("there is no program `no-such-program-here`".to_owned()));
    assert_eq!(get(&provider, "KEY").await, expected);
    assert!(CommandSecrets::new([""; 0]).is_err() && CommandSecrets::new([" "]).is_err());
}

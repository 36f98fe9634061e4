//! Secrets that a command prints: a password manager, the client of a vault.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::port::secret::{LONGEST, Mask, Secret, SecretError, SecretProvider};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How long the command may take: 30 s, for those that ask a person to confirm.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much of what the command complains of is told, in bytes.
const TOLD: usize = 300;

/// Takes a secret from what a command prints, without the line end after it. `{name}` in an argument is the secret's name;
/// the command also sees it as `SECRET_NAME`. No shell takes part.
///
/// ```
/// # use orchestrator_plugins::CommandSecrets;
/// let pass = CommandSecrets::new(["pass", "show", "orchestrator/{name}"])?;
/// # Ok::<(), String>(())
/// ```
///
/// A command that ends with code 0 and prints nothing has no such secret; one that fails is asked again by the step's
/// `retry`. It has 30 s, and inherits the environment of this process.
#[derive(Debug, Clone)]
pub struct CommandSecrets {
    program: String,
    args: Vec<String>,
}

impl CommandSecrets {
    /// Asks this program with these arguments.
    ///
    /// # Errors
    /// What is wrong: there is no program in it.
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, String> {
        let mut words = command.into_iter().map(Into::into);
        let program = words.next().filter(|program: &String| !program.trim().is_empty());
        let program = program.ok_or("the command that prints secrets is empty")?;
        Ok(Self { program, args: words.collect() })
    }

    async fn ask(&self, name: &str) -> Result<(bool, String, String), SecretError> {
        let unavailable =
            |why: &dyn std::fmt::Display| SecretError::Unavailable(format!("`{}`: {why}", self.program));
        let mut command = Command::new(&self.program);
        command.args(self.args.iter().map(|arg| arg.replace("{name}", name))).env("SECRET_NAME", name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                SecretError::Refused(format!("there is no program `{}`", self.program))
            }
            _ => unavailable(&error),
        })?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let read = async {
            let (value, complaint) =
                tokio::join!(beginning(stdout, LONGEST + 3), beginning(stderr, 64 << 10));
            Ok::<_, std::io::Error>((child.wait().await?.success(), value?, complaint?))
        };
        let read = tokio::time::timeout(TIMEOUT, read).await;
        let read = read.map_err(|_| unavailable(&format!("no answer within {} s", TIMEOUT.as_secs())))?;
        let (success, value, complaint) = read.map_err(|error| unavailable(&error))?;
        let value = String::from_utf8(value).map_err(|_| {
            SecretError::Refused(format!("what `{}` prints for {name} is not valid UTF-8", self.program))
        })?;
        Ok((success, value, String::from_utf8_lossy(&complaint).into_owned()))
    }
}

/// Up to `limit` bytes; the rest is read and forgotten, so that the writer is not stopped by a full pipe.
async fn beginning(from: Option<impl AsyncRead + Unpin>, limit: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(limit as u64).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

#[async_trait]
impl SecretProvider for CommandSecrets {
    async fn fetch(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        let (success, value, complaint) = self.ask(name).await?;
        let value = super::trimmed(&value);
        if success {
            return Ok((!value.is_empty()).then(|| Secret::new(value.to_owned())));
        }
        // A command that fails may have printed the secret before, on either output.
        let complaint = Mask::of([value]).text(&complaint).trim().to_owned();
        let complaint = complaint.lines().next_back().unwrap_or("it failed without a word");
        let end = complaint.floor_char_boundary(TOLD);
        Err(SecretError::Unavailable(format!("`{}`: {}", self.program, &complaint[..end])))
    }

    fn place(&self, name: &str) -> String {
        format!("what `{}` prints for {name}", self.program)
    }
}

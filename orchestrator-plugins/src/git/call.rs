//! One command of git: what it is given, and what it sees of the environment.

use std::ffi::OsString;

use orchestrator_core::mask::Mask;

/// How much of an output is kept where nobody says, in bytes: lists of paths and refs.
const LIMIT: usize = 32 << 20;

/// Where programs are looked for if this process does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The variables of this process that git always sees.
const INHERITED: [&str; 3] = ["PATH", "TMPDIR", "TZ"];

/// The variables that it sees besides when it reaches out.
const INHERITED_OUTSIDE: [&str; 10] = [
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// What it sees whatever this process has: nobody is asked, nothing is taken from the user's or the machine's
/// configuration, paths are paths.
const FIXED: [(&str, &str); 18] = [
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    ("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
    ("GIT_SSH_VARIANT", "ssh"),
    ("GIT_PROXY_COMMAND", ""),
    ("GIT_EDITOR", "true"),
    ("GIT_SEQUENCE_EDITOR", "true"),
    ("GIT_PAGER", "cat"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_ADVICE", "0"),
    ("GIT_MERGE_AUTOEDIT", "no"),
];

/// The variables that the credential helper prints. Neither stands in an argument or a file.
const USERNAME: &str = "ORCHESTRATOR_GIT_USERNAME";
const TOKEN: &str = "ORCHESTRATOR_GIT_TOKEN";

/// Answers git when it asks for credentials.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
    \"$ORCHESTRATOR_GIT_USERNAME\" \"$ORCHESTRATOR_GIT_TOKEN\"; }; f";

/// How a command reaches out. One without may not reach anything.
#[derive(Clone)]
pub(super) struct Line {
    /// The protocols that it may use.
    pub(super) protocols: &'static str,
    /// Who it says that it is, and to whom.
    pub(super) login: Option<Login>,
}

/// Credentials for one server.
#[derive(Clone)]
pub(super) struct Login {
    /// `https://host:port`
    pub(super) origin: String,
    pub(super) username: String,
    pub(super) token: String,
}

/// A command.
pub(super) struct Call<'a> {
    pub(super) args: &'a [&'a str],
    pub(super) input: &'a [u8],
    pub(super) limit: usize,
    pub(super) mask: Mask,
    pub(super) env: Vec<(&'static str, String)>,
    pub(super) line: Option<&'a Line>,
    users: bool,
}

impl<'a> Call<'a> {
    pub(super) fn new(args: &'a [&'a str]) -> Self {
        Self {
            args,
            input: &[],
            limit: LIMIT,
            mask: Mask::default(),
            env: Vec::new(),
            line: None,
            users: false,
        }
    }

    /// Gives it something to read.
    pub(super) fn input(mut self, input: &'a [u8]) -> Self {
        self.input = input;
        self
    }

    /// Lets it reach out.
    pub(super) fn over(mut self, line: &'a Line) -> Self {
        self.line = Some(line);
        self
    }

    /// Keeps up to `limit` bytes of what it writes, once `mask` has kept out of it what must not be shown.
    pub(super) fn kept(mut self, limit: usize, mask: &Mask) -> Self {
        (self.limit, self.mask) = (limit, mask.clone());
        self
    }

    /// Sets variables.
    pub(super) fn env(mut self, env: Vec<(&'static str, String)>) -> Self {
        self.env = env;
        self
    }

    /// Lets it read the configuration of the user. Only for commands that start nothing.
    pub(super) fn with_users_configuration(mut self) -> Self {
        self.users = true;
        self
    }

    /// The whole environment.
    pub(super) fn environment(&self, settings: &[(String, String)]) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = vec![("PATH".into(), DEFAULT_PATH.into())];
        let outside = INHERITED_OUTSIDE.iter().filter(|_| self.line.is_some());
        for name in INHERITED.iter().chain(outside) {
            env.extend(std::env::var_os(name).map(|value| (name.into(), value)));
        }
        let mut set = |name: &str, value: &str| env.push((name.into(), value.into()));
        let fixed = FIXED.iter().filter(|(name, _)| !(self.users && *name == "GIT_CONFIG_GLOBAL"));
        fixed.for_each(|(name, value)| set(name, value));
        set("GIT_ALLOW_PROTOCOL", self.line.map_or("none", |line| line.protocols));
        self.env.iter().for_each(|(name, value)| set(name, value));
        let login = self.line.and_then(|line| line.login.as_ref());
        let mut count = 0;
        let mut setting = |key: &str, value: &str| {
            set(&format!("GIT_CONFIG_KEY_{count}"), key);
            set(&format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        };
        settings.iter().for_each(|(key, value)| setting(key, value));
        if let Some(login) = login {
            // For this server alone: not for one that it sends us to.
            setting(&format!("credential.{}.helper", login.origin), HELPER);
        }
        set("GIT_CONFIG_COUNT", &count.to_string());
        if let Some(login) = login {
            set(USERNAME, &login.username);
            set(TOKEN, &login.token);
        }
        env
    }
}

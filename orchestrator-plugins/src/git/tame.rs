//! What a repository's own configuration could make git run, and what stands in its place.
//!
//! A repository is data: whoever made it wrote its configuration. Git runs programs that the configuration names, on
//! commands that look harmless. So nothing that starts a program is taken from there.

/// Settings of every command, whatever the repository says.
pub(super) const ALWAYS: [(&str, &str); 31] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.alternateRefsCommand", "true"),
    ("core.quotePath", "false"),
    // What a step has recorded as done must be there after a loss of power.
    ("core.fsync", "committed"),
    ("core.fsyncMethod", "batch"),
    ("credential.helper", ""),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
    ("push.pushOption", ""),
    ("log.showSignature", "false"),
    ("merge.verifySignatures", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("diff.ignoreSubmodules", "dirty"),
    ("diff.submodule", "short"),
    ("diff.noprefix", "false"),
    ("diff.mnemonicPrefix", "false"),
    ("i18n.commitEncoding", "UTF-8"),
    ("i18n.logOutputEncoding", "UTF-8"),
    ("http.followRedirects", "initial"),
    ("protocol.ext.allow", "never"),
    ("transfer.bundleURI", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("safe.bareRepository", "all"),
];

/// How many names a configuration may have that must be overridden. The environment of a process is bounded.
pub(super) const MOST: usize = 500;

/// What git does where no driver is named. Any failure is a conflict.
const MERGE: &str = "git merge-file -q --marker-size=%L %A %O %B || exit 1";

/// `git receive-pack` for a repository on this machine: it would run the hooks and filters that are configured there, as
/// this user.
pub(super) const RECEIVE: &str = "git -c core.hooksPath=/dev/null -c core.fsmonitor=false \
    -c core.alternateRefsCommand=true -c receive.denyCurrentBranch=refuse -c receive.autogc=false receive-pack";

/// Section, subsection and variable of a name, as `git config --list` shows it: section and variable in lower case.
fn parts(name: &str) -> Option<(&str, Option<&str>, &str)> {
    let (section, rest) = name.split_once('.')?;
    Some(match rest.rsplit_once('.') {
        Some((subsection, variable)) => (section, Some(subsection), variable),
        None => (section, None, rest),
    })
}

/// The harmless value for a name that could start a program; `None` where it could not.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    Some(match parts(name)? {
        ("filter", _, "clean" | "smudge" | "process") | ("credential", _, "helper") => "",
        ("filter", _, "required")
        | ("diff", Some(_), "cachetextconv")
        | ("credential", _, "usehttppath")
        | ("pager", ..)
        | ("hook", _, "enabled")
        | ("gpg", _, "program" | "defaultkeycommand") => "false",
        ("merge", Some(_), "driver") => MERGE,
        ("diff", Some(_), "textconv") | ("core", None, "pager") | ("interactive", None, "difffilter") => {
            "cat"
        }
        ("diff", _, "external" | "command")
        | ("core" | "sequence", None, "editor" | "askpass" | "gitproxy")
        | ("trailer", _, "command" | "cmd")
        | ("hook", _, "command") => "true",
        ("core", None, "sshcommand") => "ssh",
        ("remote", _, "uploadpack") => "git-upload-pack",
        ("remote", _, "receivepack") => "git-receive-pack",
        _ => return None,
    })
}

/// Whether a name could lead a connection, and the credentials on it, elsewhere. It cannot be overridden for certain, so
/// nothing is sent from a repository that has it.
pub(super) fn diverts(name: &str) -> bool {
    const HARMLESS: [&str; 7] = [
        "postbuffer",
        "version",
        "lowspeedlimit",
        "lowspeedtime",
        "maxrequests",
        "minsessions",
        "followredirects",
    ];
    match parts(name) {
        Some(("url", _, "insteadof" | "pushinsteadof"))
        | Some(("remote", _, "vcs"))
        | Some(("fetch", _, "bundleuri")) => true,
        // Without a subsection, ours comes last and wins.
        Some(("http", subsection, "followredirects")) => subsection.is_some(),
        Some(("http", _, variable)) => !HARMLESS.contains(&variable),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_starts_programs_is_overridden() {
        for name in [
            "filter.a.clean",
            "filter.a.b.smudge",
            "filter.x=y.process",
            "diff.a.command",
            "diff.external",
            "diff.a.textconv",
            "merge.a.driver",
            "core.sshcommand",
            "core.editor",
            "core.pager",
            "core.askpass",
            "core.gitproxy",
            "credential.helper",
            "credential.https://a.b.helper",
            "gpg.program",
            "gpg.ssh.program",
            "remote.origin.uploadpack",
            "remote.a.b.receivepack",
            "hook.x.command",
            "pager.diff",
            "sequence.editor",
        ] {
            assert!(instead(name).is_some(), "{name}");
        }
        for name in ["user.name", "core.bare", "remote.origin.url", "merge.conflictstyle", "filter", ""] {
            assert_eq!(instead(name), None, "{name}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_noticed() {
        for name in [
            "url.https://evil/.insteadof",
            "url.a.pushinsteadof",
            "http.proxy",
            "http.https://a.b/.sslverify",
            "http.extraheader",
            "http.https://a.b/.followredirects",
            "remote.origin.vcs",
            "fetch.bundleuri",
        ] {
            assert!(diverts(name), "{name}");
        }
        for name in ["http.postbuffer", "http.followredirects", "remote.origin.url", "branch.a.remote"] {
            assert!(!diverts(name), "{name}");
        }
    }
}

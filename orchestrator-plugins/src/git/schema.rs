//! The schemas of `with` and of the output.

use std::sync::LazyLock;

use serde_json::{Value, json};

/// How much of a patch is given where the author does not say: 256 KiB.
pub(super) const PATCH: u64 = 256 << 10;

/// The most that an author may ask for: 3 MiB. It has to fit into one stored value.
pub(super) const PATCH_MAX: u64 = 3 << 20;

fn text(description: &str, example: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description, "examples": [example] })
}

fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "default": false, "description": description, "examples": [true] })
}

fn author() -> Value {
    json!({
        "type": "object",
        "required": ["name", "email"],
        "additionalProperties": false,
        "description": "commit, merge: whom the commit is of. Without it: whom the repository's or the user's configuration names, or orchestrator <orchestrator@localhost>.",
        "properties": {
            "name": { "type": "string", "minLength": 1, "description": "The name." },
            "email": { "type": "string", "minLength": 1, "description": "The address." },
        },
        "examples": [{ "name": "Release Robot", "email": "robot@example.com" }],
    })
}

fn auth() -> Value {
    json!({
        "type": "object",
        "secret": true,
        "required": ["token"],
        "additionalProperties": false,
        "description": "clone, fetch, push over https: the credentials.",
        "properties": {
            "username": { "type": "string", "minLength": 1, "default": "x-access-token", "description": "The user." },
            "token": { "type": "string", "minLength": 1, "description": "A token or a password, from a secret." },
        },
        "examples": [{ "token": "${{ secrets.GIT_TOKEN }}" }],
    })
}

pub(super) static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "required": ["do"],
        "additionalProperties": false,
        "properties": {
            "do": {
                "type": "string",
                "enum": ["clone", "fetch", "worktree_add", "worktree_remove", "branch", "commit", "push", "diff", "merge"],
                "description": "What to do.",
            },
            "repository": {
                "type": "string", "minLength": 1, "default": ".",
                "description": "All but clone: a folder of the repository, relative to the folder in which the run was asked for.",
                "examples": ["site"],
            },
            "url": text("clone: the address, https, http, ssh, git, file or a path.", "https://example.com/site.git"),
            "path": text("clone, worktree_add, worktree_remove: the folder, relative as `repository`.", "site"),
            "remote": {
                "type": "string", "minLength": 1, "default": "origin",
                "description": "fetch, push: the name of a remote, or an address.",
                "examples": ["upstream", "https://example.com/site.git"],
            },
            "branch": text("clone, fetch: the only branch wanted. worktree_add: the branch, made if there is none. branch: its name. push: the branch, the current one if not given.", "feature"),
            "start": { "type": "string", "minLength": 1, "default": "HEAD", "description": "branch, worktree_add: the commit at which a new branch begins.", "examples": ["origin/main"] },
            "from": text("merge: what is merged. diff: the commit that is compared, HEAD if not given.", "origin/main"),
            "to": text("push: the branch there, if it has another name. diff: the commit compared with; not given, it is the working tree.", "HEAD"),
            "message": text("commit, merge: the message.", "Update the index"),
            "author": author(),
            "paths": {
                "type": "array",
                "items": { "type": "string", "minLength": 1 },
                "description": "commit: what to take, beside what is staged already; everything if not given. diff: what to look at. Files and folders, no patterns; relative to `repository`.",
                "examples": [["docs", "README.md"]],
            },
            "allow_empty": flag("commit: commit even if nothing has changed."),
            "depth": { "type": "integer", "minimum": 1, "description": "clone: how many commits to take; all if not given.", "examples": [1] },
            "prune": flag("fetch: forget what the remote no longer has."),
            "force": flag("worktree_remove: also if there are changes in it; they are lost."),
            "switch": flag("branch: check it out."),
            "force_with_lease": {
                "oneOf": [{ "type": "boolean" }, { "type": "string", "minLength": 1 }],
                "default": false,
                "description": "push: throw away what the branch there has, as long as it is where it was last fetched (`true`), or at this commit.",
                "examples": [true],
            },
            "stat": flag("diff: only the list of files."),
            "max_bytes": {
                "type": "integer", "minimum": 0, "maximum": PATCH_MAX, "default": PATCH,
                "description": "diff: how much of the patch is given, in bytes; more is fine, and then `truncated` is true.",
                "examples": [65536],
            },
            "on_conflict": {
                "type": "string", "enum": ["fail", "report"], "default": "fail",
                "description": "merge: what a conflict does: the step fails, or gives `merged: false` and `conflicts`. Either way nothing is changed.",
            },
            "auth": auth(),
        },
        "examples": [
            { "do": "clone", "url": "https://example.com/site.git", "path": "site" },
            { "do": "commit", "repository": "site", "message": "Update the index" },
            { "do": "push", "repository": "site" },
        ],
    })
});

pub(super) static OUTPUT: LazyLock<Value> = LazyLock::new(|| {
    let file = json!({
        "type": "object",
        "required": ["path", "status", "added", "deleted"],
        "properties": {
            "path": { "type": "string", "description": "Where it is." },
            "from": { "type": "string", "description": "Where it was, if it was renamed or copied." },
            "status": { "type": "string", "description": "added, deleted, modified, renamed, copied, type_changed or unmerged." },
            "added": { "type": "integer", "description": "Lines added; null if it is not text." },
            "deleted": { "type": "integer", "description": "Lines deleted; null if it is not text." },
        },
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "sha": { "type": "string", "description": "clone, worktree_add, branch, commit, push, merge, fetch with `branch`: the commit at the end; null in a repository without one." },
            "branch": { "type": "string", "description": "clone, worktree_add, branch, commit, merge: the branch; null if none is checked out. push: the one there." },
            "path": { "type": "string", "description": "clone, worktree_add, worktree_remove: the folder, absolute." },
            "remote": { "type": "string", "description": "fetch, push: the address." },
            "cloned": { "type": "boolean", "description": "clone: false if it was there." },
            "created": { "type": "boolean", "description": "branch, worktree_add: false if it was there." },
            "removed": { "type": "boolean", "description": "worktree_remove: false if there was none." },
            "committed": { "type": "boolean", "description": "commit: false if nothing had changed." },
            "pushed": { "type": "boolean", "description": "push: false if the commit was there." },
            "merged": { "type": "boolean", "description": "merge: whether the branch has all of `from` now." },
            "fast_forward": { "type": "boolean", "description": "merge: whether that took no commit." },
            "conflicts": { "type": "array", "items": { "type": "string" }, "description": "merge: the files in conflict." },
            "refs": { "type": "array", "items": { "type": "object" }, "description": "fetch: what has changed, as {ref, from, to}; null where there was nothing. At most 1,000." },
            "files": { "type": "array", "items": file, "description": "diff: the files that differ, as {path, status, added, deleted}. At most 5,000." },
            "patch": { "type": "string", "description": "diff: the patch, from its beginning." },
            "truncated": { "type": "boolean", "description": "diff: whether `patch` or `files` is not all; fetch: whether `refs` is not." },
        },
        "examples": [{ "sha": "9f2c…", "branch": "main", "committed": true }],
    })
});

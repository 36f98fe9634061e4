//! The arrows between crates, and which crates of others are wanted at all.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::Fault;
use crate::licence;
use crate::rust::Kind;
use crate::source::Source;
use crate::workspace::Workspace;

/// Which crates of the workspace each one may depend on.
const ARROWS: [(&str, &[&str]); 9] = [
    // Its own tests switch on what hosts have to ask for.
    ("orchestrator-core", &["orchestrator-core"]),
    ("orchestrator-sql", &["orchestrator-core"]),
    ("orchestrator-sqlite", &["orchestrator-core", "orchestrator-sql"]),
    // Its own tests take the servers for tests from itself.
    ("orchestrator-postgres", &["orchestrator-core", "orchestrator-sql", "orchestrator-postgres"]),
    ("orchestrator-redis", &["orchestrator-core", "orchestrator-redis"]),
    ("orchestrator-plugins", &["orchestrator-core"]),
    (
        "orchestrator-cli",
        &[
            "orchestrator-core",
            "orchestrator-plugins",
            "orchestrator-sqlite",
            "orchestrator-postgres",
            "orchestrator-redis",
        ],
    ),
    // Host programs: they stand where a user stands.
    (
        "orchestrator-examples",
        &["orchestrator-core", "orchestrator-plugins", "orchestrator-sqlite", "orchestrator-postgres"],
    ),
    (
        "orchestrator-benches",
        &[
            "orchestrator-cli",
            "orchestrator-core",
            "orchestrator-plugins",
            "orchestrator-postgres",
            "orchestrator-sql",
            "orchestrator-sqlite",
        ],
    ),
];

/// Libraries that only some crates may name, by dependency or in their sources. The examples are host programs: they
/// bring a web server and a database of their own, as somebody does who takes these crates into a service.
const RESERVED: [(&[&str], &[&str]); 6] = [
    (
        &["sea_orm"],
        &[
            "orchestrator-sql",
            "orchestrator-sqlite",
            "orchestrator-postgres",
            "orchestrator-benches",
            "orchestrator-examples",
        ],
    ),
    (
        &["sea_orm_migration", "sea_query", "sqlx", "libsqlite3_sys", "rusqlite"],
        &["orchestrator-sql", "orchestrator-sqlite", "orchestrator-postgres", "orchestrator-benches"],
    ),
    (&["axum"], &["orchestrator-http", "orchestrator-cli", "orchestrator-examples"]),
    (&["apalis", "apalis_core"], &["orchestrator-cli"]),
    (&["redis", "apalis_redis"], &["orchestrator-redis"]),
    (&["hyper", "tower_http"], &["orchestrator-http", "orchestrator-cli"]),
];

/// Crates that are abandoned, that bring a second TLS library, or for which the standard library has its own.
const BANNED: [&str; 14] = [
    "async-std",
    "atty",
    "failure",
    "native-tls",
    "openssl",
    "openssl-sys",
    "serde_yaml",
    "serde_yaml_ng",
    "serde_yml",
    "structopt",
    "tempdir",
    "users",
    "yaml-rust",
    "yaml-rust2",
];

/// Banned where we choose: as a dependency of a crate of ours.
const NOT_OURS: [&str; 6] = ["chrono", "lazy_static", "log", "once_cell", "rand", "time"];

/// What a host program must not be made to build for the core alone.
const NOT_IN_CORE: [&str; 10] = [
    "axum",
    "chrono",
    "clap",
    "hyper",
    "libsqlite3-sys",
    "reqwest",
    "rustls",
    "sea-orm",
    "sqlx-core",
    "tokio-util",
];

/// The most crates that building core takes, core itself among them, is one less than this.
const CORE_TREE: usize = 70;

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

fn members(metadata: &Value) -> impl Iterator<Item = &Value> {
    packages(metadata).filter(|package| package["source"].is_null())
}

fn dependencies(package: &Value) -> impl Iterator<Item = &str> {
    package["dependencies"].as_array().into_iter().flatten().map(name)
}

pub(crate) fn arrows(metadata: &Value) -> Vec<Fault> {
    let ours: BTreeSet<&str> = members(metadata).map(name).collect();
    let mut faults = Vec::new();
    for package in members(metadata) {
        let own = name(package);
        let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == own) else {
            faults.push(format!("{own}: give the crate its arrows in the tidy test"));
            continue;
        };
        for to in dependencies(package) {
            if ours.contains(to) && !allowed.contains(&to) {
                faults.push(format!("{own} depends on {to}"));
            }
            if let Some(who) = reserved(&to.replace('-', "_"), own) {
                faults.push(format!("{own} depends on {to}; only {} may", who.join(", ")));
            }
            if NOT_OURS.contains(&to) {
                faults.push(format!("{own} depends on {to}"));
            }
        }
    }
    faults
}

/// Who may name a library, if `own` may not.
fn reserved(library: &str, own: &str) -> Option<&'static [&'static str]> {
    let (_, who) = RESERVED.iter().find(|(libraries, _)| libraries.contains(&library))?;
    (!who.contains(&own)).then_some(*who)
}

pub(crate) fn foreign_names(source: &Source) -> Vec<Fault> {
    let tokens = source.tokens();
    let named = tokens.iter().enumerate().filter(|(at, token)| {
        let is_path = tokens.get(at + 1).is_some_and(|next| next.is(":") || next.is(";") || next.is("as"));
        token.kind == Kind::Word && is_path && reserved(token.text, package_of(source)).is_some()
    });
    named.map(|(_, token)| source.at(token.first, format!("`{}`", token.text))).collect()
}

/// The crate of a file: the folders of unpublished crates are not called as the crates are.
fn package_of(source: &Source) -> &str {
    match source.package() {
        "examples" => "orchestrator-examples",
        "benches" => "orchestrator-benches",
        package => package,
    }
}

pub(crate) fn banned(metadata: &Value) -> Vec<Fault> {
    let found = packages(metadata).filter(|package| BANNED.contains(&name(package)));
    found.map(|package| format!("{} {}", name(package), package["version"])).collect()
}

pub(crate) fn licences(metadata: &Value) -> Vec<Fault> {
    let licence = |package: &Value| package["license"].as_str().unwrap_or_default().to_owned();
    let bad = packages(metadata).filter(|package| !licence::is_allowed(&licence(package)));
    bad.map(|package| format!("{}: `{}`", name(package), licence(package))).collect()
}

pub(crate) fn origins(metadata: &Value) -> Vec<Fault> {
    let source = |package: &Value| package["source"].as_str().unwrap_or_default().to_owned();
    let is_fine = |package: &&Value| package["source"].is_null() || source(package).starts_with("registry+");
    packages(metadata)
        .filter(|package| !is_fine(package))
        .map(|p| format!("{}: {}", name(p), source(p)))
        .collect()
}

pub(crate) fn tree_of_core(tree: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if tree.len() >= CORE_TREE {
        faults.push(format!(
            "{} crates; fewer than {CORE_TREE} are allowed: {}",
            tree.len(),
            tree.join(", ")
        ));
    }
    let unwanted =
        tree.iter().filter(|entry| NOT_IN_CORE.contains(&entry.split(' ').next().unwrap_or_default()));
    faults.extend(unwanted.map(|entry| format!("{entry} in the tree of core")));
    faults
}

pub(crate) fn manifests(house: &Workspace) -> Vec<Fault> {
    let mut faults = Vec::new();
    for folder in house.members() {
        let path = format!("{folder}/Cargo.toml");
        faults.extend(manifest(&path, &house.file(&path).unwrap_or_default()));
    }
    faults
}

fn manifest(path: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let name =
        text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default().trim_matches('"');
    if !text.contains("[lints]\nworkspace = true") {
        faults.push(format!("{path}: `[lints]` with `workspace = true` is missing"));
    }
    let unpublished = ["orchestrator-benches", "orchestrator-cli", "orchestrator-examples"].contains(&name);
    if unpublished != text.contains("publish = false") {
        let what = if unpublished { "must say" } else { "must not say" };
        faults.push(format!("{path}: {name} {what} `publish = false`"));
    }
    faults
}

#[cfg(test)]
mod planted {
    use serde_json::json;

    use super::*;

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({ "name": name })).collect();
        json!({ "name": name, "source": null, "license": "MIT", "dependencies": dependencies })
    }

    fn metadata(packages: &[Value]) -> Value {
        json!({ "packages": packages })
    }

    #[test]
    fn arrows_up_and_across_are_caught() {
        let core = package("orchestrator-core", &["serde"]);
        let bad = [
            package("orchestrator-sql", &["orchestrator-sqlite"]),
            package("orchestrator-plugins", &["orchestrator-sqlite"]),
            package("orchestrator-plugins", &["sqlx"]),
            package("orchestrator-sqlite", &["axum"]),
            package("orchestrator-core", &["apalis-core"]),
            package("orchestrator-plugins", &["redis"]),
            package("orchestrator-redis", &["orchestrator-sqlite"]),
            package("orchestrator-postgres", &["apalis-redis"]),
            package("orchestrator-plugins", &["chrono"]),
            package("orchestrator-gadgets", &[]),
        ];
        let all = ["orchestrator-sqlite", "orchestrator-core"].map(|name| package(name, &[]));
        for bad in bad {
            let packages = [core.clone(), all[0].clone(), bad.clone()];
            assert_eq!(arrows(&metadata(&packages)).len(), 1, "{bad}");
        }
        let good = [core, package("orchestrator-sql", &["orchestrator-core", "sea-orm"])];
        assert_eq!(arrows(&metadata(&good)), [""; 0]);
    }

    #[test]
    fn drivers_in_sources_are_caught() {
        for text in
            ["use sqlx::Row;", "fn f() -> sea_orm::DbErr { }", "extern crate rusqlite;", "use axum as web;"]
        {
            assert_eq!(foreign_names(&Source::new("orchestrator-core/src/a.rs", text)).len(), 1, "{text}");
        }
        for text in ["use sqlx::Row;", "extern crate rusqlite;", "use hyper::Body;"] {
            assert_eq!(foreign_names(&Source::new("examples/tests/a.rs", text)).len(), 1, "{text}");
        }
        for text in ["use axum::Router;", "fn f() -> sea_orm::DbErr { }"] {
            assert_eq!(foreign_names(&Source::new("examples/shop/a.rs", text)), [""; 0], "{text}");
        }
        let good = "use sqlx::Row; // axum::x";
        assert_eq!(foreign_names(&Source::new("orchestrator-sqlite/src/a.rs", good)), [""; 0]);
        assert_eq!(foreign_names(&Source::new("orchestrator-core/src/a.rs", "// use sqlx::Row;")), [""; 0]);
    }

    #[test]
    fn unwanted_crates_licences_and_origins_are_caught() {
        let registry = "registry+https://example.org/index";
        let of = |name: &str, licence: Value, source: &str| {
            metadata(&[json!({ "name": name, "version": "1.0.0", "license": licence, "source": source })])
        };
        assert_eq!(banned(&of("openssl", json!("MIT"), registry)).len(), 1);
        assert_eq!(banned(&of("serde_yaml", json!("MIT"), registry)).len(), 1);
        assert_eq!(licences(&of("a", json!("GPL-3.0"), registry)).len(), 1);
        assert_eq!(licences(&of("a", Value::Null, registry)).len(), 1);
        assert_eq!(origins(&of("a", json!("MIT"), "git+https://example.org/a")).len(), 1);
        let good = of("a", json!("MIT"), registry);
        assert_eq!([banned(&good), licences(&good), origins(&good)].concat(), [""; 0]);
    }

    #[test]
    fn a_large_core_is_caught() {
        let of = |count: usize| (0..count).map(|ix| format!("c{ix} v1.0.0")).collect::<Vec<_>>();
        assert_eq!(tree_of_core(&of(CORE_TREE)).len(), 1);
        assert_eq!(tree_of_core(&of(CORE_TREE - 1)), [""; 0]);
        assert_eq!(tree_of_core(&["hyper v1.0.0".to_owned()]).len(), 1);
    }

    #[test]
    fn manifests_without_lints_are_caught() {
        let of = |name: &str, rest: &str| manifest("a", &format!("[package]\nname = \"{name}\"\n{rest}"));
        let lints = "[lints]\nworkspace = true\n";
        assert_eq!(of("orchestrator-core", lints), [""; 0]);
        assert_eq!(of("orchestrator-core", "").len(), 1);
        assert_eq!(of("orchestrator-cli", lints).len(), 1);
        assert_eq!(of("orchestrator-core", &format!("publish = false\n{lints}")).len(), 1);
    }
}

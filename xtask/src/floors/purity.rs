//! The core does no I/O, and the server cannot decrypt.

use std::path::Path;

use serde_json::Value;

use super::edges::{linked, name, packages};

/// Crates that a package must not link, with the reason.
const BANNED: &[(&str, &[&str], &str)] = &[
    (
        "fourfold",
        &[
            "async-std",
            "log",
            "rand",
            "reqwest",
            "rusqlite",
            "smol",
            "tokio",
            "tracing",
            "ureq",
        ],
        "the core does no I/O, logs nothing and takes randomness as an argument (rand_core)",
    ),
    (
        "fourfold-server",
        &[
            "aes",
            "aes-gcm",
            "cbc",
            "chacha20poly1305",
            "ctr",
            "hkdf",
            "matrix-sdk-crypto",
            "pbkdf2",
            "vodozemac",
            "x25519-dalek",
        ],
        "the manifest of the server shows that it cannot decrypt",
    ),
];

/// The folder whose source must not use clocks, files, sockets or threads.
const CORE: &str = "crates/fourfold/src";

/// What unit tests share; lib.rs includes it in tests only.
const TESTING: &str = "crates/fourfold/src/testing.rs";

/// Modules of `std` that the core must not use.
const WORLD: &[&str] = &["env", "fs", "net", "process", "thread"];

/// Clocks by the call that reads them.
const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now"];

/// Fails on a normal or build dependency that a crate must do without.
pub(super) fn check_dependencies(metadata: &Value) -> Vec<String> {
    let mut findings = Vec::new();
    for package in packages(metadata) {
        for (_, banned, reason) in BANNED.iter().filter(|(of, ..)| name(package) == Some(of)) {
            for dependency in linked(package).filter(|found| banned.contains(found)) {
                let package = name(package).unwrap_or_default();
                findings.push(format!(
                    "{package}: must not depend on {dependency}: {reason}"
                ));
            }
        }
    }
    findings
}

/// Fails when the core reads a clock, the environment, a file, or opens a socket or a thread.
///
/// Clippy checks the calls (crates/fourfold/clippy.toml); this check needs no build and also sees
/// the imports.
pub(super) fn check_source(file: &Path, text: &str) -> Vec<String> {
    if !file.starts_with(CORE) || file.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    if file == Path::new(TESTING) {
        return Vec::new();
    }
    let (code, _tests) = text
        .split_once("#[cfg(test)]\nmod tests {")
        .unwrap_or((text, ""));
    let code: String = code.lines().map(code_of).collect::<Vec<_>>().join("\n");
    let mut findings: Vec<String> = CLOCKS
        .iter()
        .filter(|clock| code.contains(*clock))
        .map(|clock| {
            format!(
                "{}: {clock}: time is an argument of the core",
                file.display()
            )
        })
        .collect();
    findings.extend(
        WORLD
            .iter()
            .filter(|module| reaches(&code, module))
            .map(|module| format!("{}: std::{module}: the core does no I/O", file.display())),
    );
    findings
}

/// A line without its comment.
fn code_of(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" //").map_or(line, |(code, _)| code)
}

/// Returns `true` if code names `std::MODULE`, alone or in a group of imports.
fn reaches(code: &str, module: &str) -> bool {
    code.split("std::")
        .skip(1)
        .any(|after| match after.strip_prefix('{') {
            None => first_word(after) == module,
            Some(group) => top_level(group).any(|member| first_word(member.trim()) == module),
        })
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
        .unwrap_or_default()
}

/// The members of a group of imports, up to its closing brace.
fn top_level(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    let mut ended = false;
    group
        .split(move |c: char| {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == ',' && depth == 0
        })
        .take_while(move |member| {
            let go_on = !ended;
            ended = ended || member.matches('}').count() > member.matches('{').count();
            go_on
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn core(source: &str) -> Vec<String> {
        check_source(Path::new("crates/fourfold/src/health.rs"), source)
    }

    #[test]
    fn sees_a_banned_dependency_but_not_one_of_tests() {
        let metadata = |kind: Option<&str>| {
            json!({ "packages": [
                { "name": "fourfold", "dependencies": [{ "name": "tokio", "kind": kind }] },
                { "name": "fourfold-server", "dependencies": [{ "name": "ctr", "kind": kind }] },
            ]})
        };
        assert_eq!(check_dependencies(&metadata(None)).len(), 2);
        assert!(check_dependencies(&metadata(Some("dev"))).is_empty());
    }

    #[test]
    fn sees_the_world_in_paths_and_in_groups() {
        assert_eq!(core("let now = std::time::Instant::now();").len(), 1);
        assert_eq!(core("use std::fs;").len(), 1);
        assert_eq!(
            core("use std::{\n    fmt,\n    net::{IpAddr, TcpStream},\n};").len(),
            1
        );
        assert_eq!(
            core("use std::{collections::{BTreeMap, BTreeSet}, thread};").len(),
            1
        );
    }

    #[test]
    fn leaves_pure_code_and_comments_alone() {
        assert!(
            core("use std::{fmt, time::Duration};\nfn fs() {}\nstruct A { env: u8 }").is_empty()
        );
        assert!(
            core("// std::fs is not for us\n/// Nor std::env.\nlet a = 1; // std::net").is_empty()
        );
        assert!(core("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n").is_empty());
        let outside = Path::new("crates/fourfold-cli/src/main.rs");
        assert!(check_source(outside, "use std::fs;").is_empty());
    }
}

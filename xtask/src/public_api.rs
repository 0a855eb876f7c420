//! What the libraries offer to others: kept as text, so that a change of it is seen.

use std::collections::BTreeSet;
use std::path::Path;

use public_api::{Builder, PublicApi};

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// A library that others build on.
struct Library {
    package: &'static str,
    /// Its name in Rust, which is that of the file that rustdoc writes.
    name: &'static str,
    /// Where its public API is kept.
    kept: &'static str,
}

const LIBRARIES: &[Library] = &[
    Library {
        package: "fourfold",
        name: "fourfold",
        kept: "crates/fourfold/public-api.txt",
    },
    Library {
        package: "fourfold-client",
        name: "fourfold_client",
        kept: "crates/fourfold-client/public-api.txt",
    },
];

/// The lane: what is public is what is kept.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = Vec::new();
    for library in LIBRARIES {
        let kept = workspace.text(Path::new(library.kept))?.unwrap_or_default();
        let changed = differences(&kept, &text(workspace, library)?);
        if !changed.is_empty() {
            findings.push(format!(
                "{}: the public API changed; when it is meant, run `cargo xtask public-api --write`",
                library.kept
            ));
            findings.extend(changed);
        }
    }
    Failure::from_findings(findings)
}

/// `cargo xtask public-api --write`: keeps what is public now.
pub(crate) fn write(workspace: &Workspace) -> Result<(), Failure> {
    for library in LIBRARIES {
        files::write(
            &workspace.root.join(library.kept),
            &text(workspace, library)?,
        )?;
        report::line(format_args!("{}: written", library.kept));
    }
    Ok(())
}

/// Every public item, one a line, without what the compiler derives for all types.
fn text(workspace: &Workspace, library: &Library) -> Result<String, Failure> {
    command::run(
        cargo(&workspace.root)
            .env(
                "RUSTDOC",
                workspace.root.join("xtask/src/rustdoc-with-json"),
            )
            .args(["rustdoc", "--lib", "--locked", "--package", library.package])
            .args(["--", "-Z", "unstable-options", "--output-format", "json"]),
    )?;
    let json = workspace.target.join("doc").join(library.name);
    let api = Builder::from_rustdoc_json(json.with_extension("json"))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .map_err(|error| Failure::MissingTool(format!("rustdoc writes another JSON: {error}")))?;
    Ok(lines(&api))
}

fn lines(api: &PublicApi) -> String {
    api.items().map(|item| format!("{item}\n")).collect()
}

/// What is only in one of two texts, each line once.
fn differences(before: &str, after: &str) -> Vec<String> {
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (before.lines().collect(), after.lines().collect());
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    let new = after.difference(&before).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_gone_and_what_is_new() {
        let changed = differences("pub fn a()\npub fn b()\n", "pub fn b()\npub fn c()\n");
        assert_eq!(changed, ["- pub fn a()", "+ pub fn c()"]);
        assert!(differences("pub fn a()\n", "pub fn a()\n").is_empty());
    }
}

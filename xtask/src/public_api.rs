//! The public API of the libraries, kept as text so that a change of it is seen.

use public_api::{Builder, PublicApi};

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::kept;
use crate::workspace::Workspace;

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

/// The lane: the kept lists are up to date.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = Vec::new();
    for library in LIBRARIES {
        let now = text(workspace, library)?;
        let again = "cargo xtask public-api --write";
        findings.extend(kept::compare(workspace, library.kept, &now, again)?);
    }
    Failure::from_findings(findings)
}

/// `cargo xtask public-api --write`: writes the lists anew.
pub(crate) fn write(workspace: &Workspace) -> Result<(), Failure> {
    for library in LIBRARIES {
        kept::write(workspace, library.kept, &text(workspace, library)?)?;
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

//! Whether two builds in different folders give the same binary.
//!
//! A command of its own, which CI does not run: two release builds take longer than all its lanes.

use std::path::Path;
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::workspace::Workspace;
use crate::{files, report};

/// The folders that the same sources are built in, of other lengths.
const PLACES: [&str; 2] = ["one", "another/with-a-longer-name"];

/// `cargo xtask reproduce`: builds what is committed twice, and compares.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let home = workspace.target.join("reproduce");
    let mut built = Vec::new();
    for place in PLACES {
        let folder = home.join(place);
        report::line(format_args!("building in {}", folder.display()));
        built.push(build(workspace, &folder)?);
    }
    match built.as_slice() {
        [one, another] if one == another => {
            report::line(format_args!("both are the same {} bytes", one.len()));
            Ok(())
        }
        _ => Err(Failure::Check(format!(
            "the two binaries differ: compare them in {}",
            home.display()
        ))),
    }
}

/// The binary that a fresh copy of what is committed gives in this folder.
fn build(workspace: &Workspace, folder: &Path) -> Result<Vec<u8>, Failure> {
    let (source, target) = (folder.join("source"), folder.join("target"));
    for old in [&source, &target] {
        if old.exists() {
            files::remove_folder(old)?;
        }
    }
    files::create_folder(&source)?;
    let archive = folder.join("source.tar");
    command::run(
        Command::new("git")
            .current_dir(&workspace.root)
            .args(["archive", "--output"])
            .arg(&archive)
            .arg("HEAD"),
    )?;
    command::run(
        Command::new("tar")
            .arg("-xf")
            .arg(&archive)
            .arg("-C")
            .arg(&source),
    )?;
    let registry = command::cargo_home()?;
    // What the compilers write down of where they were.
    let renamed = [
        (source.display().to_string(), "/fourfold"),
        (target.display().to_string(), "/target"),
        (registry.display().to_string(), "/cargo"),
    ];
    let flags = |option: &str| -> Vec<String> {
        let one = |(from, to): &(String, &str)| format!("{option}={from}={to}");
        renamed.iter().map(one).collect()
    };
    command::run(
        cargo(&workspace.root)
            .current_dir(&source)
            .env("CARGO_TARGET_DIR", &target)
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                flags("--remap-path-prefix").join("\u{1f}"),
            )
            .env("CFLAGS", flags("-ffile-prefix-map").join(" "))
            .args([
                "build",
                "--release",
                "--locked",
                "--package",
                "fourfold-cli",
            ]),
    )?;
    files::read(&target.join("release/fourfold"))
}

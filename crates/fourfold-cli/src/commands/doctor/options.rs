//! The options of `fourfold doctor`.

use std::path::PathBuf;

use clap::Args;

use crate::error::{Error, Result};
use crate::keys::sealing_key::SealingOptions;
use crate::options::{AcceptOptions, ChangeOptions, KeyInput, ReadOptions};

/// Options of `doctor`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    pub(super) input: KeyInput,
    #[command(flatten)]
    pub(super) read: ReadOptions,
    /// Compare with an earlier snapshot of the account
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Exit with 9 for warnings too
    #[arg(long)]
    pub(super) strict: bool,
    /// Repair what can be repaired without losing anything; or only what CODE names, which may lose
    /// what the plan says
    #[arg(long, value_name = "CODE", num_args = 0..)]
    pub(super) fix: Option<Vec<String>>,
    /// Explain a condition: what it is, how it comes about, what repairs it, and what that costs
    #[arg(long, value_name = "CODE", conflicts_with = "fix")]
    pub(super) explain: Option<String>,
    /// Write the repaired snapshot to this new file
    #[arg(long, value_name = "FILE", requires = "snapshot", requires = "fix")]
    pub(super) out: Option<PathBuf>,
    /// Use what this machine keeps sealed too, such as a key that another device sent, to repair
    /// with it
    #[arg(long)]
    pub(super) from_this_machine: bool,
    #[command(flatten)]
    pub(super) sealing: SealingOptions,
    #[command(flatten)]
    pub(super) change: ChangeOptions,
    #[command(flatten)]
    pub(super) accept: AcceptOptions,
}

impl Options {
    /// Refuses what means nothing together.
    pub(super) fn check(&self) -> Result<()> {
        let is_change = self.change.dry_run || self.change.yes || self.accept.accept_changes;
        if is_change && self.fix.is_none() {
            return Err(Error::usage(
                "--dry-run, --yes and --accept-changes are about --fix",
            ));
        }
        if self.read.snapshot.is_some() && self.accept.accept_changes {
            return Err(Error::usage(
                "--accept-changes cannot be used with --snapshot",
            ));
        }
        let is_repair = self.fix.is_some() && !self.change.dry_run;
        if is_repair && self.read.snapshot.is_some() && self.out.is_none() {
            return Err(
                Error::usage("where is the repaired snapshot to go?").hint("use --out FILE")
            );
        }
        Ok(())
    }
}

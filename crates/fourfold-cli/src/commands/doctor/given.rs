//! What the command was given to examine with, and the evidence that it makes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use fourfold::health::{Evidence, Machine, Source};
use fourfold::{Secret, Snapshot, Timestamp};

use super::options::Options;
use crate::account::{self, KnownHere};
use crate::error::{Error, Result};
use crate::options::{Global, KeyInput, Offer};
use crate::storage::unlock;

/// What the command was given: keys, and an earlier snapshot.
pub(super) struct Given {
    input: KeyInput,
    offers: Vec<Offer>,
    baseline: Option<Snapshot>,
    readable_files: Vec<String>,
}

impl Given {
    /// Reads it all. Nobody is asked for a key: it is an examination without one then.
    pub(super) fn read(options: &Options) -> Result<Self> {
        let input = options.input.clone();
        let baseline = options.baseline.as_deref();
        Ok(Self {
            baseline: baseline.map(account::in_file).transpose()?,
            readable_files: readable_files(&input),
            offers: if input.is_given() {
                input.offers("")?
            } else {
                Vec::new()
            },
            input,
        })
    }

    /// All that is known of an account. Each passphrase is derived for it, which takes a while.
    pub(super) fn evidence<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        source: Source,
        here: &'a KnownHere,
    ) -> Evidence<'a> {
        let mut evidence = Evidence::of(snapshot);
        evidence.source = source;
        evidence.now = now();
        evidence.baseline = self.baseline.as_ref();
        evidence.history = here.history.as_ref();
        evidence.trust = here.trust.as_ref();
        let mut budget = unlock::budget(&self.input);
        evidence.keys = self
            .offers
            .iter()
            .map(|offer| unlock::examine(snapshot, offer, &mut budget))
            .collect();
        evidence.secrets = here
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), Secret::new(secret.expose_secret())))
            .collect();
        let mut machine = Machine::default();
        machine.readable_files = self.readable_files.clone();
        evidence.machine = Some(machine);
        evidence
    }

    /// Refuses an earlier snapshot that is of somebody else.
    pub(super) fn check_baseline(&self, user_id: &str) -> Result<()> {
        match &self.baseline {
            Some(baseline) if baseline.user_id != user_id => Err(Error::usage(
                "the earlier snapshot is one of another account",
            )),
            _ => Ok(()),
        }
    }
}

/// What this machine knows of the user of a snapshot.
pub(super) fn known_here(global: &Global, options: &Options, user_id: &str) -> Result<KnownHere> {
    KnownHere::of_user(global, user_id, &options.sealing, options.from_this_machine)
}

/// The key files that group or others can read.
fn readable_files(input: &KeyInput) -> Vec<String> {
    let is_readable = |path: &&PathBuf| {
        path.as_os_str() != "-"
            && path
                .metadata()
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o077 != 0)
    };
    let files = input.recovery_key_file.iter();
    files
        .chain(&input.passphrase_file)
        .filter(is_readable)
        .map(|path| path.display().to_string())
        .collect()
}

fn now() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let millis = u64::try_from(since.as_millis()).ok()?;
    Some(Timestamp::from_millis(millis))
}

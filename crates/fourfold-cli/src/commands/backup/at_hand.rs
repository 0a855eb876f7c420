//! The keys that are at hand: those of secret storage, and the private keys of backups.

use std::path::Path;

use fourfold::backup::{CopyFrom, KeyCopy, fitting, stored_copies};
use fourfold::health::{Evidence, OfferedKey};
use fourfold::judged::Judged;
use fourfold::{BackupVersion, ProvenKey, Secret, SecretName, SecretStorage, SecretStorageKey};
use fourfold_client::{Device, LocalState, escape_untrusted};

use crate::account::{KnownHere, LoggedIn, own_device};
use crate::error::{Error, Exit, Result};
use crate::keys::sealing_key::{self, SealingOptions};
use crate::options::KeyInput;
use crate::storage::unlock::{self, Candidates};
use crate::terminal::input::Source;
use crate::terminal::messages;

/// The keys of secret storage that were given. Nobody is asked for one.
pub(super) fn given(snapshot: &Judged, input: &KeyInput) -> Result<Vec<SecretStorageKey>> {
    if input.is_given() {
        asked(snapshot, input)
    } else {
        Ok(Vec::new())
    }
}

/// The keys of secret storage that were given, or the one that is asked for.
pub(super) fn asked(snapshot: &Judged, input: &KeyInput) -> Result<Vec<SecretStorageKey>> {
    let mut budget = unlock::budget(input);
    let candidates = Candidates::all(&snapshot.storage());
    let mut keys = Vec::new();
    for offer in input.offers(unlock::question(&candidates))? {
        keys.push(unlock::find(snapshot, &offer, &candidates, &mut budget)?.key);
    }
    Ok(keys)
}

/// The keys of secret storage that may write, the default key among them and first.
pub(super) fn writing(snapshot: &Judged, input: &KeyInput) -> Result<Vec<ProvenKey>> {
    let storage = snapshot.storage();
    let default = storage.writing_candidate()?;
    let candidates = Candidates::all(&storage);
    let mut budget = unlock::budget(input);
    let mut keys: Vec<ProvenKey> = Vec::new();
    for offer in input.offers(unlock::question(&candidates))? {
        let found = unlock::find(snapshot, &offer, &candidates, &mut budget)?;
        let key = unlock::prove(snapshot, found)?;
        if keys.iter().all(|one| one.id() != key.id()) {
            keys.push(key);
        }
    }
    if keys.iter().all(|key| key.id() != default.id()) {
        let label = unlock::label(&storage, default.id());
        return Err(Error::new(
            Exit::WrongKey,
            format!(
                "the private key is stored under the default key, which was not given: {label}"
            ),
        )
        .hint("give its recovery key or passphrase; several keys may be given at once"));
    }
    keys.sort_by_key(|key| key.id() != default.id());
    Ok(keys)
}

/// Every private key of a backup that is at hand: in secret storage, on this machine, in a file.
pub(super) fn copies(
    logged_in: &mut LoggedIn,
    storage: &SecretStorage<'_>,
    keys: &[&SecretStorageKey],
    sealing: &SealingOptions,
    file: Option<&Path>,
) -> Result<Vec<KeyCopy>> {
    let mut copies = stored_copies(storage, keys);
    copies.extend(on_this_machine(&mut logged_in.state, sealing)?);
    if let Some(file) = file {
        let text = Source::of(file).line()?;
        let copy = KeyCopy::of(&Secret::new(text.as_str()), CopyFrom::Given);
        copies.push(copy.ok_or_else(|| {
            Error::new(
                Exit::WrongKey,
                format!("{}: it is no private key of a key backup", file.display()),
            )
            .hint("it is base64 of 32 bytes, or the recovery key that a client shows of the backup")
        })?);
    }
    Ok(copies)
}

/// The private keys that this machine keeps sealed, made here or received. Nobody is asked for the
/// passphrase of the state: without it, they are done without.
pub(super) fn on_this_machine(
    state: &mut LocalState,
    sealing: &SealingOptions,
) -> Result<Vec<KeyCopy>> {
    if !Device::exists(state)? || sealing_key::asks(state, sealing)? {
        return Ok(Vec::new());
    }
    let here = match KnownHere::of(state, sealing, true) {
        Ok(here) => here,
        Err(error) => {
            messages::note(format_args!(
                "without what this machine keeps sealed: {}",
                error.message
            ));
            return Ok(Vec::new());
        }
    };
    let name = SecretName::backup_key();
    let of_backup = here.secrets.iter().filter(|(of, _)| *of == name);
    let copies = of_backup.filter_map(|(_, value)| KeyCopy::of(value, CopyFrom::ThisMachine));
    Ok(copies.collect())
}

/// This device, if it has keys that open without a question.
pub(super) fn device(logged_in: &mut LoggedIn, sealing: &SealingOptions) -> Result<Option<Device>> {
    if !Device::exists(&logged_in.state)? || sealing_key::asks(&logged_in.state, sealing)? {
        return Ok(None);
    }
    own_device::existing(logged_in, sealing)
}

/// The private key of a version, which must be at hand.
pub(super) fn key_of<'c>(copies: &'c [KeyCopy], version: &BackupVersion) -> Result<&'c KeyCopy> {
    fitting(copies, version).next().ok_or_else(|| {
        let name = escape_untrusted(version.version());
        Error::new(
            Exit::NotVerified,
            format!("no private key at hand is that of version {name} of the key backup"),
        )
        .hint(
            "another device may have it: fourfold request m.megolm_backup.v1 --out FILE, then fourfold \
             backup restore-key --from FILE (or what another client shows as its recovery key); to \
             create a new version beside it: fourfold backup new",
        )
    })
}

/// The first private key that is at hand of the current version of an account that is examined.
pub(crate) fn first_fitting(evidence: &Evidence<'_>) -> Option<(BackupVersion, KeyCopy)> {
    let version = evidence.snapshot.published_keys().backup?;
    let keys: Vec<_> = evidence
        .keys
        .iter()
        .filter_map(OfferedKey::as_key)
        .collect();
    let mut copies = stored_copies(&evidence.snapshot.storage(), &keys);
    let name = SecretName::backup_key();
    let held = evidence.secrets.iter().filter(|(of, _)| *of == name);
    copies.extend(held.filter_map(|(_, value)| KeyCopy::of(value, CopyFrom::ThisMachine)));
    let mut copies = copies.into_iter();
    let copy = copies.find(|copy| copy.key.is_key_of(&version))?;
    Some((version, copy))
}

/// Where a private key lies, in words.
pub(super) fn place(from: &CopyFrom) -> String {
    match from {
        CopyFrom::Stored { name, .. } => {
            format!("in secret storage, as {}", escape_untrusted(name.as_str()))
        }
        CopyFrom::ThisMachine => "on this machine".to_owned(),
        CopyFrom::Given => "in the file that was given".to_owned(),
    }
}

//! Opening a secret with a key that was found, and saying what is wrong when it does not open.

use std::collections::BTreeSet;

use fourfold::history::Vouched;
use fourfold::judged::Judged;
use fourfold::storage::{JudgedSecret, ReadError};
use fourfold::{
    Authenticity, KeyId, OpenError, Quirk, SecretName, SecretState, SecretStorage,
    SecretStorageKey, SecretValueError,
};
use fourfold_client::escape_untrusted;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Exit, Result};
use crate::storage::unlock;

/// The provenance of an opened secret. Nothing in it is secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Provenance {
    pub(crate) name: SecretName,
    pub(crate) key_id: KeyId,
    /// The key as a person is shown it.
    pub(crate) key_label: String,
    pub(crate) is_default_key: bool,
    pub(crate) is_authenticated: bool,
    pub(crate) matches_published_key: bool,
    /// Whether anybody who knows the public key may have written it.
    pub(crate) may_be_anybodys: bool,
    pub(crate) vouched_by: Vouched,
    pub(crate) is_iv_authenticated: bool,
    pub(crate) public_key: Option<String>,
    /// The deviations of the account data from the specification.
    pub(crate) quirks: BTreeSet<Quirk>,
    /// The public key of the current version of the key backup, when this is the private key of another
    /// one.
    #[serde(default)]
    pub(crate) published_instead: Option<String>,
}

impl Provenance {
    /// The report about an opened secret, for people and programs.
    pub(crate) fn of(opened: &JudgedSecret, storage: &SecretStorage<'_>, name: SecretName) -> Self {
        Self {
            name,
            key_id: opened.key_id.clone(),
            key_label: unlock::label(storage, &opened.key_id),
            is_default_key: storage.default_key().key_id() == Some(&opened.key_id),
            is_authenticated: opened.authenticity == Authenticity::Authenticated,
            matches_published_key: opened.matches_published_key(),
            may_be_anybodys: opened.may_be_anybodys(),
            vouched_by: opened.vouched_by,
            is_iv_authenticated: opened.vouched_by.is_iv_authenticated(),
            public_key: opened.public_key().map(ToOwned::to_owned),
            quirks: opened.quirks.clone(),
            published_instead: opened.published_instead().map(ToOwned::to_owned),
        }
    }
}

/// Fails before any key is asked for when there is nothing to open.
pub(crate) fn check_there(storage: &SecretStorage<'_>, name: &SecretName) -> Result<()> {
    match storage.secret(name) {
        SecretState::Encrypted(_) => Ok(()),
        SecretState::Malformed(error) => Err(Error::new(
            Exit::Corrupt,
            format!("{}: {error}", escape_untrusted(name.as_str())),
        )),
        SecretState::NotASecret => Err(Error::refused(format!(
            "the account data {} is not a secret",
            escape_untrusted(name.as_str())
        ))),
        state => {
            let deleted = if matches!(state, SecretState::Absent) {
                ""
            } else {
                " (it was deleted)"
            };
            let name = escape_untrusted(name.as_str());
            Err(
                Error::refused(format!("there is no secret {name}{deleted}"))
                    .hint("fourfold ls lists the names"),
            )
        }
    }
}

/// Opens a secret, and compares it with what is published about it.
pub(crate) fn open(
    snapshot: &Judged,
    name: &SecretName,
    key: &SecretStorageKey,
) -> Result<JudgedSecret> {
    let opened = snapshot.open(name, key);
    opened.map_err(|error| not_read(snapshot, name, key, error))
}

/// The same for handing it to its owner, who may have the private key of a former version of the key
/// backup too.
pub(crate) fn open_for_owner(
    snapshot: &Judged,
    name: &SecretName,
    key: &SecretStorageKey,
) -> Result<JudgedSecret> {
    let opened = snapshot.open_for_owner(name, key);
    opened.map_err(|error| not_read(snapshot, name, key, error))
}

fn not_read(
    snapshot: &Judged,
    name: &SecretName,
    key: &SecretStorageKey,
    error: ReadError,
) -> Error {
    match error {
        ReadError::Open(error) => explain(&snapshot.storage(), name, key, error),
        ReadError::Value(error) => wrong_value(name, error),
        error => Error::new(Exit::Corrupt, error),
    }
}

fn wrong_value(name: &SecretName, error: SecretValueError) -> Error {
    let what = format!("{} opens, but {error}", escape_untrusted(name.as_str()));
    match error {
        SecretValueError::IsTheKey => Error::new(Exit::Conflict, what).hint(
            "the homeserver may have made it so that you give your key away; if your key backup is \
             of 2019 and has this key: --accept-changes",
        ),
        SecretValueError::Base64(_) => Error::new(Exit::Corrupt, what).hint(OLD),
        _ => Error::new(Exit::NotVerified, what).hint(OLD),
    }
}

const OLD: &str = "it may be older than the last reset of your identity or backup; fourfold setup \
    says what is missing, and how to go on";

fn explain(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    key: &SecretStorageKey,
    error: OpenError,
) -> Error {
    let name = escape_untrusted(name.as_str());
    let label = |id| unlock::label(storage, id);
    match error {
        OpenError::NotEncryptedUnderKey { key_ids } => {
            let others: Vec<_> = key_ids.iter().map(label).collect();
            Error::refused(format!(
                "{name} is not encrypted under this key, {}, but under {}",
                label(key.id()),
                others.join("; ")
            ))
            .hint("use the recovery key or passphrase of that key")
        }
        OpenError::WrongKey => Error::new(
            Exit::WrongKey,
            format!("this is not the key {}", label(key.id())),
        ),
        OpenError::Entry(error) => Error::new(
            Exit::Corrupt,
            format!(
                "the key {} is right, but {name} is damaged: {error}",
                label(key.id())
            ),
        )
        .hint("another key may hold a good copy: fourfold status"),
        error => Error::new(Exit::Corrupt, format!("{name}: {error}")),
    }
}

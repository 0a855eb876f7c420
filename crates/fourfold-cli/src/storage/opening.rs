//! Opening a secret with a key that was found, and saying what is wrong when it does not open.

use fourfold::history::{Origin, Vouched};
use fourfold::{
    Authenticity, KeyId, OpenError, Secret, SecretName, SecretState, SecretStorage,
    SecretStorageKey, SecretValueError, Verdict,
};
use fourfold_client::escape_untrusted;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Exit, Result};
use crate::storage::judged::Judged;
use crate::storage::unlock;

/// What came out, and how it came.
pub(crate) struct Opened {
    pub(crate) secret: Secret,
    pub(crate) key_id: KeyId,
    pub(crate) authenticity: Authenticity,
    pub(crate) verdict: Verdict,
}

impl Opened {
    /// What a person or a program is told about it.
    pub(crate) fn provenance(&self, storage: &SecretStorage<'_>, name: SecretName) -> Provenance {
        let vouched_by = Vouched::of(self.authenticity, &self.verdict, None);
        let (matches_published_key, public_key) = match &self.verdict {
            Verdict::Matches { public_key } => (true, Some(public_key)),
            Verdict::NothingToCompare { derived } => (false, Some(derived)),
            _ => (false, None),
        };
        Provenance {
            name,
            key_id: self.key_id.clone(),
            key_label: unlock::label(storage, &self.key_id),
            is_default_key: storage.default_key().key_id() == Some(&self.key_id),
            is_authenticated: self.authenticity == Authenticity::Authenticated,
            matches_published_key,
            vouched_by,
            is_iv_authenticated: vouched_by.is_iv_authenticated(),
            public_key: public_key.map(ToString::to_string),
        }
    }
}

/// How a secret came out. Nothing in it is secret.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Provenance {
    pub(crate) name: SecretName,
    pub(crate) key_id: KeyId,
    /// The key as a person is shown it.
    pub(crate) key_label: String,
    pub(crate) is_default_key: bool,
    pub(crate) is_authenticated: bool,
    pub(crate) matches_published_key: bool,
    pub(crate) vouched_by: Vouched,
    pub(crate) is_iv_authenticated: bool,
    pub(crate) public_key: Option<String>,
}

impl Provenance {
    /// The same, for a machine that came to know the entry like this before it opened it.
    pub(crate) fn known_before(self, opened: &Opened, known: Option<Origin>) -> Self {
        let vouched_by = Vouched::of(opened.authenticity, &opened.verdict, known);
        Self {
            vouched_by,
            is_iv_authenticated: vouched_by.is_iv_authenticated(),
            ..self
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
pub(crate) fn open(snapshot: &Judged, name: &SecretName, key: &SecretStorageKey) -> Result<Opened> {
    let storage = snapshot.storage();
    let opened = storage
        .open(name, key)
        .map_err(|error| explain(&storage, name, key, error))?;
    let evidence = snapshot.evidence();
    let verdict = match opened.judge(name, &evidence) {
        Err(SecretValueError::IsTheKey) if snapshot.is_accepted() => {
            evidence.judge(name, &opened.secret)
        }
        verdict => verdict,
    };
    let verdict = verdict.map_err(|error| {
        let what = format!("{} opens, but {error}", escape_untrusted(name.as_str()));
        match error {
            SecretValueError::IsTheKey => Error::new(Exit::Conflict, what).hint(
                "the homeserver may have made it so that you give your key away; if your key \
                 backup is of 2019 and has this key: --accept-changes",
            ),
            SecretValueError::Base64(_) => Error::new(Exit::Corrupt, what).hint(OLD),
            _ => Error::new(Exit::NotVerified, what).hint(OLD),
        }
    })?;
    Ok(Opened {
        secret: opened.secret,
        key_id: key.id().clone(),
        authenticity: opened.authenticity,
        verdict,
    })
}

const OLD: &str = "it may be older than the last reset of your identity or backup";

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
                "{name} is not encrypted under the key that this is, {}, but under {}",
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

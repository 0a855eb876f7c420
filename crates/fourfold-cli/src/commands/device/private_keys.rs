//! The private keys of the identity, which a key of secret storage opens.

use fourfold::cross_signing::KnownKeys;
use fourfold::identity::UserKeys;
use fourfold::signed_json::SigningKey;
use fourfold::{
    PublishedKeys, SecretName, SecretStorage, SecretStorageKey, SecretValueError, Verdict,
};

use crate::error::{Error, Exit, Result};
use crate::options::UnlockOptions;
use crate::storage::judged::Judged;
use crate::storage::unlock;
use crate::terminal::messages;

/// The self-signing key, which a key of secret storage opens.
pub(super) fn self_signing_key(
    snapshot: &Judged,
    published: &UserKeys,
    options: &UnlockOptions,
) -> Result<SigningKey> {
    let storage = snapshot.storage();
    let key = unlock::one(snapshot, options)?.key;
    let published_keys = PublishedKeys {
        identity: Some(published.identity().clone()),
        backup: None,
    };
    let keys = open(&storage, &key, &published_keys)?.checked()?;
    keys.into_self_signing_key()
        .ok_or_else(|| Error::usage("the self-signing key is missing"))
}

/// The private keys of the published identity that a key of secret storage opens.
///
/// # Errors
///
/// [`Exit::NotVerified`] when one of them belongs to another identity: then something is wrong, and
/// nothing is signed.
pub(super) fn open(
    storage: &SecretStorage<'_>,
    key: &SecretStorageKey,
    published_keys: &PublishedKeys,
) -> Result<Opened> {
    let mut opened = Opened::default();
    for name in SecretName::cross_signing() {
        let secret = match storage.open(&name, key) {
            Ok(found) => found.secret,
            Err(error) => {
                messages::warn(format_args!("{name}: {error}"));
                continue;
            }
        };
        opened.names.push(name.clone());
        match published_keys.judge(&name, &secret) {
            Ok(Verdict::Matches { .. }) => {
                opened
                    .keys
                    .learn(&name, &secret, published_keys)
                    .map_err(Error::usage)?;
            }
            Ok(_) => messages::warn(format_args!("{name}: the homeserver publishes no such key")),
            Err(error) => opened.mismatch = Some((name, error)),
        }
    }
    Ok(opened)
}

/// What a key of secret storage opens of an identity.
#[derive(Default)]
pub(super) struct Opened {
    /// The keys that belong to what is published.
    keys: KnownKeys,
    /// The secrets that opened.
    pub(super) names: Vec<SecretName>,
    /// A secret that belongs to another identity.
    mismatch: Option<(SecretName, SecretValueError)>,
}

impl Opened {
    /// The keys, unless one of them belongs to another identity or none is of use.
    pub(super) fn checked(self) -> Result<KnownKeys> {
        if let Some((name, error)) = self.mismatch {
            return Err(Error::new(
                Exit::NotVerified,
                format!(
                    "{name} does not belong to the published identity: {error}; nothing was signed"
                ),
            )
            .hint(
                "the identity was replaced since it was stored, or the homeserver shows a false \
                 one: compare it on another device",
            ));
        }
        if self.keys.self_signing_key().is_none() {
            return Err(Error::new(
                Exit::NotVerified,
                "the key does not open m.cross_signing.self_signing, so nothing can be signed",
            )
            .hint("fourfold status shows which keys open what; fourfold setup completes what is missing"));
        }
        Ok(self.keys)
    }
}

//! The private keys of the identity, which a key of secret storage opens.

use fourfold::cross_signing::{OpenedKeys, UnusableKeys};
use fourfold::identity::UserKeys;
use fourfold::judged::Judged;
use fourfold::signed_json::SigningKey;
use fourfold::{PublishedKeys, SecretStorageKey};

use crate::error::Result;
use crate::options::UnlockOptions;
use crate::storage::unlock;
use crate::terminal::messages;

/// The self-signing key, which a key of secret storage opens.
pub(super) fn self_signing_key(
    snapshot: &Judged,
    published: &UserKeys,
    options: &UnlockOptions,
) -> Result<SigningKey> {
    let key = unlock::one(snapshot, options)?.key;
    let keys = open(snapshot, &key, published).for_signing_devices()?;
    let has_master_key = keys.master_key().is_some();
    let self_signing_key = keys.into_self_signing_key();
    Ok(self_signing_key.ok_or(UnusableKeys::NoSelfSigningKey { has_master_key })?)
}

/// The private keys of the published identity that a key of secret storage opens. Says what it
/// leaves out.
pub(super) fn open(snapshot: &Judged, key: &SecretStorageKey, published: &UserKeys) -> OpenedKeys {
    let published_keys = PublishedKeys {
        identity: Some(published.identity().clone()),
        backup: None,
    };
    let opened = OpenedKeys::open(&snapshot.storage(), key, &published_keys);
    for (name, reason) in opened.left_out() {
        messages::warn(format_args!("{name}: {reason}"));
    }
    opened
}

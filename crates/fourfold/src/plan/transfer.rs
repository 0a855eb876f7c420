//! Plans that move secrets from keys that are given up to another key: rotation and migration.

use std::collections::BTreeSet;

use rand_core::CryptoRng;

use super::draft::{Draft, NotDescribed, check_described};
use super::key::{put_default, put_description, retire_description, warn_of_unopened};
use super::secret::{could_be_anybodys, is_current, is_doubtful};
use super::steps::Plan;
use crate::secret_kind::normalise;
use crate::{
    Authenticity, DefaultKey, EncryptedSecret, KeyCheckOutcome, KeyId, NewKey, ProvenKey,
    PublishedKeys, Secret, SecretName, SecretStorage, SecretStorageKey, Verdict,
};

/// The key that secrets are moved to.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Destination<'a> {
    /// One that is already described in account data.
    Existing(&'a ProvenKey),
    /// One that is made for this; its description comes first.
    New(&'a NewKey),
}

impl<'a> Destination<'a> {
    fn key(self) -> &'a ProvenKey {
        match self {
            Self::Existing(key) => key,
            Self::New(new) => new.key(),
        }
    }
}

/// Replaces a key by another one, for *all* secrets that are encrypted under it, whatever their
/// names.
///
/// First every secret gets an entry under the new key, then the new key becomes the default if the
/// old one was (or if there was none), and only then the entries of the old key and its description
/// go. Entries of other keys stay. What does not open is left as it is, together with the old
/// description, and named in the warnings.
///
/// # Errors
///
/// [`TransferError`] when the new key is the old one, one of 2019 or not described, or when the old
/// key is a wrong one.
pub fn rotate(
    storage: &SecretStorage<'_>,
    old: &SecretStorageKey,
    destination: Destination<'_>,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, TransferError> {
    rotate_all(storage, &[old], destination, published_keys, rng)
}

/// As [`rotate`], for several keys that one takes the place of.
///
/// # Errors
///
/// As [`rotate`].
pub fn rotate_all(
    storage: &SecretStorage<'_>,
    old: &[&SecretStorageKey],
    destination: Destination<'_>,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, TransferError> {
    let default = storage.default_key();
    let takes_default = match &default {
        DefaultKey::Key(id) => old.iter().any(|key| key.id() == id),
        _ => true,
    };
    let ids: Vec<_> = old.iter().map(|key| key.id().as_str()).collect();
    let keys = if old.len() == 1 { "key" } else { "keys" };
    let (ids, to) = (ids.join(", "), destination.key().id());
    let title = format!("rotate the {keys} {ids} to {to}");
    transfer(
        storage,
        title,
        old,
        destination,
        takes_default,
        published_keys,
        rng,
    )
}

/// Brings an account of 2019 to today's form: everything that the given keys open is encrypted
/// under the new key, which becomes the default, and then the old keys go.
///
/// Reads `curve25519-aes-sha2` in both MAC modes, passthrough entries and backup keys that were
/// written as comma-separated bytes. What those keys open is unauthenticated, so it is compared
/// with what is published; what belongs to another public key stays where it is.
///
/// # Errors
///
/// As [`rotate`].
pub fn migrate(
    storage: &SecretStorage<'_>,
    old: &[&SecretStorageKey],
    destination: Destination<'_>,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, TransferError> {
    let title = format!("migrate to the key {}", destination.key().id());
    transfer(storage, title, old, destination, true, published_keys, rng)
}

/// Why no secrets are moved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The destination is a key of `curve25519-aes-sha2`.
    #[error("secrets are not moved to a key of the 2019 algorithm")]
    Needs2019Profile,
    /// The destination is not described in account data.
    #[error(transparent)]
    NotDescribed(#[from] NotDescribed),
    /// No key to move from, or the destination is among them.
    #[error("the new key must differ from the old key")]
    SameKey,
    /// An old key opens nothing and is not the key of its ID.
    #[error("this is not the right key for {id}")]
    WrongKey {
        /// The ID that the key was given for.
        id: KeyId,
    },
}

crate::error_code::error_codes! {
    TransferError:
    Self::Needs2019Profile { .. } => "transfer_needs_2019_profile",
    Self::SameKey { .. } => "transfer_same_key",
    Self::WrongKey { .. } => "transfer_wrong_key",
    ;
    Self::NotDescribed(error) => error,
}

fn transfer(
    storage: &SecretStorage<'_>,
    title: String,
    old: &[&SecretStorageKey],
    destination: Destination<'_>,
    takes_default: bool,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, TransferError> {
    let new = destination.key();
    if !is_current(new) {
        return Err(TransferError::Needs2019Profile);
    }
    if old.is_empty() || old.iter().any(|key| key.id() == new.id()) {
        return Err(TransferError::SameKey);
    }
    if let Some(key) = old.iter().find(|key| is_wrong(storage, key, new.key())) {
        let id = key.id().clone();
        return Err(TransferError::WrongKey { id });
    }
    let mut draft = Draft::new(storage, title);
    match destination {
        Destination::Existing(key) => check_described(storage, key)?,
        Destination::New(new) => put_description(&mut draft, new),
    }
    let mut left: BTreeSet<(SecretName, KeyId)> = BTreeSet::new();
    for key in old {
        for name in storage.unreadable_secrets(key.id()) {
            draft.warn(format!("{name} is damaged and is not changed"));
            left.insert((name, key.id().clone()));
        }
    }
    for (name, existing) in storage.secrets() {
        let copies = Copies::open(storage, &name, &existing, old, new, published_keys);
        for (id, reason) in copies.left {
            draft.warn(format!("{name} under {id} is not changed: {reason}"));
            left.insert((name.clone(), id));
        }
        let Some(chosen) = copies.chosen else {
            continue;
        };
        if chosen.is_doubtful() {
            draft.warn(could_be_anybodys(&name));
        }
        if !copies.is_at_destination
            && let Some(entry) = new.seal(&name, &chosen.secret, rng)
        {
            let reason = format!("encrypt {name} under {}", new.id());
            draft.put(name.as_str(), existing.with_entry(new.id(), &entry), reason);
        }
    }
    if takes_default {
        warn_of_unopened(&mut draft, new.id());
        put_default(&mut draft, new.id());
    }
    for key in old {
        retire(&mut draft, key.id(), &left);
    }
    draft.warn_of_old_ciphertext();
    Ok(draft.finish())
}

/// Returns `true` if an old key is not the one of its ID: nothing opens with it, although its key
/// check or the entries under it say that something should.
///
/// When the new key opens something, damaged entries may be all that an interrupted plan has left.
fn is_wrong(storage: &SecretStorage<'_>, old: &SecretStorageKey, new: &SecretStorageKey) -> bool {
    if opens_anything(storage, old) {
        return false;
    }
    let mut secrets = storage.secrets();
    match storage.check(old) {
        KeyCheckOutcome::Verified => false,
        KeyCheckOutcome::Mismatch => true,
        KeyCheckOutcome::Unverifiable => {
            secrets.any(|(_, secret)| secret.entry(old.id()).is_some())
                && !opens_anything(storage, new)
        }
    }
}

fn opens_anything(storage: &SecretStorage<'_>, key: &SecretStorageKey) -> bool {
    storage.secrets().any(|(name, secret)| {
        secret.entry(key.id()).is_some() && storage.open_entry(&name, key).is_ok()
    })
}

/// Removes the entries of a key from all secrets, and then its description, unless something is
/// left under it.
fn retire(draft: &mut Draft, id: &KeyId, left: &BTreeSet<(SecretName, KeyId)>) {
    let secrets: Vec<_> = draft.storage().secrets().collect();
    for (name, secret) in secrets {
        if secret.entry(id).is_some() && !left.contains(&(name.clone(), id.clone())) {
            let reason = format!("remove the copy of {name} under {id}");
            draft.put(name.as_str(), secret.without_entry(id), reason);
        }
    }
    if left.iter().any(|(_, left_id)| left_id == id) {
        draft.warn(format!(
            "the key {id} is kept, because entries under it remain"
        ));
    } else {
        retire_description(draft, id);
    }
}

/// The copies of one secret under the keys that are given up.
struct Copies {
    chosen: Option<Copy>,
    /// Whether the destination has the chosen value already.
    is_at_destination: bool,
    /// Copies that are not touched, each with the reason.
    left: Vec<(KeyId, String)>,
}

struct Copy {
    id: KeyId,
    secret: Secret,
    authenticity: Authenticity,
    verdict: Verdict,
}

impl Copies {
    fn open(
        storage: &SecretStorage<'_>,
        name: &SecretName,
        existing: &EncryptedSecret,
        old: &[&SecretStorageKey],
        new: &ProvenKey,
        published_keys: &PublishedKeys,
    ) -> Self {
        let mut good: Vec<Copy> = Vec::new();
        let mut left = Vec::new();
        for key in old.iter().filter(|key| existing.entry(key.id()).is_some()) {
            match Copy::open(storage, name, key, published_keys) {
                Ok(copy) => good.push(copy),
                Err(reason) => left.push((key.id().clone(), reason)),
            }
        }
        // Beside a copy that matches what is published, one of a former version is left.
        if good.iter().any(Copy::matches) {
            let (matching, former): (Vec<_>, Vec<_>) = good.into_iter().partition(Copy::matches);
            let reason = "it belongs to another version of the key backup";
            left.extend(former.into_iter().map(|copy| (copy.id, reason.to_owned())));
            good = matching;
        }
        // A copy under the destination that opens is as good as any other.
        let there = storage
            .open_entry(name, new.key())
            .ok()
            .map(|opened| normalise(name, &opened.secret).unwrap_or(opened.secret));
        let mut values = good.iter().map(|copy| &copy.secret).chain(&there);
        let first = values.next();
        if values.any(|value| !first.is_some_and(|first| first.is_same(value))) {
            let reason = "it differs from another copy; store the right value first";
            left.extend(good.drain(..).map(|copy| (copy.id, reason.to_owned())));
        }
        Self {
            chosen: good.into_iter().next(),
            is_at_destination: there.is_some(),
            left,
        }
    }
}

impl Copy {
    fn open(
        storage: &SecretStorage<'_>,
        name: &SecretName,
        key: &SecretStorageKey,
        published_keys: &PublishedKeys,
    ) -> Result<Self, String> {
        let opened = storage
            .open_entry(name, key)
            .map_err(|error| error.to_string())?;
        let verdict = opened
            .judge_for_owner(name, published_keys)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            id: key.id().clone(),
            secret: normalise(name, &opened.secret).unwrap_or(opened.secret),
            authenticity: opened.authenticity,
            verdict,
        })
    }

    fn matches(&self) -> bool {
        matches!(self.verdict, Verdict::Matches { .. })
    }

    fn is_doubtful(&self) -> bool {
        is_doubtful(self.authenticity, &self.verdict)
    }
}

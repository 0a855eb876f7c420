//! Plans for secrets: storing, deleting, and changing which keys open one.

use rand_core::CryptoRng;

use super::draft::{Draft, NotDescribed, check_described};
use super::steps::Plan;
use crate::algorithm::OpenEntryError;
use crate::algorithm::curve25519_aes_sha2::MacMode;
use crate::encrypted_secret::ENCRYPTED;
use crate::secret_kind::{is_same_value, normalise};
use crate::{
    Algorithm, Authenticity, Content, EncryptedSecret, EncryptedSecretError, EventState, KeyId,
    OpenError, ProvenKey, PublishedKeys, Secret, SecretName, SecretState, SecretStorage,
    SecretStorageKey, SecretValueError, TrustedPublicKey, Verdict,
};

/// A key that a secret is encrypted under when it is stored.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum WritingKey<'a> {
    /// With a key of 2019: for accounts that are still read by clients of that time, and to deposit
    /// a secret that one cannot read back.
    Profile2019 {
        /// The public key.
        recipient: &'a TrustedPublicKey,
        /// The input of the MAC. Clients of that time read [`MacMode::Libolm`] only.
        mac_mode: MacMode,
    },
    /// With `aes-hmac-sha2`.
    Proven(&'a ProvenKey),
}

impl WritingKey<'_> {
    fn id(&self) -> &KeyId {
        match self {
            Self::Profile2019 { recipient, .. } => recipient.id(),
            Self::Proven(key) => key.id(),
        }
    }

    fn check_described(&self, storage: &SecretStorage<'_>) -> Result<(), NotDescribed> {
        match self {
            Self::Profile2019 { recipient, .. } => storage
                .key(recipient.id())
                .map(drop)
                .map_err(NotDescribed::NoDescription),
            Self::Proven(key) => check_described(storage, key),
        }
    }

    fn seal(
        &self,
        name: &SecretName,
        secret: &Secret,
        rng: &mut impl CryptoRng,
    ) -> Result<Content, StoreError> {
        match self {
            Self::Profile2019 {
                recipient,
                mac_mode,
            } => recipient
                .seal(secret, *mac_mode, rng)
                .map_err(StoreError::PublicKey),
            Self::Proven(key) => key
                .seal(name, secret, rng)
                .ok_or(StoreError::Needs2019Profile),
        }
    }
}

/// Stores a secret under one or more keys.
///
/// The private key of the published key backup may be given as the recovery key that clients show.
///
/// All entries that are not refreshed are removed, because they would keep an older value; the
/// warnings name the keys that lose access. Members beside `encrypted` stay.
///
/// # Errors
///
/// [`StoreError`]: too large, not what its name says, the account data of this name is damaged or
/// something else, or account data does not describe a key.
///
/// ```
/// # let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
/// use fourfold::{AccountData, PublishedKeys, NewKey, Secret, SecretName, SecretStorage, plan};
/// use plan::WritingKey;
/// let mut account_data = AccountData::default();
/// let new = NewKey::random(None, &mut rng);
/// plan::set_up(&SecretStorage::new(&account_data), &new)?.apply_to(&mut account_data);
///
/// let (name, secret) = (SecretName::new("org.example.token")?, Secret::new("s3cret"));
/// let keys = [WritingKey::Proven(new.key())];
/// let storage = SecretStorage::new(&account_data);
/// let plan = plan::store(&storage, &name, &secret, &keys, &PublishedKeys::default(), &mut rng)?;
/// plan.apply_to(&mut account_data);
///
/// let opened = SecretStorage::new(&account_data).open(&name, new.key().key())?;
/// assert_eq!(opened.secret.expose_secret(), "s3cret");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn store(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    secret: &Secret,
    keys: &[WritingKey<'_>],
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, StoreError> {
    if secret.expose_secret().len() > Secret::MAX_BYTES {
        return Err(StoreError::TooLarge);
    }
    let existing = match storage.secret(name) {
        SecretState::Encrypted(secret) => Some(secret),
        SecretState::Malformed(error) => return Err(StoreError::Damaged(error)),
        SecretState::NotASecret => return Err(StoreError::NotASecret),
        _ => None,
    };
    for key in keys {
        key.check_described(storage)?;
    }
    let shown = published_keys.read_shown(name, secret);
    let secret = shown.as_ref().unwrap_or(secret);
    published_keys.judge(name, secret)?;
    let normalised = normalise(name, secret);
    let secret = normalised.as_ref().unwrap_or(secret);

    let mut encrypted = Content::default();
    for key in keys {
        encrypted.insert(key.id().as_str(), &key.seal(name, secret, rng)?);
    }
    if encrypted.is_empty() {
        return Err(StoreError::NoKey);
    }
    let mut draft = Draft::new(storage, format!("store {name}"));
    let dropped = existing.iter().flat_map(EncryptedSecret::key_ids);
    for id in dropped.filter(|id| !keys.iter().any(|key| key.id() == *id)) {
        draft.warn(format!(
            "the key {id} loses access to {name}: it could open the old value only"
        ));
    }
    // The event is a secret, an emptied one or absent.
    let mut content = match (&existing, storage.account_data().state(name.as_str())) {
        (Some(secret), _) if secret.is_passthrough_without_encrypted() => Content::default(),
        (_, EventState::Content(content)) => content,
        _ => Content::default(),
    };
    content.insert(ENCRYPTED, &encrypted);
    let ids: Vec<_> = keys.iter().map(|key| key.id().as_str()).collect();
    draft.put(
        name.as_str(),
        content,
        format!("encrypt {name} under {}", ids.join(", ")),
    );
    Ok(draft.finish())
}

/// Deletes a secret with all its copies, by writing `{}`.
///
/// # Errors
///
/// [`DeleteError`]: there is none, or the account data of this name is damaged or something else.
pub fn delete(storage: &SecretStorage<'_>, name: &SecretName) -> Result<Plan, DeleteError> {
    match storage.secret(name) {
        SecretState::Encrypted(_) => {}
        SecretState::Malformed(error) => return Err(DeleteError::Damaged(error)),
        SecretState::NotASecret => return Err(DeleteError::NotASecret),
        _ => return Err(DeleteError::NoSuchSecret),
    }
    let mut draft = Draft::new(storage, format!("delete {name}"));
    draft.warn(format!(
        "all copies of {name} are deleted; this cannot be undone"
    ));
    draft.put(name.as_str(), Content::default(), format!("delete {name}"));
    Ok(draft.finish())
}

/// Encrypts a secret under one more key. All other entries stay.
///
/// # Errors
///
/// [`AddKeyError`]: it does not open with `from` or does not fit the published keys, or `to` opens
/// another value already, is not described or is a key of 2019.
pub fn add_key(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    from: &SecretStorageKey,
    to: &ProvenKey,
    published_keys: &PublishedKeys,
    rng: &mut impl CryptoRng,
) -> Result<Plan, AddKeyError> {
    check_described(storage, to)?;
    let opened = storage.open(name, from)?;
    let verdict = opened.judge(name, published_keys)?;
    let SecretState::Encrypted(existing) = storage.secret(name) else {
        return Err(AddKeyError::Open(OpenError::NoSuchSecret));
    };
    let mut draft = Draft::new(
        storage,
        format!("give the key {} access to {name}", to.id()),
    );
    if is_doubtful(opened.authenticity, &verdict) {
        draft.warn(could_be_anybodys(name));
    }
    let there = storage.open_entry(name, to.key()).ok();
    if there
        .as_ref()
        .is_some_and(|copy| !is_same_value(name, &copy.secret, &opened.secret))
    {
        return Err(AddKeyError::OtherValue);
    }
    if there.is_none() {
        let entry = to
            .seal(name, &opened.secret, rng)
            .ok_or(AddKeyError::Needs2019Profile)?;
        let reason = format!("encrypt {name} under {} too", to.id());
        draft.put(name.as_str(), existing.with_entry(to.id(), &entry), reason);
    }
    Ok(draft.finish())
}

/// Removes the entry of one key from a secret, which the `remaining` key must open.
///
/// # Errors
///
/// [`TakeKeyAwayError`]: it is not encrypted under that key, would become unreadable, or what would
/// remain does not fit the published keys.
pub fn take_key_away(
    storage: &SecretStorage<'_>,
    name: &SecretName,
    id: &KeyId,
    remaining: &SecretStorageKey,
    published_keys: &PublishedKeys,
) -> Result<Plan, TakeKeyAwayError> {
    let SecretState::Encrypted(existing) = storage.secret(name) else {
        return Err(TakeKeyAwayError::Open(OpenError::NoSuchSecret));
    };
    if existing.entry(id).is_none() {
        return Err(TakeKeyAwayError::NotEncryptedUnderKey);
    }
    if remaining.id() == id {
        return Err(TakeKeyAwayError::LastCopy);
    }
    let opened = storage.open(name, remaining)?;
    opened.judge(name, published_keys)?;
    let mut draft = Draft::new(storage, format!("revoke the key {id}'s access to {name}"));
    draft.warn_of_old_ciphertext();
    let reason = format!("{name} stays readable with the key {}", remaining.id());
    draft.put(name.as_str(), existing.without_entry(id), reason);
    Ok(draft.finish())
}

/// Why a secret is not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The existing entry is damaged; storing would destroy it.
    #[error("{0}")]
    Damaged(EncryptedSecretError),
    /// A key of 2019 needs [`WritingKey::Profile2019`].
    #[error("this is a key of the 2019 algorithm: it is only written in the 2019 profile")]
    Needs2019Profile,
    /// No key was given.
    #[error("no key to encrypt under was given")]
    NoKey,
    /// Account data does not describe a key, so that nobody would find it.
    #[error(transparent)]
    NotDescribed(#[from] NotDescribed),
    /// The account data of this name is something else and would be overwritten.
    #[error("the account data of this name is not a secret and would be overwritten")]
    NotASecret,
    /// A public key cannot be encrypted to.
    #[error("the public key cannot be used: {0}")]
    PublicKey(OpenEntryError),
    /// Larger than [`Secret::MAX_BYTES`].
    #[error("the secret is larger than {} bytes", Secret::MAX_BYTES)]
    TooLarge,
    /// It is not what its name says.
    #[error("this value does not belong here: {0}")]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    StoreError:
    Self::Damaged { .. } => "store_damaged",
    Self::Needs2019Profile { .. } => "store_needs_2019_profile",
    Self::NoKey { .. } => "store_no_key",
    Self::NotASecret { .. } => "store_not_a_secret",
    Self::PublicKey { .. } => "store_public_key",
    Self::TooLarge { .. } => "store_too_large",
    Self::Value { .. } => "store_value",
    ;
    Self::NotDescribed(error) => error,
}

/// Why a secret is not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// The existing entry is damaged.
    #[error("{0}")]
    Damaged(EncryptedSecretError),
    /// Nothing of that name, or it was deleted before.
    #[error("there is no such secret")]
    NoSuchSecret,
    /// The account data of this name is something else.
    #[error("the account data of this name is not a secret")]
    NotASecret,
}

crate::error_code::error_codes! {
    DeleteError:
    Self::Damaged { .. } => "delete_damaged",
    Self::NoSuchSecret { .. } => "delete_no_such_secret",
    Self::NotASecret { .. } => "delete_not_a_secret",
}

/// Why a secret is not encrypted under one more key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddKeyError {
    /// The new key is a key of 2019.
    #[error("this is a key of the 2019 algorithm: it is only written in the 2019 profile")]
    Needs2019Profile,
    /// Account data does not describe the new key, so that nobody would find it.
    #[error(transparent)]
    NotDescribed(#[from] NotDescribed),
    /// The secret does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy under the new key holds another value. Which one is right is not decided here.
    #[error("the key already opens a different value; store the right one")]
    OtherValue,
    /// The value that opens is not of the kind that its name says. It is not copied.
    #[error("the secret is not copied: {0}; store the right one")]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    AddKeyError:
    Self::Needs2019Profile { .. } => "add_key_needs_2019_profile",
    Self::OtherValue { .. } => "add_key_other_value",
    Self::Value { .. } => "add_key_value",
    ;
    Self::NotDescribed(error) => error,
    Self::Open(error) => error,
}

/// Why an entry is not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TakeKeyAwayError {
    /// The remaining key is the one that is taken away.
    #[error("the secret would become unreadable")]
    LastCopy,
    /// There is no entry of that key.
    #[error("the secret is not encrypted under this key")]
    NotEncryptedUnderKey,
    /// The secret does not open with the remaining key.
    #[error("the secret would become unreadable with the remaining key: {0}")]
    Open(#[from] OpenError),
    /// The value that the remaining key opens is not of the kind that its name says: the right
    /// value may be the one that would be taken away.
    #[error("the remaining key opens a wrong value: {0}; store the right one")]
    Value(#[from] SecretValueError),
}

crate::error_code::error_codes! {
    TakeKeyAwayError:
    Self::LastCopy { .. } => "take_key_away_last_copy",
    Self::NotEncryptedUnderKey { .. } => "take_key_away_not_encrypted_under_key",
    Self::Open { .. } => "take_key_away_open",
    Self::Value { .. } => "take_key_away_value",
}

/// Returns `true` if a value proves nothing about who wrote it, and there is nothing to compare it
/// with.
pub(super) fn is_doubtful(authenticity: Authenticity, verdict: &Verdict) -> bool {
    !matches!(authenticity, Authenticity::Authenticated)
        && !matches!(verdict, Verdict::Matches { .. })
}

/// Said when a secret is carried over from an entry that proves nothing about who wrote it.
pub(super) fn could_be_anybodys(name: &SecretName) -> String {
    format!(
        "{name} could have been written by anybody who knew the public key, and there is nothing \
         to compare it with"
    )
}

/// Returns `true` if a key writes with today's algorithm.
pub(super) fn is_current(key: &ProvenKey) -> bool {
    key.key().algorithm() == Algorithm::AesHmacSha2
}

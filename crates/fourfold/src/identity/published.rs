//! The cross-signing identity of a user as the server publishes it.

use crate::identity::{DeviceKeys, PublicKeys};
use crate::signable::{ForeignMember, KeyUsage, Kind};
use crate::signed_json::{PublicKey, PublicKeyError, SignatureError};
use crate::{Content, ContentError};

/// The three public cross-signing keys of a user, each read by itself.
#[derive(Clone, Debug)]
pub struct PublishedIdentity {
    master_key: Result<CrossSigningKey, CrossSigningKeyError>,
    self_signing_key: Result<CrossSigningKey, CrossSigningKeyError>,
    user_signing_key: Result<CrossSigningKey, CrossSigningKeyError>,
}

impl PublishedIdentity {
    /// Reads the body of an answer to `POST /keys/query`.
    ///
    /// # Errors
    ///
    /// [`ContentError`] when it is not a JSON object at all. A key that is missing or malformed
    /// does not hide the others: it is reported when it is asked for.
    pub fn from_keys_query(user_id: &str, body: &str) -> Result<Self, ContentError> {
        let body = Content::from_json(body)?;
        let key = |member, usage| CrossSigningKey::find(&body, member, user_id, usage);
        Ok(Self {
            master_key: key("master_keys", KeyUsage::Master),
            self_signing_key: key("self_signing_keys", KeyUsage::SelfSigning),
            user_signing_key: key("user_signing_keys", KeyUsage::UserSigning),
        })
    }

    /// What the server publishes after the upload of these keys: so what is going to be uploaded can
    /// be judged before it is.
    #[must_use]
    pub fn of(user_id: &str, keys: &PublicKeys) -> Self {
        let key = |object: &Content, usage| CrossSigningKey::read(object, user_id, usage);
        Self {
            master_key: key(keys.master_key(), KeyUsage::Master),
            self_signing_key: key(keys.self_signing_key(), KeyUsage::SelfSigning),
            user_signing_key: key(keys.user_signing_key(), KeyUsage::UserSigning),
        }
    }

    /// The master key.
    ///
    /// # Errors
    ///
    /// [`CrossSigningKeyError`] when it is not published or malformed.
    pub fn master_key(&self) -> Result<PublicKey, CrossSigningKeyError> {
        Ok(self.master_key.as_ref().map_err(|error| *error)?.public_key)
    }

    /// The self-signing key, when the master key signed it.
    ///
    /// # Errors
    ///
    /// [`CrossSigningKeyError`] when it is not published, malformed or not signed by the master
    /// key.
    pub fn self_signing_key(&self) -> Result<PublicKey, CrossSigningKeyError> {
        self.signed_by_master(&self.self_signing_key)
    }

    /// The user-signing key, when the master key signed it. Servers show it to its owner only.
    ///
    /// # Errors
    ///
    /// As [`self_signing_key`](Self::self_signing_key).
    pub fn user_signing_key(&self) -> Result<PublicKey, CrossSigningKeyError> {
        self.signed_by_master(&self.user_signing_key)
    }

    /// Whether a device signed the master key, as the device of the client that made it does.
    pub(crate) fn is_signed_by_device(&self, device: &DeviceKeys) -> bool {
        let key_id = format!("ed25519:{}", device.device_id());
        self.master_key.as_ref().is_ok_and(|key| {
            let signature = device
                .ed25519()
                .verify_as(&key.content, &key.user_id, &key_id);
            signature.is_ok()
        })
    }

    /// The self-signing key that stands there, whether anybody signed it or not: good for noticing
    /// a change, and for nothing else.
    pub(super) fn listed_self_signing_key(&self) -> Option<PublicKey> {
        self.self_signing_key
            .as_ref()
            .ok()
            .map(|key| key.public_key)
    }

    /// Every key that is published, whether anybody signed it or not.
    pub(crate) fn listed(&self) -> impl Iterator<Item = PublicKey> {
        [
            &self.master_key,
            &self.self_signing_key,
            &self.user_signing_key,
        ]
        .into_iter()
        .filter_map(|key| key.as_ref().ok().map(|key| key.public_key))
    }

    fn signed_by_master(
        &self,
        key: &Result<CrossSigningKey, CrossSigningKeyError>,
    ) -> Result<PublicKey, CrossSigningKeyError> {
        let key = key.as_ref().map_err(|error| *error)?;
        self.master_key()?.verify(&key.content, &key.user_id)?;
        Ok(key.public_key)
    }
}

/// Why a cross-signing key cannot be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrossSigningKeyError {
    /// It could be taken for something else that carries signatures, such as a key backup.
    #[error("the published key {0}")]
    Foreign(#[from] ForeignMember),
    /// It is not what a cross-signing key looks like: `keys` has not exactly one Ed25519 key whose
    /// ID names it, `usage` is not this use alone, `user_id` is another.
    #[error("the published key is malformed")]
    Malformed,
    /// The server publishes none.
    #[error("the key is not published")]
    NotPublished,
    /// Not a public key.
    #[error(transparent)]
    PublicKey(#[from] PublicKeyError),
    /// The master key did not sign it.
    #[error("the key is not signed by the master key: {0}")]
    Signature(#[from] SignatureError),
}

crate::error_code::error_codes! {
    CrossSigningKeyError:
    Self::Foreign { .. } => "cross_signing_key_foreign",
    Self::Malformed { .. } => "cross_signing_key_malformed",
    Self::NotPublished { .. } => "cross_signing_key_not_published",
    Self::Signature { .. } => "cross_signing_key_signature",
    ;
    Self::PublicKey(error) => error,
}

#[derive(Clone, Debug)]
struct CrossSigningKey {
    content: Content,
    public_key: PublicKey,
    user_id: String,
}

impl CrossSigningKey {
    fn find(
        body: &Content,
        member: &str,
        user_id: &str,
        usage: KeyUsage,
    ) -> Result<Self, CrossSigningKeyError> {
        let missing = CrossSigningKeyError::NotPublished;
        let of_users = body.object(member).ok_or(missing)?.map_err(malformed)?;
        let content = of_users
            .object(user_id)
            .ok_or(missing)?
            .map_err(malformed)?;
        Self::read(&content, user_id, usage)
    }

    fn read(
        content: &Content,
        user_id: &str,
        usage: KeyUsage,
    ) -> Result<Self, CrossSigningKeyError> {
        Kind::CrossSigningKey.check(content)?;
        if content.get("user_id") != Some(Ok(user_id.to_owned())) {
            return Err(CrossSigningKeyError::Malformed);
        }
        // A key of two uses could be signed as one of them and taken for the other.
        match content.get::<[String; 1]>("usage") {
            Some(Ok([only])) if only == usage.name() => {}
            _ => return Err(CrossSigningKeyError::Malformed),
        }
        let public_key = single_key(content)?;
        Ok(Self {
            content: content.clone(),
            public_key,
            user_id: user_id.to_owned(),
        })
    }
}

/// The one key in `keys`, whose ID must name it.
fn single_key(content: &Content) -> Result<PublicKey, CrossSigningKeyError> {
    let keys = content
        .object("keys")
        .ok_or(CrossSigningKeyError::Malformed)?
        .map_err(malformed)?;
    let mut ids = keys.members();
    let (Some(id), None) = (ids.next(), ids.next()) else {
        return Err(CrossSigningKeyError::Malformed);
    };
    let Some(Ok(text)) = keys.get::<String>(id) else {
        return Err(CrossSigningKeyError::Malformed);
    };
    let key = PublicKey::from_base64(&text)?;
    if id == key.key_id() {
        Ok(key)
    } else {
        Err(CrossSigningKeyError::Malformed)
    }
}

fn malformed(_: ContentError) -> CrossSigningKeyError {
    CrossSigningKeyError::Malformed
}

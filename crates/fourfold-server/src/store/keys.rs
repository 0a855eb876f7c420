//! Published keys: of devices, for cross-signing, and those that are claimed once.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{DeviceId, Position, StoreError, UserId};

/// The rows of `/keys/*`.
///
/// Key objects are JSON text that the caller has checked; the store compares them with nothing but
/// bytes. Changing them is a compare-and-swap over all objects of the user: read [`KeyStore::keys`],
/// decide, write with its revision, and begin again on [`StoreError::Changed`].
#[async_trait]
pub trait KeyStore {
    /// All key objects of a user as one snapshot; `None` when there is no such user.
    async fn keys(&self, user: &UserId) -> Result<Option<Arc<PublishedKeys>>, StoreError>;

    /// Does all of a change or nothing. Moves the device list when an object changes, and never for
    /// one-time keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::Changed`] when the objects are no longer those of the revision,
    /// [`StoreError::KeyInUse`] when a one-time key is published with other content,
    /// [`StoreError::Quota`] when there is no room for the one-time keys or the signatures,
    /// [`StoreError::NoSuchDevice`] when the device of the one-time keys is gone.
    async fn put_keys(&self, user: &UserId, change: KeyChange) -> Result<(), StoreError>;

    /// The number of one-time keys of a device, and its unused fallback keys.
    async fn key_counts(&self, user: &UserId, device: &DeviceId) -> Result<KeyCounts, StoreError>;

    /// Takes one key for each wanted device and algorithm: the one-time key that was uploaded first,
    /// which nobody ever gets again; else the fallback key, which from then on counts as used; else
    /// none.
    async fn claim_keys(
        &self,
        user: &UserId,
        wanted: Vec<WantedKey>,
    ) -> Result<Vec<ClaimedKey>, StoreError>;
}

/// Everything that a user publishes, except one-time keys.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PublishedKeys {
    /// The number of the last change of the user's devices or keys.
    pub revision: Position,
    /// The devices that have keys, in the order of their IDs.
    pub devices: Vec<PublishedDevice>,
    /// The cross-signing keys.
    pub cross_signing: CrossSigningKeys,
    /// Signatures that this user made on the master keys of other users, in the order of
    /// [`UserSignature::user`]. Nobody else is shown them.
    pub user_signatures: Vec<UserSignature>,
}

impl PublishedKeys {
    /// The keys of one device.
    #[must_use]
    pub fn device(&self, id: &str) -> Option<&PublishedDevice> {
        self.devices
            .iter()
            .find(|device| device.device.as_str() == id)
    }

    /// The signatures that this user made on keys of `user`.
    pub fn signatures_for(&self, user: &UserId) -> impl Iterator<Item = &UserSignature> {
        let start = self
            .user_signatures
            .partition_point(|signature| signature.user < *user);
        let rest = self.user_signatures.iter().skip(start);
        rest.take_while(move |signature| signature.user == *user)
    }
}

/// One device with its keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublishedDevice {
    /// The device.
    pub device: DeviceId,
    /// Its display name.
    pub display_name: Option<String>,
    /// The device keys as JSON text.
    pub keys: Bytes,
}

/// The public cross-signing keys of a user.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CrossSigningKeys {
    /// The master key.
    pub master: Option<CrossSigningKey>,
    /// The self-signing key.
    pub self_signing: Option<CrossSigningKey>,
    /// The user-signing key, which is shown to its user alone.
    pub user_signing: Option<CrossSigningKey>,
}

impl CrossSigningKeys {
    /// The keys that there are.
    pub fn iter(&self) -> impl Iterator<Item = &CrossSigningKey> {
        let keys = [&self.master, &self.self_signing, &self.user_signing];
        keys.into_iter().flatten()
    }
}

/// One public cross-signing key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CrossSigningKey {
    /// The public key in unpadded base64. No device ID of the user may equal it.
    pub public_key: String,
    /// The key object as JSON text.
    pub content: Bytes,
}

/// A signature of a user on the master key of another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserSignature {
    /// Whose master key is signed.
    pub user: UserId,
    /// The public key that is signed, in unpadded base64.
    pub key: String,
    /// The ID of the signing key, `ed25519:…`.
    pub signing_key: String,
    /// The signature in base64.
    pub signature: String,
}

/// The changes that are made together.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// Key objects, replaced if they are still those of the revision.
    pub objects: Option<KeyObjects>,
    /// Keys to be claimed, added to a device.
    pub one_time: Option<OneTimeUpload>,
}

/// Key objects to be replaced.
#[derive(Clone, Debug, Default)]
pub struct KeyObjects {
    /// The revision that the change was decided on.
    pub revision: Position,
    /// Device keys, for devices that exist.
    pub devices: Vec<(DeviceId, Bytes)>,
    /// All cross-signing keys; `None` leaves them. Signatures on other users that a former
    /// user-signing key made go with it.
    pub cross_signing: Option<CrossSigningKeys>,
    /// Signatures on master keys of other users, added to those that are there.
    pub user_signatures: Vec<UserSignature>,
}

/// One-time and fallback keys of one device.
#[derive(Clone, Debug)]
pub struct OneTimeUpload {
    /// The device.
    pub device: DeviceId,
    /// One-time keys. One that is there with the same content is passed over.
    pub one_time_keys: Vec<OneTimeKey>,
    /// Fallback keys, one an algorithm. Each replaces the one before and counts as unused, unless it
    /// is the same.
    pub fallback_keys: Vec<OneTimeKey>,
}

/// A key that is claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneTimeKey {
    /// The algorithm, `signed_curve25519`.
    pub algorithm: String,
    /// The ID without the algorithm.
    pub id: String,
    /// The key as JSON text.
    pub key: Bytes,
}

/// The keys of a device that are left to be claimed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyCounts {
    /// One-time keys by algorithm. An algorithm without any is absent.
    pub one_time_keys: BTreeMap<String, u64>,
    /// Algorithms with a fallback key that nobody has claimed.
    pub unused_fallback_keys: Vec<String>,
}

/// Which key a claim asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WantedKey {
    /// Of which device.
    pub device: DeviceId,
    /// For which algorithm.
    pub algorithm: String,
}

/// A key that was claimed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimedKey {
    /// Of which device.
    pub device: DeviceId,
    /// The key.
    pub key: OneTimeKey,
}

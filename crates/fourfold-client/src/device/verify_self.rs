//! Verifying this device with the keys of the user's identity.

use fourfold::cross_signing::{KnownKeys, NotConfirmed, UnusableKeys};
use fourfold::identity::PinnedBy;
use fourfold::judged::Writable;
use fourfold::signed_json::PublicKey;

use super::error::DeviceError;
use super::this_device::Device;
use crate::apply::{SignError, sign_device};
use crate::{Account, Error, LocalState};

impl Device {
    /// Verifies this device: publishes its keys, signs them with the self-signing key, reads the
    /// signature back, and pins the master key if that is known.
    ///
    /// The signed object is built from the private keys on this machine, never from what the server
    /// shows; and the server must show the same.
    ///
    /// `now` shows that the account may be changed. `keys` come from [`OpenedKeys`](fourfold::cross_signing::OpenedKeys): they belong to what is
    /// published. `replaces_pin` is whether the user said that this identity replaces
    /// another one that this machine knew.
    ///
    /// # Errors
    ///
    /// [`VerifySelfError`]. What was done until then stays; calling it again goes on.
    pub async fn verify_self(
        &mut self,
        account: &Account,
        state: &mut LocalState,
        now: &Writable,
        keys: &KnownKeys,
        replaces_pin: bool,
    ) -> Result<SelfVerification, VerifySelfError> {
        let was_signed = self
            .sign_self(account, state, now, keys, replaces_pin)
            .await?;
        let master_key = keys.master_key().map(|key| key.public_key());
        if let Some(master_key) = master_key {
            self.hold_on_to(account, master_key, replaces_pin).await?;
        }
        Ok(SelfVerification {
            was_signed,
            pinned_master_key: master_key,
        })
    }

    /// The first part of [`verify_self`](Self::verify_self): publishes the keys of this device, signs
    /// them, and reads the signature back. Whether it was signed now.
    ///
    /// # Errors
    ///
    /// As [`verify_self`](Self::verify_self). Nothing is signed when another identity is published
    /// than this machine knows, unless the user said that it takes its place.
    pub async fn sign_self(
        &mut self,
        account: &Account,
        state: &mut LocalState,
        now: &Writable,
        keys: &KnownKeys,
        replaces_pin: bool,
    ) -> Result<bool, VerifySelfError> {
        let self_signing_key =
            keys.self_signing_key()
                .ok_or_else(|| UnusableKeys::NoSelfSigningKey {
                    has_master_key: keys.master_key().is_some(),
                })?;
        self.upload_keys(account).await?;
        let published = account.published_keys().await?;
        if !replaces_pin {
            let checked = self.trust().check_published(published.identity());
            checked.map_err(DeviceError::from)?;
        }
        let this = self.confirm_shown(&published)?;
        Ok(sign_device(account, state, now, &this, self_signing_key, &published).await?)
    }

    /// The second part of it: holds on to the master key, whose private half is known. From now on
    /// another one is an alarm, and not an identity. `replaces_pin` is whether the user said that it
    /// takes the place of another one that this machine knew.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherIdentity`], and the errors of every call and of the file system.
    pub async fn hold_on_to(
        &mut self,
        account: &Account,
        master_key: PublicKey,
        replaces_pin: bool,
    ) -> Result<(), DeviceError> {
        self.refresh_and_tell(account).await?;
        if replaces_pin {
            self.replace_pin(master_key, PinnedBy::PrivateKey)
        } else {
            self.pin(master_key, PinnedBy::PrivateKey)
        }
    }
}

/// The result of verifying this device.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SelfVerification {
    /// Whether it was signed now; else it was signed already.
    pub was_signed: bool,
    /// The master key that this machine pins from now on. `None` when its private half is not
    /// in secret storage: then a false identity cannot be told from the user's later.
    pub pinned_master_key: Option<PublicKey>,
}

/// Why this device could not be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifySelfError {
    /// The device, or what this machine knows of the user, forbids it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The keys in secret storage are not those of the published identity.
    #[error(transparent)]
    Keys(Box<UnusableKeys>),
    /// The server does not show this device as it is.
    #[error("{0}; nothing was signed")]
    NotConfirmed(#[from] NotConfirmed),
    /// The homeserver did not do it.
    #[error(transparent)]
    Server(#[from] Error),
    /// The signature was not made, not taken or is not shown.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl From<UnusableKeys> for VerifySelfError {
    fn from(error: UnusableKeys) -> Self {
        Self::Keys(Box::new(error))
    }
}

//! The state of trust: the user's devices that this machine knows, and which of them it trusts.

pub(super) mod asking;
mod judgement;
mod observation;
mod tombstones;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use self::tombstones::Tombstones;
use crate::Timestamp;
use crate::identity::{KnownDevice, PublishedIdentity, Tombstone, TombstoneReason};
use crate::signed_json::PublicKey;

/// The state of trust in one user on one machine: the pinned master key, the devices, and the
/// devices that are gone.
///
/// A device is verified when its self-signed keys are signed by the self-signing key, that one by
/// the master key, and the master key is **pinned**: known on this machine from its private half or
/// because the user verified it. What a server showed first is never enough.
///
/// Answers of the server can remove trust, but never grant it:
///
/// - Another master key than the pinned one, or another self-signing key than the one that came
///   with it, raises an [`IdentityAlarm`]. It stays over restarts, and until [`pin`](Self::pin)
///   ends it no device is verified. That holds for a new self-signing key that the pinned master
///   key signed, too: anyone who replaces it should know, and say so here.
/// - A device must be [logged in](crate::identity::LoggedInDevices) too: the server shows its keys in
///   one answer, and says in another who is logged in. One whose keys are shown alone is trusted with
///   nothing.
/// - A device that disappeared or changed its keys, that was not logged in any more, or that the user
///   logged out or blocked, leaves a [`Tombstone`]. It is not trusted again, however well it is
///   signed, until the user verifies it ([`confirm`](Self::confirm)): signatures of cross-signing
///   cannot be taken back.
/// - A device whose ID is one of the cross-signing keys is never trusted.
///
/// The value serialises, and belongs where nobody else can write. Freshness is not kept: after a
/// restart the devices must be queried before anything is shared.
///
/// ```
/// use fourfold::identity::{DeviceTrust, LoggedInDevices, PinnedBy, Trust, UserKeys};
/// # use fourfold::{Timestamp, signed_json::SigningKey};
/// # let master = SigningKey::from_seed(&[1; 32].into()).public_key();
/// let mut trust = Trust::new("@alice:example.org", "HERE");
/// trust.pin(master, PinnedBy::Verified);
/// let answer = r#"{"device_keys": {"@alice:example.org": {}}}"#; // of POST /keys/query
/// let keys = UserKeys::from_keys_query("@alice:example.org", answer)?;
/// let logged_in = LoggedInDevices::from_iter(["HERE"]); // of GET /devices
/// trust.observe(&keys, Some(&logged_in), Timestamp::from_millis(1_764_000_000_000));
/// assert_eq!(trust.verdict("THERE"), DeviceTrust::Unknown);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trust {
    user_id: String,
    device_id: String,
    pin: Option<Pin>,
    alarm: Option<IdentityAlarm>,
    published: Published,
    devices: BTreeMap<String, KnownDevice>,
    colliding: BTreeSet<String>,
    tombstones: Tombstones,
    #[serde(skip)]
    freshness: Freshness,
}

impl Trust {
    /// Knows nothing, and trusts nobody.
    #[must_use]
    pub fn new(user_id: impl Into<String>, device_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            device_id: device_id.into(),
            pin: None,
            alarm: None,
            published: Published::default(),
            devices: BTreeMap::new(),
            colliding: BTreeSet::new(),
            tombstones: Tombstones::default(),
            freshness: Freshness::default(),
        }
    }

    /// The user.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The device that this machine is.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Pins the master key, in place of any other one, and ends an alarm: only for a key that the
    /// user verified, or whose private half this machine holds. Where the user did not say that the
    /// identity is to be replaced, [`hold_on`](Self::hold_on) is right.
    ///
    /// The self-signing key that is published now, signed by this master key, is pinned with it;
    /// when there is none, the next one that is.
    pub fn pin(&mut self, master: PublicKey, how: PinnedBy) {
        self.alarm = None;
        self.pin = Some(Pin {
            master,
            self_signing: self.published.self_signing_of(master),
            how,
        });
    }

    /// As [`pin`](Self::pin), unless another master key is pinned: that one is replaced by the user
    /// alone, who says so.
    ///
    /// # Errors
    ///
    /// [`OtherIdentityPinned`]; nothing changes then.
    pub fn hold_on(&mut self, master: PublicKey, how: PinnedBy) -> Result<(), OtherIdentityPinned> {
        self.check_same(master)?;
        self.pin(master, how);
        Ok(())
    }

    /// Whether a master key is the one by which this machine knows the user, if it does.
    ///
    /// # Errors
    ///
    /// [`OtherIdentityPinned`].
    pub fn check_same(&self, master: PublicKey) -> Result<(), OtherIdentityPinned> {
        match self.pinned() {
            Some((pinned, _)) if pinned != master => Err(OtherIdentityPinned { pinned, master }),
            _ => Ok(()),
        }
    }

    /// Whether the published identity is the one by which this machine knows the user, if it does.
    /// One without a master key that can be relied on is nobody's.
    ///
    /// # Errors
    ///
    /// [`OtherIdentityPinned`].
    pub fn check_published(
        &self,
        published: &PublishedIdentity,
    ) -> Result<(), OtherIdentityPinned> {
        match published.master_key() {
            Ok(master) => self.check_same(master),
            Err(_) => Ok(()),
        }
    }

    /// The pinned master key and how it came to be pinned.
    #[must_use]
    pub fn pinned(&self) -> Option<(PublicKey, PinnedBy)> {
        self.pin.as_ref().map(|pin| (pin.master, pin.how))
    }

    /// The self-signing key that the pinned master key signed and that is pinned with it.
    #[must_use]
    pub fn pinned_self_signing_key(&self) -> Option<PublicKey> {
        self.pin.as_ref()?.self_signing
    }

    /// What is wrong with the published identity, until [`pin`](Self::pin) settles it.
    #[must_use]
    pub const fn alarm(&self) -> Option<&IdentityAlarm> {
        self.alarm.as_ref()
    }

    /// Remembers that the user verified a device on this machine, by emoji or by its fingerprint:
    /// its tombstone is lifted. It is verified then, if the user's identity signed it.
    ///
    /// Returns `false`, and changes nothing, when the device does not have this Ed25519 key.
    pub fn confirm(&mut self, device_id: &str, ed25519: PublicKey, now: Timestamp) -> bool {
        match self.devices.get_mut(device_id) {
            Some(device) if device.ed25519 == ed25519 => {
                device.confirmed = Some(now);
                self.tombstones.remove(device_id);
                true
            }
            _ => false,
        }
    }

    /// Never trusts a device again, whatever signs it, until the user [confirms](Self::confirm) it.
    pub fn tombstone(&mut self, device_id: &str, reason: TombstoneReason, now: Timestamp) {
        let device = self.devices.get_mut(device_id);
        let was_signed = device.as_ref().is_some_and(|device| device.was_signed);
        if let Some(device) = device {
            device.confirmed = None;
        }
        self.tombstones.insert(device_id, reason, was_signed, now);
    }

    /// A device that the server listed last.
    #[must_use]
    pub fn device(&self, device_id: &str) -> Option<&KnownDevice> {
        self.devices.get(device_id)
    }

    /// The devices that the server listed last, this one included, in order of their IDs.
    pub fn devices(&self) -> impl Iterator<Item = &KnownDevice> {
        self.devices.values()
    }

    /// The same knowledge for a later log-in of the user on this machine. The device of the earlier
    /// one is gone: it gets a tombstone.
    #[must_use]
    pub fn for_device(mut self, device_id: impl Into<String>, now: Timestamp) -> Self {
        let earlier = std::mem::replace(&mut self.device_id, device_id.into());
        if earlier != self.device_id {
            self.tombstone(&earlier, TombstoneReason::LoggedOut, now);
        }
        self.freshness = Freshness::default();
        self
    }

    /// The tombstone of a device.
    #[must_use]
    pub fn tombstone_of(&self, device_id: &str) -> Option<&Tombstone> {
        self.tombstones.get(device_id)
    }

    /// The device whose ID is one of the user's cross-signing keys, which no honest server allows.
    #[must_use]
    pub fn colliding_device(&self) -> Option<&str> {
        self.colliding.first().map(String::as_str)
    }

    /// Notes that the devices changed (`device_lists.changed`), or that this is not known because a
    /// query failed or no sync gets through: nothing is shared until they are queried again.
    pub fn mark_stale(&mut self) {
        self.freshness.mark_stale();
    }

    /// Notes that a query is on its way, so that a change that is reported before its answer comes
    /// leaves the list stale.
    pub fn query_started(&mut self) {
        self.freshness.query_started();
    }

    /// Returns `true` if the devices were queried since they last changed.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.freshness.fresh
    }
}

/// The reason why the master key is pinned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum PinnedBy {
    /// This machine held its private half: it made the key, or opened it with the recovery key.
    PrivateKey,
    /// The user compared it, by emoji, QR code or its text.
    Verified,
}

/// This machine knows the user by another master key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this machine knows another identity: the master key {pinned}, and not {master}")]
#[non_exhaustive]
pub struct OtherIdentityPinned {
    /// The one that is pinned.
    pub pinned: PublicKey,
    /// The one that was to be.
    pub master: PublicKey,
}

crate::error_code::error_codes! {
    OtherIdentityPinned:
    Self { .. } => "other_identity_pinned",
}

/// Why nothing is shared any more: the identity is not the one that was pinned.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum IdentityAlarm {
    /// Another master key is published: the identity was reset, or the server replaced it.
    MasterKeyChanged {
        /// The pinned one.
        pinned: PublicKey,
        /// The one that was published.
        published: PublicKey,
    },
    /// Another self-signing key is published under the same master key.
    SelfSigningKeyChanged {
        /// The pinned one.
        pinned: PublicKey,
        /// The one that was published.
        published: PublicKey,
    },
}

impl fmt::Display for IdentityAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (which, pinned, published) = match self {
            Self::MasterKeyChanged { pinned, published } => ("master", pinned, published),
            Self::SelfSigningKeyChanged { pinned, published } => {
                ("self-signing", pinned, published)
            }
        };
        write!(
            f,
            "the {which} key of the account changed from {pinned} to {published}; if nobody reset \
             the identity, do not trust the server"
        )
    }
}

/// A change of trust caused by answers of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "keys are large, and it is moved, not kept"
)]
#[non_exhaustive]
pub enum TrustChange {
    /// A device is listed that was not before.
    Appeared {
        /// Which.
        device_id: String,
    },
    /// A device has the ID of a cross-signing key.
    CollidingId {
        /// Which.
        device_id: String,
    },
    /// The identity is not the pinned one.
    IdentityChanged(IdentityAlarm),
    /// The pinned identity is not published as it should be; nothing is shared until it is.
    IdentityUnusable,
    /// The server does not say who is logged in: devices that were not known to be are trusted with
    /// nothing until it does.
    LogInsUnknown,
    /// The answer leaves this very device out.
    ThisDeviceMissing,
    /// A device went, or changed its keys.
    Tombstoned {
        /// Which.
        device_id: String,
        /// What happened.
        reason: TombstoneReason,
    },
    /// A device is verified that was not before.
    Verified {
        /// Which.
        device_id: String,
    },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Pin {
    master: PublicKey,
    self_signing: Option<PublicKey>,
    how: PinnedBy,
}

/// The identity that the server published in its last answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Published {
    master: Option<PublicKey>,
    /// Only when the master key signed it.
    self_signing: Option<PublicKey>,
}

impl Published {
    fn self_signing_of(&self, master: PublicKey) -> Option<PublicKey> {
        self.self_signing.filter(|_| self.master == Some(master))
    }
}

#[derive(Clone, Debug, Default)]
struct Freshness {
    fresh: bool,
    query_running: bool,
    changed_since_query: bool,
}

impl Freshness {
    fn mark_stale(&mut self) {
        self.fresh = false;
        self.changed_since_query = true;
    }

    fn query_started(&mut self) {
        self.query_running = true;
        self.changed_since_query = false;
    }

    /// Handles an invalid answer.
    fn unanswered(&mut self) {
        *self = Self::default();
    }

    fn answered(&mut self) {
        self.fresh = !(self.query_running && self.changed_since_query);
        self.query_running = false;
    }
}

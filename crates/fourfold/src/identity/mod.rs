//! Who is who: the cross-signing identity of a user, the devices, and what this machine trusts.
//!
//! [Cross-signing](https://spec.matrix.org/v1.19/client-server-api/#cross-signing): a master key
//! signs a self-signing key (for the user's own devices) and a user-signing key (for other users).
//! What is published ([`PublishedIdentity`], [`UserKeys`]) proves nothing by itself: trust needs a
//! master key that is pinned on this machine, which is what [`Trust`] keeps.

mod curve25519;
mod device_keys;
mod known_device;
mod logged_in;
mod public_keys;
mod published;
mod same_device;
mod trust;
mod user_keys;

pub use curve25519::Curve25519PublicKey;
pub use device_keys::{DeviceKeys, DeviceKeysError};
pub use known_device::{DeviceTrust, KnownDevice, Tombstone, TombstoneReason};
pub use logged_in::{LogIn, LoggedInDevices};
pub use public_keys::PublicKeys;
pub use published::{CrossSigningKeyError, PublishedIdentity};
pub use same_device::{OwnDeviceMismatch, check_same_device};
pub use trust::asking::CannotAsk;
pub use trust::{IdentityAlarm, OtherIdentityPinned, PinnedBy, Trust, TrustChange};
pub use user_keys::{UserKeys, UserKeysError};
